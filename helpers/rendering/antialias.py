"""Smooth silhouettes, and a gradient where the hard ones have none.

A pixel's centre is covered or not, so an image jumps when an outline moves over it, and its derivative by the
position of the outline is zero almost everywhere. What a camera sees is the mean over the pixel's area, and
that changes smoothly. Here the outline is found where it passes between the centres of two neighbouring
pixels, and the one whose area it enters takes as much of the other's colour as the outline covers of it
(after the analytic antialiasing of Laine et al. 2020, nvdiffrast; there the edges of the triangle seen are
looked at, here all edges of the outline, because the triangles of a face are often smaller than a pixel).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.rasterizer import Raster
from helpers.rasterizer.mesh_cache import cached_by_mesh
from helpers.rasterizer.reference import NEAR


@dataclass(frozen=True)
class MeshEdges:
    """The E edges of a mesh.

    Attributes:
        ends: (E, 2) vertices.
        sides: (E, 2) the triangles left and right of it, −1 for none.
        opposite: (E, 2) the third vertex of each.
    """

    ends: Tensor
    sides: Tensor
    opposite: Tensor


@cached_by_mesh
def mesh_edges(triangles: Tensor) -> MeshEdges:
    """The edges of triangles (F, 3), each once; one that three or more triangles share, once for each of them."""
    t = triangles.long()
    F = len(t)
    directed = torch.cat([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
    opposite = torch.cat([t[:, 2], t[:, 0], t[:, 1]])
    owner = torch.arange(F, device=t.device).repeat(3)
    ends, edge, count = directed.sort(-1)[0].unique(dim=0, return_inverse=True, return_counts=True)
    order = edge.argsort(stable=True)
    first = count.cumsum(0) - count
    double = count == 2
    a, b = order[first[double]], order[first[double] + 1]
    alone = order[~double[edge[order]]]
    none = torch.full_like(owner[alone], -1)
    return MeshEdges(
        torch.cat([ends[double], directed[alone]]),
        torch.cat([torch.stack([owner[a], owner[b]], -1), torch.stack([owner[alone], none], -1)]),
        torch.cat([torch.stack([opposite[a], opposite[b]], -1), opposite[alone][:, None].expand(-1, 2)]),
    )


def antialias(
    image: Tensor, points: Tensor, triangles: Tensor, raster: Raster, cull_backfaces: bool = False
) -> Tensor:
    """Smooth the silhouettes of an image.

    Differentiable in the image, and in u and v of the ends of silhouette edges. Not differentiated: which edges
    are silhouettes, between which pixels they pass, which one is in front. Where an outline turns within a pixel
    (a corner, a part thinner than a pixel) the coverage is approximate. Edges that cross the near plane are left
    hard.

    Args:
        image: (B, H, W, C).
        points: (B, V, 3) u px, v px, depth mm, those that `raster` was made from.
        triangles: (F, 3).
        raster: Which triangle each pixel shows.
        cull_backfaces: Whether triangles that turn their inside to the camera were left out.

    Returns:
        The image (B, H, W, C) with smooth silhouettes.

    Source:
        After the analytic antialiasing of Laine et al. 2020 (nvdiffrast).
    """
    B, H, W, C = image.shape
    triangles = triangles.to(points.device)
    flat = image.reshape(-1, C)
    inside, outside, beyond = silhouette(points, triangles, raster, cull_backfaces)
    # beyond > 0: the surface reaches that far into the area of the pixel outside; < 0: it ends short of the
    # pixel inside.
    step = (flat[inside] - flat[outside]) * beyond[:, None]
    target = torch.where(beyond > 0, outside, inside)
    return flat.index_add(0, target, step).view(B, H, W, C)


def silhouette(
    points: Tensor, triangles: Tensor, raster: Raster, cull: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of neighbouring pixels between whose centres an outline passes.

    Args:
        points: (B, V, 3) u px, v px, depth mm.
        triangles: (F, 3).
        raster: What the batch shows.
        cull: Whether triangles that turn their inside to the camera were left out.

    Returns:
        The pixel inside and the one outside (N,), counted through the batch, and how far (N,) px, −½ to ½, the
        surface reaches beyond the border between the two.
    """
    B, H, W = raster.triangle_id.shape
    V = points.shape[1]
    with torch.no_grad():
        a, c, third = silhouette_edges(points, triangles, raster.perspective, cull)
    points = points.reshape(-1, 3)
    # Steep edges are looked at along rows, flat ones along columns: turn the image for those.
    steep = ((points[c, 1] - points[a, 1]).abs() >= (points[c, 0] - points[a, 0]).abs()).detach()
    parts = []
    for along, those, lines, length in ((0, steep, H, W), (1, ~steep, W, H)):
        edges = (vertex[those.nonzero()[:, 0]] for vertex in (a, c, third))
        parts.append(_crossings(points, *edges, along, lines, length, raster.perspective))
    end, line, before, at, side, depth, along = (torch.cat(part) for part in zip(*parts, strict=True))
    # The pair's pixels lie at `before` and `before + 1` on the line; `side` tells which is inside.
    one = torch.where(along == 0, line * W + before, before * W + line) + end // V * (H * W)
    two = one + torch.where(along == 0, 1, W)
    inside, outside = torch.where(side, one, two), torch.where(side, two, one)
    beyond = torch.where(side, at - before, before + 1 - at) - 0.5
    depths, seen = raster.depth.flatten(), raster.triangle_id.flatten() >= 0
    # Behind the edge must be something else, and not just the surface's own next pixel.
    shown = seen[inside] & (depths[outside] > depth * (1 + 1e-4 * depth.sign()))
    # Of several edges between two pixels the nearest is seen, and of those as near the first.
    pair, number = one * 2 + along, torch.arange(len(one), device=one.device)
    shown &= depth == _least(torch.where(shown, depth, torch.inf), pair, 2 * B * H * W)
    shown &= number == _least(torch.where(shown, number, len(one)), pair, 2 * B * H * W)
    some = shown.nonzero()[:, 0]
    return inside[some], outside[some], beyond[some]


