"""Photographs of one person fitted together: what the joint fit promises of its results."""

from dataclasses import replace

import pytest
import torch

from helpers.datasets import SyntheticPeople
from helpers.evaluation import shape_rmse
from helpers.face_model import load
from helpers.fitting import FitModel, FitSettings, fit, fit_person
from helpers.fitting.confidence import NOT_FINITE
from helpers.pooling import pool

FAST = FitSettings(dense=False)  # landmarks only, a tenth of a second


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    return FitModel(load("open", level=2))


@pytest.fixture(scope="module")
def photos(fit_model):
    """Three people with four photographs each."""
    return SyntheticPeople(fit_model.model, 3, 4, seed=11, size=224, framing="fit").batch(torch.arange(12))


def worst(one, other):
    return float((one - other).abs().max())


def test_a_person_has_one_face_and_each_photograph_its_own_expression(fit_model, photos):
    person = torch.tensor([7, 7, 7, 2])
    found = fit_person(photos.image[:4], photos.landmarks[:4], fit_model, person=person, settings=FAST)
    assert found.person.tolist() == [2, 7] and found.index.tolist() == [1, 1, 1, 0]
    assert found.used.tolist() == [1, 3]
    each = found.photographs
    assert torch.equal(each.alpha, found.alpha[found.index]) and torch.equal(
        each.beta, found.beta[found.index]
    )
    assert worst(each.expression[0], each.expression[1]) > 0.1
    assert worst(each.covariance[0, :99, :99], found.covariance[1, :99, :99]) < 1e-3
    # Three photographs know more than one, of most coefficients: each is fitted at its own values.
    assert (found.covariance[1].diagonal()[:60] < found.covariance[0].diagonal()[:60]).float().mean() > 0.8


def test_one_photograph_is_what_fit_makes_of_it(fit_model, photos, with_threads):
    with_threads(1)  # with more, `fit` fits the two one by one, and rounds in another way
    alone = fit(photos.image[:2], photos.landmarks[:2], fit_model, settings=FAST)
    people = fit_person(
        photos.image[:2], photos.landmarks[:2], fit_model, person=torch.tensor([0, 1]), settings=FAST
    )
    assert torch.equal(people.alpha, alone.alpha) and torch.equal(
        people.covariance[:, :99, :99], alone.covariance[:, :99, :99]
    )
    # Beside a person with two photographs it goes through the joint equations.
    some = photos.image[[4, 5, 0]], photos.landmarks[[4, 5, 0]]
    mixed = fit_person(*some, fit_model, person=torch.tensor([5, 5, 3]), settings=FAST)
    assert worst(mixed.alpha[0], alone.alpha[0]) < 1e-3


def test_order_does_not_matter(fit_model, photos):
    person, order = photos.person, torch.randperm(12, generator=torch.Generator().manual_seed(0))
    one = fit_person(photos.image, photos.landmarks, fit_model, person=person, settings=FAST)
    other = fit_person(
        photos.image[order], photos.landmarks[order], fit_model, person=person[order], settings=FAST
    )
    assert worst(one.alpha, other.alpha) < 5e-3 and worst(one.confidence, other.confidence) < 1e-3
    assert worst(one.photographs.expression[order], other.photographs.expression) < 5e-3


def test_the_same_photograph_again_is_nothing_new_if_errors_are_shared(fit_model, photos):
    image, landmarks = photos.image[[0, 0, 0]], photos.landmarks[[0, 0, 0]]
    alone = fit(photos.image[:1], photos.landmarks[:1], fit_model, settings=FAST)

    def joint(ρ):
        return fit_person(image, landmarks, fit_model, settings=replace(FAST, photo_correlation=ρ))

    shared, independent = joint(1.0), joint(0.0)
    assert worst(shared.alpha, alone.alpha) < 0.01
    assert worst(shared.covariance[0, :99, :99], alone.covariance[0, :99, :99]) < 0.01
    # Three independent ones hold three times its information: where it says most, a third of the variance is left.
    ratio = independent.covariance[0].diagonal()[:99] / alone.covariance[0].diagonal()[:99]
    assert 1 / 3 - 0.02 < ratio.min() and ratio.max() < 1.05
    assert independent.alpha.norm() > alone.alpha.norm()


