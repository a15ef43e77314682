"""Launching a kernel over a batch: at once on a GPU, in equal parts on a few threads on a CPU."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from helpers._warp import launch_options, pool, wp
from helpers.rasterizer import raster


def vectors(tensor: Tensor) -> wp.array:
    """(..., 3) as an array of vectors."""
    return wp.from_torch(tensor.detach().contiguous(), dtype=wp.vec3)


def matrices(tensor: Tensor) -> wp.array:
    """(..., 3, 3) as an array of matrices."""
    return wp.from_torch(tensor.detach().contiguous(), dtype=wp.mat33)


def launch(
    module, kernel, shape: tuple[int, ...], arguments: list, like: Tensor, alone: bool = False
) -> None:
    """Launch over (B, N, ...). The kernel's last two arguments are the first image and the first of N of a part.

    alone: threads must not share an image, because they add to the same numbers (on a CPU additions are not
    atomic; on a GPU they are).
    """
    B, N = shape[:2]

    def part(first_image: int, images: int, first: int, number: int) -> None:
        dim = (images, number, *shape[2:])
        wp.launch(kernel, dim, inputs=[*arguments, first_image, first], **launch_options(like))

    threads = raster.THREADS
    if like.is_cuda or threads == 1 or (B < threads and alone):
        part(0, B, 0, N)
        return
    wp.load_module(module, device="cpu")  # before the threads, or each would compile it
    if B >= threads:
        cuts = [B * i // threads for i in range(threads + 1)]
        parts = [(a, b - a, 0, N) for a, b in zip(cuts, cuts[1:], strict=False)]
    else:
        cuts = [N * i // threads for i in range(threads + 1)]
        parts = [(0, B, a, b - a) for a, b in zip(cuts, cuts[1:], strict=False)]
    each(part, parts)


def each(work: Callable, parts: list[tuple]) -> None:
    """work(*part) for all parts, on the threads of the CPU."""
    list(pool(raster.THREADS).map(lambda part: work(*part), parts))
