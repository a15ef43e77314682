"""Blurred images with their slopes, for the coarse-to-fine pixel term."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur of (B, H, W, C) with standard deviation `sigma` px; the border is repeated."""
    if sigma <= 0:
        return image
    radius = int(3 * sigma + 0.5)
    x = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    C = image.shape[-1]
    # On a CPU, planes of a batch each on its own take nine times as long as the channels of an image.
    planes = F.pad(image.permute(0, 3, 1, 2), (radius,) * 4, mode="replicate")
    along_u, along_v = kernel.expand(C, 1, 1, -1), kernel[:, None].expand(C, 1, -1, 1)
    # By default cuDNN rounds what it multiplies to 10 bits (TF32), which is enough to move a fit. The setting is the whole
    # process's, so threads that compute on a CPU must not touch it.
    with _whole_float32() if image.is_cuda else contextlib.nullcontext():
        planes = F.conv2d(F.conv2d(planes, along_u, groups=C), along_v, groups=C)
    return planes.permute(0, 2, 3, 1)


@contextlib.contextmanager
def _whole_float32() -> Generator[None]:
    """cuDNN's convolutions without TF32. Torch 2.9 has renamed the setting, and refuses to read a mixture of both."""
    cudnn = torch.backends.cudnn
    holder, name, value = (
        (cudnn.conv, "fp32_precision", "ieee") if hasattr(cudnn, "conv") else (cudnn, "allow_tf32", False)
    )
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


def window_mean(plane: Tensor, reach: int, beyond: bool = True) -> Tensor:
    """Means of (B, H, W) over windows of 2 reach + 1 px a side: along columns, then along rows, a fraction of the work.

    Args:
        plane: (B, H, W).
        reach: px.
        beyond: whether what lies beyond the border counts, as 0.
    """
    n = 2 * reach + 1
    columns = F.avg_pool2d(plane[:, None], (n, 1), 1, (reach, 0), count_include_pad=beyond)
    return F.avg_pool2d(columns, (1, n), 1, (0, reach), count_include_pad=beyond)[:, 0]


def window_max(plane: Tensor, reach: int) -> Tensor:
    """Largest values of (B, H, W) in windows of 2 reach + 1 px a side."""
    n = 2 * reach + 1
    return F.max_pool2d(F.max_pool2d(plane[:, None], (n, 1), 1, (reach, 0)), (1, n), 1, (0, reach))[:, 0]


def with_slopes(image: Tensor) -> Tensor:
    """(B, H, W, 3) to (B, H, W, 9): the colours, their derivatives by u and by v (central differences)."""
    du, dv = torch.zeros_like(image), torch.zeros_like(image)
    du[:, :, 1:-1] = (image[:, :, 2:] - image[:, :, :-2]) / 2
    dv[:, 1:-1] = (image[:, 2:] - image[:, :-2]) / 2
    return torch.cat([image, du, dv], -1).contiguous()


def is_grey(image: Tensor) -> Tensor:
    """(B,) bool: photographs (B, H, W, 3) whose channels are the same but for small errors."""
    spread = image.amax(-1) - image.amin(-1)
    return spread.mean((1, 2)) < 0.012
