"""How much a face full of pixels is worth: the size of the residual, and how far its values hang together.

Least squares takes its rows for independent. Neighbouring pixels are not: where the model is wrong, it is wrong
over a patch. So M pixels count as N_eff = M / A observations, with A = ∫ ρ the area over which the residual's
autocorrelation ρ reaches, as for the effective sample size of a Markov chain. On a rendered face with
white noise the residual hangs together over a few pixels only; on a photograph over tens of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

REACH = 16  # px of a crop of 224 px: the largest distance of a pair
NEGLIGIBLE = 0.05  # a correlation below counts as none, and so do those at larger distances
LEAST_AREA = 4.0  # px²: with fewer, the estimate is mostly chance


@dataclass(frozen=True)
class Noise:
    """Size and correlation of a residual.

    Attributes:
        sigma: (B,) RMS of the residual over the channels.
        area: (B,) px² over which it hangs together.
        profile: (B, REACH) autocorrelation by distance, in steps of one px of a crop of 224 px; the first entry is 1.
    """

    sigma: Tensor
    area: Tensor
    profile: Tensor


def residual_noise(residual: Tensor, pixel: Tensor, weight: Tensor, unit: float = 1.0) -> Noise:
    """Noise of residuals, from all pairs of points.

    Args:
        residual: (B, P, 3).
        pixel: (B, P, 2) px, where each point lies.
        weight: (B, P).
        unit: how many px of this crop make one of a crop of 224 px; `area` is in px² of this crop.
    """
    B, P, _ = residual.shape
    w = weight[..., None].sqrt()
    variance = (weight * residual.square().mean(-1)).sum(-1) / weight.sum(-1).clamp(min=1e-9)
    # ρ at distance d is the mean product of pairs d apart, over the variance. Pairs are told apart by ring.
    pairs = torch.bmm(w * residual, (w * residual).transpose(1, 2)) / 3
    weights = torch.bmm(w, w.transpose(1, 2))
    ring = (torch.cdist(pixel, pixel) / unit + 0.5).clamp(max=REACH).long().view(B, -1)
    total = residual.new_zeros(B, REACH + 1).scatter_add_(1, ring, pairs.view(B, -1))
    count = residual.new_zeros(B, REACH + 1).scatter_add_(1, ring, weights.view(B, -1))
    profile = (total / count.clamp(min=1e-9))[:, :REACH] / variance.clamp(min=1e-12)[:, None]
    profile[:, 0] = 1.0
    # A ramp, not a step: a rounding error must not decide whether a ring counts.
    going_on = (profile / NEGLIGIBLE - 0.5).clamp(0, 1).cumprod(1)
    ring_area = 2 * pi * torch.arange(REACH, device=profile.device, dtype=profile.dtype)
    ring_area[0] = 1.0  # the pixel itself
    area = (going_on * profile * ring_area).sum(1).clamp(min=LEAST_AREA)
    return Noise(variance.sqrt(), area * unit**2, profile)
