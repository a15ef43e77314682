"""Pictures with labels, by number: what a network is trained and tested on.

A source has a length and `batch(indices)`, which gives pictures (B, S, S, 3), sRGB from 0 to 1, and targets (B, K). Which
pictures a step sees follows from the step's number and the seed alone. So a run that was cut off goes on with the same
pictures, workers may prepare them in any order, and several processes share a batch without talking to each other.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from helpers.datasets import Nuisances, SyntheticPeople
from helpers.datasets.wardrobe import has_a_place_for_clothes
from helpers.errors import UserError
from helpers.face_model import MorphableModel, load
from helpers.progress import progress_bar

Item = TypeVar("Item")


class LabelledSource(Protocol):
    """Pictures with labels.

    Attributes:
        endless: Whether each is new, so that order does not matter and none needs to be seen twice.
    """

    endless: bool

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, S, S, 3) and targets (B, K) of the numbers `indices` (B,)."""
        ...


@dataclass
class TensorSource:
    """Pictures that are at hand.

    Attributes:
        images: (N, S, S, 3) sRGB, float from 0 to 1 or uint8.
        targets: (N, K).
        endless: See `LabelledSource`.

    Raises:
        ValueError: For other shapes.
    """

    images: Tensor
    targets: Tensor
    endless: bool = False

    def __post_init__(self):
        if len(self.images) != len(self.targets) or self.images.dim() != 4 or self.targets.dim() != 2:
            raise ValueError(
                f"images (N, S, S, 3) and targets (N, K) expected, got {tuple(self.images.shape)} and {tuple(self.targets.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, S, S, 3), float from 0 to 1, and targets (B, K)."""
        return as_float(self.images[indices]), self.targets[indices]


# People are made in groups of so many, so that an endless source needs no list of all of them.
GROUP = 4096


@dataclass
class PeopleSource:
    """Synthetic people, drawn and photographed when they are asked for: as many as wanted, none of them twice.

    The targets are the true coefficients, which only a renderer knows. (Photographs are labelled by pooled fits.)

    Attributes:
        people: How many; each is photographed once.
        seed: Of the first group; the next ones count on. `helpers train` keeps training and validation far apart.
        size: px.
        level: Of the face model.
        model: Name or path of the face model, see `helpers.face_model.load`.
        nuisances: All that is not the person; None for that of photographs, of bare faces where the model has no place for
            hair and clothes.
        endless: See `LabelledSource`.
    """

    people: int
    seed: int = 0
    size: int = 112
    level: int = 1
    model: str = "open"
    nuisances: Nuisances | None = None
    endless: bool = True
    _model: MorphableModel | None = field(default=None, repr=False, compare=False)
    _groups: dict[int, SyntheticPeople] = field(default_factory=dict, repr=False, compare=False)

    def group(self, number: int) -> SyntheticPeople:
        """The people of one group. Made where they are used: a worker gets the settings, not the tensors."""
        if self._model is None:
            self._model = load(self.model, level=self.level, device="cpu")  # a worker without a GPU
        if number not in self._groups:
            while len(self._groups) > 1:
                del self._groups[next(iter(self._groups))]
            self._groups[number] = SyntheticPeople(
                self._model,
                GROUP,
                1,
                seed=self.seed + number,
                size=self.size,
                framing="network",
                nuisances=self.nuisances or _as_photographed(self._model),
            )
        return self._groups[number]

    def __getstate__(self):
        return {**self.__dict__, "_model": None, "_groups": {}}

    def __len__(self) -> int:
        return self.people

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Photographs (B, S, S, 3) of the people of these numbers (B,), and their coefficients (B, K).

        They are drawn on the CPU, and lie where the numbers do. Raises IndexError for a number that is out of range.
        """
        image, _, target = self.with_points(indices)
        return image, target

    def with_points(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `batch`, with the detector's points (B, 68, 2) px between the two."""
        if int(indices.min()) < 0 or int(indices.max()) >= self.people:
            raise IndexError(
                f"people are numbered 0 to {self.people - 1}, got {indices.min()} to {indices.max()}"
            )
        device, indices = indices.device, indices.cpu()
        groups = indices // GROUP
        rows, found = [], []
        for number in groups.unique().tolist():
            rows.append((groups == number).nonzero()[:, 0])
            batch = self.group(number).batch(indices[rows[-1]] % GROUP)
            target = torch.cat([batch.coefficients.alpha, batch.coefficients.beta], -1)
            found.append((batch.image, batch.landmarks, target))
        order = torch.cat(rows).argsort()
        image, points, target = (torch.cat(part)[order].to(device) for part in zip(*found, strict=True))
        return image, points, target


def _as_photographed(model: MorphableModel) -> Nuisances:
    wanted = Nuisances.photographs()
    return wanted if has_a_place_for_clothes(model) else replace(wanted, wardrobe=0.0, gaze=0.0)


def as_float(images: Tensor) -> Tensor:
    """Pictures of bytes as floats from 0 to 1; others as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def as_bytes(images: Tensor) -> Tensor:
    """As a photograph stores them; a quarter of the memory on the way to the device."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def hold(
    source: LabelledSource, indices: Tensor | None = None, at_once: int = 64, *, progress: bool = True
) -> TensorSource:
    """Keep a source's pictures in memory, as bytes: for validation, which sees the same ones again and again.

    Args:
        source: Whose pictures.
        indices: (N,) numbers of the pictures; None for all.
        at_once: How many are made at a time.
        progress: Whether a bar is shown.

    Returns:
        The pictures, in this order.
    """
    indices = torch.arange(len(source)) if indices is None else indices
    images, targets = [], []
    with progress_bar(
        what="pictures to validate on", total=len(indices), unit="picture", shown=progress
    ) as bar:
        for part in indices.split(at_once):
            image, target = source.batch(part)
            images.append(as_bytes(image))
            targets.append(target)
            bar.update(len(part))
    return TensorSource(torch.cat(images), torch.cat(targets))


