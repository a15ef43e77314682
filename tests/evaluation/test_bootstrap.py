"""The paired bootstrap against the interval that theory gives."""

import numpy as np
import pytest

from helpers.evaluation import bootstrap_interval


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
