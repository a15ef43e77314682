"""Smooth continuation of what is known in places only, over a whole picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

DARKEST = 0.02  # sRGB; a ratio to less is noise
GAIN = (1 / 3, 3.0)


def push_pull(values: Tensor, weight: Tensor, cells: int | None = None) -> Tensor:
    """Continue weighted values smoothly into places of weight 0 (Gortler et al. 1996, "The lumigraph", section 3.4.3).

    Pull: halve the picture again and again, by weighted means, until everything is known. Push: go back, and take from
    the coarser picture what the finer one does not know.

    Args:
        values: (B, H, W, C).
        weight: (B, H, W) from 0, unknown, to 1.
        cells: leave out detail finer than this many cells along a side, for a field that is smooth where it is known, too;
            None keeps all.

    Returns:
        (B, H, W, C); 0 if nothing is known.
    """
    size = values.shape[1:3]
    known = weight[:, None]
    level = torch.cat([values.permute(0, 3, 1, 2) * known, known], 1)
    levels = [level]
    while max(level.shape[2:]) > 1:
        level = avg_pool2d(level, 2, ceil_mode=True, count_include_pad=False)
        levels.append(level)
    filled = _mean(levels[-1])
    for level in reversed(levels[:-1]):
        if cells is not None and max(level.shape[2:]) > cells:
            break
        coarse = interpolate(filled, level.shape[2:], mode="bilinear", align_corners=False)
        # One known pixel of four is enough to know the coarser one; else detail would fade near every hole.
        share = (level[:, -1:] * (1 if level is levels[0] else 4)).clamp(max=1)
        filled = coarse + share * (_mean(level) - coarse)
    return interpolate(filled, size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def _mean(level: Tensor) -> Tensor:
    """Weighted sums (B, C + 1, H, W), the weight last, as means (B, C, H, W)."""
    return level[:, :-1] / level[:, -1:].clamp(min=1e-8)


def matched(colours: Tensor, to: Tensor, weight: Tensor, cells: int) -> Tensor:
    """Colours scaled so that, wherever both are known, they agree in the mean with others; smoothly continued elsewhere.

    Args:
        colours: (B, H, W, 3) sRGB, to be changed.
        to: (B, H, W, 3), the others.
        weight: (B, H, W) how well both are known, 0 to 1.
        cells: along a side, over which means are taken.

    Returns:
        (B, H, W, 3), 0 to 1; the colours themselves where nothing is known.
    """
    wanted, given = push_pull(torch.cat([to, colours], -1), weight, cells).split(3, -1)
    gain = torch.where(given > DARKEST, wanted / given.clamp(min=DARKEST), 1)
    return (colours * gain.clamp(*GAIN)).clamp(0, 1)
