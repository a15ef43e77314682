"""The training loop.

A step takes a batch, computes the loss and its gradient, and moves the weights against it. Everything else here sees to it
that hours of such steps can be trusted: they can be cut off and gone on with, they stop before they spoil what was learnt,
and they leave a record.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from helpers.device import upload
from helpers.errors import UserError
from helpers.progress import progress_bar
from helpers.regression.augment import augment
from helpers.regression.averages import RunningAverage
from helpers.regression.checkpoint import check_folder, load_checkpoint, save_checkpoint
from helpers.regression.data import LabelledSource, StepBatches, WorkerLost, as_float, step_loader
from helpers.regression.distributed import Team
from helpers.regression.log import Log, read_log
from helpers.regression.network import (
    RESNET_STRIDE,
    FaceRegressor,
    build_network,
    channels_last,
    parameter_groups,
    window_rim,
)
from helpers.regression.rates import Plateau, rate_factor
from helpers.regression.settings import TrainSettings
from helpers.regression.validation import ShapeScale, WeightedLoss, autocast, faster_precision, validate

# So many steps in a row without a usable loss end the run: the weights are spoilt.
SKIPS_ALLOWED = 5
ENDLESS = 2**31

Item = TypeVar("Item")


@dataclass(frozen=True)
class TrainResult:
    """What a run ends with.

    Attributes:
        network: With its best weights, in evaluation mode on the CPU.
        steps: Done in all.
        ended: Why, in words.
        log: The rows of log.csv.
        losses: Of each step of this call.
    """

    network: FaceRegressor
    steps: int
    ended: str
    log: list[dict[str, float]]
    losses: list[float]


def train(
    source: LabelledSource,
    validation: LabelledSource,
    settings: TrainSettings,
    out: str | Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    workers: int = 0,
    scale: ShapeScale | None = None,
    team: Team | None = None,
    network: FaceRegressor | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> TrainResult:
    """Train a network.

    Writes into the folder `out`: last.pt and best.pt (checkpoints; best by validation loss), and log.csv. With `resume`,
    goes on from out/last.pt: on the CPU, with the same settings and number of threads, every later loss is the same to the
    bit. A first Ctrl-C, or SIGTERM, finishes the step at hand, or stops waiting for pictures, and writes last.pt; a second one
    ends the run at once.

    Args:
        source: Pictures to train on.
        validation: Pictures to validate on, which must be of other people.
        settings: Of the run.
        out: Folder for the results.
        device: What to compute on, where no `team` says it.
        resume: Whether to go on from out/last.pt.
        workers: Processes that prepare pictures.
        scale: To report shape errors in mm, and for an emphasis.
        team: The processes that train together; None for this one alone.
        network: To train instead of the one that the settings name, for experiments.
        clock: Seconds from any start; `TrainSettings.minutes` and the log go by it.

    Returns:
        The network with its best weights, and how the run went.

    Raises:
        UserError: For settings or files that do not fit, when the loss is not a number `SKIPS_ALLOWED` times in a row, or at
            the first validation, and when a process that prepares pictures is lost, after last.pt is written.
    """
    team = team or Team(0, 1, torch.device(device))
    run = _Run(source, validation, settings, Path(out), resume, workers, scale, team, network, clock)
    try:
        return run.go()
    finally:
        run.log.close()


class _Run:
    """One call of `train`: what it holds, and its steps."""

    def __init__(
        self,
        source: LabelledSource,
        validation: LabelledSource,
        settings: TrainSettings,
        out: Path,
        resume: bool,
        workers: int,
        scale: ShapeScale | None,
        team: Team,
        network: FaceRegressor | None,
        clock: Callable[[], float],
    ):
        _check_sizes(len(source), len(validation), settings.batch, team.world)
        check_folder(out, resume)
        out.mkdir(parents=True, exist_ok=True)
        state = load_checkpoint(out / "last.pt", settings) if resume else None
        self.source, self.validation, self.out = source, validation, out
        self.workers, self.scale, self.team, self.device = workers, scale, team, team.device

        torch.manual_seed(settings.seed)
        if network is None:
            outputs = target_count(source)
            network = build_network(settings.network, outputs, settings.weights, settings.window)
            if settings.input == "mean image":
                network.set_mean_image(some_pictures(source, settings.batch, team.leads))
        self.bare = channels_last(network, self.device)
        _check_normalisation(self.bare, settings, team.world)
        self.module = team.wrapped(self.bare)
        precision = state["settings"]["precision"] if state else settings.precision
        if precision == "auto":
            precision = faster_precision(self.device)
        self.settings = replace(settings, precision=precision)
        self.optimiser = make_optimiser(self.bare, self.settings)
        self.loss = WeightedLoss(settings, scale).to(self.device)
        self.plateau = Plateau(settings.plateau)
        self.average = RunningAverage(self.bare, settings.average)

        self.step, self.seconds = 0, 0.0
        self.skipped, self.skips_in_a_row = 0, 0
        self.best, self.since_best = math.inf, 0
        self.train_losses: list[float] = []  # since the last validation
        if state:
            self._restore(state)
        self.log = Log(out, self.step) if team.leads else _NoLog()
        self.clock, self.begun = clock, clock() - self.seconds

    def go(self) -> TrainResult:
        s, losses = self.settings, []
        stop = ENDLESS if s.minutes else s.steps
        ended = f"all {s.steps} steps done"  # also where a run that goes on has none left
        batches = StepBatches(self.source, s.batch, s.seed, self.team.rank, self.team.world)
        bar = progress_bar(
            total=None if s.minutes else stop, initial=self.step, unit="step", shown=self.team.leads
        )
        with bar, asked_to_stop() as asked, self._saved_where_workers_are_lost():
            loader = step_loader(batches, self.step, stop, self.workers)
            # Processes that train together end after the same step, or some would wait for the others for ever.
            alone, interrupt = self.team.world == 1, self.workers > 0
            for image, target in asked.until_then(loader, interrupt) if alone else loader:
                self._set_rate()
                means = [buffer.clone() for buffer in self.bare.buffers()]
                loss, length = self._gradient(image, target)
                # The gradients are averaged over all processes already; so must be what they decide by.
                agreed = self.team.agree(loss, length, asked.is_set(), self._elapsed())
                self.seconds = agreed.seconds
                if agreed.usable:
                    self._move_weights()
                else:
                    self._skip(means)
                self.step += 1
                losses.append(agreed.loss)
                self.train_losses.append(agreed.loss)
                bar.update()
                if self.step % 10 == 0:
                    bar.set_postfix_str(f"loss {agreed.loss:.1f}, best {self.best:.1f}", refresh=False)

                finished = self._finished()
                if finished or self.step % s.validate_every == 0:
                    self._validate()
                elif agreed.stop:
                    self._save_last()
                over = "asked to stop" if agreed.stop else finished or self._out_of_patience()
                if over:
                    ended = over
                    break
            else:
                if asked.is_set():  # while pictures were waited for
                    self._save_last()
                    ended = "asked to stop"
        self.team.wait()
        if (self.out / "best.pt").exists():
            self.bare.load_state_dict(load_checkpoint(self.out / "best.pt")["network"])
        return TrainResult(
            self.bare.eval().to("cpu"), self.step, ended, read_log(self.out / "log.csv"), losses
        )

    @contextmanager
    def _saved_where_workers_are_lost(self) -> Generator[None, None, None]:
        """They are missed between two steps, when the next pictures are waited for."""
        try:
            yield
        except WorkerLost:
            self._save_last()
            raise

    def _set_rate(self) -> None:
        s = self.settings
        share = self.seconds / (60 * s.minutes) if s.minutes else self.step / s.steps
        for group in self.optimiser.param_groups:
            group["lr"] = s.rate * group["share"] * rate_factor(s, share) * self.plateau.factor

    def _gradient(self, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Forward and backward: the loss of this process' part of the batch, and the gradient's length before clipping."""
        s = self.settings
        image, target = as_float(upload(image, self.device)), upload(target, self.device)
        if s.augments:
            number = self.step * self.team.world + self.team.rank
            generator = torch.Generator().manual_seed((s.seed * 7_368_787 + number) % 2**63)
            image = augment(image, generator, s.augmentation)
        self.module.train()
        with autocast(self.device, s.precision):
            prediction = self.module(image)
        loss = self.loss(prediction.float(), target)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        return loss, nn.utils.clip_grad_norm_(self.bare.parameters(), s.clip or torch.inf)

    def _move_weights(self) -> None:
        self.optimiser.step()
        self.average.update(self.step)
        self.skips_in_a_row = 0

    def _skip(self, means: list[Tensor]) -> None:
        """Leave the weights as they are, and undo what the forward pass did to running means."""
        for buffer, before in zip(self.bare.buffers(), means, strict=True):
            buffer.copy_(before)
        self.skipped += 1
        self.skips_in_a_row += 1
        if self.skips_in_a_row >= SKIPS_ALLOWED:
            self._ran_away(
                f"the loss was not a number in {SKIPS_ALLOWED} steps in a row, the last one step {self.step + 1}"
            )

    def _finished(self) -> str:
        """Why the run has reached its end, in words, or ""."""
        s = self.settings
        if not s.minutes:
            return f"all {s.steps} steps done" if self.step == s.steps else ""
        return f"{s.minutes:g} minutes are over" if self.seconds >= 60 * s.minutes else ""

    def _out_of_patience(self) -> str:
        patience = self.settings.patience
        waited = bool(patience) and self.since_best >= patience
        return f"no better validation loss in {patience} validations" if waited else ""

    def _validate(self) -> None:
        s = self.settings
        with self.average.in_use():
            found = validate(self.bare, self.validation, self.loss, s, self.team, self.scale)
            # Later the best weights are kept; before there are any, nothing is worth going on with.
            if not (math.isfinite(found["loss"]) or math.isfinite(self.best)):
                self._ran_away(f"the validation loss is not a number at step {self.step}")
            better = found["loss"] < self.best
            if better and self.team.leads:
                best = {"step": self.step, "network": self.bare.state_dict(), "found": found}
                save_checkpoint(self.out / "best.pt", best, s)
        self.best, self.since_best = (found["loss"], 0) if better else (self.best, self.since_best + 1)
        elapsed = torch.tensor(self._elapsed(), dtype=torch.float64, device=self.device)
        self.seconds = float(self.team.mean(elapsed))
        rate = self.optimiser.param_groups[0]["lr"]
        if s.schedule == "plateau":
            self.plateau.saw(found["loss"])
        finite = [loss for loss in self.train_losses if not math.isnan(loss)] or [math.nan]
        row = {
            "seconds": self.seconds,
            "rate": rate,
            "train_loss": sum(finite) / len(finite),
            **found,
            "skipped": self.skipped,
        }
        self.train_losses = []
        self.log.add({"step": self.step, **{name: round(float(value), 6) for name, value in row.items()}})
        self._save_last()

    def _ran_away(self, why: str) -> None:
        """Ends the run without writing anything: what lies in the folder is from before."""
        best = self.out / "best.pt"
        raise UserError(
            f"{why}: lower --rate or limit the gradient with --clip, and start again"
            + (f" in another folder; {best} holds the best weights so far" if best.exists() else "")
        )

    def _save_last(self) -> None:
        if self.team.leads:
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "network": self.bare.state_dict(),
                "average": self.average.values,
                "optimiser": self.optimiser.state_dict(),
                "plateau": self.plateau.state(),
                "best": self.best,
                "since_best": self.since_best,
                "skipped": self.skipped,
                "train_losses": self.train_losses,
            }
            save_checkpoint(self.out / "last.pt", state, self.settings)

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.bare.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(
                f"{self.out / 'last.pt'}: is of another network than the settings name: {error}"
            ) from error
        self.average.restore(state["average"])
        self.plateau.restore(state["plateau"])
        for name in ("step", "seconds", "best", "since_best", "skipped", "train_losses"):
            setattr(self, name, state[name])

    def _elapsed(self) -> float:
        """Seconds of training by this process' own clock, over all the calls of a run. `seconds` is the mean of all processes."""
        return self.clock() - self.begun


