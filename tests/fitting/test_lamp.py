"""A lamp as the light of the fit: slopes against torch's own differentiation, and fits with the released settings."""

from dataclasses import replace

import pytest
import torch

from helpers.datasets import known_faces
from helpers.evaluation import shape_rmse
from helpers.face_model import load
from helpers.fitting import FitModel, FitSettings, fit
from helpers.fitting.images import with_slopes
from helpers.fitting.lamp import lamp_colours
from helpers.fitting.light_models import HARMONICS, LAMP, LIGHT_MODELS, light_model_of
from helpers.fitting.parameters import FaceState
from helpers.fitting.pixel_term import pixel_rows, robust, sample_points, see
from helpers.lighting import shade_phong
from helpers.lighting.lamp_vector import N_LAMP, unpack_lamp


def lit_points(P=40):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    def unit(x):
        return torch.nn.functional.normalize(x, dim=-1)

    light = torch.tensor([0.4, 0.3, 0.35, 0.5, 0.6, 0.4, 0.3, 0.2, 0.8, 1.1, 0.9, 1.05, 0.02, -0.03, 0.01])
    light = light.double() + 0.05 * normal(2, N_LAMP)
    n = unit(normal(2, P, 3) * 0.4 + torch.tensor([0.0, 0.0, 1.0]))
    v = unit(normal(2, P, 3) * 0.2 + torch.tensor([0.0, 0.0, 1.0]))
    shadow = torch.rand(2, P, generator=generator, dtype=torch.float64)
    return 0.5 + 0.1 * normal(2, P, 3), n, v, light, shadow


def test_lamp_colours_are_those_of_the_renderer():
    albedo, n, v, light, shadow = lit_points()
    lamp, colour = unpack_lamp(light)
    expected = colour(shade_phong(albedo, n, v, lamp, shadow))
    assert torch.allclose(lamp_colours(albedo, n, v, light, shadow).colour, expected, atol=1e-12)


def test_lamp_slopes_are_torchs_own():
    inputs = lit_points(12)
    shadow = inputs[4]

    def colour(*free):
        lamp, camera = unpack_lamp(free[3])
        return camera(shade_phong(*free[:3], lamp, shadow))

    slopes = torch.autograd.functional.jacobian(colour, inputs[:4])
    found = lamp_colours(*inputs)
    for b in range(2):
        for p in range(12):
            for ours, theirs in zip(
                (found.by_albedo, found.by_normal, found.by_view), slopes[:3], strict=True
            ):
                assert torch.allclose(ours[b, p], theirs[b, p, :, b, p], atol=1e-10)
            assert torch.allclose(found.by_light[b, p], slopes[3][b, p, :, b], atol=1e-10)


@pytest.mark.parametrize("light_model", ["harmonics", "lamp"])
def test_pixel_rows_agree_with_finite_differences(fit_model, scene, light_model):
    """By every kind of parameter, the focal length too; in double precision where the terms allow it."""
    state, camera, image = scene
    settings = FitSettings(pixel_robust=1e6, grazing_start=-2.0, grazing_full=-1.5, light_model=light_model)
    light = state.light
    if light_model == "lamp":
        light = torch.tensor([[0.4] * 3 + [0.5] * 3 + [0.3, 0.2, 0.9] + [1.0] * 3 + [0.01] * 3]).repeat(2, 1)
    fit_model = fit_model.with_layout(LIGHT_MODELS[light_model], n_zoom=1)
    layout = fit_model.layout
    state = FaceState(state.coefficients, state.pose, light, torch.tensor([0.05, -0.1]))
    # A straight ramp: its bilinear slope is its own everywhere, so finite differences are exact.
    v, u = torch.meshgrid(torch.arange(160.0), torch.arange(160.0), indexing="ij")
    ramp = torch.stack([0.002 * u + 0.001 * v, 0.001 * u - 0.002 * v, 0.0005 * u], -1) + 0.3
    slopes = with_slopes(ramp[None].repeat(2, 1, 1, 1))
    inner = torch.zeros(2, 160, 160)
    inner[:, 10:-10, 10:-10] = 1
    points = sample_points(
        fit_model, see(fit_model, state, camera), inner, 200, torch.Generator().manual_seed(2)
    )

    def rows(step):
        return pixel_rows(fit_model, state.moved(step, layout), camera, slopes, points, settings)

    base = rows(torch.zeros(2, layout.size)).jacobian
    sizes = torch.full((layout.size,), 1e-2)
    sizes[layout.pose] = torch.tensor([2e-3] * 3 + [1.0, 1.0, 3.0])
    sizes[layout.zoom] = 2e-3
    for i in range(layout.size):
        step = torch.zeros(2, layout.size)
        step[:, i] = sizes[i]
        slope = (rows(step).residual - rows(-step).residual) / (2 * sizes[i])
        scale = base[..., i].abs().max()
        close = (base[..., i] - slope).abs() < 0.03 * scale
        assert close.float().mean() > 0.97, (i, scale)  # a highlight's edge may fall between two steps


