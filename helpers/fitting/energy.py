"""The energy of a fit: a sum of terms, each a function from the state of the search to rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import torch
from torch import Tensor

from helpers.device import parts
from helpers.fitting.parameters import FaceState, Layout
from helpers.fitting.prior_term import Prior
from helpers.fitting.residuals import Term
from helpers.fitting.settings import Limits


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of the energies of at least one term."""
    return reduce(add, terms.values())


@dataclass(frozen=True)
class Equations:
    """The energy about one state, to second order: E + gᵀΔ + ½ ΔᵀHΔ, with Gauss-Newton's H.

    Attributes:
        H: (B, n, n).
        g: (B, n), the exact gradient.
        terms: name to (B,) energy.
    """

    H: Tensor
    g: Tensor
    terms: dict[str, Tensor]

    @cached_property
    def energy(self) -> Tensor:
        """(B,) the sum of the terms."""
        return total(self.terms)


class Energy:
    """E(state) = Σ terms + prior, for B photographs at once.

    Args:
        layout: of the parameters.
        prior: of the batch.
        terms: name to a function from a state to its `Rows`. Points, blur and weights are inside those functions,
            so one `Energy` is one fixed function of the state: what a solver may compare at two states.
        limits: a box that the coefficients must stay in, or None.
    """

    def __init__(self, layout: Layout, prior: Prior, terms: Mapping[str, Term], limits: Limits | None = None):
        self.layout, self.prior, self.terms, self.limits = layout, prior, terms, limits

    def moved(self, state: FaceState, step: Tensor) -> FaceState:
        """The state after a step (B, n), within the limits."""
        after = state.moved(step, self.layout)
        return after if self.limits is None else after.within(self.limits, self.layout)

    def equations(self, state: FaceState, first: int = 0) -> Equations:
        """Energy, gradient and Gauss-Newton's H at a state.

        Args:
            state: of B faces.
            first: parameters before this one are held; rows and columns of theirs have the prior's part only.
        """
        B, n = len(state.coefficients), self.layout.size
        H = state.coefficients.new_zeros(B, n, n)
        g = state.coefficients.new_zeros(B, n)
        moving, energies = H[:, first:, first:], {}
        for name, rows_at in self.terms.items():
            rows = rows_at(state)
            row = (n - first) * g.element_size()
            for some in parts(B, rows.residual.shape[1] * row, g):
                J = rows.slopes(some, first)
                add_gram(moving[some], J)
                add_slope(g[some, first:], rows.residual[some], J)
            energies[name] = rows.energy
        mirror(moving)
        energies["coefficients"], energies["light"] = self.prior.add_to(H, g, state, self.layout)
        return Equations(H, g, energies)

    def value(self, state: FaceState) -> Tensor:
        """(B,) energy, without any slope."""
        terms = [rows_at(state).energy for rows_at in self.terms.values()]
        return reduce(add, [*terms, *self.prior.energy(state)])

    def gradient(self, state: FaceState) -> tuple[Tensor, dict[str, Tensor]]:
        """(B, n) gradient and the energies, without H: all that a first-order solver needs."""
        g = state.coefficients.new_zeros(len(state.coefficients), self.layout.size)
        energies = {}
        for name, rows_at in self.terms.items():
            rows = rows_at(state)
            add_slope(g, rows.residual, rows.jacobian)
            energies[name] = rows.energy
        energies["coefficients"], energies["light"] = self.prior.add_to(None, g, state, self.layout)
        return g, energies


STRIPS, LEAST_STRIP = 3, 32  # of the columns of JᵀJ, on a CPU; narrower products are rounded in another way


def add_slope(g: Tensor, residual: Tensor, J: Tensor) -> None:
    """Add Jᵀr to g (B, n), in place."""
    g[:, None].baddbmm_(residual[:, None], J)


def add_gram(H: Tensor, J: Tensor) -> None:
    """Add JᵀJ to H (B, n, n), in place, but for blocks below the diagonal that `mirror` fills; J: (B, M, n).

    The product is symmetric, and the largest piece of work of a fit. On a CPU a third of it is left out: it is computed in
    strips of rows, each from its diagonal block on. A GPU would rather have one large product.
    """
    for first, last in _strips(H):
        H[:, first:last, first:].baddbmm_(J[..., first:last].transpose(1, 2), J[..., first:])


def mirror(H: Tensor) -> None:
    """Copy the blocks above the diagonal of H (B, n, n) that `add_gram` fills to those below."""
    for first, last in _strips(H)[:-1]:
        H[:, last:, first:last] = H[:, first:last, last:].transpose(1, 2)


def _strips(H: Tensor) -> list[tuple[int, int]]:
    n = H.shape[-1]
    strips = 1 if H.is_cuda else max(1, min(STRIPS, n // LEAST_STRIP))
    cuts = [n * i // strips for i in range(strips + 1)]
    return list(zip(cuts[:-1], cuts[1:], strict=True))


def free_parameters(layout: Layout, device: torch.device | str, *parts: slice) -> Tensor:
    """Indices of the parameters in the given slices of the layout, in order; all others are held."""
    everything = torch.arange(layout.size, device=device)
    return torch.cat([everything[part] for part in parts])
