"""Pooling against a loop over people that says the same in plain words, and against cases that are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.face_model import load
from helpers.pooling import RULES, normal_agreement, pool

CORRELATION = 0.3


def by_loop(coefficients, person, rule, confidence, covariance, ok):
    """{label: vector} by the definitions, one person after the other, in float64."""
    found = {}
    for label in sorted(set(person.tolist())):
        rows = [i for i in range(len(person)) if person[i] == label and ok[i]]
        if not rows:
            found[label] = torch.full((coefficients.shape[1],), torch.nan, dtype=torch.float64)
            continue
        γ, c = coefficients[rows].double(), confidence[rows].double().nan_to_num(0.0)
        if rule == "median":
            found[label] = torch.quantile(γ, 0.5, dim=0)
        elif rule == "precision":
            Λ = [torch.linalg.inv(covariance[i].double()) for i in rows]
            identity, κ = torch.eye(γ.shape[1], dtype=torch.float64), 1 + CORRELATION * (len(rows) - 1)
            whole = identity + sum(L - identity for L in Λ) / κ
            found[label] = torch.linalg.solve(whole, sum(L @ g for L, g in zip(Λ, γ, strict=True)) / κ)
        else:
            if rule == "ranking":
                best = sorted(range(len(rows)), key=lambda i: -c[i])[: (len(rows) + 1) // 2]
                c = torch.tensor([float(i in best) for i in range(len(rows))], dtype=torch.float64)
            if rule == "uniform" or c.sum() == 0:
                c = torch.ones_like(c)
            found[label] = (c[:, None] * γ).sum(0) / c.sum()
    return found


def people(seed, n, k=5):
    generator = torch.Generator().manual_seed(seed)
    person = torch.randint(-3, 4, (n,), generator=generator)
    coefficients = torch.randn(n, k, generator=generator)
    confidence = torch.rand(n, generator=generator)
    confidence[torch.rand(n, generator=generator) < 0.2] = 0.0
    confidence[torch.rand(n, generator=generator) < 0.1] = torch.nan
    A = torch.randn(n, k, k, generator=generator)
    covariance = torch.linalg.inv(A @ A.transpose(1, 2) + torch.eye(k))  # a likelihood and the prior
    ok = torch.rand(n, generator=generator) < 0.8
    return coefficients, person, confidence, covariance, ok


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from([r for r in RULES if r != "robust"]))
def test_rules_agree_with_a_loop_over_people(seed, n, rule):
    coefficients, person, confidence, covariance, ok = people(seed, n)
    pooled = pool(
        coefficients,
        person,
        rule,
        confidence=confidence,
        covariance=covariance,
        ok=ok,
        correlation=CORRELATION,
    )
    expected = by_loop(coefficients, person, rule, confidence, covariance, ok)
    assert pooled.person.tolist() == sorted(expected)
    theirs = torch.stack(list(expected.values()))
    assert torch.equal(pooled.coefficients.isnan(), theirs.isnan())
    tolerance = 1e-3 if rule == "precision" else 1e-5
    assert torch.allclose(
        pooled.coefficients.double(), theirs, atol=tolerance, rtol=tolerance, equal_nan=True
    )
    for i, label in enumerate(pooled.person.tolist()):
        mine = person == label
        assert pooled.used[i] == (mine & ok).sum() and pooled.excluded[i] == (mine & ~ok).sum()
        if rule not in ("median", "precision") and pooled.used[i]:
            assert (
                abs(float(pooled.weights[mine].sum()) - 1) < 1e-5 and (pooled.weights[mine & ~ok] == 0).all()
            )


def test_the_face_of_the_average_is_the_average_of_the_faces():
    model = load("open", level=0)
    drawn = model.sample(6, generator=torch.Generator().manual_seed(0)).alpha
    c = torch.rand(6, generator=torch.Generator().manual_seed(1))
    pooled = pool(drawn, torch.zeros(6, dtype=torch.long), confidence=c)
    average = (pooled.weights[:, None, None] * model.shape(drawn)).sum(0)
    assert torch.allclose(model.shape(pooled.coefficients)[0], average, atol=1e-3)  # mm


def test_the_geometric_median_ignores_the_bad_third():
    generator = torch.Generator().manual_seed(2)
    good = torch.randn(6, 8, generator=generator) * 0.01
    bad = torch.full((3, 8), 20.0)
    pooled = pool(torch.cat([good, bad]), torch.zeros(9, dtype=torch.long), "robust")
    assert (
        pooled.coefficients.abs().max()
        < 0.1
        < pool(torch.cat([good, bad]), torch.zeros(9, dtype=torch.long), "uniform").coefficients.max()
    )
    assert abs(float(pooled.weights.sum()) - 1) < 1e-5

    # It is where the sum of distances is least.
    def cost(point):
        return (torch.cat([good, bad]) - point).norm(dim=-1).sum()

    middle = pooled.coefficients[0]
    moved = [middle + 0.02 * torch.randn(8, generator=generator) for _ in range(20)]
    assert all(cost(middle) <= cost(other) for other in moved)


def test_precision_takes_each_coefficient_from_whoever_saw_it():
    truth = torch.tensor([1.0, -2.0])
    # Photograph 0 sees the first coefficient well and the second not at all; photograph 1 the reverse. A posterior
    # without a likelihood is the prior: mean 0, variance 1.
    mean = torch.tensor([[1.0, 0.0], [0.0, -2.0]])
    variance = torch.tensor([[1e-4, 1.0], [1.0, 1e-4]])
    for covariance in (variance, torch.diag_embed(variance)):
        pooled = pool(mean, torch.tensor([7, 7]), "precision", covariance=covariance).coefficients[0]
        assert torch.allclose(pooled, truth, atol=1e-3)
    assert torch.allclose(pool(mean, torch.tensor([7, 7]), "uniform").coefficients[0], truth / 2)
    # One photograph alone is left as it is.
    assert torch.allclose(
        pool(mean, torch.tensor([0, 1]), "precision", covariance=variance).coefficients, mean, atol=1e-5
    )


def test_copies_of_one_photograph_are_worth_one():
    """With ρ = 1 however many copies leave the fit as it is; with ρ = 0 they are believed more than the prior."""
    mean, covariance = torch.tensor([[1.0, -2.0]]), torch.tensor([[[0.5, 0.1], [0.1, 0.4]]])
    zero = torch.zeros(5, dtype=torch.long)
    for one in (covariance, covariance.diagonal(dim1=1, dim2=2)):
        copies, five = (mean.expand(5, -1), zero, "precision"), one.expand(5, *one.shape[1:])
        same = pool(*copies, covariance=five, correlation=1.0).coefficients
        assert torch.allclose(same, mean, atol=1e-5)
        more = pool(*copies, covariance=five, correlation=0.0).coefficients
        assert (more.abs() > 1.2 * mean.abs()).all()


def test_normals_unlike_the_others_score_low():
    generator = torch.Generator().manual_seed(3)
    normals = torch.nn.functional.normalize(
        torch.tensor([0.0, 0.0, 1.0]) + 0.1 * torch.randn(5, 50, 3, generator=generator), dim=-1
    )
    normals[4] = torch.nn.functional.normalize(
        torch.tensor([1.0, 0.0, 0.6]) + 0.1 * torch.randn(50, 3, generator=generator), dim=-1
    )
    score = normal_agreement(normals, torch.zeros(5, dtype=torch.long), 1)
    assert score.argmin() == 4 and score[:4].min() > 0.9 > score[4]
    γ = torch.tensor([0.0, 0.0, 0.0, 0.0, 9.0])[:, None]
    assert (
        pool(γ, torch.zeros(5, dtype=torch.long), "ranking", confidence=score).coefficients.abs().max() == 0
    )


def test_order_of_photographs_does_not_matter_and_numbers_that_are_none_never_count():
    coefficients, person, _, covariance, ok = people(5, 30)
    confidence = torch.rand(
        30, generator=torch.Generator().manual_seed(1)
    )  # no two alike: a tie goes to the first
    mixed = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    for rule in RULES:
        one = pool(coefficients, person, rule, confidence=confidence, covariance=covariance, ok=ok)
        other = pool(
            coefficients[mixed],
            person[mixed],
            rule,
            confidence=confidence[mixed],
            covariance=covariance[mixed],
            ok=ok[mixed],
        )
        assert torch.allclose(one.coefficients, other.coefficients, atol=1e-3, equal_nan=True)
        broken = coefficients.clone()
        broken[~ok] = torch.nan
        again = pool(broken, person, rule, confidence=confidence, covariance=covariance)
        assert torch.allclose(one.coefficients, again.coefficients, atol=1e-4, equal_nan=True)


def test_bad_input_is_refused():
    γ, person = torch.zeros(3, 2), torch.tensor([0, 0, 1])
    for match, call in (
        ("rule must be one of", lambda: pool(γ, person, "best")),
        ("coefficients must be", lambda: pool(γ[0], person, "uniform")),
        ("person must be whole numbers", lambda: pool(γ, person.float(), "uniform")),
        ("needs confidence", lambda: pool(γ, person)),
        ("not negative", lambda: pool(γ, person, confidence=torch.tensor([1.0, -1.0, 1.0]))),
        ("needs covariance", lambda: pool(γ, person, "precision")),
        ("covariance must be", lambda: pool(γ, person, "precision", covariance=torch.zeros(3, 3))),
        (
            "positive definite",
            lambda: pool(γ, person, "precision", covariance=-torch.eye(γ.shape[1]).expand(len(γ), -1, -1)),
        ),
        ("correlation must", lambda: pool(γ, person, "uniform", correlation=1.5)),
        ("ok must be bool", lambda: pool(γ, person, "uniform", ok=torch.ones(3))),
    ):
        with pytest.raises(ValueError, match=match):
            call()
