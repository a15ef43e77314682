"""Which parts of a fitted face are known: the posterior about the optimum (Laplace's approximation).

Near its minimum the energy is E + ½ ΔᵀHΔ. As E is a negative logarithm of a probability, Δ is normal with
covariance H⁻¹. H is Gauss-Newton's, prior included, so a mode that no pixel sees keeps the prior's variance 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.fitting.energy import Equations
from helpers.fitting.parameters import FitModel, Layout


def posterior_covariance(equations: Equations, layout: Layout) -> Tensor:
    """(B, n, n) covariance of α, expression and β (in this order), with pose and light free to follow.

    The block of the inverse, not the inverse of the block: what pose or light could explain as well is not
    known of the coefficients. Where H is not positive definite, the prior's identity is returned.
    """
    n = layout.n_coefficients
    # Pose and light have other units than coefficients; a unit diagonal keeps float32 exact enough.
    scale = equations.H.diagonal(dim1=1, dim2=2).clamp(min=1e-12).rsqrt()
    factor, failed = torch.linalg.cholesky_ex(scale[:, :, None] * equations.H * scale[:, None])
    inverse = torch.cholesky_inverse(factor)[:, :n, :n] * scale[:, :n, None] * scale[:, None, :n]
    identity = torch.eye(n, dtype=inverse.dtype, device=inverse.device)
    good = (failed == 0) & torch.isfinite(inverse).all(-1).all(-1)
    return torch.where(good[:, None, None], inverse, identity)


def posterior_samples(
    mean: Tensor, covariance: Tensor, n: int, generator: torch.Generator | None = None
) -> Tensor:
    """n draws (n, B, K) about mean (B, K) with covariance (B, K, K)."""
    B, K = mean.shape
    root = torch.linalg.cholesky(covariance + 1e-6 * torch.eye(K, dtype=mean.dtype, device=mean.device))
    normal = torch.randn(n, B, K, 1, generator=generator, dtype=mean.dtype).to(mean.device)
    return mean + (root @ normal)[..., 0]


def vertex_sigma(fit_model: FitModel, covariance: Tensor, expression: bool = False) -> Tensor:
    """(B, V) mm: how far each vertex may lie from where the fit puts it, as the RMS of its three standard deviations.

    covariance: (B, n, n) of all coefficients. Of the neutral face, or with its `expression`.
    """
    k = fit_model.layout.n_geometry if expression else fit_model.layout.n_shape
    root = torch.linalg.cholesky(covariance[:, :k, :k] + 1e-6 * torch.eye(k).to(covariance))
    # trace(B Σ Bᵀ) is the squared length of the rows of B · root.
    variance = torch.stack([(r.T @ fit_model.geometry_modes[:k]).square().sum(0) for r in root])
    return (variance.view(len(root), -1, 3).sum(-1) / 3).sqrt()
