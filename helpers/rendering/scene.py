"""What is drawn, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.camera import Pose
from helpers.lighting import ColourTransform, PhongLight
from helpers.rasterizer import Raster


@dataclass(frozen=True)
class Scene:
    """B faces to draw, at any size: the arguments of `helpers.rendering.render`, checked.

    Attributes:
        batch: B.
        vertices: (B or 1, V, 3) mm, model axes.
        triangles: (F, 3).
        albedo: (B or 1, V, 3) sRGB.
        pose: B or 1.
        light: Spherical harmonics (B or 1, 9, 3), or a lamp.
        colour: What is done to the face's colours, or None.
        background: A grey value, or an image (B or 1, H, W, 3).
        shadows: The face throws shadows on itself.
        antialias: Smooth the silhouettes.
        cull_backfaces: Leave out triangles that turn their inside to the camera.
    """

    batch: int
    vertices: Tensor
    triangles: Tensor
    albedo: Tensor
    pose: Pose
    light: Tensor | PhongLight
    colour: ColourTransform | None
    background: float | Tensor
    shadows: bool
    antialias: bool
    cull_backfaces: bool

    @property
    def simple(self) -> bool:
        """Whether `helpers.rendering.harmonic_shading` can draw it."""
        if isinstance(self.light, PhongLight) or self.colour is not None:
            return False
        if not (self.vertices.shape[1] and len(self.triangles)):
            return False
        tensors = [self.vertices, self.albedo, self.light, self.pose.translation, self.pose.rotation_vector]
        if isinstance(self.background, Tensor):
            tensors.append(self.background)
        return all(t.dtype == torch.float32 and t.device == self.vertices.device for t in tensors)


@dataclass(frozen=True)
class Rendering:
    """B rendered images of H × W pixels.

    Attributes:
        image: (B, H, W, 3) sRGB, not clipped above 1, with the background where no face is.
        depth: (B, H, W) mm along the camera's axis, infinite where no face is.
        normal: (B, H, W, 3) unit normals in viewer axes (x right, y up, z to the viewer), 0 where no face is.
        coverage: (B, H, W) how much of the pixel the face covers, 0 to 1; the mask, if neither supersampled nor
            antialiased.
        raster: Which triangle each pixel shows at its centre, and where in it.
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
