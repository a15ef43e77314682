"""Every kernel compiles for the GPUs of a data centre, on a machine without one."""

import subprocess
import sys

import pytest
import torch

from helpers._warp import _pool, compile_all, kernel_modules

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


@pytest.mark.skipif(
    not torch.set_flush_denormal(False), reason="this processor cannot flush tiny numbers to 0"
)
def test_threads_of_the_kernels_take_tiny_numbers_for_0_and_others_do_not():
    tiny = torch.full((8,), 1e-30)

    def product(_: int) -> float:
        return float((tiny * 1e-10)[0])

    assert product(0) > 0
    assert list(_pool().map(product, range(2))) == [0.0, 0.0]
    assert product(0) > 0
