"""The experiment on the paper's claim: its layer, its labels and its truth, on numbers whose answer is known."""

import pytest
import torch

from helpers.face_model import load
from helpers.regression.least_squares import LeastSquares
from tests.bench.claim import LABELS, Judge, Learner, Samples, another, labels, nearest, rounded


def samples(n=40, features=90, targets=5):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, features, generator=generator) * torch.linspace(0.2, 3, features) + 1
    return x, torch.randn(n, targets, generator=generator) + x[:, :targets]


def test_the_layer_is_the_ridge_regression_of_the_shipped_network():
    x, y = samples()
    sums = LeastSquares(x.shape[1], y.shape[1])
    sums.add(x, y)
    found, expected = Samples(x).squares(y, 0.3), sums.solve(0.3)
    torch.testing.assert_close(found(x), expected(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.weight, expected.weight, atol=1e-4, rtol=1e-3)


def test_with_both_weights_one_the_asymmetric_loss_finds_the_least_squares():
    x, y = samples()
    layer = Samples(x)
    torch.testing.assert_close(
        layer.asymmetric(y, 0.3, 1.0)(x), layer.squares(y, 0.3)(x), atol=1e-3, rtol=1e-3
    )


def test_the_asymmetric_loss_goes_further_out():
    x, y = samples()
    layer = Samples(x)
    near, far = (layer.asymmetric(y - y.mean(0), 3.0, under)(x).norm() for under in (1.0, 10.0))
    assert far > 1.05 * near


def test_noisy_labels_are_shrunk_more():
    x, _ = samples(200)
    person = torch.arange(200)
    learner = Learner(x, person, torch.ones(4))
    clear = x[:, :4]
    noise = 20 * torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    assert learner.shrink(clear + noise) > learner.shrink(clear)


def test_faces_of_the_model_are_found_again_and_judged_right():
    heads = load("open", level=0)
    alpha = heads.sample(2, torch.Generator().manual_seed(0)).alpha
    found = nearest(heads, heads.shape(alpha))
    judge, person = Judge(heads), torch.tensor([0, 1])
    shapes = heads.shape(alpha)
    assert judge(alpha, shapes, person).max() < 1e-3
    assert (judge(found, shapes, person) < 0.1 * judge(torch.zeros_like(alpha), shapes, person)).all()
    group = {"person": torch.tensor([0, 0, 1]), "neutral": shapes}
    by_person = judge.by_person(torch.stack([alpha[0], 0 * alpha[0], alpha[1]]), group)
    assert float(by_person[0]) == pytest.approx(float(judge(0 * alpha[:1], shapes, person[:1])) / 2, rel=1e-3)
    assert by_person[1] < 1e-3


def test_every_kind_of_label_is_one_for_each_photograph():
    alpha = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 8.0], [0.0, 4.0], [7.0, 7.0], [6.0, 6.0]])
    group = {
        "alpha": alpha,
        "person": torch.tensor([0, 0, 1, 1, 2, 2]),
        "ok": torch.tensor([True, True, True, True, False, False]),
        "confidence": torch.tensor([3.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        "covariance": 0.5 * torch.eye(2).expand(6, 2, 2),
        "joint": torch.tensor([[9.0, 9.0], [8.0, 8.0], [7.0, 7.0]]),
        "truth": torch.zeros(3, 2),
        "neutral": torch.zeros(3, 5, 3),
    }
    found = labels(group)
    assert tuple(found) == LABELS
    assert torch.equal(found["single fits"], alpha)
    assert torch.equal(found["other photo's"][:4], alpha[[1, 0, 3, 2]])
    assert found["plain mean"][:4].tolist() == [[2, 0], [2, 0], [0, 6], [0, 6]]
    assert found["confidence"][0].tolist() == [1.5, 0]
    assert found["plain mean"][4:].isnan().all() and found["other photo's"][4:].isnan().all()
    assert found["joint fit"][:, 0].tolist() == [9, 9, 8, 8, 7, 7]


def test_the_other_photo_is_the_next_one_whose_fit_counts():
    alpha = torch.arange(8.0)[:, None]
    ok = torch.tensor([True, False, True, True, False, True, False, False])
    assert another(alpha, ok, 4)[:4, 0].tolist() == [2, 2, 3, 0]
    rest = another(alpha, ok, 4)[4:, 0]
    assert rest[[0, 2, 3]].tolist() == [5, 5, 5] and rest[1].isnan()


def test_numbers_are_rounded_in_a_file_of_results():
    assert rounded({"a": [0.123456, 3, "x"]}) == {"a": [0.1235, 3, "x"]}
