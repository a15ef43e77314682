"""The training loop: what can be cut off and gone on with, and what ends it."""

import copy
import itertools
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest
import torch

from helpers.errors import UserError
from helpers.regression import PRESETS, Augmentation, TensorSource, build_network, train
from helpers.regression.checkpoint import load_checkpoint
from helpers.regression.data import indices_of_step
from helpers.regression.distributed import Team
from helpers.regression.log import read_log
from helpers.regression.loss import make_loss
from helpers.regression.rates import rate_factor
from helpers.regression.validation import ShapeScale
from tests.regression.pictures import FEW, HELD_OUT, TRAINING, pictures


@pytest.mark.parametrize(
    ("training", "held_out", "world", "message"),
    [
        (pictures(4), HELD_OUT, 1, "a batch of 8 needs at least as many pictures, there are 4"),
        (TRAINING, HELD_OUT, 3, "a batch of 8 cannot be shared evenly by 3 processes"),
        (TRAINING, pictures(0), 1, "there is no picture to validate on"),
        (TRAINING, pictures(1), 2, "2 processes cannot share 1 picture to validate on"),
    ],
)
def test_too_few_pictures_for_the_batch_or_the_processes(training, held_out, world, message, tmp_path):
    with pytest.raises(UserError, match=message):
        train(training, held_out, FEW, tmp_path / "run", team=Team(0, world, torch.device("cpu")))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_it_learns_and_leaves_a_record(tmp_path, one_thread):
    settings = replace(FEW, steps=60, validate_every=20, rate=5e-3)
    result = train(
        TRAINING, HELD_OUT, settings, tmp_path, scale=ShapeScale(torch.full((4,), 2.0), 1, torch.ones(0))
    )
    assert result.steps == 60 and result.ended == "all 60 steps done" and len(result.losses) == 60
    assert sum(result.losses[-8:]) < 0.5 * sum(result.losses[:8])
    rows = read_log(tmp_path / "log.csv")
    assert [row["step"] for row in rows] == [20, 40, 60] and rows == result.log
    assert {"train_loss", "loss", "magnitude_alpha", "cosine_alpha", "shape_mm"} <= set(rows[0])
    assert rows[-1]["cosine_alpha"] > rows[0]["cosine_alpha"]
    assert rows[0]["train_loss"] == pytest.approx(sum(result.losses[:20]) / 20, rel=1e-4)
    best = load_checkpoint(tmp_path / "best.pt")
    assert best["found"]["loss"] == pytest.approx(min(row["loss"] for row in rows), abs=1e-5)
    with torch.inference_mode():  # what is returned is the best, and its error is the one that was logged
        guess = result.network(TRAINING.batch(torch.arange(2))[0])
        held = result.network(HELD_OUT.batch(torch.arange(12))[0])
    assert guess.shape == (2, 4)
    assert float(make_loss("asymmetric")(held, HELD_OUT.targets)) == pytest.approx(
        best["found"]["loss"], rel=1e-3
    )
    assert not list(tmp_path.glob(".*"))  # no half-written file


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(optimiser="sgd", schedule="plateau", plateau=1),
        dict(average=0.9, clip=5.0, augmentation=Augmentation()),
        dict(precision="bfloat16"),
    ],
)
def test_resuming_gives_the_same_losses_to_the_bit(tmp_path, one_thread, changes):
    settings = replace(FEW, **changes)
    whole = train(TRAINING, HELD_OUT, settings, tmp_path / "whole")
    first = train(TRAINING, HELD_OUT, replace(settings, steps=4), tmp_path / "parts")
    second = train(TRAINING, HELD_OUT, settings, tmp_path / "parts", resume=True)
    assert first.losses + second.losses == whole.losses
    for a, b in zip(whole.log, second.log, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {
            k: v for k, v in b.items() if k != "seconds"
        }
    for a, b in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_seed_is_a_run(tmp_path, one_thread):
    settings = replace(FEW, steps=3)
    losses = [
        train(TRAINING, HELD_OUT, replace(settings, seed=s), tmp_path / n).losses
        for n, s in (("a", 5), ("b", 5), ("c", 6))
    ]
    assert losses[0] == losses[1] != losses[2]


def test_an_early_stop_keeps_the_best(tmp_path, one_thread):
    """A rate that is far too large makes validation worse and worse."""
    settings = replace(FEW, steps=400, validate_every=1, patience=3, rate=0.5, optimiser="sgd")
    try:
        result = train(TRAINING, HELD_OUT, settings, tmp_path)
    except UserError:
        pytest.fail("the run should end before the loss is lost")
    assert result.ended == "no better validation loss in 3 validations" and result.steps < 400
    losses = [row["loss"] for row in result.log]
    assert losses.index(min(losses)) == len(losses) - 4
    assert load_checkpoint(tmp_path / "best.pt")["step"] == result.steps - 3


class Poisoned(TensorSource):
    """Pictures of which some steps get a target that is not a number."""

    bad_steps = ()

    def batch(self, indices):
        image, target = super().batch(indices)
        if self.count in self.bad_steps and len(indices) == FEW.batch:
            target = target * torch.nan
        self.count += len(indices) == FEW.batch
        return image, target

    count = 0


def test_a_step_without_a_number_is_left_out(tmp_path, one_thread):
    source = Poisoned(TRAINING.images, TRAINING.targets)
    source.bad_steps = (2, 3)
    result = train(source, HELD_OUT, FEW, tmp_path)
    assert [x == x for x in result.losses] == [True, True, False, False, True, True, True, True]
    assert result.log[-1]["skipped"] == 2 and all(
        torch.isfinite(p).all() for p in result.network.parameters()
    )


def test_too_many_of_them_end_the_run(tmp_path, one_thread):
    source = Poisoned(TRAINING.images, TRAINING.targets)
    source.bad_steps = range(4, 99)
    with pytest.raises(UserError, match=r"not a number in 5 steps.*lower --rate.*best\.pt"):
        train(source, HELD_OUT, replace(FEW, steps=50), tmp_path)
    state = load_checkpoint(tmp_path / "last.pt")
    assert state["step"] == 8 and state["skipped"] == 4  # the weights of step 4, the last that had a loss
    assert all(torch.isfinite(v).all() for v in state["network"].values())


@pytest.mark.slow
def test_the_papers_rate_wants_the_mean_over_the_coefficients(tmp_path, one_thread):
    """The rate 0.01 overshoots where the loss is half the sum over 198 coefficients, and is small enough for their mean."""
    source = pictures(32, outputs=198)
    settings = replace(
        PRESETS["paper"],
        network="resnet18",
        size=32,
        batch=8,
        steps=40,
        validate_every=20,
        precision="float32",
    )
    with pytest.raises(UserError, match="lower --rate") as said:
        train(source, pictures(8, 198, seed=1), replace(settings, loss_per="caffe"), tmp_path / "caffe")
    assert "start again" in str(said.value) and not (tmp_path / "caffe" / "last.pt").exists()
    result = train(source, pictures(8, 198, seed=1), settings, tmp_path / "coefficient")
    assert max(result.losses) < 6 and sum(result.losses[-8:]) < sum(result.losses[:8])


def test_the_layers_below_the_last_have_a_rate_of_their_own(tmp_path, one_thread):
    """With plain gradient descent the first step of both is in proportion to the two rates."""
    first = build_network("small", 4)
    moved = {}
    for share in (1.0, 0.1):
        settings = replace(
            FEW, steps=1, validate_every=1, optimiser="sgd", momentum=0.0, weight_decay=0.0, body_rate=share
        )
        network = copy.deepcopy(first)
        after = train(TRAINING, HELD_OUT, settings, tmp_path / str(share), network=network).network
        moved[share] = {name: after.state_dict()[name] - p.detach() for name, p in first.named_parameters()}
    for name, step in moved[1.0].items():
        assert step.abs().max() > 0
        torch.testing.assert_close(
            moved[0.1][name], step * (1.0 if ".fc." in name else 0.1), atol=1e-6, rtol=1e-3
        )


def test_the_mean_image_is_that_of_the_pictures_and_goes_on_with_a_run(tmp_path, one_thread):
    settings = replace(FEW, input="mean image", steps=4)
    network = train(TRAINING, HELD_OUT, settings, tmp_path).network
    expected = TRAINING.images.float().mean(0).permute(2, 0, 1).flip(0)
    torch.testing.assert_close(network.mean_image, expected, atol=1e-3, rtol=0)
    on = train(TRAINING, HELD_OUT, replace(settings, steps=8, schedule="constant"), tmp_path, resume=True)
    torch.testing.assert_close(on.network.mean_image, expected, atol=1e-3, rtol=0)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as at a terminal: a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupted(TensorSource):
    """Pictures whose reader is interrupted, as by Ctrl-C, so many times while it reads."""

    times = 1

    def batch(self, indices):
        if len(indices) == FEW.batch:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)
        return super().batch(indices)


