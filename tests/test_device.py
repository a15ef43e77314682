"""One check of devices, at the door of what computes. `meta` stands for a GPU: a device without numbers, which all have."""

import pytest
import torch

from helpers.camera import Camera, project
from helpers.device import check_one_device
from helpers.face_model import load
from helpers.pooling import pool
from helpers.pose import estimate_pose

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
