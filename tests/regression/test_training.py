"""The training loop: what can be cut off and gone on with, what ends it, and who sees which picture."""

import os
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.errors import UserError
from helpers.regression import PRESETS, Augmentation, TensorSource, TrainSettings, augment, settings_of, train
from helpers.regression.checkpoint import load_checkpoint
from helpers.regression.data import PeopleSource, StepBatches, hold, indices_of_step, step_loader
from helpers.regression.distributed import Team
from helpers.regression.log import read_log
from helpers.regression.loss import huber_loss, l2_loss, make_loss
from helpers.regression.metrics import cosine, importance_of, magnitude_ratio, shape_rms, shape_spread
from helpers.regression.rates import Plateau, rate_factor
from helpers.regression.validation import ShapeScale, WeightedLoss

FEW = TrainSettings(
    network="small",
    size=32,
    batch=8,
    steps=8,
    validate_every=4,
    schedule="constant",
    warmup=0.0,
    precision="float32",
)


def pictures(n=32, outputs=4, seed=0, size=32):
    """Pictures whose colour tells the target, so that something can be learned in a few steps."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(n, outputs, generator=generator)
    colour = (0.5 + 0.15 * target[:, :3]).clamp(0, 1)
    images = colour[:, None, None].expand(n, size, size, 3) + 0.02 * torch.randn(
        n, size, size, 3, generator=generator
    )
    return TensorSource((images.clamp(0, 1) * 255).to(torch.uint8), target)


TRAINING, HELD_OUT = pictures(), pictures(12, seed=1)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


def test_what_does_not_fit_is_refused(tmp_path, one_thread):
    train(TRAINING, HELD_OUT, replace(FEW, steps=4), tmp_path / "run")
    for run, words in (
        (lambda: train(TRAINING, HELD_OUT, FEW, tmp_path / "run"), "--resume"),
        (
            lambda: train(TRAINING, HELD_OUT, replace(FEW, rate=0.1), tmp_path / "run", resume=True),
            "made with rate",
        ),
        (lambda: train(TRAINING, HELD_OUT, FEW, tmp_path / "none", resume=True), "holds no last.pt"),
        (lambda: train(TRAINING, HELD_OUT, replace(FEW, emphasis=1.0), tmp_path / "x"), "emphasis"),
        (lambda: settings_of("fast"), "quick"),
        (lambda: settings_of("quick", rate=-1.0), "rate must be above 0"),
        (lambda: settings_of("quick", rate=float("nan")), "rate must be above 0"),
        (lambda: settings_of("quick", loss="l3"), "asymmetric, l2, huber"),
        (lambda: settings_of("quick", size=8), "at least 32"),
    ):
        with pytest.raises(UserError, match=words):
            run()
    (tmp_path / "run" / "last.pt").write_bytes(b"half a file")
    with pytest.raises(UserError, match="cannot be read"):
        train(TRAINING, HELD_OUT, FEW, tmp_path / "run", resume=True)


def test_the_paper_preset_is_the_paper():
    paper = PRESETS["paper"]
    assert (paper.network, paper.weights, paper.size, paper.batch) == ("resnet101", "imagenet", 224, 144)
    assert (paper.optimiser, paper.rate, paper.momentum, paper.weight_decay) == ("sgd", 0.01, 0.9, 5e-4)
    assert (paper.loss, paper.over, paper.under, paper.emphasis, paper.schedule) == (
        "asymmetric",
        1.0,
        3.0,
        0.0,
        "plateau",
    )


def test_the_papers_rate_wants_the_loss_of_a_coefficient(tmp_path, one_thread):
    """The rate 0.01 overshoots where the loss sums over 198 coefficients, and is small enough for their mean."""
    source = pictures(32, outputs=198)
    settings = replace(
        PRESETS["paper"],
        network="resnet18",
        weights=None,
        size=32,
        batch=8,
        steps=40,
        validate_every=20,
        precision="float32",
    )
    with pytest.raises(UserError, match="lower --rate") as said:
        train(source, pictures(8, 198, seed=1), replace(settings, loss_per="face"), tmp_path / "face")
    assert "start again" in str(said.value) and not (tmp_path / "face" / "last.pt").exists()
    result = train(source, pictures(8, 198, seed=1), settings, tmp_path / "coefficient")
    assert max(result.losses) < 6 and sum(result.losses[-8:]) < sum(result.losses[:8])


def test_an_older_checkpoint_goes_on(tmp_path, one_thread):
    """One from before there was a setting was made with what is the setting's default now."""
    whole = train(TRAINING, HELD_OUT, FEW, tmp_path / "whole")
    train(TRAINING, HELD_OUT, replace(FEW, steps=4), tmp_path / "cut")
    state = torch.load(tmp_path / "cut" / "last.pt", weights_only=True)
    del state["settings"]["loss_per"]
    torch.save(state, tmp_path / "cut" / "last.pt")
    assert train(TRAINING, HELD_OUT, FEW, tmp_path / "cut", resume=True).losses == whole.losses[4:]


