"""Pictures with labels, by number: what a network is trained and tested on.

A source has a length and `batch(indices)`, which gives pictures (B, S, S, 3), sRGB from 0 to 1, and targets (B, K). Which
pictures a step sees follows from the step's number and the seed alone. So a run that was cut off goes on with the same
pictures, workers may prepare them in any order, and several processes share a batch without talking to each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from helpers.progress import progress_bar


class LabelledSource(Protocol):
    """Pictures with labels. `endless`: each is new, so that order does not matter and none needs to be seen twice."""

    endless: bool

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass
class TensorSource:
    """Pictures that are at hand. images: (N, S, S, 3), float from 0 to 1 or uint8.  targets: (N, K)."""

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
        return as_float(self.images[indices]), self.targets[indices]


# People are made in groups of so many, so that an endless source needs no list of all of them.
GROUP = 4096


@dataclass
class PeopleSource:
    """Synthetic people, drawn and photographed when they are asked for: as many as wanted, none of them twice.

    The targets are the true coefficients, which only a renderer knows. (Photographs are labelled by pooled fits.)
    people: how many; each is photographed once.  seed: of the first group; the next ones count on. `helpers train`
    keeps training and validation far apart.  size: px.  level: of the face model.
    nuisances: `helpers.datasets.Nuisances`; None for those of photographs.
    """

    people: int
    seed: int = 0
    size: int = 112
    level: int = 1
    model: str = "open"
    nuisances: object = None
    endless: bool = True
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    def group(self, number: int):
        """The `SyntheticPeople` of one group. Made where it is used: a worker gets the settings, not the tensors."""
        from helpers.datasets import Nuisances, SyntheticPeople
        from helpers.face_model import load

        if "model" not in self._kept:
            self._kept.update(model=load(self.model, level=self.level), groups={})
        groups = self._kept["groups"]
        if number not in groups:
            while len(groups) > 1:
                del groups[next(iter(groups))]
            groups[number] = SyntheticPeople(
                self._kept["model"],
                GROUP,
                1,
                seed=self.seed + number,
                size=self.size,
                framing="network",
                nuisances=self.nuisances or Nuisances.photographs(),
            )
        return groups[number]

    def __getstate__(self):
        return {**self.__dict__, "_kept": {}}

    def __len__(self) -> int:
        return self.people

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        if int(indices.min()) < 0 or int(indices.max()) >= self.people:
            raise IndexError(
                f"people are numbered 0 to {self.people - 1}, got {indices.min()} to {indices.max()}"
            )
        image, target = None, None
        groups = indices // GROUP
        for number in groups.unique().tolist():
            rows = (groups == number).nonzero()[:, 0]
            batch = self.group(number).batch(indices[rows] % GROUP)
            numbers = torch.cat([batch.coefficients.alpha, batch.coefficients.beta], -1)
            if image is None:
                image, target = (
                    batch.image.new_empty(len(indices), *batch.image.shape[1:]),
                    numbers.new_empty(len(indices), numbers.shape[1]),
                )
            image[rows], target[rows] = batch.image, numbers
        return image, target


def as_float(images: Tensor) -> Tensor:
    return images.float() / 255 if images.dtype == torch.uint8 else images


def as_bytes(images: Tensor) -> Tensor:
    """As a photograph stores them; a quarter of the memory on the way to the device."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def hold(
    source: LabelledSource, indices: Tensor | None = None, at_once: int = 64, *, progress: bool = True
) -> TensorSource:
    """A source's pictures, kept in memory as bytes: for validation, which sees the same ones again and again.

    progress: with a bar.
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
    """Which pictures (batch,) step number `step`, from 0, sees.

    In each round through the data every picture comes once, in an order of its own; endless sources go through theirs in
    order. The last few of a round that do not fill a batch wait for the next round, which orders anew.
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
class StepBatches(Dataset):
    """The batch of each step, as bytes, for one of `world` processes: rank r takes every world-th picture."""

    source: LabelledSource
    batch: int
    seed: int
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        return 2**31  # steps without end; the sampler says which are wanted

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        indices = indices_of_step(step, self.batch, len(self.source), self.seed, self.source.endless)
        image, target = self.source.batch(indices[self.rank :: self.world])
        return (image if image.dtype == torch.uint8 else as_bytes(image)), target


def step_loader(batches: StepBatches, start: int, stop: int, workers: int = 0) -> DataLoader:
    """Batches of steps start … stop − 1 in order; with `workers` processes they are made ahead of time."""
    more = (
        {}
        if workers == 0
        else {
            # A fork would inherit locks and threads of torch and Warp in an unknown state.
            "multiprocessing_context": "spawn",
            "prefetch_factor": 4,
            "worker_init_fn": _one_thread,
        }
    )
    return DataLoader(batches, batch_size=None, sampler=range(start, stop), num_workers=workers, **more)


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
    np.random.seed(worker)
