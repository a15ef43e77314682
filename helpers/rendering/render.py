"""From a face and its light to an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.camera import Camera, OrthographicCamera, Pose, flip_axes, model_to_camera, project
from helpers.lighting import (
    DEFAULT_LIGHT,
    ColourTransform,
    PhongLight,
    linear_to_srgb,
    shade,
    shade_phong,
    srgb_to_linear,
)
from helpers.rasterizer import Raster, interpolate, rasterize
from helpers.rasterizer.raster import THREADS
from helpers.rendering import harmonic_shading
from helpers.rendering.antialias import antialias as smooth_outlines
from helpers.rendering.shadow import cast_shadows


@dataclass(frozen=True)
class Rendering:
    """B rendered images of H × W pixels.

    image: (B, H, W, 3) sRGB, not clipped above 1, with the background where no face is.
    depth: (B, H, W) mm along the camera's axis, infinite where no face is.
    normal: (B, H, W, 3) unit normals in viewer axes (x right, y up, z to the viewer), 0 where no face is.
    coverage: (B, H, W) how much of the pixel the face covers, 0 to 1; the mask, if neither supersampled nor antialiased.
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
    if vertices.dtype == torch.float32:
        return harmonic_shading.vertex_normals(vertices, triangles)
    return vertex_normals_reference(vertices, triangles)


def vertex_normals_reference(vertices: Tensor, triangles: Tensor) -> Tensor:
    """`vertex_normals` in plain torch, in any precision."""
    B, V, _ = vertices.shape
    flat = vertices.reshape(
        B * V, 3
    )  # one table for the batch: its rows are gathered and added to much faster
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
    camera: Camera | OrthographicCamera,
    light: Tensor | PhongLight | None = None,
    background: float | Tensor = 1.0,
    supersample: int = 1,
    *,
    colour: ColourTransform | None = None,
    shadows: bool = False,
    antialias: bool = False,
    linear_light: bool = False,
    cull_backfaces: bool = False,
) -> Rendering:
    """Draw B faces.

    vertices: (B or 1, V, 3) mm, model axes.  triangles: (F, 3).  albedo: (B or 1, V, 3) sRGB.
    pose, camera: B or 1.  light: spherical harmonics (B or 1, 9, 3), a `PhongLight`, or None for an even light.
    background: a grey value, or an image (B or 1, H, W, 3).
    supersample: draw the image at this many times the size along each side and average, for smooth edges.
    colour: contrast, gain and offset applied to the face's colours, not to the background; None changes nothing.
    shadows: parts of the face keep the lamp of a `PhongLight` from others.
    antialias: smooth the silhouettes by how far they reach into a pixel; cheaper than `supersample`.
    linear_light: light multiplies amounts of light instead of sRGB values, which is physically right: albedo is
    converted before shading and the colour after it.
    cull_backfaces: do not draw the inside of an open mesh; saves time where it does not show.

    Differentiable in vertices, albedo, pose, camera, light, colour and background wherever a pixel keeps showing
    the same triangle. The jump at a silhouette is not differentiated, unless with `antialias`: then the colours on
    both sides of it follow the silhouette's place, and so does `coverage`. Shadows are not differentiated: a
    shadow's edge stays where it is. Depth and normal are those at the pixel's centre.

    Raises ValueError for shapes and options that do not fit together.
    """
    B = _check(vertices, albedo, pose, camera, background, supersample)
    phong = isinstance(light, PhongLight)
    if shadows and not phong:
        raise ValueError(
            "shadows need a lamp: pass a PhongLight as light; spherical harmonics come from everywhere"
        )
    light = DEFAULT_LIGHT.to(vertices)[None] if light is None else light
    count = len(light.ambient) if phong else len(light)
    if count not in (1, B) or not (phong or light.shape[1:] == (9, 3)):
        shape = f"a PhongLight of {count}" if phong else str(tuple(light.shape))
        raise ValueError(f"light must be ({B} or 1, 9, 3) or a PhongLight of {B} or 1, got {shape}")
    if colour is not None and len(colour.contrast) not in (1, B):
        raise ValueError(f"colour must be for {B} images or 1, got {len(colour.contrast)}")
    scene = _Scene(
        B,
        vertices,
        triangles,
        albedo,
        pose,
        light,
        colour,
        background,
        shadows,
        antialias,
        linear_light,
        cull_backfaces,
    )
    if supersample == 1:
        return _draw(scene, camera)
    coarse = _draw(replace(scene, shadows=False, antialias=False), camera)
    fine = _draw(replace(scene, background=_grow(background, supersample)), camera.scaled(supersample))
    return replace(
        coarse,
        image=_shrink(fine.image, supersample),
        coverage=_shrink(fine.coverage[..., None], supersample)[..., 0],
    )


