"""Drawing a face under spherical harmonics in a few kernels, with hand-written derivatives.

`draw_in_steps` goes through autograd: vertices to pixels, normals, raster, shading. Where no derivative is asked
for, `draw_by_image` does all of it image by image on a CPU. Both find the same triangles and weights, bit for
bit. float32 only; the torch code in `helpers.rendering` says the same for float64 and for all other light.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from helpers._warp import wp
from helpers.camera import Camera, OrthographicCamera, Pose, model_to_camera
from helpers.lighting import sh_basis
from helpers.rasterizer import Raster, raster, rasterize
from helpers.rasterizer import kernels as raster_kernels
from helpers.rendering import kernels
from helpers.rendering.launch import each, launch, matrices, vectors
from helpers.rendering.one_ring import rings


@dataclass(frozen=True)
class ViewTransform:
    """Pose and camera as numbers: camera point = turn · model point + shift; lens (B, 3) focal and centre.

    rotation: (B, 3, 3) from model to viewer axes, for normals.
    """

    turn: Tensor
    shift: Tensor
    rotation: Tensor
    lens: Tensor
    perspective: bool
    size: tuple[int, int]

    @classmethod
    def of(cls, pose: Pose, camera: Camera | OrthographicCamera, batch: int) -> ViewTransform:
        perspective = camera.perspective
        # What the pose does to the origin and to the three axes says all of it.
        axes = torch.eye(3, device=pose.translation.device, dtype=pose.translation.dtype)[None]
        turned = model_to_camera(axes, Pose(pose.rotation_vector, torch.zeros_like(pose.translation)))
        focal = camera.focal if perspective else camera.scale
        lens = torch.cat([focal[:, None], camera.principal_point], -1)
        return cls(
            turned.transpose(1, 2).expand(batch, -1, -1),
            model_to_camera(torch.zeros_like(axes[:, :1]), pose)[:, 0].expand(batch, -1),
            pose.rotation.expand(batch, -1, -1),
            lens.expand(batch, -1),
            perspective,
            tuple(camera.size),
        )

    @property
    def options(self) -> int:
        return raster_kernels.PERSPECTIVE * self.perspective


class _ScreenPoints(torch.autograd.Function):
    """u px, v px and depth mm (B, V, 3) of vertices (B or 1, V, 3)."""

    @staticmethod
    def forward(
        ctx, vertices: Tensor, turn: Tensor, shift: Tensor, lens: Tensor, perspective: bool
    ) -> Tensor:
        B, V = len(turn), vertices.shape[1]
        points = vertices.new_empty(B, V, 3)
        options = raster_kernels.PERSPECTIVE * perspective
        arguments = [
            vectors(vertices),
            matrices(turn),
            vectors(shift),
            vectors(lens),
            options,
            vectors(points),
        ]
        launch(kernels, kernels.screen_kernel, (B, V), arguments, points)
        ctx.save_for_backward(vertices, turn, shift, lens)
        ctx.perspective = perspective
        return points

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor):
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
        by_vertices = _summed(by_c @ turn, vertices) if ctx.needs_input_grad[0] else None
        return by_vertices, by_turn, by_c.sum(1), by_lens, None


class _VertexNormals(torch.autograd.Function):
    """Unit normals (B, V, 3) of vertices (B, V, 3)."""

    @staticmethod
    def forward(ctx, vertices: Tensor, start: Tensor, ring: Tensor) -> Tensor:
        B, V, _ = vertices.shape
        normals, length = torch.empty_like(vertices), vertices.new_empty(B, V)
        mesh = _ring_arguments(vertices, start, ring)
        arguments = [*mesh, vectors(normals), wp.from_torch(length)]
        launch(kernels, kernels.normal_kernel, (B, V), arguments, vertices)
        ctx.save_for_backward(vertices, start, ring, normals, length)
        return normals

    @staticmethod
    @once_differentiable
    def backward(ctx, g: Tensor):
        vertices, start, ring, normals, length = ctx.saved_tensors
        # Only the part across a normal turns it.
        by_area = (g - normals * (normals * g).sum(-1, keepdim=True)) / length[..., None]
        by_vertices = torch.empty_like(vertices)
        arguments = [*_ring_arguments(vertices, start, ring), vectors(by_area), vectors(by_vertices)]
        launch(kernels, kernels.normal_adjoint_kernel, vertices.shape[:2], arguments, vertices)
        return by_vertices, None, None


class _Shade(torch.autograd.Function):
    """Image, normal and depth of what a raster shows."""

    @staticmethod
    def forward(ctx, points, normals, albedo, light, background, triangles, ids, weights, depth, options):
        B, H, W = ids.shape
        normal, image = points.new_empty(B, H, W, 3), points.new_empty(B, H, W, 3)
        arguments = [
            wp.from_torch(triangles, dtype=wp.vec3i),
            wp.from_torch(ids),
            vectors(weights),
            vectors(normals),
            vectors(albedo),
            vectors(light),
            vectors(background),
            vectors(normal),
            vectors(image),
        ]
        launch(kernels, kernels.shade_kernel, (B, H, W), arguments, points)
        ctx.save_for_backward(points, normals, albedo, light, background, triangles, ids, normal)
        ctx.options = options
        return image, normal, depth.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, g_image, g_normal, g_depth):
        points, normals, albedo, light, background, triangles, ids, normal = ctx.saved_tensors
        B, H, W = ids.shape
        by_points, by_normals, by_albedo = (torch.zeros_like(points) for _ in range(3))
        by_received = torch.empty_like(g_image, memory_format=torch.contiguous_format)
        arguments = [
            vectors(points),
            wp.from_torch(triangles, dtype=wp.vec3i),
            wp.from_torch(ids),
            vectors(normals),
            vectors(albedo),
            vectors(light),
            ctx.options,
            vectors(g_image),
            vectors(g_normal),
            wp.from_torch(g_depth.detach().contiguous()),
            vectors(by_points),
            vectors(by_normals),
            vectors(by_albedo),
            vectors(by_received),
        ]
        launch(kernels, kernels.shade_adjoint_kernel, (B, H, W), arguments, points, alone=True)
        by_light = by_background = None
        if ctx.needs_input_grad[3]:
            basis = sh_basis(normal.view(B, H * W, 3))
            by_light = _summed(basis.transpose(1, 2) @ by_received.view(B, H * W, 3), light)
        if ctx.needs_input_grad[4]:
            by_background = _summed(torch.where(ids[..., None] < 0, g_image, 0), background)
        by_normals, by_albedo = _summed(by_normals, normals), _summed(by_albedo, albedo)
        return by_points, by_normals, by_albedo, by_light, by_background, None, None, None, None, None


def screen_points(vertices: Tensor, view: ViewTransform) -> Tensor:
    """u px, v px and depth mm (B, V, 3) of vertices (B or 1, V, 3) mm in model axes."""
    return _ScreenPoints.apply(vertices.contiguous(), view.turn, view.shift, view.lens, view.perspective)


def vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Unit normals (B, V, 3) of float32 vertices (B, V, 3)."""
    raster.checked_triangles(triangles, vertices.shape[1])
    start, ring = rings(triangles, vertices.shape[1])
    return _VertexNormals.apply(vertices.contiguous(), start.to(vertices.device), ring.to(vertices.device))


