"""The whole fit on rendered faces whose truth is known, and on photographs."""

import pytest
import torch

from helpers.camera import Camera
from helpers.crop import crop_face
from helpers.datasets import known_faces
from helpers.evaluation import shape_rmse
from helpers.face_model import load
from helpers.fitting import GOOD_CONFIDENCE, FitModel, FitSettings, fit
from helpers.landmarks import stored_points
from helpers.photo import default_photos, read_photo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    return FitModel(load("open", level=2))


@pytest.fixture(scope="module")
def faces(fit_model):
    return known_faces(fit_model.model, 8, seed=7)


@pytest.fixture(scope="module")
def result(fit_model, faces):
    return fit(faces.image, faces.landmarks, fit_model)


def errors(fit_model, faces, alpha):
    return shape_rmse(fit_model.model.shape(alpha), faces.neutral, faces.visible)


def test_error_is_under_half_the_mean_faces(fit_model, faces, result):
    fitted = errors(fit_model, faces, result.alpha)
    mean_face = errors(fit_model, faces, torch.zeros_like(result.alpha))
    assert fitted.mean() < 0.5 * mean_face.mean(), (
        f"fit {fitted.mean():.2f} mm, mean face {mean_face.mean():.2f} mm"
    )


def test_pixels_improve_on_landmarks(fit_model, faces, result):
    landmarks_only = fit(faces.image, faces.landmarks, fit_model, settings=FitSettings(dense=False))
    assert (
        errors(fit_model, faces, result.alpha).mean() < errors(fit_model, faces, landmarks_only.alpha).mean()
    )
    assert landmarks_only.energy.shape[1] == landmarks_only.iterations_landmarks


def test_energy_falls_within_each_level_of_blur(result):
    pixels = result.energy[:, result.iterations_landmarks :]
    assert torch.isfinite(result.energy).all()
    assert (result.energy[:, result.iterations_landmarks - 1] < result.energy[:, 0]).all()
    # Within a level the points stay, and a step that does not help is taken back, but for the last one of a stage.
    start, first = 0, FitSettings().light_first_iterations
    for _, iterations, _ in FitSettings().schedule:
        level = pixels[:, start : start + iterations]
        helped = level[:, 1:] <= level[:, :-1] * (1 + 1e-6)
        if start == 0:
            helped[:, first - 1] = True  # by which light alone ends
        assert helped.all()
        start += iterations
    assert (pixels[:, 7] < 0.3 * pixels[:, 0]).all()


def test_truth_is_told_from_failure_by_the_confidence(fit_model, faces, result):
    wrong = faces.landmarks.roll(1, 0)  # everybody gets the landmarks of somebody else
    failed = fit(faces.image, wrong, fit_model)
    good = result.confidence
    # The area under the ROC curve: how often a good fit scores above a failed one.
    assert (good[:, None] > failed.confidence[None]).float().mean() > 0.95


def test_a_second_run_gives_the_same_numbers_and_a_batch_what_single_fits_give(fit_model, faces, result):
    alone = fit(faces.image[1:2], faces.landmarks[1:2], fit_model)
    again = fit(faces.image[1:2], faces.landmarks[1:2], fit_model)
    assert torch.equal(alone.alpha, again.alpha) and torch.equal(alone.beta, again.beta)
    # Matrix products of other sizes round differently. A pixel at the rim may then fall on the other side, one of
    # the drawn points is another, and twenty iterations carry that along.
    two = fit(faces.image[5:7], faces.landmarks[5:7], fit_model)
    shape, batch_shape = (
        fit_model.model.shape(a) for a in (torch.cat([alone.alpha, two.alpha]), result.alpha[[1, 5, 6]])
    )
    assert shape_rmse(shape, batch_shape, faces.visible[[1, 5, 6]]).max() < 0.3  # mm


