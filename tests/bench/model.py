"""The face model: computing faces, loading, memory, and building a model from 2000 heads."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import torch

from helpers.face_model import load
from tests.bench.registry import bench, best, faster, model


@bench
def shape_batch64_vs_gemm() -> dict:
    """ms for 64 faces of the finest model, against the bare matrix product of that size."""
    face = model(2)
    alpha = torch.randn(64, face.shape_basis.shape[-1], generator=torch.Generator().manual_seed(0))
    flat = face.shape_basis.flatten(0, 1)

    def product():
        return alpha @ flat.T

    # Turn about, so that both meet the same other work on the machine.
    ours, bare = (
        min(times)
        for times in zip(
            *((best(lambda: face.shape(alpha), 4), best(product, 4)) for _ in range(4)), strict=True
        )
    )
    return faster(1e3 * ours, "ms/batch", 1e3 * bare)


@bench
def model_load_seconds() -> dict:
    return faster(best(lambda: load("open", level=2), 3), "s")


# Run in a process of its own: what the process holds more after loading than before, and at most meanwhile.
MEMORY = """
import gc, json, torch
from helpers.face_model import load

def held(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))

load("open", level=0).shape(torch.zeros(1, 99))  # libraries and their threads are there now
gc.collect()
before = held("VmRSS")
face = load("open", level=2)
gc.collect()
values = [v for v in vars(face).values() if isinstance(v, torch.Tensor)] + list(face.masks.values())
arrays = sum(v.numel() * v.element_size() for v in values)
print(json.dumps({"after": held("VmRSS") - before, "peak": held("VmHWM") - before, "arrays": arrays}))
"""


@cache
def memory() -> dict[str, int]:
    done = subprocess.run([sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@bench
def model_memory_ratio() -> dict:
    """What a loaded model holds of memory, beside the size of its arrays. Linux only."""
    used = memory()
    return {
        "value": used["after"] / 2**20,
        "unit": "MiB",
        "peer": used["arrays"] / 2**20,
        "ratio": used["after"] / used["arrays"],
    }


# 2000 heads of 55,870 vertices, each turned and moved. The peak counts the heads themselves, 1.2 GiB.
BUILD = """
import json, time, roma, torch
from helpers.face_model import build_model, load

face, generator = load("open"), torch.Generator().manual_seed(0)
heads = torch.empty(2000, face.n_vertices, 3)
for part in heads.split(50):
    turn = roma.rotvec_to_rotmat(0.2 * torch.randn(50, 3, generator=generator))
    part[:] = face.shape(torch.randn(50, 99, generator=generator)) @ turn
    part += 20 * torch.randn(50, 1, 3, generator=generator)
start = time.perf_counter()
built = build_model(heads, face.triangles)
seconds = time.perf_counter() - start
from tests.bench.registry import peak_mb
peak = peak_mb() * 1024**2
print(json.dumps({"seconds": seconds, "peak": peak, "heads": heads.numel() * 4}))
"""


@cache
def building() -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", BUILD], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@bench
def build_model_2000() -> dict:
    return faster(building()["seconds"], "s")


@bench
def build_model_2000_peak() -> dict:
    """Memory of the whole process at its highest, beside the heads it was given."""
    used = building()
    return {
        "value": used["peak"] / 2**30,
        "unit": "GiB",
        "peer": used["heads"] / 2**30,
        "ratio": used["peak"] / used["heads"],
    }


@bench
def slider_updates_per_second() -> dict:
    """Pictures a second while the shape sliders of level 1 are dragged, at 256 px."""
    from helpers.show import FaceSliders

    live = FaceSliders(model(1), 10, 256)
    rows, steps = live.sliders["shape α"], iter(range(10**9))

    def drag():
        for _ in range(10):
            step = next(steps)
            rows[step % 10].value = (step % 61 - 30) / 10 + 0.05

    return faster(10 / best(drag, 4), "updates/s")
