"""One's own folder of people, PERSON/PHOTO.jpg, through all five commands, with points from files and no detector."""

import csv
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from helpers.__main__ import main
from helpers.commands import train
from helpers.datasets import Nuisances, SyntheticPeople
from helpers.face_encoder.encoder import WEIGHTS
from helpers.face_model import load
from helpers.labelling import read_labels
from helpers.landmarks import write_points
from helpers.landmarks.dlib_backend import model_file
from helpers.regression import load_network, settings_of

PEOPLE, PHOTOS = 6, 3


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Six people, three photographs each, their points beside them, labelled by a short fit."""
    root = tmp_path_factory.mktemp("own")
    model = load("open", level=0)
    easy = replace(Nuisances.none(), max_yaw=20.0, expression=0.3, light=0.5)
    drawn = SyntheticPeople(model, PEOPLE, PHOTOS, seed=31, size=160, framing="fit", nuisances=easy)
    batch = next(drawn.batches(PEOPLE * PHOTOS))
    for i, (image, points) in enumerate(zip(batch.image, batch.landmarks, strict=True)):
        person, photo = divmod(i, PHOTOS)
        folder = root / "photographs" / f"person_{person}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255).byte().numpy()).save(folder / f"{photo}.jpg", quality=95)
        write_points(folder / f"{photo}.{('json', 'pts')[photo % 2]}", points.numpy())
    (root / "photographs" / "person_0" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    assert main(label_words(root, "rows")) == 0
    return SimpleNamespace(root=root, photos=root / "photographs", truth=drawn.coefficients, model=model)


def label_words(root, rows, *more):
    photos = str(root / "photographs")
    cheap = ["--quick", "--size", "112", "--level", "0", "--workers", "0", "--device", "cpu"]
    return ["label", photos, "--landmarks", photos, "--out", str(root / rows), *cheap, *more]


def pool_words(own, *more):
    out = str(own.root / "labels.parquet")
    return ["pool", str(own.root / "rows"), "--out", out, "--also", "unconverged", *more]


def train_words(own, out, *more):
    data = [
        "--photos",
        str(own.photos),
        "--labels",
        str(own.root / "labels.parquet"),
        "--rows",
        str(own.root / "rows"),
    ]
    return [
        "train",
        *data,
        "--out",
        str(own.root / out),
        "--level",
        "0",
        "--workers",
        "0",
        "--device",
        "cpu",
        *more,
    ]


@pytest.mark.slow
@pytest.mark.skipif(model_file(WEIGHTS) is None, reason="face_recognition_models is not installed")
def test_the_whole_road(own, capsys):
    assert main(pool_words(own)) == 0
    told = capsys.readouterr().out
    assert f"{PEOPLE} people from" in told and "unreadable" in told and "person_0/broken.jpg" in told
    labels = read_labels(own.root / "labels.parquet")
    alpha = own.truth.alpha.numpy()
    cosine = np.einsum(
        "pk,qk->pq",
        *(v / np.linalg.norm(v, axis=1, keepdims=True) for v in (labels.coefficients[:, :99], alpha)),
    )
    assert (cosine.argmax(1) == np.arange(PEOPLE)).all()  # each label is of its person

    assert main(train_words(own, "net", "--network", "encoder")) == 0
    told = capsys.readouterr().err
    assert f"{PHOTOS * (PEOPLE - 1)} photographs of {PEOPLE - 1} people to learn from" in told
    assert f"{PHOTOS} photographs of 1 people held out" in told
    assert "no points" in told and "broken.jpg" in told
    assert len((own.root / "net" / "held_out.txt").read_text().split()) == 1
    network = load_network(own.root / "net" / "network.pt")
    assert network.about["pictures"] == PHOTOS * (PEOPLE - 1)  # every one of them

    for person in range(4):
        folder = own.photos / f"person_{person}"
        for photo in (0, 2):
            words = ["predict", str(folder / f"{photo}.jpg"), "--landmarks", str(folder / f"{photo}.json")]
            to = [
                "--network",
                str(own.root / "net" / "network.pt"),
                "--out",
                str(own.root / "faces" / folder.name),
            ]
            assert main([*words, *to, "--device", "cpu"]) == 0
    measure = [
        "evaluate",
        "--coefficients",
        str(own.root / "faces"),
        "--folds",
        "2",
        "--out",
        str(own.root / "found"),
    ]
    assert main([*measure, "--device", "cpu"]) == 0
    assert "8 photographs of 4 people" in capsys.readouterr().out


def test_points_come_from_files_and_are_part_of_the_configuration(own, capsys):
    manifest = json.loads((own.root / "rows" / "manifest.json").read_text())
    assert manifest["configuration"]["source"]["landmarks"]["files"] == PEOPLE * PHOTOS
    moved = own.root / "moved"
    shutil.copytree(own.photos, moved / "photographs")
    file = moved / "photographs" / "person_1" / "0.json"
    points = np.array(json.loads(file.read_text())["points"])
    assert main(label_words(moved, "../rows")) == 0  # the same points elsewhere
    write_points(file, points + 1)
    assert main(label_words(moved, "../rows")) == 1
    assert "source landmarks" in capsys.readouterr().err
    assert (
        main(
            [
                *label_words(own.root, "none")[:2],
                "--landmarks",
                str(own.root / "rows"),
                "--out",
                str(own.root / "none"),
            ]
        )
        == 2
    )
    assert "person_0/0.json" in capsys.readouterr().err
    assert (
        main(["label", "synthetic:2x2", "--landmarks", str(own.photos), "--out", str(own.root / "none")]) == 2
    )
    assert "points of its own" in capsys.readouterr().err


def test_the_manifest_records_the_preset(own, capsys):
    tiny = ["--size", "64", "--level", "0", "--workers", "0", "--device", "cpu"]
    for preset, form, steps in (("quick", "squares", 2), ("released", "roots", 8)):
        out = own.root / preset
        assert main(["label", "synthetic:1x1", "--out", str(out), "--preset", preset, *tiny]) == 0
        settings = json.loads((out / "manifest.json").read_text())["configuration"]["settings"]
        assert settings["energy_form"] == form and len(settings["stages"] or settings["schedule"]) == steps
    assert main(label_words(own.root, "joint", "--preset", "released", "--joint")) == 2
    assert "--joint does not go with --preset released" in capsys.readouterr().err


def test_pool_counts_what_is_there_and_shows_who_does_not_belong(own, capsys):
    """Photographs under wrong names come first, and count until they are moved away."""
    wrong = own.root / "swapped"
    shutil.copytree(own.photos, wrong / "photographs")
    first, second = (wrong / "photographs" / f"person_{p}" for p in (1, 2))
    for ending in ("jpg", "json"):
        (first / f"2.{ending}").rename(wrong / "kept")
        (second / f"2.{ending}").rename(first / f"2.{ending}")
        (wrong / "kept").rename(second / f"2.{ending}")
    assert main(label_words(wrong, "rows")) == 0
    out, photos = str(wrong / "labels.parquet"), ["--photos", str(wrong / "photographs")]
    words = ["pool", str(wrong / "rows"), "--out", out, "--also", "unconverged"]
    assert main([*words, *photos, "--strangers", str(wrong / "strangers")]) == 0
    with open(wrong / "strangers" / "strangers.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert {row["id"] for row in listed[:2]} == {"person_1/2.jpg", "person_2/2.jpg"}
    assert {row["nearest"] for row in listed[:2]} == {"person_1", "person_2"}
    assert len(listed) == PEOPLE * PHOTOS  # not the broken one
    with Image.open(wrong / "strangers" / "strangers.png") as sheet:
        assert sheet.height > 12 * 120
    before = read_labels(out)
    (first / "2.jpg").unlink()
    assert main([*words, *photos]) == 0
    assert "gone" in capsys.readouterr().out
    after = read_labels(out)
    assert after.n_photos[1] == before.n_photos[1] - 1 and after.n_photos[2] == before.n_photos[2]
    assert main([*words, "--strangers", str(wrong / "strangers")]) == 2
    assert "--photos" in capsys.readouterr().err


def test_people_without_a_label_are_told_why(own, capsys):
    assert main(pool_words(own)[:-2]) == 0  # quick fits of 112 px: unconverged ones do not count
    told = capsys.readouterr().out
    labels = read_labels(own.root / "labels.parquet")
    if len(labels.person) < PEOPLE:
        assert "without a label" in told and "--also unconverged" in told
    assert "unreadable" in told


@pytest.mark.slow
def test_a_network_is_gone_on_with(own, capsys):
    assert main(pool_words(own)) == 0
    words = train_words(own, "begun", "--network", "small", "--size", "32", "--steps", "2")
    assert main(words) == 0
    assert "few" in capsys.readouterr().err
    begun = own.root / "begun" / "network.pt"
    # With a rate of nearly nothing the weights stay where they start from.
    assert (
        main(
            train_words(own, "on", "--start", str(begun), "--steps", "1", "--rate", "1e-12", "--average", "0")
        )
        == 0
    )
    found, start = (load_network(own.root / name / "network.pt") for name in ("on", "begun"))
    assert (found.name, found.size) == ("small", 32) and "--start network.pt" in found.about["command"]
    assert found.about["steps"] == 1
    weights, wanted = found.module.state_dict(), start.module.state_dict()
    for name, _ in start.module.named_parameters():
        assert (weights[name] - wanted[name]).abs().max() <= 0.01 * wanted[name].abs().max() + 1e-6, name


def test_what_cannot_be_started_from(own, capsys):
    def refused(*words):
        status = main(["train", "--out", str(own.root / "x"), "--level", "0", "--device", "cpu", *words])
        return status, capsys.readouterr().err

    status, told = refused("--network", "encoder", "--start", "shipped")
    assert status == 2 and "least squares" in told
    status, told = refused("--start", "shipped", "--weights", "imagenet")
    assert status == 2 and "two beginnings" in told
    status, told = refused("--start", "shipped", "--network", "small")
    assert status == 2 and "is a resnet18, not a small" in told
    status, told = refused("--start", str(own.root / "none.pt"))
    assert status == 2 and "no such network" in told
    assert not (own.root / "x").exists()


@pytest.mark.parametrize("pictures, steps, batch", [(40, 100, 40), (480, 1000, 48), (10**6, 10_000, 48)])
def test_the_recipe_follows_the_number_of_pictures(pictures, steps, batch):
    given = SimpleNamespace(batch=None, steps=None, validate_every=None)
    found = train._settings_for(pictures, settings_of("quick"), given, 1)
    assert (found.steps, found.batch) == (steps, batch)
    assert found.validate_every <= max(250, steps // 20)
    asked = SimpleNamespace(batch=8, steps=7, validate_every=3)
    assert train._settings_for(pictures, settings_of("quick", batch=8, steps=7), asked, 1).batch == 8
    assert train._settings_for(50, settings_of("quick"), given, 4).batch == 48
