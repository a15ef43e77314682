"""What a training run is made of, in one place, with two presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from helpers.errors import UserError
from helpers.regression.augment import Augmentation
from helpers.regression.loss import LOSSES
from helpers.regression.network import NETWORKS

LOSS_PER = ("face", "coefficient")
PRECISIONS = ("auto", "float32", "bfloat16")
OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("plateau", "cosine", "constant")


@dataclass(frozen=True)
class TrainSettings:
    """Numbers of a training run.

    network, weights, window: see `build_network`.  size: side of the pictures, px.  loss: one of `LOSSES`; over and under
    belong to the asymmetric one.  loss_per: "face" sums over the coefficients, as the loss is written; "coefficient" takes
    their mean, which makes the gradient as many times smaller.
    emphasis: how much more the modes count that change a face more, see `importance_of`; 0 as in the paper, where all count
    alike.  batch: pictures a step, over all processes together.  steps: how many, at most.
    minutes: instead, if above 0: the schedule follows the clock and ends when the time is up. Such a run cannot be
    repeated to the bit.
    optimiser, rate, momentum, weight_decay: of the steps.  clip: longest gradient, 0 for any.  warmup: share of the run
    in which the rate rises from 0.  schedule: "cosine" falls to 0 at the end; "plateau" divides by 10 whenever the validation
    loss has not fallen for `plateau` validations.
    average: if above 0, validated and kept are running averages of the weights, with this share kept a step.
    precision: "auto" takes bfloat16 where that is faster, and float32 elsewhere.
    validate_every: steps.  patience: validations without a better one, after which the run ends; 0 for never.
    seed: of first weights, order and augmentation.
    """

    network: str = "resnet18"
    weights: str | None = None
    window: float = 1.0
    size: int = 112
    loss: str = "asymmetric"
    over: float = 1.0
    under: float = 3.0
    loss_per: str = "face"
    emphasis: float = 0.0
    batch: int = 64
    steps: int = 10_000
    minutes: float = 0.0
    optimiser: str = "adamw"
    rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-2
    clip: float = 0.0
    warmup: float = 0.05
    schedule: str = "cosine"
    plateau: int = 3
    average: float = 0.0
    precision: str = "auto"
    validate_every: int = 250
    patience: int = 0
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation.none)

    @property
    def augments(self) -> bool:
        return self.augmentation != Augmentation.none()

    def __post_init__(self):
        def one_of(name: str, known) -> None:
            if getattr(self, name) not in known:
                raise UserError(f"{name} {getattr(self, name)!r} is not known: {', '.join(known)}")

        one_of("network", NETWORKS)
        one_of("loss", LOSSES)
        one_of("loss_per", LOSS_PER)
        one_of("optimiser", OPTIMISERS)
        one_of("schedule", SCHEDULES)
        one_of("precision", PRECISIONS)
        for name in ("over", "under", "rate", "batch", "steps", "size", "validate_every"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("minutes", "weight_decay", "clip", "emphasis", "patience", "plateau"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("momentum", "warmup", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")
        if self.size < 32:
            raise UserError(f"size must be at least 32 px, got {self.size}")


PRESETS: dict[str, TrainSettings] = {
    # As reported by Tran et al. (2017): ResNet-101 from ImageNet at 224 px, batch 144, plain SGD with a rate of 0.01. How the loss
    # was scaled is not reported. Summed over 198 coefficients it runs away at this rate within a few steps, so the mean is taken.
    "paper": TrainSettings(
        network="resnet101",
        weights="imagenet",
        size=224,
        loss_per="coefficient",
        batch=144,
        steps=100_000,
        optimiser="sgd",
        rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        warmup=0.0,
        schedule="plateau",
        validate_every=1000,
        patience=8,
        augmentation=Augmentation(),
    ),
    # For two CPU cores and an hour: a smaller network, smaller pictures of which it looks at the middle, faster steps.
    "quick": TrainSettings(size=96, window=0.65, batch=48, emphasis=0.7, average=0.998, clip=100.0),
}


def settings_of(preset: str, **changes) -> TrainSettings:
    """A preset with some numbers changed; None leaves the preset's. Raises UserError for what is not usable."""
    if preset not in PRESETS:
        raise UserError(f"preset {preset!r} is not known: {', '.join(PRESETS)}")
    return replace(PRESETS[preset], **{name: value for name, value in changes.items() if value is not None})
