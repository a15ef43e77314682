"""Which triangle does each pixel show, and where in it? The answer is all that a renderer needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag
from torch.utils.weak import WeakTensorKeyDictionary

from helpers.rasterizer.reference import NEAR, rasterize_reference, surface_weights

# A CPU launch of Warp runs on one thread and lets go of the interpreter lock: two threads share the work.
THREADS = 2
MOST_PIXELS = 2**31  # Warp counts with 32 bits


@dataclass(frozen=True)
class Raster:
    """What B images of H × W pixels show.

    triangle_id: (B, H, W) int32, −1 where nothing is.
    barycentric: (B, H, W, 3), weights of the triangle's corners at the surface point seen (perspective-correct),
    0 where nothing is.
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

    points: (B, V, 3): u px, v px, depth mm, as `helpers.camera.project` gives them, on the device that is to work.
    triangles: (F, 3) vertex numbers, the same for the batch, anticlockwise seen from outside.
    size: (H, W). A pixel counts as covered when its centre, at integer coordinates, lies in or on the triangle.
    cull_backfaces: leave out triangles that turn their inside to the camera.
    backend: "warp" (float32), or "torch" for the readable twin (float32 or float64).

    A triangle with a vertex at or before the depth of 0.001 mm is left out as a whole: none is clipped. So is
    one without area. Triangles may reach beyond the image. At equal depth the lower triangle number is shown.
    Nothing here is differentiable: see `interpolate`. Raises ValueError for shapes or numbers that do not fit.
    """
    H, W = size
    _check_points(points, H, W)
    triangles = checked_triangles(triangles, points.shape[1]).to(points.device)
    if backend == "torch":
        return Raster(*rasterize_reference(points.detach(), triangles.long(), (H, W), cull_backfaces))
    if backend != "warp":
        raise ValueError(f'backend must be "warp" or "torch", got {backend!r}')
    return _rasterize_warp(points.detach().float().contiguous(), triangles, H, W, cull_backfaces)


def _rasterize_warp(points: Tensor, triangles: Tensor, H: int, W: int, cull: bool) -> Raster:
    from helpers._warp import launch_options, pool, wp
    from helpers.rasterizer import kernels

    B = len(points)
    buffer = points.new_full((B, H, W), -1, dtype=torch.int64)  # all bits set: nothing yet
    raster = Raster(
        points.new_empty((B, H, W), dtype=torch.int32), points.new_empty((B, H, W, 3)), points.new_empty((B, H, W))
    )
    faces = wp.from_torch(triangles, dtype=wp.vec3i)
    options = launch_options(points)

    def draw(part: tuple[slice, slice]) -> None:
        """Both kernels on some images and rows, which no other thread touches. Slices share the memory."""
        images, rows = part
        corners = wp.from_torch(points[images], dtype=wp.vec3)
        z = wp.from_torch(buffer[images, rows], dtype=wp.uint64)
        outputs = [
            wp.from_torch(raster.triangle_id[images, rows]),
            wp.from_torch(raster.barycentric[images, rows], dtype=wp.vec3),
            wp.from_torch(raster.depth[images, rows]),
        ]
        inputs = [corners, faces, rows.start, int(cull)]
        wp.launch(kernels.depth_kernel, (len(corners), len(triangles)), inputs=inputs, outputs=[z], **options)
        inputs = [corners, faces, rows.start, z]
        wp.launch(kernels.resolve_kernel, z.shape, inputs=inputs, outputs=outputs, **options)

    if points.is_cuda:
        draw((slice(0, B), slice(0, H)))
        return raster
    wp.load_module(kernels, device="cpu")  # before the threads, or each would compile it
    if B >= THREADS:
        parts = [(slice(b, b + 1), slice(0, H)) for b in range(B)]
    else:
        cuts = [H * i // THREADS for i in range(THREADS + 1)]
        parts = [(slice(0, B), slice(a, b)) for a, b in zip(cuts, cuts[1:], strict=False) if b > a]
    list(pool(THREADS).map(draw, parts))
    return raster


def interpolate(attributes: Tensor, triangles: Tensor, raster: Raster, points: Tensor | None = None) -> Tensor:
    """Values of a vertex attribute at the surface points seen: (B or 1, V, C) to (B, H, W, C), 0 where nothing is.

    Differentiable in the attributes. With `points` (B, V, 3; u, v, depth) also in the positions of the
    vertices, inside the triangle that each pixel shows. What appears or disappears at a silhouette when
    vertices move is not differentiated.
    """
    B, H, W = raster.triangle_id.shape
    if attributes.dim() != 3 or len(attributes) not in (1, B):
        raise ValueError(f"attributes must be ({B} or 1, V, C), got {tuple(attributes.shape)}")
    if not len(triangles):
        return attributes.new_zeros(B, H, W, attributes.shape[-1])
    weights = raster.barycentric if points is None else barycentric(points, triangles, raster)
    triangles = triangles.to(attributes.device).long()
    # Where nothing is seen, the weights are 0 and any triangle will do.
    corners = triangles.index_select(0, raster.triangle_id.view(-1).clamp(min=0)).view(B, -1, 3)
    if len(attributes) > 1:  # number the vertices through the batch
        corners = corners + attributes.shape[1] * torch.arange(B, device=corners.device).view(B, 1, 1)
    # A "bag" is the weighted sum of a few rows of a table: gather and sum in one step, on CPU and CUDA.
    mixed = embedding_bag(
        corners.view(-1, 3), attributes.flatten(0, 1), mode="sum", per_sample_weights=weights.to(attributes).view(-1, 3)
    )
    return mixed.view(B, H, W, -1)


def barycentric(points: Tensor, triangles: Tensor, raster: Raster) -> Tensor:
    """The weights (B, H, W, 3) of the raster once more, as a differentiable function of points (B, V, 3).

    The derivative says how the surface point seen in a pixel wanders when the triangle moves under it. Which
    triangle a pixel shows is taken as given, so silhouettes are not differentiated.
    """
    B, H, W = raster.triangle_id.shape
    image, y, x = raster.mask.nonzero(as_tuple=True)
    corners = triangles.to(image.device).long()[raster.triangle_id[image, y, x].long()]
    weights, _ = surface_weights(points.expand(B, -1, -1)[image[:, None], corners], x.to(points), y.to(points))
    return weights.new_zeros(B, H, W, 3).index_put((image, y, x), weights)


_known_triangles = WeakTensorKeyDictionary()  # triangles as given: (version, largest number, int32 on their device)


def checked_triangles(triangles: Tensor, n_vertices: int) -> Tensor:
    """Triangles (F, 3) as contiguous int32, once it is sure that they name only vertices 0 … n_vertices − 1.

    A mesh is drawn many times, so the answer is kept as long as the tensor lives and does not change.
    """
    if triangles.dim() != 2 or triangles.shape[-1] != 3 or triangles.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"triangles must be int32 or int64 of shape (F, 3), got {_described(triangles)}")
    version = None if triangles.is_inference() else triangles._version
    known = _known_triangles.get(triangles)
    if known is None or version is None or known[0] != version:
        low, high = (int(triangles.min()), int(triangles.max())) if len(triangles) else (0, -1)
        if low < 0:
            raise ValueError(f"triangles name vertex {low}; vertices are numbered from 0")
        known = (version, high, triangles.detach().int().contiguous() if high < 2**31 else None)
        _known_triangles[triangles] = known
    if known[1] >= n_vertices:
        raise ValueError(f"triangles name vertex {known[1]}, but points has only {n_vertices} vertices")
    return known[2]


def _check_points(points: Tensor, H: int, W: int) -> None:
    if points.dim() != 3 or points.shape[-1] != 3 or points.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"points must be float32 or float64 of shape (B, V, 3), got {_described(points)}")
    if H < 1 or W < 1:
        raise ValueError(f"size must be at least one pixel each way, got {(H, W)}")
    if len(points) * H * W >= MOST_PIXELS:
        raise ValueError(
            f"{len(points)} images of {H} × {W} px are 2³¹ pixels or more; split the batch into smaller calls"
        )
    # The sum tells of any number that is not finite, ten times as fast as a look at each.
    if not bool(torch.isfinite(points.detach().sum())):
        # Points in the plane of the camera project to infinity; their triangles are left out by depth.
        depth = points[..., 2]
        wrong = ~torch.isfinite(depth) | ((depth > NEAR) & ~torch.isfinite(points).all(-1))
        if bool(wrong.any()):
            b, v = wrong.nonzero()[0].tolist()
            raise ValueError(f"points must be finite; vertex {v} of image {b} is {points[b, v].tolist()}")


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
