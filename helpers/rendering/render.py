"""From a face and its light to an image."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.camera import Camera, OrthographicCamera, Pose, flip_axes, model_to_camera, project
from helpers.device import check_one_device
from helpers.lighting import DEFAULT_LIGHT, ColourTransform, PhongLight, shade, shade_phong
from helpers.rasterizer import interpolate, rasterize
from helpers.rendering import harmonic_shading
from helpers.rendering.antialias import antialias as smooth_outlines
from helpers.rendering.normals import vertex_normals
from helpers.rendering.scene import Rendering, Scene
from helpers.rendering.shadow import cast_shadows


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
    cull_backfaces: bool = False,
) -> Rendering:
    """Draw B faces.

    Differentiable in vertices, albedo, pose, camera, light, colour and background wherever a pixel keeps showing
    the same triangle. The jump at a silhouette is not differentiated, unless with `antialias`: then the colours on
    both sides of it follow the silhouette's place, and so does `coverage`. Shadows are not differentiated: a
    shadow's edge stays where it is. Depth and normal are those at the pixel's centre.

    Memory of a call on a CPU, without derivatives, options and supersampling: 48 bytes per pixel are the result (colour,
    normal, weights, 12 each; depth, coverage, triangle, 4 each). Each thread works with another 8 bytes per pixel, 32 per
    vertex, and 4 for every triangle (or vertex, if these are more), one image at a time, so that part does not grow
    with the batch. With derivatives every image keeps the places of its vertices, their normals, and as much again on
    the way back.

    Args:
        vertices: (B or 1, V, 3) mm, model axes.
        triangles: (F, 3).
        albedo: (B or 1, V, 3) sRGB.
        pose: B or 1.
        camera: B or 1.
        light: Spherical harmonics (B or 1, 9, 3), linear; a `PhongLight`; or None for an even light.
        background: A grey value, or an image (B or 1, H, W, 3).
        supersample: Draw the image at this many times the size along each side and average, for smooth edges.
        colour: Contrast, gain and offset applied to the face's colours, not to the background; None changes nothing.
        shadows: Parts of the face keep the lamp of a `PhongLight` from others.
        antialias: Smooth the silhouettes by how far they reach into a pixel; cheaper than `supersample`.
        cull_backfaces: Do not draw the inside of an open mesh; saves time where it does not show.

    Returns:
        The images, with depth, normals and triangles.

    Raises:
        ValueError: Shapes and options do not fit together.

    >>> import torch
    >>> vertices = torch.tensor([[[-50.0, 0.0, 0.0], [50.0, 0.0, 0.0], [0.0, 80.0, 0.0]]])
    >>> pose = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1000.0]]))
    >>> drawn = render(vertices, torch.tensor([[0, 1, 2]]), torch.ones(1, 3, 3), pose, Camera.default(224))
    >>> drawn.image.shape, int(drawn.mask.sum())
    (torch.Size([1, 224, 224, 3]), 4000)
    """
    B = _check(vertices, albedo, pose, camera, background, supersample)
    if shadows and not isinstance(light, PhongLight):
        raise ValueError(
            "shadows need a lamp: pass a PhongLight as light; spherical harmonics come from everywhere"
        )
    light = DEFAULT_LIGHT.to(vertices)[None] if light is None else light
    _check_light(light, B)
    check_one_device(vertices=vertices, light=light.ambient if isinstance(light, PhongLight) else light)
    if colour is not None and len(colour.contrast) not in (1, B):
        raise ValueError(f"colour must be for {B} images or 1, got {len(colour.contrast)}")
    check_one_device(vertices=vertices, colour=None if colour is None else colour.contrast)
    scene = Scene(
        B, vertices, triangles, albedo, pose, light, colour, background, shadows, antialias, cull_backfaces
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


def _draw(scene: Scene, camera: Camera | OrthographicCamera) -> Rendering:
    """The scene at the size of the camera."""
    if scene.simple:
        view = harmonic_shading.ViewTransform.of(scene.pose, camera, scene.batch)
        rendering, points = harmonic_shading.draw(scene, view)
    else:
        rendering, points = _draw_in_torch(scene, camera)
    if not scene.antialias:
        return rendering
    both = torch.cat([rendering.image, rendering.coverage[..., None]], -1)
    both = smooth_outlines(both, points, scene.triangles, rendering.raster, scene.cull_backfaces)
    return replace(rendering, image=both[..., :3], coverage=both[..., 3])


def _draw_in_torch(scene: Scene, camera: Camera | OrthographicCamera) -> tuple[Rendering, Tensor]:
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
    attributes = torch.cat([scene.albedo.expand(B, -1, -1), normals.expand(B, -1, -1), in_camera], -1)
    layers = interpolate(attributes, scene.triangles, raster, points if points.requires_grad else None)
    albedo, normal, position = layers.split([3, 3, 3], -1)
    normal = normalize(normal, dim=-1)
    depth = torch.where(raster.mask, position[..., 2], torch.inf)
    shaded = _shaded(scene, in_camera, albedo, normal, position, perspective)
    mask = raster.mask[..., None]
    image = torch.where(mask, shaded, scene.background)
    return Rendering(image, depth, normal, mask[..., 0].to(points), raster), points


def _shaded(
    scene: Scene, in_camera: Tensor, albedo: Tensor, normal: Tensor, position: Tensor, perspective: bool
) -> Tensor:
    """Colours of surface points (B, H, W, 3) at positions in camera axes, of any value where no face is."""
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
    return shaded if scene.colour is None else scene.colour(shaded)


def _grow(background: float | Tensor, factor: int) -> float | Tensor:
    """Every pixel of a background as factor × factor pixels."""
    if not isinstance(background, Tensor):
        return background
    return background.repeat_interleave(factor, 1).repeat_interleave(factor, 2)


def _shrink(image: Tensor, factor: int) -> Tensor:
    """Means over blocks of factor × factor pixels: (B, fH, fW, C) to (B, H, W, C)."""
    B, H, W, C = image.shape
    return image.view(B, H // factor, factor, W // factor, factor, C).mean((2, 4))


def _check_light(light: Tensor | PhongLight, batch: int) -> None:
    if isinstance(light, PhongLight):
        wrong, got = len(light.ambient) not in (1, batch), f"a PhongLight of {len(light.ambient)}"
    else:
        wrong = light.dim() != 3 or light.shape[1:] != (9, 3) or len(light) not in (1, batch)
        got = str(tuple(light.shape))
    if wrong:
        raise ValueError(f"light must be ({batch} or 1, 9, 3) or a PhongLight of {batch} or 1, got {got}")


def _check(
    vertices: Tensor,
    albedo: Tensor,
    pose: Pose,
    camera: Camera | OrthographicCamera,
    background: float | Tensor,
    supersample: int,
) -> int:
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
    check_one_device(
        vertices=vertices,
        albedo=albedo,
        pose=pose.rotation_vector,
        camera=camera.principal_point,
        background=background if isinstance(background, Tensor) else None,
    )
    if not isinstance(supersample, int) or supersample < 1:
        raise ValueError(f"supersample must be a whole number from 1, got {supersample!r}")
    return B
