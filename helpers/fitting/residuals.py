"""Weighted least-squares rows: what every term of the energy hands to a solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.fitting.parameters import FaceState

Slopes = Callable[[slice, int], Tensor]


@dataclass(frozen=True)
class Rows:
    """A block of M rows at one state: the energy is a sum of squares, or of robust functions of squares.

    Where the energy is robust, the weights are those of iteratively reweighted least squares, so that Jᵀr is
    the exact gradient of the energy.

    Attributes:
        residual: (B, M), times the square root of its weight.
        slopes: computes the Jacobian of some photographs, by the parameters from number `first` on: (b, M, n − first).
        energy: (B,), robust.
    """

    residual: Tensor
    slopes: Slopes
    energy: Tensor

    @classmethod
    def of(cls, residual: Tensor, jacobian: Tensor, energy: Tensor) -> Rows:
        """Rows whose Jacobian (B, M, n) is known."""
        return cls(residual, lambda some, first: jacobian[some, :, first:], energy)

    @cached_property
    def jacobian(self) -> Tensor:
        """(B, M, n), the derivative of the residual by all parameters, weighted alike."""
        return self.slopes(slice(None), 0)


Term = Callable[[FaceState], Rows]


LEAST_MEAN = 1e-6  # of a term under a root, below which its slope no longer grows


def weighted(rows_at: Term, factor: float) -> Term:
    """A term whose energy is `factor` times that of the given one."""
    if factor == 1:
        return rows_at

    def scaled(state: FaceState) -> Rows:
        rows = rows_at(state)
        return Rows.of(factor**0.5 * rows.residual, factor**0.5 * rows.jacobian, factor * rows.energy)

    return scaled


def rooted(rows_at: Term, factor: float) -> Term:
    """A term whose energy is `factor` times the root of that of the given one, m.

    The slope of f √m is f / (2 √m) times that of m. So the rows are those of m, reweighted by that number at each state:
    Jᵀr is the exact gradient. As a root curves downwards, f √m is nowhere above f / (2 √m) · m plus a constant, which
    it touches at the state: what a step gains on the squares, it gains on the root at least.

    Where m is 0 a root has a kink. Below LEAST_MEAN the weight stays what it is there.
    """

    def scaled(state: FaceState) -> Rows:
        rows = rows_at(state)
        slope = 0.5 * factor / rows.energy.clamp(min=LEAST_MEAN).sqrt()
        root = slope.sqrt()
        return Rows.of(
            root[:, None] * rows.residual, root[:, None, None] * rows.jacobian, factor * rows.energy.sqrt()
        )

    return scaled


def counted(rows_at: Term, counts: Tensor) -> Term:
    """A term that is 0 for the photographs that do not count, whatever their rows; counts: (B,) bool."""

    def masked(state: FaceState) -> Rows:
        rows = rows_at(state)
        residual = torch.where(counts[:, None], rows.residual, 0.0)
        jacobian = torch.where(counts[:, None, None], rows.jacobian, 0.0)
        return Rows.of(residual, jacobian, torch.where(counts, rows.energy, 0.0))

    return masked