def _least(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """(N,) for each of the values (N,) the least one of its group (N,)."""
    least = values.new_empty(groups).scatter_reduce(0, group, values, "amin", include_self=False)
    return least[group]


def silhouette_edges(
    points: Tensor, triangles: Tensor, perspective: bool, cull: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Ends a and c (N,) of the edges that may be outlines, and the third vertex of a triangle that is seen there.

    Vertices are counted through the batch.

    An outline has its surface on one side only: it is the mesh's border, or the two triangles lie on the same
    side of it on the screen, that is, they face different ways.
    """
    edges = mesh_edges(triangles)
    p = points[:, triangles.long()]  # (B, F, 3 corners, 3)
    u, v = p[..., 0], p[..., 1]
    area = (u[..., 1] - u[..., 0]) * (v[..., 2] - v[..., 0]) - (v[..., 1] - v[..., 0]) * (
        u[..., 2] - u[..., 0]
    )
    sound = torch.isfinite(p).flatten(2).all(-1)
    if perspective:
        sound &= (p[..., 2] > NEAR).all(-1)
    front, sound = area < 0, sound & (area != 0)
    left, right = edges.sides.unbind(-1)
    border = right < 0
    keep = sound[:, left] & (border | sound[:, right]) & (border | (front[:, left] != front[:, right]))
    if cull:
        keep &= front[:, left] | (~border & front[:, right])
    image, edge = keep.nonzero(as_tuple=True)
    near_left = front[image, left[edge]] | border[edge]
    third = torch.where(near_left, edges.opposite[edge, 0], edges.opposite[edge, 1])
    before = image * points.shape[1]
    return edges.ends[edge, 0] + before, edges.ends[edge, 1] + before, third + before


def _crossings(
    points: Tensor,
    a: Tensor,
    c: Tensor,
    third: Tensor,
    along: int,
    lines: int,
    length: int,
    perspective: bool,
) -> tuple[Tensor, ...]:
    """Where edges cross the lines of pixel centres: along = 0 for rows, 1 for columns.

    Returns for each crossing: an end of its edge, the line's number, the pixel before it on the line, where it is (differentiable),
    whether the surface lies before it, its depth, and `along`.
    """
    across = 1 - along
    with torch.no_grad():
        start, end = points[a, across], points[c, across]
        low, high = torch.minimum(start, end), torch.maximum(start, end)
        first = low.clamp(0, lines).ceil()
        # Half open: no crossing counts twice.
        count = (high.clamp(-1, lines).ceil() - first).clamp(min=0).long()
        edge = torch.repeat_interleave(count)
        line = first.long()[edge] + torch.arange(len(edge), device=a.device) - (count.cumsum(0) - count)[edge]
    a, c, third = a[edge], c[edge], third[edge]
    pa, pc = points[a], points[c]
    share = (line - pa[:, across]) / (pc[:, across] - pa[:, across])
    at = pa[:, along] + share * (pc[:, along] - pa[:, along])
    with torch.no_grad():
        if perspective:
            depth = 1 / ((1 - share) / pa[:, 2] + share / pc[:, 2])
        else:
            depth = (1 - share) * pa[:, 2] + share * pc[:, 2]
        # The third vertex lies before the edge's line if its place is lower than the line's at its height.
        pt = points[third]
        s = (pt[:, across] - pa[:, across]) / (pc[:, across] - pa[:, across])
        side = pt[:, along] < pa[:, along] + s * (pc[:, along] - pa[:, along])
        before = at.floor()
        keep = ((before >= 0) & (before < length - 1)).nonzero()[:, 0]
    line = line[keep]
    return a[keep], line, before[keep].long(), at[keep], side[keep], depth[keep], torch.full_like(line, along)
