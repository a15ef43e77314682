"""Landmark term: the model's 68 vertices should project onto the 68 detected points.

E_landmarks = ½ Σ_j ρ(‖p_j − q_j‖² / σ_j²), with p_j the projection of vertex j, q_j the detected point and ρ
the Cauchy function. Points that a detector places loosely (jaw, brows) have a larger σ_j.

With `FitSettings.n_landmarks` the sum is that number times the mean over the points that count.

Detectors also err in what all points share: one takes the tip of a nose a little higher than another, a box was
rounded. With such a shift s, the offsets are p_j − q_j − s, and E is the least over s, at ½ ‖s‖² / σ_s² for itself.
"""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import Tensor

from helpers._warp import fill, launch, matrices, vectors, wp
from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.fitting.landmark_kernels import LandmarkNumbers, landmark_kernel
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.residuals import Rows
from helpers.fitting.settings import FitSettings
from helpers.pose import visible_landmarks
from helpers.pose.points68 import BROWS, JAW, WITHOUT_JAW

SHIFT_STEPS = 4  # of reweighted least squares


def landmark_sigma(settings: FitSettings, like: Tensor) -> Tensor:
    """(68,) px, the standard deviation of each point, with the dtype and device of `like`."""
    sigma = torch.full((68,), settings.landmark_sigma, dtype=like.dtype, device=like.device)
    sigma[JAW] = settings.jaw_sigma
    sigma[BROWS] = settings.brow_sigma
    return sigma


def landmark_offsets(fit_model: FitModel, state: FaceState, camera: Camera, points: Tensor) -> Tensor:
    """(B, 68, 2) px from the detected points (B, 68, 2) to the projected vertices."""
    in_camera = model_to_camera(fit_model.landmarks(state.coefficients), state.pose)
    return project(in_camera, state.zoomed(camera))[..., :2] - points


def landmark_noise(offset: Tensor, settings: FitSettings) -> Tensor:
    """How far off the points are, in parts of the σ_j of the settings.

    A detector that is better or worse than the settings expect shows it in what is left after the fit. Half the
    points are nearer than the median offset, so a few wrong ones do not count; for two normal numbers the median
    of the squared length is 2 ln 2 σ². What the fit has absorbed is put back by `settings.landmark_absorbed`.

    Args:
        offset: (B, 68, 2) px.
        settings: with the σ_j, and the limits of the answer.

    Returns:
        (B,) a factor on the σ_j.
    """
    squared = (offset / landmark_sigma(settings, offset)[:, None]).square().sum(-1)
    inner = squared[:, WITHOUT_JAW]  # the jaw slides, for reasons of its own
    scale = settings.landmark_absorbed * (inner.median(-1).values / (2 * log(2))).sqrt()
    return scale.clamp(*settings.landmark_scale_limits)


def landmark_rows(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    points: Tensor,
    settings: FitSettings,
    scale: Tensor | None = None,
    trust: Tensor | None = None,
) -> Rows:
    """Residuals and analytic Jacobian of the landmark term.

    Args:
        fit_model: the face model.
        state: of B faces.
        camera: of their crops.
        points: (B, 68, 2) px, as detected.
        settings: weights of the term.
        scale: (B,) factor on the σ_j of the settings; None means 1.
        trust: (B, 68) weight of each point, less for those that something hides; None means 1.

    Returns:
        136 rows, u and v of each point.
    """
    layout, camera = fit_model.layout, state.zoomed(camera)
    B, new = len(points), points.new_empty
    residual, by_vertex, by_pose, root, energy = found = (
        *(new(B, 68, 2), new(B, 68, 2, 3), new(B, 68, 2, 6)),
        *(new(B, 68), new(B)),
    )
    inputs = [
        vectors(fit_model.landmarks(state.coefficients)),
        matrices(state.pose.rotation),
        vectors(state.pose.translation),
        vectors(camera.pinhole),
        wp.from_torch(points.contiguous(), dtype=wp.vec2),
        wp.from_torch(points.new_ones(B) if scale is None else scale),
        wp.from_torch(points.new_ones(B, 68) if trust is None else trust),
        _numbers(settings),
    ]
    outputs = [wp.from_torch(residual, dtype=wp.vec2), *(wp.from_torch(t) for t in found[1:])]
    launch(landmark_kernel, B, inputs, outputs, points)

    # Where points may be shifted together, the Jacobian loses its part along that shift, like the residual.
    shift = shared_part(root, settings.landmark_shift_sigma) if settings.landmark_shift_sigma else None

    def slopes(some: slice, first: int) -> Tensor:
        few = root[some]
        J = new(len(few), 68, 2, layout.size).zero_()
        if first < layout.n_geometry:
            J[..., : layout.n_geometry] = by_vertex[some] @ fit_model.landmark_basis
        J[..., layout.pose] = by_pose[some]
        if layout.n_zoom:
            from_centre = points[some] - camera.principal_point[some, None]
            J[..., layout.zoom] = (residual[some] + few[..., None] * from_centre)[..., None]
        own = J if shift is None else marginalise_shift(J, few, shift[some])
        return own.flatten(1, 2)[..., first:]

    own = residual if shift is None else marginalise_shift(residual, root, shift)
    return Rows(own.flatten(1), slopes, energy)


