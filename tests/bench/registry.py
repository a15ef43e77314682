"""What every bench uses: the table of benches, a stopwatch, rows, and the heads that are measured on."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

from helpers.camera import Pose
from helpers.face_model import load

BENCHES: dict[str, Callable[[], dict]] = {}


def bench(function: Callable[[], dict]) -> Callable[[], dict]:
    BENCHES[function.__name__] = function
    return function


def best(work: Callable[[], object], runs: int = 5) -> float:
    """Seconds of the fastest of `runs`, after one that warms up."""
    work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def faster(value: float, unit: str, peer: float | None = None) -> dict:
    return {"value": value, "unit": unit, "peer": peer, "ratio": None if peer is None else peer / value}


def peak_mb(reset: bool = False) -> float:
    """MB of memory that this process has held at most, since its start or the last reset. Linux only.

    The kernel's VmHWM, and not `ru_maxrss`: a child inherits the latter from a parent that may have held far more.
    """
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@cache
def model(level: int):
    return load("open", level=level)


def turned_heads(batch: int) -> tuple[torch.Tensor, Pose]:
    """Vertices (B, V, 3) mm of one head and B poses."""
    generator = torch.Generator().manual_seed(0)
    rotation = torch.randn(batch, 3, generator=generator) * torch.tensor([0.1, 0.3, 0.1])
    pose = Pose(rotation, torch.tensor([[0.0, 0.0, 1000.0]]).repeat(batch, 1))
    return model(2).mean_shape.expand(batch, -1, -1), pose
