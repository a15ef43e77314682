"""The label factory: what it adds to the fit, what a second worker brings, and whether its memory stays where it is."""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
import time
from functools import cache

import torch

from helpers.fitting import FitModel, FitSettings, fit
from helpers.labelling import label
from helpers.labelling.labeller import Batch, Job
from helpers.labelling.schedule import work_off
from helpers.labelling.sources import open_source
from helpers.labelling.workers import make_crew
from tests.bench.registry import bench, model, peak_mb

SIZE, BATCH = 112, 16
FLAT_PHOTOS = 5000


@cache
def _source(people: int, photos: int):
    return open_source(f"synthetic:{people}x{photos}", model=model(0), size=SIZE)


@contextlib.contextmanager
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@bench
def label_rate_vs_fit() -> dict:
    """Photographs a second from source to rows on disk, against the fit alone of the same crops, by turns; no workers."""
    source, count = _source(8, 4), 32
    fit_model, fits, wholes = FitModel(model(0)), [], []
    crops = [source.load(range(first, first + BATCH), SIZE).crop for first in range(0, count, BATCH)]
    for turn in range(3):
        with _one_thread():
            start = time.perf_counter()
            for crop in crops:
                fit(crop.image, crop.landmarks, fit_model, valid=crop.valid)
            fits.append(time.perf_counter() - start)
        with tempfile.TemporaryDirectory() as out:
            start = time.perf_counter()
            label(source, out, model=model(0), size=SIZE, batch=BATCH, shard=count, workers=0, progress=False)
            wholes.append(time.perf_counter() - start)
        if turn == 0:
            fits, wholes = [], []  # the first turn warms up
    value, peer = count / min(wholes), count / min(fits)
    return {"value": value, "unit": "photo/s", "peer": peer, "ratio": value / peer}


@bench
def label_two_workers() -> dict:
    """Photographs a second of two worker processes against one, both warm: the start of a process is not counted."""
    two, one = (_rate_of_workers(count) for count in (2, 1))
    return {"value": two, "unit": "photo/s", "peer": one, "ratio": two / one}


def _rate_of_workers(workers: int) -> float:
    source, count = _source(8, 4), 48
    batches = [
        Batch(0, number, tuple(range(first % 32, first % 32 + 8)))
        for number, first in enumerate(range(0, count, 8))
    ]
    with make_crew(Job(source, model(0), FitSettings(), SIZE), "local", workers) as crew:
        list(work_off(iter(batches[: 2 * workers]), crew))  # compiles, and waits until all are there
        while len(crew.load) < workers:
            crew.wait()
        list(work_off(iter(batches[: 2 * workers]), crew))
        start = time.perf_counter()
        list(work_off(iter(batches), crew))
        return count / (time.perf_counter() - start)


@bench
def label_memory_growth() -> dict:
    """MB that the largest memory of a run grows by over its last 4000 of 5000 photographs; landmarks only, to be short."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_watch_memory, args=(its,))
    process.start()
    early, late = mine.recv()
    process.join()
    return {"value": late - early, "unit": "MB", "peer": early, "ratio": late / early}


def _watch_memory(pipe) -> None:
    source, seen = _source(FLAT_PHOTOS // 5, 5), []

    class Watched:
        """The source, and the memory at each batch."""

        def __getattr__(self, name):
            return getattr(source, name)

        def __len__(self):
            return len(source)

        def load(self, places, size):
            seen.append(peak_mb())
            return source.load(places, size)

    settings = FitSettings(dense=False, pose_iterations=1, landmark_iterations=2)
    with tempfile.TemporaryDirectory() as out:
        label(
            Watched(),
            out,
            model=model(0),
            settings=settings,
            size=SIZE,
            batch=50,
            shard=500,
            workers=0,
            progress=False,
        )
    pipe.send((seen[len(seen) // 5], seen[-1]))
