"""A crew of one: the process that asks."""

from __future__ import annotations

import torch

from helpers.labelling.labeller import Batch, Job, Labeller
from helpers.labelling.workers.events import Done, Event


class HereCrew:
    """Does each batch when it is waited for, on one thread: on a CPU the rows are those of any worker, to the last bit.

    On a GPU sums are made in any order, and the last digits of two runs differ.
    """

    def __init__(self, job: Job):
        self.job, self.load = job, {0: []}

    def __enter__(self) -> HereCrew:
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self.labeller = Labeller(self.job)
        return self

    def __exit__(self, *_) -> None:
        torch.set_num_threads(self.threads)

    def give(self, worker: int, batch: Batch) -> None:
        """Put a batch behind the others."""
        self.load[worker].append(batch)

    def wait(self) -> list[Event]:
        """Do the oldest batch. A GPU that fails cannot be replaced here: `DeviceLost` ends the run."""
        batch = self.load[0].pop(0)
        return [Done(0, batch, self.labeller.label(batch))]
