"""Faces side by side, and the sliders: what they show is what the coefficients say."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import show
from helpers.face_model import load
from helpers.show.sliders.face_modes import KINDS, FaceSliders, modes_table


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


def picture_of(sliders) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(sliders.image.value))).astype(int)


def test_heads_are_clay_unless_painted(model):
    grey, painted = (
        show.heads(model.mean_shape[None], model.triangles, c, size=64)[0]
        for c in (None, model.mean_texture[None])
    )
    middle = grey[25:40, 25:40]
    assert (
        (middle.amax(-1) - middle.amin(-1)).max()
        < 0.05
        < (painted[25:40, 25:40].amax(-1) - painted[25:40, 25:40].amin(-1)).min()
    )


def test_error_heads_are_blue_where_right_and_yellow_where_wrong(model):
    truth = model.mean_shape[None]
    wrong = truth + torch.tensor([0.0, 0.0, 10.0])
    right, off = show.error_heads(torch.cat([truth, wrong]), truth, model.triangles, size=64)
    for image, colour in ((right, show.mm_colours(0.0)), (off, show.mm_colours(10.0))):
        seen = image[25:40, 25:40].mean((0, 1)).numpy()
        assert np.corrcoef(seen, colour)[0, 1] > 0.95


def test_a_table_has_a_place_for_each_image():
    colours = np.linspace(0.1, 0.9, 6).reshape(2, 3)
    rows = [[np.full((10, 10, 3), c) for c in row] for row in colours]
    page = show.table(rows, ["a", "two\nlines"], ["x", "y", "z"], height=40, gap=4)
    left = page.shape[1] - 3 * 40 - 2 * 4
    for i, row in enumerate(colours):
        for j, c in enumerate(row):
            assert page[24 + 44 * i + 20, left + 44 * j + 20].tolist() == [round(255 * c)] * 3
    assert page[:24, left:].min() < 120 and page[24:, :left].min() < 120  # the titles
    for bad in (
        (rows, ["a"], ["x", "y", "z"]),
        (rows, ["a", "b"], ["x"]),
        ([rows[0], rows[1][:2]], ["a", "b"], ["x", "y", "z"]),
    ):
        with pytest.raises(ValueError, match="table"):
            show.table(*bad)


def test_the_millimetre_legend_shows_the_scale():
    legend = show.mm_legend(200)
    bar = legend[16:-16, 15] / 255
    np.testing.assert_allclose(bar[0], show.mm_colours(4.0), atol=0.01)
    np.testing.assert_allclose(bar[-1], show.mm_colours(0.0), atol=0.01)
    assert (legend[:, -3:] == 255).all()  # no number is cut off


def test_every_slider_changes_the_picture_and_back(model):
    sliders = FaceSliders(model, n=2, size=96)
    start = picture_of(sliders)
    assert start.shape == (96, 96, 3) and [len(sliders.sliders[kind]) for kind in KINDS] == [2, 2, 2]
    for slider in [*(s for rows in sliders.sliders.values() for s in rows), sliders.controls["yaw"]]:
        for end in (slider.min, slider.max):
            slider.value = end
            assert np.abs(picture_of(sliders) - start).max() > 20, slider.description
        slider.value = 0.0
        assert np.array_equal(picture_of(sliders), start)


def test_the_picture_is_the_face_of_the_numbers(model):
    sliders, head = FaceSliders(model, n=10, size=96), model.whole_head
    sliders.sliders["shape α"][1].value = 2.0
    sliders.sliders["texture β"][0].value = -1.0
    alpha, beta = torch.zeros(1, 10), torch.zeros(1, 10)
    alpha[0, 1], beta[0, 0] = 2.0, -1.0
    (smooth,) = show.heads(head.shape(alpha), head.triangles, head.texture(beta), size=96)
    difference = np.abs(picture_of(sliders) / 255 - smooth.numpy())
    assert difference.mean() < 0.01  # one is supersampled: they differ at the edges only


def test_buttons_draw_once(model):
    sliders = FaceSliders(model, n=3, size=64)
    start, drawn = picture_of(sliders), []
    sliders.image.observe(drawn.append, names="value")
    sliders.people.click()
    assert len(drawn) == 1 and any(s.value for s in sliders.sliders["shape α"])
    sliders.average.click()
    assert len(drawn) == 2 and np.array_equal(picture_of(sliders), start)
    assert all(s.value == 0 for rows in sliders.sliders.values() for s in rows)


def test_a_model_without_expressions_and_colours_has_fewer_sliders(model):
    bare = replace(
        model,
        expression_basis=None,
        expression_std=None,
        texture_basis=model.texture_basis[..., :0],
        texture_std=model.texture_std[:0],
    )
    sliders = FaceSliders(bare, n=4, size=64)
    assert [len(sliders.sliders[kind]) for kind in KINDS] == [4, 0, 0]
    sliders.sliders["shape α"][0].value = 1.0
    assert (
        modes_table(bare, modes=(1, 2), height=40).shape[0]
        < modes_table(model, modes=(1, 2), height=40).shape[0] / 2
    )


def test_the_table_is_shown_and_sliders_only_in_a_live_notebook(model, monkeypatch):
    shown, displayed = [], []
    monkeypatch.setattr("helpers.show.sliders.face_modes.picture", lambda image, alt: shown.append(alt))
    monkeypatch.setattr("IPython.display.display", displayed.append)
    show.face_sliders(model, alt="modes", live=False)
    assert shown == ["modes"] and not displayed
    show.face_sliders(model, alt="modes", live=True)
    assert len(displayed) == 1
