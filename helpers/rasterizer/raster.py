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
MOST = 2**31  # pixels, vertices or triangles, counted over the batch: Warp counts with 32 bits
MOST_SIDE = 16_000  # px of an image; a vertex's place among the pixels has 15 bits
LARGE = 256  # pixels of a bounding box from which a triangle is shared among threads


@dataclass(frozen=True)
class Raster:
    """What B images of H × W pixels show.

    triangle_id: (B, H, W) int32, −1 where nothing is.
    barycentric: (B, H, W, 3), weights of the triangle's corners at the surface point seen (perspective-correct),
    0 where nothing is.
    depth: (B, H, W) mm along the camera's axis, infinite where nothing is.
    perspective: False for an orthographic camera, whose weights are linear on the screen.
    """

    triangle_id: Tensor
    barycentric: Tensor
    depth: Tensor
    perspective: bool = True

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
    perspective: bool = True,
    backend: str = "warp",
) -> Raster:
    """Find the nearest triangle in each pixel.

    points: (B, V, 3): u px, v px, depth mm, as `helpers.camera.project` gives them, on the device that is to work.
    triangles: (F, 3) vertex numbers, the same for the batch, anticlockwise seen from outside.
    size: (H, W). A pixel counts as covered when its centre, at integer coordinates, lies in or on the triangle.
    cull_backfaces: leave out triangles that turn their inside to the camera.
    perspective: False for points of an orthographic camera. Depths may then be of any sign, and nothing is cut
    off.
    backend: "warp" (float32), or "torch" for the readable twin (float32 or float64).

    A triangle that crosses the near plane (depth 0.001 mm) is drawn as far as it lies beyond that plane, and no
    corner is added to it. A vertex exactly in the plane of the camera projects to no finite point; its triangles
    are left out, and so are those without area. Triangles may reach beyond the image and be of any size. At
    equal depth the lower triangle number is shown.
    Nothing here is differentiable: see `interpolate`. Raises ValueError for shapes or numbers that do not fit.

    Memory of a call on the CPU, beside the result: 8 bytes a pixel and 4 a vertex and a triangle, times two
    (threads); on a GPU as many times as there are images.
    """
    H, W = size
    check_points(points, triangles, H, W, perspective)
    triangles = checked_triangles(triangles, points.shape[1]).to(points.device)
    if backend == "torch":
        drawn = rasterize_reference(points.detach(), triangles.long(), (H, W), cull_backfaces, perspective)
        return Raster(*drawn, perspective)
    if backend != "warp":
        raise ValueError(f'backend must be "warp" or "torch", got {backend!r}')
    if max(H, W) > MOST_SIDE:
        raise ValueError(
            f"images may have up to {MOST_SIDE} px a side, got {(H, W)}; draw the image in parts"
        )
    return _rasterize_warp(points.detach().float().contiguous(), triangles, H, W, cull_backfaces, perspective)


def _rasterize_warp(
    points: Tensor, triangles: Tensor, H: int, W: int, cull: bool, perspective: bool
) -> Raster:
    from helpers._warp import wp
    from helpers.rasterizer import kernels

    B, V, _ = points.shape
    raster = Raster(
        points.new_empty((B, H, W), dtype=torch.int32),
        points.new_empty((B, H, W, 3)),
        points.new_empty((B, H, W)),
        perspective,
    )
    results = [
        wp.from_torch(raster.triangle_id),
        wp.from_torch(raster.barycentric, dtype=wp.vec3),
        wp.from_torch(raster.depth),
    ]
    options = kernels.CULL * cull + kernels.PERSPECTIVE * perspective
    mesh = wp.from_torch(points, dtype=wp.vec3), wp.from_torch(triangles, dtype=wp.vec3i)
    if B == 0:
        return raster
    if points.is_cuda:
        _draw_in_steps(points, mesh, options, results, 1)
    elif B < THREADS:
        _draw_in_steps(points, mesh, options, results, THREADS)
    else:
        _draw_images(points, mesh, options, results)
    return raster


def _draw_images(points: Tensor, mesh, options: int, results) -> None:
    """On a CPU: each thread draws one image after the other, from vertices to weights, in memory of its own."""
    from helpers._warp import pool, wp
    from helpers.rasterizer import kernels

    (B, V, _), (_, H, W) = points.shape, results[0].shape
    codes, buffer, found = (
        points.new_empty((THREADS, V), dtype=torch.int32),
        points.new_empty((THREADS, H, W), dtype=torch.int64),
        points.new_empty((THREADS, len(mesh[1]) + 1), dtype=torch.int32),
    )
    own = wp.from_torch(codes, dtype=wp.uint32), wp.from_torch(found), wp.from_torch(buffer, dtype=wp.uint64)
    wp.load_module(kernels, device="cpu")  # before the threads, or each would compile it
    images = iter(range(B))

    def work(thread: int) -> None:
        for b in images:  # whoever is done takes the next
            inputs = [*mesh, options, b, thread, *own, *results]
            wp.launch(kernels.image_kernel, 1, inputs=inputs, device="cpu")

    list(pool(THREADS).map(work, range(THREADS)))