def indices_of_step(step: int, batch: int, length: int, seed: int, endless: bool = False) -> Tensor:
    """Which pictures a step sees.

    In each round through the data every picture comes once, in an order of its own; endless sources go through theirs in
    order. The last few of a round that do not fill a batch wait for the next round, which orders anew.

    Args:
        step: Its number, from 0.
        batch: Pictures per step.
        length: Pictures in all.
        seed: Of the order.
        endless: See `LabelledSource`.

    Returns:
        (batch,) numbers.

    Raises:
        ValueError: Where a batch is larger than all.
    """
    if endless:
        return torch.arange(step * batch, (step + 1) * batch) % length
    if batch > length:
        raise ValueError(f"a batch of {batch} needs at least as many pictures, got {length}")
    per_round = length // batch
    number, place = divmod(step, per_round)
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed * 1_000_003 + number))
    return order[place * batch : (place + 1) * batch]


@dataclass
class StepBatches(Dataset[tuple[Tensor, Tensor]]):
    """The batch of each step, as bytes, for one of several processes: process r takes every world-th picture from r on.

    Attributes:
        source: Whose pictures.
        batch: Pictures per step, over all processes together.
        seed: Of the order.
        rank: The number of this process.
        world: How many processes there are.
    """

    source: LabelledSource
    batch: int
    seed: int
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        return 2**31  # steps without end; the sampler says which are wanted

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Pictures (B, S, S, 3) uint8 and targets (B, K) of this process at step number `index`."""
        indices = indices_of_step(index, self.batch, len(self.source), self.seed, self.source.endless)
        image, target = self.source.batch(indices[self.rank :: self.world])
        return (image if image.dtype == torch.uint8 else as_bytes(image)), target


class WorkerLost(UserError):
    """A process that prepares pictures has ended, or none can be started."""


def step_loader(
    batches: Dataset[tuple[Tensor, ...]], start: int, stop: int, workers: int = 0
) -> Iterator[tuple[Tensor, ...]]:
    """Batches of steps start … stop − 1 in order.

    Worker processes send them through pipes. Torch's way, shared memory, waits for ever where /dev/shm has no room left.

    Args:
        batches: What each step sees, by its number.
        start: The first step.
        stop: The step after the last.
        workers: Processes that make batches ahead of time; 0 makes each when it is asked for.

    Yields:
        The tensors of each batch.

    Raises:
        WorkerLost: When a worker ends before its work is done, or cannot be started.
        UserError: What making a batch raised, in this process or in a worker.
    """
    if not workers:
        yield from (batches[step] for step in range(start, stop))
        return
    loader = DataLoader(
        _AsArrays(batches),
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        # A fork would inherit locks and threads of torch and Warp in an unknown state.
        multiprocessing_context="spawn",
        prefetch_factor=4,
        worker_init_fn=start_worker,
        collate_fn=_as_it_is,
    )
    for arrays in _watched(loader):
        if isinstance(arrays, UserError):
            raise arrays
        yield tuple(torch.from_numpy(array) for array in arrays)


def _watched(loader: DataLoader) -> Iterator[Any]:
    """What a loader loads. The death of a worker raises `WorkerLost` when its next batch is waited for, and at no other time."""
    before = signal.getsignal(signal.SIGCHLD)
    try:
        multiprocessing.get_context(
            "spawn"
        ).Lock()  # as torch makes them, but would not clean up after itself
        with sigint_blocked():
            batches = iter(loader)
    except OSError as error:
        raise WorkerLost(
            f"processes that prepare pictures cannot be started ({error.strerror}): make room in /dev/shm or the memory, or "
            "take --workers 0"
        ) from error
    if signal.getsignal(signal.SIGCHLD) is not before:
        # Torch's handler would raise wherever the loop is, also in the middle of a step.
        signal.signal(signal.SIGCHLD, before)
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise WorkerLost(
                "a process that prepares pictures has been ended from outside, as a system does when its memory is full: "
                "go on with --resume, and with fewer --workers"
            ) from error
        yield batch


@contextmanager
def sigint_blocked() -> Generator[None, None, None]:
    """Block SIGINT (Ctrl-C) inside. Processes that are started there inherit that, so that it cannot end them while they import.

    One that comes meanwhile reaches this process at the end.
    """
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _AsArrays(Dataset[Any]):
    """Batches as arrays, which go through a pipe where tensors would take shared memory; or the UserError instead."""

    batches: Dataset[tuple[Tensor, ...]]

    def __getitem__(self, index: int) -> list[np.ndarray] | UserError:
        try:
            return [tensor.numpy() for tensor in self.batches[index]]
        except UserError as error:
            return error


def _as_it_is(item: Item) -> Item:
    return item


def start_worker(worker: int) -> None:
    """Start a worker process: as many of them as there are cores share the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    torch.set_num_threads(1)
    np.random.seed(worker)
