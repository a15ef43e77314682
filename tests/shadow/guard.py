"""Compile and load guard.cpp. Imports no torch: the guard must be there before it."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("guard.cpp")


def _torch() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def why_not() -> str:
    """Why there can be no shadow here; empty if there can."""
    if sys.platform != "linux":
        return f"the shadow of a GPU was only made for Linux, this is {sys.platform}"
    if shutil.which("g++") is None:
        return "the shadow of a GPU needs a compiler, and there is no g++"
    if not (_torch() / "include" / "c10").is_dir():
        return "the shadow of a GPU needs torch's headers, which this torch comes without"
    if (_torch() / "lib" / "libtorch_cuda.so").exists():
        return "this torch is built for CUDA and has no room for a shadow of it"
    return ""


def build(folder: Path) -> Path:
    """Compile the guard into a folder; returns the library. Takes about 3 s."""
    library, torch = folder / "guard.so", _torch()
    include = [f"-I{torch / 'include'}", f"-I{torch / 'include/torch/csrc/api/include'}"]
    command = ["g++", "-O1", "-fPIC", "-shared", "-std=c++20", *include, str(SOURCE), f"-L{torch / 'lib'}"]
    subprocess.run([*command, "-lc10", "-ltorch_cpu", "-o", str(library)], check=True)
    return library


def load(library: Path) -> None:
    """Load the guard, so that torch finds it when it is imported and looks for what CUDA registered."""
    if "torch" in sys.modules:
        raise ImportError("the guard must be loaded before torch")
    for file in (_torch() / "lib" / "libc10.so", _torch() / "lib" / "libtorch_cpu.so", library):
        ctypes.CDLL(str(file), ctypes.RTLD_GLOBAL)
