"""Which triangle does each pixel show, and where in it? The answer is all that a renderer needs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.rasterizer.reference import rasterize_reference, screen_weights

# A CPU launch of Warp runs on one thread and lets go of the interpreter lock: two threads share the work.
THREADS = 2
_pool = ThreadPoolExecutor(THREADS)


@dataclass(frozen=True)
class Raster:
    """What B images of H × W pixels show.

    triangle_id: (B, H, W) int32, −1 where nothing is.
    barycentric: (B, H, W, 3), weights of the triangle's corners at the surface point seen (perspective-correct).
    depth: (B, H, W) mm along the camera's axis, infinite where nothing is.
    """

    triangle_id: Tensor
    barycentric: Tensor
    depth: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool, True where a triangle is seen."""
        return self.triangle_id >= 0


def rasterize(
    points: Tensor,
    triangles: Tensor,
    size: tuple[int, int],
    *,
    cull_backfaces: bool = False,
    backend: str = "warp",
) -> Raster:
    """Find the nearest triangle in each pixel.

    points: (B, V, 3): u px, v px, depth mm, as `helpers.camera.project` gives them.
    triangles: (F, 3) vertex numbers, the same for the batch, anticlockwise seen from outside.
    size: (H, W). A pixel counts as covered when its centre, at integer coordinates, lies in or on the triangle.
    cull_backfaces: leave out triangles that turn their inside to the camera.
    backend: "warp", or "torch" for the slow and readable twin (any floating dtype).

    A triangle with a vertex nearer than 1 mm, behind the camera or not finite is left out as a whole, and so is
    one without area. Triangles may reach beyond the image. Raises ValueError for shapes or numbers that do not fit.
    """
    triangles = _checked(points, triangles, size, backend)
    if backend == "torch":
        return Raster(*rasterize_reference(points.detach(), triangles, size, cull_backfaces))
    return _rasterize_warp(points.detach().float().contiguous(), triangles, size, cull_backfaces)


def _rasterize_warp(points: Tensor, triangles: Tensor, size: tuple[int, int], cull: bool) -> Raster:
    from helpers._warp import wp
    from helpers.rasterizer import kernels

    (H, W), B, device = size, len(points), points.device
    buffer = torch.full((B, H, W), -1, dtype=torch.int64, device=device)  # all bits set: nothing yet
    ids = torch.empty((B, H, W), dtype=torch.int32, device=device)
    weights = torch.empty((B, H, W, 3), device=device)
    depth = torch.empty((B, H, W), device=device)
    p = wp.from_torch(points, dtype=wp.vec3)
    t = wp.from_torch(triangles.to(device).int().contiguous(), dtype=wp.vec3i)
    z = wp.from_torch(buffer, dtype=wp.uint64)
    outputs = [wp.from_torch(ids), wp.from_torch(weights, dtype=wp.vec3), wp.from_torch(depth)]

    def draw(first_image: int, images: int, first_row: int, last_row: int, **where) -> None:
        """Both kernels on a part that no other launch touches: some images, or some rows."""
        rows = last_row - first_row
        inputs = [p, t, first_image, first_row, last_row, int(cull)]
        wp.launch(kernels.depth_kernel, (images, len(triangles)), inputs=inputs, outputs=[z], **where)
        inputs = [p, t, z, first_image, first_row]
        wp.launch(kernels.resolve_kernel, (images, rows, W), inputs=inputs, outputs=outputs, **where)

    if points.is_cuda:
        draw(0, B, 0, H, stream=wp.stream_from_torch(torch.cuda.current_stream(device)))
        return Raster(ids, weights, depth)
    wp.load_module(kernels, device="cpu")  # before the threads, or each would compile it
    cuts = range(THREADS + 1)
    if B >= THREADS:
        edges = [B * i // THREADS for i in cuts]
        parts = [(a, b - a, 0, H) for a, b in zip(edges, edges[1:], strict=False)]
    else:
        edges = [H * i // THREADS for i in cuts]
        parts = [(0, B, a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]
    list(_pool.map(lambda part: draw(*part, device="cpu"), parts))
    return Raster(ids, weights, depth)


def interpolate(attributes: Tensor, triangles: Tensor, raster: Raster, points: Tensor | None = None) -> Tensor:
    """Values of a vertex attribute at the surface points seen: (B or 1, V, C) to (B, H, W, C), 0 where nothing is.

    Differentiable in the attributes. With `points` (B, V, 3; u, v, depth) also in the positions of the
    vertices, inside the triangle that each pixel shows. What appears or disappears at a silhouette when
    vertices move is not differentiated.
    """
    B, H, W = raster.triangle_id.shape
    weights = raster.barycentric if points is None else barycentric(points, triangles, raster)
    corners, image = _corners(triangles, raster)
    values = attributes.expand(B, -1, -1)[image, corners]  # (B, H, W, 3, C)
    mixed = (weights.to(values)[..., None] * values).sum(-2)
    return torch.where(raster.mask[..., None], mixed, torch.zeros_like(mixed))


def barycentric(points: Tensor, triangles: Tensor, raster: Raster) -> Tensor:
    """The weights (B, H, W, 3) of the raster once more, as a differentiable function of points (B, V, 3)."""
    B, H, W = raster.triangle_id.shape
    corners, image = _corners(triangles, raster)
    p0, p1, p2 = points[image, corners].unbind(-2)
    y, x = torch.meshgrid(
        torch.arange(H, device=points.device), torch.arange(W, device=points.device), indexing="ij"
    )
    w = screen_weights(p0, p1, p2, x.to(points), y.to(points))
    w = w / torch.stack([p0[..., 2], p1[..., 2], p2[..., 2]], -1)
    w = w / w.sum(-1, keepdim=True)
    return torch.where(raster.mask[..., None], w, torch.zeros_like(w))


def _corners(triangles: Tensor, raster: Raster) -> tuple[Tensor, Tensor]:
    """Vertex numbers (B, H, W, 3) of the triangle that each pixel shows (0 where none), and image numbers to go with."""
    ids = raster.triangle_id.long().clamp(min=0)
    image = torch.arange(len(ids), device=ids.device).view(-1, 1, 1, 1)
    return triangles.to(ids.device).long()[ids], image


def _checked(points: Tensor, triangles: Tensor, size: tuple[int, int], backend: str) -> Tensor:
    if points.dim() != 3 or points.shape[-1] != 3 or not points.is_floating_point():
        raise ValueError(f"points must be floating and have shape (B, V, 3), got {tuple(points.shape)}")
    if triangles.dim() != 2 or triangles.shape[-1] != 3 or triangles.is_floating_point():
        raise ValueError(f"triangles must be integers of shape (F, 3), got {tuple(triangles.shape)}")
    if len(triangles) and (int(triangles.min()) < 0 or int(triangles.max()) >= points.shape[1]):
        raise ValueError(f"triangles name vertices outside 0 … {points.shape[1] - 1}")
    H, W = size
    if H < 1 or W < 1:
        raise ValueError(f"size must be at least one pixel each way, got {tuple(size)}")
    if len(points) * H * W >= 2**31:
        raise ValueError(f"{len(points)} images of {W} × {H} px are too many pixels for one call; split the batch")
    if backend not in ("warp", "torch"):
        raise ValueError(f'backend must be "warp" or "torch", got {backend!r}')
    return triangles.long()
