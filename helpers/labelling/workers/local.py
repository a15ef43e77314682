"""Worker processes of this machine. Each is sent batches by a pipe and sends back rows; none touches the results' folder."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import signal
import threading
import time
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import cast

import torch

from helpers.errors import UserError
from helpers.labelling.labeller import Batch, DeviceLost, Job, Labeller, one_line
from helpers.labelling.rows import from_bytes, to_bytes
from helpers.labelling.workers.events import Died, Done, Event

STARTS = 3  # a worker that ends so often before it is ready will never be
PATIENCE = 5.0  # seconds to end by itself
DEVICE_LOST = 3  # exit status of a worker whose GPU has failed


class LocalCrew:
    """Processes of this machine; one that dies is replaced.

    Args:
        job: what every worker is given.
        workers: how many; None for one per core, or one per GPU.
        start: how processes begin, "spawn", "forkserver" or "fork". Only the first two go with CUDA.
    """

    def __init__(self, job: Job, workers: int | None, start: str = "spawn"):
        self.job, self.count = job, workers or _as_many_as_fit(job.device)
        # All contexts have Process and Pipe; the type that get_context declares lacks Process.
        self.context = cast(SpawnContext, multiprocessing.get_context(start))
        self.load: dict[int, list[Batch]] = {}
        self.processes: dict[int, SpawnProcess] = {}
        self.pipes: dict[int, Connection] = {}
        self.failed_starts = 0

    def __enter__(self) -> LocalCrew:
        for worker in range(self.count):
            self._start(worker)
        return self

    def __exit__(self, *failure) -> None:
        if failure[0] is None:
            for pipe in self.pipes.values():
                try:
                    pipe.send(None)
                except OSError:
                    pass
            for process in self.processes.values():
                process.join(PATIENCE)
        for worker, process in self.processes.items():
            process.kill()
            process.join()
            self.pipes[worker].close()

    def give(self, worker: int, batch: Batch) -> None:
        """Send a batch to a worker."""
        self.load[worker].append(batch)
        try:
            self.pipes[worker].send(batch)
        except OSError:
            pass  # it has died; `wait` will say so

    def wait(self) -> list[Event]:
        """Answers and deaths since the last call; waits until there is one, or a worker is ready."""
        ready = wait([*self.pipes.values(), *(process.sentinel for process in self.processes.values())])
        events: list[Event] = []
        for worker in sorted(self.processes):
            if self.pipes[worker] not in ready and self.processes[worker].sentinel not in ready:
                continue
            events += self._messages(worker)
            if not self.processes[worker].is_alive():
                events += self._messages(worker)  # its last words
                events.append(self._replace(worker))
        return events

    def _messages(self, worker: int) -> list[Event]:
        events, pipe = [], self.pipes[worker]
        try:
            while pipe.poll():
                kind, content = pipe.recv()
                if kind == "ready":
                    self.load[worker], self.failed_starts = [], 0
                elif kind == "refused":
                    raise UserError(content)
                else:
                    events.append(Done(worker, self.load[worker].pop(0), from_bytes(content)))
        except (EOFError, OSError, pickle.UnpicklingError):
            self.processes[worker].join(
                PATIENCE
            )  # the pipe has ended, or ends within a message: so has the process
        return events

    def _replace(self, worker: int) -> Died:
        code = self.processes[worker].exitcode
        cause = signal.Signals(-code).name if code and code < 0 else f"exit status {code}"
        if code == DEVICE_LOST:
            cause = f"{_device(self.job.device, worker)} failed"
        self.failed_starts += worker not in self.load
        if self.failed_starts >= STARTS:
            raise UserError(
                f"workers end before they have begun ({cause}): start with fewer --workers, or look into the memory"
            )
        batches = self.load.pop(worker, [])
        self.pipes[worker].close()
        self._start(worker)
        return Died(worker, batches, cause)

    def _start(self, worker: int) -> None:
        mine, its = self.context.Pipe()
        job = replace(self.job, device=_device(self.job.device, worker))
        process = self.context.Process(
            target=work, args=(its, os.getpid()), daemon=True, name=f"label-{worker}"
        )
        process.start()
        its.close()
        self.processes[worker], self.pipes[worker] = process, mine
        try:
            mine.send_bytes(pickle.dumps(job))
        except OSError:
            pass  # died at once; `wait` will say so


def work(pipe: Connection, parent: int) -> None:
    """What a worker process does: load one batch while another is being fitted.

    Args:
        pipe: where the job and batches come from, and rows go to.
        parent: the process to end with.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)
    batches: queue.Queue = queue.Queue(maxsize=1)
    try:
        labeller = Labeller(pickle.loads(pipe.recv_bytes()))
        pipe.send(("ready", None))
        threading.Thread(target=_load, args=(pipe, labeller, batches), daemon=True).start()
        while (item := batches.get()) is not None:
            pipe.send(("rows", to_bytes(labeller.rows(*item))))
    except (EOFError, BrokenPipeError):
        os._exit(1)  # the parent is gone
    except Exception as error:
        _refuse(pipe, error)


def _refuse(pipe: Connection, error: BaseException) -> None:
    """Tell the parent that the run cannot go on; unless another process can go on with it: then end."""
    if isinstance(error, DeviceLost):
        os._exit(DEVICE_LOST)
    pipe.send(("refused", one_line(error)))


def _load(pipe: Connection, labeller: Labeller, batches: queue.Queue) -> None:
    try:
        while (batch := pipe.recv()) is not None:
            batches.put((batch, labeller.load(batch)))
    except (EOFError, OSError):
        os._exit(1)
    except BaseException as error:
        _refuse(pipe, error)
    batches.put(None)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a pipe does not tell, as long as any other process holds an end of it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _as_many_as_fit(device: str) -> int:
    if device.startswith("cuda"):
        return 1 if ":" in device else torch.cuda.device_count()
    return len(os.sched_getaffinity(0))


def _device(device: str, worker: int) -> str:
    """Workers go round the GPUs; a GPU that was named is the only one."""
    return f"cuda:{worker % torch.cuda.device_count()}" if device == "cuda" else device
