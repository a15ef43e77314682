"""How sure a comparison is: the paired bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

FEWEST_PEOPLE = 5  # of fewer, draws with replacement are too much alike to tell anything


class Interval(NamedTuple):
    """A mean or another figure, and where it may lie."""

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


def bootstrap_people(
    figure: Callable[[np.ndarray], float], people: int, share: float = 0.95, draws: int = 500, seed: int = 0
) -> Interval:
    """Interval of a figure that is no mean over people, such as the area under a ROC of all pairs.

    Photographs of one person are no independent witnesses, and neither are pairs that share a person. So people are drawn,
    with all their photographs.

    Args:
        figure: Of counts (P,), how often each person was drawn; NaN for a draw that it cannot be told of. All ones for the
            figure itself. For two methods on the same people take their difference: the draws are then paired.
        people: P.
        share: Of the drawn figures that lie in the interval.
        draws: Of P people, with replacement.
        seed: Of the draws.

    Returns:
        NaN for the limits of fewer than `FEWEST_PEOPLE`.
    """
    whole = float(figure(np.ones(people)))
    if people < FEWEST_PEOPLE:
        return Interval(whole, float("nan"), float("nan"))
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), draws)
    low, high = np.nanquantile([figure(counts) for counts in drawn], [(1 - share) / 2, (1 + share) / 2])
    return Interval(whole, float(low), float(high))
