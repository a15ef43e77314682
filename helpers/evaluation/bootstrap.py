"""How sure a comparison is: the paired bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Interval(NamedTuple):
    """A mean, and where it may lie."""

    mean: float
    low: float
    high: float


def bootstrap_interval(
    differences: ArrayLike, share: float = 0.95, draws: int = 4000, seed: int = 0
) -> Interval:
    """Interval of a mean difference: the people are drawn again and again, with replacement.

    With few people it is too narrow: for eight, 95 % of them hold the truth in about 90 % of the cases.

    Args:
        differences: (N,) one for each person, of two methods on the same photographs.
        share: of the resampled means that lie in the interval.
        draws: of N people.
        seed: of the draws.

    Raises:
        ValueError: For fewer than two differences, or numbers that are not finite.

    Source:
        B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993.
    """
    values = np.asarray(differences, float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"differences must be at least two finite numbers (N,), got shape {values.shape}")
    means = np.random.default_rng(seed).choice(values, (draws, len(values))).mean(1)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return Interval(float(values.mean()), float(low), float(high))
