"""Skin against light: the prior of the camera's exposure, and what the last stage of a fit makes of it."""

from __future__ import annotations

import pytest
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.datasets.known_faces import framed
from helpers.face_model import load
from helpers.fitting import FitModel, FitSettings, fit
from helpers.fitting.light_models import HARMONICS
from helpers.fitting.settings import Exposure, Stage
from helpers.lighting import DEFAULT_LIGHT
from helpers.rasterizer import interpolate
from helpers.rendering import render

COLOUR = torch.tensor([False])


def side_light() -> torch.Tensor:
    """(1, 9, 3) grey, stronger from the right."""
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 1], light[:, 3] = 0.4, 0.3, 0.2
    return light


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    return FitModel(load("open", level=2))


def test_a_white_face_is_drawn_as_bright_as_it_is_said_to_be(fit_model):
    """Against the mean of a picture, in light from ahead, above and the side."""
    model, settings = fit_model.model, FitSettings()
    light = torch.zeros(3, 9, 3)
    light[:, 0], light[:, 3] = 0.4, 0.2
    light[1, 2], light[2, 1] = 0.4, 0.4
    camera = Camera.default((224, 224), focal=20000.0, batch=3)  # from afar, as the face is seen along z
    pose = Pose(torch.zeros(3, 3), torch.tensor([[0.0, 0.0, 25000.0]]).repeat(3, 1))
    white, skin = torch.ones_like(model.mean_texture)[None], fit_model.weight[None, :, None]
    picture = render(model.mean_shape[None], model.triangles, white, pose, camera, light)
    steep = settings.grazing_full - settings.grazing_start
    weight = ((picture.normal[..., 2] - settings.grazing_start) / steep).clamp(0, 1)
    weight = weight * interpolate(skin.expand(3, -1, -1), model.triangles, picture.raster)[..., 0]
    mean = (weight[..., None] * picture.image).sum((1, 2)) / weight.sum((1, 2))[:, None]
    assert torch.allclose(fit_model.face_normals.white(light)[0], mean, atol=0.01)


def test_the_slope_of_a_white_face_is_its_derivative(fit_model):
    light = (DEFAULT_LIGHT.repeat(2, 1, 1) - 0.3 * torch.eye(9)[0][:, None]).requires_grad_()
    white, slope = fit_model.face_normals.white(light)
    by_light = torch.autograd.grad(white.sum(), light)[0]
    assert torch.allclose(slope, by_light, rtol=1e-4, atol=1e-6)


def test_exposure_holds_a_white_face_and_little_else(fit_model):
    exposure, face = Exposure(), fit_model.face_normals
    light = HARMONICS.as_exposed(side_light(), exposure, face)
    precision, mean = HARMONICS.exposed_prior(FitSettings(), COLOUR, light, face)
    white, slope = face.white(light)
    assert torch.allclose(white + (slope * (mean - light)).sum(1), torch.tensor(exposure.mean))
    covariance = precision[0].double().inverse().view(9, 3, 9, 3)
    slope = slope[0].double()

    def deviation(channels):  # of a combination of a white face's channels
        by_light = slope * channels
        return float(torch.einsum("kc,kcld,ld->", by_light, covariance, by_light).sqrt())

    # √3: the mean of three channels has a third of the variance that σ means, as in `light_sigma`.
    grey, difference = torch.ones(3).double() / 3, torch.tensor([1.0, -1.0, 0.0]).double() / 2**0.5
    assert deviation(grey) == pytest.approx(exposure.sigma / 3**0.5, rel=0.1)
    # The part of the channels' difference that a whole face shows is held far tighter than a single harmonic's.
    assert deviation(difference) == pytest.approx(exposure.colour_sigma, rel=0.1)
    up_and_down = float(covariance.mean((1, 3))[4, 4].sqrt())  # xy, of which a face as a whole shows nothing
    assert up_and_down == pytest.approx(exposure.light_sigma[2] / 3**0.5, rel=0.05)


def test_a_light_is_made_as_bright_as_the_exposure_has_it(fit_model):
    light = torch.rand(4, 9, 3, generator=torch.Generator().manual_seed(1)) + 0.1
    light[:, 1:] *= 0.3
    made = HARMONICS.as_exposed(light, Exposure(), fit_model.face_normals)
    white = fit_model.face_normals.white(made)[0].mean(-1)
    assert torch.allclose(white, torch.full((4,), Exposure().mean), atol=1e-3)
    assert torch.allclose(made / light, (made / light)[:, :1, :1].expand_as(light))


def test_a_grey_photograph_keeps_its_free_tint(fit_model):
    grey, light = torch.tensor([True, False]), side_light().repeat(2, 1, 1)
    both, _ = HARMONICS.exposed_prior(FitSettings(), grey, light, fit_model.face_normals)
    tint = torch.tensor([1.0, -1.0, 0.0])
    assert float(tint @ both[0, :3, :3] @ tint) < 0.01 * float(tint @ both[1, :3, :3] @ tint)


@pytest.mark.slow
def test_skin_is_told_from_light_by_the_exposure(fit_model):
    """Dark and light skin under the same well-exposed light, from ahead and from the side."""
    model = fit_model.model
    generator = torch.Generator().manual_seed(3)
    beta = 0.3 * torch.randn(6, 99, generator=generator)
    beta[:, 0] = torch.linspace(-1.8, 1.8, 6)
    alpha = 0.5 * torch.randn(6, 99, generator=generator)
    light = torch.zeros(6, 9, 3)
    light[:, 0], light[:, 3], light[:, 8] = 0.4, 0.2, 0.02
    light[::2, 1] = 0.35
    light = HARMONICS.as_exposed(light, Exposure(), fit_model.face_normals)
    vertices, camera = model.shape(alpha), Camera.default((224, 224), focal=1000.0, batch=6)
    pose = framed(vertices[:, model.landmarks], torch.zeros(6, 3), camera, 224)
    picture = render(vertices, model.triangles, model.texture(beta), pose, camera, light)
    image = torch.where(picture.mask[..., None], picture.image.clamp(0, 1), 0.4)
    points = project(model_to_camera(vertices[:, model.landmarks], pose), camera)[..., :2]

    def tone(beta):
        skin = fit_model.weight[None, :, None]
        return (model.texture(beta) * skin).sum(1).mean(-1) / skin.sum()

    def off(settings):
        found = tone(fit(image, points, fit_model, settings=settings).beta)
        return (found - tone(beta)).abs().mean()

    with_exposure, without = off(FitSettings()), off(FitSettings(skin_iterations=0))
    assert with_exposure < 0.03, f"mean error of the skin's brightness {with_exposure:.3f}"
    assert with_exposure < 0.5 * without, f"{with_exposure:.3f} with exposure, {without:.3f} without"


def test_the_stage_of_the_skin_moves_skin_and_light_only(fit_model):
    settings = FitSettings()
    last = settings.plan()[-1]
    assert last.exposed and last.free == ("beta", "light") and not last.redraw
    assert not any(stage.exposed for stage in FitSettings(skin_iterations=0).plan())
    assert not any(stage.exposed for stage in FitSettings(light_model="lamp").plan())
    with pytest.raises(ValueError, match="harmonics"):
        FitSettings(light_model="lamp", stages=(Stage("skin", ("beta",), 1, exposed=True),))
