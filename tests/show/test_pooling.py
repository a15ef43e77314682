"""Pictures of pooling: bars and lines are the numbers, and the slider shows what `pool` says."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import show
from helpers.evaluation import shape_rmse
from helpers.face_model import load
from helpers.show.sliders import PoolSlider


@pytest.fixture(scope="module")
def slider():
    model = load("open", level=0)
    truth = model.sample(1, torch.Generator().manual_seed(0)).alpha
    alpha = truth + torch.randn(4, 99, generator=torch.Generator().manual_seed(1))
    rules = {"uniform": {"rule": "uniform"}, "confidence": {"confidence": torch.tensor([1.0, 0.0, 3.0, 0.0])}}
    return PoolSlider(model, alpha, model.shape(truth)[0], model.masks["skin"], rules, size=96)


def seen(slider):
    return np.asarray(Image.open(io.BytesIO(slider.image.value))).astype(int)


def test_the_picture_follows_slider_and_rule_and_returns(slider):
    start = seen(slider)
    slider.controls["photographs"].value = 4
    four = seen(slider)
    assert np.abs(four - start).mean() > 0.5
    slider.controls["rule"].value = "confidence"
    assert np.abs(seen(slider) - four).mean() > 0.2
    slider.controls["photographs"].value, slider.controls["rule"].value = 1, "uniform"
    np.testing.assert_array_equal(seen(slider), start)


def test_the_face_is_the_mean_of_the_photographs_that_count(slider):
    torch.testing.assert_close(slider.pooled(3, "uniform")[0], slider.alpha[:3].mean(0))
    expected = (slider.alpha[0] + 3 * slider.alpha[2]) / 4
    torch.testing.assert_close(slider.pooled(4, "confidence")[0], expected)
    error = shape_rmse(slider.model.shape(expected[None]), slider.truth[None], slider.weight[None])
    assert abs(slider.error(4, "confidence") - float(error)) < 1e-3
    assert slider.error(4, "uniform") < slider.error(1, "uniform")


def test_stills_have_a_panel_for_each_number(slider):
    still = slider.stills([1, 2, 4], height=100)
    assert still.shape[:2] == (100, 3 * 100 + 76 + 3 * 6)


def test_bars_and_lines_are_the_numbers():
    drawing = show.spread_bars({"pose": 1.5, "light": 0.5})
    assert [bar.get_width() for bar in drawing.axes[0].patches] == [1.5, 0.5]
    errors = {
        "uniform": torch.tensor([[2.0, 4.0], [1.0, 1.0]]),
        "median": torch.tensor([[2.0, 2.0], [3.0, 5.0]]),
    }
    axes = show.rules_figure([1, 2], errors, {"mean face": 6.0}).axes[0]
    assert [list(c.lines[0].get_ydata()) for c in axes.containers] == [[3.0, 1.0], [2.0, 4.0]]
    low, high = (line.get_ydata() for line in axes.containers[0].lines[1])
    assert np.allclose(high - low, [2.0, 0.0])
    table = show.rules_table([1, 2], errors).splitlines()
    assert table[1].split() == ["uniform", "3.00", "±", "1.00", "1.00", "±", "0.00"]


def test_methods_are_compared_on_the_same_people():
    base = torch.tensor([2.0, 4.0, 6.0])
    table = show.paired_table({"mean": base, "joint": base - 0.5}, "mean").splitlines()
    assert "n = 3 people" in table[0] and table[1].split() == ["mean", "4.00"]
    assert table[2].split() == "joint 3.50 -0.50, 95 % from -0.50 to -0.50; less for 3 of 3".split()
