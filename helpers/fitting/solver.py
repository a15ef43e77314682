"""Damped Gauss-Newton: every term is a sum of squares, so each iteration solves one linear system a face."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.fitting.landmark_term import Rows
from helpers.fitting.parameters import FaceState, Layout
from helpers.fitting.prior_term import Prior


def gauss_newton_step(
    state: FaceState,
    blocks: list[Rows],
    prior: Prior,
    layout: Layout,
    free: Tensor,
    damping: float,
    step_limit: float,
) -> FaceState:
    """One step of all parameters that `free` (indices) names.

    Solves (JᵀJ + Λ + damping · diag) Δ = −(Jᵀr + Λ x) with Λ the prior, for B faces at once. The step of the
    coefficients is shortened to `step_limit`, because far from the solution the linear picture is wrong.
    """
    B, n = len(state.coefficients), layout.size
    H = state.coefficients.new_zeros(B, n, n)
    g = state.coefficients.new_zeros(B, n)
    for rows in blocks:
        H += rows.jacobian.transpose(1, 2) @ rows.jacobian
        g += (rows.jacobian.transpose(1, 2) @ rows.residual[..., None])[..., 0]
    prior.add_to(H, g, state, layout)

    H, g = H[:, free][:, :, free], g[:, free]
    diagonal = H.diagonal(dim1=1, dim2=2)
    diagonal += damping * diagonal + 1e-6
    factor, failed = torch.linalg.cholesky_ex(H)
    solution = -torch.cholesky_solve(g[..., None], factor)[..., 0]
    solution = torch.where((failed == 0)[:, None], solution, torch.zeros_like(solution))
    step = torch.zeros(B, n, dtype=g.dtype, device=g.device)
    step[:, free] = torch.nan_to_num(solution)
    length = step[:, : layout.n_coefficients].norm(dim=-1, keepdim=True)
    return state.moved(step * (step_limit / length.clamp(min=step_limit)), layout)


def parameter_indices(layout: Layout, device, *parts: slice) -> Tensor:
    """Indices of the parameters in the given slices of the layout, in order."""
    everything = torch.arange(layout.size, device=device)
    return torch.cat([everything[part] for part in parts])
