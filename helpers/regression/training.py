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
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.errors import UserError
from helpers.progress import progress_bar
from helpers.regression.augment import augment
from helpers.regression.checkpoint import check_folder, load_checkpoint, save_checkpoint
from helpers.regression.data import LabelledSource, StepBatches, as_float, step_loader
from helpers.regression.distributed import Team
from helpers.regression.log import Log, read_log
from helpers.regression.network import build_network, without_decay
from helpers.regression.rates import Plateau, rate_factor
from helpers.regression.settings import TrainSettings
from helpers.regression.validation import ShapeScale, WeightedLoss, autocast, faster_precision, validate

# So many steps in a row without a usable loss end the run: the weights are spoilt.
SKIPS_ALLOWED = 5
ENDLESS = 2**31


@dataclass(frozen=True)
class TrainResult:
    """network: with its best weights, in evaluation mode on the CPU.  steps: done in all.  ended: why, in words.
    log: the rows of log.csv.  losses: of each step of this call."""

    network: nn.Module
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
    network: nn.Module | None = None,
) -> TrainResult:
    """Train a network on `source`, and validate it on `validation`, which must hold other people.

    Writes into the folder `out`: last.pt and best.pt (checkpoints; best by validation loss), log.csv. With `resume`, goes on
    from out/last.pt: on the CPU, with the same settings and number of threads, every later loss is the same to the bit.
    network: to train instead of the one that the settings name, for experiments.  scale: to report shape errors in mm.

    Raises UserError for settings or files that do not fit, and when the loss is not a number `SKIPS_ALLOWED` times in a row, or
    at the first validation.
    """
    run = _Run(source, validation, settings, Path(out), device, workers, scale, team, network, resume)
    try:
        return run.go()
    finally:
        run.log.close()


