"""Train the linear layer of an `EncoderRegressor`: one pass over people, and the sums of a regression.

There are no epochs, no rate and no order: every batch is summed up once, and the weights are the solution of a linear system.
The same people give the same weights, and a run that was cut off goes on from its sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from helpers.errors import UserError
from helpers.face_encoder import face_chips, load_face_encoder, points_in_chips
from helpers.files import write_in_one_step
from helpers.progress import progress_bar
from helpers.regression.checkpoint import read_checkpoint
from helpers.regression.data import WorkerLost, as_bytes, as_float, indices_of_step, step_loader
from helpers.regression.encoder_regressor import (
    FIRST_POINT,
    N_FEATURES,
    EncoderRegressor,
    definition_covariance,
)
from helpers.regression.least_squares import LeastSquares, LinearMap, solve_for
from helpers.regression.training import asked_to_stop
from helpers.regression.validation import faster_precision

SAVE_EVERY = 100  # batches
SUMS = "last.pt"


class SourceWithPoints(Protocol):
    """As `helpers.regression.data.LabelledSource`, with the points of the faces.

    Attributes:
        endless: Whether each is new, so that order does not matter and none needs to be seen twice.
        size: px of the pictures.
    """

    endless: bool
    size: int

    def __len__(self) -> int: ...

    def with_points(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (B, S, S, 3), points (B, 68, 2) px of the pictures, and targets (B, K)."""
        ...


@dataclass
class ChipBatches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Face chips (B, 150, 150, 3) uint8, points (B, 68, 2) in them, and targets (B, K) of each batch, by its number."""

    source: SourceWithPoints
    batch: int
    seed: int = 0

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """The batch of a number. Of a source that ends, the last one may be short: every picture is summed once."""
        first, count = index * self.batch, len(self.source)
        if not self.source.endless:
            return self.of(torch.arange(first, min(first + self.batch, count)))
        return self.of(indices_of_step(index, self.batch, count, self.seed, True))

    def of(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The batch of these pictures."""
        image, points, target = self.source.with_points(indices)
        return as_bytes(face_chips(image, points)), points_in_chips(points), target


@dataclass(frozen=True)
class EncoderResult:
    """What a training ends with.

    Attributes:
        network: In evaluation mode, on the device that it was trained on.
        covariance: (K, K) of its errors on the people held out.
        found: The regression.
        pictures: That were learnt from.
        ended: Why, in words.
    """

    network: EncoderRegressor
    covariance: Tensor
    found: LinearMap
    pictures: int
    ended: str


def untrained(outputs: int, device: torch.device | str = "cpu") -> EncoderRegressor:
    """An `EncoderRegressor` with the published encoder, in the precision that the device is fastest in.

    Raises UserError where the encoder's weights are not installed.
    """
    precision = getattr(torch, faster_precision(torch.device(device)))
    return EncoderRegressor(load_face_encoder(device=device, dtype=precision), outputs).to(device).eval()


def train_on_encoder(
    source: SourceWithPoints,
    held_out: SourceWithPoints,
    out: str | Path,
    *,
    steps: int,
    batch: int = 64,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    workers: int = 0,
    progress: bool = True,
) -> EncoderResult:
    """Learn the linear layer.

    Writes the sums into out/last.pt. A first Ctrl-C, or SIGTERM, does so, too, and ends with what has been summed.

    Args:
        source: Pictures to learn from.
        held_out: Pictures of other people: for the shrinkage, and for the covariance.
        out: Folder, there already.
        steps: Batches to sum up, in all the calls of a run; at most those of one pass over a source that ends.
        batch: Pictures per step.
        seed: Of the order.
        device: What to compute on.
        resume: Whether to go on from out/last.pt.
        workers: Processes that prepare pictures.
        progress: Whether bars are shown.

    Raises:
        UserError: For a source without pictures, a last.pt of another run, and without the encoder's weights.
    """
    for name, pictures in (("to learn from", source), ("held out", held_out)):
        if len(pictures) < 2:
            raise UserError(f"{len(pictures)} pictures {name}: at least 2 are needed")
    if not source.endless:
        steps = min(steps, -(-len(source) // batch))
    outputs = held_out.with_points(torch.zeros(1, dtype=torch.long))[2].shape[1]
    network = untrained(outputs, device)
    file, run = Path(out) / SUMS, {"seed": seed, "batch": batch, "outputs": outputs, "pictures": len(source)}
    step, sums = _go_on(file, run) if resume else (0, LeastSquares(N_FEATURES, outputs, "cpu"))
    ended = f"all {steps} batches summed"
    chips = ChipBatches(source, batch, seed)
    bar = progress_bar(what="people", total=steps, initial=step, unit="batch", shown=progress)
    with bar, asked_to_stop() as asked:
        try:
            batches = step_loader(chips, step, steps, workers)
            for found in asked.until_then(batches, interrupt=workers > 0):
                sums.add(*_features(network, *found))
                step += 1
                bar.update()
                if step % SAVE_EVERY == 0 or step == steps:
                    _save(file, step, run, sums)
        except WorkerLost:
            _save(file, step, run, sums)
            raise
        if step < steps:
            if not sums.count:
                raise KeyboardInterrupt  # nothing has been learnt yet
            _save(file, step, run, sums)
            ended = "asked to stop"

    numbers, apart = ChipBatches(held_out, batch), torch.arange(len(held_out)).split(batch)
    bar = progress_bar(apart, "people held out", unit="batch", shown=progress)
    measured = [_features(network, *numbers.of(indices)) for indices in bar]
    features, targets = (torch.cat(part) for part in zip(*measured, strict=True))
    mean = sums.sums[FIRST_POINT:N_FEATURES] / sums.count
    found = solve_for(sums.with_noise(definition_covariance(mean), FIRST_POINT), features, targets)
    network.mean.copy_(found.mean)
    network.deviation.copy_(found.deviation)
    with torch.no_grad():
        network.fc.weight.copy_(found.weight)
        network.fc.bias.copy_(found.bias)
    off = found(features) - targets
    return EncoderResult(network, off.T @ off / len(off), found, sums.count, ended)


def _features(
    network: EncoderRegressor, chips: Tensor, placed: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Features (B, F) and targets (B, K), on the CPU."""
    device = network.mean.device
    with torch.inference_mode():
        found = network.features(as_float(chips.to(device)), placed.to(device))
    return found.cpu().clone(), target


def _save(file: Path, step: int, run: dict[str, int], sums: LeastSquares) -> None:
    state = {"version": 1, "step": step, "run": run, **sums.state()}
    write_in_one_step(file, lambda target: torch.save(state, target))


def _go_on(file: Path, run: dict[str, int]) -> tuple[int, LeastSquares]:
    """Batches that were summed, and their sums."""
    state = read_checkpoint(file)
    if state.get("run") != run:
        raise UserError(
            f"{file}: is of a run with {state.get('run')}, now it is {run}: resume with the same settings"
        )
    return state["step"], LeastSquares.of_state(state)
