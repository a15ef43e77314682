"""Face chips: faces turned upright, of one size and place, as dlib's network was trained on.

A similarity, least squares over 33 of the 68 points, brings the points of a mean face to those of the photograph. The jaw,
the brows and the lower lip move too much to count.

Source: `get_face_chip_details` and `extract_image_chip` of dlib (dlib/image_transforms/interpolation.h, Boost licence), in its
own form here: batched, in points that need not be whole pixels, and differentiable in image and points. `MEAN_FACE` was
read off the answers of dlib's function, as `tests/face_encoder/test_chips.py` does again.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from helpers.face_encoder.encoder import CHIP_SIDE

# Points that count: nose, eyes, upper lip.
FITTED = (*range(27, 55), *range(60, 65))
# Where they lie in a mean face, right and down, each of a square's side.
MEAN_FACE = (
    *((0.490127, 0.203352), (0.490127, 0.307009), (0.490127, 0.409805), (0.490127, 0.515625)),
    *((0.36688, 0.587326), (0.426036, 0.609345), (0.490127, 0.628106), (0.554217, 0.609345)),
    *((0.613373, 0.587326), (0.121737, 0.216423), (0.187122, 0.178758), (0.265825, 0.179852)),
    *((0.334606, 0.231733), (0.260918, 0.245099), (0.182743, 0.244077), (0.645647, 0.231733)),
    *((0.714428, 0.179852), (0.793132, 0.178758), (0.858516, 0.216423), (0.79751, 0.244077)),
    *((0.719335, 0.245099), (0.254149, 0.780233), (0.340985, 0.745405), (0.428858, 0.727388)),
    *((0.490127, 0.742578), (0.551395, 0.727388), (0.639268, 0.745405), (0.726104, 0.780233)),
    *((0.290379, 0.784792), (0.428096, 0.778746), (0.490127, 0.785343), (0.552157, 0.778746)),
    (0.689874, 0.784792),
)
PADDING = 0.25  # of the square's side, all around it
# Points are taken to lie on a line where 4 · det / trace² of their scatter is below this: 1 for a round cloud, 0.93 of MEAN_FACE.
FLAT = 1e-3


def face_chips(image: Tensor, points: Tensor, size: int = CHIP_SIDE) -> Tensor:
    """Cut aligned faces out of photographs.

    Where the face is twice as large as the chip or more, the photograph is first brought to a half, a quarter, … of its size,
    as dlib does, so that fine detail is averaged and not aliased; dlib then lies half a pixel of the photograph off, 1½ px at
    a quarter, which is not imitated. Past the photograph's edge a chip is black.

    Args:
        image: (B, H, W, 3) sRGB, 0 to 1.
        points: (B, 68, 2) px, in the order of 300-W.
        size: Side of the chips, px.

    Returns:
        (B, size, size, 3).

    Raises:
        ValueError: An argument of another shape, or points that are not finite or lie on a line.
    """
    _check(image, points)
    turn, centre = _similarity(points.to(image), size)
    scale = turn.detach().norm(dim=-1)  # photograph pixels for one of the chip
    at = _sampling_points(turn, centre, size)
    level = scale.clamp(1, max(image.shape[1:3])).log2().floor().int()
    chips = image.new_zeros(len(image), size, size, 3)
    for halvings in level.unique().tolist():  # a few at most
        which = (level == halvings).nonzero()[:, 0]
        chips = chips.index_copy(0, which, _sampled(image[which], at[which], halvings))
    return chips


def points_in_chips(points: Tensor, size: int = CHIP_SIDE) -> Tensor:
    """Find where the 68 points of faces lie in their chips.

    Args:
        points: (B, 68, 2) px of the photographs, finite.
        size: Side of the chips, px.

    Returns:
        (B, 68, 2) px of the chips.
    """
    turn, centre = _similarity(points, size)
    back = turn * turn.new_tensor([1.0, -1.0]) / turn.square().sum(-1, keepdim=True)
    return _times(back[:, None], points - centre[:, None]) + (size - 1) / 2


def _check(image: Tensor, points: Tensor) -> None:
    if image.dim() != 4 or image.shape[3] != 3 or not image.is_floating_point():
        raise ValueError(
            f"image must be floating point of shape (B, H, W, 3), got {image.dtype} {tuple(image.shape)}"
        )
    if points.shape != (len(image), 68, 2):
        raise ValueError(f"points must have shape ({len(image)}, 68, 2), got {tuple(points.shape)}")
    used = points.detach()[:, FITTED].double()
    x, y = (used - used.mean(1, keepdim=True)).unbind(-1)
    xx, yy, xy = (x * x).sum(1), (y * y).sum(1), (x * y).sum(1)
    # So written, it is false for NaN.
    good = (4 * (xx * yy - xy * xy) > FLAT * (xx + yy).square()) & (xx + yy).isfinite()
    if not good.all():
        faces = (~good).nonzero()[:, 0].tolist()
        raise ValueError(
            f"points must be finite and not lie on a line, which those of faces {faces} do not meet"
        )


def _similarity(points: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The similarity from the chip to the photograph, least squares over the points that count.

    With points as complex numbers it is p = a q + b, and a = Σ q̄ p / Σ q̄ q for centred q: linear in p.

    Returns:
        a (B, 2), its real and imaginary part: the step in the photograph for one chip pixel to the right; and where the
        chip's centre lies in the photograph (B, 2) px.
    """
    template = (points.new_tensor(MEAN_FACE) + PADDING) / (1 + 2 * PADDING) * size
    used, middle = points[:, FITTED], template.mean(0)
    q, p = template - middle, used - used.mean(1, keepdim=True)
    across = (q[:, 0] * p[..., 1] - q[:, 1] * p[..., 0]).sum(1)
    turn = torch.stack([(q * p).sum((1, 2)), across], -1) / q.square().sum()
    return turn, used.mean(1) + _times(turn, size / 2 - middle)


def _times(a: Tensor, b: Tensor) -> Tensor:
    """The product of complex numbers (..., 2)."""
    (ax, ay), (bx, by) = a.unbind(-1), b.unbind(-1)
    return torch.stack([ax * bx - ay * by, ax * by + ay * bx], -1)


def _sampling_points(turn: Tensor, centre: Tensor, size: int) -> Tensor:
    """(B, size, size, 2) where the chip's pixels lie in the photograph, px.

    dlib takes the square's edges for pixel centres on its way from the chip to the photograph: size pixels of `scale` span
    from its first pixel to its last. That stretches a chip by up to 1/149, which the network was trained with.
    """
    scale = turn.norm(dim=-1, keepdim=True)
    step = turn * (size - 1 / scale) / (size - 1)
    along = torch.arange(size).to(turn) - (size - 1) / 2
    grid = torch.stack(torch.meshgrid(along, along, indexing="xy"), -1)
    return centre[:, None, None] + _times(step[:, None, None], grid)


def _sampled(image: Tensor, at: Tensor, halvings: int) -> Tensor:
    """Images (B, H, W, 3) at places (B, S, S, 2) px, bilinear, after halving their sides: (B, S, S, 3)."""
    H, W = image.shape[1:3]
    small = image.permute(0, 3, 1, 2)
    if halvings:
        sides = [-(-side // 2**halvings) for side in (H, W)]
        small = F.interpolate(small, sides, mode="bilinear", antialias=True)
    # From −1 at the first pixel's outer edge to 1 at the last one's, whatever the size.
    relative = (2 * at + 1) / at.new_tensor([W, H]) - 1
    found = F.grid_sample(small, relative, mode="bilinear", padding_mode="zeros", align_corners=False)
    return found.permute(0, 2, 3, 1)
