"""The pictures of notebook 03 show what they say, and the sliders move the pose."""

import io
from math import cos, radians, sin

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import show
from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.face_model import load
from helpers.show.pose import PARTS
from helpers.show.sliders import PoseGame


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


@pytest.fixture(scope="module")
def game(model):
    return PoseGame(model, size=96)


CAMERA = Camera.default(224)
FRONT = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1250.0]]))


def test_the_parts_are_all_68_points_once():
    points = [k for runs in PARTS.values() for first, last, _ in runs for k in range(first, last + 1)]
    assert points == list(range(68))


def test_the_error_of_a_pose_is_an_angle_and_a_distance():
    a = radians(30)
    turned = Pose(
        torch.tensor([[0.0, a, 0.0], [0.0, 0.0, 0.0]]), torch.tensor([[3.0, 4.0, 1250.0], [0.0, 0.0, 1240.0]])
    )
    degrees, millimetres = show.pose_error(turned, FRONT)
    assert torch.allclose(degrees, torch.tensor([30.0, 0.0]), atol=1e-3)
    assert torch.allclose(millimetres, torch.tensor([5.0, 10.0]))
    R = turned.rotation[0]
    assert torch.allclose(R[0], torch.tensor([cos(a), 0, sin(a)]), atol=1e-6)  # the turn was one about y


def test_the_model_and_its_points_fall_together(model):
    picture, points = show.model_with_points(model, 160)
    assert picture.shape == (160, 160, 3) and points.shape == (68, 2)
    at = points.round().long()
    assert (picture[at[:, 1], at[:, 0]] < 0.98).any(
        -1
    ).float().mean() > 0.9  # on the face, not on white paper
    assert points[16, 0] > points[0, 0] and points[8, 1] > points[27, 1]


def test_a_head_is_laid_where_it_stands(model):
    white = torch.ones(224, 224, 3)
    shown = show.head_over(white, model.mean_shape, model.triangles, FRONT, CAMERA, opacity=1.0, axes=False)
    covered = (shown < 250).any(-1)
    seen = project(model_to_camera(model.mean_shape[None], FRONT), CAMERA)[0, :, :2].numpy()
    rows, columns = np.nonzero(covered)
    assert abs(columns.min() - seen[:, 0].min()) < 3 and abs(columns.max() - seen[:, 0].max()) < 3
    assert abs(rows.min() - seen[:, 1].min()) < 3 and abs(rows.max() - seen[:, 1].max()) < 3
    half = show.head_over(white, model.mean_shape, model.triangles, FRONT, CAMERA, opacity=0.5, axes=False)
    assert half[covered].mean() > shown[covered].mean() + 20
    with_axes = show.head_over(white, model.mean_shape, model.triangles, FRONT, CAMERA)
    colours = {tuple(c) for c in with_axes[100:130, 60:200].reshape(-1, 3)}
    assert any(
        r > 200 and 120 < g < 190 and b < 60 for r, g, b in colours
    )  # the orange x axis points to the right
    # Beyond the head of z's arrow, on white paper, stands its letter: nobody needs the colours.
    turned = Pose(torch.tensor([[0.0, -0.9, 0.0]]), FRONT.translation)  # z to the left of the picture
    bare, named = (
        show.head_over(white, model.mean_shape, model.triangles, turned, CAMERA, axes=a)
        for a in (False, True)
    )
    tip = model.mean_shape[model.mean_shape[:, 2].argmax()]
    end = project(model_to_camera((tip + torch.tensor([0.0, 0.0, 60.0]))[None, None], turned), CAMERA)[
        0, 0, :2
    ]
    column, row = (int(v) for v in end)
    beyond = (slice(row - 8, row + 9), slice(column - 14, column - 2))
    assert (bare[beyond] == 255).all() and (named[beyond] < 160).any()
    behind = Pose(FRONT.rotation_vector, -FRONT.translation)
    assert (show.head_over(white, model.mean_shape, model.triangles, behind, CAMERA) == 255).all()


