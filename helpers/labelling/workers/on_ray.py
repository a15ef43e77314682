"""Actors of a Ray cluster. Each holds the model and the kernels; Ray restarts those that die."""

from __future__ import annotations

import os
import threading
import time

import torch

from helpers.errors import UserError
from helpers.labelling.labeller import Batch, DeviceLost, Job, Labeller, one_line
from helpers.labelling.rows import from_bytes, to_bytes
from helpers.labelling.workers.events import Died, Done, Event

INSTALL = "pip install -e .[scale]"
PATIENCE = 120.0  # seconds without a worker that is ready


class Hand:
    """What an actor is: a labeller, of which one thread loads a batch while another fits one."""

    def __init__(self, job: Job):
        torch.set_num_threads(1)
        self.labeller, self.one_at_a_time = Labeller(job), threading.Lock()

    def ready(self) -> bool:
        """Answers as soon as the labeller is made."""
        return True

    def label(self, batch: Batch) -> bytes:
        """The rows of a batch. An actor whose GPU has failed ends, and Ray starts another."""
        try:
            loaded = self.labeller.load(batch)
            with self.one_at_a_time:
                return to_bytes(self.labeller.rows(batch, loaded))
        except DeviceLost:
            os._exit(1)


class RayCrew:
    """Actors, each with one core, or one GPU where the job's device is one.

    Joins the cluster that `ray start` or $RAY_ADDRESS names, or else starts one on this machine. The source must be
    readable on every machine, and the course installed there.

    Args:
        job: what every worker is given.
        workers: how many; None for one per core, or per GPU, of the cluster.

    Raises:
        UserError: for a GPU by number, where Ray is not installed, and on entering the context, where it does not start.
    """

    def __init__(self, job: Job, workers: int | None = None):
        if ":" in job.device:
            raise UserError(
                f"--device {job.device} with --engine ray: Ray itself gives every worker a GPU; take --device cuda, "
                f"and CUDA_VISIBLE_DEVICES where Ray must not have all of them"
            )
        self.ray = _ray()
        self.job, self.count = job, workers
        self.load: dict[int, list[Batch]] = {}
        self.answers: dict = {}  # reference → (worker, batch), batch None for "ready"
        self.mine = False

    def __enter__(self) -> RayCrew:
        if not self.ray.is_initialized():
            try:
                self.ray.init(include_dashboard=False, log_to_driver=False)
            except Exception as error:  # Ray raises plain ones
                self.ray.shutdown()
                raise UserError(f"--engine ray: Ray does not start: {one_line(error)}") from error
            self.mine = True
        gpu = self.job.device.startswith("cuda")
        if self.count is None:
            self.count = max(1, int(self.ray.cluster_resources().get("GPU" if gpu else "CPU", 1)))
        # Retries are ours to count: a photograph that kills its worker must not kill one after another.
        hand = self.ray.remote(Hand).options(
            num_cpus=1, num_gpus=int(gpu), max_restarts=-1, max_task_retries=0, max_concurrency=2
        )
        self.stored_job = self.ray.put(self.job)  # kept, because a restarted actor reads it again
        self.actors = [hand.remote(self.stored_job) for _ in range(self.count)]
        for worker in range(self.count):
            self._ask_whether_ready(worker)
        self.last_ready = time.monotonic()
        return self

    def __exit__(self, *_) -> None:
        for actor in getattr(self, "actors", []):
            self.ray.kill(actor)
        if self.mine:
            self.ray.shutdown()

    def give(self, worker: int, batch: Batch) -> None:
        """Send a batch to a worker."""
        self.load[worker].append(batch)
        self.answers[self.actors[worker].label.remote(batch)] = (worker, batch)

    def wait(self) -> list[Event]:
        """Answers and deaths since the last call; waits for one, a second at most."""
        events: list[Event] = []
        ready, _ = self.ray.wait(list(self.answers), num_returns=1, timeout=1.0)
        for reference in ready:
            worker, batch = self.answers.pop(reference, (None, None))
            if worker is None:
                continue  # of a worker that has just died
            try:
                answer = self.ray.get(reference)
            except self.ray.exceptions.RayActorError as error:
                events += self._died(worker, batch, error)
            except UserError as error:
                raise UserError(str(error.args[0] if error.args else error)) from error
            else:
                if batch is None:
                    self.load[worker] = []
                else:
                    self.load[worker].remove(batch)
                    events.append(Done(worker, batch, from_bytes(answer)))
        if self.load:
            self.last_ready = time.monotonic()
        elif time.monotonic() - self.last_ready > PATIENCE:
            has = self.ray.cluster_resources()
            wanted = "1 GPU and 1 CPU" if self.job.device.startswith("cuda") else "1 CPU"
            raise UserError(
                f"the Ray cluster has started no worker in {PATIENCE:.0f} s: each needs {wanted}; "
                f"the cluster has {has.get('CPU', 0):.0f} CPU and {has.get('GPU', 0):.0f} GPU"
            )
        return events

    def _died(self, worker: int, batch: Batch | None, error: Exception) -> list[Event]:
        if batch is None:
            time.sleep(0.2)  # it is being restarted
            self._ask_whether_ready(worker)
            return []
        self.answers = {ref: task for ref, task in self.answers.items() if task[0] != worker}
        batches = self.load.pop(worker, [])
        self._ask_whether_ready(worker)
        return [Died(worker, batches, type(error).__name__)]

    def _ask_whether_ready(self, worker: int) -> None:
        self.answers[self.actors[worker].ready.remote()] = (worker, None)


def _ray():
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UserError(f"--engine ray: Ray is not installed: {INSTALL}") from error
    return ray
