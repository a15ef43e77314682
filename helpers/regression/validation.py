"""What a training asks of its network between the steps: the loss as the settings weigh it, the measures on held-out people,
and how far each number is off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from helpers.errors import UserError
from helpers.regression.data import LabelledSource, as_float
from helpers.regression.distributed import Team
from helpers.regression.loss import make_loss
from helpers.regression.metrics import N_SHAPE, importance_of, measures
from helpers.regression.settings import TrainSettings


@dataclass(frozen=True)
class ShapeScale:
    """What coefficients mean on the face model.

    Attributes:
        std: (Ks,) σ of the modes of shape, mm.
        vertices: How many the model has.
        texture_std: (Kt,) σ of the modes of texture.
    """

    std: Tensor
    vertices: int
    texture_std: Tensor


class WeightedLoss(nn.Module):
    """The loss of the settings. Squared errors of prediction and target times √w are w times squared errors.

    Args:
        settings: Which loss, and how coefficients are weighed.
        scale: The face model's σ; only an emphasis needs it.

    Raises:
        UserError: For an emphasis without `scale`.
    """

    root: Tensor

    def __init__(self, settings: TrainSettings, scale: ShapeScale | None):
        super().__init__()
        self.loss = make_loss(settings.loss, settings.over, settings.under)
        root = torch.ones(1)
        if settings.emphasis:
            if scale is None:
                raise UserError("emphasis needs the face model's σ: give `scale`, or emphasis 0")
            root = importance_of(scale.std, scale.texture_std, settings.emphasis).sqrt()
        self.register_buffer("root", root.cpu())
        self.loss_per = settings.loss_per

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """() for predictions and targets (B, K)."""
        loss = self.loss(prediction * self.root, target * self.root)
        return loss / {"face": 1, "caffe": 2, "coefficient": target.shape[1]}[self.loss_per]


def validate(
    network: nn.Module,
    source: LabelledSource,
    loss: Callable[[Tensor, Tensor], Tensor],
    settings: TrainSettings,
    team: Team | None = None,
    scale: ShapeScale | None = None,
) -> dict[str, float]:
    """Measure a network on held-out pictures.

    Args:
        network: (B, S, S, 3) to (B, K); it is put into evaluation mode.
        source: The pictures.
        loss: Of predictions and targets (B, K).
        settings: Of the run; batch and precision count.
        team: The processes that share the work; None for this one alone.
        scale: What coefficients mean on the face model; None leaves the distance in mm out.

    Returns:
        Means over the pictures: "loss", and what `measures` measures.
    """
    team = team or Team(0, 1, next(network.parameters()).device)
    network.eval()
    total: dict[str, Tensor] = {}
    with torch.inference_mode():
        for part in torch.arange(len(source))[team.rank :: team.world].split(
            max(1, settings.batch // team.world)
        ):
            image, target = source.batch(part)
            with autocast(team.device, settings.precision):
                prediction = network(as_float(image.to(team.device)))
            prediction, target = prediction.float(), target.to(team.device)
            std = None if scale is None else scale.std.to(team.device)
            n_shape = min(N_SHAPE, target.shape[1]) if scale is None else len(scale.std)
            found = measures(prediction, target, n_shape, std, scale.vertices if scale else 0)
            found["loss"] = loss(prediction, target).expand(len(part))
            for name, value in found.items():
                total[name] = total.get(name, 0) + value.double().sum().cpu()
    names = sorted(total)
    sums = torch.stack([total[name] for name in names]) if names else torch.zeros(0)
    sums = team.sum(sums.to(team.device)).tolist()
    return {name: value / len(source) for name, value in zip(names, sums, strict=True)}


def spread_on(source: LabelledSource, network: nn.Module, at_once: int = 64) -> Tensor:
    """Root mean square of prediction − target over held-out pictures.

    Args:
        source: The pictures.
        network: (B, S, S, 3) to (B, K), on any device.
        at_once: Pictures per batch.

    Returns:
        (K,), on the CPU.
    """
    device = next(network.parameters()).device
    total = torch.zeros(())
    with torch.inference_mode():
        for part in torch.arange(len(source)).split(at_once):
            image, target = source.batch(part)
            difference = network(as_float(image.to(device))).float() - target.to(device)
            total = total + difference.square().sum(0).cpu()
    return (total / len(source)).sqrt().clone()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A context in which torch computes in `precision`, "float32" or "bfloat16"."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def faster_precision(device: torch.device) -> str:
    """The precision, "bfloat16" or "float32", in which `device` takes a step sooner.

    bfloat16 where the processor computes with it, which halves the time of a step or better; else float32, because
    bfloat16 that is only emulated is slow.
    """
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    known = (
        getattr(torch.cpu, name, lambda: False)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return "bfloat16" if any(known) else "float32"
