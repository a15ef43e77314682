"""Several photographs of one person in one system of equations, by Schur complements.

The n photographs of a person share s = (α, β), and photograph i has p_i of its own: expression, pose, light and focal
length. With its equations in blocks,

    H_i = [ A_i  C_iᵀ ]      g_i = [ a_i ]
          [ C_i  D_i  ],           [ b_i ],

those of the person are an arrow: Σ A_i in the corner, the D_i down the diagonal, the C_i at the edge. Minimised over
its own p_j, photograph j leaves an energy of s alone, with

    S_j = A_j − C_jᵀ D_j⁻¹ C_j,      t_j = a_j − C_jᵀ D_j⁻¹ b_j.

`coupled` adds to the equations of each photograph what all others of its person leave:

    A_i + Σ_{j≠i} S_j,      a_i + Σ_{j≠i} t_j.

Their solution is (s, p_i) of the whole arrow, and their inverse is its inverse's block of s and p_i. So whatever solves
or inverts the equations of single photographs does so for people.

That counts the errors of the n photographs as independent. If they are correlated by ρ, because the model is wrong in the
same way in all of them, the mean of n has 1/n + ρ (n − 1)/n of the variance of one: n photographs are worth n / κ, with
κ = 1 + ρ (n − 1). Each then leaves S_j / κ and t_j / κ, the energy of each having κ / n of the prior of s, so that all of
them together have it once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class People:
    """Which photographs show the same person.

    Attributes:
        index: (B,) number of each photograph's person, from 0 to `number` − 1.
        number: how many people there are.
        shared: (n,) bool, the parameters that a person's photographs have in common.
        redundancy: (B,) κ of each photograph's person; None means 1.
    """

    index: Tensor
    number: int
    shared: Tensor
    redundancy: Tensor | None = None

    def total(self, values: Tensor) -> Tensor:
        """(B, …) for each photograph the sum of `values` (B, …) over all of its person's."""
        sums = values.new_zeros(self.number, *values.shape[1:]).index_add_(0, self.index, values)
        return sums[self.index]

    def largest(self, values: Tensor) -> Tensor:
        """(B,) for each photograph the largest of `values` (B,), not negative, among its person's."""
        zero = values.new_zeros(self.number)
        return zero.scatter_reduce(0, self.index, values, "amax")[self.index]

    @property
    def count(self) -> Tensor:
        """(B,) how many photographs show the same person."""
        return torch.bincount(self.index, minlength=self.number)[self.index]


def coupled(H: Tensor, g: Tensor, people: People, shared: Tensor) -> tuple[Tensor, Tensor]:
    """Add to the equations of each photograph what the others of its person say of the shared parameters.

    A photograph whose D_i is not positive definite has its own parameters held (C_i = 0), for this step.

    Args:
        H: (B, n, n).
        g: (B, n).
        people: whose photographs these are.
        shared: (n,) bool, of the parameters in H and g.

    Returns:
        H and g of the same shapes.
    """
    s, p = shared.nonzero()[:, 0], (~shared).nonzero()[:, 0]
    rows = s[:, None]
    factor, failed = torch.linalg.cholesky_ex(H[:, p[:, None], p])
    held = (failed > 0)[:, None, None]
    factor = torch.where(held, torch.eye(len(p), dtype=H.dtype, device=H.device), factor)
    right = torch.where(held, 0.0, torch.cat([H[:, p[:, None], s], g[:, p, None]], -1))
    W, w = torch.linalg.solve_triangular(factor, right, upper=False).split([len(s), 1], -1)
    S = H[:, rows, s] - W.transpose(1, 2) @ W
    t = g[:, s] - (W.transpose(1, 2) @ w)[..., 0]
    H, g = H.clone(), g.clone()
    κ = H.new_ones(len(H)) if people.redundancy is None else people.redundancy
    H[:, rows, s] += people.total(S) / κ[:, None, None] - S
    g[:, s] += people.total(t) / κ[:, None] - t
    return H, g
