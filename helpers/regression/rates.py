"""How large the steps are, over a run."""

from __future__ import annotations

import math

from helpers.regression.settings import TrainSettings


def rate_factor(settings: TrainSettings, share: float) -> float:
    """The part of the learning rate that is used at some point of a run.

    It rises in a straight line over the warm-up: the first gradients of a random network point nowhere in particular. Then
    a cosine takes it to 0: large steps find the region, small ones settle in it.

    Args:
        settings: Of the run; its `warmup` and `schedule` count.
        share: How much of the run is done, 0 to 1.

    Returns:
        0 to 1.
    """
    share = min(max(share, 0.0), 1.0)
    if share < settings.warmup:
        return max(share, 1e-3) / settings.warmup
    if settings.schedule != "cosine":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (share - settings.warmup) / (1 - settings.warmup)))


class Plateau:
    """Divides the rate by 10 whenever the validation loss has not fallen for `patience` validations in a row.

    Attributes:
        factor: What the rate is multiplied by now.
    """

    def __init__(self, patience: int):
        self.patience, self.factor, self.best, self.waited = patience, 1.0, math.inf, 0

    def saw(self, loss: float) -> None:
        """Take the loss of one more validation into account."""
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= max(1, self.patience):
            self.factor, self.waited = self.factor / 10, 0

    def state(self) -> dict[str, float]:
        """What `restore` needs, for a checkpoint."""
        return {"factor": self.factor, "best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from a `state`."""
        self.factor, self.best, self.waited = state["factor"], state["best"], int(state["waited"])
