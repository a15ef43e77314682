"""From a face and its light to an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.lighting import DEFAULT_LIGHT, shade
from helpers.rasterizer import Raster, interpolate, rasterize


@dataclass(frozen=True)
class Rendering:
    """B rendered images of H × W pixels.

    image: (B, H, W, 3) sRGB, not clipped above 1, with the background where no face is.
    depth: (B, H, W) mm along the camera's axis, infinite where no face is.
    normal: (B, H, W, 3) unit normals in viewer axes (x right, y up, z to the viewer), 0 where no face is.
    coverage: (B, H, W) how much of the pixel the face covers, 0 to 1; the mask, if not supersampled.
    raster: which triangle each pixel shows at its centre, and where in it.
    """

    image: Tensor
    depth: Tensor
    normal: Tensor
    coverage: Tensor
    raster: Raster

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, True where the face covers the pixel's centre."""
        return self.raster.mask

    @property
    def triangle_id(self) -> Tensor:
        """(B, H, W) int32, −1 where nothing is."""
        return self.raster.triangle_id

    @property
    def barycentric(self) -> Tensor:
        """(B, H, W, 3) weights of the triangle's corners, perspective-correct."""
        return self.raster.barycentric


def vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Unit normals (B, V, 3) of vertices (B, V, 3): the mean of the adjacent triangles' normals by area.

    The cross product of two edges is the normal times twice the area, so a plain sum weights by area. A vertex
    without a triangle has the normal 0.
    """
    B, V, _ = vertices.shape
    flat = vertices.reshape(B * V, 3)  # one table for the batch: its rows are gathered and added to much faster
    corners = (triangles + V * torch.arange(B, device=vertices.device).view(B, 1, 1)).view(-1, 3)
    a, b, c = (flat.index_select(0, corners[:, k]) for k in range(3))
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(flat)
    for k in range(3):
        total.index_add_(0, corners[:, k], face)
    return normalize(total.view(B, V, 3), dim=-1)


def render(
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    pose: Pose,
    camera: Camera,
    light: Tensor | None = None,
    background: float | Tensor = 1.0,
    supersample: int = 1,
) -> Rendering:
    """Draw B faces.

    vertices: (B or 1, V, 3) mm, model axes.  triangles: (F, 3).  albedo: (B or 1, V, 3) sRGB.
    pose, camera: B or 1.  light: (B or 1, 9, 3) spherical harmonics, or None for an even one.
    background: a grey value, or an image (B or 1, H, W, 3).
    supersample: draw the image at this many times the size along each side and average, for smooth edges.

    Differentiable in vertices, albedo, pose, camera and light wherever a pixel keeps showing the same triangle;
    the jump at a silhouette is not differentiated. Raises ValueError for shapes that do not fit together.
    """
    B = _check(vertices, albedo, pose, camera, background, supersample)
    in_camera = model_to_camera(vertices, pose).expand(B, -1, -1)
    normals = vertex_normals(vertices, triangles) @ pose.rotation.transpose(1, 2)
    attributes = torch.cat([albedo.expand(B, -1, -1), normals.expand(B, -1, -1)], -1)
    light = DEFAULT_LIGHT.to(vertices)[None] if light is None else light

    colour, depth, normal, raster = _draw(in_camera, triangles, attributes, camera, light)
    coverage = raster.mask.to(vertices)
    if supersample > 1:
        colour, _, _, fine = _draw(in_camera, triangles, attributes, camera.scaled(supersample), light)
        colour = _shrink(colour, supersample)
        coverage = _shrink(fine.mask[..., None].to(vertices), supersample)[..., 0]
    # The colour is already weighted by coverage: it is 0 where no face is.
    return Rendering(colour + (1 - coverage[..., None]) * background, depth, normal, coverage, raster)


def _draw(in_camera: Tensor, triangles: Tensor, attributes: Tensor, camera: Camera, light: Tensor):
    """Colour (0 where nothing is), depth and normal at the pixels' centres, and the raster they come from."""
    points = project(in_camera, camera)
    raster = rasterize(points, triangles, camera.size, backend="warp" if points.dtype == torch.float32 else "torch")
    moving = points if points.requires_grad else None
    layers = interpolate(torch.cat([attributes, points[..., 2:]], -1), triangles, raster, points=moving)
    albedo, normal, depth = layers.split([3, 3, 1], -1)
    normal = normalize(normal, dim=-1)
    depth = torch.where(raster.mask, depth[..., 0], torch.inf)
    return shade(albedo, normal, light), depth, normal, raster


def _shrink(image: Tensor, factor: int) -> Tensor:
    """Means over blocks of factor × factor pixels: (B, fH, fW, C) to (B, H, W, C)."""
    B, H, W, C = image.shape
    return image.view(B, H // factor, factor, W // factor, factor, C).mean((2, 4))


def _check(vertices: Tensor, albedo: Tensor, pose: Pose, camera: Camera, background, supersample: int) -> int:
    """The batch size B that everything agrees on."""
    if vertices.dim() != 3 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices must be (B, V, 3), got {tuple(vertices.shape)}")
    if albedo.dim() != 3 or albedo.shape[1:] != vertices.shape[1:]:
        raise ValueError(f"albedo must be (B or 1, {vertices.shape[1]}, 3) like vertices, got {tuple(albedo.shape)}")
    lengths = {
        "vertices": len(vertices), "albedo": len(albedo), "pose": len(pose.rotation_vector), "camera": len(camera.focal)
    }  # fmt: skip
    B = max(lengths.values())
    if not set(lengths.values()) <= {1, B}:
        raise ValueError(f"each of vertices, albedo, pose and camera must come once or {B} times, got {lengths}")
    if isinstance(background, Tensor) and background.shape not in ((B, *camera.size, 3), (1, *camera.size, 3)):
        raise ValueError(
            f"background must be a number or ({B} or 1, {camera.size[0]}, {camera.size[1]}, 3), "
            f"got {tuple(background.shape)}"
        )
    if not isinstance(supersample, int) or supersample < 1:
        raise ValueError(f"supersample must be a whole number from 1, got {supersample!r}")
    return B
