"""A sampler instead of a minimiser: Metropolis-adjusted Langevin steps (Roberts and Tweedie 1996).

The posterior is exp(−E). Each step follows the gradient half of the way and adds noise; it is kept with the probability
that makes the visits follow the posterior. Laplace's covariance shapes the noise, so that known and unknown
directions get steps of their own length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.fitting.energy import Energy
from helpers.fitting.parameters import FaceState


@dataclass(frozen=True)
class Chain:
    """samples: (S, B, n) steps from the start in all parameters, one row a visit.  energy: (S, B).
    accepted: (B,) share of the proposals that were kept."""

    samples: Tensor
    energy: Tensor
    accepted: Tensor


def langevin(
    energy: Energy,
    state: FaceState,
    free: Tensor,
    iterations: int,
    *,
    length: float | None = None,
    generator: torch.Generator | None = None,
) -> Chain:
    """Walk over the parameters `free` about `state`, an optimum, for `iterations` steps.

    length: ε, the square of a step in units of the posterior; None takes 1.65² k^(−1/3) for k parameters, the
    optimal scaling of Roberts and Rosenthal (1998). All faces of the batch walk at once.
    """
    B, k = len(state.coefficients), len(free)
    ε = 1.65**2 * k ** (-1 / 3) if length is None else length
    H = energy.equations(state).H[:, free[:, None], free]
    covariance = torch.linalg.inv(H.double()).to(H)
    root = torch.linalg.cholesky(covariance)
    x = H.new_zeros(B, energy.layout.size)
    E, g = _at(energy, state, x, free)
    visits, energies, kept = [], [], H.new_zeros(B)
    for _ in range(iterations):
        noise = torch.randn(B, k, 1, generator=generator).to(H)
        drift = -0.5 * ε * (covariance @ g[..., None])
        move = (drift + ε**0.5 * (root @ noise))[..., 0]
        proposal = x.index_add(1, free, move)
        E_new, g_new = _at(energy, state, proposal, free)
        # How likely the step back would have been, against the step: both are normal about their drifts.
        back = -move - (-0.5 * ε * (covariance @ g_new[..., None]))[..., 0]
        forth = (move[..., None] - drift)[..., 0]
        ratio = E - E_new - (_square(H, back) - _square(H, forth)) / (2 * ε)
        accept = torch.rand(B, generator=generator).to(H).log() < torch.nan_to_num(ratio, -torch.inf)
        x = torch.where(accept[:, None], proposal, x)
        E, g = torch.where(accept, E_new, E), torch.where(accept[:, None], g_new, g)
        kept += accept.to(kept)
        visits.append(x)
        energies.append(E)
    return Chain(torch.stack(visits), torch.stack(energies), kept / iterations)


def _at(energy: Energy, state: FaceState, x: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    g, terms = energy.gradient(energy.moved(state, x))
    return sum(terms.values()), g[:, free]


def _square(H: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("bi,bij,bj->b", v, H, v)