def test_pictures_of_points_clouds_and_motions(model):
    points_3d = model.mean_shape[model.landmarks]
    picture, points = show.model_with_points(model, 96)
    both = show.correspondence_picture([picture, picture], [points, points], ["left", "right"])
    assert both.dtype == np.uint8 and both.shape[1] > 1.5 * both.shape[0]
    g = torch.Generator().manual_seed(0)
    wide = Pose(
        torch.zeros(8, 3), FRONT.translation + torch.randn(8, 3, generator=g) * torch.tensor([1.0, 1.0, 30.0])
    )
    narrow = Pose(torch.zeros(8, 3), FRONT.translation.repeat(8, 1))
    paper = torch.ones(224, 224, 3)
    cloud = show.cloud_picture(
        paper, points_3d, model.mean_shape, {"narrow": narrow, "wide": wide}, CAMERA, FRONT
    )
    lower = cloud[cloud.shape[0] // 2 :]
    blue = (lower[..., 2].astype(int) - lower[..., 0] > 25).any(1)
    left, right = (
        half.sum()
        for half in (
            (lower[:, : lower.shape[1] // 2, 2].astype(int) - lower[:, : lower.shape[1] // 2, 0] > 25).any(1),
            (lower[:, lower.shape[1] // 2 :, 2].astype(int) - lower[:, lower.shape[1] // 2 :, 0] > 25).any(1),
        )
    )
    assert blue.any() and right > 1.2 * left  # the wide cloud reaches farther along the depth
    J = torch.zeros(136, 6)
    motions = show.motion_picture(points, J + 1, [1.0] * 6, list("abcdef"))
    assert motions.ndim == 3 and motions.shape[2] == 3


def shown(game):
    return np.asarray(Image.open(io.BytesIO(game.image.value)))


def test_sliders_move_the_picture(game):
    before = shown(game)
    assert before.shape == (game.size, 2 * game.size, 3)
    for name, slider in game.SLIDERS.items():
        for value in (slider.low, slider.high):
            game.controls[name].value = value
            assert shown(game).shape == before.shape
        assert (shown(game) != before).any(), name
        game.controls[name].value = slider.start
    assert (shown(game) == before).all()
    game.controls["outliers"].value = 30
    robust = shown(game)
    game.controls["robust"].value = False
    assert (shown(game) != robust).any()
    game.controls["robust"].value = True
    game.controls["outliers"].value = 0
    assert (shown(game) == before).all()


def test_the_game_measures_what_it_shows(game):
    """The estimate agrees with the truth without noise, and robust weights bear outliers that plain squares do not."""
    settings = ({}, {"outliers": 20, "robust": False}, {"outliers": 20, "robust": True})
    estimates = [game.estimate(yaw=40, noise=0, **each)[:2] for each in settings]
    exact, plain, robust = (float(show.pose_error(guess, truth)[0]) for truth, guess in estimates)
    assert exact < 0.05 and robust < 1 < plain


def test_stills_are_rows_of_pairs(game):
    page = game.stills([{"yaw": 0}, {"yaw": 30, "robust": False}, {"noise": 3.0}], columns=2, height=96)
    assert page.shape[0] == 2 * (96 + 24)
    with pytest.raises((TypeError, KeyError)):
        game.stills([{"speed": 3}])


def test_it_shows_live_only_when_asked(model, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", displayed.append)
    show.pose_game(model, 64, live=False)
    assert not displayed
    made = show.pose_game(model, 64, live=True)
    assert displayed == [made.box]


def test_drawings_of_few_colours_are_stored_small_and_exactly():
    from helpers.show.figures import png_bytes

    colours = np.random.default_rng(0).integers(0, 255, (200, 3), dtype=np.uint8)
    drawing = colours[np.random.default_rng(1).integers(0, 200, (80, 90))]
    stored = Image.open(io.BytesIO(png_bytes(drawing)))
    assert stored.mode == "P" and np.array_equal(np.asarray(stored.convert("RGB")), drawing)
    noise = np.random.default_rng(2).integers(0, 255, (80, 90, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png_bytes(noise)))), noise)
