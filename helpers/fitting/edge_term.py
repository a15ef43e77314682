"""Edge term: where the model has an edge, the photograph should have one near (Romdhani and Vetter 2005).

E_edges = ½ N_e · mean_j (D(p_j) / σ_e)², with p_j the projection of point j of the model's edges, and D the distance
to the nearest edge of the photograph, at most EDGE_REACH px: an edge that the photograph does not have is no
evidence against anything. The model's edges are its outline against whatever lies behind, and its texture edges
(lips, eyes, brows). As the outline slides over the surface while the head turns, it is found anew at each level.

Two forms of D. "distance" reads the distance transform, a landscape with a valley at each edge; its slope is the
landscape's. "nearest" takes the nearest edge pixel as a fixed partner, as in iterated closest points: far from an
edge its rows are those of a straight line through that pixel. Each form also comes "oriented": the photograph's
edges are sorted by direction into SECTORS overlapping maps, and an edge of the model reads only the map of its
own direction. So an outline is not drawn to the edge of a collar that crosses it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from helpers.camera import Camera, flip_axes, model_to_camera, project
from helpers.fitting.images import gaussian_blur
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.residuals import Rows
from helpers.fitting.settings import REFERENCE_SIZE, FitSettings
from helpers.pose import pose_jacobian, projection_jacobian
from helpers.rasterizer import Raster, interpolate

EDGE_REACH = 10.0  # px of a crop of 224 px
SECTORS = 4  # of half a turn, for the oriented forms
SECTOR_REACH = 0.75  # of a sector, to either side of its middle: more than half, so that neighbours overlap


@dataclass(frozen=True)
class EdgeMap:
    """The edges of photographs; B counts maps.

    Attributes:
        edges: (B, H, W) bool.
        distance: (B, H, W) px to the nearest edge, at most the reach.
        nearest: (B, H, W, 2) px, that edge pixel.
        across: (B, H, W, 2) unit vector from a pixel towards it, 0 on edges.
        reach: px.
        sectors: how many maps a photograph has, one after the other.
    """

    edges: Tensor
    distance: Tensor
    nearest: Tensor
    across: Tensor
    reach: float
    sectors: int = 1


def edge_map(image: Tensor, valid: Tensor | None = None, sectors: int = 1) -> EdgeMap:
    """Canny edges of photographs, and how far every pixel is from them.

    Args:
        image: (B, H, W, 3).
        valid: (B, H, W), 0 where there is no photograph; its border is no edge. None means photograph everywhere.
        sectors: 1 puts all edges in one map; more sort them by the direction of their slope, modulo half a turn.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.feature import canny

    finer = max(image.shape[1:3]) / REFERENCE_SIZE
    reach = EDGE_REACH * finer
    found = []
    for b, grey in enumerate(image.mean(-1).cpu().numpy()):
        mask = None if valid is None else (valid[b] > 0.5).cpu().numpy()
        one = canny(grey, sigma=1.5 * finer, mask=mask)
        if sectors == 1:
            found.append(one)
            continue
        down, right = (gaussian_filter(grey, 1.5 * finer, order=order) for order in ((1, 0), (0, 1)))
        found.extend(one & near for near in _in_sectors(np.arctan2(down, right), sectors))
    edges = np.stack(found)
    distance, nearest = np.empty(edges.shape, np.float32), np.empty((*edges.shape, 2), np.float32)
    for b, one in enumerate(edges):
        if not one.any():  # then nothing is near an edge, and no row counts
            distance[b], nearest[b] = reach, 0
            continue
        distance[b], (row, column) = distance_transform_edt(~one, return_indices=True)
        nearest[b] = np.stack([column, row], -1)
    H, W = edges.shape[1:]
    here = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1).astype(np.float32)
    across = (nearest - here) / np.maximum(distance, 1e-6)[..., None] * (distance > 0)[..., None]
    tensors = (
        torch.from_numpy(a).to(image.device) for a in (edges, np.minimum(distance, reach), nearest, across)
    )
    return EdgeMap(*tensors, reach, sectors)