# Two processes.

WORKER = """
import os, sys, torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from helpers.regression import train, training
from helpers.regression.distributed import team
from tests.regression.test_training import FEW, HELD_OUT, TRAINING
from dataclasses import replace
own_clock = training._Run._clock
with team("cpu") as ours:
    training._Run._clock = lambda run: own_clock(run) + ours.rank * {ahead}
    settings = replace(FEW, optimiser="sgd", rate=1e-3, minutes={minutes})
    result = train(TRAINING, HELD_OUT, settings, {out!r}, team=ours)
    if ours.leads:
        print("losses", *result.losses)
        print("held out", *(row["loss"] for row in result.log))
        print("ended", result.ended)
"""


def train_by_two(out, minutes=0.0, ahead=0.0) -> dict[str, list[str]]:
    """Two processes train one network, the clock of the second being some seconds ahead: what the first says, by its first word."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = WORKER.format(root=root, out=str(out), minutes=minutes, ahead=ahead)
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**environment, "RANK": str(r), "LOCAL_RANK": str(r)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    try:
        outputs = [p.communicate(timeout=180) for p in processes]
    finally:
        for p in processes:
            p.kill()  # nothing to one that has ended
    assert all(p.returncode == 0 for p in processes), outputs
    assert not outputs[1][0]  # only the first process talks
    return {words[0]: words[1:] for words in (line.split(" ") for line in outputs[0][0].splitlines())}


def test_two_processes_train_like_one(tmp_path, one_thread):
    """The group normalisation of `small` looks at one picture at a time, so sharing a batch changes nothing but rounding."""
    alone = train(TRAINING, HELD_OUT, replace(FEW, optimiser="sgd", rate=1e-3), tmp_path / "one")
    said = train_by_two(tmp_path / "two")
    assert [float(x) for x in said["losses"]] == pytest.approx(alone.losses, rel=1e-3)
    assert [float(x) for x in said["held"][1:]] == pytest.approx([row["loss"] for row in alone.log], rel=1e-3)


def test_two_processes_end_at_the_same_step_though_their_clocks_differ(tmp_path):
    """If each went by its own clock, the second would leave at once, and the first would wait for it for ever."""
    said = train_by_two(tmp_path / "two", minutes=10, ahead=3600.0)
    assert len(said["losses"]) == 1 and said["ended"] == ["10", "minutes", "are", "over"]


# Who sees what.


def test_each_round_shows_every_picture_once():
    length, batch = 23, 5
    first = torch.cat([indices_of_step(step, batch, length, seed=3) for step in range(4)])
    second = torch.cat([indices_of_step(step, batch, length, seed=3) for step in range(4, 8)])
    assert len(first.unique()) == len(second.unique()) == 20 and not torch.equal(first, second)
    assert torch.equal(indices_of_step(6, batch, length, 3), second[10:15])
    assert not torch.equal(
        first, torch.cat([indices_of_step(step, batch, length, seed=4) for step in range(4)])
    )
    assert indices_of_step(2, 4, 2**31, 0, endless=True).tolist() == [8, 9, 10, 11]


def test_processes_share_a_batch_and_workers_change_nothing():
    whole = StepBatches(TRAINING, 8, 0)
    halves = [StepBatches(TRAINING, 8, 0, rank, 2) for rank in range(2)]
    image, target = whole[5]
    assert image.dtype == torch.uint8
    assert torch.equal(torch.stack([half[5][1] for half in halves], 1).flatten(0, 1), target)
    alone = [t for _, t in step_loader(whole, 3, 7)]
    helped = [t for _, t in step_loader(whole, 3, 7, workers=1)]
    assert len(alone) == 4 and all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_people_are_new_in_every_step_and_others_for_another_seed():
    source = PeopleSource(10_000, seed=1, size=32, level=0)
    image, target = source.batch(torch.tensor([5000, 3, 4095, 4096]))
    assert (
        image.shape == (4, 32, 32, 3) and target.shape == (4, 198) and 0 <= image.min() and image.max() <= 1
    )
    assert torch.equal(source.batch(torch.tensor([4096]))[1], target[3:])  # alone as in company
    assert (torch.corrcoef(target) - torch.eye(4)).abs().max() < 0.35  # four people, not one
    assert not torch.equal(
        PeopleSource(10_000, seed=7, size=32, level=0).batch(torch.tensor([3]))[1], target[1:2]
    )
    with pytest.raises(IndexError):
        source.batch(torch.tensor([10_000]))
    held = hold(source, torch.tensor([3]))
    assert held.images.dtype == torch.uint8 and torch.equal(held.targets, target[1:2])


# Losses, rates, measures.


def test_losses_beside_the_asymmetric_one():
    guess, target = torch.tensor([[0.5, 3.0]]), torch.tensor([[0.0, 0.0]])
    assert float(l2_loss(guess, target)) == pytest.approx(9.25)
    assert float(huber_loss(guess, target)) == pytest.approx(0.25 + 2 * (3 - 0.5))
    assert float(huber_loss(guess.bfloat16(), target.bfloat16())) == pytest.approx(5.25, rel=0.01)
    with pytest.raises(ValueError, match="one shape"):
        huber_loss(guess, target[:, :1])
    with pytest.raises(ValueError, match="asymmetric, l2, huber"):
        make_loss("cosine")


def test_importance_multiplies_each_modes_part():
    scale = ShapeScale(torch.tensor([4.0, 1.0]), 10, torch.tensor([3.0, 1.0]))
    weights = importance_of(scale.std, scale.texture_std, 1.0)
    assert torch.allclose(weights, torch.tensor([1.6, 0.4, 1.5, 0.5]))
    loss = WeightedLoss(replace(FEW, loss="asymmetric", emphasis=1.0), scale)
    guess, target = torch.zeros(1, 4), torch.tensor([[1.0, -1.0, 1.0, 2.0]])
    assert float(loss(guess, target)) == pytest.approx(3 * (1.6 + 0.4 + 1.5 + 4 * 0.5))
    assert torch.equal(importance_of(scale.std, scale.texture_std, 0.0), torch.ones(4))


def test_rates():
    cosine_run = replace(FEW, schedule="cosine", warmup=0.1)
    assert rate_factor(cosine_run, 0.05) == pytest.approx(0.5) and rate_factor(
        cosine_run, 0.1
    ) == pytest.approx(1.0)
    assert rate_factor(cosine_run, 0.55) == pytest.approx(0.5) and rate_factor(
        cosine_run, 1.0
    ) == pytest.approx(0.0)
    assert rate_factor(FEW, 0.0) == rate_factor(FEW, 1.0) == 1.0
    plateau = Plateau(2)
    for loss in (5.0, 4.0, 4.5, 4.1, 4.2, 3.0, 3.0):
        plateau.saw(loss)
    assert plateau.factor == pytest.approx(0.1)
    plateau.saw(3.5)
    assert plateau.factor == pytest.approx(0.01)


def test_measures():
    target = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    assert torch.allclose(magnitude_ratio(0.5 * target, target), torch.tensor(0.5))
    assert torch.allclose(
        cosine(torch.tensor([[4.0, -3.0], [2.0, 0.0]]), target), torch.tensor([0.0, 1.0]), atol=1e-6
    )
    # Against vertices that are really made: two modes of unit length, perpendicular, over 3 vertices.
    basis = torch.linalg.qr(torch.randn(9, 2, generator=torch.Generator().manual_seed(0)))[0]
    std, other = torch.tensor([5.0, 2.0]), torch.zeros(2, 2)
    moved = ((target - other) * std) @ basis.T
    assert torch.allclose(
        shape_rms(other, target, std, 3), moved.view(2, 3, 3).square().sum(-1).mean(-1).sqrt()
    )


def test_spread_is_that_of_the_vertices_within_people_and_between():
    generator = torch.Generator().manual_seed(3)
    alpha, std = torch.randn(7, 2, generator=generator), torch.tensor([5.0, 2.0])
    person = torch.tensor([4, 9, 4, 9, 9, 4, 0])  # any names, in any order, not equally often
    within, between = shape_spread(alpha, person, std, 3)
    shape = (alpha * std) @ torch.linalg.qr(torch.randn(9, 2, generator=generator))[0].T
    means = torch.stack([shape[person == p].mean(0) for p in person.tolist()])
    rms = [
        (difference.square().sum(-1).mean() / 3).sqrt()
        for difference in (shape - means, means - shape.mean(0))
    ]
    assert (within, between) == pytest.approx([float(r) for r in rms], rel=1e-5)
    assert shape_spread(alpha[:1].repeat(4, 1), torch.arange(4) // 2, std, 3) == pytest.approx(
        (0, 0), abs=1e-6
    )


# Augmentation.


def test_augmentation_follows_its_seed_and_can_be_off():
    image = TRAINING.batch(torch.arange(6))[0]

    def changed(seed, strength=None):
        return augment(image, torch.Generator().manual_seed(seed), strength)

    assert torch.equal(changed(1), changed(1)) and not torch.equal(changed(1), changed(2))
    assert changed(1).shape == image.shape and 0 <= changed(1).min() and changed(1).max() <= 1
    assert torch.allclose(changed(1, Augmentation.none()), image, atol=1e-6)


def test_each_change_does_what_it_says():
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0.2, 0.8, 64).expand(8, 64, 64)[..., None].repeat(1, 1, 1, 3)
    none = dict.fromkeys(Augmentation.__dataclass_fields__, 0.0)

    def only(**one):
        return augment(ramp, generator, Augmentation(**{**none, **one}))

    moved = only(shift=0.1)[:, 32, 20:44, 0] - ramp[:, 32, 20:44, 0]  # in the middle a shift is a constant
    assert moved.abs().max() > 0.01 and moved.std(1).max() < 2e-3
    assert moved.abs().max() <= 0.1 * 0.6 * 64 / 63 + 1e-3
    grey = only(grey=1.0, colour=0.5)
    assert torch.allclose(grey[..., 0], grey[..., 2], atol=1e-6)
    noise = only(noise=0.05) - ramp
    assert 0 < noise.std() < 0.05
    covered = only(erase=1.0, erase_side=0.5) != ramp
    share = covered.any(-1).float().mean((1, 2))
    assert share.max() <= 0.5**2 + 0.05 and share.max() > 0.01
    stripes = torch.zeros(4, 64, 64, 3)
    stripes[:, :, ::2] = 1
    soft = augment(stripes, generator, Augmentation(**{**none, "blur": 3.0}))
    assert (soft.std((1, 2, 3)) < stripes.std((1, 2, 3))).all() and float(soft.mean()) == pytest.approx(
        0.5, abs=0.02
    )


def test_a_mirrored_face_has_other_numbers():
    """Why augmentation does not mirror: fitted with the same modes, the mirrored head of a person is another person."""
    from helpers.face_model import load

    model = load("open", level=0)
    alpha = torch.zeros(1, 99)
    alpha[0] = torch.randn(99, generator=torch.Generator().manual_seed(0))
    head = model.shape(alpha)[0]
    mirrored = head * torch.tensor([-1.0, 1.0, 1.0])
    # Vertex i's partner is the one nearest to its mirror image in the mean face.
    mean = model.mean_shape
    partner = torch.cdist(mean * torch.tensor([-1.0, 1.0, 1.0]), mean).argmin(1)
    again = torch.empty_like(mirrored)
    again[partner] = mirrored
    basis = (model.shape_basis * model.shape_std).flatten(0, 1)
    same = torch.linalg.lstsq(basis, (head - mean).flatten()[:, None]).solution[:, 0]
    other = torch.linalg.lstsq(basis, (again - mean).flatten()[:, None]).solution[:, 0]
    assert torch.nn.functional.cosine_similarity(same, alpha[0], dim=0) > 0.99
    assert torch.nn.functional.cosine_similarity(other, alpha[0], dim=0) < 0.9


# Labelled folders.


@pytest.fixture
def labelled(tmp_path):
    """Photographs of five people, with the label files that `label` and `pool` would write."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    from helpers.camera import model_to_camera, project
    from helpers.crop import crop_face
    from helpers.datasets import known_faces
    from helpers.face_model import load

    model = load("open", level=0)
    faces = known_faces(model, 6, size=128, landmark_noise=0.0)
    rows, names = [], ["ann", "bob", "cleo", "dan", "eve", "ann"]
    for i, person in enumerate(names):
        (tmp_path / "photos" / person).mkdir(parents=True, exist_ok=True)
        Image.fromarray((faces.image[i] * 255).byte().numpy()).save(tmp_path / "photos" / person / f"{i}.png")
        truth = project(
            model_to_camera(faces.vertices[i : i + 1, model.landmarks], _pose(faces, i)), _camera(faces, i)
        )[0, :, :2].numpy()
        crop = crop_face(faces.image[i].numpy(), truth, 96)
        camera = crop.camera_of_crop(_camera(faces, i))
        rows.append(
            {
                "id": f"{person}/{i}.png",
                "person": person,
                "alpha": faces.coefficients.alpha[i].tolist(),
                "expression": faces.coefficients.expression[i].tolist(),
                "rotation_vector": faces.pose.rotation_vector[i].tolist(),
                "translation": faces.pose.translation[i].tolist(),
                "focal": float(camera.focal[0]),
                "principal_point": camera.principal_point[0].tolist(),
                "crop_scale": float(crop.scale[0]),
                "crop_origin": crop.origin[0].tolist(),
                "truth": truth.ravel().tolist(),
            }
        )
    table = pa.Table.from_pylist(rows)
    (tmp_path / "rows").mkdir()
    pq.write_table(table.slice(0, 3), tmp_path / "rows" / "shard-00000.parquet")
    pq.write_table(table.slice(3), tmp_path / "rows" / "shard-00001.parquet")
    people = ["ann", "bob", "cleo", "dan"]  # eve has no label
    labels = {"person": people, "coefficients": [[float(n)] * 198 for n in range(4)]}
    pq.write_table(pa.table(labels), tmp_path / "labels.parquet")
    return tmp_path, table, model


