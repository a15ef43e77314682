"""A fit says what it knows: flags with reasons, a confidence that tells good from bad, an honest posterior."""

import pytest
import torch

from helpers.crop import crop_face
from helpers.datasets import known_faces
from helpers.evaluation import shape_rmse
from helpers.face_model import load
from helpers.fitting import GOOD_CONFIDENCE, REASONS, FitModel, fit, posterior_samples, vertex_sigma
from helpers.fitting.confidence import GOOD, reason_code
from helpers.fitting.energy import Equations
from helpers.fitting.parameters import Layout
from helpers.fitting.uncertainty import posterior_covariance
from helpers.landmarks import stored_points
from helpers.photo import default_photos, read_photo
from helpers.pose import MIRRORED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    return FitModel(load("open", level=1))


@pytest.fixture(scope="module")
def faces(fit_model):
    return known_faces(fit_model.model, 12, seed=40)


@pytest.fixture(scope="module")
def good(fit_model, faces):
    return fit(faces.image, faces.landmarks, fit_model)


@pytest.fixture(scope="module")
def photographs():
    crops = {}
    for name, path in default_photos().items():
        crops[name] = crop_face(read_photo(path).image, stored_points(name).points)
    return crops


def test_bad_input_is_flagged_with_its_reason_and_spoils_no_other(fit_model, faces, good):
    image, landmarks = faces.image[:1].repeat(8, 1, 1, 1), faces.landmarks[:1].repeat(8, 1, 1)
    image[1, 50, 60] = float("nan")
    landmarks[2] = landmarks[2, list(MIRRORED)]
    landmarks[3] = 100.0
    image[4] = 0.5
    image[5] = 1.0
    landmarks[6] += 160.0  # beside the picture
    landmarks[7, :, 0] = float("inf")
    result = fit(image, landmarks, fit_model)
    expected = ["", "not_finite", "pose", "pose", "flat", "flat", "hidden", "not_finite"]
    assert result.reason == expected
    assert not result.ok[1:].any() and (result.confidence[1:] < GOOD_CONFIDENCE).all()
    for value in (result.alpha, result.beta, result.energy, result.covariance, result.light):
        assert torch.isfinite(value).all()
    assert (result.alpha[0] - good.alpha[0]).abs().max() < 0.3
    assert result.explain(5) == dict(REASONS.values())["flat"]


def test_saturated_and_turned_faces_are_flagged(fit_model, faces):
    image = (faces.image[:1] > 0.45).float().expand(-1, -1, -1, 3).clone()
    assert fit(image, faces.landmarks[:1], fit_model).reason[0] in ("saturated", "unlike", "hidden")
    side = known_faces(fit_model.model, 1, seed=3, max_yaw=1e-3)
    from helpers.camera import Camera, Pose, model_to_camera, project
    from helpers.fitting import FaceState, render_state

    pose = Pose(torch.tensor([[0.0, 1.35, 0.0]]), side.pose.translation)
    zero = torch.zeros(1, fit_model.layout.n_coefficients)
    camera = Camera.default(224)
    drawn = render_state(fit_model, FaceState(zero, pose, side.light), camera).image.clamp(0, 1)
    points = project(model_to_camera(fit_model.landmarks(zero), pose), camera)[..., :2]
    assert fit(drawn, points, fit_model).reason == ["turned"]


def test_confidence_separates_good_from_bad(fit_model, faces, good, photographs):
    """Area under the ROC curve over a set of good and bad fits: rendered faces and photographs, right and wrong.

    A fit to a rendered face is bad where its shape is off by two thirds of what the mean face is off by, whatever was
    wrong with its landmarks; a fit to a photograph where its landmarks are those of no face in it.
    """
    scores, bad = [], []
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(faces.landmarks.shape, generator=generator)
    shift = torch.tensor([[14.0, -8.0]])
    middle = faces.landmarks.mean(1, keepdim=True)
    mean_face = shape_rmse(fit_model.model.shape(torch.zeros(12, 99)), faces.neutral, faces.visible)
    for points in (
        faces.landmarks,
        faces.landmarks + 2.75 * noise,
        faces.landmarks + torch.tensor([6.0, 0.0]),
        faces.landmarks.roll(1, 0),
        faces.landmarks + shift,
        middle + 1.4 * (faces.landmarks - middle),
    ):
        result = fit(faces.image, points, fit_model)
        error = shape_rmse(fit_model.model.shape(result.alpha), faces.neutral, faces.visible)
        scores.append(result.confidence[error < 0.67 * mean_face])
        bad.append(result.confidence[error >= 0.67 * mean_face])
    assert len(torch.cat(scores)) > 24 and len(torch.cat(bad)) > 12  # some of both
    noise = torch.rand(4, 224, 224, 3, generator=torch.Generator().manual_seed(1))
    bad.append(fit(noise, faces.landmarks[:4], fit_model).confidence)
    for crop in photographs.values():
        scores.append(fit(crop.image, crop.landmarks, fit_model, valid=crop.valid).confidence)
        middle = crop.landmarks.mean(1, keepdim=True)
        for wrong in (crop.landmarks + 25, middle + 1.4 * (crop.landmarks - middle), crop.landmarks - shift):
            bad.append(fit(crop.image, wrong, fit_model, valid=crop.valid).confidence)
        upside = crop.image.flip(1)
        bad.append(fit(upside, crop.landmarks, fit_model, valid=crop.valid.flip(1)).confidence)
    right, wrong = torch.cat(scores), torch.cat(bad)
    area = ((right[:, None] > wrong).float() + 0.5 * (right[:, None] == wrong).float()).mean()
    assert area >= 0.93, f"AUC {area:.3f}"
    # Some fits to landmarks of another face come near by chance, and are believed: 4 of 44.
    assert (right > GOOD_CONFIDENCE).float().mean() > 0.85 and (wrong < GOOD_CONFIDENCE).float().mean() > 0.8


