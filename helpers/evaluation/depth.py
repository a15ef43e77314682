"""Errors of depth maps, seen from the front: RMSE, log10 and Rel.

log10 and Rel divide by the depth itself, so they depend on where depth is counted from. A camera that is twice as far
away halves them, on the same face. The distance is therefore a named argument here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.camera import flip_axes
from helpers.rasterizer import rasterize

DISTANCE = 1000.0  # mm from the camera to the tip of the nose


@dataclass(frozen=True)
class DepthErrors:
    """Over the pixels that both maps show, d of the estimate and d* of the truth.

    Attributes:
        rmse: (B,) mm.
        log10: (B,), the mean of |log10 d − log10 d*|.
        rel: (B,), the mean of |d − d*| / d*.
        shown: (B,) share of the truth's pixels that both show.
        difference: (B, H, W) mm, d − d*, NaN where not both do.
    """

    rmse: Tensor
    log10: Tensor
    rel: Tensor
    shown: Tensor
    difference: Tensor


def depth_map(
    vertices: Tensor,
    triangles: Tensor,
    centre: Tensor,
    *,
    radius: float = 95.0,
    pixel: float = 1.0,
    distance: float = DISTANCE,
) -> Tensor:
    """Draw depth maps of faces, seen from the front by parallel rays.

    Args:
        vertices: (B, V, 3) mm, model axes.
        triangles: (F, 3).
        centre: (B, 3) mm, in the middle of the picture, at depth `distance`.
        radius: mm from there to the edges; what is farther from `centre` in any direction is left out, and infinite like
            the background.
        pixel: Side of a pixel, mm.
        distance: mm.

    Returns:
        (B, S, S) mm.
    """
    side = int(round(2 * radius / pixel)) + 1
    offset = vertices - centre[:, None]
    points = flip_axes(offset) / vertices.new_tensor([pixel, pixel, 1.0])
    points = points + vertices.new_tensor([(side - 1) / 2, (side - 1) / 2, distance])
    depth = rasterize(points, triangles, (side, side), perspective=False).depth
    across = (torch.arange(side, device=vertices.device) - (side - 1) / 2) * pixel
    squared = across[:, None] ** 2 + across**2 + (depth - distance) ** 2
    return torch.where(squared <= radius**2, depth, torch.inf)


def depth_errors(estimate: Tensor, truth: Tensor) -> DepthErrors:
    """Compare depth maps.

    Args:
        estimate: (B, H, W) mm, infinite where nothing is.
        truth: (B, H, W) mm, likewise.

    Raises:
        ValueError: For shapes that differ and for depths that are not positive.
    """
    if estimate.shape != truth.shape or estimate.dim() != 3:
        raise ValueError(
            f"depth maps must be (B, H, W) alike, got {tuple(estimate.shape)} and {tuple(truth.shape)}"
        )
    both = torch.isfinite(estimate) & torch.isfinite(truth)
    if bool((estimate[both] <= 0).any()) or bool((truth[both] <= 0).any()):
        raise ValueError("depths must be above zero: count them from the camera")
    count = both.sum((1, 2))
    d, t = torch.where(both, estimate, 1.0), torch.where(both, truth, 1.0)

    def mean(values: Tensor) -> Tensor:
        return values.sum((1, 2)) / count  # 0 / 0 is NaN: nothing to compare

    return DepthErrors(
        rmse=mean((d - t).square()).sqrt(),
        log10=mean((d.log10() - t.log10()).abs()),
        rel=mean((d - t).abs() / t),
        shown=count / torch.isfinite(truth).sum((1, 2)),
        difference=torch.where(both, d - t, torch.nan),
    )
