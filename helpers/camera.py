"""Camera and pose: how a point of the face model becomes a pixel.

Two sets of axes meet here. The face model has x to the viewer's right, y up and z towards the viewer. The
camera has x right, y down and z forward (OpenCV). `flip_axes` turns one into the other, and no other module
writes out the signs.

A rotation has three forms, which roma turns into one another: a matrix R, a rotation vector (axis times
angle), and the three angles of the paper, r_α (pitch, about x), r_β (yaw, about y) and r_γ (roll, about z).
The order of the angles is stated once, in `rotation_from_euler`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from helpers._roma import roma
from helpers.device import check_one_device, default_device

# The authors' released fitter keeps the focal length fixed at 1000 px.
DEFAULT_FOCAL = 1000.0

# The diagonal of F. As a half turn about x it is its own inverse.
FLIP = (1.0, -1.0, -1.0)


@dataclass(frozen=True)
class Pose:
    """Six degrees of freedom per face.

    Attributes:
        rotation_vector: (B, 3) axis times angle, radians, in model axes.
        translation: (B, 3) mm, in camera axes, so the last entry is the distance to the face.

    Source:
        Tran et al. 2017.
    """

    rotation_vector: Tensor
    translation: Tensor

    @property
    def rotation(self) -> Tensor:
        """(B, 3, 3) rotation matrices."""
        return rotation_from_vector(self.rotation_vector)

    def yaw_pitch_roll(self) -> Tensor:
        """The rotation as three angles.

        Returns:
            (B, 3) degrees: yaw turns the nose to the viewer's right, pitch lifts it, roll tilts the head anticlockwise
            as the viewer sees it.

        >>> Pose(torch.tensor([[0.0, 0.5, 0.0]]), torch.zeros(1, 3)).yaw_pitch_roll()[0, 0].round()
        tensor(29.)
        """
        R = self.rotation
        # R = R_y R_x R_z, whose last column is where the nose points. `euler_from_rotation` also knows yaw from roll where a
        # face looks straight up, but has to look at the numbers for that, and a GPU would be waited for.
        yaw, pitch = torch.atan2(R[:, 0, 2], R[:, 2, 2]), torch.asin(R[:, 1, 2].clamp(-1, 1))
        return torch.rad2deg(torch.stack([yaw, pitch, torch.atan2(R[:, 1, 0], R[:, 1, 1])], -1))

    @classmethod
    def from_euler(cls, angles: Tensor, translation: Tensor) -> Pose:
        """From angles.

        Args:
            angles: (B, 3) r_α, r_β, r_γ, radians.
            translation: (B, 3) mm.
        """
        return cls(vector_from_rotation(rotation_from_euler(angles)), translation)

    def euler(self) -> Tensor:
        """(B, 3) r_α, r_β, r_γ in radians."""
        return euler_from_rotation(self.rotation)

    def to(self, *args: Any, **kwargs: Any) -> Pose:
        """On another device or in another precision, as `torch.Tensor.to`."""
        return Pose(self.rotation_vector.to(*args, **kwargs), self.translation.to(*args, **kwargs))


# R = R_y(r_β) R_x(r_α) R_z(r_γ): roll first, then pitch, then yaw, each about a fixed axis of the model.
EULER_ORDER = "YXZ"


def rotation_from_vector(vector: Tensor) -> Tensor:
    """Rotation matrices (…, 3, 3) of rotation vectors (…, 3), radians."""
    return roma.rotvec_to_rotmat(vector)


def vector_from_rotation(rotation: Tensor) -> Tensor:
    """Rotation vectors (…, 3), of length at most π, of rotation matrices (…, 3, 3)."""
    return roma.rotmat_to_rotvec(rotation)


def rotation_from_euler(angles: Tensor) -> Tensor:
    """Rotation matrices of three angles: R = R_y(r_β) R_x(r_α) R_z(r_γ).

    With yaw outermost the angles are singular only for a face that looks straight up or down. In the order
    R_z R_y R_x they would be singular for a profile.

    Args:
        angles: (…, 3) r_α about x, r_β about y, r_γ about z, radians.

    Returns:
        (…, 3, 3).
    """
    r_alpha, r_beta, r_gamma = angles.unbind(-1)
    return roma.euler_to_rotmat(EULER_ORDER, [r_beta, r_alpha, r_gamma])


def euler_from_rotation(rotation: Tensor) -> Tensor:
    """The three angles of rotation matrices: the inverse of `rotation_from_euler`.

    At r_α = ±π/2 (gimbal lock) yaw and roll turn about the same axis and only their sum or difference is
    known: r_γ is then 0 and r_β takes all of it.

    Args:
        rotation: (…, 3, 3).

    Returns:
        (…, 3) r_α in [−π/2, π/2], r_β and r_γ in [−π, π], radians.
    """
    r_beta, r_alpha, r_gamma = roma.rotmat_to_euler(EULER_ORDER, rotation).unbind(-1)
    return torch.stack([r_alpha, r_beta, r_gamma], -1)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera per image; pixel centres lie at integer coordinates.

    Attributes:
        focal: (B,) px.
        principal_point: (B, 2) px.
        size: (H, W) px, the same for the whole batch.
    """

    focal: Tensor
    principal_point: Tensor
    size: tuple[int, int]

    @property
    def perspective(self) -> bool:
        """True: what is farther away looks smaller."""
        return True

    @property
    def pinhole(self) -> Tensor:
        """(B, 3) focal length and principal point, px: what kernels take."""
        return torch.cat([self.focal[:, None], self.principal_point], -1)

    @classmethod
    def default(
        cls,
        size: int | tuple[int, int] = 224,
        focal: float = DEFAULT_FOCAL,
        batch: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Camera:
        """A camera that looks through the middle of an image.

        Args:
            size: One side, or (H, W), px.
            focal: Focal length, px.
            batch: Number of images.
            device: Where the tensors go; None is `helpers.device.default_device()`.
            dtype: Their precision.

        Raises:
            ValueError: The size or the focal length is not positive.
        """
        return cls(*_centred(size, "focal", focal, batch, device, dtype))

    def scaled(self, factor: int) -> Camera:
        """The same view with `factor` times the pixels along each side (for supersampling)."""
        height, width = self.size
        centre = _scaled_centre(self.principal_point, factor)
        return Camera(self.focal * factor, centre, (height * factor, width * factor))

    def to(self, *args: Any, **kwargs: Any) -> Camera:
        """On another device or in another precision, as `torch.Tensor.to`."""
        return Camera(self.focal.to(*args, **kwargs), self.principal_point.to(*args, **kwargs), self.size)


@dataclass(frozen=True)
class OrthographicCamera:
    """A camera with parallel rays (scaled orthography): size in the image does not depend on depth.

    It stands for a pinhole far away, scale = focal / mean depth. Translation in depth then has no effect.

    Attributes:
        scale: (B,) px per mm.
        principal_point: (B, 2) px.
        size: (H, W) px, the same for the whole batch.
    """

    scale: Tensor
    principal_point: Tensor
    size: tuple[int, int]

    @property
    def perspective(self) -> bool:
        """False: depth does not change size."""
        return False

    @classmethod
    def default(
        cls,
        size: int | tuple[int, int] = 224,
        scale: float = 1.0,
        batch: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> OrthographicCamera:
        """A camera that looks through the middle of an image.

        Args:
            size: One side, or (H, W), px.
            scale: px per mm.
            batch: Number of images.
            device: Where the tensors go; None is `helpers.device.default_device()`.
            dtype: Their precision.

        Raises:
            ValueError: The size or the scale is not positive.
        """
        return cls(*_centred(size, "scale", scale, batch, device, dtype))

    @classmethod
    def like(cls, camera: Camera, depth: Tensor) -> OrthographicCamera:
        """The parallel camera that agrees with a pinhole for points at depth (B,) mm."""
        return cls(camera.focal / depth, camera.principal_point, camera.size)

    def scaled(self, factor: int) -> OrthographicCamera:
        """The same view with `factor` times the pixels along each side."""
        height, width = self.size
        centre = _scaled_centre(self.principal_point, factor)
        return OrthographicCamera(self.scale * factor, centre, (height * factor, width * factor))

    def to(self, *args: Any, **kwargs: Any) -> OrthographicCamera:
        """On another device or in another precision, as `torch.Tensor.to`."""
        scale, centre = self.scale.to(*args, **kwargs), self.principal_point.to(*args, **kwargs)
        return OrthographicCamera(scale, centre, self.size)


def _centred(
    size: int | tuple[int, int],
    name: str,
    value: float,
    batch: int,
    device: torch.device | str | None,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """The focal length or the scale, the middle of the image, and its two sides, for a batch."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1 or value <= 0:
        raise ValueError(f"size and {name} must be positive, got size {(height, width)}, {name} {value}")
    device = default_device() if device is None else device
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=device, dtype=dtype).repeat(batch, 1)
    return torch.full((batch,), float(value), device=device, dtype=dtype), middle, (height, width)


def _scaled_centre(principal_point: Tensor, factor: int) -> Tensor:
    # A pixel of width 1 centred at p covers [p − ½, p + ½]; its edges scale, its centre does not.
    return (principal_point + 0.5) * factor - 0.5


@functools.cache
def _flip(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Kept, so that no iteration of a fit on a GPU waits for three numbers from the host."""
    with torch.inference_mode(False):
        return torch.tensor(FLIP, dtype=dtype, device=device)


def flip_axes(vectors: Tensor) -> Tensor:
    """Vectors (..., 3) from the model's axes to the camera's, or back: x · F."""
    return vectors * _flip(vectors.dtype, vectors.device)


def model_to_camera(points: Tensor, pose: Pose) -> Tensor:
    """Move points from model axes into camera axes.

    Args:
        points: (B or 1, N, 3) mm.
        pose: B or 1.

    Returns:
        (B, N, 3) mm.
    """
    turned = points @ pose.rotation.transpose(1, 2)
    return flip_axes(turned) + pose.translation[:, None]


def project(points: Tensor, camera: Camera | OrthographicCamera) -> Tensor:
    """Projection of points to pixels.

    A pinhole divides by depth. Points at or behind it have no image: their u and v are not finite, or not where
    anything is seen. The rasteriser leaves out a triangle with a corner exactly in the plane of the pinhole, and draws
    one that crosses the near plane as far as it lies beyond it.

    Args:
        points: (B, N, 3) mm in camera axes.
        camera: B or 1.

    Returns:
        (B, N, 3): u px, v px, depth mm.
    """
    check_one_device(points=points, camera=camera.principal_point)
    depth = points[..., 2:]
    if isinstance(camera, Camera):
        pixel = camera.focal[:, None, None] * points[..., :2] / depth
    else:
        pixel = camera.scale[:, None, None] * points[..., :2]
    return torch.cat([pixel + camera.principal_point[:, None], depth], -1)


def projection_jacobian(points: Tensor, camera: Camera) -> Tensor:
    """Derivative of the pinhole projection by the point.

    Args:
        points: (B, N, 3) mm in camera axes.
        camera: B or 1.

    Returns:
        d(u, v)/d(x, y, z), (B, N, 2, 3) px/mm.
    """
    x, y, z = points.unbind(-1)
    s = camera.focal[:, None] / z
    o = torch.zeros_like(s)
    return torch.stack([torch.stack([s, o, -s * x / z], -1), torch.stack([o, s, -s * y / z], -1)], -2)


def pose_jacobian(points: Tensor, translation: Tensor, camera: Camera) -> Tensor:
    """Derivative of the pinhole projection by the pose, for a rotation by ω applied after the present one.

    With p the turned point in model axes, p moves by ω × p.

    Args:
        points: (B, N, 3) mm in camera axes.
        translation: (B, 3) mm of the pose.
        camera: B or 1.

    Returns:
        d(u, v)/d(rotation, translation), (B, N, 2, 6) px/radian and px/mm.
    """
    d = projection_jacobian(points, camera)
    p = flip_axes(points - translation[:, None])
    # d · F (ω × p) = ω · (p × F d): one cross product instead of a 3 × 3 matrix.
    rotation = torch.linalg.cross(p[:, :, None].expand_as(d), flip_axes(d))
    return torch.cat([rotation, d], -1)


def turn(pose: Pose, step: Tensor) -> Pose:
    """Apply a step to a pose.

    Args:
        pose: B.
        step: (B, 6): rotate by the first three numbers (radians) after the pose, shift by the others (mm).
    """
    rotation = roma.rotvec_to_rotmat(step[:, :3]) @ pose.rotation
    return Pose(roma.rotmat_to_rotvec(rotation), pose.translation + step[:, 3:])
