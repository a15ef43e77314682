"""Drawing a face under spherical harmonics in a few kernels, with hand-written derivatives.

`_draw_in_steps` goes through autograd: vertices to pixels, normals, raster, shading. Where no derivative is asked
for, `_draw_by_image` does all of it image by image on a CPU. Both find the same triangles and weights, bit for
bit. float32 only; `helpers.rendering.render` does the same in torch for float64 and for all other light.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from helpers._warp import cpu_threads, fill, launch, matrices, share_items, vectors, wp
from helpers.camera import Camera, OrthographicCamera, Pose, model_to_camera
from helpers.lighting import sh_basis
from helpers.rasterizer import Raster, rasterize
from helpers.rasterizer import kernels as raster_kernels
from helpers.rasterizer.raster import LEAST_VERTICES, check_points, checked_triangles, images_are_few
from helpers.rendering import kernels
from helpers.rendering.normals import rings, vertex_normals
from helpers.rendering.scene import Rendering, Scene


@dataclass(frozen=True)
class ViewTransform:
    """Pose and camera as numbers: camera point = turn · model point + shift.

    Attributes:
        turn: (B, 3, 3).
        shift: (B, 3) mm.
        rotation: (B, 3, 3) from model to viewer axes, for normals.
        lens: (B, 3) focal length (px; px per mm if orthographic) and principal point (px).
        perspective: False for an orthographic camera.
        size: (H, W) px.
    """

    turn: Tensor
    shift: Tensor
    rotation: Tensor
    lens: Tensor
    perspective: bool
    size: tuple[int, int]

    @classmethod
    def of(cls, pose: Pose, camera: Camera | OrthographicCamera, batch: int) -> ViewTransform:
        """For `batch` images; pose and camera come as often or once."""
        # What the pose does to the origin and to the three axes determines all of it.
        axes = torch.eye(3, device=pose.translation.device, dtype=pose.translation.dtype)[None]
        turned = model_to_camera(axes, Pose(pose.rotation_vector, torch.zeros_like(pose.translation)))
        focal = camera.focal if isinstance(camera, Camera) else camera.scale
        lens = torch.cat([focal[:, None], camera.principal_point], -1)
        return cls(
            turned.transpose(1, 2).expand(batch, -1, -1),
            model_to_camera(torch.zeros_like(axes[:, :1]), pose)[:, 0].expand(batch, -1),
            pose.rotation.expand(batch, -1, -1),
            lens.expand(batch, -1),
            camera.perspective,
            camera.size,
        )

    @property
    def options(self) -> int:
        """For the kernels."""
        return raster_kernels.PERSPECTIVE * self.perspective


def draw(scene: Scene, view: ViewTransform) -> tuple[Rendering, Tensor]:
    """Draw a `simple` scene.

    Returns:
        The images, not yet antialiased, and the vertices on the screen (B, V, 3), or (B, 0, 3) where nobody needs them.
    """
    assert isinstance(scene.light, Tensor)
    background = scene.background
    if not isinstance(background, Tensor):
        background = torch.full((1, 1, 1, 3), float(background), device=scene.vertices.device)
    inputs = (view.turn, view.shift, view.rotation, view.lens)
    inputs += (scene.vertices, scene.albedo, scene.light, background)
    derive = torch.is_grad_enabled() and any(t.requires_grad for t in inputs)
    (H, W), V, F = view.size, scene.vertices.shape[1], len(scene.triangles)
    # What `_draw_by_image` takes for each thread.
    threads = cpu_threads(8 * H * W + 32 * V + 4 * (max(V, F) + 1))
    if derive or scene.vertices.is_cuda or images_are_few(scene.batch, threads):
        return _draw_in_steps(scene, scene.light, background, view)
    rendering = _draw_by_image(scene, scene.light, background, view, min(threads, scene.batch))
    points = (
        screen_points(scene.vertices, view)
        if scene.antialias
        else rendering.image.new_empty(scene.batch, 0, 3)
    )
    return rendering, points


def screen_points(vertices: Tensor, view: ViewTransform) -> Tensor:
    """u px, v px and depth mm (B, V, 3) of vertices (B or 1, V, 3) mm in model axes."""
    return _ScreenPoints.apply(vertices.contiguous(), view.turn, view.shift, view.lens, view.perspective)


def _draw_in_steps(
    scene: Scene, light: Tensor, background: Tensor, view: ViewTransform
) -> tuple[Rendering, Tensor]:
    """Through autograd."""
    triangles = scene.triangles
    points = screen_points(scene.vertices, view)
    normals = vertex_normals(scene.vertices, triangles) @ view.rotation.transpose(1, 2)
    raster = rasterize(
        points, triangles, view.size, cull_backfaces=scene.cull_backfaces, perspective=view.perspective
    )
    faces = checked_triangles(triangles, scene.vertices.shape[1]).to(points.device)
    shown = faces, raster.triangle_id, raster.barycentric, raster.depth, view.options
    image, normal, depth = _Shade.apply(points, normals, scene.albedo, light, background, *shown)
    return Rendering(image, depth, normal, raster.mask.to(points), raster), points


@torch.no_grad()
def _draw_by_image(
    scene: Scene, light: Tensor, background: Tensor, view: ViewTransform, threads: int
) -> Rendering:
    """On a CPU and without derivatives: each thread draws whole images, in memory of its own."""
    B, V, (H, W) = scene.batch, scene.vertices.shape[1], view.size
    faces = checked_triangles(scene.triangles, V)
    start, ring = rings(scene.triangles, V)
    new = scene.vertices.new_empty
    given = fill(
        kernels.Scene,
        vertices=vectors(scene.vertices),
        triangles=wp.from_torch(faces, dtype=wp.vec3i),
        start=wp.from_torch(start),
        ring=wp.from_torch(ring, dtype=wp.vec2i),
        albedo=vectors(scene.albedo),
        light=vectors(light),
        background=vectors(background),
        turn=matrices(view.turn),
        shift=vectors(view.shift),
        rotation=matrices(view.rotation),
        lens=vectors(view.lens),
        options=view.options + raster_kernels.CULL * scene.cull_backfaces,
    )
    unsound = torch.zeros(threads, dtype=torch.int32)
    memory = fill(
        kernels.Memory,
        points=vectors(new(threads, V, 3)),
        codes=wp.from_torch(new((threads, V), dtype=torch.int32), dtype=wp.uint32),
        found=wp.from_torch(new((threads, max(len(faces), V) + 1), dtype=torch.int32)),
        hits=wp.from_torch(new((threads, raster_kernels.HITS, 3), dtype=torch.int32), dtype=wp.vec3i),
        buffer=wp.from_torch(new((threads, H, W), dtype=torch.int64), dtype=wp.uint64),
        normals=vectors(new(threads, V, 3)),
        seen_in=wp.from_torch(torch.full((threads, V), -1, dtype=torch.int32)),
        unsound=wp.from_torch(unsound),
    )
    raster = Raster(new((B, H, W), dtype=torch.int32), new(B, H, W, 3), new(B, H, W), view.perspective)
    rendering = Rendering(new(B, H, W, 3), raster.depth, new(B, H, W, 3), new(B, H, W), raster)
    picture = fill(
        kernels.Picture,
        triangle_id=wp.from_torch(raster.triangle_id),
        barycentric=vectors(raster.barycentric),
        depth=wp.from_torch(raster.depth),
        normal=vectors(rendering.normal),
        image=vectors(rendering.image),
        coverage=wp.from_torch(rendering.coverage),
    )

    def draw_image(b: int, slot: int) -> None:
        wp.launch(kernels.image_kernel, 1, inputs=[given, b, slot, memory, picture], device="cpu")

    share_items(kernels.image_kernel, B, threads, draw_image)
    if bool(unsound.any()):
        # Some vertex has no finite place: is that one of those which may?
        check_points(screen_points(scene.vertices, view), scene.triangles, H, W, view.perspective)
    return rendering


class _ScreenPoints(torch.autograd.Function):
    """u px, v px and depth mm (B, V, 3) of vertices (B or 1, V, 3)."""

    @staticmethod
    def forward(
        ctx: Any, vertices: Tensor, turn: Tensor, shift: Tensor, lens: Tensor, perspective: bool
    ) -> Tensor:
        B, V = len(turn), vertices.shape[1]
        points = vertices.new_empty(B, V, 3)
        options = raster_kernels.PERSPECTIVE * perspective
        inputs = [vectors(vertices), matrices(turn), vectors(shift), vectors(lens), options]
        launch(kernels.screen_kernel, B * V, inputs, [vectors(points)], points, least=LEAST_VERTICES)
        ctx.save_for_backward(vertices, turn, shift, lens)
        ctx.perspective = perspective
        return points

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        vertices, turn, shift, lens = ctx.saved_tensors
        c = vertices @ turn.transpose(1, 2) + shift[:, None]
        xy, f = c[..., :2], lens[:, None, :1]
        by_lens = torch.zeros_like(lens)
        by_lens[:, 1:] = g[..., :2].sum(1)
        if ctx.perspective:
            # Vertices in the plane of the camera have no place and take no part.
            inverse = torch.where(c[..., 2:] == 0, 0, 1 / c[..., 2:])
            along = (g[..., :2] * xy).sum(-1, keepdim=True) * inverse
            by_c = torch.cat([g[..., :2] * f * inverse, g[..., 2:] - along * f * inverse], -1)
        else:
            along = (g[..., :2] * xy).sum(-1, keepdim=True)
            by_c = torch.cat([g[..., :2] * f, g[..., 2:]], -1)
        by_lens[:, 0] = along.sum((1, 2))
        by_turn = by_c.transpose(1, 2) @ vertices.expand(len(turn), -1, -1)
        by_vertices = (by_c @ turn).sum_to_size(vertices.shape) if ctx.needs_input_grad[0] else None
        return by_vertices, by_turn, by_c.sum(1), by_lens, None


class _Shade(torch.autograd.Function):
    """Image, normal and depth of what a raster shows."""

    @staticmethod
    def forward(
        ctx: Any,
        points: Tensor,
        normals: Tensor,
        albedo: Tensor,
        light: Tensor,
        background: Tensor,
        triangles: Tensor,
        ids: Tensor,
        weights: Tensor,
        depth: Tensor,
        options: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        normal, image = torch.empty_like(weights), torch.empty_like(weights)
        inputs = [_surface(triangles, normals, albedo, light), vectors(background)]
        inputs += [wp.from_torch(ids), vectors(weights)]
        launch(kernels.shade_kernel, ids.numel(), inputs, [vectors(normal), vectors(image)], points)
        ctx.save_for_backward(points, normals, albedo, light, background, triangles, ids, normal)
        ctx.options = options
        return image, normal, depth.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_image: Tensor, g_normal: Tensor, g_depth: Tensor) -> tuple[Tensor | None, ...]:
        points, normals, albedo, light, background, triangles, ids, normal = ctx.saved_tensors
        B, H, W = ids.shape
        by_points, by_normals, by_albedo = (torch.zeros_like(points) for _ in range(3))
        by_received = torch.empty_like(g_image, memory_format=torch.contiguous_format)
        inputs = [_surface(triangles, normals, albedo, light), vectors(points), wp.from_torch(ids)]
        inputs += [ctx.options, vectors(g_image), vectors(g_normal), wp.from_torch(g_depth.contiguous())]
        outputs = [vectors(t) for t in (by_points, by_normals, by_albedo, by_received)]
        launch(kernels.shade_adjoint_kernel, B * H * W, inputs, outputs, points, grain=H * W)
        by_light = by_background = None
        if ctx.needs_input_grad[3]:
            basis = sh_basis(normal.view(B, H * W, 3))
            by_light = basis.transpose(1, 2) @ by_received.view(B, H * W, 3)
            by_light = by_light.sum_to_size(light.shape)
        if ctx.needs_input_grad[4]:
            by_background = torch.where(ids[..., None] < 0, g_image, 0).sum_to_size(background.shape)
        # A normal or an albedo that serves the whole batch gets the sum of the images' derivatives.
        by_normals, by_albedo = by_normals.sum_to_size(normals.shape), by_albedo.sum_to_size(albedo.shape)
        return by_points, by_normals, by_albedo, by_light, by_background, None, None, None, None, None


def _surface(triangles: Tensor, normals: Tensor, albedo: Tensor, light: Tensor) -> Any:
    return fill(
        kernels.Surface,
        triangles=wp.from_torch(triangles, dtype=wp.vec3i),
        normals=vectors(normals),
        albedo=vectors(albedo),
        light=vectors(light),
    )