@dataclass(frozen=True)
class _Scene:
    """What is drawn and how, at any size: the arguments of `render`, checked."""

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
    linear_light: bool
    cull_backfaces: bool

    @property
    def simple(self) -> bool:
        """Whether the fused kernels can draw it."""
        special = isinstance(self.light, PhongLight) or self.linear_light or self.colour is not None
        if special or not (self.vertices.shape[1] and len(self.triangles)):
            return False
        tensors = [self.vertices, self.albedo, self.light, self.pose.translation, self.pose.rotation_vector]
        if isinstance(self.background, Tensor):
            tensors.append(self.background)
        return all(t.dtype == torch.float32 and t.device == self.vertices.device for t in tensors)


def _draw(scene: _Scene, camera: Camera | OrthographicCamera) -> Rendering:
    """The scene at the size of the camera."""
    draw = _draw_fused if scene.simple else _draw_in_torch
    rendering, points = draw(scene, camera)
    if not scene.antialias:
        return rendering
    both = torch.cat([rendering.image, rendering.coverage[..., None]], -1)
    both = smooth_outlines(both, points, scene.triangles, rendering.raster, scene.cull_backfaces)
    return replace(rendering, image=both[..., :3], coverage=both[..., 3])


def _draw_fused(scene: _Scene, camera: Camera | OrthographicCamera) -> tuple[Rendering, Tensor]:
    view = harmonic_shading.ViewTransform.of(scene.pose, camera, scene.batch)
    background = scene.background
    if not isinstance(background, Tensor):
        background = torch.full((1, 1, 1, 3), float(background), device=scene.vertices.device)
    image, depth, normal, coverage, raster, points = harmonic_shading.draw(
        scene.vertices, scene.triangles, scene.albedo, view, scene.light, background, scene.cull_backfaces
    )
    if points is None and scene.antialias:
        points = harmonic_shading.screen_points(scene.vertices, view)
    return Rendering(image, depth, normal, coverage, raster), points


def _draw_in_torch(scene: _Scene, camera: Camera | OrthographicCamera) -> tuple[Rendering, Tensor]:
    perspective = camera.perspective
    B = scene.batch
    in_camera = model_to_camera(scene.vertices, scene.pose).expand(B, -1, -1)
    normals = vertex_normals(scene.vertices, scene.triangles) @ scene.pose.rotation.transpose(1, 2)
    points = project(in_camera, camera)
    raster = rasterize(
        points,
        scene.triangles,
        camera.size,
        cull_backfaces=scene.cull_backfaces,
        perspective=perspective,
        backend="warp" if points.dtype == torch.float32 else "torch",
    )
    moving = points if points.requires_grad else None
    attributes = torch.cat([scene.albedo.expand(B, -1, -1), normals.expand(B, -1, -1), in_camera], -1)
    layers = interpolate(attributes, scene.triangles, raster, points=moving)
    albedo, normal, position = layers.split([3, 3, 3], -1)
    normal = normalize(normal, dim=-1)
    depth = torch.where(raster.mask, position[..., 2], torch.inf)
    shaded = _shaded(scene, in_camera, albedo, normal, position, perspective)
    mask = raster.mask[..., None]
    image = torch.where(mask, shaded, scene.background)
    return Rendering(image, depth, normal, mask[..., 0].to(points), raster), points


