"""NVIDIA Warp, started once and without a banner, and the one way in which this package launches its kernels.

A launch on a GPU is one call on torch's current stream. A launch on a CPU is serial in Warp, but it releases the
interpreter lock, so `launch` cuts it into as many parts as torch uses threads. Every module that has kernels
imports `wp` from here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import torch
import warp as wp
from torch import Tensor

# `python -m helpers doctor` reports what Warp found.
wp.config.quiet = True  # ty: ignore[missing-attribute]  (Warp declares its settings without their names)
if hasattr(wp.config, "log_level"):
    wp.config.log_level = wp.LOG_ERROR
# Compiled kernels are kept in the user's cache folder; where none can be written, they last for one session.
_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warp" / wp.config.version
_cache = Path(os.environ.get("WARP_CACHE_PATH") or _cache)
if not os.access(next(folder for folder in (_cache, *_cache.parents) if os.path.exists(folder)), os.W_OK):
    wp.config.kernel_cache_dir = tempfile.mkdtemp(prefix="warp-kernels-")

# Bytes of working memory that all threads of one call on the CPU may take together.
MOST_WORKING_MEMORY = 2**30


@contextlib.contextmanager
def _silent_stderr() -> Generator[None]:
    """Without a GPU Warp's C++ part warns that it found no CUDA driver, past Python and any setting."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _silent_stderr():
    wp.init()

__all__ = [
    "compile_all",
    "cpu_threads",
    "fill",
    "kernel_modules",
    "launch",
    "matrices",
    "share_items",
    "vectors",
    "wp",
]


def launch(
    kernel: Any, count: int, inputs: list, outputs: list, like: Tensor, *, least: int = 1, grain: int = 1
) -> None:
    """Run a kernel over the indices 0 … count − 1, on the device of a tensor.

    The kernel is one-dimensional. Its parameters are the inputs, then `first: int`, the index of the first thread of
    a launch, then the outputs.

    Args:
        kernel: A Warp kernel; its index is `wp.tid() + first`.
        count: How many indices there are, below 2³¹.
        inputs: The arguments before `first`.
        outputs: The arguments after `first`.
        like: A tensor on the device that is to work.
        least: Indices that a thread of a CPU must have for another one to be worth waking.
        grain: On a CPU, consecutive indices that must stay in one thread: multiples of `grain` are where parts begin.
            For kernels that add to shared numbers, because additions on a CPU are not atomic (on a GPU they are).
    """
    if count == 0:
        return
    if like.is_cuda:
        stream = wp.stream_from_torch(torch.cuda.current_stream(like.device))
        wp.launch(kernel, count, inputs=[*inputs, 0], outputs=outputs, stream=stream)
        return
    grains = -(-count // grain)
    parts = max(1, min(cpu_threads(), grains, count // least))
    cuts = [min(count, grain * (grains * i // parts)) for i in range(parts + 1)]

    def part(first: int, last: int) -> None:
        wp.launch(kernel, last - first, inputs=[*inputs, first], outputs=outputs, device="cpu")

    _load(kernel)
    if parts == 1:
        part(0, count)
    else:
        list(_pool().map(part, cuts[:-1], cuts[1:]))


def share_items(kernel: Any, count: int, threads: int, work: Callable[[int, int], None]) -> None:
    """Call work(item, slot) for the items 0 … count − 1 on threads of the CPU; whichever is free takes the next item.

    Args:
        kernel: The kernel that `work` launches.
        count: How many items there are.
        threads: How many items may be in work at a time.
        work: Its `slot`, from 0 to threads − 1, is not used by two calls at the same time.
    """
    _load(kernel)
    items = iter(range(count))

    def work_off(slot: int) -> None:
        for item in items:
            work(item, slot)

    list(_pool().map(work_off, range(threads)))


def cpu_threads(bytes_each: int = 0) -> int:
    """Threads for work on the CPU: as many as torch uses, or fewer if each needs so much working memory.

    Args:
        bytes_each: Working memory of one thread. All threads together take at most `MOST_WORKING_MEMORY`.
    """
    return max(1, min(torch.get_num_threads(), MOST_WORKING_MEMORY // max(1, bytes_each)))


_loading = Lock()


def _load(kernel: Any) -> None:
    """Compile a kernel for the CPU, unless it is there: by one thread, or each would do so."""
    with _loading:
        wp.load_module(kernel.module, device="cpu")


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Starts a thread only when it is needed, and keeps it.

    Its threads take numbers below 10⁻³⁸ for 0. A compiled kernel computes with vectors of four numbers, of which one or more may be
    whatever code before it left in a register. Where that is such a small number, each operation takes many times as long: a
    rasteriser was half as fast after the first image that was also shaded.
    """
    return ThreadPoolExecutor(
        os.cpu_count() or 1, "kernels", initializer=torch.set_flush_denormal, initargs=(True,)
    )


# A forked process has the pool, but not its threads, and would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def vectors(tensor: Tensor) -> wp.array:
    """A tensor (..., 3) as an array of vectors; it shares the tensor's memory if that is contiguous."""
    return wp.from_torch(tensor.detach().contiguous(), dtype=wp.vec3)


def matrices(tensor: Tensor) -> wp.array:
    """A tensor (..., 3, 3) as an array of matrices; it shares the tensor's memory if that is contiguous."""
    return wp.from_torch(tensor.detach().contiguous(), dtype=wp.mat33)


def fill(struct: Any, **members: Any) -> Any:
    """An instance of a `wp.struct` with these members."""
    filled = struct()
    for name, value in members.items():
        setattr(filled, name, value)
    return filled


def kernel_modules() -> list[str]:
    """Names of all modules of `helpers` that define Warp kernels."""
    root = Path(__file__).parent
    with_kernels = [file for file in sorted(root.rglob("*.py")) if "\n@wp.kernel" in file.read_text("utf-8")]
    return [".".join(file.relative_to(root.parent).with_suffix("").parts) for file in with_kernels]


def compile_all(arch: int, folder: str | Path | None = None) -> list[Path]:
    """Compile every kernel for a CUDA architecture. Needs neither a GPU nor a driver.

    Args:
        arch: 80, 90, 100 …
        folder: Where the binaries go; None is a temporary folder that is removed again.

    Returns:
        The paths of the binaries.

    Raises:
        RuntimeError: A kernel does not compile.
    """
    with tempfile.TemporaryDirectory() as temporary:
        made = []
        for name in kernel_modules():
            module = importlib.import_module(name)
            into = Path(folder or temporary) / name
            made += wp.compile_aot_module(module, arch=arch, use_ptx=False, module_dir=into)
        return [Path(path) for path in made]
