"""The asymmetric loss against its definition in plain words, by hand-made cases and by gradcheck."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.regression import AsymmetricEuclideanLoss, asymmetric_euclidean_loss
from helpers.regression.loss import huber_loss, l2_loss, make_loss

number = st.floats(-4, 4, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(number, number), min_size=1, max_size=6))
def test_it_is_what_its_words_say(pairs):
    """Beyond the target λ₁ times the squared distance; short of it, or on the other side of 0, λ₂ times."""
    expected = 0.0
    for guess, truth in pairs:
        beyond = guess > truth if truth >= 0 else guess < truth
        expected += (1.0 if beyond else 3.0) * (guess - truth) ** 2
    guess, truth = torch.tensor(pairs, dtype=torch.float64).T[:, None]
    assert float(AsymmetricEuclideanLoss()(guess, truth)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_cases_by_hand():
    def loss(guess, truth):
        return float(asymmetric_euclidean_loss(torch.tensor([[guess]]), torch.tensor([[truth]])))

    assert loss(2.0, 1.0) == 1.0 and loss(0.0, 1.0) == 3.0  # one too far, one too near
    assert loss(-2.0, -1.0) == 1.0 and loss(0.0, -1.0) == 3.0
    assert loss(-1.0, 1.0) == 12.0  # the wrong side
    assert loss(1.5, 1.5) == 0.0 and loss(0.0, 0.0) == 0.0
    assert loss(1.0, 0.0) == 1.0 and loss(-1.0, 0.0) == 3.0  # sign(0) is +


def test_equal_weights_are_the_squared_error_and_reductions_add_up():
    generator = torch.Generator().manual_seed(0)
    guess, truth = torch.randn(5, 198, generator=generator), torch.randn(5, 198, generator=generator)
    squared = (guess - truth).square().sum(-1)
    each = asymmetric_euclidean_loss(guess, truth, 2.0, 2.0, "none")
    assert torch.allclose(each, 2 * squared, rtol=1e-5)
    assert torch.allclose(asymmetric_euclidean_loss(guess, truth, 2.0, 2.0, "sum"), each.sum())
    assert torch.allclose(AsymmetricEuclideanLoss(2.0, 2.0)(guess, truth), each.mean())


def test_the_gradient():
    generator = torch.Generator().manual_seed(1)
    guess = torch.randn(3, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    truth = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda g: asymmetric_euclidean_loss(g, truth), (guess,))
    asymmetric_euclidean_loss(guess, truth, reduction="sum").backward()
    beyond = torch.where(truth >= 0, guess > truth, guess < truth)
    by_hand = 2 * torch.where(beyond, 1.0, 3.0) * (guess - truth)
    assert torch.allclose(guess.grad, by_hand.detach())
    equal = truth.clone().requires_grad_()
    asymmetric_euclidean_loss(equal, truth).backward()
    assert (equal.grad == 0).all()


def test_half_precision_is_summed_in_float32():
    guess = torch.full((2, 198), 0.1, dtype=torch.bfloat16, requires_grad=True)
    loss = AsymmetricEuclideanLoss()(guess, torch.ones(2, 198, dtype=torch.bfloat16))
    assert loss.dtype == torch.float32 and abs(float(loss.detach()) - 198 * 3 * 0.9**2) < 1.0
    loss.backward()
    assert guess.grad.dtype == torch.bfloat16 and torch.isfinite(guess.grad).all()


def test_a_mean_face_is_no_minimum():
    """A network that cannot tell +1 from −1 targets apart does best at 0 either way; but when it knows the sign and not
    the size, the asymmetric loss puts it further out than the mean size, and the squared error does not."""
    sizes = torch.linspace(0.2, 1.8, 9)[:, None]
    guesses = torch.linspace(0, 2, 401)
    best = [
        float(
            guesses[
                torch.stack(
                    [asymmetric_euclidean_loss(g.expand(9, 1), sizes, 1.0, under) for g in guesses]
                ).argmin()
            ]
        )
        for under in (1.0, 3.0)
    ]
    assert best[0] == pytest.approx(1.0, abs=0.01) and best[1] > 1.15


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        asymmetric_euclidean_loss(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="reduction"):
        AsymmetricEuclideanLoss(reduction="max")
    with pytest.raises(ValueError, match="above 0"):
        AsymmetricEuclideanLoss(over=0.0)


def test_a_negative_zero_is_a_zero_and_targets_have_gradients():
    loss = [
        float(asymmetric_euclidean_loss(torch.tensor([[1.0]]), torch.tensor([[zero]])))
        for zero in (0.0, -0.0)
    ]
    assert loss == [1.0, 1.0]
    generator = torch.Generator().manual_seed(2)
    guess, truth = (
        torch.randn(3, 5, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    for reduction in ("mean", "sum", "none"):
        assert torch.autograd.gradcheck(
            lambda g, t, r=reduction: asymmetric_euclidean_loss(g, t, 1.0, 3.0, r), (guess, truth)
        )


def test_losses_beside_the_asymmetric_one():
    guess, target = torch.tensor([[0.5, 3.0]]), torch.tensor([[0.0, 0.0]])
    assert float(l2_loss(guess, target)) == pytest.approx(9.25)
    assert float(huber_loss(guess, target)) == pytest.approx(0.25 + 2 * (3 - 0.5))
    assert float(huber_loss(guess.bfloat16(), target.bfloat16())) == pytest.approx(5.25, rel=0.01)
    with pytest.raises(ValueError, match="one shape"):
        huber_loss(guess, target[:, :1])
    with pytest.raises(ValueError, match="asymmetric, l2, huber"):
        make_loss("cosine")
