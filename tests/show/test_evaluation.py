"""Pictures of an evaluation: what is drawn is what was measured."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import show
from helpers.evaluation import Protocol, Surface, roc, scan_error
from helpers.evaluation.compare_methods import PersonErrors
from helpers.face_model import load
from helpers.show.evaluation import agreement_picture


@pytest.fixture(scope="module")
def heads(open3d):
    model = load("open", level=0)
    shapes = model.shape(model.sample(2, torch.Generator().manual_seed(5)).alpha)
    return [Surface.of(shape, model.triangles, model.landmarks) for shape in shapes]


@pytest.fixture(scope="module")
def slider(heads):
    pytest.importorskip("ipywidgets")
    return show.CropSlider(*heads, radii=(50, 95, 120), size=96)


def seen(slider):
    return np.asarray(Image.open(io.BytesIO(slider.image.value)).convert("RGB")).astype(int)


def test_the_crop_follows_the_slider_and_returns(slider):
    assert slider.controls["radius"].value == 95
    start = seen(slider)
    slider.controls["radius"].value = 50
    small = seen(slider)
    assert np.abs(small - start).mean() > 1
    slider.controls["radius"].value = 95
    np.testing.assert_array_equal(seen(slider), start)

    # A larger crop colours more of the head.
    def coloured(image):
        return int(((image.max(-1) - image.min(-1)) > 40).sum())

    assert coloured(small) < coloured(start)


def test_the_slider_tells_the_error_of_its_protocol(slider, heads):
    assert slider.rmse[0] == scan_error(*heads, Protocol(radius=50.0)).rmse
    still = slider.stills((50, 120), 96)
    assert still.dtype == np.uint8 and still.shape[1] == 2 * 96 + 6


def test_heads_are_coloured_by_distance_inside_and_grey_outside():
    model = load("open", level=0)
    distance, inside = torch.full((1, model.n_vertices), 2.0), torch.zeros(1, model.n_vertices)
    inside[0, model.mean_shape[:, 0] > 0] = 1
    image = show.distance_heads(model.mean_shape[None], model.triangles, distance, inside=inside, size=64)[0]
    left, right = image[28:36, 18:28].mean((0, 1)), image[28:36, 36:46].mean((0, 1))
    assert float(left.max() - left.min()) < 0.08 < float(right.max() - right.min())
    assert np.corrcoef(right.numpy(), show.mm_colours(2.0))[0, 1] > 0.95


def test_curves_are_those_measured():
    score = torch.tensor([0.9, 0.8, 0.3, 0.6, 0.2, 0.1])
    same = torch.tensor([True, True, True, False, False, False])
    curve = roc(score, same)
    plain, log = show.roc_figure({"single fit": curve, "other": roc(-score, same)}).axes
    x, y = plain.lines[0].get_data()
    np.testing.assert_allclose(x, curve.false_accept)
    np.testing.assert_allclose(y, curve.true_accept)
    assert log.get_xscale() == "log" and f"single fit ({curve.auc:.3f})" in [
        t.get_text() for t in plain.get_legend().get_texts()
    ]


def test_reported_values_have_an_axis_of_their_own():
    errors = [
        PersonErrors("mean face", np.array([2.0, 3.0]), np.array([2.0, np.nan])),
        PersonErrors("network", np.array([1.0, 2.0]), np.array([1.0, np.nan])),
    ]
    here, reported = show.error_figure(errors, "two people", {"mean face": (1.88, 0.52)}).axes
    assert [line.get_xdata()[0] for line in here.lines] == [2.0, 1.0] and [
        p.get_width() for p in reported.patches
    ] == [1.88]
    assert "reported" in reported.get_title() and here.get_title() == "two people"
    (alone,) = show.error_figure(errors, "two people", kept=False).axes
    assert [line.get_xdata()[0] for line in alone.lines] == [2.5, 1.5]


def test_the_picture_of_one_person_begins_with_the_photograph_that_agrees_least():
    model = load("open", level=0)
    numbers = model.sample(1, torch.Generator().manual_seed(0))
    sign = torch.tensor([1.0, -1.0, 1.0])[:, None]
    colours = [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)]
    images = [torch.tensor(colour).expand(40, 40, 3) for colour in colours]
    made = agreement_picture(images, sign * numbers.alpha, sign * numbers.beta, model, most=2)
    blue = (made == [0, 0, 255]).all(-1).any(0)
    red = (made == [255, 0, 0]).all(-1).any(0)
    assert blue.any() and red.any() and blue.nonzero()[0].max() < red.nonzero()[0].min()


def test_spread_has_a_panel_for_each_method():
    within, between = torch.full((10,), 0.8), torch.zeros(20)
    panels = show.spread_figure({"a": (within, between), "b": (within, between)}).axes
    assert [panel.get_title() for panel in panels] == ["a", "b"]
