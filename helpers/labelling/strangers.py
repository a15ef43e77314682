"""Photographs that do not look like their person: somebody else's in a folder, or a file under a wrong name.

Fits of one person have much the same coefficients, so the cosine between those of a photograph and those of its person's other
photographs tells whether it belongs there. A hard photograph is unlike everybody, its own person too: so its cosines with the
other people are taken off.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from helpers.errors import UserError
from helpers.labelling.parquet import matrix
from helpers.labelling.rows import read_rows
from helpers.labelling.store import read_manifest

AT_ONCE = 4096  # photographs that are compared with all people


@dataclass(frozen=True)
class Likeness:
    """Mean cosines of N photographs with others.

    Attributes:
        own: (N,) with the other photographs of the person; NaN for a person's only one.
        rest: (N,) with the photographs of all other people.
        nearest: (N,) number of the other person with whose photographs it is largest.
        other: (N,) with the photographs of that one.
    """

    own: Tensor
    rest: Tensor
    nearest: Tensor
    other: Tensor

    @property
    def order(self) -> Tensor:
        """(M,) numbers of the photographs that can be compared, from the least to the most like their person."""
        excess = self.own - self.rest
        known = excess.isfinite().nonzero()[:, 0]
        return known[excess[known].argsort(stable=True)]


def likeness(coefficients: Tensor, person: Tensor) -> Likeness:
    """Compare each photograph with the others of its person, and with those of everybody else.

    The mean cosine with some photographs is a product with the sum of their directions: no pair is looked at.

    Args:
        coefficients: (N, K), finite.
        person: (N,) numbers from 0 to P − 1, each there.

    Returns:
        Mean cosines.

    Raises:
        ValueError: For other shapes, numbers that are not finite, and fewer than two people.
    """
    if coefficients.dim() != 2 or person.shape != coefficients.shape[:1]:
        raise ValueError(
            f"coefficients must be (N, K) and person (N,), got {tuple(coefficients.shape)} and {tuple(person.shape)}"
        )
    if not bool(coefficients.isfinite().all()):
        raise ValueError("coefficients must be finite")
    count = torch.bincount(person).to(coefficients)
    if len(count) < 2:
        raise ValueError(f"who looks like whom can be told of two people or more, there are {len(count)}")
    direction = F.normalize(coefficients)
    sums = direction.new_zeros(len(count), direction.shape[1]).index_add_(0, person, direction)
    own = ((direction * (sums[person] - direction)).sum(1)) / (count[person] - 1)
    rest = (direction * (sums.sum(0) - sums[person])).sum(1) / (len(person) - count[person])
    means, best = sums / count[:, None], []
    for vectors, its in zip(direction.split(AT_ONCE), person.split(AT_ONCE), strict=True):
        best.append((vectors @ means.T).scatter(1, its[:, None], -torch.inf).max(1))
    other, nearest = (torch.cat(part) for part in zip(*best, strict=True))
    return Likeness(torch.where(count[person] > 1, own, torch.nan), rest, nearest, other)


class Compared(NamedTuple):
    """A photograph among those of its person.

    Attributes:
        id: its name.
        person: whose it is said to be.
        own: mean cosine with the person's other photographs.
        rest: the same with all other people's.
        nearest: the other person that it is most like.
        other: the same with that one's.
    """

    id: str
    person: str
    own: float
    rest: float
    nearest: str
    other: float


@dataclass(frozen=True)
class Strangers:
    """The photographs of a folder of rows, compared.

    Attributes:
        compared: those whose person has another photograph, the least like its person first.
        squares: id → (x, y, side) px of the photograph that its fit looked at, of all.
    """

    compared: list[Compared]
    squares: dict[str, tuple[float, float, float]]

    @property
    def of_person(self) -> dict[str, list[str]]:
        """Person → ids of the photographs, the most like their person first."""
        found: dict[str, list[str]] = {}
        for each in reversed(self.compared):
            found.setdefault(each.person, []).append(each.id)
        return found


def find_strangers(folder: str | Path, there: Collection[str]) -> Strangers:
    """Compare the fits of a folder, good and doubtful, within and between people.

    Args:
        folder: what `label` has written.
        there: ids of the photographs that are looked at.

    Raises:
        UserError: for a folder without rows, and where fewer than two people are there.
    """
    rows = read_rows(folder, ["id", "person", "alpha", "beta", "crop_scale", "crop_origin"])
    numbers = np.concatenate([matrix(rows, name, folder) for name in ("alpha", "beta")], 1)
    scale, origin = (matrix(rows, name, folder) for name in ("crop_scale", "crop_origin"))
    names = rows.column("id").to_pylist()
    kept = np.flatnonzero(np.isfinite(numbers).all(1) & np.array([name in there for name in names], bool))
    names = [names[row] for row in kept]
    people, person = np.unique(np.array(rows.column("person").to_pylist(), str)[kept], return_inverse=True)
    try:
        found = likeness(torch.from_numpy(numbers[kept]), torch.from_numpy(person))
    except ValueError as error:
        raise UserError(f"{folder}: {error}") from error
    order = found.order
    columns = (found.own, found.rest, found.nearest, found.other)
    compared = [
        Compared(names[i], str(people[person[i]]), own, rest, str(people[nearest]), other)
        for i, own, rest, nearest, other in zip(
            order.tolist(), *(column[order].tolist() for column in columns), strict=True
        )
    ]
    size = read_manifest(folder)[0].size
    squares = np.concatenate([origin, size / scale], 1)[kept].tolist()
    return Strangers(compared, {name: tuple(square) for name, square in zip(names, squares, strict=True)})
