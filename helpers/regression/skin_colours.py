"""Colours of the skin at a few places of a face: how bright the photograph shows it, and from where it is lit.

A face encoder is made to overlook both. Whoever is to tell dark skin from little light needs them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from helpers.device import upload
from helpers.face_encoder.chips import CHIP_SIDE
from helpers.lighting import srgb_to_linear

# Each a sum of some of the 68 points, whose weights add up to 1.
PLACES: tuple[dict[int, float], ...] = (
    {2: 0.4, 30: 0.4, 36: 0.1, 39: 0.1},  # cheeks, above
    {14: 0.4, 30: 0.4, 45: 0.1, 42: 0.1},
    {3: 0.4, 48: 0.6},  # and below
    {13: 0.4, 54: 0.6},
    {27: 1.55, 33: -0.55},  # forehead, in the middle
    {19: 0.5, 20: 0.5, 27: 0.45, 33: -0.45},  # and above the brows
    {23: 0.5, 24: 0.5, 27: 0.45, 33: -0.45},
    {27: 0.5, 28: 0.5},  # nose, above
    {29: 0.5, 30: 0.5},  # and below
    {8: 0.5, 57: 0.5},  # chin
)
WEIGHTS = torch.tensor([[place.get(point, 0.0) for point in range(68)] for place in PLACES], device="cpu")
N_COLOURS = 3 * len(PLACES)
PATCH = 9  # px of the chip, the side of the square whose mean is taken
DARKEST = 0.02  # is added to linear light, so that the logarithm of black is a number


def skin_colours(chips: Tensor, placed: Tensor) -> Tensor:
    """Logarithms of the mean linear light at `PLACES`.

    Args:
        chips: (B, 150, 150, 3) sRGB, 0 to 1.
        placed: (B, 68, 2) px of the chips. Places outside of them have the colour of the nearest edge, where the part of a square
            that reaches beyond the chip counts as black.

    Returns:
        (B, N_COLOURS), place by place.
    """
    at = (
        2 * (upload(WEIGHTS, placed.device).to(placed) @ placed) + 1
    ) / CHIP_SIDE - 1  # −1 to 1, from edge to edge
    light = F.avg_pool2d(srgb_to_linear(chips.float()).permute(0, 3, 1, 2), PATCH, 1, PATCH // 2)
    found = F.grid_sample(light, at[:, None].float(), padding_mode="border", align_corners=False)
    return (found[:, :, 0].transpose(1, 2) + DARKEST).log().flatten(1)