def test_the_posterior_is_about_as_wide_as_the_errors(fit_model, faces, good):
    layout = fit_model.layout
    variance = good.covariance.diagonal(dim1=1, dim2=2)
    assert (variance > 0).all() and (variance < 1.05).all()  # never wider than the prior
    α = variance[:, layout.alpha].sqrt()
    z = (good.alpha - faces.coefficients.alpha) / α
    # Leading modes are seen best. One standard deviation of the posterior should be about one of the errors; the
    # unknown focal length and the energy's robust weights are outside the approximation, so it is somewhat small.
    assert α[:, :10].mean() < 0.8 * α[:, 60:].mean()
    print(z.square().mean().sqrt(), z[:, :10].square().mean().sqrt())
    assert 0.6 < z.square().mean().sqrt() < 2.5
    sigma = vertex_sigma(fit_model, good.covariance)
    assert sigma.shape == (12, len(fit_model.model.mean_shape)) and (sigma > 0).all()
    prior = vertex_sigma(fit_model, torch.eye(layout.n_coefficients)[None])
    assert (sigma.mean() < 0.7 * prior.mean()) and (sigma <= prior * 1.05).all()


def test_one_matrix_that_is_not_positive_definite_spoils_no_other():
    layout = Layout(3, 1, 2)
    A = torch.randn(4, 60, layout.size, generator=torch.Generator().manual_seed(3))
    H = A.transpose(1, 2) @ A
    expected, definite = posterior_covariance(Equations(H, torch.zeros(4, layout.size), {}), layout)
    assert definite.all() and torch.allclose(expected, torch.linalg.inv(H)[:, :6, :6], rtol=1e-3, atol=1e-5)
    H[1], H[2] = 0.0, torch.nan
    H[3, 0, 0] = -1.0
    covariance, definite = posterior_covariance(Equations(H, torch.zeros(4, layout.size), {}), layout)
    assert definite.tolist() == [True, False, False, False]
    assert torch.equal(covariance[0], expected[0])
    assert (covariance[1:] == torch.eye(6)).all()
    # Nor does a covariance without a root.
    covariance[1] = -torch.eye(6)
    drawn = posterior_samples(torch.zeros(4, 6), covariance, 5)
    assert torch.isfinite(drawn[:, [0, 2, 3]]).all() and torch.isnan(drawn[:, 1]).all()


def test_a_fit_whose_posterior_is_not_known_is_flagged(faces):
    """Such a fit has the prior's covariance, so it must not pass for a good one."""
    good = {
        "finite": True,
        "pose_ok": True,
        "converged": True,
        "confidence": 0.9,
        "yaw": 0.0,
        "covered": False,
        "misplaced": False,
    }
    inside = torch.ones(1, 224, 224)

    def code(**changes):
        return reason_code(
            faces.image[:1], inside, **{name: torch.tensor([v]) for name, v in {**good, **changes}.items()}
        ).item()

    assert code() == GOOD and REASONS[code(converged=False)][0] == "unconverged"
    assert REASONS[code(converged=False, finite=False)][0] == "not_finite"  # the first of several causes
    assert REASONS[code(covered=True, confidence=0.1)][0] == "covered"
    assert REASONS[code(misplaced=True, converged=False)][0] == "misplaced"


def test_samples_have_the_covariance_that_they_are_drawn_from():
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(2, 5, 5, generator=generator)
    covariance = A @ A.transpose(1, 2) + 0.1 * torch.eye(5)
    drawn = posterior_samples(torch.ones(2, 5), covariance, 20_000, generator)
    off = drawn - 1
    found = torch.einsum("nbi,nbj->bij", off, off) / 20_000
    assert (found - covariance).abs().max() < 0.05 * covariance.abs().max()
    assert off.mean(0).abs().max() < 0.1


def test_residual_and_weights_say_what_was_used(fit_model, faces, good):
    assert good.residual.shape == faces.image.shape and good.pixel_weight.shape == faces.image.shape[:3]
    outside = good.pixel_weight <= 0.5
    assert (good.residual[outside] == 0).all()
    assert good.residual[~outside].square().mean().sqrt() < 0.06
    assert good.landmark_weight.shape == (12, 68) and (good.landmark_weight <= 1).all()
    # Far jaws count for nothing where the head is turned.
    yaw = good.pose.yaw_pitch_roll()[:, 0]
    turned = yaw.abs() > 19
    assert turned.any() and (good.landmark_weight[turned][:, :17] == 0).sum(1).min() >= 8
    assert good.converged.float().mean() > 0.5