def _in_sectors(angle: np.ndarray, sectors: int) -> list[np.ndarray]:
    """For each sector of half a turn, where the angle (radians) is near its middle."""
    width = np.pi / sectors
    off = [np.abs((angle - k * width + np.pi / 2) % np.pi - np.pi / 2) for k in range(sectors)]
    return [o <= SECTOR_REACH * width for o in off]


@dataclass(frozen=True)
class EdgePoints:
    """P points of the model's edges for each photograph, fixed on the surface.

    Attributes:
        mean: (B, P, 3) mm on the mean face.
        geometry: (B, P, 3, n_geometry), how modes move them.
        weight: (B, P), 0 for unused points.
        outline: (B, P) bool, of the outline and not of the texture.
        angle: (B, P) radians in the image, of the slope across the edge as it was drawn.
    """

    mean: Tensor
    geometry: Tensor
    weight: Tensor
    outline: Tensor
    angle: Tensor

    def sector(self, sectors: int) -> Tensor:
        """(B, P) the number of the sector of half a turn whose middle is nearest to the angle."""
        return (self.angle * sectors / torch.pi).round().long() % sectors


def edge_points(
    fit_model: FitModel, raster: Raster, n_points: int, generator: torch.Generator, texture_edges: bool = True
) -> EdgePoints:
    """Draw pixels from the model's edges as they are seen.

    Half of them lie on the outline, half on the texture, where the mean face's brightness changes most.

    Args:
        fit_model: the face model.
        raster: of the B faces.
        n_points: at most so many for each photograph.
        generator: on the CPU.
        texture_edges: without them all points lie on the outline.
    """
    B, H, W = raster.triangle_id.shape
    face = interpolate(
        torch.cat([fit_model.weight[:, None], fit_model.model.mean_texture.mean(-1, keepdim=True)], -1)[None],
        fit_model.triangles,
        raster,
    )
    mask, skin, brightness = raster.mask, face[..., 0], face[..., 1]
    surrounded = -torch.nn.functional.max_pool2d(-mask.float()[:, None], 3, 1, 1)[:, 0] > 0.5
    outline = mask & ~surrounded & (skin > 0.3)
    dy, dx = torch.gradient(brightness, dim=(1, 2))
    # Off the outline, where the brightness of the background would count.
    inner = -torch.nn.functional.max_pool2d(-mask.float()[:, None], 7, 1, 3)[:, 0] > 0.5
    strength = (dx.square() + dy.square()).sqrt() * inner
    strongest = strength.flatten(1).quantile(0.97, dim=1)
    texture = (strength > strongest[:, None, None].clamp(min=1e-4)) & inner
    # A mask jumps: blurred a little, its slope points across the outline.
    soft = gaussian_blur(mask.to(skin)[..., None], 1.5)[..., 0]
    across_outline = torch.atan2(*torch.gradient(soft, dim=(1, 2)))
    across_texture = torch.atan2(dy, dx)
    lot = torch.rand(H * W, generator=generator).to(skin)
    found = [(True, outline, across_outline), (False, texture, across_texture)][: 1 + texture_edges]
    pixels, weights, kinds, angles = [], [], [], []
    for kind, candidates, angle in found:
        drawn, pixel = torch.where(candidates.flatten(1), lot, 2.0).topk(
            n_points // len(found), largest=False
        )
        pixels.append(pixel)
        angles.append(angle.flatten(1).gather(1, pixel))
        weights.append((drawn < 1).to(skin))
        kinds.append(torch.full_like(drawn, kind, dtype=torch.bool))
    pixel = torch.cat(pixels, 1)
    P = pixel.shape[1]
    triangle = raster.triangle_id.view(B, -1).gather(1, pixel).long().clamp(min=0)
    rows = fit_model.triangles[triangle].flatten()
    at = raster.barycentric.view(B, -1, 3).gather(1, pixel[..., None].expand(-1, -1, 3)).reshape(-1, 1, 3)

    def interpolated(at_corners: Tensor) -> Tensor:
        return (at @ at_corners.view(B * P, 3, -1)).view(B, P, *at_corners.shape[1:])

    return EdgePoints(
        interpolated(fit_model.model.mean_shape.index_select(0, rows)),
        interpolated(fit_model.geometry_at(rows)),
        torch.cat(weights, 1),
        torch.cat(kinds, 1),
        torch.cat(angles, 1),
    )


