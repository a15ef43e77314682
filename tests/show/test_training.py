"""Pictures of notebook 06: the curve of a training run, and the head that a network looks at."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.crop import authors_crop
from helpers.face_model import load
from helpers.landmarks import Detection
from helpers.regression import build_network
from helpers.regression.predict import Network
from helpers.show.sliders import GlanceSlider
from helpers.show.training import training_curve


@pytest.fixture(scope="module")
def slider():
    pytest.importorskip("ipywidgets")
    torch.manual_seed(0)
    module = build_network("small", 198).eval()
    module.backbone.fc.weight.data *= 50
    model = load("open", level=0)
    person = model.sample(1, torch.Generator().manual_seed(1))
    return GlanceSlider(Network(module, "small", 64, {}), model, person.alpha, person.beta, size=64)


def seen(slider):
    return np.asarray(Image.open(io.BytesIO(slider.image.value))).astype(int)


def test_the_picture_follows_the_sliders_and_returns(slider):
    start = seen(slider)
    slider.controls["turn"].value = 42.0
    turned = seen(slider)
    assert np.abs(turned[:, :64] - start[:, :64]).mean() > 2  # what is seen
    assert np.abs(turned[:, 64:128] - start[:, 64:128]).mean() > 0  # what is said
    np.testing.assert_array_equal(turned[24:, 128:], start[24:, 128:])  # the truth stays
    slider.controls["turn"].value = 0.0
    np.testing.assert_array_equal(seen(slider), start)


def test_no_colour_is_left_at_full_grey(slider):
    image = slider.crop(grey=1.0).image
    assert torch.allclose(image[..., 0], image[..., 2], atol=1e-6)
    assert not torch.allclose(slider.crop().image[..., 0], slider.crop().image[..., 2], atol=1e-2)


def test_the_crop_is_the_authors(slider):
    """Cut out of a large picture by the landmarks, the face is where the slider draws it at once."""
    import math

    from helpers.camera import Camera, Pose, model_to_camera, project
    from helpers.lighting import DEFAULT_LIGHT
    from helpers.rendering import render

    pose = Pose(torch.tensor([[0.0, math.radians(25), 0.0]]), torch.tensor([[0.0, 0.0, 1200.0]]))
    camera = Camera.default(600, focal=1000 * 64 / 224 * 5)
    model = slider.model
    image = render(
        slider.truth, model.triangles, slider.colours, pose, camera, DEFAULT_LIGHT[None], background=0.5
    ).image[0]
    points = project(model_to_camera(slider.truth[:, model.landmarks], pose), camera)[0, :, :2].numpy()
    detection = Detection(np.zeros(4, np.float32), points.astype(np.float32), 1.0, 0.0, "test")
    cut = authors_crop(image.clamp(0, 1).numpy(), detection, 64).image
    assert (cut - slider.crop(turn=25.0).image).abs().mean() < 0.02


def test_stills_have_a_column_for_each_turn_and_the_truth(slider):
    still = slider.stills((-30.0, 30.0))
    assert still.dtype == np.uint8 and still.shape[1] == 3 * 150 + 2 * 6


def test_the_curve_shows_what_the_log_has(tmp_path):
    rows = [
        {"step": s, "train_loss": 10 - s, "loss": 11 - s, "magnitude_alpha": 0.1 * s, "cosine_alpha": 0.2}
        for s in (1, 2, 3)
    ]
    made = training_curve(rows, tmp_path / "curve.png")
    losses, measures = made.axes
    assert [list(line.get_ydata()) for line in losses.lines] == [[9, 8, 7], [10, 9, 8]]
    assert len(measures.lines) == 2 and Image.open(tmp_path / "curve.png").width > 300
