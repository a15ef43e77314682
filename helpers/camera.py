"""Camera and pose: how a point of the face model becomes a pixel.

Two sets of axes meet here. The face model has x to the viewer's right, y up and z towards the viewer. The
camera has x right, y down and z forward (OpenCV). `model_to_camera` is the only place that flips one into
the other, so that no other module has to think of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import roma
import torch
from torch import Tensor

# The paper's fitter keeps the focal length fixed at 1000 px.
DEFAULT_FOCAL = 1000.0


@dataclass(frozen=True)
class Pose:
    """Six degrees of freedom per face (Tran et al. 2017).

    rotation_vector: (B, 3) axis times angle, radians, in model axes.
    translation: (B, 3) mm, in camera axes, so the last entry is the distance to the face.
    """

    rotation_vector: Tensor
    translation: Tensor

    @property
    def rotation(self) -> Tensor:
        """(B, 3, 3) rotation matrices."""
        return roma.rotvec_to_rotmat(self.rotation_vector)

    def yaw_pitch_roll(self) -> Tensor:
        """(B, 3) degrees: yaw turns the nose to the viewer's right, pitch lifts it, roll tilts the head
        anticlockwise as the viewer sees it."""
        R = self.rotation
        forward = R[:, :, 2]  # where the model's z axis points
        yaw = torch.atan2(forward[:, 0], forward[:, 2])
        pitch = torch.asin(forward[:, 1].clamp(-1, 1))
        roll = torch.atan2(R[:, 1, 0], R[:, 1, 1])
        return torch.rad2deg(torch.stack([yaw, pitch, roll], -1))

    def to(self, *args, **kwargs) -> Pose:
        return Pose(self.rotation_vector.to(*args, **kwargs), self.translation.to(*args, **kwargs))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera per image; pixel centres lie at integer coordinates.

    focal: (B,) px.  principal_point: (B, 2) px.  size: (H, W) px, the same for the whole batch.
    """

    focal: Tensor
    principal_point: Tensor
    size: tuple[int, int]

    @classmethod
    def default(cls, size=224, focal: float = DEFAULT_FOCAL, batch: int = 1, device="cpu", dtype=torch.float32):
        """A camera that looks through the middle of an image of `size` (one side, or (H, W)) pixels."""
        height, width = (size, size) if isinstance(size, int) else size
        if height < 1 or width < 1 or focal <= 0:
            raise ValueError(f"size and focal must be positive, got size {(height, width)}, focal {focal}")
        centre = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=device, dtype=dtype)
        return cls(torch.full((batch,), float(focal), device=device, dtype=dtype), centre.repeat(batch, 1), (height, width))

    def scaled(self, factor: int) -> Camera:
        """The same view with `factor` times the pixels along each side (for supersampling)."""
        height, width = self.size
        # A pixel of width 1 centred at p covers [p − ½, p + ½]; its edges scale, its centre does not.
        centre = (self.principal_point + 0.5) * factor - 0.5
        return Camera(self.focal * factor, centre, (height * factor, width * factor))

    def to(self, *args, **kwargs) -> Camera:
        return Camera(self.focal.to(*args, **kwargs), self.principal_point.to(*args, **kwargs), self.size)


def model_to_camera(points: Tensor, pose: Pose) -> Tensor:
    """Move points (B or 1, N, 3) mm from model axes into camera axes: (B, N, 3) mm."""
    turned = points @ pose.rotation.transpose(1, 2)
    return turned * turned.new_tensor([1.0, -1.0, -1.0]) + pose.translation[:, None]


def project(points: Tensor, camera: Camera) -> Tensor:
    """Pinhole projection of points (B, N, 3) mm in camera axes to (B, N, 3): u px, v px, depth mm.

    Points at or behind the camera have no image; their u and v are not finite or not meaningful, and the
    rasteriser leaves out every triangle that has one.
    """
    depth = points[..., 2]
    pixel = camera.focal[:, None, None] * points[..., :2] / depth[..., None] + camera.principal_point[:, None]
    return torch.cat([pixel, depth[..., None]], -1)