@pytest.mark.parametrize("damage", ["no numbers", "no face"])
def test_a_photograph_that_fails_is_told_and_spoils_nothing(fit_model, photos, damage):
    landmarks = photos.landmarks[:4].clone()
    landmarks[2] = (
        torch.nan
        if damage == "no numbers"
        else 100 + torch.rand(68, 2, generator=torch.Generator().manual_seed(1)) * 1e-3
    )
    rest = [0, 1, 3]
    found = fit_person(photos.image[:4], landmarks, fit_model, settings=FAST)
    without = fit_person(photos.image[rest], landmarks[rest], fit_model, settings=FAST)
    each = found.photographs
    assert each.reason[2] == ("not_finite" if damage == "no numbers" else "pose")
    assert each.confidence[2] == 0 and found.used.tolist() == [3]
    assert worst(found.alpha, without.alpha) < 5e-3
    assert worst(found.confidence, without.confidence) < 1e-3
    # It gets its person's face, and what is known of it.
    assert torch.equal(each.alpha[2], each.alpha[0])
    assert worst(each.covariance[2, :99, :99], each.covariance[0, :99, :99]) < 1e-3


def test_a_person_without_a_usable_photograph_is_the_mean_face(fit_model, photos):
    landmarks = photos.landmarks[:4].clone()
    landmarks[:2] = torch.nan
    found = fit_person(
        photos.image[:4], landmarks, fit_model, person=torch.tensor([0, 0, 1, 1]), settings=FAST
    )
    assert found.used.tolist() == [0, 2] and found.confidence[0] == 0 < found.confidence[1]
    assert worst(found.alpha[0], 0) < 1e-4 and worst(found.covariance[0], torch.eye(198)) < 1e-3
    assert (found.photographs.code[:2] == NOT_FINITE).all()
    alone = fit_person(photos.image[2:4], landmarks[2:], fit_model, settings=FAST)
    assert worst(found.alpha[1], alone.alpha[0]) < 5e-3


def test_bad_input_is_refused(fit_model, photos):
    some = photos.image[:2], photos.landmarks[:2], fit_model
    with pytest.raises(ValueError, match=r"person must be whole numbers \(2,\)"):
        fit_person(*some, person=torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="person must be whole numbers"):
        fit_person(*some, person=torch.zeros(2))
    with pytest.raises(ValueError, match='need the solver "gauss-newton"'):
        fit_person(*some, settings=FitSettings(solver="adam"))
    with pytest.raises(ValueError, match="photo_correlation must lie between 0 and 1"):
        FitSettings(photo_correlation=1.5)


@pytest.mark.slow
def test_the_joint_face_is_nearer_than_pooled_ones_and_knows_how_near(fit_model, photos):
    truth = photos.coefficients.alpha[::4]
    single = fit(photos.image, photos.landmarks, fit_model)
    pooled = pool(single.alpha, photos.person, "uniform").coefficients
    joint = fit_person(photos.image, photos.landmarks, fit_model, person=photos.person)

    def error(alpha):
        return shape_rmse(fit_model.model.shape(alpha), photos.neutral[::4], fit_model.weight[None]).mean()

    assert error(joint.alpha) < 0.9 * error(pooled) < error(single.alpha[::4])
    z = (joint.alpha - truth).square() / joint.covariance.diagonal(dim1=1, dim2=2)[:, :99]
    assert 0.6 < z.mean() < 1.6
    assert torch.isfinite(joint.photographs.energy).all() and joint.photographs.converged.all()
    # The energy of a person falls within a level of blur.
    start = joint.photographs.iterations_landmarks + FitSettings().schedule[0].iterations
    of_people = torch.zeros(3, joint.photographs.energy.shape[1]).index_add_(
        0, joint.index, joint.photographs.energy
    )
    level = of_people[:, start : start + FitSettings().schedule[1].iterations]
    assert (level[:, 1:] <= level[:, :-1] * (1 + 1e-6)).all()