def _draw_in_steps(points: Tensor, mesh, options: int, results, threads: int) -> None:
    """On a GPU, or for fewer images than threads: one kernel after the other, each shared among all threads."""
    from helpers._warp import launch_options, pool, wp
    from helpers.rasterizer import kernels

    (B, V, _), (_, H, W), F = points.shape, results[0].shape, len(mesh[1])
    # The threads of a CPU have no atomic minimum: each has a buffer of its own, a layer, and the last step
    # takes the minimum. A GPU has one layer.
    buffer = points.new_full((B, threads, H, W), -1, dtype=torch.int64)  # all bits set: nothing yet
    codes = wp.from_torch(points.new_empty((B, V), dtype=torch.int32), dtype=wp.uint32)
    listed = wp.from_torch(points.new_empty((B, threads, F), dtype=torch.int32))
    count = wp.from_torch(points.new_zeros((B, threads, 1), dtype=torch.int32))
    z = wp.from_torch(buffer, dtype=wp.uint64)
    # A thread of a CPU takes a large triangle's many pixels as they come; only the largest are shared.
    large, stride = (LARGE, 1) if points.is_cuda else (max(LARGE, H * W // 8), max(1, -(-F // threads)))
    pixels = 1 if points.is_cuda else W
    launch = launch_options(points)

    def vertices(first: int, last: int) -> None:
        inputs = [mesh[0], H, W, options, first]
        wp.launch(kernels.code_kernel, (B, last - first), inputs=inputs, outputs=[codes], **launch)

    def faces(first: int, last: int) -> None:
        inputs = [mesh[0], codes, mesh[1], options, large, stride, first]
        wp.launch(
            kernels.depth_kernel, (B, last - first), inputs=inputs, outputs=[z, listed, count], **launch
        )

    def rows(first: int, last: int) -> None:
        inputs = [mesh[0], codes, mesh[1], options, listed, count, first]
        wp.launch(kernels.row_kernel, (B, last - first), inputs=inputs, outputs=[z], **launch)
        inputs = [mesh[0], mesh[1], options, pixels, first, z]
        wp.launch(
            kernels.resolve_kernel,
            (B, last - first, -(-W // pixels)),
            inputs=inputs,
            outputs=results,
            **launch,
        )

    wp.load_module(kernels, device=points.device.type)
    for step, length in ((vertices, V), (faces, F if points.is_cuda else threads), (rows, H)):
        cuts = [length * i // threads for i in range(threads + 1)]
        if threads == 1:
            step(0, length)
        else:
            list(pool(threads).map(step, cuts[:-1], cuts[1:]))


def interpolate(
    attributes: Tensor, triangles: Tensor, raster: Raster, points: Tensor | None = None
) -> Tensor:
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
        corners.view(-1, 3),
        attributes.flatten(0, 1),
        mode="sum",
        per_sample_weights=weights.to(attributes).view(-1, 3),
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
    seen = points.expand(B, -1, -1)[image[:, None], corners]
    weights, _ = surface_weights(seen, x.to(points), y.to(points), raster.perspective)
    return weights.new_zeros(B, H, W, 3).index_put((image, y, x), weights)


_known_triangles = (
    WeakTensorKeyDictionary()
)  # triangles as given: (version, largest number, int32 on their device)


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


def check_points(points: Tensor, triangles: Tensor, H: int, W: int, perspective: bool) -> None:
    if points.dim() != 3 or points.shape[-1] != 3 or points.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"points must be float32 or float64 of shape (B, V, 3), got {_described(points)}")
    if H < 1 or W < 1:
        raise ValueError(f"size must be at least one pixel each way, got {(H, W)}")
    B = len(points)
    for name, each in (("pixels", H * W), ("vertices", points.shape[1]), ("triangles", len(triangles))):
        if B * each >= MOST:
            raise ValueError(
                f"{B} images of {H} × {W} px with {each:,} {name} each are {B * each:,} {name}, and 2³¹ "
                f"({MOST:,}) is too many for one call; split the batch into calls of at most {(MOST - 1) // each}"
            )
    # The sum tells of any number that is not finite, ten times as fast as a look at each.
    if not bool(torch.isfinite(points.detach().sum())):
        # Points in the plane of the camera project to infinity; their triangles are left out.
        depth = points[..., 2]
        wrong = ~torch.isfinite(points).all(-1)
        if perspective:
            wrong &= ~(torch.isfinite(depth) & (depth <= NEAR))
        if bool(wrong.any()):
            b, v = wrong.nonzero()[0].tolist()
            raise ValueError(f"points must be finite; vertex {v} of image {b} is {points[b, v].tolist()}")


def _described(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
