"""Camera and light against values worked out by hand."""

import math

import pytest
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.lighting import DEFAULT_LIGHT, STUDIO_LIGHT, sh_basis, shade

FRONT = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1000.0]]))


def test_a_point_lands_where_the_pinhole_says():
    camera = Camera.default((100, 200), focal=500.0)
    point = torch.tensor([[[10.0, 20.0, 30.0]]])  # right, up, towards the viewer
    u, v, depth = project(model_to_camera(point, FRONT), camera)[0, 0]
    assert depth == pytest.approx(970.0)
    assert u == pytest.approx(99.5 + 500 * 10 / 970)
    assert v == pytest.approx(49.5 - 500 * 20 / 970)


def test_signs_of_yaw_pitch_and_roll():
    nose = torch.tensor([[[0.0, 0.0, 100.0]]])

    def turned(*rotation):
        return Pose(torch.tensor([rotation]) * math.pi / 180, FRONT.translation)

    yaw, pitch = turned(0.0, 20.0, 0.0), turned(-20.0, 0.0, 0.0)
    assert model_to_camera(nose, yaw)[0, 0, 0] > 30  # to the viewer's right
    assert model_to_camera(nose, pitch)[0, 0, 1] < -30  # up: y of the camera points down
    assert torch.allclose(yaw.yaw_pitch_roll(), torch.tensor([[20.0, 0.0, 0.0]]), atol=1e-3)
    assert torch.allclose(pitch.yaw_pitch_roll(), torch.tensor([[0.0, 20.0, 0.0]]), atol=1e-3)
    assert torch.allclose(turned(0.0, 0.0, 15.0).yaw_pitch_roll(), torch.tensor([[0.0, 0.0, 15.0]]), atol=1e-3)


def test_a_scaled_camera_sees_the_same():
    camera = Camera.default(64, focal=300.0)
    points = model_to_camera(torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0)) * 40, FRONT)
    small, large = project(points, camera), project(points, camera.scaled(3))
    # Pixel p covers the large pixels 3p, 3p + 1, 3p + 2.
    assert torch.allclose(large[..., :2], 3 * small[..., :2] + 1, atol=1e-3)


def test_harmonics_are_orthogonal_over_the_sphere():
    generator = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(400_000, 3, generator=generator), dim=-1)
    basis = sh_basis(normals)
    gram = basis.T @ basis / len(basis)
    off = gram - torch.diag(gram.diagonal())
    assert off.abs().max() < 0.01
    assert torch.allclose(gram.diagonal()[:4], torch.tensor([1.0, 1 / 3, 1 / 3, 1 / 3]), atol=0.01)


def test_shading_by_hand():
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 3] = 0.5, 0.25
    normal = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]])
    colour = shade(torch.full((1, 3, 3), 0.8), normal, light)
    assert torch.allclose(colour[0, :, 0], torch.tensor([0.8 * 0.75, 0.8 * 0.25, 0.8 * 0.5]))


def test_projection_can_be_undone():
    camera = Camera.default((90, 120), focal=400.0, dtype=torch.float64)
    pose = Pose(torch.tensor([[0.2, -0.4, 0.1]]).double(), torch.tensor([[5.0, -8.0, 900.0]]).double())
    points = torch.randn(1, 30, 3, generator=torch.Generator().manual_seed(2)).double() * 60
    pixel = project(model_to_camera(points, pose), camera)
    depth = pixel[..., 2:]
    ray = torch.cat([(pixel[..., :2] - camera.principal_point[:, None]) / camera.focal, torch.ones_like(depth)], -1)
    flip = torch.tensor([1.0, -1.0, -1.0]).double()
    back = ((ray * depth - pose.translation[:, None]) * flip) @ pose.rotation
    assert torch.allclose(back, points, atol=1e-9)


def test_the_default_camera_looks_through_the_middle_and_refuses_nonsense():
    camera = Camera.default((4, 6), batch=2)
    assert camera.size == (4, 6) and camera.principal_point.tolist() == [[2.5, 1.5]] * 2
    for wrong in (dict(size=0), dict(size=(5, 0)), dict(focal=0.0)):
        with pytest.raises(ValueError, match="must be positive"):
            Camera.default(**wrong)


def test_lights_are_grey_and_strongest_where_they_say():
    up, right, front, back = torch.eye(3)[1], torch.eye(3)[0], torch.eye(3)[2], -torch.eye(3)[2]
    for light in (DEFAULT_LIGHT, STUDIO_LIGHT):
        assert light.shape == (9, 3) and torch.equal(light[:, :1].expand(-1, 3), light)

        def received(normal, light=light):
            return float(sh_basis(normal) @ light[:, 0])

        assert received(front) > received(back) and received(up) > received(-up)
    assert received(right) > received(-right)
