"""Running averages of a network's weights, which predict better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RunningAverage:
    """Averages of the weights, and of the running means of batch normalisation, over the steps of a run.

    Args:
        network: Whose weights.
        share: Of the average that each step keeps, 0 to below 1; 0 keeps no averages, and nothing here does anything.
    """

    def __init__(self, network: nn.Module, share: float):
        self.network, self.share = network, share
        self.values = [value.detach().clone() for value in self._now()] if share else None

    def update(self, step: int) -> None:
        """Take in the weights after step number `step`, from 0.

        Early on the averages forget faster, so that the random start does not linger.
        """
        if self.values is None:
            return
        share = min(self.share, (1 + step) / (10 + step))
        for kept, now in zip(self.values, self._now(), strict=True):
            kept.lerp_(now.detach(), 1 - share)

    @contextmanager
    def in_use(self) -> Generator[None, None, None]:
        """The network with its averaged weights, where there are any."""
        if self.values is None:
            yield
            return
        now = [value.detach().clone() for value in self._now()]
        self._put(self.values)
        try:
            yield
        finally:
            self._put(now)

    def restore(self, values: list[Tensor] | None) -> None:
        """Go on from the `values` of a checkpoint."""
        if self.values is not None and values is not None:
            self.values = [new.to(old.device) for new, old in zip(values, self.values, strict=True)]

    def _now(self) -> list[Tensor]:
        running = (b for name, b in self.network.named_buffers() if "running_" in name)
        return [*self.network.parameters(), *running]

    def _put(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for now, value in zip(self._now(), values, strict=True):
                now.copy_(value)
