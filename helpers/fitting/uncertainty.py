"""Which parts of a fitted face are known: the posterior about the optimum (Laplace's approximation).

Near its minimum the energy is E + ½ ΔᵀHΔ. As E is a negative logarithm of a probability, Δ is normal with
covariance H⁻¹. H is Gauss-Newton's, prior included, so a mode that no pixel sees keeps the prior's variance 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.device import check_one_device
from helpers.fitting.energy import Equations
from helpers.fitting.parameters import FitModel, Layout

JITTER = 1e-6  # added to the diagonal of a covariance before it is factored


def posterior_covariance(equations: Equations, layout: Layout) -> tuple[Tensor, Tensor]:
    """Covariance of α, expression and β (in this order), with pose and light free to follow.

    The block of the inverse, not the inverse of the block: what pose or light could explain as well is not
    known of the coefficients.

    Args:
        equations: the energy of B photographs about their optima.
        layout: of the parameters in `equations`.

    Returns:
        (B, n, n) covariances, and (B,) bool whether H was positive definite. Where it was not, the covariance is the
        prior's identity; the other photographs of the batch do not notice.
    """
    n = layout.n_coefficients
    # Pose and light have other units than coefficients; a unit diagonal keeps float32 exact enough.
    scale = equations.H.diagonal(dim1=1, dim2=2).clamp(min=1e-12).rsqrt()
    factor, failed = torch.linalg.cholesky_ex(scale[:, :, None] * equations.H * scale[:, None])
    definite = (failed == 0) & torch.isfinite(factor).all(-1).all(-1)
    # The inverse of a factor with a zero on its diagonal raises, and would take the whole batch with it.
    whole = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    factor = torch.where(definite[:, None, None], factor, whole)
    inverse = torch.cholesky_inverse(factor)[:, :n, :n] * scale[:, :n, None] * scale[:, None, :n]
    definite = definite & torch.isfinite(inverse).all(-1).all(-1)
    return torch.where(definite[:, None, None], inverse, whole[:n, :n]), definite


def posterior_samples(
    mean: Tensor, covariance: Tensor, n: int, generator: torch.Generator | None = None
) -> Tensor:
    """Draw faces from the posterior.

    Args:
        mean: (B, K) coefficients.
        covariance: (B, K, K) of them.
        n: how many draws for each of the B faces.
        generator: on the CPU; None draws from torch's own.

    Returns:
        (n, B, K) coefficients; NaN for a face whose covariance is not positive definite.
    """
    check_one_device(mean=mean, covariance=covariance)
    B, K = mean.shape
    normal = torch.randn(n, B, K, 1, generator=generator, dtype=mean.dtype).to(mean.device)
    return mean + (_root(covariance) @ normal)[..., 0]


def vertex_sigma(fit_model: FitModel, covariance: Tensor, expression: bool = False) -> Tensor:
    """How far each vertex may lie from where the fit puts it, as the RMS of its three standard deviations.

    Args:
        fit_model: the face model of the fit.
        covariance: (B, n, n) of all coefficients.
        expression: of the face with its expression; False means the neutral face.

    Returns:
        (B, V) mm; NaN for a face whose covariance is not positive definite.
    """
    k = fit_model.layout.n_geometry if expression else fit_model.layout.n_shape
    # trace(B Σ Bᵀ) is the squared length of the rows of B · root.
    roots = _root(covariance[:, :k, :k])
    variance = torch.stack([(r.T @ fit_model.geometry_modes[:k]).square().sum(0) for r in roots])
    return (variance.view(len(roots), -1, 3).sum(-1) / 3).sqrt()


def _root(covariance: Tensor) -> Tensor:
    """Cholesky factors (B, K, K); NaN for a matrix that has none."""
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    factor, failed = torch.linalg.cholesky_ex(covariance + JITTER * identity)
    return torch.where((failed == 0)[:, None, None], factor, torch.nan)
