"""Every kernel compiles for the GPUs of a data centre, on a machine without one."""

import subprocess
import sys

import pytest

from helpers._warp import compile_all, kernel_modules

pytestmark = pytest.mark.slow


def test_the_search_finds_the_kernels():
    assert {"helpers.rasterizer.kernels", "helpers.fitting.kernels"} <= set(kernel_modules())


@pytest.mark.parametrize("arch", [80, 90, 100])
def test_every_kernel_compiles_for_cuda(arch, tmp_path):
    binaries = compile_all(arch, tmp_path)
    for module in kernel_modules():
        made = [path for path in binaries if path.parent.name == module and path.suffix == ".cubin"]
        assert made, f"{module} left no binary for sm_{arch} among {binaries}"
        assert all(path.stat().st_size > 1000 for path in made)


def test_warp_starts_without_a_word():
    done = subprocess.run(
        [sys.executable, "-c", "import helpers._warp"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "" and "CUDA" not in done.stderr
