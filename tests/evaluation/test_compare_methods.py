"""The comparison of methods: tables by hand, people kept apart, and halves that share no photograph."""

import csv
import math

import numpy as np
import pytest
import torch

from helpers.evaluation import Verification, make_pairs
from helpers.evaluation import compare_methods as comparison
from helpers.evaluation.reported import reported_rows
from helpers.evaluation.tables import text_table, write_csv
from helpers.face_model import load


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


def photographs(noise=0.5, people=6, photos=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(people, 198, generator=generator)
    person = torch.arange(people).repeat_interleave(photos)
    return truth, person, truth[person] + noise * torch.randn(len(person), 198, generator=generator)


def test_halves_share_no_photograph_and_pool_by_confidence():
    truth, person, vectors = photographs()
    confidence = torch.rand(len(person), generator=torch.Generator().manual_seed(1))
    method = comparison.pooled("p", vectors, person, confidence)
    first, w = vectors[:4], confidence[:4, None]
    assert torch.allclose(method.faces[0], (w * first).sum(0) / w.sum(), atol=1e-5)
    assert torch.allclose(method.templates[0], (w * first)[:2].sum(0) / w[:2].sum(), atol=1e-5)
    assert torch.allclose(method.templates[1], (w * first)[2:].sum(0) / w[2:].sum(), atol=1e-5)
    assert method.owner.tolist() == list(range(6)) and method.template_owner.tolist() == [
        p for p in range(6) for _ in (0, 1)
    ]


def test_fits_that_cannot_be_believed_are_left_out_and_may_leave_nobody():
    _, person, vectors = photographs()
    ok = torch.ones(len(person), dtype=torch.bool)
    ok[:2], ok[4:8] = False, False
    method = comparison.pooled("p", vectors, person, ok=ok)
    assert method.owner.tolist() == [0, 2, 3, 4, 5] and method.template_owner.tolist()[:3] == [0, 2, 2]
    assert torch.allclose(method.faces[0], vectors[2:4].mean(0), atol=1e-6)
    assert comparison.second_half(torch.tensor([1, 0, 1, 1, 0])).tolist() == [0, 0, 0, 1, 1]


@pytest.mark.slow
def test_shape_table_of_the_truth_and_the_mean_face(model, open3d):
    truth, person, vectors = photographs()
    alpha = truth[:, :99]
    methods = [
        comparison.single("truth", truth[person], person),
        comparison.single("mean face", torch.zeros_like(vectors), person),
        comparison.pooled("pooled", vectors, person),
        comparison.single("single", vectors, person),
    ]
    rows = {row["method"]: row for row in comparison.shape_table(model, alpha, methods)}
    assert rows["truth"]["rigid"] < 1e-2 and rows["truth"]["icp"] < 1e-2
    assert rows["truth"]["cosine"] == pytest.approx(1, abs=1e-5) and rows["truth"]["length"] == pytest.approx(
        1, abs=1e-5
    )
    assert rows["mean face"]["cosine"] == 0 == rows["mean face"]["length"]
    assert (
        rows["truth"]["rigid"]
        < rows["pooled"]["rigid"]
        < rows["single"]["rigid"]
        < rows["mean face"]["rigid"]
    )
    for row in rows.values():
        assert row["similarity"] <= row["rigid"] + 1e-4
    assert (
        rows["mean face"]["icp"] < rows["mean face"]["rigid"]
    )  # nearest places are never farther than the true ones
    assert math.isnan(comparison.shape_table(model, alpha, methods[:1], icp=False)[0]["icp"])


def test_recognition_of_noise_is_a_guess_and_of_the_truth_is_sure():
    _, person, vectors = photographs(noise=0.3, people=12)
    rows, results = comparison.recognition_table(
        [
            comparison.single("good", vectors, person),
            comparison.single("mean face", torch.zeros_like(vectors), person),
        ],
        folds=3,
    )
    assert rows[0]["accuracy"] == 1 == rows[0]["auc"] == rows[0]["rank_one"] and rows[0]["eer"] == 0
    assert math.isnan(rows[0]["tar"])  # 12 people are too few for a rate of 1 %
    assert rows[1]["accuracy"] == 0.5 == rows[1]["auc"] and isinstance(results["good, plain"], Verification)
    noise = torch.randn(200, 20, generator=torch.Generator().manual_seed(3))
    found = comparison.recognise(noise, torch.arange(50).repeat_interleave(4), folds=5)
    assert abs(found.curve.auc - 0.5) < 0.1


def test_whitening_never_sees_the_people_it_is_tested_on():
    generator = torch.Generator().manual_seed(0)
    person = torch.arange(40).repeat_interleave(4)
    noise = torch.randn(160, 60, generator=generator)  # nothing tells these people apart
    honest = comparison.recognise(noise, person, "whitened", folds=5).curve.auc
    pairs = make_pairs(person, 5)
    white = comparison.Whitening.of(noise, person, shrink=0.01)
    leaked = comparison.verify(
        pairs.score(comparison.represent(noise, "whitened", white)), pairs.same, pairs.fold
    ).curve.auc
    assert abs(honest - 0.5) < 0.1 and leaked > honest + 0.1


def test_identify_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [0.9, 0.2], [0.0, 1.0], [1.0, 0.1]])
    assert comparison.identify(vectors, torch.tensor([0, 0, 1, 1])) == 0.5


