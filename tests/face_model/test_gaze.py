"""Eyes that turn, on two balls of known centre and radius beside points that must stay."""

import dataclasses

import pytest
import torch

from helpers.errors import UserError
from helpers.face_model import look
from helpers.face_model.gaze import LIMIT, fit_spheres
from helpers.face_model.morphable_model import MorphableModel

RADIUS, HALF_DISTANCE = 12.0, 32.0


def cap(n=9, m=16, reach=1.1):
    """Directions (n·m + 1, 3) up to `reach` rad from +z, the pole first."""
    polar = torch.linspace(reach / n, reach, n)[:, None].expand(n, m)
    turn = torch.linspace(0, 2 * torch.pi, m + 1)[:-1].expand(n, m)
    ring = torch.stack([polar.sin() * turn.cos(), polar.sin() * turn.sin(), polar.cos()], -1).reshape(-1, 3)
    return torch.cat([torch.tensor([[0.0, 0, 1]]), ring])


@pytest.fixture
def model():
    ball = cap()
    centres = torch.tensor([[-HALF_DISTANCE, 30, 20], [HALF_DISTANCE, 30, 20]])
    points = torch.cat([*(c + RADIUS * ball for c in centres), torch.randn(20, 3) * 50])
    share = ((1.1 - torch.acos(ball[:, 2].clamp(max=1))) / 0.6).clamp(0, 1)
    gaze = torch.cat([share, share, torch.zeros(20)])
    empty = torch.zeros(len(points), 3, 0)
    return MorphableModel(
        mean_shape=points,
        shape_basis=empty,
        shape_std=torch.zeros(0),
        mean_texture=points * 0,
        texture_basis=empty,
        texture_std=torch.zeros(0),
        triangles=torch.zeros(0, 3, dtype=torch.long),
        name="balls",
        licence="none",
        masks={"gaze": gaze},
    )


def test_pupils_point_where_they_are_told(model):
    """Each eye of each face by its own angle; the direction follows from the axis and the angle's size."""
    torch.manual_seed(0)
    angles = (torch.rand(5, 2, 2) - 0.5) * 0.6
    moved = look(model, model.mean_shape.expand(5, -1, -1), angles)
    n = len(cap())
    for eye, x in enumerate((-HALF_DISTANCE, HALF_DISTANCE)):
        direction = (moved[:, eye * n] - torch.tensor([x, 30, 20])) / RADIUS
        size = angles[:, eye].norm(dim=-1, keepdim=True)
        expected = torch.cat([angles[:, eye] / size * size.sin(), size.cos()], -1)
        torch.testing.assert_close(direction, expected, atol=1e-4, rtol=0)


def test_balls_stay_balls_and_the_rest_stays(model):
    angles = torch.tensor([[[0.3, -0.2], [-0.4, 0.1]]])
    moved = look(model, model.mean_shape[None], angles)[0]
    n = len(cap())
    for eye, x in enumerate((-HALF_DISTANCE, HALF_DISTANCE)):
        distance = (moved[eye * n : (eye + 1) * n] - torch.tensor([x, 30, 20])).norm(dim=1)
        torch.testing.assert_close(distance, torch.full((n,), RADIUS), atol=1e-3, rtol=0)
    still = model.masks["gaze"] == 0
    assert torch.equal(moved[still], model.mean_shape[still])
    straight = look(model, model.mean_shape[None], torch.zeros(1, 2, 2))[0]
    torch.testing.assert_close(straight, model.mean_shape, atol=1e-4, rtol=0)


def test_too_wide_an_angle_is_clipped(model):
    wide, limit = (look(model, model.mean_shape[None], torch.tensor([[[a, 0.0]] * 2])) for a in (1.3, LIMIT))
    torch.testing.assert_close(wide, limit)


def test_derivative_at_the_straight_gaze(model):
    model = model.to(torch.float64)
    angles = torch.zeros(1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda a: look(model, model.mean_shape[None], a)[0, ::20], angles, atol=1e-6
    )


def test_sphere_of_a_cap_is_found():
    torch.manual_seed(1)
    centres, radii = torch.randn(4, 3) * 40, torch.rand(4) * 5 + 9
    centre, radius = fit_spheres(centres[:, None] + radii[:, None, None] * cap())
    torch.testing.assert_close(centre, centres, atol=1e-3, rtol=0)
    torch.testing.assert_close(radius, radii, atol=1e-3, rtol=0)


def test_bad_input_is_named(model):
    with pytest.raises(ValueError, match=r"\(1, 2, 2\)"):
        look(model, model.mean_shape[None], torch.zeros(2, 2))
    with pytest.raises(UserError, match="no eyes that turn"):
        look(dataclasses.replace(model, masks=None), model.mean_shape[None], torch.zeros(1, 2, 2))
