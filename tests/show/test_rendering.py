"""The pictures that explain the renderer say what is true, and the sliders move the face."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.face_model import load
from helpers.lighting import shade
from helpers.show import rendering
from helpers.show.sliders.pose_light import PoseLight, light_from, pose_light, turned
from helpers.show.style import BLUE, ORANGE, RED


@pytest.fixture(scope="module")
def face():
    return load("open", level=0)


def count(picture, colour, near=40):
    """How many pixels are about of a colour like "#0072B2"."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.abs(picture.astype(int) - wanted).sum(-1) < near).sum())


def test_camera_picture_draws_both_axes_and_the_ray(face):
    picture = rendering.camera_picture(face.mean_shape, face.triangles, face.mean_shape[face.landmarks[27]])
    assert picture.dtype == np.uint8 and picture.shape[1] > 3 * picture.shape[0] > 600
    for colour in (BLUE, ORANGE, RED):
        assert count(picture, colour) > 300
    columns = [
        np.nonzero((np.abs(picture.astype(int) - np.array(c)).sum(-1) < 40).any(0))[0].mean()
        for c in ((0, 114, 178), (230, 159, 0))
    ]
    assert columns[0] < picture.shape[1] / 3 < 2 * picture.shape[1] / 3 < columns[1], (
        "camera left, face right"
    )


def test_camera_picture_shows_the_face_looking_at_the_camera(face):
    side = rendering._profile(face.mean_shape, face.triangles, 130.0, size=130)
    nose, z = face.mean_shape[face.landmarks[30]], 130 - 1
    row, column = round(z / 2 - float(nose[1]) / 2), np.nonzero((side < 0.95).any(-1))[1].min()
    # The nose tip is the leftmost thing drawn in its row, where the model's z axis puts it on the page.
    first = np.nonzero((side[row] < 0.95).any(-1))[0][0]
    assert abs(first - (z / 2 - float(nose[2]) / 2)) < 2 and abs(first - column) < 6


def test_triangle_picture_mixes_the_corner_colours():
    picture = rendering.triangle_picture([[2.0, 1.0], [5.0, 8.0], [10.0, 4.0]], (9, 13))
    for colour in rendering.CORNER_COLOURS:
        assert count(picture, colour, 60) > 20
    weights = torch.tensor([[2.0, 1.0], [5.0, 8.0], [10.0, 4.0]], dtype=torch.float64)
    middle = weights.mean(0)
    mixed = rendering._mixed(weights, middle[0], middle[1])
    expected = np.mean(
        [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in rendering.CORNER_COLOURS], 0
    )
    np.testing.assert_allclose(mixed, expected, atol=1e-6)
    np.testing.assert_array_equal(rendering._mixed(weights, torch.tensor(0.0), torch.tensor(0.0)), 1)


def test_the_corners_of_a_triangle_are_told_apart_in_grey():
    rgb = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in rendering.CORNER_COLOURS]
    grey = sorted(np.dot(rgb, [0.299, 0.587, 0.114]))
    assert np.diff(grey).min() > 40


def test_depth_colours_are_bright_near_and_white_nowhere():
    colours = rendering.depth_colours([[10.0, 15.0, 20.0, np.inf]], 10, 20)
    brightness = colours[0].sum(-1)
    assert brightness[0] > brightness[1] > brightness[2] and brightness[3] == 3


def test_normal_colours_and_the_sphere():
    normal = rendering.sphere_normals(64)
    length = normal.norm(dim=-1)
    inside = length > 0
    torch.testing.assert_close(length[inside], torch.ones_like(length[inside]))
    assert abs(inside.float().mean() - np.pi / 4) < 0.02
    assert normal[8, 32, 1] > 0.7 and normal[32, 60, 0] > 0.8, "y up, x to the right"
    colours = rendering.normal_colours(normal)
    np.testing.assert_allclose(colours[32, 32], [0.5, 0.5, 1], atol=0.03)
    np.testing.assert_array_equal(colours[0, 0], 1)


