"""The paired bootstrap against the interval that theory gives."""

import numpy as np
import pytest

from helpers.evaluation import bootstrap_interval, bootstrap_people


def test_of_many_normal_numbers_it_is_the_mean_and_1_96_standard_errors():
    values = np.random.default_rng(1).normal(0.3, 2.0, 400)
    mean, low, high = bootstrap_interval(values)
    error = values.std(ddof=1) / 20
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.15 * error)


def test_intervals_of_eight_people_hold_the_truth_about_as_often_as_told():
    draws = np.random.default_rng(2).normal(0.0, 1.0, (300, 8))
    held = [low <= 0 <= high for _, low, high in (bootstrap_interval(row, draws=500) for row in draws)]
    assert 0.85 < np.mean(held) < 0.95


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan], np.ones((2, 2))])
def test_what_has_no_interval_is_refused(values):
    with pytest.raises(ValueError, match="at least two finite"):
        bootstrap_interval(values)


def test_people_are_drawn_whole():
    """The mean of people's values, as a figure of counts, has the interval of the mean."""
    values = np.random.default_rng(4).normal(0.0, 1.0, 60)
    found = bootstrap_people(lambda counts: float(counts @ values / counts.sum()), 60, draws=3000)
    assert found == pytest.approx(bootstrap_interval(values), abs=0.02)


def test_four_people_have_no_interval_and_draws_without_a_figure_are_left_out():
    assert np.isnan(bootstrap_people(lambda counts: 1.0, 4).low)
    found = bootstrap_people(lambda counts: float("nan") if counts.max() > 2 else counts[0], 6)
    assert found.mean == 1 and found.low == 0 and found.high == 2
