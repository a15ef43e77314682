"""People of another population: known truth, outside of the model's span, drawn by another renderer."""

import math

import numpy as np
import pytest
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.datasets import ForeignPeople
from helpers.datasets.hair import grid_triangles
from helpers.datasets.ray_casting import WRAP, Studio, ray_cast
from helpers.evaluation import typology_angle
from helpers.face_model import load
from helpers.landmarks import Detection
from helpers.lighting import srgb_to_linear
from helpers.rasterizer import rasterize


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


@pytest.fixture(scope="module")
def people(model):
    return ForeignPeople(model, 3, 2, seed=3, size=64)


@pytest.fixture(scope="module")
def all_of_them(people):
    return people.batch(torch.arange(len(people)))


def test_a_photograph_is_the_same_alone_and_among_more_people(model, all_of_them):
    alone = ForeignPeople(model, 5, 2, seed=3, size=64).batch(torch.tensor([3]))
    torch.testing.assert_close(alone.vertices[0], all_of_them.vertices[3], atol=1e-3, rtol=0)
    torch.testing.assert_close(alone.landmarks[0], all_of_them.landmarks[3], atol=1e-2, rtol=0)
    assert ((alone.image[0] - all_of_them.image[3]).abs().amax(-1) > 0.05).float().mean() < 0.02


def test_photographs_of_a_person_share_a_face_and_nothing_else(all_of_them):
    assert torch.equal(all_of_them.neutral[0], all_of_them.neutral[1])
    assert (all_of_them.vertices[0] - all_of_them.vertices[1]).abs().max() > 0.5
    assert (all_of_them.neutral[0] - all_of_them.neutral[2]).norm(dim=-1).mean() > 1
    assert not torch.isfinite(all_of_them.coefficients.alpha).any()


def test_the_model_cannot_draw_these_people(model, people):
    """Least squares over all modes, with a free motion, leaves millimetres."""
    rows = model.masks["skin"] > 0.5
    modes = (model.shape_basis * model.shape_std)[rows].flatten(0, 1)
    mean = model.mean_shape[rows]
    motion = [torch.linalg.cross(axis.expand_as(mean), mean) for axis in torch.eye(3)]
    motion += [axis.expand_as(mean) for axis in torch.eye(3)] + [mean]
    basis = torch.cat([modes, torch.stack(motion, -1).flatten(0, 1)], 1)
    off = (people.neutral[:, : model.n_vertices][:, rows] - mean).flatten(1)
    left = off - (basis @ torch.linalg.lstsq(basis, off.T).solution).T
    assert (left.square().view(len(off), -1, 3).sum(-1).mean(1).sqrt() > 0.5).all()


def test_points_are_near_those_of_the_mesh(model, all_of_them):
    points = model_to_camera(all_of_them.vertices[:, model.landmarks], all_of_them.pose)
    off = project(points, all_of_them.camera)[..., :2] - all_of_them.landmarks
    assert 0.1 < off.square().mean().sqrt() < 2.5  # px of 64


def test_skin_has_the_tone_that_was_asked_for_and_nothing_else_changes(model, people, all_of_them):
    dark = ForeignPeople(model, 3, 2, seed=3, size=64, tone=-30.0)
    assert abs(typology_angle(dark.skin.numpy()) + 30).max() < 0.5
    spread = typology_angle(people.skin.numpy())
    assert spread.max() - spread.min() > 30
    photographs = dark.batch(torch.arange(len(dark)))
    assert torch.equal(photographs.landmarks, all_of_them.landmarks)
    assert torch.equal(photographs.triangle_id, all_of_them.triangle_id)
    lightest = int(spread.argmax())
    one = all_of_them.triangle_id[2 * lightest] >= 0
    assert all_of_them.image[2 * lightest][one].mean() > photographs.image[2 * lightest][one].mean() + 0.1


