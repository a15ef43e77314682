"""What a camera and a file do to a picture: colours, blur, noise, JPEG. Each photograph of a batch has its own amount."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from helpers.lighting import LUMINANCE, ColourTransform

NOISE_TABLE = 1 << 20  # numbers: the noise of a photograph is a stretch of one table


def transformed(image: Tensor, colour: ColourTransform) -> Tensor:
    """Images after a `ColourTransform` of each: the same as colour(image), in one pass.

    gain · (contrast · I + (1 − contrast) · luminance) + offset is a matrix of each photograph, and the offset.

    Args:
        image: (B, H, W, 3) sRGB.
        colour: of B images.
    """
    grey = image.new_tensor(LUMINANCE)[:, None].expand(3, 3)
    c = colour.contrast.view(-1, 1, 1)
    matrix = (c * torch.eye(3, device=image.device, dtype=image.dtype) + (1 - c) * grey) * colour.gain[
        :, None
    ]
    return torch.baddbmm(colour.offset[:, None], image.flatten(1, 2), matrix).view(image.shape)


def blur_by(image: Tensor, sigma: Tensor, most: float) -> Tensor:
    """Gaussian blur of images, each by its own sigma; borders are repeated.

    Sums of shifted images, weighted per image: the kernel's length is that of `most`, whichever images are together.

    Args:
        image: (B, H, W, C).
        sigma: (B,) px, none above `most`.
        most: px.
    """
    radius = int(3 * most + 0.5)
    if radius == 0:
        return image
    x = torch.arange(radius + 1, device=image.device, dtype=image.dtype)
    weight = torch.exp(-(x**2) / (2 * sigma.clamp(min=0.05)[:, None] ** 2))  # below 0.05 px: the image itself
    weight = weight / (weight[:, :1] + 2 * weight[:, 1:].sum(1, keepdim=True))
    for axis in (1, 2):
        length = image.shape[axis]
        first, last = image.narrow(axis, 0, 1), image.narrow(axis, length - 1, 1)
        repeat = [1, 1, 1, 1]
        repeat[axis] = radius
        padded = torch.cat([first.repeat(repeat), image, last.repeat(repeat)], axis)
        total = image * weight[:, 0].view(-1, 1, 1, 1)
        for k in range(1, radius + 1):
            pair = padded.narrow(axis, radius - k, length) + padded.narrow(axis, radius + k, length)
            total.addcmul_(pair, weight[:, k].view(-1, 1, 1, 1))
        image = total
    return image


def blur_by_motion(image: Tensor, path: Tensor) -> Tensor:
    """Mean of images along straight paths, each along its own; borders are repeated.

    What moves evenly while a shutter is open. Places between pixels count for the four around them.

    Args:
        image: (B, H, W, C).
        path: (B, 2) px, from the first place to the last one, right and down; the middle stays.
    """
    reach = math.ceil(float(path.abs().max()) / 2)
    if reach == 0:
        return image
    B, _, _, C = image.shape
    count = 8 * reach  # places, in the middles of as many equal parts
    step = (torch.arange(count, device=image.device, dtype=image.dtype) + 0.5) / count - 0.5
    at = path[:, None].to(image) * step[:, None]  # (B, N, 2)
    cells = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    near = (1 - (at[..., None] - cells).abs()).clamp(min=0)  # (B, N, 2, cells)
    kernel = torch.einsum("bnx,bny->byx", near[:, :, 0], near[:, :, 1]) / count
    # A group of channels for each image has a kernel of its own. conv2d does not flip it; a path is its own mirror.
    apart = F.pad(image.permute(0, 3, 1, 2), [reach] * 4, mode="replicate").flatten(0, 1)[None]
    blurred = F.conv2d(apart, kernel.repeat_interleave(C, 0)[:, None], groups=B * C)
    return blurred.view(B, C, *image.shape[1:3]).permute(0, 2, 3, 1)


def noise_table(seed: int, device="cpu") -> Tensor:
    """(2²⁰,) standard normal numbers."""
    return torch.randn(NOISE_TABLE, generator=torch.Generator().manual_seed(seed)).to(device)


def add_noise(image: Tensor, sigma: Tensor, start: Tensor, table: Tensor) -> Tensor:
    """Images plus normal noise.

    Noise is the most expensive thing of a photograph to draw: there are as many numbers as pixels. So each photograph
    takes a stretch of one table.

    Args:
        image: (B, H, W, C).
        sigma: (B,) standard deviations.
        start: (B,) where the stretch begins, as a share of the table from 0 to 1.
        table: (N,) of `noise_table`.
    """
    count = image[0].numel()
    if count >= len(table):  # larger than the table: let it go round
        table = table.repeat(count // len(table) + 2)
    first = (start.double() * (len(table) - count)).long().tolist()
    noise = torch.stack([table[s : s + count] for s in first]).view(image.shape)
    return torch.addcmul(image, noise, sigma.view(-1, 1, 1, 1))


def through_jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """Images as JPEG files return them.

    Args:
        image: (B, H, W, 3) sRGB, 0 to 1.
        quality: (B,) 1 to 95, or 0 for images that stay as they are.
    """
    rows = (quality > 0).nonzero()[:, 0].tolist()
    if not rows:
        return image
    image = image.clone()
    pixels = (image[rows].clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
    for row, picture in zip(rows, pixels, strict=True):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=int(quality[row]))
        image[row] = torch.from_numpy(np.asarray(Image.open(file), np.float32) / 255).to(image.device)
    return image