def test_ctrl_c_finishes_the_step_and_a_second_one_ends_the_run_at_once(tmp_path, one_thread, ctrl_c):
    source = Interrupted(TRAINING.images, TRAINING.targets)
    result = train(source, HELD_OUT, FEW, tmp_path / "once")
    assert (result.steps, result.ended) == (1, "asked to stop")
    whole = train(TRAINING, HELD_OUT, FEW, tmp_path / "whole")
    assert train(TRAINING, HELD_OUT, FEW, tmp_path / "once", resume=True).losses == whole.losses[1:]
    source.times = 2
    with pytest.raises(KeyboardInterrupt):
        train(source, HELD_OUT, FEW, tmp_path / "twice")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Troubled(TensorSource):
    """Pictures of which a worker never makes those of step 3, and sends a signal instead: to itself, or to its parent."""

    signal_to_parent: signal.Signals | None = None

    def batch(self, indices):
        in_worker = multiprocessing.parent_process() is not None
        if in_worker and torch.equal(indices, indices_of_step(3, FEW.batch, len(self), FEW.seed)):
            time.sleep(1)  # until the parent has nothing to do
            if self.signal_to_parent is None:
                os.kill(os.getpid(), signal.SIGKILL)
            os.kill(os.getppid(), self.signal_to_parent)
            time.sleep(100)
        return super().batch(indices)


