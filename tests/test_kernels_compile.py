"""Every kernel compiles for the GPUs of a data centre, on a machine without one."""

import importlib
import pkgutil

import pytest

import helpers
from helpers._warp import wp


def kernel_modules():
    """All modules of the package that define Warp kernels, found by looking, so that none is forgotten."""
    for info in pkgutil.walk_packages(helpers.__path__, "helpers."):
        if info.name.rsplit(".", 1)[-1] == "kernels":
            yield importlib.import_module(info.name)


def test_the_search_finds_the_kernels():
    names = {module.__name__ for module in kernel_modules()}
    assert {"helpers.rasterizer.kernels", "helpers.fitting.kernels"} <= names


@pytest.mark.parametrize("arch", [80, 90, 100])
def test_every_kernel_compiles_for_cuda(arch, tmp_path):
    for module in kernel_modules():
        folder = tmp_path / module.__name__
        wp.compile_aot_module(module, arch=arch, use_ptx=False, module_dir=str(folder))
        binaries = [path for path in folder.rglob("*.cubin") if path.stat().st_size > 1000]
        assert binaries, f"{module.__name__} left no binary for sm_{arch} in {list(folder.rglob('*'))}"
