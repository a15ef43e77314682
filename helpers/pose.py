"""Pose from landmarks: where the face is and where it looks, from 68 points (Tran et al. 2017).

Two steps. A closed form gives a start: under *scaled orthographic* projection the image points are a linear
function of the model points, so least squares finds it (POS, DeMenthon and Davis 1995). Levenberg-Marquardt
then minimises the true perspective reprojection error over six numbers, all faces of a batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

from helpers.camera import Camera, Pose, model_to_camera, project

# From model axes to camera axes; a vector of signs, because the flip is a half turn about x.
FLIP = (1.0, -1.0, -1.0)
LEFT_JAW, RIGHT_JAW = slice(0, 8), slice(9, 17)  # as the viewer sees them
FAR_SIDE_YAW = 18.0  # degrees beyond which the authors' code drops the far half of the jaw line


@dataclass(frozen=True)
class PoseEstimate:
    """pose: B poses.  residual: (B, N) px, distance of each projected point from its observation."""

    pose: Pose
    residual: Tensor


def scaled_orthographic_pose(points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor) -> Pose:
    """Closed-form start (POS): points_2d (B, N, 2) px, points_3d (B, N, 3) mm, weights (B, N) to B poses.

    About their weighted means, the points are related by [x y z] M = [u −v], solved in least squares. The
    columns of M are two rows of the rotation times the scale f / t_z; the nearest pair of orthonormal vectors
    (by SVD) is the rotation.
    """
    # Image coordinates with y up, as in the model, so that the rotation comes out in model axes.
    image = (points_2d - camera.principal_point[:, None]) * points_2d.new_tensor([1.0, -1.0])
    share = (weights / weights.sum(-1, keepdim=True))[..., None]
    middle, image_middle = (share * points_3d).sum(1), (share * image).sum(1)
    x, u = points_3d - middle[:, None], image - image_middle[:, None]
    weighted = (share * x).transpose(1, 2)
    # The normal equations are 3 × 3 and, about the mean, well conditioned; a QR of 68 rows takes far longer.
    solution, failed = torch.linalg.solve_ex(weighted @ x, weighted @ u)
    if bool(failed.any()):
        raise ValueError("points_3d lie in one plane or on a line; a pose needs points with depth")
    rows = solution.transpose(1, 2)  # (B, 2, 3)
    U, S, Vh = torch.linalg.svd(rows, full_matrices=False)
    first, second = (U @ Vh).unbind(1)
    rotation = torch.stack([first, second, torch.linalg.cross(first, second)], 1)
    scale = S.mean(-1)  # px per mm
    # Where the model's origin goes: the middle of the image points less the turned middle of the model points.
    turned = (rotation @ middle[..., None])[..., 0]
    across = image_middle / scale[:, None] - turned[:, :2]
    depth = camera.focal / scale + turned[:, 2]
    translation = torch.stack([across[:, 0], -across[:, 1], depth], -1)
    return Pose(roma.rotmat_to_rotvec(rotation), translation)


def projection_jacobian(points: Tensor, camera: Camera) -> Tensor:
    """d(u, v)/d(x, y, z) of the pinhole projection at points (B, N, 3) mm in camera axes: (B, N, 2, 3) px/mm."""
    x, y, z = points.unbind(-1)
    s = camera.focal[:, None] / z
    o = torch.zeros_like(s)
    return torch.stack([torch.stack([s, o, -s * x / z], -1), torch.stack([o, s, -s * y / z], -1)], -2)


def pose_jacobian(points: Tensor, translation: Tensor, camera: Camera) -> Tensor:
    """d(u, v)/d(rotation, translation): (B, N, 2, 6), for a rotation by ω applied after the present one.

    points: (B, N, 3) mm in camera axes. With q the turned point in model axes, q moves by ω × q.
    """
    P = projection_jacobian(points, camera)
    flip = points.new_tensor(FLIP)
    q = (points - translation[:, None]) * flip
    # row · flip · (ω × q) = ω · (q × (row · flip)): one cross product instead of a 3 × 3 matrix.
    rotation = torch.linalg.cross(q[:, :, None].expand_as(P), P * flip)
    return torch.cat([rotation, P], -1)


def turn(pose: Pose, step: Tensor) -> Pose:
    """Apply a step (B, 6): rotate by the first three numbers (radians) after the pose, shift by the others (mm)."""
    rotation = roma.rotvec_to_rotmat(step[:, :3]) @ pose.rotation
    return Pose(roma.rotmat_to_rotvec(rotation), pose.translation + step[:, 3:])


def visible_landmarks(pose: Pose, limit_degrees: float = FAR_SIDE_YAW) -> Tensor:
    """(B, 68) weights, 0 for jaw points on the far side of a face turned by more than `limit_degrees`.

    A detector puts those points on the outline that it sees, which slides over the cheek as the head turns;
    the model's vertices stay where they are.
    """
    yaw = pose.yaw_pitch_roll()[:, 0]
    weights = torch.ones(len(yaw), 68, dtype=yaw.dtype, device=yaw.device)
    # Turned to the viewer's right, the far side is the viewer's right; and the reverse.
    weights[:, RIGHT_JAW] = (yaw <= limit_degrees).to(yaw.dtype)[:, None]
    weights[:, LEFT_JAW] = (yaw >= -limit_degrees).to(yaw.dtype)[:, None]
    return weights


def estimate_pose(
    points_2d: Tensor,
    points_3d: Tensor,
    camera: Camera,
    weights: Tensor | None = None,
    *,
    iterations: int = 10,
    robust_px: float | None = None,
) -> PoseEstimate:
    """Six degrees of freedom per face by batched Levenberg-Marquardt from a closed-form start.

    points_2d: (B, N, 2) px.  points_3d: (B or 1, N, 3) mm, model axes, N ≥ 4 and not all in one plane.
    weights: (B or 1, N), not negative; None means 1 for all.
    robust_px: residuals beyond this count less and less (Cauchy); None means plain least squares.

    Every face has its own damping. A step that makes its face worse is undone and its damping raised, so the
    error never grows.

    Raises ValueError for shapes that do not fit, fewer than four points with weight, or values not finite.
    """
    points_2d, points_3d, weights = _checked(points_2d, points_3d, weights)
    if len(camera.focal) != len(points_2d):
        raise ValueError(f"camera describes {len(camera.focal)} images, points_2d has {len(points_2d)}")
    pose = scaled_orthographic_pose(points_2d, points_3d, camera, weights)
    damping = torch.full_like(camera.focal, 1e-3)
    cost = None

    def linearise(pose: Pose):
        points = model_to_camera(points_3d, pose)
        residual = project(points, camera)[..., :2] - points_2d
        squared = residual.square().sum(-1)
        if robust_px is None:
            return points, residual, weights, (weights * squared).sum(-1)
        ratio = squared / robust_px**2
        return points, residual, weights / (1 + ratio), (weights * robust_px**2 * torch.log1p(ratio)).sum(-1)

    points, residual, w, cost = linearise(pose)
    for _ in range(iterations):
        J = pose_jacobian(points, pose.translation, camera)
        weighted = J * w[..., None, None]
        H = torch.einsum("bnri,bnrj->bij", weighted, J)
        g = torch.einsum("bnri,bnr->bi", weighted, residual)
        # Damping in proportion to the diagonal, since radians and millimetres have no common scale.
        H = H + torch.diag_embed(H.diagonal(dim1=1, dim2=2) * damping[:, None] + 1e-12)
        tried = turn(pose, -torch.linalg.solve(H, g))
        points_new, residual_new, w_new, cost_new = linearise(tried)
        better = (cost_new < cost) & (model_to_camera(points_3d, tried)[..., 2] > 0).all(-1)
        damping = torch.where(better, damping * 0.2, damping * 10).clamp(1e-9, 1e6)

        def keep(new, old, better=better):
            return torch.where(better.view(-1, *[1] * (new.dim() - 1)), new, old)

        pose = Pose(keep(tried.rotation_vector, pose.rotation_vector), keep(tried.translation, pose.translation))
        points, residual = keep(points_new, points), keep(residual_new, residual)
        w, cost = keep(w_new, w.expand_as(w_new)), keep(cost_new, cost)
    return PoseEstimate(pose, residual.norm(dim=-1))


def _checked(points_2d: Tensor, points_3d: Tensor, weights: Tensor | None):
    if points_2d.dim() != 3 or points_2d.shape[-1] != 2:
        raise ValueError(f"points_2d must have shape (B, N, 2), got {tuple(points_2d.shape)}")
    B, N, _ = points_2d.shape
    if points_3d.dim() != 3 or points_3d.shape[1:] != (N, 3) or points_3d.shape[0] not in (1, B):
        raise ValueError(f"points_3d must have shape ({B} or 1, {N}, 3), got {tuple(points_3d.shape)}")
    if weights is None:
        weights = torch.ones_like(points_2d[..., 0])
    if weights.shape not in ((B, N), (1, N)) or bool((weights < 0).any()):
        raise ValueError(f"weights must have shape ({B} or 1, {N}) and not be negative")
    weights = weights.to(points_2d).expand(B, N)
    if int((weights > 0).sum(-1).min()) < 4:
        raise ValueError("a pose needs at least four points with a weight above zero")
    if not all(bool(torch.isfinite(t).all()) for t in (points_2d, points_3d, weights)):
        raise ValueError("points and weights must be finite numbers")
    return points_2d, points_3d.expand(B, N, 3), weights
