"""How an image point moves when the pose or the point moves: the Jacobians of every solver in the course."""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from helpers.camera import Camera, Pose

# From model axes to camera axes; a vector of signs, because the flip is a half turn about x.
FLIP = (1.0, -1.0, -1.0)


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
