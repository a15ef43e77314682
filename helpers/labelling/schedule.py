"""Who gets which batch next, and what a dead worker means."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from helpers.errors import UserError
from helpers.labelling.labeller import Batch
from helpers.labelling.workers import Crew, Died

AHEAD = 2  # batches that a worker has: one that it fits, one that it loads
DEATHS = 2  # of workers that had nothing else in hand, until the batch is to blame


def work_off(batches: Iterator[Batch], crew: Crew) -> Iterator[tuple[Batch, pa.Table]]:
    """Give all batches to the crew; yields each with its rows as they arrive, in any order.

    A worker may die for many reasons, and mostly no photograph is to blame. So the batches that it had are done again,
    each alone in a worker. One that has killed twice is taken apart: its photographs are tried one by one, those that
    kill twice are marked as poison, and the batch is done without them. Thus a random kill changes no row, and a
    poisonous photograph costs a few workers and itself. Raises UserError if a batch kills, but none of its photographs.
    """
    schedule = _Schedule(batches)
    while True:
        for worker in list(crew.load):
            while (batch := schedule.next_for(crew.load[worker])) is not None:
                crew.give(worker, batch)
        if schedule.done():
            return
        for event in crew.wait():
            if isinstance(event, Died):
                schedule.died(event)
            elif (answer := schedule.answered(event.batch, event.rows)) is not None:
                yield answer


class _Schedule:
    def __init__(self, batches: Iterator[Batch]):
        self.batches = iter(batches)
        self.suspects: deque[Batch] = deque()  # to be done alone
        self.open = 0  # given or suspected, and not yet answered
        self.alone: set[tuple] = set()
        self.deaths: Counter = Counter()
        self.probes: dict[tuple, set[int]] = {}  # batch → photographs still to be tried
        self.taken_apart: dict[tuple, Batch] = {}
        self.exhausted = False

    def next_for(self, load: list[Batch]) -> Batch | None:
        if any(_mark(batch) in self.alone for batch in load):
            return None
        if self.suspects:
            if load:
                return None
            batch = self.suspects.popleft()
            self.alone.add(_mark(batch))
            return batch
        if len(load) >= AHEAD or self.exhausted:
            return None
        batch = next(self.batches, None)
        self.exhausted = batch is None
        self.open += batch is not None
        return batch

    def done(self) -> bool:
        return self.exhausted and self.open == 0

    def answered(self, batch: Batch, rows: pa.Table) -> tuple[Batch, pa.Table] | None:
        self.alone.discard(_mark(batch))
        self.open -= 1
        if batch.probe:
            self._tried(batch)
            return None
        return batch, rows

    def died(self, event: Died) -> None:
        for batch in event.batches:
            mark = _mark(batch)
            if mark in self.alone:
                self.alone.discard(mark)
                self.deaths[mark] += 1
                if self.deaths[mark] >= DEATHS:
                    self.open -= 1
                    if batch.probe:
                        self._tried(batch, f"the worker died of it ({event.cause})")
                    else:
                        self._take_apart(batch)
                    continue
            self.suspects.append(batch)

    def _take_apart(self, batch: Batch) -> None:
        key = (batch.shard, batch.number)
        places = [place for place in batch.places if place not in batch.poison]
        if key in self.taken_apart or not places:
            raise UserError(
                f"photographs {batch.places[0]} to {batch.places[-1]} of the source end their worker together, but not "
                "one by one: the memory may be too small; take a smaller --batch, in a new folder"
            )
        self.taken_apart[key], self.probes[key] = batch, set(places)
        for place in places:
            self._suspect(replace(batch, places=(place,), probe=True))

    def _tried(self, probe: Batch, cause: str | None = None) -> None:
        key, place = (probe.shard, probe.number), probe.places[0]
        self.probes[key].discard(place)
        if cause is not None:
            whole = self.taken_apart[key]
            self.taken_apart[key] = replace(whole, poison={**whole.poison, place: ("crashed", cause)})
        if not self.probes[key]:
            self.deaths[_mark(self.taken_apart[key])] = 0
            self._suspect(self.taken_apart[key])

    def _suspect(self, batch: Batch) -> None:
        self.open += 1
        self.suspects.append(batch)


def _mark(batch: Batch) -> tuple:
    return batch.shard, batch.number, batch.places, batch.probe