def _shaded(
    scene: _Scene, in_camera: Tensor, albedo: Tensor, normal: Tensor, position: Tensor, perspective: bool
) -> Tensor:
    """Colours of surface points (B, H, W, 3) at positions in camera axes, of any value where no face is."""
    if scene.linear_light:
        albedo = srgb_to_linear(albedo)
    if isinstance(scene.light, PhongLight):
        if perspective:
            view = normalize(-flip_axes(position), dim=-1)
        else:
            view = position.new_tensor([0.0, 0.0, 1.0]).expand_as(position)
        shadow = None
        if scene.shadows:
            towards = scene.light.towards()
            shadow = cast_shadows(flip_axes(in_camera), scene.triangles, towards, flip_axes(position), normal)
        shaded = shade_phong(albedo, normal, view, scene.light, shadow)
    else:
        shaded = shade(albedo, normal, scene.light)
    if scene.linear_light:
        shaded = linear_to_srgb(shaded)
    return shaded if scene.colour is None else scene.colour(shaded)


def _grow(background: float | Tensor, factor: int) -> float | Tensor:
    """Every pixel of a background as factor × factor pixels."""
    if not isinstance(background, Tensor):
        return background
    return background.repeat_interleave(factor, 1).repeat_interleave(factor, 2)


def render_bytes(batch: int, size: tuple[int, int], n_vertices: int, n_triangles: int) -> int:
    """Memory that one call of `render` takes on a CPU, without derivatives, options and supersampling: bytes.

    48 bytes a pixel are the result: colour, normal, weights (12 each), depth, coverage, triangle (4 each). The
    rest is what each thread works with, one image at a time, so it does not grow with the batch: 8 bytes a
    pixel, 32 a vertex, and 4 for every triangle (or vertex, if these are more). With derivatives every image
    keeps the places of its vertices, their normals, and as much again on the way back.
    """
    H, W = size
    working = 8 * H * W + 32 * n_vertices + 4 * (max(n_vertices, n_triangles) + 1)
    return 48 * batch * H * W + min(batch, THREADS) * working


def _shrink(image: Tensor, factor: int) -> Tensor:
    """Means over blocks of factor × factor pixels: (B, fH, fW, C) to (B, H, W, C)."""
    B, H, W, C = image.shape
    return image.view(B, H // factor, factor, W // factor, factor, C).mean((2, 4))


def _check(vertices: Tensor, albedo: Tensor, pose: Pose, camera, background, supersample: int) -> int:
    """The batch size B that everything agrees on."""
    if vertices.dim() != 3 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices must be (B, V, 3), got {tuple(vertices.shape)}")
    if albedo.dim() != 3 or albedo.shape[1:] != vertices.shape[1:]:
        raise ValueError(
            f"albedo must be (B or 1, {vertices.shape[1]}, 3) like vertices, got {tuple(albedo.shape)}"
        )
    lengths = {
        "vertices": len(vertices),
        "albedo": len(albedo),
        "pose": len(pose.rotation_vector),
        "camera": len(camera.principal_point),
    }
    B = max(lengths.values())
    if not set(lengths.values()) <= {1, B}:
        raise ValueError(
            f"each of vertices, albedo, pose and camera must come once or {B} times, got {lengths}"
        )
    if isinstance(background, Tensor) and background.shape not in (
        (B, *camera.size, 3),
        (1, *camera.size, 3),
    ):
        raise ValueError(
            f"background must be a number or ({B} or 1, {camera.size[0]}, {camera.size[1]}, 3), "
            f"got {tuple(background.shape)}"
        )
    if not isinstance(supersample, int) or supersample < 1:
        raise ValueError(f"supersample must be a whole number from 1, got {supersample!r}")
    return B
