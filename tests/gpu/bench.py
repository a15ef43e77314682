"""python -m tests.gpu.bench DEVICE SECONDS [--quick]: absolute times at batches of 1 to 512, one line of JSON for each.

Each work gets an even share of the seconds, and stops early where the next batch would not fit into its share or into memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from helpers.camera import Camera, model_to_camera, project
from helpers.datasets import known_faces
from helpers.face_model import MorphableModel, load
from helpers.fitting import FitModel, FitSettings, fit
from helpers.labelling import label, quick_settings
from helpers.rasterizer import rasterize
from helpers.regression import AsymmetricEuclideanLoss, build_network, settings_of
from helpers.regression.network import channels_last
from helpers.regression.training import make_optimiser
from helpers.regression.validation import autocast, faster_precision
from tests.bench.registry import turned_heads

BATCHES = (1, 2, 8, 32, 128, 512)
MOST_RUNS = 10


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        level: of the face model's mesh.
        size: px of a picture's side.
        network: of the training step.
        batches: in this order.
        settings: of the fit.
    """

    level: int
    size: int
    network: str
    batches: tuple[int, ...]
    settings: FitSettings


def whole() -> Scale:
    """As the paper's photographs are."""
    return Scale(2, 224, "resnet101", BATCHES, FitSettings())


def quick() -> Scale:
    """To see that it runs."""
    return Scale(0, 64, "small", (1, 2), quick_settings())


# --- the works: each makes, for a batch, what is timed ---------------------------------------------------------------------

Work = Callable[[], object]


def rasteriser(device: str, batch: int, scale: Scale) -> Work:
    """Triangles of a face into a z-buffer."""
    model = load("open", level=scale.level, device=device)
    vertices = model.mean_shape.expand(batch, -1, -1)
    pose = turned_heads(batch)[1].to(device)
    camera = Camera.default(scale.size, focal=1000 * scale.size / 224, batch=batch, device=device)
    points = project(model_to_camera(vertices, pose), camera)
    return lambda: rasterize(points, model.triangles, (scale.size, scale.size))


def whole_fit(device: str, batch: int, scale: Scale) -> Work:
    """A fit of photographs whose landmarks are known, from the first step to the last."""
    model = load("open", level=scale.level, device=device)
    fit_model, faces = FitModel(model), known_faces(model, min(batch, 16), seed=20, size=scale.size)
    again = torch.arange(batch, device=device) % len(faces.image)
    image, landmarks = faces.image[again], faces.landmarks[again]
    return lambda: fit(image, landmarks, fit_model, settings=scale.settings)


def labels(device: str, batch: int, scale: Scale) -> Work:
    """From a source, which draws its photographs on the CPU, to rows on the disk."""
    model: MorphableModel = load("open", level=scale.level)

    def work() -> None:
        with tempfile.TemporaryDirectory() as out:
            options = dict(settings=scale.settings, size=scale.size, batch=batch, shard=batch, device=device)
            label(f"synthetic:{batch}x1", out, model=model, workers=0, progress=False, **options)

    return work


def training_step(device: str, batch: int, scale: Scale) -> Work:
    """Forward, backward and a step of the paper's optimiser, in the precision in which the device is fastest."""
    torch.manual_seed(0)
    network = channels_last(build_network(scale.network, outputs=198), device).train()
    optimiser, loss = make_optimiser(network, settings_of("paper")), AsymmetricEuclideanLoss()
    image = torch.rand(batch, scale.size, scale.size, 3).to(device)
    target, place = torch.randn(batch, 198).to(device), torch.device(device)
    precision = faster_precision(place)

    def work() -> None:
        with autocast(place, precision):
            guess = network(image)
        optimiser.zero_grad(set_to_none=True)
        loss(guess.float(), target).backward()
        optimiser.step()

    return work


WORKS = {"rasterise": rasteriser, "fit": whole_fit, "label": labels, "training step": training_step}


# --- the stopwatch ---------------------------------------------------------------------------------------------------------


def measure(name: str, device: str, scale: Scale, seconds: float) -> Iterator[dict[str, Any]]:
    """Rows of one work, batch after batch, for about so many seconds.

    Yields:
        name, batch, runs, `ms` the median of a run, `per_second` items, `peak_mb` of the GPU's memory; or why it stopped.
    """
    end = time.perf_counter() + seconds
    setup = each = 0.0  # seconds of the last batch: to make it, and to run it for one item
    for batch in scale.batches:
        begun = time.perf_counter()
        if begun + setup + 2 * each * batch > end:  # once to warm up, and once timed
            yield {"name": name, "batch": batch, "skipped": "no time left"}
            return
        try:
            work = WORKS[name](device, batch, scale)
            setup = time.perf_counter() - begun
            times = timed(work, device, (end - begun) / 6)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            yield {"name": name, "batch": batch, "skipped": "does not fit into memory"}
            return
        median = statistics.median(times)
        each = median / batch
        row = {"name": name, "batch": batch, "runs": len(times), "ms": 1e3 * median}
        yield row | {"per_second": batch / median, "peak_mb": peak_mb(device)}


def timed(work: Work, device: str, seconds: float) -> list[float]:
    """Seconds of each run, after one that warms up: some within `seconds`, at least one."""
    times: list[float] = []
    for run in range(1 + MOST_RUNS):
        if run > 1 and sum(times) > seconds:
            break
        if device != "cpu":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        if run:
            times.append(time.perf_counter() - start)
    return times


def peak_mb(device: str) -> float | None:
    """MB of the GPU's memory that torch held at most since the last call; Warp's buffers are torch's."""
    if device == "cpu":
        return None
    peak = torch.cuda.max_memory_allocated() / 2**20
    torch.cuda.reset_peak_memory_stats()
    return peak


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.bench", description=__doc__)
    parser.add_argument("device", help="cpu or cuda")
    parser.add_argument("seconds", type=float, help="for all of it, about")
    parser.add_argument(
        "--quick", action="store_true", help="batches of 1 and 2, a coarse mesh, small pictures"
    )
    args = parser.parse_args(arguments)
    scale, end = quick() if args.quick else whole(), time.perf_counter() + args.seconds
    for done, name in enumerate(WORKS):
        share = (end - time.perf_counter()) / (len(WORKS) - done)
        try:
            for row in measure(name, args.device, scale, share):
                print(json.dumps(row), flush=True)
        except Exception as error:  # the other works are still of interest
            fault = " ".join(f"{type(error).__name__}: {error}".split())[:400]
            print(json.dumps({"name": name, "fault": fault}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
