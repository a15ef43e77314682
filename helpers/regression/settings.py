"""What a training run is made of, in one place, with two presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from helpers.errors import UserError
from helpers.regression.augment import Augmentation
from helpers.regression.loss import LOSSES
from helpers.regression.network import NETWORKS

LOSS_PER = ("face", "caffe", "coefficient")
INPUTS = ("normalised", "mean image")
PRECISIONS = ("auto", "float32", "bfloat16")
OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("plateau", "cosine", "constant")


@dataclass(frozen=True)
class TrainSettings:
    """Numbers of a training run.

    Attributes:
        network: See `build_network`, as for `weights` and `window`.
        weights: None, or "imagenet".
        window: Share of the pictures' side that the network looks at.
        size: Side of the pictures, px.
        input: One of `INPUTS`, see `FaceRegressor`.
        loss: One of `LOSSES`.
        over: λ_1 of the asymmetric loss.
        under: λ_2 of the asymmetric loss.
        loss_per: "face" sums over the coefficients, as the loss is written; "caffe" takes half that sum, as the Euclidean
            loss of Caffe does; "coefficient" takes the mean, which makes the gradient as many times smaller.
        emphasis: How much more the modes count that change a face more, see `importance_of`; 0 as in the paper, where
            all count alike.
        batch: Pictures per step, over all processes together.
        steps: How many, at most.
        minutes: If above 0, instead of `steps`: the schedule follows the clock and ends when the time is up. Such a run
            cannot be repeated to the bit.
        optimiser: One of `OPTIMISERS`.
        rate: Largest learning rate, of the last layer.
        body_rate: Learning rate of all other layers, in parts of `rate`.
        momentum: Of "sgd".
        weight_decay: Of either optimiser.
        clip: Longest gradient, 0 for any.
        warmup: Share of the run in which the rate rises from 0.
        schedule: "cosine" falls to 0 at the end; "plateau" divides by 10 whenever the validation loss has not fallen for
            `plateau` validations; "constant" does neither.
        plateau: Validations.
        average: If above 0, validated and kept are running averages of the weights, of which each step keeps this share.
        precision: "auto" takes bfloat16 where that is faster, and float32 elsewhere.
        validate_every: Steps.
        patience: Validations without a better one after which the run ends; 0 for never.
        seed: Of first weights, order and augmentation.
        augmentation: How pictures are changed at random.

    Raises:
        UserError: For a number or word that cannot be used.
    """

    network: str = "resnet18"
    weights: str | None = None
    window: float = 1.0
    size: int = 112
    input: str = "normalised"
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
    body_rate: float = 1.0
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
        """Whether pictures are changed at all."""
        return self.augmentation != Augmentation.none()

    def __post_init__(self):
        def one_of(name: str, known: tuple[str, ...]) -> None:
            if getattr(self, name) not in known:
                raise UserError(f"{name} {getattr(self, name)!r} is not known: {', '.join(known)}")

        one_of("network", NETWORKS)
        one_of("loss", LOSSES)
        one_of("loss_per", LOSS_PER)
        one_of("input", INPUTS)
        one_of("optimiser", OPTIMISERS)
        one_of("schedule", SCHEDULES)
        one_of("precision", PRECISIONS)
        for name in ("over", "under", "rate", "batch", "steps", "size", "validate_every"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("minutes", "weight_decay", "clip", "emphasis", "patience", "plateau"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 < self.body_rate <= 1:
            raise UserError(f"body_rate must be above 0 and at most 1, got {self.body_rate}")
        for name in ("momentum", "warmup", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} must be from 0 to below 1, got {getattr(self, name)}")
        if self.size < 32:
            raise UserError(f"size must be at least 32 px, got {self.size}")


PRESETS: dict[str, TrainSettings] = {
    # As reported by Tran et al. (2017): ResNet-101 at 224 px, batch 144, SGD with momentum, rate 0.01 for the new last layer and a
    # tenth of it for the others. Their ResNet had been trained for face recognition, and its weights are no part of this course. As seen
    # in their code for prediction: BGR from 0 to 255, less a mean image.
    # Ours: random weights (or --weights imagenet), the mean over the coefficients (how the loss was scaled is not reported, and
    # half the sum, Caffe's form, overshoots at this rate, see notebook 06), steps, patience, augmentation.
    "paper": TrainSettings(
        network="resnet101",
        size=224,
        input="mean image",
        loss_per="coefficient",
        batch=144,
        steps=100_000,
        optimiser="sgd",
        rate=0.01,
        body_rate=0.1,
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


def settings_of(preset: str, **changes: Any) -> TrainSettings:
    """Take a preset with some numbers changed.

    Args:
        preset: One of `PRESETS`.
        **changes: Fields of `TrainSettings`; None leaves the preset's.

    Returns:
        The settings.

    Raises:
        UserError: For what is not usable.
    """
    if preset not in PRESETS:
        raise UserError(f"preset {preset!r} is not known: {', '.join(PRESETS)}")
    return replace(PRESETS[preset], **{name: value for name, value in changes.items() if value is not None})
