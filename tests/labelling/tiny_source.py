"""A small source of rendered faces for tests of the label factory, with photographs that do harm on demand."""

from __future__ import annotations

import os
import signal
import time
from functools import cache

import pyarrow as pa
import torch

from helpers.crop import FaceCrop
from helpers.datasets import known_faces
from helpers.face_model import load
from helpers.fitting import FitSettings
from helpers.fitting.settings import Level
from helpers.labelling import Loaded
from helpers.labelling.labeller import DeviceLost
from helpers.labelling.parquet import matrix

SIZE = 64
SETTINGS = FitSettings(pose_iterations=2, landmark_iterations=3, schedule=(Level(1.0, 3, 120),))
PHOTOS_EACH = 4


def numbers_of(rows, name):
    """A column of rows as (N,) or (N, K) array."""
    values = matrix(rows, name, "rows")
    return values if pa.types.is_fixed_size_list(rows.schema.field(name).type) else values[:, 0]


@cache
def model():
    return load("open", level=0, n_shape=20, n_texture=10)


@cache
def faces(count: int):
    return known_faces(model(), count, seed=5, size=SIZE, landmark_noise=0.4)


class TinySource:
    """`count` photographs, four of each person. `harm`: place → "unreadable", "nan", "raise", "kill" or "lose_gpu".

    `gone`: a file; "kill_once" kills, and "lose_gpu" loses the GPU, only as long as it is not there.
    """

    def __init__(self, count: int, harm: dict[int, str] | None = None, gone: str = "", seconds: float = 0.0):
        drawn = faces(count)
        self.image, self.points = drawn.image, drawn.landmarks
        self.harm, self.gone, self.seconds = harm or {}, gone, seconds

    def __len__(self):
        return len(self.image)

    def name(self, place):
        return f"photo {place}", f"person {place // PHOTOS_EACH}"

    def describe(self):
        return {"kind": "tiny", "photographs": len(self)}

    def load(self, places, size):
        assert size == SIZE
        time.sleep(self.seconds)
        index, failed = [], {}
        for place in places:
            harm = self.harm.get(place)
            if harm == "kill" or (harm == "kill_once" and not os.path.exists(self.gone)):
                if self.gone:
                    open(self.gone, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
            if harm == "lose_gpu" and not os.path.exists(self.gone):
                open(self.gone, "w").close()
                raise DeviceLost("cuda:0: has failed")
            if harm == "unreadable":
                failed[place] = ("unreadable", "truncated or damaged")
            else:
                index.append(place)
        image = self.image[index].clone()
        for row, place in enumerate(index):
            image[row, 20:30] = {"nan": torch.nan, "raise": 100.0}.get(
                self.harm.get(place), image[row, 20:30]
            )
        B = len(index)
        crop = (
            FaceCrop(image, torch.ones(B, SIZE, SIZE), self.points[index], torch.ones(B), torch.zeros(B, 2))
            if B
            else None
        )
        return Loaded(
            index, crop, torch.linspace(0.5, 1.0, 9)[torch.tensor(index, dtype=torch.long) % 9], failed
        )
