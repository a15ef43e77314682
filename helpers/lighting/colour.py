"""What a camera does to colours: contrast, gain and offset, and the gamma curve.

Two curves lead from amounts of light to the values of an image file. `linear_to_srgb` is the standard's, in pieces.
`gamma_encode` is a pure power with the exponent 1 / 2.2, and takes the place of the other wherever light falls on albedo: a
power of a product is the product of the powers, so that a surface of sRGB albedo a that receives the light R has the
colour a · R^(1 / 2.2), and no albedo needs to be converted. For albedo and light from 0.02 to 1 this differs from what the
standard's curves give by 0.006 on average; it is at most 0.006 darker, and at most 0.033 brighter, which are dark surfaces
in little light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from helpers.device import default_device

# How bright red, green and blue appear: the weights of the luminance of television (ITU-R BT.601).
LUMINANCE = (0.299, 0.587, 0.114)
GAMMA = 2.2
DARKEST = 0.02  # light, below which `gamma_encode` stays the same: a power has no slope at 0


@dataclass(frozen=True)
class ColourTransform:
    """Turns the colours of a face into those of the photograph; B or 1 images.

    A colour I with luminance L becomes gain · (contrast · I + (1 − contrast) · L) + offset.

    Attributes:
        contrast: (B,) 1 keeps the colours, 0 makes them grey.
        gain: (B, 3) per channel.
        offset: (B, 3) per channel.

    Source:
        Blanz and Vetter 2003.
    """

    contrast: Tensor
    gain: Tensor
    offset: Tensor

    def __post_init__(self) -> None:
        B = len(self.contrast)
        for name, shape in (("contrast", (B,)), ("gain", (B, 3)), ("offset", (B, 3))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {tuple(getattr(self, name).shape)}")

    @classmethod
    def identity(
        cls, batch: int = 1, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
    ) -> ColourTransform:
        """The transform that changes nothing; by default on `helpers.device.default_device()`."""
        device = default_device() if device is None else device
        one = torch.ones(batch, device=device, dtype=dtype)
        return cls(one, one[:, None].repeat(1, 3), torch.zeros(batch, 3, device=device, dtype=dtype))

    def __call__(self, image: Tensor) -> Tensor:
        """Colours (B, ..., 3) to colours (B, ..., 3), not clipped."""
        points = [1] * (image.dim() - 2)
        contrast = self.contrast.view(-1, *points, 1)
        luminance = (image * image.new_tensor(LUMINANCE)).sum(-1, keepdim=True)
        mixed = contrast * image + (1 - contrast) * luminance
        return self.gain.view(-1, *points, 3) * mixed + self.offset.view(-1, *points, 3)

    def to(self, *args: Any, **kwargs: Any) -> ColourTransform:
        """On another device or in another precision, as `torch.Tensor.to`."""
        return ColourTransform(
            *(part.to(*args, **kwargs) for part in (self.contrast, self.gain, self.offset))
        )


def srgb_to_linear(colour: Tensor) -> Tensor:
    """From sRGB values, as in image files, to amounts of light. 0 stays 0 and 1 stays 1.

    Args:
        colour: (…) sRGB.

    Returns:
        (…) linear.

    Source:
        IEC 61966-2-1.

    >>> srgb_to_linear(torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.2140, 1.0000])
    """
    curved = ((colour.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(colour <= 0.04045, colour / 12.92, curved)


def linear_to_srgb(light: Tensor) -> Tensor:
    """From amounts of light to sRGB values: the inverse of `srgb_to_linear`. Not clipped above 1.

    Args:
        light: (…) linear.

    Returns:
        (…) sRGB.

    Source:
        IEC 61966-2-1.
    """
    curved = 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, curved)


def gamma_encode(light: Tensor) -> Tensor:
    """From amounts of light to the values of an image file by a pure power. Not clipped above 1.

    Args:
        light: (…) linear; below `DARKEST` it counts as that.

    Returns:
        (…), light^(1 / 2.2).

    >>> gamma_encode(torch.tensor([0.0, 0.2, 1.0]))
    tensor([0.1690, 0.4812, 1.0000])
    """
    return light.clamp(min=DARKEST) ** (1 / GAMMA)
