"""The pose solver in plain torch: the same steps as `helpers.pose.kernels`, in float32 or float64, to read and
to check the kernel against. It also serves where a gradient is wanted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.camera import Camera, Pose, model_to_camera, pose_jacobian, project, turn
from helpers.pose.checks import BEHIND, GOOD, LOST, plausible, usable
from helpers.pose.closed_form import pos
from helpers.pose.solution import (
    DAMPING_DOWN,
    DAMPING_RANGE,
    DAMPING_UP,
    FIRST_DAMPING,
    SMALLEST_MOVE,
    TOLERANCE,
    Observations,
    Options,
    PoseSolution,
    choose,
)


def levenberg_marquardt(seen: Observations, options: Options, start: Pose | None = None) -> PoseSolution:
    """Minimise Σ w ρ(distance²) over six numbers per face.

    ρ is the identity, or Cauchy's function of width `options.robust_px`. Every face has its own damping. A step that
    makes its face worse is undone and its damping raised, so the error never grows.

    Args:
        seen: B faces.
        options: How to search.
        start: B poses; POS for those that are NaN, or for all if None.
    """
    code = usable(seen)
    pose = pos(seen)
    if start is not None:
        given = torch.isfinite(start.rotation_vector + start.translation).all(-1)
        pose = choose(given, start, pose)
    pose = pushed_out(pose, seen.points_3d, seen.weights)
    dtype = seen.points_2d.dtype
    state = linearise(pose, seen, options.robust_px)
    damping = torch.full_like(pose.translation[:, 0], FIRST_DAMPING)
    running = (code == GOOD) & ~state.behind
    tried_steps = torch.zeros_like(code)
    for _ in range(options.iterations):
        step, gain = _damped_step(state.H, state.g, damping)
        enough = TOLERANCE[dtype] * state.cost + SMALLEST_MOVE[dtype] ** 2 * seen.weights.sum(-1)
        running = running & (gain > enough)
        if not bool(running.any()):
            break
        tried = linearise(turn(state.pose, -step), seen, options.robust_px)
        better = running & (tried.cost < state.cost) & ~tried.behind
        state = choose(better, tried, state)
        damping = torch.where(better, damping * DAMPING_DOWN, damping * DAMPING_UP).clamp(*DAMPING_RANGE)
        tried_steps = tried_steps + running
    code = torch.where((code == GOOD) & state.behind, BEHIND, code)
    code = torch.where((code == GOOD) & ~torch.isfinite(state.cost), LOST, code)
    # The tiny number keeps the gradient of the root finite at zero.
    residual = (state.residual.square().sum(-1) + 1e-24).sqrt()
    covariance = _covariance(state, seen.weights, options)
    found = PoseSolution(state.pose, residual, state.weights, covariance, code, tried_steps)
    return _without_failures(found, seen)


def _without_failures(found: PoseSolution, seen: Observations) -> PoseSolution:
    """NaN, and no weight, where no pose was found; a code where the pose that was found cannot be right."""
    good = found.code == GOOD

    def blank(values: Tensor, with_what: float = torch.nan) -> Tensor:
        return torch.where(good.view(-1, *[1] * (values.dim() - 1)), values, with_what)

    pose = Pose(blank(found.pose.rotation_vector), blank(found.pose.translation))
    residual = blank(found.residual)
    code = torch.where(good, plausible(pose, seen.points_2d, residual, found.weights), found.code)
    used = blank(found.weights, 0.0)
    return PoseSolution(pose, residual, used, blank(found.covariance), code, found.iterations)


def pushed_out(pose: Pose, points_3d: Tensor, weights: Tensor) -> Pose:
    """The same poses, moved away from the camera where a point that counts would lie behind it.

    POS finds depth from size alone and may put the near points of a very close face behind the camera.
    """
    z = model_to_camera(points_3d, pose)[..., 2]
    nearest = torch.where(weights > 0, z, torch.inf).amin(-1)
    farthest = torch.where(weights > 0, z, -torch.inf).amax(-1)
    # Only a face that reaches in front of the camera can be moved; one wholly behind it stays there.
    missing = 0.1 * (farthest - nearest) - nearest
    shift = torch.where((missing > 0) & (farthest > 0), missing, 0.0)
    away = pose.translation.new_tensor([0.0, 0.0, 1.0])
    return Pose(pose.rotation_vector, pose.translation + shift[:, None] * away)


@dataclass(frozen=True)
class Linearisation:
    """One pass over the points at a pose.

    Attributes:
        pose: B.
        residual: (B, N, 2) px.
        weights: (B, N), robust factor included.
        cost: (B,).
        J: (B, N, 2, 6) derivative of the residual by rotation (radians) and translation (mm).
        H: (B, 6, 6) of the normal equations H δ = g.
        g: (B, 6).
        behind: (B,) true if a point that counts has no image.
    """

    pose: Pose
    residual: Tensor
    weights: Tensor
    cost: Tensor
    J: Tensor
    H: Tensor
    g: Tensor
    behind: Tensor


def linearise(pose: Pose, seen: Observations, robust_px: float | None) -> Linearisation:
    """Residuals, cost and normal equations at B poses."""
    points = model_to_camera(seen.points_3d, pose)
    residual = project(points, seen.camera)[..., :2] - seen.points_2d
    # A point without weight may lie anywhere, also in the plane of the camera: keep its infinities out of the sums.
    counts = (seen.weights > 0)[..., None]
    points = torch.where(counts, points, points.new_tensor([0.0, 0.0, 1.0]))
    counted = torch.where(counts, residual, 0.0)
    squared = counted.square().sum(-1)
    if robust_px is None:
        used, cost = seen.weights, (seen.weights * squared).sum(-1)
    else:
        ratio = squared / robust_px**2
        used = seen.weights / (1 + ratio)
        cost = (seen.weights * robust_px**2 * torch.log1p(ratio)).sum(-1)
    J = pose_jacobian(points, pose.translation, seen.camera)
    weighted = J * used[..., None, None]
    H = torch.einsum("bnri,bnrj->bij", weighted, J)
    g = torch.einsum("bnri,bnr->bi", weighted, counted)
    return Linearisation(pose, residual, used, cost, J, H, g, (points[..., 2] <= 0).any(-1))


def _damped_step(H: Tensor, g: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """The step (B, 6) to subtract, and by how much it promises to lower the cost."""
    diagonal = H.diagonal(dim1=1, dim2=2)
    # Damping in proportion to the diagonal, since radians and millimetres have no common scale.
    damped = H + torch.diag_embed(diagonal * damping[:, None])
    step = torch.linalg.solve_ex(damped, g)[0]
    return step, (g * step).sum(-1)


def _covariance(state: Linearisation, weights: Tensor, options: Options) -> Tensor:
    """(B, 6, 6) of rotation ω, radians, then translation, mm: σ² (Σ w JᵀJ)⁻¹.

    σ² is noise_px², or estimated from the residuals: Σ w r² over the 2n measured numbers less the six fitted
    ones. With robust weights it is that of an M-estimator, ψ² over (mean ψ')².
    """
    count = (weights > 0).sum(-1)
    squared = torch.where(weights > 0, state.residual.square().sum(-1), 0.0)
    if options.robust_px is None:
        slope = torch.ones_like(squared[:, 0])
        pull = squared
    else:
        ratio = squared / options.robust_px**2
        slope = (torch.where(weights > 0, 1 / (1 + ratio).square(), 0.0)).sum(-1) / count
        pull = squared / (1 + ratio).square()
    if options.noise_px is None:
        variance = (weights * pull).sum(-1) / (2 * count - 6).clamp_min(1) / slope.square()
    else:
        variance = options.noise_px**2 / slope
    A = torch.einsum("bn,bnri,bnrj->bij", weights, state.J, state.J)
    # Scaled to a unit diagonal first, for radians and millimetres.
    size = A.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    inverse = torch.linalg.inv_ex(A / size[:, :, None] / size[:, None, :])[0]
    return variance[:, None, None] * inverse / size[:, :, None] / size[:, None, :]


def squared_errors(seen: Observations, pose: Pose, sets: int = 1) -> Tensor:
    """(B, sets, N) px² of each face's points at its `sets` poses (B · sets of them); infinite behind the camera."""
    B, N, _ = seen.points_2d.shape
    focal, centre = (t.repeat_interleave(sets, 0) for t in (seen.camera.focal, seen.camera.principal_point))
    in_camera = model_to_camera(seen.points_3d.repeat_interleave(sets, 0), pose)
    pixels = project(in_camera, Camera(focal, centre, seen.camera.size)).view(B, sets, N, 3)
    squared = (pixels[..., :2] - seen.points_2d[:, None]).square().sum(-1)
    return torch.where((pixels[..., 2] > 0) & (squared < 1e30), squared, torch.inf)
