"""Crews: who does the work. This process, processes of this machine, or actors of a Ray cluster.

A crew has numbered workers. `load` says which of them are ready, and the batches that each one has been given and
not yet answered; `give` adds one; `wait` returns what has happened since. None of them knows what a shard is.
"""

from __future__ import annotations

from typing import Protocol

from helpers.errors import UserError
from helpers.labelling.labeller import Batch, Job
from helpers.labelling.workers.events import Died, Done, Event

ENGINES = ("local", "ray")

__all__ = ["ENGINES", "Crew", "Died", "Done", "Event", "make_crew"]


class Crew(Protocol):
    """Numbered workers. They begin when the crew is entered as a context, and end when it is left."""

    load: dict[int, list[Batch]]

    def give(self, worker: int, batch: Batch) -> None:
        """Add a batch to those of a worker."""
        ...

    def wait(self) -> list[Event]:
        """What has happened since; waits until something has."""
        ...

    def __enter__(self) -> Crew: ...

    def __exit__(self, *_) -> None: ...


def make_crew(job: Job, engine: str, workers: int | None, start: str = "spawn") -> Crew:
    """The crew that `engine` names.

    Args:
        job: what every worker is given.
        engine: "local" for processes of this machine, or "ray" for actors of a Ray cluster.
        workers: how many; 0 is this process itself; None is one per core, or one per GPU where `job.device` is one. On a
            Ray cluster None counts the cores or GPUs of the whole cluster.
        start: of local processes, see `LocalCrew`.

    Raises:
        UserError: for another engine or number, and where Ray is not installed.
    """
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r}: one of {', '.join(ENGINES)} is expected")
    if workers is not None and workers < 0:
        raise UserError(f"workers {workers}: 0 or more are expected")
    if engine == "ray":
        from helpers.labelling.workers.on_ray import RayCrew

        if workers == 0:
            raise UserError("workers 0: a Ray cluster needs at least one")
        return RayCrew(job, workers)
    if workers == 0:
        from helpers.labelling.workers.here import HereCrew

        return HereCrew(job)
    from helpers.labelling.workers.local import LocalCrew

    return LocalCrew(job, workers, start)
