"""The slider for the prior's weight: the face follows, stronger priors pull it to the mean."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.datasets import known_faces
from helpers.face_model import load
from helpers.fitting import FitModel
from helpers.fitting.parameters import FaceState
from helpers.show.sliders import PriorSlider


@pytest.fixture(scope="module")
def slider():
    pytest.importorskip("ipywidgets")
    fit_model = FitModel(load("open", level=0))
    faces = known_faces(fit_model.model, 1, seed=3)
    start = FaceState(torch.zeros(1, fit_model.layout.n_coefficients), faces.pose, faces.light)
    return PriorSlider(fit_model, faces.landmarks, start, faces.camera, size=64)


def seen(slider):
    return np.asarray(Image.open(io.BytesIO(slider.image.value))).astype(int)


def test_the_picture_follows_the_slider_and_returns(slider):
    start = seen(slider)
    slider.controls["weight"].value = -4.0
    assert np.abs(seen(slider) - start).mean() > 0.5
    slider.controls["weight"].value = 0.0
    np.testing.assert_array_equal(seen(slider), start)


def test_a_stronger_prior_pulls_to_the_mean(slider):
    lengths = [float(slider.solve(weight).coefficients.norm()) for weight in (1e-2, 1.0, 1e2)]
    assert lengths[0] > 1.5 * lengths[1] > 3 * lengths[2]


def test_stills_have_a_panel_for_each_weight_and_the_photograph(slider):
    still = slider.stills([0.1, 1.0], torch.ones(224, 224, 3))
    assert still.dtype == np.uint8 and still.shape[1] == 3 * 196 + 2 * 6