def _pose(faces, i):
    from helpers.camera import Pose

    return Pose(faces.pose.rotation_vector[i : i + 1], faces.pose.translation[i : i + 1])


def _camera(faces, i):
    from helpers.camera import Camera

    return Camera(faces.camera.focal[i : i + 1], faces.camera.principal_point[i : i + 1], faces.camera.size)


def test_a_labelled_folder(labelled):
    from types import SimpleNamespace

    from helpers.crop import authors_crop
    from helpers.photo import read_photo
    from helpers.regression.folder import landmarks_of_rows, read_folder

    path, table, model = labelled
    points = landmarks_of_rows(path / "rows", model)
    for row in table.to_pylist():  # through the crop and back: where the detector's points were
        np.testing.assert_allclose(points[row["id"]], np.reshape(row["truth"], (68, 2)), atol=0.02)
    train_on, held_out = read_folder(
        path / "photos", path / "labels.parquet", path / "rows", 48, held_out=1, seed=2, model=model
    )
    assert train_on.people.isdisjoint(held_out.people) and train_on.people | held_out.people == {
        "ann",
        "bob",
        "cleo",
        "dan",
    }
    assert len(train_on) + len(held_out) == 5  # ann has two; eve, without a label, none
    for source in (train_on, held_out):
        image, target = source.batch(torch.arange(len(source)))
        wanted = [float(["ann", "bob", "cleo", "dan"].index(e.person)) for e in source.entries]
        assert image.shape == (len(source), 48, 48, 3) and target[:, 0].tolist() == wanted
        entry = source.entries[0]
        by_hand = authors_crop(
            read_photo(path / "photos" / entry.id), SimpleNamespace(points=points[entry.id]), 48
        ).image
        assert torch.equal(image[:1], by_hand)
    again = read_folder(
        path / "photos", path / "labels.parquet", path / "rows", 48, held_out=1, seed=2, model=model
    )[1]
    assert again.people == held_out.people


