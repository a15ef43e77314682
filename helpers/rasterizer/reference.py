"""The rasteriser in plain torch: the readable twin of `kernels.py`, its oracle, in float32 and float64."""

from __future__ import annotations

import torch
from torch import Tensor

NEAR = 1e-3  # mm, as in the kernels: a perspective camera sees nothing at or before this depth


def edge_functions(corners: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Twice the signed areas that pixels span with the three edges of triangles.

    Args:
        corners: (..., 3 corners, 2 or more) u px, v px.
        x: (...) column of the pixel.
        y: (...) row of the pixel.

    Returns:
        (..., 3) px², one for the edge opposite each corner. They sum to twice the triangle's area.
    """
    (x0, x1, x2), (y0, y1, y2) = ((corners[..., k] - at[..., None]).unbind(-1) for k, at in ((0, x), (1, y)))
    return torch.stack([x1 * y2 - y1 * x2, x2 * y0 - y2 * x0, x0 * y1 - y0 * x1], -1)


def surface_weights(corners: Tensor, x: Tensor, y: Tensor, perspective: bool = True) -> tuple[Tensor, Tensor]:
    """Weights of the corners at the surface point that pixel (x, y) sees, and its depth.

    On the screen of a perspective camera value / depth is linear, so a corner counts on the surface by its edge
    function / depth; on that of an orthographic camera the value itself is linear.

    Args:
        corners: (..., 3, 3) u px, v px, depth mm of the corners.
        x: (...) column of the pixel.
        y: (...) row of the pixel.
        perspective: False for an orthographic camera.

    Returns:
        Weights (..., 3) that sum to 1, and depth (...) mm.
    """
    e = edge_functions(corners, x, y)
    w = e * (1 / corners[..., 2]) if perspective else e
    (e0, e1, e2), (w0, w1, w2) = e.unbind(-1), w.unbind(-1)
    total = w0 + w1 + w2  # in this order, so that float32 rounds as the kernels do
    if perspective:
        return w * (1 / total)[..., None], (e0 + e1 + e2) / total
    z0, z1, z2 = corners[..., 2].unbind(-1)
    return w * (1 / total)[..., None], (e0 * z0 + e1 * z1 + e2 * z2) / total


def candidates(
    corners: Tensor, size: tuple[int, int], cull_backfaces: bool, perspective: bool = True
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every pixel in the bounding box of every triangle.

    Args:
        corners: (F, 3, 3) u px, v px, depth mm.
        size: (H, W).
        cull_backfaces: Leave out triangles that turn their inside to the camera.
        perspective: False for an orthographic camera, which has no near plane.

    Returns:
        Triangle number, x, y, and whether the triangle crosses the near plane, each (N,).
    """
    H, W = size
    u, v, depth = corners.unbind(-1)
    finite = torch.isfinite(corners).flatten(1).all(-1)
    behind = (depth <= NEAR) & perspective
    keep = finite & ~behind.all(-1)
    crossing = behind.any(-1)
    if cull_backfaces:
        # v points down, so a triangle that is anticlockwise as the camera sees it has a negative area here;
        # each corner behind the camera turns the sign.
        area = (u[:, 1] - u[:, 0]) * (v[:, 2] - v[:, 0]) - (v[:, 1] - v[:, 0]) * (u[:, 2] - u[:, 0])
        keep &= torch.where(crossing, area * depth.sign().prod(-1), area) < 0
    u, v = torch.where(keep[:, None], u, -1.0), torch.where(keep[:, None], v, -1.0)
    left, right = u.amin(-1).clamp(0, W).ceil().long(), u.amax(-1).clamp(-1, W - 1).floor().long()
    top, bottom = v.amin(-1).clamp(0, H).ceil().long(), v.amax(-1).clamp(-1, H - 1).floor().long()
    # What a triangle through the near plane shows may reach anywhere.
    whole = keep & crossing
    left, top = torch.where(whole, 0, left), torch.where(whole, 0, top)
    right, bottom = torch.where(whole, W - 1, right), torch.where(whole, H - 1, bottom)
    columns = (right - left + 1).clamp(min=0)
    count = columns * (bottom - top + 1).clamp(min=0)
    triangle = torch.repeat_interleave(count)  # number i, count[i] times
    within = torch.arange(len(triangle), device=u.device) - (count.cumsum(0) - count)[triangle]
    x, y = left[triangle] + within % columns[triangle], top[triangle] + within // columns[triangle]
    return triangle, x, y, crossing[triangle]


def rasterize_one(
    points: Tensor,
    triangles: Tensor,
    size: tuple[int, int],
    cull_backfaces: bool = False,
    perspective: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """One image.

    Every triangle lists the pixels of its bounding box; a scatter with minimum keeps the nearest candidate of
    each pixel, and among equally near ones the lowest triangle number.

    Args:
        points: (V, 3) u px, v px, depth mm.
        triangles: (F, 3).
        size: (H, W).
        cull_backfaces: Leave out triangles that turn their inside to the camera.
        perspective: False for an orthographic camera.

    Returns:
        Triangle number (H, W), weights (H, W, 3) and depth (H, W).
    """
    H, W = size
    corners = points[triangles]  # (F, 3, 3)
    triangle, x, y, crossing = candidates(corners, size, cull_backfaces, perspective)
    e = edge_functions(corners[triangle], x.to(points), y.to(points))
    # A corner behind the camera turns the sign of its weight, and only the weights show what is inside.
    signs = torch.where(crossing[:, None], e * (1 / corners[triangle][..., 2]), e)
    inside = (signs.amin(-1) >= 0) != (signs.amax(-1) <= 0)  # all zero is a triangle without area
    triangle, x, y = triangle[inside], x[inside], y[inside]
    weights, depth = surface_weights(corners[triangle], x.to(points), y.to(points), perspective)
    sound = depth < torch.inf  # false as well for a NaN
    if perspective:
        sound &= depth > NEAR
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


def rasterize_reference(
    points: Tensor, triangles: Tensor, size: tuple[int, int], *options: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The batch, one image after the other: ids (B, H, W) int32, weights (B, H, W, 3), depth (B, H, W)."""
    ids = torch.empty(len(points), *size, dtype=torch.int32, device=points.device)
    weights, depth = points.new_empty(len(points), *size, 3), points.new_empty(len(points), *size)
    for b, image in enumerate(points):
        ids[b], weights[b], depth[b] = rasterize_one(image, triangles, size, *options)
    return ids, weights, depth