def draw(
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    view: ViewTransform,
    light: Tensor,
    background: Tensor,
    cull: bool,
):
    """Image, depth, normal, coverage, the raster, and the vertices on the screen (B, V, 3).

    vertices, albedo: (B or 1, V, 3).  triangles: (F, 3).  light: (B or 1, 9, 3).
    background: (B or 1, H or 1, W or 1, 3).  cull: leave out what turns its inside to the camera.
    """
    inputs = (vertices, albedo, view.turn, view.shift, view.rotation, view.lens, light, background)
    derive = torch.is_grad_enabled() and any(t.requires_grad for t in inputs)
    if derive or vertices.is_cuda or len(view.shift) < raster.THREADS:
        return draw_in_steps(vertices, triangles, albedo, view, light, background, cull)
    drawn = draw_by_image(vertices, triangles, albedo, view, light, background, cull)
    return *drawn, None


def draw_in_steps(
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    view: ViewTransform,
    light: Tensor,
    background: Tensor,
    cull: bool,
):
    """`draw` through autograd."""
    points = screen_points(vertices, view)
    normals = vertex_normals(vertices, triangles) @ view.rotation.transpose(1, 2)
    drawn = rasterize(points, triangles, view.size, cull_backfaces=cull, perspective=view.perspective)
    faces = raster.checked_triangles(triangles, vertices.shape[1]).to(points.device)
    ids, weights = drawn.triangle_id, drawn.barycentric
    image, normal, depth = _Shade.apply(
        points, normals, albedo, light, background, faces, ids, weights, drawn.depth, view.options
    )
    return image, depth, normal, drawn.mask.to(points), drawn, points


