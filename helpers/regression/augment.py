"""Changes of a picture that leave its label true, on the device where the picture is.

Who is in the picture does not depend on where the crop's edge lies, on the camera's colours, on its focus, or on a hand
in front of the mouth. So a network may see each photograph moved, recoloured, blurred, covered and noisy, with the same
198 numbers as target.

A mirrored face is another face. Left and right halves differ, in people and in the modes of a face model, and the 198
numbers of a mirrored face are not those of the face (the modes would have to be mirrored, too, and in general their
span does not even hold the mirrored face). The label of a mirrored picture would be wrong, so there is no mirror here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.device import upload


@dataclass(frozen=True)
class Augmentation:
    """How strong the changes are; 0 turns one off.

    Attributes:
        shift: Of the crop, as a share of its side, uniform within ±.
        zoom: Of its side, a factor e to the power of a number within ±.
        turn: Degrees, within ±.
        colour: Standard deviation of the logarithm of the colour's gain, common to the channels; a third of it for
            each channel alone.
        gamma: Exponent of the colours, within e^±.
        grey: Share of pictures without colour.
        blur: Largest standard deviation in px of a picture of 112 px, in proportion for others.
        erase: Share of pictures with a rectangle covered.
        erase_side: Longest side of that rectangle, as a share of the picture's.
        noise: Largest standard deviation of the pixels' noise.
    """

    shift: float = 0.04
    zoom: float = 0.08
    turn: float = 4.0
    colour: float = 0.15
    gamma: float = 0.2
    grey: float = 0.05
    blur: float = 1.0
    erase: float = 0.25
    erase_side: float = 0.35
    noise: float = 0.03

    @classmethod
    def none(cls) -> Augmentation:
        """No change at all."""
        return cls(**dict.fromkeys(cls.__dataclass_fields__, 0.0))


def augment(image: Tensor, generator: torch.Generator, strength: Augmentation | None = None) -> Tensor:
    """Change pictures at random, each in its own way.

    All random numbers are drawn from `generator` on the CPU, so that a seed gives the same changes on every device. Only the
    noise of the pixels is drawn where the pixels are, from a seed that the generator gives.

    Args:
        image: (B, S, S, 3) sRGB, 0 to 1.
        generator: Of the CPU.
        strength: How strong the changes are; None for the defaults of `Augmentation`.

    Returns:
        (B, S, S, 3) sRGB, 0 to 1, on the device of `image`.
    """
    s = strength or Augmentation()
    B, S = image.shape[:2]

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=generator) - 1

    def chance(share: float) -> Tensor:
        return _sent(torch.rand(B, generator=generator) < share, image).view(B, 1, 1, 1)

    image = _moved(
        image, uniform(B) * math.radians(s.turn), torch.exp(uniform(B) * s.zoom), uniform(B, 2) * s.shift
    )
    gain = torch.randn(B, 4, generator=generator) * s.colour
    gain = _sent(torch.exp(gain[:, :1] + gain[:, 1:] / 3), image).view(B, 1, 1, 3)
    gamma = _sent(torch.exp(uniform(B) * s.gamma), image).view(B, 1, 1, 1)
    image = gain * image.clamp(min=1e-4) ** gamma
    no_colour = chance(s.grey)
    image = image + no_colour * (image.mean(-1, keepdim=True) - image)
    image = _blurred(image, s.blur * S / 112 * torch.rand(B, generator=generator))
    image = _covered(image, generator, chance(s.erase), s.erase_side)
    return _noisy(image, generator, s.noise).clamp(0, 1)


def _sent(drawn: Tensor, image: Tensor) -> Tensor:
    """What was drawn on the CPU, where the picture is and in its precision."""
    return upload(drawn.to(image.dtype), image.device)


def _moved(image: Tensor, angle: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    """Turned, enlarged by `zoom` and shifted (share of the side); what lies past the edge is black, as in the crop.

    The numbers of the motion are on the CPU.
    """
    if not (bool(angle.any()) or bool(shift.any()) or bool((zoom != 1).any())):
        return image
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    rows = torch.stack([cos, -sin, 2 * shift[:, 0], sin, cos, 2 * shift[:, 1]], -1).view(-1, 2, 3)
    grid = F.affine_grid(_sent(rows, image), [len(image), 3, *image.shape[1:3]], align_corners=False)
    moved = F.grid_sample(image.permute(0, 3, 1, 2), grid, align_corners=False)
    return moved.permute(0, 2, 3, 1)


def _blurred(image: Tensor, sigma: Tensor) -> Tensor:
    """Each picture with its own Gaussian blur, sigma (B,) px on the CPU: one grouped convolution along each side."""
    if not bool(sigma.any()):
        return image
    B, S, _, C = image.shape
    reach = max(1, math.ceil(2.5 * float(sigma.max())))
    at = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-0.5 * (at / sigma.clamp(min=1e-3)[:, None]).square())
    kernel = _sent((kernel / kernel.sum(1, keepdim=True)).repeat_interleave(C, 0)[:, None], image)
    flat = image.permute(0, 3, 1, 2).reshape(1, B * C, S, S)
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), "replicate"), kernel[:, :, None], groups=B * C)
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), "replicate"), kernel[..., None], groups=B * C)
    return flat.view(B, C, S, S).permute(0, 2, 3, 1)


def _covered(image: Tensor, generator: torch.Generator, which: Tensor, side: float) -> Tensor:
    """Some pictures with a rectangle of one colour."""
    B, S = image.shape[:2]
    box, middle, colour = (_sent(torch.rand(B, n, generator=generator), image) for n in (2, 2, 3))
    at = (torch.arange(S, device=image.device, dtype=image.dtype) + 0.5) / S
    inside = (at - middle[..., None]).abs() < side / 2 * box[..., None]  # (B, 2, S): along x and along y
    where = which * (inside[:, 1, :, None] & inside[:, 0, None, :])[..., None]
    return image + where * (colour.view(B, 1, 1, 3) - image)


def _noisy(image: Tensor, generator: torch.Generator, largest: float) -> Tensor:
    sigma = _sent(largest * torch.rand(len(image), 1, 1, 1, generator=generator), image)
    seed = int(torch.randint(2**62, (), generator=generator))
    if not largest:
        return image
    local = torch.Generator(image.device).manual_seed(seed)
    return image + sigma * torch.randn(image.shape, generator=local, device=image.device, dtype=image.dtype)
