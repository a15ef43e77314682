"""What a training asks of its network between the steps: the loss as the settings weigh it, the measures on held-out people,
and how far each number is off."""

from __future__ import annotations

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
    """What coefficients mean on the face model: the modes' σ (Ks,) mm, the number of vertices, and σ of texture (Kt,)."""

    std: Tensor
    vertices: int
    texture_std: Tensor


class WeightedLoss(nn.Module):
    """The loss of the settings. Squared errors of prediction and target times √w are w times squared errors."""

    def __init__(self, s: TrainSettings, scale: ShapeScale | None):
        super().__init__()
        if s.emphasis and scale is None:
            raise UserError("emphasis needs the face model's σ: give `scale`, or emphasis 0")
        self.loss = make_loss(s.loss, s.over, s.under)
        root = importance_of(scale.std, scale.texture_std, s.emphasis).sqrt() if s.emphasis else torch.ones(1)
        self.register_buffer("root", root.cpu())
        self.mean = s.loss_per == "coefficient"

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        loss = self.loss(prediction * self.root, target * self.root)
        return loss / target.shape[1] if self.mean else loss


def validate(
    network: nn.Module,
    source: LabelledSource,
    loss,
    settings: TrainSettings,
    team: Team | None = None,
    scale: ShapeScale | None = None,
) -> dict[str, float]:
    """Means over the pictures of `source`: "loss", and what `measures` measures. The processes of a team share the work."""
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
    """(K,) root mean square of prediction − target over the pictures of `source`, on the CPU."""
    total = torch.zeros(())
    with torch.inference_mode():
        for part in torch.arange(len(source)).split(at_once):
            image, target = source.batch(part)
            total = total + (network(as_float(image)).float() - target).square().sum(0)
    return (total / len(source)).sqrt().clone()


def autocast(device: torch.device, precision: str):
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def faster_precision(device: torch.device) -> str:
    """bfloat16 where the processor computes with it, which halves the time of a step or better; else float32, because
    bfloat16 that is only imitated is slow."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    known = (
        getattr(torch.cpu, name, lambda: False)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return "bfloat16" if any(known) else "float32"
