"""python -m helpers evaluate --photographs: what can be measured on photographs of one's own people."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.__main__ import main
from helpers.datasets import ForeignPeople, Nuisances
from helpers.face_model import load

pytestmark = pytest.mark.slow


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def save(image, path):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray((255 * np.asarray(image)).round().astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three people with three photographs, one with one; a wall, and a file that is cut off."""
    root = tmp_path_factory.mktemp("own")
    plain = Nuisances(max_yaw=15.0, expression=0.3, occluders=0.0, jpeg=0.0, blur=0.0)
    people = ForeignPeople(load("open", level=0), 4, 3, seed=3, size=224, nuisances=plain)
    drawn = people.batch(torch.arange(10))
    for image, person, number in zip(drawn.image, drawn.person.tolist(), range(10), strict=True):
        save(image, root / f"person {person}" / f"{number}.png")
    save(torch.full((80, 80, 3), 0.5), root / "person 0" / "wall.png")
    whole = (root / "person 1" / "3.png").read_bytes()
    (root / "person 1" / "cut off.png").write_bytes(whole[: len(whole) // 3])
    return root


def test_photographs_that_agree_and_those_that_do_not_count(folder, tmp_path, capsys):
    assert main(["evaluate", "--photographs", str(folder), "--out", str(tmp_path)]) == 0
    coverage = {row["reason"]: row for row in table(tmp_path / "coverage.csv")}
    assert coverage["no_face"]["photographs"] == "1" == coverage["unreadable"]["photographs"]
    assert "wall.png" in coverage["no_face"]["example"]
    assert sum(int(row["photographs"]) for row in coverage.values()) == 12
    people = {row["person"]: row for row in table(tmp_path / "people.csv")}
    assert [int(row["found"]) for row in people.values()] == [4, 4, 3, 1]
    assert people["person 3"]["cosine"] == "" and int(people["person 0"]["used"]) <= 3
    measured = [row for row in people.values() if row["cosine"]]
    assert len(measured) >= 2
    rows = {row["what"]: row for row in table(tmp_path / "agreement.csv")}
    assert float(rows["cosine"]["within"]) > float(rows["cosine"]["between"])
    said = capsys.readouterr().out
    least = min(measured, key=lambda row: float(row["cosine"]))["person"]
    assert f"least_agreeing.png: {least}" in said and "people are too few" in said
    assert "not that the faces are right" in said
    assert all(
        (tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("roc.png", "least_agreeing.png")
    )


def only(folder, target, names):
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((folder / name).read_bytes())


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("person 0/0.png", "person 0/1.png"), "all usable photographs are of one person (person 0)"),
        (("person 0/0.png", "person 1/3.png", "person 1/4.png"), "1 of 2 people has two usable photographs"),
        (("person 0/0.png",), "all usable photographs are of one person"),
        (("person 0/wall.png",), "none of the 1 photographs can be used; person 0/wall.png: "),
    ],
)
def test_too_little_is_one_clear_line(folder, tmp_path, capsys, names, words):
    only(folder, tmp_path / "few", names)
    assert main(["evaluate", "--photographs", str(tmp_path / "few"), "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


def test_one_thing_at_a_time(tmp_path, capsys):
    arguments = ["--photographs", "a", "--coefficients", "b", "--out", str(tmp_path)]
    assert main(["evaluate", *arguments]) == 2
    assert "--coefficients and --photographs are 2 things to measure" in capsys.readouterr().err
