"""How large the steps are, over a run."""

from dataclasses import replace

import pytest

from helpers.regression.rates import Plateau, rate_factor
from tests.regression.pictures import FEW


def test_rates():
    cosine_run = replace(FEW, schedule="cosine", warmup=0.1)
    assert rate_factor(cosine_run, 0.05) == pytest.approx(0.5) and rate_factor(
        cosine_run, 0.1
    ) == pytest.approx(1.0)
    assert rate_factor(cosine_run, 0.55) == pytest.approx(0.5) and rate_factor(
        cosine_run, 1.0
    ) == pytest.approx(0.0)
    assert rate_factor(FEW, 0.0) == rate_factor(FEW, 1.0) == 1.0
    plateau = Plateau(2)
    for loss in (5.0, 4.0, 4.5, 4.1, 4.2, 3.0, 3.0):
        plateau.saw(loss)
    assert plateau.factor == pytest.approx(0.1)
    plateau.saw(3.5)
    assert plateau.factor == pytest.approx(0.01)
