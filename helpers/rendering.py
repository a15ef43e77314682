"""From a face and its light to an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.lighting import DEFAULT_LIGHT, shade
from helpers.rasterizer import Raster, interpolate, rasterize


@dataclass(frozen=True)
class Rendering:
    """B rendered images of H × W pixels.

    image: (B, H, W, 3), not clipped above 1, with the background where no face is.
    normal: (B, H, W, 3) unit normals in viewer axes (x right, y up, z to the viewer), 0 where no face is.
    raster: which triangle each pixel shows. With supersampling, image, normal and coverage are means over the
    small pixels, and `raster` is at the size of the small pixels.
    """

    image: Tensor
    normal: Tensor
    coverage: Tensor
    raster: Raster

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, True where the face covers the pixel's centre (or at least half of it)."""
        return self.coverage >= 0.5

    @property
    def depth(self) -> Tensor:
        """(B, H, W) mm, infinite where nothing is; at the size of `raster`."""
        return self.raster.depth

    @property
    def triangle_id(self) -> Tensor:
        """(B, H, W) int32, −1 where nothing is; at the size of `raster`."""
        return self.raster.triangle_id

    @property
    def barycentric(self) -> Tensor:
        """(B, H, W, 3) weights of the triangle's corners; at the size of `raster`."""
        return self.raster.barycentric


def vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Unit normals (B, V, 3) of vertices (B, V, 3): the mean of the adjacent triangles' normals by area.

    The cross product of two edges is the normal times twice the area, so a plain sum weights by area.
    """
    a, b, c = (vertices[:, triangles[:, k]] for k in range(3))
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total = total.index_add(1, triangles[:, k], face)
    return total / total.norm(dim=-1, keepdim=True).clamp(min=1e-12)


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

    vertices: (B, V, 3) mm, model axes.  albedo: (B or 1, V, 3).  light: (B or 1, 9, 3), or None for an even one.
    background: a grey value, or an image (B or 1, H, W, 3).
    supersample: draw at this many times the size along each side and average, for smooth edges.

    Differentiable in vertices, albedo, pose, camera and light wherever a pixel keeps showing the same triangle;
    the jump at a silhouette is not differentiated.
    """
    if supersample < 1:
        raise ValueError(f"supersample must be 1 or more, got {supersample}")
    large = camera.scaled(supersample) if supersample > 1 else camera
    points = project(model_to_camera(vertices, pose), large)
    raster = rasterize(points, triangles, large.size)
    normals = vertex_normals(vertices, triangles) @ pose.rotation.transpose(1, 2)
    layers = torch.cat([albedo.expand(len(vertices), -1, -1), normals], -1)
    moving = points if points.requires_grad else None
    colour, normal = interpolate(layers, triangles, raster, points=moving).split(3, -1)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    light = DEFAULT_LIGHT.to(vertices)[None] if light is None else light
    face = shade(colour, normal, light)
    coverage = raster.mask.to(vertices)
    rendering = Rendering(face * coverage[..., None], normal, coverage, raster)
    if supersample > 1:
        rendering = replace(
            rendering,
            image=_shrink(rendering.image, supersample),
            normal=_shrink(normal, supersample),
            coverage=_shrink(coverage[..., None], supersample)[..., 0],
        )
    return replace(rendering, image=rendering.image + (1 - rendering.coverage[..., None]) * background)


def _shrink(image: Tensor, factor: int) -> Tensor:
    """Means over blocks of factor × factor pixels: (B, fH, fW, C) to (B, H, W, C)."""
    B, H, W, C = image.shape
    return image.view(B, H // factor, factor, W // factor, factor, C).mean((2, 4))
