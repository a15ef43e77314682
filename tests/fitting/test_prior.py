"""A fit with more known of a face than the face model knows: another mean and covariance of α and β."""

from dataclasses import replace

import pytest
import torch

from helpers.camera import Pose
from helpers.datasets import SyntheticPeople
from helpers.face_model import load
from helpers.fitting import FacePrior, FitModel, FitSettings, fit, fit_person
from helpers.fitting.parameters import FaceState
from helpers.fitting.prior_term import make_prior

FAST = FitSettings(dense=False, landmark_shape_modes=99)  # landmarks only, a tenth of a second
COLOUR = torch.tensor([False, False])


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    return FitModel(load("open", level=2))


@pytest.fixture(scope="module")
def photos(fit_model):
    """Two people with three photographs each."""
    return SyntheticPeople(fit_model.model, 2, 3, seed=11, size=224, framing="fit").batch(torch.arange(6))


def known(seed: int = 0, faces: int = 2, size: int = 198, scale: float = 0.3) -> FacePrior:
    """A mean that differs from face to face, and a covariance that is not diagonal."""
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(size, size, generator=draw) / size**0.5
    covariance = scale * (root @ root.T + torch.eye(size))
    return FacePrior(0.5 * torch.randn(faces, size, generator=draw), covariance)


def state(fit_model: FitModel, faces: int = 2) -> FaceState:
    draw = torch.Generator().manual_seed(5)
    layout = fit_model.layout
    coefficients = torch.randn(faces, layout.n_coefficients, generator=draw, dtype=torch.float64)
    pose = Pose(torch.zeros(faces, 3).double(), torch.tensor([[0.0, 0.0, 1500.0]]).double().repeat(faces, 1))
    return FaceState(coefficients, pose, 0.1 * torch.randn(faces, 9, 3, generator=draw).double())


def double(prior):
    parts = {
        name: value.double() if isinstance(value, torch.Tensor) else value
        for name, value in vars(prior).items()
    }
    return replace(prior, **parts)


def test_it_is_the_negative_logarithm_of_that_normal_density(fit_model):
    face, known_of, layout = state(fit_model), known(), fit_model.layout
    plain = double(make_prior(layout, FitSettings(), COLOUR))
    prior = double(make_prior(layout, FitSettings(), COLOUR, known=known_of))
    numbers = torch.cat([face.coefficients[:, layout.alpha], face.coefficients[:, layout.beta]], 1)
    normal = torch.distributions.MultivariateNormal(known_of.mean.double(), known_of.covariance.double())
    identity = normal.log_prob(known_of.mean.double()) - normal.log_prob(numbers)
    expression = 0.5 * face.coefficients[:, layout.expression].square().sum(1)
    assert torch.allclose(prior.energy(face)[0], identity + expression, rtol=1e-5)
    assert torch.equal(prior.energy(face)[1], plain.energy(face)[1])


def test_gradient_and_precision_are_those_of_the_energy(fit_model):
    face, layout = state(fit_model), fit_model.layout
    prior = double(make_prior(layout, FitSettings(), COLOUR, known=known()))
    H = torch.zeros(2, layout.size, layout.size, dtype=torch.float64)
    g = torch.zeros(2, layout.size, dtype=torch.float64)
    prior.add_to(H, g, face, layout)

    def energy(x):
        return prior.energy(replace(face, coefficients=x))[0].sum()

    n, x = layout.n_coefficients, face.coefficients.clone().requires_grad_()
    slope = torch.autograd.grad(energy(x), x)[0]
    assert torch.allclose(g[:, :n], slope, rtol=1e-6, atol=1e-9)
    curvature = torch.autograd.functional.hessian(energy, face.coefficients)
    assert torch.allclose(H[0, :n, :n], curvature[0, :, 0], rtol=1e-6, atol=1e-9)


def test_the_standard_normal_given_is_the_one_that_is_there_anyway(fit_model, photos):
    some = photos.image[:2], photos.landmarks[:2]
    given = FacePrior(torch.zeros(2, 198), torch.eye(198))
    plain, same = (fit(*some, fit_model, prior=prior, settings=FAST) for prior in (None, given))
    assert (plain.alpha - same.alpha).abs().max() < 1e-4
    assert (plain.covariance - same.covariance).abs().max() < 1e-4


def test_a_fit_lies_between_what_was_known_and_what_is_seen(fit_model, photos):
    some = photos.image[:2], photos.landmarks[:2]
    truth = photos.coefficients.alpha[:2]
    plain = fit(*some, fit_model, settings=FAST)
    mean = torch.cat([truth, torch.zeros(2, 99)], 1)

    def error(scale):
        """Of a fit that the truth was told, with a spread of `scale` about it."""
        prior = FacePrior(mean, scale * torch.eye(198))
        found = fit(*some, fit_model, prior=prior, settings=FAST)
        return float((found.alpha - truth).norm(dim=1).mean())

    unknown = float((plain.alpha - truth).norm(dim=1).mean())
    assert error(1e-4) < 0.02 < error(0.1) < error(1.0) < unknown


def test_what_landmarks_do_not_show_keeps_what_was_known_of_it(fit_model, photos):
    prior = known(scale=0.1)
    found = fit(photos.image[:2], photos.landmarks[:2], fit_model, prior=prior, settings=FAST)
    assert torch.equal(found.beta, prior.mean[:, 99:])
    assert (found.alpha - prior.mean[:, :99]).abs().max() > 0.05


def test_photographs_of_one_person_share_the_average_of_their_means(fit_model, photos):
    person = torch.tensor([0, 0, 0, 1, 1, 1])
    means = known(faces=6).mean
    tight = FacePrior(means, 1e-6 * torch.eye(198))
    found = fit_person(photos.image, photos.landmarks, fit_model, person=person, prior=tight, settings=FAST)
    for p in (0, 1):
        assert torch.allclose(found.alpha[p], means[person == p, :99].mean(0), atol=1e-2)
    # Known as much as by the face model, it is the joint fit without a prior.
    given = FacePrior(torch.zeros(6, 198), torch.eye(198))
    plain, same = (
        fit_person(photos.image, photos.landmarks, fit_model, person=person, prior=prior, settings=FAST)
        for prior in (None, given)
    )
    assert (plain.alpha - same.alpha).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("mean", "covariance", "told"),
    [
        (torch.zeros(2, 198), torch.eye(197), r"got \(2, 198\) and \(197, 197\)"),
        (torch.zeros(198), torch.eye(198), r"mean \(B, K\)"),
        (torch.full((2, 198), torch.nan), torch.eye(198), "finite mean"),
        (torch.zeros(2, 198), -torch.eye(198), "positive definite"),
    ],
)
def test_what_is_no_prior_is_refused(mean, covariance, told):
    with pytest.raises(ValueError, match=told):
        FacePrior(mean, covariance)


def test_a_prior_of_other_faces_is_refused(fit_model, photos):
    some = photos.image[:2], photos.landmarks[:2]
    with pytest.raises(ValueError, match=r"shape \(2, 198\), got \(3, 198\)"):
        fit(*some, fit_model, prior=known(faces=3))
    with pytest.raises(ValueError, match="squares"):
        fit(*some, fit_model, prior=known(), settings=FitSettings.released())
