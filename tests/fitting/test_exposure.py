"""Skin against light: the prior of the camera's exposure, and what the last stage of a fit makes of it."""

from __future__ import annotations

import pytest
import torch

from helpers.camera import Camera, model_to_camera, project
from helpers.datasets.known_faces import framed
from helpers.face_model import load
from helpers.fitting import FitModel, FitSettings, fit
from helpers.fitting.light_models import HARMONICS
from helpers.fitting.settings import Exposure, Stage
from helpers.lighting import sh_basis
from helpers.rendering import render

COLOUR = torch.tensor([False])
ON_FACE = torch.tensor(HARMONICS.ON_FACE)


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    return FitModel(load("open", level=2))


def test_the_light_on_a_face_is_the_mean_over_its_skin(fit_model):
    vertices, triangles = fit_model.model.mean_shape, fit_model.triangles.long()
    a, b, c = vertices[triangles].unbind(1)
    normal = torch.linalg.cross(b - a, c - a)
    unit = torch.nn.functional.normalize(normal, dim=-1)
    settings = FitSettings()
    steep = settings.grazing_full - settings.grazing_start
    # Seen along z, a triangle covers a part of the picture as large as its normal's z.
    weight = normal[:, 2].clamp(min=0) * fit_model.weight[triangles].mean(-1)
    weight = weight * ((unit[:, 2] - settings.grazing_start) / steep).clamp(0, 1)
    mean = (weight[:, None] * sh_basis(unit)).sum(0) / weight.sum()
    assert torch.allclose(mean, ON_FACE, atol=0.02)


def test_exposure_holds_the_light_on_a_face_and_little_else():
    exposure = Exposure()
    precision, mean = HARMONICS.exposed_prior(FitSettings(), COLOUR)
    assert float(mean.mean(-1) @ ON_FACE) == pytest.approx(exposure.mean)
    covariance = precision[0].double().inverse().view(9, 3, 9, 3)
    grey = covariance.mean((1, 3))  # of the mean over the channels
    on_face = float((ON_FACE.double() @ grey @ ON_FACE.double()).sqrt())
    # √3: the mean of three channels has a third of the variance that σ means, as in `light_sigma`.
    assert on_face == pytest.approx(exposure.sigma / 3**0.5, rel=0.03)
    sideways = float(grey[1, 1].sqrt())
    assert sideways == pytest.approx(exposure.light_sigma[1] / 3**0.5, rel=1e-3)
    # The part of the channels' difference that a whole face receives is held far tighter than a single harmonic's.
    difference = torch.tensor([1.0, -1.0, 0.0]).double() / 2**0.5
    tint = torch.einsum("k,kcld,l,c,d->", ON_FACE.double(), covariance, ON_FACE.double(), *[difference] * 2)
    assert float(tint.sqrt()) == pytest.approx(exposure.colour_sigma, rel=0.05)


def test_a_light_is_made_as_bright_as_the_exposure_has_it():
    light = torch.rand(4, 9, 3, generator=torch.Generator().manual_seed(1)) + 0.1
    made = HARMONICS.as_exposed(light, Exposure())
    assert torch.allclose(made.mean(-1) @ ON_FACE, torch.full((4,), Exposure().mean))
    assert torch.allclose(made / light, (made / light)[:, :1, :1].expand_as(light))


def test_a_grey_photograph_keeps_its_free_tint():
    both, _ = HARMONICS.exposed_prior(FitSettings(), torch.tensor([True, False]))
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
    light[:, 0], light[:, 3], light[:, 8] = 0.5, 0.15, 0.02
    light[::2, 1] = 0.3
    light = HARMONICS.as_exposed(light, Exposure())
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