def test_faces_are_looked_for_once_where_no_rows_are_given(labelled, monkeypatch, capsys):
    from types import SimpleNamespace

    import helpers.landmarks
    from helpers.regression.folder import read_folder

    path, table, _ = labelled
    truth = {row["id"]: np.reshape(row["truth"], (68, 2)) for row in table.to_pylist()}
    asked = []

    def detector(photo):
        name = "/".join(photo.path.parts[-2:])
        asked.append(name)
        if name.startswith("bob"):
            raise UserError(f"{name}: no face found")
        return SimpleNamespace(points=truth[name])

    monkeypatch.setattr(helpers.landmarks, "landmarks_for", detector)
    train_on, held_out = read_folder(path / "photos", path / "labels.parquet", None, 48, held_out=1)
    for source in (train_on, held_out, train_on):
        source.batch(torch.arange(len(source)))
    assert train_on.people | held_out.people == {"ann", "cleo", "dan"} and len(asked) == len(set(asked)) == 5
    assert "1 of 5 photographs are left out; the first: bob" in capsys.readouterr().err
    monkeypatch.setattr(
        helpers.landmarks,
        "landmarks_for",
        lambda photo: (_ for _ in ()).throw(UserError("no detector is installed")),
    )
    with pytest.raises(UserError, match="no photograph can be used; the first: no detector is installed"):
        read_folder(path / "photos", path / "labels.parquet", None, 48, held_out=1)


