"""What several test files share."""

import os

import pytest
import torch

from helpers._open3d import open3d as load_open3d
from helpers.errors import UserError


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")


@pytest.fixture(scope="session")
def open3d():
    """The module, or a skip where a machine without a desktop lacks its system libraries; never a skip in CI."""
    try:
        return load_open3d()
    except UserError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def with_threads():
    """A function that sets how many threads torch, and so every kernel on the CPU, uses in this test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
