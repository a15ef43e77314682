"""`label`: the whole factory in one call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from helpers.errors import UserError
from helpers.face_model import MorphableModel, load
from helpers.fitting import FitSettings
from helpers.labelling.configuration import Configuration
from helpers.labelling.crop_source import CropSource
from helpers.labelling.labeller import Batch, Job
from helpers.labelling.schedule import work_off
from helpers.labelling.sources import open_source
from helpers.labelling.store import Store, shard_files
from helpers.labelling.workers import make_crew
from helpers.progress import progress_bar


@dataclass(frozen=True)
class Summary:
    """What a folder holds after a run.

    photographs: of the source; every one has a row.  labelled: rows made by this run, in `seconds`, of which the workers
    took some to start.  good, doubtful, quarantined: fits that can be believed, fits that cannot, photographs without a fit.
    """

    photographs: int
    labelled: int
    seconds: float
    good: int
    doubtful: int
    quarantined: int

    def __str__(self) -> str:
        now = (
            f"{self.labelled} photographs labelled now, in {self.seconds:.0f} s"
            if self.labelled
            else "nothing was left to do"
        )
        return f"{now}; {self.photographs} in all: {self.good} good, {self.doubtful} doubtful, {self.quarantined} quarantined"


def label(
    source: str | Path | CropSource,
    out: str | Path,
    *,
    model: MorphableModel | None = None,
    settings: FitSettings | None = None,
    size: int = 224,
    batch: int = 32,
    shard: int = 1000,
    workers: int | None = None,
    engine: str = "local",
    device: str = "cpu",
    seed: int = 0,
    progress: bool = True,
    start: str = "spawn",
) -> Summary:
    """Fit every photograph of a source and write one row for each into shards in the folder `out`.

    Killed at any moment and called again, it goes on: shards that are whole stay, the others are made again. A shard is
    written when all its batches are done.

    source: a spec as `open_source` takes it, or a source.  model: by default the open one at level 2.
    size: px of the crop.  batch: photographs fitted together.  shard: photographs a file.
    workers, engine: see `helpers.labelling.workers.make_crew`; they change no row.  device: where workers compute.
    seed: of all random numbers.  progress: show a bar, on a terminal.  start: of local processes, see `LocalCrew`.
    Raises UserError if `out` belongs to another configuration, if the disk is full, or if workers cannot be had.
    """
    for name, value in (("batch", batch), ("shard", shard)):
        if value < 1:
            raise UserError(f"{name} {value}: at least 1 is expected")
    model = load("open") if model is None else model
    if model.landmarks is None:
        raise UserError(f"the model {model.name} has no landmarks, so it cannot be fitted")
    model = model.to("cpu")
    if isinstance(source, str | Path):
        source = open_source(str(source), model=model, size=size, seed=seed)
    settings = replace(settings or FitSettings(), seed=seed)
    configuration = Configuration.of(
        source.describe(), model, size=size, batch=batch, shard=shard, settings=settings
    )
    begin = time.perf_counter()
    with Store(out, configuration, len(source)) as store:
        done = store.finished()
        rows_done = sum(len(store.places(number)) for number in done)
        if len(done) < store.shards:
            crew = make_crew(Job(source, model, settings, size, device), engine, workers, start)
            with (
                progress_bar(
                    total=len(source), initial=rows_done, unit="photo", smoothing=0.05, shown=progress
                ) as bar,
                crew,
            ):
                _fill(store, work_off(batches_of(store, done), crew), bar)
        store.write_quarantine()
    good, doubtful, quarantined = count_codes(out)
    return Summary(
        len(source), len(source) - rows_done, time.perf_counter() - begin, good, doubtful, quarantined
    )


def batches_of(store: Store, done: set[int]) -> Iterator[Batch]:
    """The batches of all shards that are not done, in order. A batch never reaches into the next shard."""
    size = store.configuration.batch
    for shard in range(store.shards):
        if shard not in done:
            places = store.places(shard)
            for number, first in enumerate(range(0, len(places), size)):
                yield Batch(shard, number, tuple(places[first : first + size]))


def _fill(store: Store, answers: Iterator[tuple[Batch, pa.Table]], bar) -> None:
    """Collect rows and write each shard when it is complete."""
    waiting: dict[int, list[pa.Table]] = {}
    for batch, rows in answers:
        tables = waiting.setdefault(batch.shard, [])
        tables.append(rows)
        if sum(map(len, tables)) == len(store.places(batch.shard)):
            store.write(batch.shard, pa.concat_tables(waiting.pop(batch.shard)).sort_by("index"))
        bar.update(len(rows))


def count_codes(folder: str | Path) -> tuple[int, int, int]:
    """(good, doubtful, quarantined) rows of a folder."""
    counts = [0, 0, 0]
    for file in shard_files(folder).values():
        code = pq.read_table(file, columns=["code"]).column("code").to_numpy()
        counts[0] += int((code == 0).sum())
        counts[1] += int((code > 0).sum())
        counts[2] += int((code < 0).sum())
    return tuple(counts)
