"""NVIDIA Warp, started once and without a banner. Every module that has kernels imports `wp` from here."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import warp as wp

# `python -m helpers doctor` says what Warp found.
wp.config.quiet = True
if hasattr(wp.config, "log_level"):
    wp.config.log_level = wp.LOG_ERROR
# Compiled kernels are kept in the user's cache folder; where none can be written, they last for one session.
_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "warp" / wp.config.version
_cache = Path(os.environ.get("WARP_CACHE_PATH") or _cache)
if not os.access(next(folder for folder in (_cache, *_cache.parents) if os.path.exists(folder)), os.W_OK):
    wp.config.kernel_cache_dir = tempfile.mkdtemp(prefix="warp-kernels-")


@contextlib.contextmanager
def _silent_stderr():
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

__all__ = ["compile_all", "kernel_modules", "launch_options", "pool", "wp"]


@functools.cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Threads for launches on the CPU, which are serial and let go of the interpreter lock."""
    return ThreadPoolExecutor(threads, thread_name_prefix="kernels")


# A forked process has the pool, but not its threads, and would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.cache_clear)


def launch_options(tensor: torch.Tensor) -> dict:
    """Keyword arguments for `wp.launch`: on a GPU torch's current stream, so that both work in one queue."""
    if tensor.is_cuda:
        return {"stream": wp.stream_from_torch(torch.cuda.current_stream(tensor.device))}
    return {"device": "cpu"}


def kernel_modules() -> list[str]:
    """Names of all modules of `helpers` that define Warp kernels."""
    root = Path(__file__).parent
    with_kernels = [file for file in sorted(root.rglob("*.py")) if "\n@wp.kernel" in file.read_text("utf-8")]
    return [".".join(file.relative_to(root.parent).with_suffix("").parts) for file in with_kernels]


def compile_all(arch: int, folder: str | Path | None = None) -> list[Path]:
    """Compile every kernel for the CUDA architecture `arch` (80, 90, 100 …): the paths of the binaries.

    Needs neither a GPU nor a driver. folder: where the binaries go; None is a temporary folder that is removed
    again. Raises RuntimeError for kernels that do not compile.
    """
    with tempfile.TemporaryDirectory() as temporary:
        made = []
        for name in kernel_modules():
            module = importlib.import_module(name)
            into = Path(folder or temporary) / name
            made += wp.compile_aot_module(module, arch=arch, use_ptx=False, module_dir=into)
        return [Path(path) for path in made]