def edge_rows(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    edges: EdgeMap,
    points: EdgePoints,
    settings: FitSettings,
) -> Rows:
    """Residuals and Jacobian of the edge term.

    Args:
        fit_model: the face model.
        state: of B faces.
        camera: of their crops.
        edges: of the photographs.
        points: P of the model's edges.
        settings: weight, σ_e and form of the term.

    Returns:
        P rows, one for each point; those of points beyond the reach of any edge are 0.
    """
    layout, camera = fit_model.layout, state.zoomed(camera)
    B, P = points.weight.shape
    geometry = state.coefficients[:, : layout.n_geometry, None]
    position = points.mean + (points.geometry.flatten(1, 2) @ geometry).view(B, P, 3)
    in_camera = model_to_camera(position, state.pose)
    pixel = project(in_camera, camera)[..., :2]
    distance, slope = _look_up(edges, pixel, points.sector(edges.sectors), settings.edge_form)
    near = (distance < 0.999 * edges.reach) & (points.weight > 0)  # on the plateau rounding must not decide
    count = points.weight.sum(-1, keepdim=True).clamp(min=1)
    # σ_e is in px of this crop; N_e observations are shared by the points.
    root = (settings.edge_weight * near / count).sqrt() / settings.edge_sigma
    by_point = flip_axes(slope[..., None, :] @ projection_jacobian(in_camera, camera))  # (B, P, 1, 3)
    J = pixel.new_zeros(B, P, layout.size)
    by_modes = torch.bmm(
        (by_point @ state.pose.rotation[:, None]).view(B * P, 1, 3), points.geometry.view(B * P, 3, -1)
    )
    J[..., : layout.n_geometry] = by_modes.view(B, P, -1) * root[..., None]
    by_pose = slope[..., None, :] @ pose_jacobian(in_camera, state.pose.translation, camera)
    J[..., layout.pose] = by_pose[..., 0, :] * root[..., None]
    if layout.n_zoom:
        by_zoom = (slope * (pixel - camera.principal_point[:, None])).sum(-1, keepdim=True)
        J[..., layout.zoom] = by_zoom * root[..., None]
    # A point out of reach costs what it costs at the reach: the energy has no step there.
    squared = torch.where(points.weight > 0, distance.clamp(max=edges.reach).square(), 0.0)
    cost = squared / count / settings.edge_sigma**2
    return Rows.of(distance * root, J, 0.5 * settings.edge_weight * cost.sum(-1))


def _look_up(edges: EdgeMap, pixel: Tensor, sector: Tensor, form: str) -> tuple[Tensor, Tensor]:
    """(B, P) distance and (B, P, 2) its slope by the pixel position (B, P, 2), in the map of the sector (B, P)."""
    H, W = edges.distance.shape[1:]
    batch = edges.sectors * torch.arange(len(pixel), device=pixel.device)[:, None] + sector
    u = pixel[..., 0].detach().clamp(0, W - 1.001)
    v = pixel[..., 1].detach().clamp(0, H - 1.001)
    if form.endswith("nearest"):
        x, y = (u + 0.5).long(), (v + 0.5).long()
        across, partner = edges.across[batch, y, x], edges.nearest[batch, y, x]
        # Signed distance along the fixed direction; `across` points to the edge, so moving along it brings it nearer.
        signed = ((partner - pixel) * across).sum(-1)
        return torch.where(edges.distance[batch, y, x] < edges.reach, signed, edges.reach), -across
    x, y = u.long(), v.long()
    fx, fy = u - x, v - y
    d00, d10 = edges.distance[batch, y, x], edges.distance[batch, y, x + 1]
    d01, d11 = edges.distance[batch, y + 1, x], edges.distance[batch, y + 1, x + 1]
    distance = (d00 * (1 - fx) + d10 * fx) * (1 - fy) + (d01 * (1 - fx) + d11 * fx) * fy
    du = (d10 - d00) * (1 - fy) + (d11 - d01) * fy
    dv = (d01 - d00) * (1 - fx) + (d11 - d10) * fx
    return distance, torch.stack([du, dv], -1)
