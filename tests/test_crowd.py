"""Recognition in a crowd: the stored results against the code, and what intervals, curves and parts are made of."""

import json

import numpy as np
import pytest
import torch

from helpers.assets import ASSETS
from helpers.evaluation import AllPairs, Roc, auc_interval, roc
from helpers.face_model import load
from tests.bench.crowd import (
    FITTED,
    GRID,
    PEOPLE,
    PHOTOS,
    SEED,
    STORED,
    Area,
    Describer,
    compare,
    curve,
    drawn,
    gather,
    interval,
    photographs,
    scores,
)


@pytest.fixture(scope="module")
def stored():
    return json.loads((ASSETS / "network" / "crowd.json").read_text())


def vectors(people=20, noise=0.8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(people, 6, generator=generator).repeat_interleave(PHOTOS, 0)
    return centre + noise * torch.randn(len(centre), 6, generator=generator)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PEOPLE)
def test_the_first_people_of_the_stored_crowd_score_as_the_code_scores_them(stored, kind):
    rows = {row["method"]: row["first"] for row in stored["crowds"][kind]["methods"]}
    crowd = drawn(kind, load("open", level=1), STORED)
    found = Describer()(photographs(crowd, torch.arange(STORED)))
    assert stored["about"]["seed"] == SEED and stored["about"]["photos"] == PHOTOS
    for name in ("network", "image only", "embedding", "random map"):
        torch.testing.assert_close(scores(found[name]), torch.tensor(rows[name]), atol=0.02, rtol=0, msg=name)


def test_the_stored_crowd_is_whole(stored):
    for kind, crowd in stored["crowds"].items():
        for row in crowd["methods"]:
            people = FITTED[kind] if row["method"] in ("fit", "landmarks only") else PEOPLE[kind]
            photos = people * PHOTOS
            assert row["people"] == people and row["one"] == people * PHOTOS * (PHOTOS - 1) // 2
            assert row["one"] + row["two"] == photos * (photos - 1) // 2
            assert row["low"] < row["auc"] < row["high"] or row["low"] == row["high"] == 1
            # The rule of 30, of pairs of people.
            for key, far in (("tar", 0.01), ("tar_low", 0.001)):
                assert (row[key] is not None) == (far * people * (people - 1) / 2 >= 30)
            kept = Roc(**{name: torch.tensor(values) for name, values in row["curve"].items()})
            assert kept.auc == pytest.approx(row["auc"], abs=5e-4)
        assert {row["people"] for row in crowd["differences"]} == {PEOPLE[kind], FITTED[kind]}


def test_areas_and_paired_differences_are_those_of_the_library():
    one, other = vectors(), vectors(noise=1.2, seed=1)
    found = compare({"network": one, "embedding": other}, draws=50)
    person = torch.arange(len(one)) // PHOTOS
    a, b = AllPairs.of(one, person), AllPairs.of(other, person)
    row, (difference,) = found["methods"][0], found["differences"]
    assert (row["auc"], row["low"], row["high"]) == tuple(auc_interval(a, draws=50))
    expected = tuple(auc_interval(a, b, draws=50))
    assert (difference["auc"], difference["low"], difference["high"]) == pytest.approx(expected)


def test_a_fit_is_compared_on_the_people_who_were_fitted():
    everybody, fitted = vectors(20), vectors(8, seed=1)
    found = compare({"network": everybody, "fit": fitted}, draws=20)
    person = torch.arange(len(fitted)) // PHOTOS
    alone = AllPairs.of(fitted, person).auc() - AllPairs.of(everybody[: len(fitted)], person).auc()
    (row,) = found["differences"]
    assert row["people"] == 8 and row["auc"] == pytest.approx(alone)


def test_each_draw_is_computed_once():
    person = torch.arange(8) // PHOTOS
    area = Area(AllPairs.of(vectors(4), person))
    first = area(np.array([1, 2, 0, 1]))
    area.pairs = None
    assert area(np.array([1, 2, 0, 1])) == first
    with pytest.raises(AttributeError):
        area(np.array([1, 1, 1, 1]))


def test_the_stored_curve_keeps_the_rates_at_its_shares_of_false_accepts():
    same = torch.arange(400) % 4 == 0
    score = torch.tanh(0.5 * torch.randn(400, generator=torch.Generator().manual_seed(0)) + 0.5 * same)
    whole = roc(score, same)
    found = curve(whole)
    far, tar = np.array(found["false_accept"]), np.array(found["true_accept"])
    for threshold, *rates in zip(*found.values(), strict=True):
        accepted = score >= threshold - 1e-9
        assert rates == pytest.approx([float(accepted[kind].double().mean()) for kind in (~same, same)])
    for share in GRID:
        assert tar[far <= share + 1e-12].max() == whole.true_accept_at(share)
    assert far[-1] == tar[-1] == 1 and (np.diff(far) >= 0).all()


def test_a_run_that_was_cut_off_goes_on(tmp_path):
    asked = []

    def compute(some):
        asked.append(some.tolist())
        return {"number": some}

    assert gather("x", 12, compute, tmp_path)["number"].tolist() == list(range(12))
    # A larger crowd needs those of whole parts no more; the short last part is not taken for a whole one.
    assert gather("x", 20, compute, tmp_path)["number"].tolist() == list(range(20))
    assert asked == [list(range(10)), [10, 11], list(range(10, 20))]


def test_an_interval_of_few_people_has_no_limits():
    found = interval(lambda counts: 0.5, 3, 10)
    assert found["auc"] == 0.5 and np.isnan(found["low"])