class _Run:
    """One call of `train`: what it holds, and its steps."""

    def __init__(self, source, validation, settings, out, device, workers, scale, team, network, resume):
        self.team = team or Team(0, 1, torch.device(device))
        if settings.batch % self.team.world:
            raise UserError(
                f"a batch of {settings.batch} cannot be shared evenly by {self.team.world} processes: choose a multiple"
            )
        if len(source) < settings.batch:
            raise UserError(
                f"a batch of {settings.batch} needs at least as many pictures, there are {len(source)}"
            )
        if not len(validation):
            raise UserError("there is no picture to validate on")
        if len(validation) < self.team.world:
            raise UserError(
                f"{self.team.world} processes cannot share {len(validation)} picture to validate on: hold out more people"
            )
        self.source, self.validation, self.out, self.scale, self.workers = (
            source,
            validation,
            out,
            scale,
            workers,
        )
        self.device = self.team.device
        check_folder(out, resume)
        out.mkdir(parents=True, exist_ok=True)
        state = load_checkpoint(out / "last.pt", settings) if resume else None
        torch.manual_seed(settings.seed)
        self.bare = network or build_network(
            settings.network, target_count(source), settings.weights, settings.window
        )
        self.bare = self.bare.to(self.device, memory_format=torch.channels_last)
        precision = state["settings"]["precision"] if state else settings.precision
        self.settings = replace(
            settings, precision=precision if precision != "auto" else faster_precision(self.device)
        )
        self.module = self.team.wrapped(self.bare)
        self.optimiser = make_optimiser(self.bare, self.settings)
        self.loss = WeightedLoss(settings, scale).to(self.device)
        self.plateau = Plateau(settings.plateau)
        self.average = [p.detach().clone() for p in averaged(self.bare)] if settings.average else None
        self.step, self.seconds, self.skipped, self.skips_in_a_row = 0, 0.0, 0, 0
        self.best, self.since_best = float("inf"), 0
        self.train_losses: list[float] = []  # since the last validation
        if state:
            self._restore(state)
        self.log = Log(out, self.step) if self.team.leads else _NoLog()

    def go(self) -> TrainResult:
        s = self.settings
        losses, self.begun = [], time.perf_counter() - self.seconds
        stop, known = (ENDLESS, None) if s.minutes else (s.steps, s.steps)
        batches = StepBatches(self.source, s.batch, s.seed, self.team.rank, self.team.world)
        ended = f"all {s.steps} steps done"
        with (
            progress_bar(total=known, initial=self.step, unit="step", shown=self.team.leads) as bar,
            _asked_to_stop() as asked,
        ):
            for image, target in step_loader(batches, self.step, stop, self.workers):
                loss, asked_now = self._one_step(image, target, asked.is_set())
                losses.append(loss)
                bar.update()
                if self.step % 10 == 0:
                    bar.set_postfix_str(f"loss {loss:.1f}, best {self.best:.1f}", refresh=False)
                time_up = bool(s.minutes) and self.seconds >= 60 * s.minutes
                last = time_up or self.step == stop
                if self.step % s.validate_every == 0 or last:
                    self._validate()
                elif asked_now:
                    self._save("last.pt")
                if asked_now:
                    ended = "asked to stop"
                    break
                if last:
                    ended = f"{s.minutes:g} minutes are over" if time_up else ended
                    break
                if s.patience and self.since_best >= s.patience:
                    ended = f"no better validation loss in {s.patience} validations"
                    break
        self.team.wait()
        best = load_checkpoint(self.out / "best.pt") if (self.out / "best.pt").exists() else None
        if best is not None:
            self.bare.load_state_dict(best["network"])
        return TrainResult(
            self.bare.eval().to("cpu"), self.step, ended, read_log(self.out / "log.csv"), losses
        )

    def _one_step(self, image: Tensor, target: Tensor, asked: bool) -> tuple[float, bool]:
        """One step; returns the loss over all processes, and whether any of them was asked to stop. Sets the time."""
        s = self.settings
        generator = torch.Generator().manual_seed(
            (s.seed * 7_368_787 + self.step * self.team.world + self.team.rank) % 2**63
        )
        image = (
            augment(as_float(image.to(self.device)), generator, s.augmentation)
            if s.augments
            else as_float(image.to(self.device))
        )
        target = target.to(self.device)
        share = self.seconds / (60 * s.minutes) if s.minutes else self.step / s.steps
        rate = s.rate * rate_factor(s, share) * self.plateau.factor
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.module.train()
        buffers = [b.clone() for b in self.bare.buffers()]
        with autocast(self.device, s.precision):
            prediction = self.module(image)
        loss = self.loss(prediction.float(), target)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        length = nn.utils.clip_grad_norm_(self.bare.parameters(), s.clip or torch.inf)
        # All processes must decide alike: so the loss, the wish to stop and the time are those of all of them. The gradients
        # are averaged already.
        asked_all, clock = torch.tensor([float(asked), self._clock()], dtype=torch.float64).to(self.device)
        value, asked_all, seconds = self.team.sum(
            torch.stack([loss.detach().double(), asked_all, clock])
        ).tolist()
        value, self.seconds = value / self.team.world, seconds / self.team.world
        if torch.isfinite(length) and torch.isfinite(torch.tensor(value)):
            self.optimiser.step()
            self.skips_in_a_row = 0
            if self.average is not None:
                self._average(s.average)
        else:
            self._skip(buffers)
        self.train_losses.append(value)
        self.step += 1
        return value, asked_all > 0

    def _skip(self, buffers: list[Tensor]) -> None:
        """Leave the weights as they are, and undo what the forward pass did to running means."""
        for buffer, before in zip(self.bare.buffers(), buffers, strict=True):
            buffer.copy_(before)
        self.skipped += 1
        self.skips_in_a_row += 1
        if self.skips_in_a_row >= SKIPS_ALLOWED:
            self._ran_away(
                f"the loss was not a number in {SKIPS_ALLOWED} steps in a row, the last one step {self.step + 1}"
            )

    def _ran_away(self, why: str) -> None:
        """Ends the run without writing anything: what lies in the folder is from before."""
        best = self.out / "best.pt"
        raise UserError(
            f"{why}: lower --rate or limit the gradient with --clip, and start again"
            + (f" in another folder; {best} holds the best weights so far" if best.exists() else "")
        )

    def _average(self, share: float) -> None:
        """Running averages of the weights. Early on they forget faster, so that the random start does not linger."""
        share = min(share, (1 + self.step) / (10 + self.step))
        for kept, now in zip(self.average, averaged(self.bare), strict=True):
            kept.lerp_(now.detach(), 1 - share)

    @contextmanager
    def _with_averages(self):
        """The network with its averaged weights, where there are any."""
        if self.average is None:
            yield
            return
        now = [p.detach().clone() for p in averaged(self.bare)]
        put_back(self.bare, self.average)
        try:
            yield
        finally:
            put_back(self.bare, now)

    def _validate(self) -> None:
        s = self.settings
        with self._with_averages():
            found = validate(self.bare, self.validation, self.loss, s, self.team, self.scale)
            if not (
                math.isfinite(found["loss"]) or math.isfinite(self.best)
            ):  # later the best weights are kept
                self._ran_away(f"the validation loss is not a number at step {self.step}")
            self.seconds = float(
                self.team.mean(torch.tensor(self._clock(), dtype=torch.float64, device=self.device))
            )
            better = found["loss"] < self.best
            self.best, self.since_best = (found["loss"], 0) if better else (self.best, self.since_best + 1)
            shown = {k: v.detach().clone() for k, v in self.bare.state_dict().items()} if better else None
        rate = self.optimiser.param_groups[0]["lr"]
        if s.schedule == "plateau":
            self.plateau.saw(found["loss"])
        finite = [x for x in self.train_losses if x == x] or [float("nan")]
        row = {
            "step": self.step,
            "seconds": self.seconds,
            "rate": rate,
            "train_loss": sum(finite) / len(finite),
            **found,
            "skipped": self.skipped,
        }
        self.train_losses = []
        self.log.add(
            {name: round(float(value), 6) if name != "step" else value for name, value in row.items()}
        )
        if better and self.team.leads:
            save_checkpoint(self.out / "best.pt", {"step": self.step, "network": shown, "found": found}, s)
        self._save("last.pt")

    def _save(self, name: str) -> None:
        if self.team.leads:
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "network": self.bare.state_dict(),
                "average": self.average,
                "optimiser": self.optimiser.state_dict(),
                "plateau": self.plateau.state(),
                "best": self.best,
                "since_best": self.since_best,
                "skipped": self.skipped,
                "train_losses": self.train_losses,
            }
            save_checkpoint(self.out / name, state, self.settings)

    def _restore(self, state: dict) -> None:
        try:
            self.bare.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(
                f"{self.out / 'last.pt'}: is of another network than the settings name: {error}"
            ) from error
        if self.average is not None:
            self.average = [kept.to(self.device) for kept in state["average"]]
        self.plateau.restore(state["plateau"])
        for name in ("step", "seconds", "best", "since_best", "skipped", "train_losses"):
            setattr(self, name, state[name])

    def _clock(self) -> float:
        """Seconds of training by this process' own clock, over all the calls of a run. `seconds` is the mean of all processes."""
        return time.perf_counter() - self.begun


def target_count(source: LabelledSource) -> int:
    """Numbers a network must say for this source."""
    return source.batch(torch.zeros(1, dtype=torch.long))[1].shape[1]


def make_optimiser(network: nn.Module, s: TrainSettings) -> torch.optim.Optimizer:
    if s.optimiser == "sgd":
        return torch.optim.SGD(
            without_decay(network), s.rate, momentum=s.momentum, weight_decay=s.weight_decay
        )
    return torch.optim.AdamW(without_decay(network), s.rate, weight_decay=s.weight_decay)


def averaged(network: nn.Module) -> list[Tensor]:
    """What running averages are kept of: weights, and the running means of batch normalisation."""
    return [*network.parameters(), *(b for name, b in network.named_buffers() if "running_" in name)]


def put_back(network: nn.Module, values: list[Tensor]) -> None:
    with torch.no_grad():
        for now, value in zip(averaged(network), values, strict=True):
            now.copy_(value)


class _NoLog:
    """The log of a process that does not lead."""

    def add(self, row) -> None: ...

    def close(self) -> None: ...


@contextmanager
def _asked_to_stop():
    """An event that is set by Ctrl-C or a polite kill: the step at hand is finished and the state written."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {
        number: signal.signal(number, lambda *_: asked.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
