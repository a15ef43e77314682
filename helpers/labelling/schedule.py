"""Who gets which batch next, and what a dead worker means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

import pyarrow as pa

from helpers.errors import UserError
from helpers.labelling.labeller import Batch
from helpers.labelling.workers import Crew, Died

AHEAD = 2  # batches that a worker has: one that it fits, one that it loads
DEATHS = 2  # of workers that had nothing else in hand, until the batch is to blame


def work_off(batches: Iterator[Batch], crew: Crew) -> Iterator[tuple[Batch, pa.Table]]:
    """Give all batches to the crew.

    A worker may die for many reasons, and mostly no photograph is to blame. So the batches that it had are done again,
    each alone in a worker. One that has killed twice is taken apart: its photographs are tried one by one, those that
    kill twice are marked as poison, and the batch is done without them. Thus a random kill changes no row, and a
    poisonous photograph costs a few workers and itself.

    Args:
        batches: each with another (shard, number); taken as workers need them.
        crew: who does them.

    Yields:
        Each batch with its rows as they arrive, in any order.

    Raises:
        UserError: if a batch kills, but none of its photographs.
    """
    schedule = _Schedule(batches)
    while True:
        for worker in list(crew.load):
            while (batch := schedule.next_for(crew.load[worker])) is not None:
                crew.give(worker, batch)
        if schedule.is_done():
            return
        for event in crew.wait():
            if isinstance(event, Died):
                schedule.died(event)
            elif schedule.answered(event.batch):
                yield event.batch, event.rows


class _State(Enum):
    """Of a batch that has been begun. Before, it waits in the iterator of batches; when it is done, it is forgotten.

    RUNNING ── answered ──► done
       └── its worker dies ──► SUSPECTED ──► ALONE ── answered ──► done
                                   ▲           ├── its worker dies, the first time ──► SUSPECTED
                                   │           └── the second time: a photograph is poison; a batch is TAKEN_APART,
                                   └── when each of its photographs has been tried ──────────────────────┘
    """

    RUNNING = auto()  # in a worker, beside others
    SUSPECTED = auto()  # waits for a worker that has nothing else
    ALONE = auto()  # in a worker that has nothing else
    TAKEN_APART = auto()  # waits until each of its photographs has been tried


@dataclass
class _Task:
    """A batch, or one photograph of a batch taken apart, with its state and how many workers have died of it alone."""

    batch: Batch
    state: _State
    deaths: int = 0
    was_apart: bool = False


_Key = tuple[int, int, int | None]  # shard and number of a batch; and the photograph, where only one is tried


def _key(batch: Batch) -> _Key:
    return batch.shard, batch.number, batch.places[0] if batch.probe else None


class _Schedule:
    def __init__(self, batches: Iterator[Batch]):
        self.batches, self.exhausted = iter(batches), False
        self.tasks: dict[_Key, _Task] = {}  # those that are suspected in the order in which they were

    def next_for(self, load: list[Batch]) -> Batch | None:
        """What to give to a worker that has these batches, if anything."""
        if any(self.tasks[_key(batch)].state is _State.ALONE for batch in load):
            return None
        suspected = next((task for task in self.tasks.values() if task.state is _State.SUSPECTED), None)
        if suspected is not None:
            if load:
                return None
            suspected.state = _State.ALONE
            return suspected.batch
        if len(load) >= AHEAD or self.exhausted:
            return None
        batch = next(self.batches, None)
        if batch is None:
            self.exhausted = True
        else:
            self.tasks[_key(batch)] = _Task(batch, _State.RUNNING)
        return batch

    def is_done(self) -> bool:
        return self.exhausted and not self.tasks

    def answered(self, batch: Batch) -> bool:
        """Whether the rows of the answer count; those of a photograph that was only tried do not."""
        if batch.probe:
            self._tried(batch)
        else:
            del self.tasks[_key(batch)]
        return not batch.probe

    def died(self, event: Died) -> None:
        for batch in event.batches:
            task = self.tasks[_key(batch)]
            task.deaths += task.state is _State.ALONE
            if task.deaths < DEATHS:
                self._suspect(task)
            elif batch.probe:
                self._tried(batch, poison=("crashed", f"the worker died of it ({event.cause})"))
            else:
                self._take_apart(task)

    def _suspect(self, task: _Task) -> None:
        task.state = _State.SUSPECTED
        key = _key(task.batch)
        self.tasks.pop(key, None)
        self.tasks[key] = task  # behind the others

    def _take_apart(self, task: _Task) -> None:
        batch = task.batch
        places = [place for place in batch.places if place not in batch.poison]
        if task.was_apart or not places:
            raise UserError(
                f"photographs {batch.places[0]} to {batch.places[-1]} of the source end their worker together, but not "
                "one by one: the memory may be too small; take a smaller --batch, in a new folder"
            )
        task.state, task.was_apart = _State.TAKEN_APART, True
        for place in places:
            self._suspect(_Task(replace(batch, places=(place,), probe=True), _State.SUSPECTED))

    def _tried(self, probe: Batch, poison: tuple[str, str] | None = None) -> None:
        """One photograph has been tried; after the last of its batch, the batch is done without the poisonous ones."""
        del self.tasks[_key(probe)]
        whole = self.tasks[probe.shard, probe.number, None]
        if poison is not None:
            whole.batch = replace(whole.batch, poison={**whole.batch.poison, probe.places[0]: poison})
        if not any(key[:2] == (probe.shard, probe.number) and key[2] is not None for key in self.tasks):
            whole.deaths = 0
            self._suspect(whole)
