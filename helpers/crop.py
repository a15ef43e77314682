"""The square around a face that the fit looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# The longer side of the box around the 68 points takes this share of the square ...
FACE_SHARE = 0.5
# ... and the square sits this share of its side higher than the box, because the points end at the brows.
RAISED = 0.06


@dataclass(frozen=True)
class FaceCrop:
    """Square views of B faces; pixel centres at integers, in the photograph and in the crop.

    image: (B, S, S, 3) sRGB from 0 to 1, black where the photograph does not reach.
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
        """Crop pixels (B, N, 2) to pixels of the photograph."""
        return points / self.scale[:, None, None] + self.origin[:, None]

    def from_photo(self, points: Tensor) -> Tensor:
        """Pixels of the photograph (B, N, 2) to crop pixels."""
        return (points - self.origin[:, None]) * self.scale[:, None, None]

    def to(self, *args, **kwargs) -> FaceCrop:
        return FaceCrop(*(getattr(self, name).to(*args, **kwargs) for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.image)


def stack_crops(crops: list[FaceCrop]) -> FaceCrop:
    """Several crops of the same size as one batch."""
    if not crops:
        raise ValueError("stack_crops needs at least one crop")
    return FaceCrop(*(torch.cat([getattr(c, name) for c in crops]) for name in FaceCrop.__dataclass_fields__))


def crop_face(image: np.ndarray, points: np.ndarray, size: int = 224) -> FaceCrop:
    """Cut the square around a face out of a photograph (H, W, 3), given its points (N, 2) in pixels.

    The square may be of any size and reach past the photograph's edge. It is resampled with a cubic kernel
    that widens when the square shrinks, so that fine detail is averaged and not aliased.
    """
    image, points = np.asarray(image, np.float32), np.asarray(points, np.float64)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must have shape (H, W, 3), got {image.shape}")
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"points must be finite numbers of shape (N, 2), got shape {points.shape}")
    low, high = points.min(0), points.max(0)
    side = (high - low).max() / FACE_SHARE
    if side <= 0 or size < 1:
        raise ValueError(f"points must span a face and size be positive, got side {side}, size {size}")

    scale = size / side
    centre = (low + high) / 2 - [0, RAISED * side]
    origin = centre - (size - 1) / 2 / scale
    across, cover_x = _resampling(size, image.shape[1], origin[0], scale)
    down, cover_y = _resampling(size, image.shape[0], origin[1], scale)
    valid = cover_y[:, None] * cover_x
    square = _apply(across, _apply(down, image).transpose(1, 0, 2)).transpose(1, 0, 2)
    square = np.clip(square, 0, 1) * (valid[..., None] > 0)

    def batch(values):
        return torch.from_numpy(np.array(values, np.float32))[None]

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