def _numbers(settings: FitSettings) -> Any:
    shifted = settings.landmark_shift_sigma > 0
    return fill(
        LandmarkNumbers,
        sigma=wp.vec3(settings.jaw_sigma, settings.brow_sigma, settings.landmark_sigma),
        robust=settings.landmark_robust,
        used=settings.landmarks_used,
        worth=settings.n_landmarks or 0.0,
        shift_steps=SHIFT_STEPS if shifted else 0,
        shift_precision=settings.landmark_shift_sigma**-2 if shifted else 0.0,
    )


def marginalise_shift(rows: Tensor, root: Tensor, part: Tensor) -> Tensor:
    """Eliminate a shift s that all points share, with the prior N(0, σ² I), from weighted rows.

    Point j with offset o_j and weight w_j has the rows r_j = √w_j o_j. With the shift as two more unknowns the
    energy is ½ Σ_j w_j ‖o_j − s‖² + ½ ‖s‖² / σ². Eliminating them leaves ½ rᵀ S r for u and for v, with the Schur
    complement of the two unknowns in the normal equations,

        S = I − (√w √wᵀ) / (W + σ⁻²),   W = Σ_j w_j.

    S^½ r and S^½ J have the plain products rᵀSr, JᵀSr and JᵀSJ. As S differs from the identity
    along the unit vector e = √w / √W only, where it is 1 / (1 + σ² W),

        S^½ = I − (1 − 1 / √(1 + σ² W)) e eᵀ.

    Args:
        rows: (B, N, 2) weighted offsets r, or (B, N, 2, n) their derivative J by n parameters, weighted alike.
        root: (B, N) √w.
        part: (B, N) of `shared_part`.

    Returns:
        S^½ r or S^½ J.
    """
    flat = rows.flatten(2)
    return torch.baddbmm(flat, part[..., None], root[:, None] @ flat, alpha=-1).view_as(rows)


def shared_part(root: Tensor, sigma: float) -> Tensor:
    """(B, N) p with p √wᵀ = I − S^½ of `marginalise_shift`, from √w (B, N) and the shift's standard deviation σ, px."""
    total = root.square().sum(-1, keepdim=True).clamp(min=1e-12)
    return (1 - (1 + sigma**2 * total).rsqrt()) / total * root


def common_shift(
    offset: Tensor, visible: Tensor, settings: FitSettings, scale: Tensor | None = None
) -> Tensor:
    """The shift by which all points are best taken to be off together, under its prior.

    Args:
        offset: (B, 68, 2) px.
        visible: (B, 68) weights, 0 for points that do not count.
        settings: with σ_j and the shift's σ_s.
        scale: (B,) factor on the σ_j; None means 1.

    Returns:
        (B, 1, 2) px; 0 where the settings allow no shift.
    """
    shift = offset.new_zeros(len(offset), 1, 2)
    if not settings.landmark_shift_sigma:
        return shift
    for _ in range(SHIFT_STEPS):
        sigma, ratio = whitened(offset - shift, settings, scale)
        weight = (visible / (1 + ratio) / sigma**2)[..., None]
        shift = (weight * offset).sum(1, keepdim=True) / (
            weight.sum(1, keepdim=True) + settings.landmark_shift_sigma**-2
        )
    return shift


def used_landmarks(settings: FitSettings, like: Tensor) -> Tensor:
    """(68,) 1 for the first `landmarks_used` points, else 0, with the dtype and device of `like`."""
    return (torch.arange(68, device=like.device) < settings.landmarks_used).to(like)


def landmark_weights(
    offset: Tensor, pose: Pose, settings: FitSettings, scale: Tensor | None = None
) -> Tensor:
    """How far each point counts beside its σ_j.

    Args:
        offset: (B, 68, 2) px.
        pose: of the B faces.
        settings: of the fit.
        scale: (B,) factor on the σ_j; None means 1.

    Returns:
        (B, 68) 0 for the hidden jaw and unused points, towards 0 for outliers, else near 1.
    """
    _, ratio = whitened(offset, settings, scale)
    return visible_landmarks(pose) * used_landmarks(settings, offset) / (1 + ratio)


def whitened(offset: Tensor, settings: FitSettings, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    """σ_j (68,) or (B, 68) px, and the squared offsets (B, 68) in parts of σ_j² times the robust scale squared."""
    sigma = landmark_sigma(settings, offset)
    if scale is not None:
        sigma = sigma * scale[:, None]
    return sigma, (offset / sigma[..., None]).square().sum(-1) / settings.landmark_robust**2
