"""Measures of faces: their definitions, the declared mixture of the surveys, and the open model beside it."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest

from helpers.errors import UserError
from helpers.face_model import anthropometry, load
from helpers.face_model.anthropometry import Measure, Row, mixture
from helpers.face_model.open_model import anthropometric_points

LENGTHS = [m for m in anthropometry.measures() if m.kind == "length" and m.tolerance is not None]
# The height of the upper lip is that of its skin and of its red, which were surveyed on other people: their means add
# up to less than its own, and the model has to lie between.
OFF_BY = {"upper_lip_height": 0.35}


@pytest.fixture(scope="module")
def people():
    """Measures of 2000 random people: key → (2000,)."""
    found = anthropometry.measured(load("open").whole_head, anthropometric_points())
    return {measure.key: column for measure, column in zip(anthropometry.measures(), found.T, strict=True)}


@pytest.mark.parametrize("measure", LENGTHS, ids=lambda measure: measure.key)
def test_lengths_of_the_open_model_are_those_of_the_surveys(people, measure):
    wanted, found = mixture(anthropometry.surveys(), measure), people[measure.key]
    assert abs(found.mean() - wanted.pooled_mean) < OFF_BY.get(measure.key, 0.25) * wanted.pooled_sd
    assert abs(found.std() / wanted.pooled_sd - 1) < 0.15


def test_strong_correlations_have_the_published_sign(people):
    strong = {pair: r for pair, r in anthropometry.correlations().items() if abs(r) > 0.3}
    seen = [(pair, r) for pair, r in strong.items() if set(pair) <= people.keys()]
    assert len(seen) > 10
    for (a, b), r in seen:
        assert np.sign(np.corrcoef(people[a], people[b])[0, 1]) == np.sign(r), (a, b)


def test_the_model_card_prints_what_is_measured(people):
    card = (anthropometry.FOLDER / "LICENCE.md").read_text(encoding="utf-8")
    for measure in anthropometry.measures():
        line = next(line for line in card.splitlines() if line.startswith(f"| {measure.words} |"))
        printed = [float(number) for pair in re.findall(r"(\d+\.\d) ± (\d+\.\d)", line) for number in pair]
        wanted, own = mixture(anthropometry.surveys(), measure), people[measure.key]
        found = [wanted.pooled_mean, wanted.pooled_sd, own.mean(), own.std()]
        assert printed == pytest.approx(found, abs=0.06), measure.key


def measure(kind="length", points=("a", "b"), assumed_sd=None):
    return Measure("it", "words", kind, points, 0.1, assumed_sd)


def test_length_angle_and_slope_of_known_points():
    at = {"a": np.array([[1.0, 2, 3], [0, 0, 0]]), "b": np.array([[1.0, 5, 7], [0, 2, 0]])}
    assert np.allclose(measure().of(at), [5, 2])
    corner = {"a": np.array([2.0, 0, 0]), "b": np.zeros(3), "c": np.array([0.0, 3, 3])}
    assert np.isclose(measure("angle", ("a", "b", "c")).of(corner), 90)
    corner["c"] = np.array([1.0, 1, 0])
    assert np.isclose(measure("angle", ("a", "b", "c")).of(corner), 45)
    corner["c"] = -corner["a"]
    assert np.isclose(measure("angle", ("a", "b", "c")).of(corner), 180)
    for side in (-1, 1):  # the same rise on either side of the face; the depth does not count
        eye = {"a": np.array([side * 15.0, 30, 0]), "b": np.array([side * 25.0, 40, -12])}
        assert np.isclose(measure("slope").of(eye), 45)
    assert measure().unit == "mm" and measure("slope").unit == "°"


def rows(*values):
    """Rows of (survey, group, sex, mean, sd)."""
    return [Row(survey, "people", group, sex, "it", mean, sd) for survey, group, sex, mean, sd in values]


def test_groups_count_the_same_however_many_surveys_they_have():
    found = mixture(
        rows(
            ("one", "A", "M", 100.0, 5.0),
            ("two", "A", "M", 110.0, 5.5),
            ("one", "B", "M", 125.0, 6.25),
            ("one", "A", "F", 90.0, 4.5),
            ("one", "B", "F", 100.0, 5.0),
        ),
        measure(),
    )
    # Means of the groups 105 and 125, 90 and 100; all SDs are 5 % of their mean.
    assert found.mean == pytest.approx({"M": 115.0, "F": 95.0})
    assert found.sd["M"] == pytest.approx(np.sqrt((0.05 * 115) ** 2 + 10**2))
    assert found.sd["F"] == pytest.approx(np.sqrt((0.05 * 95) ** 2 + 5**2))
    assert found.pooled_mean == pytest.approx(105)
    assert found.pooled_sd == pytest.approx(np.sqrt((found.sd["M"] ** 2 + found.sd["F"] ** 2) / 2 + 10**2))
    assert found.surveys == ("one", "two")


def test_a_missing_deviation_is_taken_from_the_other_sex_or_assumed():
    men_only = rows(("one", "A", "M", 100.0, 8.0), ("one", "A", "F", 50.0, None))
    assert mixture(men_only, measure()).sd == pytest.approx({"M": 8.0, "F": 4.0})
    none = rows(("one", "A", "M", 100.0, None), ("one", "A", "F", 50.0, None), ("one", "B", "F", 54.0, None))
    assert mixture(none, measure(assumed_sd=3.0)).sd == pytest.approx({"M": 3.0, "F": np.sqrt(9 + 4)})
    with pytest.raises(UserError, match="it for sex M"):
        mixture(none, measure())
    with pytest.raises(UserError, match="it for sex F"):
        mixture(men_only[:1], measure())


def test_published_correlations_are_averaged_in_either_order(tmp_path):
    path = tmp_path / "correlations.csv"
    path.write_text("survey,measure_a,measure_b,r\none,x,y,0.2\ntwo,y,x,0.4\none,x,z,-0.1\n")
    assert anthropometry.correlations(path) == pytest.approx({("x", "y"): 0.3, ("x", "z"): -0.1})


@pytest.mark.parametrize("read", ["measures", "surveys", "correlations", "sources"])
@pytest.mark.parametrize("content", [None, "survey,other\none,two\n", b"\xff\xfe\x00"])
def test_missing_and_bad_tables_are_named(tmp_path, read, content):
    path = tmp_path / f"{read}.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=f"{read}.csv"):
        getattr(anthropometry, read)(path)


def test_a_number_that_is_none_is_named(tmp_path):
    path = tmp_path / "surveys.csv"
    path.write_text("survey,population,group,sex,n,measure,mean,sd\none,p,A,M,5,it,wide,\n")
    with pytest.raises(UserError, match=r"surveys\.csv.*wide"):
        anthropometry.surveys(path)


def test_every_survey_has_a_source_and_every_source_is_used():
    used = {row.survey for row in anthropometry.surveys()}
    with (anthropometry.FOLDER / "correlations.csv").open(encoding="utf-8") as file:
        used |= {row["survey"] for row in csv.DictReader(file)}
    cited = [source.survey for source in anthropometry.sources()]
    assert len(set(cited)) == len(cited) and set(cited) == used
    assert all(source.citation and source.numbers_from for source in anthropometry.sources())


def test_the_table_prints_every_measure_and_source(capsys):
    assert anthropometry.main() == 0
    printed = capsys.readouterr().out
    for one in anthropometry.measures():
        assert one.key in printed
    for source in anthropometry.sources():
        assert source.citation in printed
