"""The pose solver in plain torch: the same steps as `helpers.pose.kernels`, in float32 or float64, to read and
to check the kernel against. It also serves where a gradient is wanted."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from helpers.camera import Camera, Pose, model_to_camera, pose_jacobian, project, turn
from helpers.pose.checks import BEHIND, GOOD, LOST, believable, usable
from helpers.pose.closed_form import pos
from helpers.pose.solution import (
    DAMPING_DOWN,
    DAMPING_RANGE,
    DAMPING_UP,
    FIRST_DAMPING,
    SMALLEST_MOVE,
    TOLERANCE,
    PoseSolution,
)


def levenberg_marquardt(
    points_2d: Tensor,
    points_3d: Tensor,
    camera: Camera,
    weights: Tensor,
    start: Pose | None,
    iterations: int,
    robust_px: float | None,
    noise_px: float | None,
) -> PoseSolution:
    """Minimise Σ w ρ(distance²) over six numbers a face; ρ is the square, or Cauchy's function of width robust_px.

    points_2d: (B, N, 2) px.  points_3d: (B, N, 3) mm.  weights: (B, N).  start: B poses; POS for those that are NaN, or for all if None.

    Every face has its own damping. A step that makes its face worse is undone and its damping raised, so the
    error never grows.
    """
    code = usable(points_2d, points_3d, camera, weights)
    pose = pos(points_2d, points_3d, camera, weights)
    if start is not None:
        given = torch.isfinite(start.rotation_vector + start.translation).all(-1, keepdim=True)
        pose = Pose(
            torch.where(given, start.rotation_vector, pose.rotation_vector),
            torch.where(given, start.translation, pose.translation),
        )
    pose = pushed_out(pose, points_3d, weights)
    dtype = points_2d.dtype
    state = look(pose, points_2d, points_3d, camera, weights, robust_px)
    damping = torch.full_like(pose.translation[:, 0], FIRST_DAMPING)
    running = (code == GOOD) & ~state.behind
    tried_steps = torch.zeros_like(code)
    for _ in range(iterations):
        step, gain = _damped_step(state.H, state.g, damping)
        enough = TOLERANCE[dtype] * state.cost + SMALLEST_MOVE[dtype] ** 2 * weights.sum(-1)
        running = running & (gain > enough)
        if not bool(running.any()):
            break
        tried = look(turn(state.pose, -step), points_2d, points_3d, camera, weights, robust_px)
        better = running & (tried.cost < state.cost) & ~tried.behind
        state = either(better, tried, state)
        damping = torch.where(better, damping * DAMPING_DOWN, damping * DAMPING_UP).clamp(*DAMPING_RANGE)
        tried_steps = tried_steps + running
    code = torch.where((code == GOOD) & state.behind, BEHIND, code)
    code = torch.where((code == GOOD) & ~torch.isfinite(state.cost), LOST, code)
    known = code == GOOD
    covariance = _covariance(state, weights, robust_px, noise_px)

    def blank(t: Tensor) -> Tensor:
        return torch.where(known.view(-1, *[1] * (t.dim() - 1)), t, torch.nan)

    pose = Pose(blank(state.pose.rotation_vector), blank(state.pose.translation))
    # The tiny number keeps the gradient of the root finite at zero.
    residual = blank((state.residual.square().sum(-1) + 1e-24).sqrt())
    code = torch.where(known, believable(pose, points_2d, residual, state.weights), code)
    used = torch.where(known[:, None], state.weights, 0.0)
    return PoseSolution(pose, residual, used, blank(covariance), code, tried_steps)


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
class View:
    """One pass over the points at a pose.

    residual: (B, N, 2) px.  weights: (B, N), robust factor included.  cost: (B,).  J: (B, N, 2, 6).
    H (B, 6, 6) and g (B, 6): the normal equations H δ = g.  behind: (B,) true if a point that counts has no image.
    """

    pose: Pose
    residual: Tensor
    weights: Tensor
    cost: Tensor
    J: Tensor
    H: Tensor
    g: Tensor
    behind: Tensor


def look(
    pose: Pose, points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor, robust_px: float | None
) -> View:
    """Residuals, cost and normal equations at B poses."""
    points = model_to_camera(points_3d, pose)
    residual = project(points, camera)[..., :2] - points_2d
    # A point without weight may lie anywhere, also in the plane of the camera: keep its infinities out of the sums.
    counts = (weights > 0)[..., None]
    points = torch.where(counts, points, points.new_tensor([0.0, 0.0, 1.0]))
    counted = torch.where(counts, residual, 0.0)
    squared = counted.square().sum(-1)
    if robust_px is None:
        used, cost = weights, (weights * squared).sum(-1)
    else:
        ratio = squared / robust_px**2
        used, cost = weights / (1 + ratio), (weights * robust_px**2 * torch.log1p(ratio)).sum(-1)
    J = pose_jacobian(points, pose.translation, camera)
    weighted = J * used[..., None, None]
    H = torch.einsum("bnri,bnrj->bij", weighted, J)
    g = torch.einsum("bnri,bnr->bi", weighted, counted)
    return View(pose, residual, used, cost, J, H, g, (points[..., 2] <= 0).any(-1))


def either(better: Tensor, new: View, old: View) -> View:
    """For each face the new view where `better` (B,), else the old one."""

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(better.view(-1, *[1] * (a.dim() - 1)), a, b)

    pose = Pose(
        choose(new.pose.rotation_vector, old.pose.rotation_vector),
        choose(new.pose.translation, old.pose.translation),
    )
    names = [field.name for field in fields(View) if field.name != "pose"]
    return View(pose, *(choose(getattr(new, name), getattr(old, name)) for name in names))


def _damped_step(H: Tensor, g: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
    """The step (B, 6) to subtract, and by how much it promises to lower the cost."""
    diagonal = H.diagonal(dim1=1, dim2=2)
    # Damping in proportion to the diagonal, since radians and millimetres have no common scale.
    damped = H + torch.diag_embed(diagonal * damping[:, None])
    step = torch.linalg.solve_ex(damped, g)[0]
    return step, (g * step).sum(-1)


def _covariance(state: View, weights: Tensor, robust_px: float | None, noise_px: float | None) -> Tensor:
    """(B, 6, 6) of rotation ω, radians, then translation, mm: σ² (Σ w JᵀJ)⁻¹.

    σ² is noise_px², or estimated from the residuals: Σ w r² over the 2n measured numbers less the six fitted
    ones. With robust weights it is that of an M-estimator, ψ² over (mean ψ')².
    """
    count = (weights > 0).sum(-1)
    squared = torch.where(weights > 0, state.residual.square().sum(-1), 0.0)
    if robust_px is None:
        slope = torch.ones_like(squared[:, 0])
        pull = squared
    else:
        ratio = squared / robust_px**2
        slope = (torch.where(weights > 0, 1 / (1 + ratio).square(), 0.0)).sum(-1) / count
        pull = squared / (1 + ratio).square()
    if noise_px is None:
        variance = (weights * pull).sum(-1) / (2 * count - 6).clamp_min(1) / slope.square()
    else:
        variance = noise_px**2 / slope
    A = torch.einsum("bn,bnri,bnrj->bij", weights, state.J, state.J)
    # Scaled to a unit diagonal first, for radians and millimetres.
    size = A.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    inverse = torch.linalg.inv_ex(A / size[:, :, None] / size[:, None, :])[0]
    return variance[:, None, None] * inverse / size[:, :, None] / size[:, None, :]


def squared_errors(points_2d: Tensor, points_3d: Tensor, camera: Camera, pose: Pose, sets: int = 1) -> Tensor:
    """(B, sets, N) px² of each face's points at its `sets` poses (B · sets of them); infinite behind the camera."""
    B, N, _ = points_2d.shape
    focal, centre = (t.repeat_interleave(sets, 0) for t in (camera.focal, camera.principal_point))
    in_camera = model_to_camera(points_3d.repeat_interleave(sets, 0), pose)
    seen = project(in_camera, Camera(focal, centre, camera.size)).view(B, sets, N, 3)
    squared = (seen[..., :2] - points_2d[:, None]).square().sum(-1)
    return torch.where((seen[..., 2] > 0) & (squared < 1e30), squared, torch.inf)