def test_huber_is_quadratic_and_then_linear():
    x = torch.tensor([0.0, 0.5, 1.0, 2.0, 10.0], dtype=torch.float64, requires_grad=True)
    weight, rho = robust(x.square(), "huber")
    assert torch.allclose(rho, torch.tensor([0.0, 0.25, 1.0, 3.0, 19.0], dtype=torch.float64))
    (slope,) = torch.autograd.grad(rho.sum(), x)
    assert torch.allclose(
        slope, 2 * weight * x
    )  # iteratively reweighted squares have the energy's own gradient
    weight, rho = robust(x.square(), "cauchy")
    (slope,) = torch.autograd.grad(rho.sum(), x)
    assert torch.allclose(slope, 2 * weight * x)


def test_a_grey_photograph_may_lose_its_contrast():
    precision, mean = LAMP.prior(FitSettings(), torch.tensor([False, True]))
    assert mean.shape == (15,) and (torch.linalg.eigvalsh(precision) > 0).all()
    assert precision[1, 8, 8] < 0.1 * precision[0, 8, 8]


def test_both_models_of_light_keep_one_interface():
    harmonics = torch.zeros(2, 9, 3)
    harmonics[:, 0] = 0.7
    _, _, _, lamp, _ = lit_points()
    for light, model in ((harmonics, HARMONICS), (lamp.float(), LAMP)):
        assert light_model_of(light) is model and light[0].numel() == model.n_light
        precision, mean = model.prior(FitSettings(), torch.tensor([False, True]))
        assert precision.shape == (2, model.n_light, model.n_light) and mean.shape == light.shape[1:]
        assert torch.equal(model.within(mean[None]), mean[None])
        assert model.gain_and_offset(light).shape == (2, 2, 3)
    assert HARMONICS.towards(harmonics) is None and LAMP.towards(lamp).shape == (2, 3)
    assert torch.equal(LAMP.gain_and_offset(lamp)[:, 1], lamp[:, 12:])
    assert LAMP.within(-lamp)[:, :6].abs().max() == 0  # no negative light
    shown = LAMP.for_rendering(lamp)
    assert shown.shadows and torch.equal(shown.light.ambient, lamp[:, :3]) and shown.colour is not None


@pytest.fixture(scope="module")
def faces():
    small = FitModel(load("open", level=1))
    return small, known_faces(small.model, 4, seed=31, lamp=True)


@pytest.mark.slow
def test_the_released_fitter_recovers_known_faces(faces):
    """Most of them: two have an outline that their photographs do not show, and edges pull those away."""
    small, known = faces
    result = fit(known.image, known.landmarks, small, settings=FitSettings.released())
    mean = shape_rmse(small.model.shape(torch.zeros_like(result.alpha)), known.neutral, known.visible)
    error = shape_rmse(small.model.shape(result.alpha), known.neutral, known.visible)
    assert result.light.shape == (4, 15)
    assert result.alpha.abs().max() <= 4 and result.expression.abs().max() <= 3
    assert error.median() < 0.6 * mean.median(), (error, mean)
    assert result.landmark_weight[:, 60:].abs().max() == 0
    # Pose and shape from landmarks, then two stages with edges, then pixels without landmarks.
    terms, alone, joined = result.energy_terms, result.iterations_landmarks, 18
    assert alone == 10
    assert (terms["edges"][:, :alone] == 0).all() and (terms["edges"][:, alone:joined] > 0).all()
    assert (terms["pixels"][:, :joined] == 0).all() and (terms["pixels"][:, joined:] > 0).all()
    assert (terms["landmarks"][:, joined:] == 0).all()


@pytest.mark.slow
def test_focal_length_can_be_sought(faces):
    """From a focal length that is 1.4 times too long the true one is neared; perspective alone says little of it."""
    small, _ = faces
    known = known_faces(small.model, 4, seed=32, focal_spread=0.0, landmark_noise=0.3)
    wrong = replace(known.camera, focal=known.camera.focal * 1.4)
    settings = FitSettings(fit_focal=True)
    found = fit(known.image, known.landmarks, small, camera=wrong, settings=settings)
    off = (found.camera.focal / known.camera.focal).log().abs()
    assert off.mean() < torch.tensor(1.4).log(), off


@pytest.mark.slow
def test_a_fit_in_the_light_of_a_lamp_is_drawn_in_it(faces):
    """The overlay of the sheet shows the lamp: it is nearer to the photograph than the same face in even light."""
    from types import SimpleNamespace

    from helpers.show.fit_strip import FittedFace, fit_strip, fitted_face, overlay

    small, known = faces
    result = fit(known.image[:1], known.landmarks[:1], small, settings=FitSettings.released())
    face = fitted_face(result, small.model)
    even = torch.zeros(1, 9, 3)
    even[:, 0] = 0.8
    plain = FittedFace(face.vertices, face.colours, face.pose, face.camera, even)
    image = known.image[0]
    off = [float((overlay(image, one, small.model) - image).square().mean()) for one in (face, plain)]
    assert off[0] < 0.5 * off[1], off
    strip = fit_strip(SimpleNamespace(image=known.image[:1]), result, small.model, height=80)
    assert strip.shape[1] > 400
