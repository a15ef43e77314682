"""Which triangle does each pixel show, and where in it? The answer is all that a renderer needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from helpers._warp import cpu_threads, launch, share_items, vectors, wp
from helpers.device import check_one_device
from helpers.rasterizer import kernels
from helpers.rasterizer.mesh_cache import cached_by_mesh
from helpers.rasterizer.reference import NEAR, rasterize_reference, surface_weights

MOST = 2**31  # pixels, vertices or triangles, counted over the batch: Warp counts with 32 bits
MOST_SIDE = 16_000  # px of an image; a vertex's place among the pixels has 15 bits
LARGE = 256  # pixels of a bounding box from which a triangle is shared among threads
LEAST_VERTICES = 4096  # for another thread of a CPU to be worth waking


@dataclass(frozen=True)
class Raster:
    """What B images of H × W pixels show.

    Attributes:
        triangle_id: (B, H, W) int32, −1 where nothing is.
        barycentric: (B, H, W, 3), weights of the triangle's corners at the surface point seen
            (perspective-correct), 0 where nothing is.
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

    A triangle that crosses the near plane (depth 0.001 mm) is drawn as far as it lies beyond that plane, and no
    corner is added to it. A vertex exactly in the plane of the camera projects to no finite point; its triangles
    are left out, and so are those without area. Triangles may reach beyond the image and be of any size. At
    equal depth the lower triangle number is shown. Nothing here is differentiable: see `interpolate`.

    Memory of a call on the CPU, beside the result: 8 bytes per pixel and 4 per vertex and per triangle, times the number of
    threads (`torch.get_num_threads()`, fewer where that would be more than 1 GiB); on a GPU as many times as there
    are images.

    Args:
        points: (B, V, 3): u px, v px, depth mm, as `helpers.camera.project` gives them, on the device that is to
            work.
        triangles: (F, 3) vertex numbers, the same for the batch, anticlockwise seen from outside.
        size: (H, W). A pixel counts as covered when its centre, at integer coordinates, lies in or on the triangle.
        cull_backfaces: Leave out triangles that turn their inside to the camera.
        perspective: False for points of an orthographic camera. Depths may then be of any sign, and nothing is cut
            off.
        backend: "warp" (float32), or "torch" for the readable twin (float32 or float64).

    Returns:
        What each pixel shows.

    Raises:
        ValueError: Shapes or numbers do not fit.

    >>> import torch
    >>> points = torch.tensor([[[0.0, 0.0, 100.0], [0.0, 3.0, 100.0], [3.0, 0.0, 100.0]]])
    >>> rasterize(points, torch.tensor([[0, 1, 2]]), (3, 4)).triangle_id
    tensor([[[ 0,  0,  0,  0],
             [ 0,  0,  0, -1],
             [ 0,  0, -1, -1]]], dtype=torch.int32)
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
    B, V, _ = points.shape
    raster = Raster(
        points.new_empty((B, H, W), dtype=torch.int32),
        points.new_empty((B, H, W, 3)),
        points.new_empty((B, H, W)),
        perspective,
    )
    if B == 0:
        return raster
    results = [wp.from_torch(raster.triangle_id), vectors(raster.barycentric), wp.from_torch(raster.depth)]
    options = kernels.CULL * cull + kernels.PERSPECTIVE * perspective
    mesh = [vectors(points), wp.from_torch(triangles, dtype=wp.vec3i)]
    threads = cpu_threads(8 * H * W + 4 * (V + len(triangles)))
    if points.is_cuda:
        _draw_in_steps(points, mesh, options, results, 1)
    elif images_are_few(B, threads):
        _draw_in_steps(points, mesh, options, results, threads // B)
    else:
        _draw_images(points, mesh, options, results, min(threads, B))
    return raster


def images_are_few(batch: int, threads: int) -> bool:
    """Whether two threads or more of a CPU should share an image, instead of each drawing images of its own."""
    return threads >= 2 * batch


def _draw_images(points: Tensor, mesh: list, options: int, results: list, threads: int) -> None:
    """On a CPU: each thread draws one image after the other, from vertices to weights, in memory of its own."""
    (B, V, _), (_, H, W) = points.shape, results[0].shape
    codes = wp.from_torch(points.new_empty((threads, V), dtype=torch.int32), dtype=wp.uint32)
    candidates = wp.from_torch(points.new_empty((threads, len(mesh[1]) + 1), dtype=torch.int32))
    hits = wp.from_torch(points.new_empty((threads, kernels.HITS, 3), dtype=torch.int32), dtype=wp.vec3i)
    buffer = wp.from_torch(points.new_empty((threads, H, W), dtype=torch.int64), dtype=wp.uint64)

    def draw(b: int, slot: int) -> None:
        inputs = [*mesh, options, b, slot, codes, candidates, hits, buffer, *results]
        wp.launch(kernels.image_kernel, 1, inputs=inputs, device="cpu")

    share_items(kernels.image_kernel, B, threads, draw)


def _draw_in_steps(points: Tensor, mesh: list, options: int, results: list, layers: int) -> None:
    """One kernel after the other, each shared among all threads.

    layers: depth buffers per image. The threads of a CPU have no atomic minimum, so each that works on an image has a
    buffer of its own, a layer, and the last step takes the minimum. A GPU has one layer.
    """
    (B, V, _), (_, H, W), F = points.shape, results[0].shape, len(mesh[1])
    on_gpu = points.is_cuda
    z = points.new_full((B, layers, H, W), -1, dtype=torch.int64)  # all bits set: nothing yet
    buffer = wp.from_torch(z, dtype=wp.uint64)
    codes = wp.from_torch(points.new_empty((B, V), dtype=torch.int32), dtype=wp.uint32)
    listed = wp.from_torch(points.new_empty((B, layers, F + 1), dtype=torch.int32))
    count = points.new_zeros((B, layers, 1), dtype=torch.int32)
    launch(kernels.code_kernel, B * V, [mesh[0], H, W, options], [codes], points, least=LEAST_VERTICES)
    # A thread of a CPU draws a large triangle's many pixels at once; only the largest are shared.
    inputs = [mesh[0], codes, mesh[1], options, LARGE if on_gpu else max(LARGE, H * W // 8)]
    outputs = [buffer, listed, wp.from_torch(count)]
    if on_gpu:
        launch(kernels.depth_kernel, B * F, inputs, outputs, points)
    else:
        hits = points.new_empty((B, layers, kernels.HITS, 3), dtype=torch.int32)
        inputs.append(wp.from_torch(hits, dtype=wp.vec3i))
        launch(kernels.share_kernel, B * layers, inputs, outputs, points)
    if on_gpu or bool(count.any()):  # a GPU is not asked: the answer would have to be waited for
        inputs = [mesh[0], codes, mesh[1], options, listed, wp.from_torch(count)]
        launch(kernels.row_kernel, B * H, inputs, [buffer], points)
    pixels = 1 if on_gpu else W  # for a thread
    inputs = [*mesh, options, buffer, pixels]
    launch(kernels.resolve_kernel, B * H * -(-W // pixels), inputs, results, points)


def interpolate(
    attributes: Tensor, triangles: Tensor, raster: Raster, points: Tensor | None = None
) -> Tensor:
    """Values of a vertex attribute at the surface points seen.

    Differentiable in the attributes, and with `points` also in the positions of the vertices, inside the triangle that
    each pixel shows. What appears or disappears at a silhouette when vertices move is not differentiated.

    Args:
        attributes: (B or 1, V, C).
        triangles: (F, 3), those that were drawn.
        raster: What each pixel shows.
        points: (B, V, 3) u px, v px, depth mm, those that the raster was made from; None takes the weights as fixed.

    Returns:
        (B, H, W, C), 0 where nothing is.

    Raises:
        ValueError: The attributes are not for B images or 1.
    """
    B, H, W = raster.triangle_id.shape
    if attributes.dim() != 3 or len(attributes) not in (1, B):
        raise ValueError(f"attributes must be ({B} or 1, V, C), got {tuple(attributes.shape)}")
    check_one_device(attributes=attributes, raster=raster.triangle_id, points=points)
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
    """The weights of the raster once more, as a differentiable function of the points.

    The derivative is that of the surface point seen in a pixel, which wanders when the triangle moves under it. Which
    triangle a pixel shows is taken as given, so silhouettes are not differentiated.

    Args:
        points: (B, V, 3) u px, v px, depth mm.
        triangles: (F, 3).
        raster: What each pixel shows.

    Returns:
        (B, H, W, 3), 0 where nothing is.
    """
    B, H, W = raster.triangle_id.shape
    image, y, x = raster.mask.nonzero(as_tuple=True)
    corners = triangles.to(image.device).long()[raster.triangle_id[image, y, x].long()]
    seen = points.expand(B, -1, -1)[image[:, None], corners]
    weights, _ = surface_weights(seen, x.to(points), y.to(points), raster.perspective)
    return weights.new_zeros(B, H, W, 3).index_put((image, y, x), weights)


def checked_triangles(triangles: Tensor, n_vertices: int) -> Tensor:
    """Triangles (F, 3) as contiguous int32, once it is sure that they name only vertices 0 … n_vertices − 1."""
    if triangles.dim() != 2 or triangles.shape[-1] != 3 or triangles.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"triangles must be int32 or int64 of shape (F, 3), got {_described(triangles)}")
    highest, numbers = _highest_and_numbers(triangles)
    if highest >= n_vertices:
        raise ValueError(f"triangles name vertex {highest}, but points has only {n_vertices} vertices")
    return numbers


@cached_by_mesh
def _highest_and_numbers(triangles: Tensor) -> tuple[int, Tensor]:
    lowest, highest = (int(triangles.min()), int(triangles.max())) if len(triangles) else (0, -1)
    if lowest < 0:
        raise ValueError(f"triangles name vertex {lowest}; vertices are numbered from 0")
    return highest, triangles.detach().int().contiguous()


def check_points(points: Tensor, triangles: Tensor, H: int, W: int, perspective: bool) -> None:
    """Raise ValueError for points that cannot be drawn."""
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
    if B > 1 and 12 * H * W >= MOST:
        raise ValueError(
            f"{B} images of {H} × {W} px: the weights of one are {12 * H * W:,} bytes, and Warp counts the bytes from one "
            f"image to the next up to {MOST - 1:,}; draw images of more than {(MOST - 1) // 12:,} pixels one at a time"
        )
    # The sum is not finite if any number is not, and takes a tenth of the time of testing each.
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
