"""Several processes that train one network together: each sees a part of every batch, and gradients are averaged.

`torchrun --nproc-per-node N -m helpers train …` starts N processes and tells each its number in environment variables. On
GPUs they talk through NCCL, on CPUs through Gloo. Run by hand there is one process, and nothing is set up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from helpers.device import upload
from helpers.errors import UserError


@dataclass(frozen=True)
class Agreement:
    """What is the same in all processes after a step, so that all of them decide alike.

    Attributes:
        loss: Mean over the whole batch.
        usable: Whether the loss and its gradient are numbers.
        stop: Whether any process was asked to stop.
        seconds: Of training, the mean of all clocks.
    """

    loss: float
    usable: bool
    stop: bool
    seconds: float


@dataclass(frozen=True)
class Team:
    """This process among those that train.

    Attributes:
        rank: Its number, from 0.
        world: How many there are.
        device: What it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """The mean of `values` over all processes, in each of them."""
        return self.sum(values) / self.world

    def sum(self, values: Tensor) -> Tensor:
        """The sum of `values` over all processes, in each of them."""
        if self.world == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values

    def agree(self, loss: Tensor, length: Tensor, stop: bool, seconds: float) -> Agreement:
        """What all processes go by after a step, in one message, as every message makes them wait for each other.

        Of a step on a GPU this is also the only thing that is waited for.

        Args:
            loss: () of this process' part of the batch.
            length: () of the gradient.
            stop: Whether this process was asked to stop.
            seconds: Of training, by this process' clock.
        """
        told = upload(torch.tensor([stop, seconds], dtype=torch.float64), self.device)
        found = torch.stack([loss.detach(), length]).double()
        loss_, length_, stopped, clock = self.mean(torch.cat([found, told])).tolist()
        usable = math.isfinite(loss_) and math.isfinite(length_)
        return Agreement(loss=loss_, usable=usable, stop=stopped > 0, seconds=clock)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.world > 1:
            dist.barrier()

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module whose backward pass averages gradients over all processes.

        Batch normalisation takes its mean over the whole batch on GPUs. Gloo has no such layer: there each process
        normalises by its own part, as in most published training runs.
        """
        if self.world == 1:
            return module
        if self.device.type == "cuda":
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
            return nn.parallel.DistributedDataParallel(module, device_ids=[self.device.index])
        return nn.parallel.DistributedDataParallel(module)


@contextmanager
def team(device: str) -> Generator[Team, None, None]:
    """The processes that torchrun started, or this one alone. Ends the connection on leaving.

    Args:
        device: "cpu", "cuda" or "cuda:N"; with several processes on GPUs each takes the one of its number.

    Yields:
        This process among them.

    Raises:
        UserError: For more processes than GPUs.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Team(0, 1, torch.device(device))
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    place = torch.device(device)
    if place.type == "cuda":
        if local >= torch.cuda.device_count():
            raise UserError(
                f"process {local} has no GPU of its own ({torch.cuda.device_count()} here): start as many as there are GPUs"
            )
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo", rank=rank, world_size=world)
    try:
        yield Team(rank, world, place)
    finally:
        dist.destroy_process_group()
