"""Landmark term: the model's 68 vertices should project onto the 68 detected points.

E_landmarks = ½ Σ_j ρ(‖p_j − q_j‖² / σ_j²), with p_j the projection of vertex j, q_j the detected point and ρ
the Cauchy function. Points that a detector places loosely (jaw, brows) have a larger σ_j.

Detectors also err in what all points share: one takes the tip of a nose a little higher than another, a box was
rounded. With such a shift s, the offsets are p_j − q_j − s, and E is the least over s, at ½ ‖s‖² / σ_s² for itself.
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from helpers.camera import Camera, Pose, flip_axes, model_to_camera, project
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.residuals import Rows
from helpers.fitting.settings import FitSettings
from helpers.pose import pose_jacobian, projection_jacobian, visible_landmarks

SHIFT_STEPS = 4  # of reweighted least squares


def landmark_sigma(settings: FitSettings, like: Tensor) -> Tensor:
    """(68,) px, the standard deviation of each point; iBUG order: jaw 0–16, brows 17–26, then the rest."""
    sigma = torch.full((68,), settings.landmark_sigma, dtype=like.dtype, device=like.device)
    sigma[:17] = settings.jaw_sigma
    sigma[17:27] = settings.brow_sigma
    return sigma


def landmark_offsets(fit_model: FitModel, state: FaceState, camera: Camera, points: Tensor) -> Tensor:
    """(B, 68, 2) px from the detected points (B, 68, 2) to the projected vertices."""
    in_camera = model_to_camera(fit_model.landmarks(state.coefficients), state.pose)
    return project(in_camera, state.zoomed(camera))[..., :2] - points


def landmark_noise(offset: Tensor, settings: FitSettings) -> Tensor:
    """(B,) how far off the points are, in parts of the σ_j of the settings, from offsets (B, 68, 2) px.

    A detector that is better or worse than the settings expect shows it in what is left after the fit. Half the
    points are nearer than the median offset, so a few wrong ones do not count; for two normal numbers the median
    of the squared length is 2 ln 2 σ². What the fit has absorbed is put back by `settings.landmark_absorbed`.
    """
    squared = (offset / landmark_sigma(settings, offset)[:, None]).square().sum(-1)
    inner = squared[:, 17:]  # the jaw slides, for reasons of its own
    scale = settings.landmark_absorbed * (inner.median(-1).values / (2 * log(2))).sqrt()
    return scale.clamp(*settings.landmark_scale_limits)


def landmark_rows(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    points: Tensor,
    settings: FitSettings,
    scale: Tensor | None = None,
) -> Rows:
    """Residuals and analytic Jacobian of the landmark term for detected points (B, 68, 2) px: 136 rows.

    scale: (B,) factor on the σ_j of the settings; None means 1.
    """
    layout, camera = fit_model.layout, state.zoomed(camera)
    vertices = model_to_camera(fit_model.landmarks(state.coefficients), state.pose)
    pixel = project(vertices, camera)[..., :2]
    visible = visible_landmarks(state.pose) * used_landmarks(settings, points)
    offset = pixel - points
    shift = common_shift(offset, visible, settings, scale)
    sigma, ratio = _whitened(offset - shift, settings, scale)
    root = (visible / (1 + ratio)).sqrt() / sigma  # square root of the weight of each point

    J = offset.new_zeros(len(offset), 68, 2, layout.size)
    # A mode moves vertex x by its column b: the image moves by P · flip · R · b.
    P = flip_axes(projection_jacobian(vertices, camera))
    J[..., : layout.n_geometry] = P @ state.pose.rotation[:, None] @ fit_model.landmark_basis
    J[..., layout.pose] = pose_jacobian(vertices, state.pose.translation, camera)
    if layout.n_zoom:
        J[..., layout.zoom] = (pixel - camera.principal_point[:, None])[..., None]
    J *= root[..., None, None]
    residual = offset * root[..., None]
    energy = 0.5 * (visible * settings.landmark_robust**2 * torch.log1p(ratio)).sum(-1)
    if settings.landmark_shift_sigma:
        energy = energy + 0.5 * (shift / settings.landmark_shift_sigma).square().sum((1, 2))
        # Rows whose sum of squares is the least over all shifts: a part of what they share is taken out.
        total = root.square().sum(-1, keepdim=True)
        unit = root / total.sqrt()
        part = 1 - (1 + settings.landmark_shift_sigma**2 * total).rsqrt()
        residual = residual - part[..., None] * unit[..., None] * (unit[..., None] * residual).sum(
            1, keepdim=True
        )
        shared = (unit[..., None, None] * J).sum(1, keepdim=True)
        J = J - (part * unit)[..., None, None] * shared
    return Rows(residual.flatten(1), J.flatten(1, 2), energy)


def common_shift(
    offset: Tensor, visible: Tensor, settings: FitSettings, scale: Tensor | None = None
) -> Tensor:
    """(B, 1, 2) px by which all points are best taken to be off together, under its prior; 0 where that is off."""
    shift = offset.new_zeros(len(offset), 1, 2)
    if not settings.landmark_shift_sigma:
        return shift
    for _ in range(SHIFT_STEPS):
        sigma, ratio = _whitened(offset - shift, settings, scale)
        weight = (visible / (1 + ratio) / sigma**2)[..., None]
        shift = (weight * offset).sum(1, keepdim=True) / (
            weight.sum(1, keepdim=True) + settings.landmark_shift_sigma**-2
        )
    return shift


def used_landmarks(settings: FitSettings, like: Tensor) -> Tensor:
    """(68,) 1 for the first `landmarks_used` points, else 0."""
    return (torch.arange(68, device=like.device) < settings.landmarks_used).to(like)


def landmark_weights(
    offset: Tensor, pose: Pose, settings: FitSettings, scale: Tensor | None = None
) -> Tensor:
    """(B, 68) how far each point counts beside its σ_j: 0 for the hidden jaw, towards 0 for outliers, else near 1."""
    return (
        visible_landmarks(pose)
        * used_landmarks(settings, offset)
        / (1 + _whitened(offset, settings, scale)[1])
    )


def _whitened(offset: Tensor, settings: FitSettings, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """σ_j (68,) or (B, 68) px, and the squared offsets (B, 68) in parts of σ_j² times the robust scale squared."""
    sigma = landmark_sigma(settings, offset)
    if scale is not None:
        sigma = sigma * scale[:, None]
    return sigma, (offset / sigma[..., None]).square().sum(-1) / settings.landmark_robust**2
