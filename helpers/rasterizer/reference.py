"""The rasteriser in plain torch: the readable twin of `kernels.py`, its oracle, in float32 and float64."""

from __future__ import annotations

import torch
from torch import Tensor

NEAR = 1e-3  # mm, as in the kernels


def edge_functions(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Twice the signed areas (..., 3) that pixels (x, y) span with the edges of triangles (..., 3 corners, 2+)."""
    (x0, x1, x2), (y0, y1, y2) = ((corners[..., k] - at[..., None]).unbind(-1) for k, at in ((0, x), (1, y)))
    return torch.stack([x1 * y2 - y1 * x2, x2 * y0 - y2 * x0, x0 * y1 - y0 * x1], -1)


def surface_weights(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (..., 3) of the corners at the surface point that pixel (x, y) sees, and its depth (...).

    corners: (..., 3, 3) u, v, depth of the corners. On the screen value / depth is linear, so a corner counts on
    the surface by its edge function / depth.
    """
    e = edge_functions(corners, x, y)
    w = e * (1 / corners[..., 2])
    (e0, e1, e2), (w0, w1, w2) = e.unbind(-1), w.unbind(-1)
    total = w0 + w1 + w2  # in this order, so that float32 rounds as the kernels do
    return w * (1 / total)[..., None], (e0 + e1 + e2) / total


def candidates(corners: Tensor, size: tuple[int, int], cull_backfaces: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Every pixel in the bounding box of every triangle (F, 3, 3): triangle number, x and y, each (N,)."""
    H, W = size
    u, v, depth = corners.unbind(-1)
    keep = depth.amin(-1) > NEAR
    if cull_backfaces:
        # v points down, so a triangle that is anticlockwise as the camera sees it has a negative area here.
        keep &= (u[:, 1] - u[:, 0]) * (v[:, 2] - v[:, 0]) - (v[:, 1] - v[:, 0]) * (u[:, 2] - u[:, 0]) < 0
    u, v = torch.where(keep[:, None], u, -1.0), torch.where(keep[:, None], v, -1.0)
    left, right = u.amin(-1).clamp(0, W).ceil().long(), u.amax(-1).clamp(-1, W - 1).floor().long()
    top, bottom = v.amin(-1).clamp(0, H).ceil().long(), v.amax(-1).clamp(-1, H - 1).floor().long()
    columns = (right - left + 1).clamp(min=0)
    count = columns * (bottom - top + 1).clamp(min=0)
    triangle = torch.repeat_interleave(count)  # number i, count[i] times
    within = torch.arange(len(triangle), device=u.device) - (count.cumsum(0) - count)[triangle]
    x, y = left[triangle] + within % columns[triangle], top[triangle] + within // columns[triangle]
    return triangle, x, y


def rasterize_one(points: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool = False):
    """One image: points (V, 3) as u, v, depth; triangles (F, 3). Returns id (H, W), weights (H, W, 3), depth (H, W).

    Every triangle lists the pixels of its bounding box; a scatter with minimum keeps the nearest candidate of
    each pixel, and among equally near ones the lowest triangle number.
    """
    H, W = size
    corners = points[triangles]  # (F, 3, 3)
    triangle, x, y = candidates(corners, size, cull_backfaces)
    e = edge_functions(corners[triangle], x.to(points), y.to(points))
    low, high = e.amin(-1), e.amax(-1)
    inside = ((low >= 0) & (high > 0)) | ((high <= 0) & (low < 0))
    triangle, x, y = triangle[inside], x[inside], y[inside]
    weights, depth = surface_weights(corners[triangle], x.to(points), y.to(points))
    sound = depth < torch.inf  # false as well for a NaN
    triangle, weights, depth, pixel = triangle[sound], weights[sound], depth[sound], (y * W + x)[sound]

    nearest = points.new_full((H * W,), torch.inf).scatter_reduce(0, pixel, depth, "amin")
    among_nearest = depth == nearest[pixel]
    none = len(triangles)
    ids = torch.full((H * W,), none, device=points.device)
    ids = ids.scatter_reduce(0, pixel[among_nearest], triangle[among_nearest], "amin")

    shown = triangle == ids[pixel]  # one candidate for each covered pixel
    barycentric = points.new_zeros(H * W, 3)
    barycentric[pixel[shown]] = weights[shown]
    ids = torch.where(ids == none, -1, ids).int()
    return ids.view(H, W), barycentric.view(H, W, 3), nearest.view(H, W)


def rasterize_reference(points: Tensor, triangles: Tensor, size: tuple[int, int], cull_backfaces: bool = False):
    """The batch, one image after the other: ids (B, H, W) int32, weights (B, H, W, 3), depth (B, H, W)."""
    images = [rasterize_one(p, triangles, size, cull_backfaces) for p in points]
    return tuple(torch.stack(part) for part in zip(*images, strict=True))