def test_spread_counts_every_pair_once():
    _, person, vectors = photographs(people=3, photos=4)
    within, between = comparison.spread(vectors, person)
    assert (
        len(within) == 3 * 6 and len(between) == 66 - 18 and within.mean() > 0.6 > 0.2 > between.mean().abs()
    )


class FewPeople:
    """What the comparison needs of synthetic people: photographs by number."""

    def __init__(self, model, n=2):
        from helpers.datasets import known_faces

        self.faces = known_faces(model, n, seed=2)
        self.confidence = torch.tensor([0.9, 0.4])

    def __len__(self):
        return len(self.faces.image)

    def batch(self, numbers):
        from types import SimpleNamespace

        return SimpleNamespace(
            image=self.faces.image[numbers],
            landmarks=self.faces.landmarks[numbers],
            confidence=self.confidence[numbers],
        )


def test_photographs_are_fitted_and_predicted_in_batches(model):
    from types import SimpleNamespace

    few = FewPeople(model)
    vectors, confidence, ok = comparison.fit_photographs(few, model, batch=1)
    assert vectors.shape == (2, 198) and torch.equal(confidence, few.confidence) and ok.dtype == torch.bool
    cosine = torch.cosine_similarity(vectors[:, :99], few.faces.coefficients.alpha)
    assert float(cosine.min()) > 0.3

    class Network:
        def predict(self, image, landmarks):
            mean = image.mean((1, 2, 3))
            return SimpleNamespace(alpha=mean[:, None].expand(-1, 99), beta=-mean[:, None].expand(-1, 99))

    guessed, _ = comparison.predict_photographs(few, Network(), batch=1)
    assert torch.allclose(guessed[:, 0], few.faces.image.mean((1, 2, 3))) and torch.equal(
        guessed[:, 0], -guessed[:, 150]
    )


def test_tables_as_text_and_as_csv(tmp_path):
    rows = [{"name": "a", "mm": 1.25, "n": 3}, {"name": "long name", "mm": float("nan"), "n": 12}]
    text = text_table(rows, {"name": ("", ""), "mm": ("error, mm", ".1f"), "n": ("n", "")})
    assert text.splitlines() == [
        "           error, mm   n",
        "a                1.2   3",
        "long name          –  12",
    ]
    assert text_table([]) == "(no rows)" and "name" in text_table(rows)
    write_csv(tmp_path / "t.csv", rows)
    with open(tmp_path / "t.csv", newline="") as file:
        back = list(csv.DictReader(file))
    assert float(back[0]["mm"]) == 1.25 and np.isnan(float(back[1]["mm"])) and back[1]["name"] == "long name"


def by_rule(alpha, person):
    """A ruler whose errors are known: how far the first number is from the person's."""
    return abs(float(alpha[0]) - person)