def test_threads_give_in_order_what_a_batch_gives_without(fit_model, faces, with_threads):
    """Landmarks only: after one pixel at a rim less the next step is another one, see above."""
    quick = FitSettings(dense=False)
    given = faces.image[:5], faces.landmarks[:5], fit_model
    with_threads(1)
    one = fit(*given, settings=quick)
    with_threads(3)
    three = fit(*given, settings=quick)
    torch.testing.assert_close(three.alpha, one.alpha, atol=1e-3, rtol=0)
    torch.testing.assert_close(three.pose.translation, one.pose.translation, atol=0.05, rtol=0)
    torch.testing.assert_close(three.camera.focal, one.camera.focal)
    assert three.energy.shape == one.energy.shape and three.camera.size == one.camera.size
    assert three.code.tolist() == one.code.tolist() and torch.get_num_threads() == 3
    assert torch.equal(three.only(4).alpha, three.alpha[4:])
    again = fit(*given, settings=quick)
    assert torch.equal(again.alpha, three.alpha)


def test_a_black_image_does_not_break_the_batch(fit_model, faces):
    image = faces.image[:2].clone()
    image[1] = 0
    both = fit(image, faces.landmarks[:2], fit_model)
    assert torch.isfinite(both.alpha).all() and torch.isfinite(both.energy).all()
    assert both.confidence[1] < 0.1 < both.confidence[0]


def test_a_finer_crop_of_the_same_face_gives_the_same_face(fit_model, faces, result):
    finer = torch.nn.functional.interpolate(
        faces.image[:2].permute(0, 3, 1, 2), scale_factor=2, mode="bilinear", align_corners=False
    ).permute(0, 2, 3, 1)
    landmarks = (faces.landmarks[:2] + 0.5) * 2 - 0.5
    fine = fit(finer, landmarks, fit_model)
    shape, fine_shape = fit_model.model.shape(result.alpha[:2]), fit_model.model.shape(fine.alpha)
    assert shape_rmse(fine_shape, shape, faces.visible[:2]).max() < 0.8
    assert (fine.pose.translation - result.pose.translation[:2]).abs().max() < 40  # of 1350 mm
    assert (fine.confidence > 0.5).all()


def test_default_photographs_are_fitted_with_confidence(fit_model):
    for name, path in default_photos().items():
        crop = crop_face(read_photo(path).image, stored_points(name).points)
        result = fit(crop.image, crop.landmarks, fit_model, valid=crop.valid)
        assert result.confidence[0] > GOOD_CONFIDENCE
        assert result.landmark_error[0, 17:].mean() < 2.5
        assert result.alpha.square().mean().sqrt() < 1.3 and result.beta.square().mean().sqrt() < 1.3
        wrong = fit(crop.image, crop.landmarks + 25, fit_model, valid=crop.valid)
        assert wrong.confidence[0] < GOOD_CONFIDENCE


def test_progress_is_told(fit_model, faces):
    seen = []
    fit(faces.image[:1], faces.landmarks[:1], fit_model, on_iteration=seen.append)
    assert [p.iteration for p in seen] == list(range(seen[0].total))
    assert {p.stage for p in seen} == {"landmarks", "pixels", "skin"}


def test_bad_input_is_refused(fit_model, faces):
    with pytest.raises(ValueError, match="image must have shape"):
        fit(faces.image[0], faces.landmarks, fit_model)
    with pytest.raises(ValueError, match="landmarks must have shape"):
        fit(faces.image, faces.landmarks[:, :66], fit_model)
    with pytest.raises(ValueError, match="no photograph"):
        fit(faces.image[:0], faces.landmarks[:0], fit_model)
    with pytest.raises(ValueError, match="divide bytes by 255"):
        fit(faces.image * 255, faces.landmarks, fit_model)
    with pytest.raises(ValueError, match="camera is for 1 images"):
        fit(faces.image, faces.landmarks, fit_model, camera=Camera.default(224))
    with pytest.raises(ValueError, match="64 px"):
        fit(faces.image[:, :32, :32], faces.landmarks, fit_model)
    with pytest.raises(ValueError, match="one by one"):
        fit(faces.image[:2, :1, :1].expand(2, 8000, 8000, 3), faces.landmarks[:2], fit_model)
    with pytest.raises(ValueError, match="one device, and image is on cpu, .*model is on meta"):
        fit(faces.image, faces.landmarks, fit_model.model.to("meta"))
    with pytest.raises(ValueError, match="landmarks is on meta"):
        fit(faces.image, faces.landmarks.to("meta"), fit_model)