@pytest.mark.slow
def test_a_lost_worker_loses_no_step(tmp_path, one_thread):
    """The run ends in one line, and goes on from the last step before."""
    source = Troubled(TRAINING.images, TRAINING.targets)
    with pytest.raises(UserError, match="ended from outside.*--resume"):
        train(source, HELD_OUT, FEW, tmp_path / "run", workers=1)
    assert load_checkpoint(tmp_path / "run" / "last.pt")["step"] == 3
    rest = train(TRAINING, HELD_OUT, FEW, tmp_path / "run", resume=True)
    whole = train(TRAINING, HELD_OUT, FEW, tmp_path / "whole")
    assert rest.losses == whole.losses[3:]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_waiting_for_a_worker(tmp_path, one_thread, number):
    source = Troubled(TRAINING.images, TRAINING.targets)
    source.signal_to_parent = number
    begun = time.monotonic()
    result = train(source, HELD_OUT, FEW, tmp_path, workers=1)
    assert (result.steps, result.ended) == (3, "asked to stop") and time.monotonic() - begun < 90
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 3


@pytest.mark.parametrize(
    ("network", "size", "batch", "good"),
    [
        ("resnet18", 32, 1, False),
        ("resnet18", 33, 1, True),
        ("resnet18", 32, 2, True),
        ("small", 32, 1, True),
    ],
)
def test_one_picture_a_step_is_too_few_for_batch_normalisation(
    tmp_path, one_thread, network, size, batch, good
):
    settings = replace(FEW, network=network, size=size, batch=batch, steps=1)
    source, held_out = pictures(4, size=size), pictures(2, size=size, seed=1)
    if good:
        assert train(source, held_out, settings, tmp_path).steps == 1
    else:
        with pytest.raises(UserError, match="raise --batch or --size"):
            train(source, held_out, settings, tmp_path)


def test_minutes_go_by_the_clock(tmp_path, one_thread):
    """The schedule follows the clock, too: at half of the time a cosine is half-way down."""
    ticks = itertools.count(0, 10.0)  # each look at the clock takes ten seconds
    settings = replace(FEW, minutes=1.0, schedule="cosine", validate_every=1000)
    result = train(TRAINING, HELD_OUT, settings, tmp_path, clock=lambda: next(ticks))
    assert (result.steps, result.ended) == (6, "1 minutes are over")
    assert result.log[-1]["rate"] == pytest.approx(FEW.rate * rate_factor(settings, 50 / 60), abs=1e-6)