def test_one_rule_of_rejection_for_all_methods():
    person = torch.tensor([0, 0, 1, 1, 2, 2])
    alpha = torch.tensor([1.0, 3.0, 1.0, 2.0, 2.0, 12.0])[:, None]
    kept = torch.tensor([True, True, True, True, True, False])
    each = comparison.measure("fit", alpha, person, kept, by_rule, progress=False)
    assert each.every.tolist() == [2.0, 0.5, 5.0] and each.kept.tolist() == [2.0, 0.5, 0.0]
    both = comparison.measure("pooled", alpha, person, kept, by_rule, pooled=True, progress=False)
    assert both.every.tolist() == [2.0, 0.5, 5.0] and both.kept.tolist() == [2.0, 0.5, 0.0]
    weighed = comparison.measure(
        "by confidence",
        alpha,
        person,
        kept,
        by_rule,
        pooled=True,
        progress=False,
        confidence=torch.tensor([3.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    )
    assert weighed.every[0] == pytest.approx(1.5)


def test_who_has_no_kept_picture_is_left_out_of_every_method():
    person = torch.tensor([0, 0, 1, 1, 2, 2])
    kept = torch.tensor([True, False, True, True, False, False])
    nothing, some = torch.full((6, 1), 4.0), torch.tensor([1.0, 7.0, 2.0, 2.0, 9.0, 9.0])[:, None]
    errors = [
        comparison.measure(name, alpha, person, kept, by_rule, progress=False)
        for name, alpha in (("mean face", nothing), ("fit", some))
    ]
    mean, fitted = comparison.error_rows(errors, against="mean face")
    assert mean["people"] == 2 == fitted["people"] and mean["every"] == 3.5 == mean["kept"]
    assert fitted["every"] == 2.5 and fitted["kept"] == 1.0 and "low" not in mean
    assert fitted["kept_part"] == pytest.approx((1 / 4 + 1 / 3) / 2)
    assert fitted["low"] <= fitted["difference"] == -2.5 <= fitted["high"]


def test_pictures_are_drawn_once_and_cut_again(model):
    from helpers.datasets import SyntheticPeople

    people = SyntheticPeople(model, 2, 2, seed=4, size=64, framing="fit")
    pictures = comparison.Pictures.draw(people, batch=3, progress=False)
    assert len(pictures) == 4 and pictures.person.tolist() == [0, 0, 1, 1]
    assert torch.equal(pictures.batch(torch.tensor([3])).image[0], people.batch(torch.tensor([3])).image[0])
    squares = pictures.squares(96)
    assert squares.image.shape == (4, 96, 96, 3) and squares.landmarks.isfinite().all()


@pytest.mark.slow
def test_the_ruler_measures_a_face_by_its_own_head(model, open3d):
    from helpers.datasets import SyntheticPeople

    people = SyntheticPeople(model, 2, 1, seed=4, size=64)
    ruler, alpha = comparison.Ruler(people, model), people.coefficients.alpha
    assert ruler(alpha[0], 0) < 0.02 < 1 < ruler(alpha[0], 1)
    assert ruler(alpha[0], 0) == ruler(alpha[0].clone(), 0)


def test_rows_of_recognition_tell_how_much_they_rest_on():
    _, person, vectors = photographs(people=8, noise=1.5)
    row = comparison.auc_rows([comparison.single("m", vectors, person)])[0]
    assert (row["people"], row["one"], row["two"]) == (8, 8 * 6, 28 * 16)
    assert (
        row["low"] <= row["auc"] <= row["high"] and math.isnan(row["tar"]) and row["within"] > row["between"]
    )


def test_reported_numbers_name_their_source():
    rows = {row["method"]: row for row in reported_rows()}
    assert list(rows) == ["mean face", "flow-based", "fit", "pooled fits", "network", "network, pooled"]
    assert all(str(row["source"]).startswith("reported: Tran et al.") for row in rows.values())
    assert rows["network, pooled"]["mean"] == 1.53 < rows["mean face"]["mean"] == 1.88
