"""Ridge regression from sums: the same as with all samples at hand."""

import pytest
import torch

from helpers.regression.least_squares import LeastSquares, solve_for


@pytest.fixture(scope="module")
def samples():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(400, 7, generator=g) * torch.tensor([1.0, 5.0, 0.1, 1.0, 2.0, 1.0, 30.0]) + 3
    y = x @ torch.randn(7, 3, generator=g) + 0.5 * torch.randn(400, 3, generator=g) - 2
    return x, y


def summed(x, y, batch=64):
    sums = LeastSquares(x.shape[1], y.shape[1])
    for a, b in zip(x.split(batch), y.split(batch), strict=True):
        sums.add(a, b)
    return sums


@pytest.mark.parametrize("shrink", [1e-6, 0.1])
def test_the_weights_are_those_of_the_normal_equations(samples, shrink):
    x, y = (part.double() for part in samples)
    z = (x - x.mean(0)) / x.std(0, correction=0)
    expected = torch.linalg.solve(z.T @ z + shrink * len(x) * torch.eye(7).double(), z.T @ (y - y.mean(0))).T
    found = summed(*samples).solve(shrink)
    assert torch.allclose(found.weight, expected.float(), atol=1e-5)
    assert torch.allclose(found(samples[0]), (z @ expected.T + y.mean(0)).float(), atol=1e-4)


def test_sums_do_not_depend_on_the_batches_and_go_on_from_a_state(samples):
    x, y = samples
    whole = summed(x, y, 400)
    part = summed(x[:200], y[:200], 50)
    part = LeastSquares.of_state(part.state())
    part.add(x[200:], y[200:])
    assert part.count == whole.count == 400
    assert torch.allclose(part.products, whole.products)


def test_shrinkage_is_chosen_on_others(samples):
    x, y = samples
    few = summed(x[:12], y[:12])
    found = solve_for(few, x[200:], y[200:], (1e-6, 1e-3, 1e-1, 10.0))
    errors = {
        shrink: float(((few.solve(shrink)(x[200:]) - y[200:]) / y[200:].std(0)).square().mean())
        for shrink in (1e-6, 1e-3, 1e-1, 10.0)
    }
    assert found.shrink == min(errors, key=errors.__getitem__)


def test_noise_of_features_counts_as_if_the_samples_had_it(samples):
    """Each sample twice, moved to and fro along one direction: noise of exactly that covariance."""
    x, y = samples
    off = torch.tensor([0.0, 0.0, 0.3, -1.0, 0.5, 0.0, 0.0])
    noisy = summed(torch.cat([x + off, x - off]), torch.cat([y, y]), 100).solve(0.1)
    sums = summed(x, y)
    found = sums.with_noise(torch.outer(off[2:5], off[2:5]), 2).solve(0.1)
    assert torch.allclose(found(x), noisy(x), atol=1e-4)
    assert not torch.allclose(found(x), sums.solve(0.1)(x), atol=1e-2)  # and the sums themselves stay


def test_what_is_not_a_number_is_refused_before_it_spoils_the_sums(samples):
    x, y = samples
    sums = summed(x, y)
    before = sums.products.clone()
    with pytest.raises(ValueError, match="finite"):
        sums.add(torch.full((1, 7), float("nan")), y[:1])
    assert torch.equal(sums.products, before) and sums.count == 400
    with pytest.raises(ValueError, match="at least 2"):
        LeastSquares(7, 3).solve(0.1)
