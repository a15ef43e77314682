"""Landmark term: the model's 68 vertices should project onto the 68 detected points.

E_landmarks = ½ Σ_j ρ(‖p_j − q_j‖² / σ_j²), with p_j the projection of vertex j, q_j the detected point and ρ
the Cauchy function. Points that a detector places loosely (jaw, brows) have a larger σ_j.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.camera import Camera, model_to_camera, project
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.settings import FitSettings
from helpers.pose import FLIP, pose_jacobian, projection_jacobian, visible_landmarks


@dataclass(frozen=True)
class Rows:
    """A block of weighted least-squares rows: residual (B, M), jacobian (B, M, n), energy (B,)."""

    residual: Tensor
    jacobian: Tensor
    energy: Tensor


def landmark_sigma(settings: FitSettings, like: Tensor) -> Tensor:
    """(68,) px, the standard deviation of each point; iBUG order: jaw 0–16, brows 17–26, then the rest."""
    sigma = torch.full((68,), settings.landmark_sigma, dtype=like.dtype, device=like.device)
    sigma[:17] = settings.jaw_sigma
    sigma[17:27] = settings.brow_sigma
    return sigma


def landmark_offsets(fit_model: FitModel, state: FaceState, camera: Camera, points: Tensor) -> Tensor:
    """(B, 68, 2) px from the detected points (B, 68, 2) to the projected vertices."""
    in_camera = model_to_camera(fit_model.landmarks(state.coefficients), state.pose)
    return project(in_camera, camera)[..., :2] - points


def landmark_rows(
    fit_model: FitModel, state: FaceState, camera: Camera, points: Tensor, settings: FitSettings
) -> Rows:
    """Residuals and analytic Jacobian of the landmark term for detected points (B, 68, 2) px: 136 rows."""
    layout = fit_model.layout
    vertices = model_to_camera(fit_model.landmarks(state.coefficients), state.pose)
    offset = project(vertices, camera)[..., :2] - points
    sigma = landmark_sigma(settings, offset)
    squared = (offset / sigma[:, None]).square().sum(-1)
    ratio = squared / settings.landmark_robust**2
    visible = visible_landmarks(state.pose)
    root = (visible / (1 + ratio)).sqrt() / sigma  # square root of the weight of each point

    J = offset.new_zeros(len(offset), 68, 2, layout.size)
    # A mode moves vertex x by its column b: the image moves by P · flip · R · b.
    P = projection_jacobian(vertices, camera) * offset.new_tensor(FLIP)
    J[..., : layout.n_geometry] = torch.einsum(
        "bvrd,bde,vek->bvrk", P, state.pose.rotation, fit_model.landmark_basis
    )
    J[..., layout.pose] = pose_jacobian(vertices, state.pose.translation, camera)
    J *= root[..., None, None]
    energy = 0.5 * (visible * settings.landmark_robust**2 * torch.log1p(ratio)).sum(-1)
    return Rows((offset * root[..., None]).flatten(1), J.flatten(1, 2), energy)