def _check_sizes(pictures: int, held_out: int, batch: int, world: int) -> None:
    """Raises UserError where pictures cannot be dealt out to batches and processes."""
    if batch % world:
        raise UserError(f"a batch of {batch} cannot be shared evenly by {world} processes: choose a multiple")
    if pictures < batch:
        raise UserError(f"a batch of {batch} needs at least as many pictures, there are {pictures}")
    if not held_out:
        raise UserError("there is no picture to validate on")
    if held_out < world:
        raise UserError(
            f"{world} processes cannot share {held_out} picture to validate on: hold out more people"
        )


def _check_normalisation(network: FaceRegressor, settings: TrainSettings, world: int) -> None:
    """Raises UserError where batch normalisation would get one value a channel, which has no variance."""
    side = settings.size - 2 * window_rim(settings.size, network.window)
    alone = settings.batch == world and side <= RESNET_STRIDE
    if alone and any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()):
        raise UserError(
            f"{settings.network} cannot learn from one picture a step and process of {side} px, which its last layers see as one "
            "pixel: raise --batch or --size"
        )


def target_count(source: LabelledSource) -> int:
    """How many numbers a network must predict for this source."""
    return source.batch(torch.zeros(1, dtype=torch.long))[1].shape[1]


def some_pictures(source: LabelledSource, batch: int, talks: bool = True, count: int = 1024) -> Tensor:
    """(N, S, S, 3), the first pictures of a source, `count` or all."""
    some = torch.arange(min(count, len(source))).split(batch)
    bar = progress_bar(some, "mean image", unit="batch", shown=talks)
    return torch.cat([source.batch(indices)[0] for indices in bar])


