"""Which picture is seen when, and by whom."""

import resource
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader

from helpers.errors import UserError
from helpers.regression.data import (
    PeopleSource,
    StepBatches,
    TensorSource,
    WorkerLost,
    hold,
    indices_of_step,
    sigint_blocked,
    step_loader,
)
from tests.regression.pictures import TRAINING


def test_each_round_shows_every_picture_once():
    length, batch = 23, 5
    first = torch.cat([indices_of_step(step, batch, length, seed=3) for step in range(4)])
    second = torch.cat([indices_of_step(step, batch, length, seed=3) for step in range(4, 8)])
    assert len(first.unique()) == len(second.unique()) == 20 and not torch.equal(first, second)
    assert torch.equal(indices_of_step(6, batch, length, 3), second[10:15])
    assert not torch.equal(
        first, torch.cat([indices_of_step(step, batch, length, seed=4) for step in range(4)])
    )
    assert indices_of_step(2, 4, 2**31, 0, endless=True).tolist() == [8, 9, 10, 11]


@pytest.mark.slow
def test_processes_share_a_batch_and_workers_change_nothing():
    whole = StepBatches(TRAINING, 8, 0)
    halves = [StepBatches(TRAINING, 8, 0, rank, 2) for rank in range(2)]
    image, target = whole[5]
    assert image.dtype == torch.uint8
    assert torch.equal(torch.stack([half[5][1] for half in halves], 1).flatten(0, 1), target)
    alone = [t for _, t in step_loader(whole, 3, 7)]
    helped = [t for _, t in step_loader(whole, 3, 7, workers=1)]
    assert len(alone) == 4 and all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


class NoSharedMemory(TensorSource):
    """Its worker may write no file of more than a page, as where /dev/shm is full."""

    def batch(self, indices):
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        return super().batch(indices)


class Refusing(TensorSource):
    def batch(self, indices):
        raise UserError("anna.jpg: is empty")


@pytest.mark.slow
def test_workers_need_no_shared_memory_and_tell_what_is_wrong():
    def out_of_time(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, out_of_time)
    signal.alarm(90)  # a worker without shared memory used to be waited for without end
    try:
        large = NoSharedMemory(torch.zeros(4, 64, 64, 3, dtype=torch.uint8), torch.zeros(4, 3))
        batches = list(step_loader(StepBatches(large, 4, 0), 0, 2, workers=1))
        assert [tuple(image.shape) for image, _ in batches] == [(4, 64, 64, 3)] * 2
        with pytest.raises(UserError, match="^anna.jpg: is empty$"):
            next(step_loader(StepBatches(Refusing(large.images, large.targets), 4, 0), 0, 2, workers=1))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_no_room_for_workers_is_one_line(monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DataLoader, "__iter__", full)
    with pytest.raises(WorkerLost, match="No space left on device.*/dev/shm.*--workers 0"):
        next(step_loader(StepBatches(TRAINING, 4, 0), 0, 2, workers=1))


def test_people_are_new_in_every_step_and_others_for_another_seed():
    source = PeopleSource(10_000, seed=1, size=32, level=0)
    image, target = source.batch(torch.tensor([5000, 3, 4095, 4096]))
    assert (
        image.shape == (4, 32, 32, 3) and target.shape == (4, 198) and 0 <= image.min() and image.max() <= 1
    )
    assert torch.equal(source.batch(torch.tensor([4096]))[1], target[3:])  # alone as in company
    assert (torch.corrcoef(target) - torch.eye(4)).abs().max() < 0.35  # four people, not one
    assert not torch.equal(
        PeopleSource(10_000, seed=7, size=32, level=0).batch(torch.tensor([3]))[1], target[1:2]
    )
    with pytest.raises(IndexError):
        source.batch(torch.tensor([10_000]))
    held = hold(source, torch.tensor([3]))
    assert held.images.dtype == torch.uint8 and torch.equal(held.targets, target[1:2])


def test_a_process_that_is_starting_has_sigint_blocked():
    """Ctrl-C reaches a terminal's processes all at once; a worker that still imports would print a traceback."""
    ask = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append("after"))
    try:
        with sigint_blocked():
            signal.raise_signal(signal.SIGINT)
            child = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
            heard.append("inside")
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.stdout.strip() == "True" and heard == ["inside", "after"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
