"""`label`: the whole factory in one call."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from helpers.errors import UserError
from helpers.face_model import MorphableModel, load
from helpers.labelling.batches import batches_of, people_of
from helpers.labelling.configuration import Configuration, LabelOptions
from helpers.labelling.crop_source import CropSource
from helpers.labelling.labeller import Batch, Job
from helpers.labelling.parquet import ROWS, read_columns
from helpers.labelling.schedule import work_off
from helpers.labelling.sources import open_source
from helpers.labelling.store import MANIFEST, Store, read_manifest, shard_files
from helpers.labelling.workers import make_crew
from helpers.progress import progress_bar


@dataclass(frozen=True)
class Summary:
    """What a folder holds after a run.

    Attributes:
        photographs: of the source; every one has a row.
        labelled: rows made by this run.
        seconds: that they took; the workers needed some of them to start.
        good: fits that can be trusted.
        doubtful: fits that cannot.
        quarantined: photographs without a fit.
        in_groups: people with too many photographs to be fitted all together.
    """

    photographs: int
    labelled: int
    seconds: float
    good: int
    doubtful: int
    quarantined: int
    in_groups: int = 0

    def __str__(self) -> str:
        now = (
            f"{self.labelled} photographs labelled now, in {self.seconds:.0f} s"
            if self.labelled
            else "nothing was left to do"
        )
        told = f"{now}; {self.photographs} in all: {self.good} good, {self.doubtful} doubtful, {self.quarantined} quarantined"
        if self.in_groups:
            told += f"; people with more photographs than a batch, fitted in groups: {self.in_groups}"
        return told


def label(
    source: str | Path | CropSource,
    out: str | Path,
    options: LabelOptions | None = None,
    *,
    model: MorphableModel | None = None,
    progress: bool = True,
    **changes: Any,
) -> Summary:
    """Fit every photograph of a source and write one row for each into shards in the folder `out`.

    Killed at any moment and called again, it goes on: shards that are whole stay, the others are made again. A shard is
    written when all its batches are done.

    Args:
        source: what `open_source` takes, or a source.
        out: the folder of the rows; made if it is not there.
        options: how to label.
        model: by default the open one at level 2.
        progress: show a bar, on a terminal.
        **changes: of `options`, by the names of `LabelOptions`: `label(source, out, size=112, workers=0)`.

    Returns:
        What the folder holds now.

    Raises:
        UserError: if `out` belongs to another configuration, if the disk is full, or if workers cannot be had.
    """
    options = replace(options or LabelOptions(), **changes)
    model = load("open", device="cpu") if model is None else model
    if model.landmarks is None:
        raise UserError(f"the model {model.name} has no landmarks, so it cannot be fitted")
    model = model.to("cpu")
    if isinstance(source, str | Path):
        source = open_source(str(source), model=model, size=options.size, seed=options.seed)
    job = Job(source, model, options.fit_settings, options.size, options.device, options.joint)
    begin = time.perf_counter()
    shard = options.shard or _shard(out, options.batch, len(source))
    with Store(out, Configuration.of(source.describe(), model, options, shard), len(source)) as store:
        done = store.finished()
        rows_done = sum(len(store.places(number)) for number in done)
        if len(done) < store.shards:
            crew = make_crew(job, options.engine, options.workers, options.start)
            bar = progress_bar(
                total=len(source), initial=rows_done, unit="photo", smoothing=0.05, shown=progress
            )
            with bar, crew:
                _fill(store, done, work_off(batches_of(store, done, source), crew), bar)
        store.write_quarantine()
    good, doubtful, quarantined = count_codes(out)
    return Summary(
        photographs=len(source),
        labelled=len(source) - rows_done,
        seconds=time.perf_counter() - begin,
        good=good,
        doubtful=doubtful,
        quarantined=quarantined,
        in_groups=sum(len(own) > options.batch for own in people_of(source).values()) if options.joint else 0,
    )


SHARDS, LARGEST_SHARD = 20, 1000


def _shard(out: str | Path, batch: int, photographs: int) -> int:
    """Photographs per file where nobody asked for a number, see `LabelOptions.shard`."""
    if (Path(out) / MANIFEST).is_file():
        return read_manifest(out)[0].shard
    whole = batch * math.ceil(photographs / (SHARDS * batch))
    return max(batch, min(LARGEST_SHARD, whole))


def _fill(store: Store, done: set[int], answers: Iterator[tuple[Batch, pa.Table]], bar) -> None:
    """Collect rows and write each shard when it is complete. A person's rows may belong to several, some of them done."""
    waiting: dict[int, list[pa.Table]] = {}
    for _, rows in answers:
        shard_of = rows.column("index").to_numpy() // store.configuration.shard
        for shard in set(shard_of.tolist()) - done:
            mine = rows.filter(pa.array(shard_of == shard))
            tables = waiting.setdefault(shard, [])
            tables.append(mine)
            if sum(map(len, tables)) == len(store.places(shard)):
                store.write(shard, pa.concat_tables(waiting.pop(shard)).sort_by("index"))
            bar.update(len(mine))


def count_codes(folder: str | Path) -> tuple[int, int, int]:
    """(good, doubtful, quarantined) rows of a folder."""
    good = doubtful = quarantined = 0
    for file in shard_files(folder).values():
        code = read_columns(file, ["code"], ROWS).column("code").to_numpy()
        good += int((code == 0).sum())
        doubtful += int((code > 0).sum())
        quarantined += int((code < 0).sum())
    return good, doubtful, quarantined