def make_optimiser(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimiser of the settings, for all weights of a network."""
    groups, s = parameter_groups(network, settings.body_rate), settings
    if s.optimiser == "sgd":
        return torch.optim.SGD(groups, s.rate, momentum=s.momentum, weight_decay=s.weight_decay)
    return torch.optim.AdamW(groups, s.rate, weight_decay=s.weight_decay)


class _NoLog:
    """The log of a process that does not lead."""

    def add(self, row: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class _StopWaiting(KeyboardInterrupt):
    """As Ctrl-C, but a run expects it."""


class StopRequest(threading.Event):
    """Is set when a run is asked to stop."""

    waits = False

    def until_then(self, items: Iterable[Item], interrupt: bool) -> Iterator[Item]:
        """The items, until the request; with `interrupt`, one that comes while the next item is waited for ends the waiting."""
        rest = iter(items)
        while not self.is_set():
            try:
                self.waits = interrupt
                item = next(rest)
            except StopIteration:
                return
            except _StopWaiting:
                return
            finally:
                self.waits = False
            yield item


@contextmanager
def asked_to_stop() -> Generator[StopRequest, None, None]:
    """A request that is set by the first Ctrl-C or polite kill. A second one does what it did before."""
    asked = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def as_before() -> None:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    def ask(*_) -> None:
        as_before()  # a loop that hangs would never look at the event
        asked.set()
        if asked.waits:
            raise _StopWaiting

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        as_before()
