"""Symmetry of skin: the left cheek has the colour of the right one, whatever the light makes of them.

E_symmetry = ½ · weight · mean_v ‖a(v) − a(v')‖² / σ², with a(v) the albedo of vertex v, v' the vertex on the other side,
and the mean over skin. Albedo is linear in β, so this is a quadratic in β alone, known before any photograph is seen.
A face model says the same by itself, as far as its modes are symmetric; the term says it louder, for light from one side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.fitting.parameters import FitModel

FARTHEST = 3.0  # mm from a vertex's mirror image to the nearest vertex; beyond, it has no partner
ASYMMETRY_SIGMA = 0.02  # of colour, that real skin shows


@dataclass(frozen=True)
class AlbedoSymmetry:
    """½ βᵀ H β + gᵀ β + constant.  H: (n_texture, n_texture).  g: (n_texture,).  constant: ()."""

    H: Tensor
    g: Tensor
    constant: Tensor

    def energy(self, beta: Tensor) -> Tensor:
        """(B,) of β (B, n_texture)."""
        return 0.5 * (beta * (beta @ self.H)).sum(-1) + beta @ self.g + self.constant


def albedo_symmetry(fit_model: FitModel, weight: float) -> AlbedoSymmetry:
    """The term for a face model, with its weight in it."""
    mirror, counts = mirrored_vertices(fit_model.model.mean_shape, fit_model.weight)
    n = fit_model.layout.n_texture
    scale = (weight * counts / counts.sum().clamp(min=1e-9) / ASYMMETRY_SIGMA**2).sqrt()[:, None]
    modes = fit_model.texture_modes.view(n, -1, 3)
    off = ((modes - modes[:, mirror]) * scale).flatten(1)
    mean = fit_model.model.mean_texture
    mean_off = ((mean - mean[mirror]) * scale).flatten()
    return AlbedoSymmetry(off @ off.T, off @ mean_off, 0.5 * mean_off.square().sum())


def mirrored_vertices(vertices: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """(V,) the number of the vertex nearest to each one's mirror image at x = 0, and (V,) weight, 0 without a partner.

    vertices: (V, 3) mm.
    """
    from scipy.spatial import cKDTree

    points = vertices.cpu().double().numpy()
    distance, partner = cKDTree(points).query(points * [-1.0, 1.0, 1.0])
    near = torch.from_numpy(distance < FARTHEST).to(weight)
    return torch.from_numpy(partner).to(vertices.device), weight * near