def test_points_may_come_from_a_detector(model, people, all_of_them, monkeypatch):
    """Where it finds no face, the simulated ones stay."""
    found = [[Detection.from_points(np.full((68, 2), 7.0), confidence=0.25)], []] * 3
    answers = iter(found)
    monkeypatch.setattr("helpers.datasets.foreign_people.detect", lambda *_: next(answers))
    photographs = ForeignPeople(model, 3, 2, seed=3, size=64, detector="auto").batch(torch.arange(6))
    assert (photographs.landmarks[::2] == 7).all() and (photographs.confidence[::2] == 0.25).all()
    assert torch.equal(photographs.landmarks[1::2], all_of_them.landmarks[1::2])


def test_a_tone_that_no_skin_has_is_refused(model):
    with pytest.raises(ValueError, match="tone must lie between"):
        ForeignPeople(model, 1, 1, tone=90.0)


def lit(towards, spread=0.01, lamp=1.0, sky=0.0):
    one = torch.ones(1, 3)
    towards = torch.tensor([[towards]])
    towards = towards / towards.norm()
    return Studio(
        towards,
        torch.tensor([[spread]]),
        lamp * one[:, None],
        sky * one,
        sky * one,
        torch.ones(1),
        torch.zeros(1),
    )


def drawn(vertices, triangles, studio, size=48):
    """Linear light of a grey mesh 400 mm in front of the camera."""
    grey = torch.full((1, len(vertices), 3), 0.5)
    pose, camera = (
        Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 400.0]])),
        Camera.default(size, 4.0 * size),
    )
    image, number = ray_cast(
        vertices[None],
        triangles,
        grey,
        torch.ones(len(vertices)),
        pose,
        camera,
        studio,
        torch.ones(1, size, size, 3),
    )
    return srgb_to_linear(image[0]), number[0], project(model_to_camera(vertices[None], pose), camera)


def plate(z, half):
    corners = torch.tensor([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    return corners, torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_rays_and_the_rasteriser_see_the_same_triangles(model):
    vertices, number, points = drawn(model.mean_shape, model.triangles, lit([0.0, 0.0, 1.0]))[0:3]
    peer = rasterize(points, model.triangles, (48, 48)).triangle_id[0]
    assert ((number >= 0) == (peer >= 0)).float().mean() > 0.97
    assert (number >= 0).sum() > 200


def test_light_follows_lamberts_law_and_a_plate_throws_a_shadow():
    far, front = plate(-50.0, 45.0), plate(0.0, 8.0)
    lamp = [math.sin(0.7), 0.0, math.cos(0.7)]
    vertices, triangles = torch.cat([far[0], front[0]]), torch.cat([far[1], front[1] + 4])
    image, _, _ = drawn(vertices, triangles, lit(lamp))
    albedo = float(srgb_to_linear(torch.tensor(0.5)))
    # 50 mm behind the small plate its shadow lies 50 tan 0.7 mm = 42 mm to the left.
    round_the_edge = (math.cos(0.7) + WRAP[2]) / (1 + WRAP[2])
    assert abs(float(image[24, 42, 2]) / albedo - round_the_edge) < 0.01
    column = int(23.5 - 42 * 192 / 450)
    assert image[24, column].max() < 0.3 * image[24, 42].max()
    assert image[4, column].max() > 0.9 * image[24, 42].max()


def test_a_fold_is_darker_under_an_even_sky():
    """Two plates that meet at a right angle, open to the camera: each keeps light from the other near the edge."""
    x, y = torch.meshgrid(torch.linspace(0, 60, 13), torch.linspace(-60, 60, 7), indexing="ij")
    left = torch.stack([-x, y, x - 60], -1).flatten(0, 1)
    right = left * torch.tensor([-1.0, 1.0, 1.0])
    strip = grid_triangles(13, 7)
    vertices, triangles = torch.cat([left, right]), torch.cat([strip.flip(1), strip + len(left)])
    image, number, _ = drawn(vertices, triangles, lit([0.0, 0.0, 1.0], lamp=0.0, sky=1.0))
    assert (number[24] >= 0).all()
    middle = image[24, :, 0]
    assert middle[[20, 21, 26, 27]].mean() < 0.8 * middle[[1, 2, 45, 46]].mean()