@torch.no_grad()
def draw_by_image(
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    view: ViewTransform,
    light: Tensor,
    background: Tensor,
    cull: bool,
):
    """`draw` on a CPU and without derivatives, but for the vertices on the screen."""
    (B, _), V, (H, W) = view.shift.shape, vertices.shape[1], view.size
    faces = raster.checked_triangles(triangles, V)
    start, ring = rings(triangles, V)
    threads = min(raster.THREADS, B)
    new = vertices.new_empty
    points, own_normals = vectors(new(threads, V, 3)), vectors(new(threads, V, 3))
    codes = wp.from_torch(new((threads, V), dtype=torch.int32), dtype=wp.uint32)
    found = wp.from_torch(new((threads, max(len(faces), V) + 1), dtype=torch.int32))
    buffer = wp.from_torch(new((threads, H, W), dtype=torch.int64), dtype=wp.uint64)
    known = wp.from_torch(torch.full((threads, V), -1, dtype=torch.int32))
    ids, weights, depth = new((B, H, W), dtype=torch.int32), new(B, H, W, 3), new(B, H, W)
    normal, image, coverage = new(B, H, W, 3), new(B, H, W, 3), new(B, H, W)
    unsound = torch.zeros(threads, dtype=torch.int32)
    mesh = [vectors(vertices), wp.from_torch(faces, dtype=wp.vec3i)]
    place = [*mesh, matrices(view.turn), vectors(view.shift), vectors(view.lens)]
    place.append(view.options + raster_kernels.CULL * cull)
    depth_buffers = [points, codes, found, buffer, wp.from_torch(unsound)]
    paint = [
        *mesh,
        wp.from_torch(start),
        wp.from_torch(ring, dtype=wp.vec2i),
        vectors(albedo),
        matrices(view.rotation),
        vectors(light),
        vectors(background),
        view.options,
    ]
    results = [
        points,
        found,
        buffer,
        own_normals,
        known,
        wp.from_torch(ids),
        vectors(weights),
        wp.from_torch(depth),
        vectors(normal),
        vectors(image),
        wp.from_torch(coverage),
    ]
    wp.load_module(kernels, device="cpu")
    images = iter(range(B))

    def work(thread: int) -> None:
        for b in images:  # whoever is done takes the next
            wp.launch(kernels.face_depth_kernel, 1, inputs=[*place, b, thread, *depth_buffers], device="cpu")
            wp.launch(kernels.face_shade_kernel, 1, inputs=[*paint, b, thread, *results], device="cpu")

    each(work, [(thread,) for thread in range(threads)])
    if bool(unsound.any()):
        # Some vertex has no finite place: is that one of those which may?
        points = screen_points(vertices, view)
        raster.check_points(points, triangles, H, W, view.perspective)
    return image, depth, normal, coverage, Raster(ids, weights, depth, view.perspective)


def _ring_arguments(vertices: Tensor, start: Tensor, ring: Tensor) -> list:
    return [vectors(vertices), wp.from_torch(start), wp.from_torch(ring, dtype=wp.vec2i)]


def _summed(gradient: Tensor, like: Tensor) -> Tensor:
    """The gradient of something that was used several times along some dimensions."""
    return gradient.sum_to_size(like.shape)
