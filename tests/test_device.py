"""One check of devices, at the door of what computes. `meta` stands for a GPU: a device without numbers, which all have."""

import pytest
import torch

from helpers.camera import Camera, project
from helpers.device import check_one_device, default_device, in_threads, resolve
from helpers.errors import UserError
from helpers.face_model import load
from helpers.pooling import pool
from helpers.pose import estimate_pose
from helpers.show.cells import CELLS, CellsOn

HERE, THERE = torch.zeros(2, 3), torch.zeros(2, 3, device="meta")


def test_each_argument_is_named_with_its_device():
    check_one_device(one=HERE, other=HERE, none=None)
    check_one_device(one=THERE, other=THERE)
    with pytest.raises(ValueError, match="one is on cpu, other is on meta: move"):
        check_one_device(one=HERE, nothing=None, other=THERE)


@pytest.mark.parametrize(
    "call",
    [
        lambda: load("open", level=0).shape(THERE),
        lambda: project(torch.ones(2, 5, 3), Camera.default(64, batch=2, device="meta")),
        lambda: estimate_pose(torch.ones(1, 68, 2), torch.ones(1, 68, 3, device="meta"), Camera.default(64)),
        lambda: pool(HERE, torch.zeros(2, dtype=torch.long, device="meta"), "uniform"),
    ],
)
def test_functions_have_the_check_at_their_door(call):
    with pytest.raises(ValueError, match="one device"):
        call()


def test_the_environment_names_the_device(monkeypatch):
    monkeypatch.delenv("HELPERS_DEVICE", raising=False)
    assert default_device() == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("warp.get_cuda_device_count", lambda: 1)
    assert default_device() == "cpu" and resolve("auto") == "cuda"
    for name in ("", "auto"):
        monkeypatch.setenv("HELPERS_DEVICE", name)
        assert resolve("auto") == "cuda"
    monkeypatch.setenv("HELPERS_DEVICE", "cpu")
    assert resolve("auto") == "cpu" and resolve("cuda") == "cuda"


@pytest.mark.parametrize(
    ("name", "why"), [("gpu", "is no device"), ("cuda:7", "use --device cpu|GPU\\(s\\)")]
)
def test_a_device_that_is_not_there_is_refused_by_the_variables_name(monkeypatch, name, why):
    monkeypatch.setenv("HELPERS_DEVICE", name)
    for call in (
        default_device,
        lambda: resolve("auto"),
        lambda: load("open", level=0),
        lambda: Camera.default(8),
    ):
        with pytest.raises(UserError, match=f"HELPERS_DEVICE={name} in the environment: .*({why})"):
            call()


def test_what_a_cell_makes_lies_where_the_course_computes():
    made = """import torch
x, y = torch.zeros(2), torch.zeros(2, device="cpu")
z = torch.tensor([1.0], requires_grad=True)"""
    cell, other = {"__name__": CELLS}, {"__name__": "helpers"}
    with CellsOn("meta"):
        exec(made, cell)
        exec(made, other)
    assert [cell[name].device.type for name in "xyz"] == ["meta", "cpu", "meta"]
    assert cell["z"].is_leaf and cell["z"].requires_grad
    assert [other[name].device.type for name in "xyz"] == ["cpu", "cpu", "cpu"]


def test_threads_share_what_is_to_be_done_and_leave_the_number_of_threads_as_it_was(with_threads):
    def work(part):
        return part, torch.get_num_threads()

    with_threads(3)
    assert in_threads(work, 7, HERE) == [(slice(0, 2), 1), (slice(2, 4), 1), (slice(4, 7), 1)]
    assert in_threads(work, 2, HERE) == [(slice(0, 1), 1), (slice(1, 2), 1)]
    assert in_threads(work, 1, HERE) == [(slice(0, 1), 3)]
    with_threads(1)
    assert in_threads(work, 7, HERE) == [(slice(0, 7), 1)]


def test_what_goes_wrong_in_a_thread_is_raised_and_the_number_of_threads_is_as_it_was(with_threads):
    def work(part):
        raise ValueError(f"from {part.start}")

    with_threads(2)
    with pytest.raises(ValueError, match="from 0"):
        in_threads(work, 4, HERE)
    assert torch.get_num_threads() == 2