def test_field_picture_has_one_scale_for_all():
    low, high = np.full((20, 30), -0.5), np.full((20, 30), 2.0)
    picture = rendering.field_picture([[low, high]], ["low", "high"], limit=2.0, label="mm")
    assert picture.ndim == 3 and picture.dtype == np.uint8
    assert count(picture, "#67001F", 20) > 1000, "+limit is the darkest red"
    assert count(picture, "#053061", 20) < 500, "−limit / 4 is not the darkest blue"
    with pytest.raises(ValueError, match="titles"):
        rendering.field_picture([[low]], ["a", "b"], limit=1.0, label="mm")


def test_pixels_with_few_colours():
    picture = rendering.triangle_picture([[2.0, 1.0], [5.0, 8.0], [10.0, 4.0]], (9, 13))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 128


@pytest.fixture
def sliders(face):
    pytest.importorskip("ipywidgets")
    return PoseLight(face.mean_shape, face.triangles, face.mean_texture, size=64)


def seen(widget):
    return np.asarray(Image.open(io.BytesIO(widget.image.value)))


def test_every_slider_changes_the_picture_and_its_ends_are_sound(sliders):
    start = seen(sliders)
    assert start.shape == (64, 64, 3) and start.std() > 10
    for name, slider in sliders.controls.items():
        value = slider.value
        for end in (slider.min, slider.max):
            slider.value = end
            assert np.abs(seen(sliders).astype(int) - start).mean() > 0.5, name
            assert seen(sliders).std() > 10, name
        slider.value = value
        np.testing.assert_array_equal(seen(sliders), start)


def test_updates_are_counted_and_leave_the_sliders_alone(sliders):
    before, start, drawn = sliders.values(), seen(sliders), []
    sliders.image.observe(drawn.append, "value")
    sliders.updates_per_second(updates=3)
    assert len(drawn) == 3 + 1 and before == sliders.values()
    np.testing.assert_array_equal(seen(sliders), start)


def test_stills_need_no_sliders(sliders):
    row = sliders.stills([{"yaw": -40}, {"yaw": 40, "azimuth": -60}])
    assert row.shape[1] > 2 * 190 and row.dtype == np.uint8


def test_stills_say_their_units(sliders):
    assert sliders.setting("yaw", -40) == "yaw −40°" and sliders.setting("even", 0.5) == "even 0.5"


def test_the_pose_of_the_sliders_is_that_of_the_course():
    vector = turned(30, 20, 10)[None]
    torch.testing.assert_close(
        Pose(vector, torch.zeros(1, 3)).yaw_pitch_roll(),
        torch.tensor([[30.0, 20.0, 10.0]]),
        rtol=0,
        atol=1e-3,
    )
    # Positive yaw turns the nose to the viewer's right, positive pitch lifts it.
    camera, away = Camera.default(100), torch.tensor([[0.0, 0.0, 1000.0]])
    nose = torch.tensor([[[0.0, 0.0, 60.0]]])
    u, v, _ = project(model_to_camera(nose, Pose(vector, away)), camera)[0, 0]
    assert u > 49.5 and v < 49.5


def test_light_comes_from_where_the_sliders_say():
    light = light_from(90, 0, 0.2)[None]
    right, left, up = shade(torch.ones(1, 3, 3), torch.tensor([[[1.0, 0, 0], [-1, 0, 0], [0, 1, 0]]]), light)[
        0, :, 0
    ]
    # A white surface shows the even part, 0.2 of the light, as the camera encodes it.
    assert right == pytest.approx(1.0) and up == pytest.approx(0.2 ** (1 / 2.2), abs=1e-6) and left < up
    assert light_from(0, 90, 0.0)[2, 0] == pytest.approx(1.0)


def test_nothing_is_displayed_while_notebooks_are_stored(face, monkeypatch):
    pytest.importorskip("ipywidgets")
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    arguments = (face.mean_shape, face.triangles, face.mean_texture, 32)
    monkeypatch.setenv("HELPERS_STATIC", "1")
    pose_light(*arguments)
    assert not shown
    made = pose_light(*arguments, live=True)
    assert shown == [made.box]
