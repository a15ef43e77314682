"""A lamp and what the camera does to colours, as the row of 15 numbers that the released fitter solves for."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.lighting.colour import ColourTransform
from helpers.lighting.phong import SHININESS, SPECULAR, PhongLight

N_LAMP = 15
AMBIENT, DIFFUSE, DIRECTION = slice(0, 3), slice(3, 6), slice(6, 8)
CONTRAST, GAIN, OFFSET = slice(8, 9), slice(9, 12), slice(12, 15)


def unpack_lamp(numbers: Tensor) -> tuple[PhongLight, ColourTransform]:
    """What `render` takes, from one row of numbers per image.

    Strength and exponent of the highlight are those fixed in the released fitter.

    Args:
        numbers: (B, 15): ambient (3), diffuse (3), direction (2, radians), contrast, gain (3), offset (3).

    Returns:
        The lamp and the transform of the colours, B each.

    Raises:
        ValueError: There are not 15 numbers per image.
    """
    if numbers.dim() != 2 or numbers.shape[1] != N_LAMP:
        raise ValueError(f"a lamp with colours is (B, {N_LAMP}) numbers, got {tuple(numbers.shape)}")
    fixed = torch.ones_like(numbers[:, 0])
    lamp = PhongLight(
        numbers[:, AMBIENT], numbers[:, DIFFUSE], numbers[:, DIRECTION], SPECULAR * fixed, SHININESS * fixed
    )
    return lamp, ColourTransform(numbers[:, CONTRAST][:, 0], numbers[:, GAIN], numbers[:, OFFSET])
