"""The square around a face that the fit, or the network, looks at.

A crop is an enlargement of a part of the photograph: crop = (photograph − origin) · scale. Points follow it by
`to_crop` and `to_photo`. The camera must follow too. A pinhole image u = f · x/z + c becomes
(u − origin) · scale = (f · scale) · x/z + (c − origin) · scale: the focal length is multiplied by the scale, and the
principal point moves, mostly out of the middle of the crop. `camera_of_crop` and `camera_of_photo` are the only places where this is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from helpers.camera import Camera
from helpers.device import default_device

# The longer side of the box around the 68 points takes this share of the square ...
FACE_SHARE = 0.5
# ... and the square sits this share of its side higher than the box, because the points end at the brows.
RAISED = 0.06
# Points may lie outside of the photograph, up to so many times its longer side.
LARGEST_REACH = 50

# The square of the authors' released code, for their network: how far it reaches to the left, up, to the right and
# down from the middle of the box around the points, or of a detector's box, in half sides of that box (the longer).
AUTHORS_REACH = {"landmarks": (1.9255, 2.2591, 1.9423, 1.6087), "box": (1.785974, 1.951171, 1.8356, 1.670403)}


class HasImage(Protocol):
    """A photograph, such as `helpers.photo.Photo`."""

    @property
    def image(self) -> np.ndarray: ...


class HasFace(Protocol):
    """A face found in a photograph, such as `helpers.landmarks.Detection`."""

    @property
    def box(self) -> np.ndarray: ...
    @property
    def points(self) -> np.ndarray: ...


@dataclass(frozen=True)
class FaceCrop:
    """Square views of B faces; pixel centres at integers, in the photograph and in the crop.

    Attributes:
        image: (B, S, S, 3) sRGB, 0 to 1, black where the photograph does not reach.
        valid: (B, S, S) share of each pixel that the photograph covers, 0 to 1.
        landmarks: (B, 68, 2) crop pixels.
        scale: (B,) crop pixels per photograph pixel.
        origin: (B, 2) where the centre of the crop's first pixel lies in the photograph:
            crop = (photograph − origin) · scale.
    """

    image: Tensor
    valid: Tensor
    landmarks: Tensor
    scale: Tensor
    origin: Tensor

    def to_photo(self, points: Tensor) -> Tensor:
        """Take points (B, N, 2) from crop pixels to pixels of the photograph."""
        return points / self.scale[:, None, None] + self.origin[:, None]

    def to_crop(self, points: Tensor) -> Tensor:
        """Take points (B, N, 2) from pixels of the photograph to crop pixels."""
        return (points - self.origin[:, None]) * self.scale[:, None, None]

    def camera_of_crop(self, photo: Camera) -> Camera:
        """Give the camera that makes the crop.

        Args:
            photo: The camera (B or 1) that made the photograph.

        Returns:
            The camera (B) of the crop.
        """
        centre = (photo.principal_point - self.origin) * self.scale[:, None]
        height, width = self.image.shape[1:3]
        return Camera(photo.focal * self.scale, centre, (height, width))

    def camera_of_photo(self, crop: Camera, size: tuple[int, int]) -> Camera:
        """Give the camera of the photograph.

        Args:
            crop: The camera (B or 1) that makes the crop.
            size: Height and width of the photograph, px.

        Returns:
            The camera (B) of the photograph.
        """
        centre = crop.principal_point / self.scale[:, None] + self.origin
        return Camera(crop.focal / self.scale, centre, (size[0], size[1]))

    def to(self, *args: Any, **kwargs: Any) -> FaceCrop:
        """Move or convert all tensors, as `torch.Tensor.to`."""
        return FaceCrop(*(getattr(self, name).to(*args, **kwargs) for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.image)


def stack_crops(crops: list[FaceCrop]) -> FaceCrop:
    """Put several crops of the same size into one batch.

    Args:
        crops: One or more.

    Returns:
        The batch.

    Raises:
        ValueError: There are none.
    """
    if not crops:
        raise ValueError("stack_crops needs at least one crop")
    return FaceCrop(*(torch.cat([getattr(c, name) for c in crops]) for name in FaceCrop.__dataclass_fields__))


def crop_face(
    image: np.ndarray, points: np.ndarray, size: int = 224, device: torch.device | str | None = None
) -> FaceCrop:
    """Cut the square around a face out of a photograph.

    The square may be of any size and reach past the photograph's edge. It is resampled with a cubic kernel
    that widens when the square shrinks, so that fine detail is averaged and not aliased.

    Args:
        image: (H, W, 3) sRGB, 0 to 1.
        points: (N, 2) px, those of the face.
        size: Side of the crop, px.
        device: Where its tensors lie; None is `helpers.device.default_device()`.

    Returns:
        One crop.

    Raises:
        ValueError: An argument of another shape, points without extent or far outside of the photograph.
    """
    image, points = _checked(image, points)
    low, high = points.min(0), points.max(0)
    side = (high - low).max() / FACE_SHARE
    return _cut(image, points, (low + high) / 2 - [0, RAISED * side] - side / 2, side, size, device)


def authors_crop(
    photo: HasImage | np.ndarray,
    detection: HasFace,
    size: int = 224,
    source: str = "landmarks",
    device: torch.device | str | None = None,
) -> FaceCrop:
    """Cut out the square that the authors' released code makes for its network, which takes it at 224 × 224 px.

    Past the photograph's edge the crop is black. The face takes about half of the side, with the middle of the points
    below the middle of the crop.

    Args:
        photo: A Photo, or an image (H, W, 3) from 0 to 1.
        detection: The face in it.
        size: Side of the crop, px.
        source: "landmarks" measures by the box around the 68 points, "box" by the detector's box. The two sets of
            factors belong to two ways of finding a face and frame it about alike; the box's were set for the boxes of
            their detector, so with another one the landmarks are the safer choice.
        device: As of `crop_face`.

    Returns:
        One crop.

    Raises:
        ValueError: Another source, or a box or points without extent.
    """
    if source not in AUTHORS_REACH:
        raise ValueError(f"source must be one of {', '.join(AUTHORS_REACH)}, got {source!r}")
    image, points = _checked(np.asarray(getattr(photo, "image", photo)), detection.points)
    corners = np.asarray(detection.box, np.float64).reshape(2, 2) if source == "box" else points
    low, high = corners.min(0), corners.max(0)
    left, up, right, _ = AUTHORS_REACH[source]
    half = (high - low).max() / 2
    # Left and right, like up and down, add up to the same: the square's side.
    return _cut(
        image, points, (low + high) / 2 - half * np.array([left, up]), half * (left + right), size, device
    )


def _checked(image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    image, points = np.asarray(image, np.float32), np.asarray(points, np.float64)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must have shape (H, W, 3), got {image.shape}")
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"points must be finite numbers of shape (N, 2), got shape {points.shape}")
    farthest = np.abs(points).max(initial=0)
    if farthest > LARGEST_REACH * max(image.shape):  # the work grows with the square that holds them
        raise ValueError(
            f"points lie up to {farthest:.3g} px from the corner of a photograph of "
            f"{image.shape[1]}×{image.shape[0]} px: they are not of this photograph"
        )
    return image, points


def _cut(
    image: np.ndarray,
    points: np.ndarray,
    corner: np.ndarray,
    side: float,
    size: int,
    device: torch.device | str | None,
) -> FaceCrop:
    """The square from `corner` (2,), its upper left edges, of `side` px of the photograph, as size × size pixels."""
    if not (np.isfinite(side) and side > 0) or size < 1:
        raise ValueError(f"points must span a face and size be positive, got side {side}, size {size}")
    scale = size / side
    origin = corner + 0.5 / scale  # the first pixel's centre lies half a crop pixel inside of the edge
    across, cover_x = _resampling(size, image.shape[1], origin[0], scale)
    down, cover_y = _resampling(size, image.shape[0], origin[1], scale)
    valid = cover_y[:, None] * cover_x
    square = _apply(across, _apply(down, image).transpose(1, 0, 2)).transpose(1, 0, 2)
    square = np.clip(square, 0, 1) * (valid[..., None] > 0)

    device = default_device() if device is None else device

    def batch(values):
        return torch.from_numpy(np.array(values, np.float32))[None].to(device)

    return FaceCrop(
        batch(square), batch(valid), batch((points - origin) * scale), batch(scale), batch(origin)
    )


def _apply(rows: tuple[np.ndarray, slice], image: np.ndarray) -> np.ndarray:
    """Weighted sums of an image's rows: (n, W, 3) -> (S, W, 3)."""
    weights, used = rows
    return np.tensordot(weights, image[used], 1)


def _resampling(size: int, length: int, origin: float, scale: float):
    """Weights (S, n) that make S crop pixels of n photograph pixels along one axis, which of them are used,
    and the share (S,) of each crop pixel that lies on the photograph."""
    at = origin + np.arange(size) / scale  # crop pixel centres, in the photograph
    half = 0.5 / scale
    covered = np.clip(np.minimum(at + half, length - 0.5) - np.maximum(at - half, -0.5), 0, None) / (2 * half)

    wide = max(1.0, 1 / scale)  # shrinking: the kernel widens to the size of a crop pixel
    reach = int(np.ceil(2 * wide))
    source = np.floor(at)[:, None].astype(int) + np.arange(1 - reach, reach + 1)
    weight = _cubic((source - at[:, None]) / wide)
    weight /= weight.sum(1, keepdims=True)
    source = np.clip(source, 0, length - 1)  # past the edge, the last pixel goes on
    first, last = source.min(), source.max() + 1
    weights = np.zeros((size, last - first), np.float32)
    np.add.at(weights, (np.arange(size)[:, None], source - first), weight)
    return (weights, slice(first, last)), covered


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic kernel with a = −½, which reproduces straight ramps and has support 2 to each side."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))