def test_label_files_that_do_not_fit(labelled):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from helpers.face_model import load
    from helpers.regression.folder import landmarks_of_rows, read_folder, read_labels

    path, *_ = labelled
    with pytest.raises(UserError, match="no such file of labels"):
        read_labels(path / "nothing.parquet")
    (path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(UserError, match=r"bad\.parquet: is no file of labels"):
        read_labels(path / "bad.parquet")
    with pytest.raises(UserError, match="there are 4 labelled people"):
        read_folder(path / "photos", path / "labels.parquet", path / "rows", 48, held_out=4)
    with pytest.raises(UserError, match="holds no rows"):
        read_folder(path / "photos", path / "labels.parquet", path / "photos", 48, held_out=1)
    pq.write_table(
        pa.table({"person": ["ann", "bob"], "coefficients": [[1.0] * 198, [2.0] * 5]}),
        path / "ragged.parquet",
    )
    with pytest.raises(
        UserError, match=r"ragged\.parquet: column coefficients: numbers, or lists of one length"
    ):
        read_labels(path / "ragged.parquet")
    few = load("open", level=0, n_shape=20, n_texture=10)
    with pytest.raises(UserError, match="198 numbers a person, .* has 20 of shape and 10 of texture"):
        read_folder(path / "photos", path / "labels.parquet", path / "rows", 48, held_out=1, model=few)
    with pytest.raises(UserError, match="99 modes of shape, .* has 20"):
        landmarks_of_rows(path / "rows", few)


# The command.


def test_a_network_of_another_face_model_says_so(tmp_path, capsys):
    """A researcher's own face model: train for it, predict with it, and no mixing of its numbers with another's."""
    from helpers.__main__ import main
    from helpers.face_model import load, save
    from helpers.photo import default_photos
    from helpers.regression import load_network

    own = replace(load("open", level=0, n_shape=20, n_texture=10), name="Of my own")
    save(own, tmp_path / "own.h5")
    words = ["--device", "cpu", "--model", str(tmp_path / "own.h5")]
    recipe = [
        "--network",
        "small",
        "--size",
        "32",
        "--batch",
        "4",
        "--held-out",
        "4",
        "--workers",
        "0",
        "--steps",
        "2",
    ]
    assert main(["train", *words, "--out", str(tmp_path / "run"), *recipe]) == 0
    network = load_network(tmp_path / "run" / "network.pt")
    assert (network.outputs, network.n_shape, network.face_model) == (30, 20, "Of my own")
    assert "--model own.h5" in network.about["command"]
    guess = network.predict(torch.rand(2, 32, 32, 3))
    assert guess.alpha.shape == (2, 20) and guess.beta.shape == (2, 10)

    photo = str(next(iter(default_photos().values())))
    predict = [
        "predict",
        photo,
        "--network",
        str(tmp_path / "run" / "network.pt"),
        "--out",
        str(tmp_path / "faces"),
        "--device",
        "cpu",
    ]
    capsys.readouterr()
    assert main(predict) == 2 and "says 30 numbers, the first 20 of shape" in capsys.readouterr().err
    assert main([*predict, "--model", str(tmp_path / "own.h5")]) == 0
    with pytest.raises(UserError, match="was trained for Of my own, its numbers mean nothing to Another"):
        network.require(replace(own, name="Another"))
    (tmp_path / "none.h5").write_bytes(b"nothing")
    assert main(["train", "--model", str(tmp_path / "none.h5"), "--out", str(tmp_path / "x"), *recipe]) == 2
    assert "none.h5" in capsys.readouterr().err and not (tmp_path / "x").exists()


def test_the_command_trains_goes_on_and_says_what_is_wrong(tmp_path, capsys):
    from helpers.__main__ import main

    words = [
        "train",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "run"),
        "--network",
        "small",
        "--size",
        "32",
        "--batch",
        "4",
        "--level",
        "0",
        "--held-out",
        "4",
        "--workers",
        "0",
        "--validate-every",
        "2",
        "--schedule",
        "constant",
    ]
    assert main([*words, "--steps", "2"]) == 0
    assert {"network.pt", "log.csv", "curve.png", "best.pt", "last.pt"} <= {
        f.name for f in (tmp_path / "run").iterdir()
    }
    from helpers.regression import load_network

    network = load_network(tmp_path / "run" / "network.pt")
    assert (
        network.about["steps"] == 2
        and "--network small" in network.about["command"]
        and network.spread.shape == (198,)
    )
    assert str(tmp_path) not in network.about["command"]
    capsys.readouterr()
    assert main([*words, "--steps", "2"]) == 1 and "--resume" in capsys.readouterr().err
    assert main([*words, "--steps", "2", "--rate", "-1"]) == 2 and "rate" in capsys.readouterr().err
    assert main([*words, "--photos", str(tmp_path)]) == 2 and "--labels" in capsys.readouterr().err
    assert (
        main([*words, "--held-out", "0"]) == 2 and "--held-out must be 1 or more" in capsys.readouterr().err
    )
