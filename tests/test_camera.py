"""Cameras and rotations against values worked out by hand, round trips and finite differences."""

import math

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.camera import (
    Camera,
    OrthographicCamera,
    Pose,
    euler_from_rotation,
    model_to_camera,
    project,
    rotation_from_euler,
    rotation_from_vector,
    vector_from_rotation,
)

FRONT = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1000.0]]))
angle = st.floats(-math.pi, math.pi)
lean = st.floats(-1.5, 1.5)  # below a right angle, where the angles are unique


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
    assert torch.allclose(
        turned(0.0, 0.0, 15.0).yaw_pitch_roll(), torch.tensor([[0.0, 0.0, 15.0]]), atol=1e-3
    )


def test_a_scaled_camera_sees_the_same():
    camera = Camera.default(64, focal=300.0)
    points = model_to_camera(torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0)) * 40, FRONT)
    small, large = project(points, camera), project(points, camera.scaled(3))
    # Pixel p covers the large pixels 3p, 3p + 1, 3p + 2.
    assert torch.allclose(large[..., :2], 3 * small[..., :2] + 1, atol=1e-3)


def test_projection_can_be_undone():
    camera = Camera.default((90, 120), focal=400.0, dtype=torch.float64)
    pose = Pose(torch.tensor([[0.2, -0.4, 0.1]]).double(), torch.tensor([[5.0, -8.0, 900.0]]).double())
    points = torch.randn(1, 30, 3, generator=torch.Generator().manual_seed(2)).double() * 60
    pixel = project(model_to_camera(points, pose), camera)
    depth = pixel[..., 2:]
    ray = torch.cat(
        [(pixel[..., :2] - camera.principal_point[:, None]) / camera.focal, torch.ones_like(depth)], -1
    )
    flip = torch.tensor([1.0, -1.0, -1.0]).double()
    back = ((ray * depth - pose.translation[:, None]) * flip) @ pose.rotation
    assert torch.allclose(back, points, atol=1e-9)


def test_the_default_camera_looks_through_the_middle_and_refuses_nonsense():
    camera = Camera.default((4, 6), batch=2)
    assert camera.size == (4, 6) and camera.principal_point.tolist() == [[2.5, 1.5]] * 2
    for wrong in (dict(size=0), dict(size=(5, 0)), dict(focal=0.0)):
        with pytest.raises(ValueError, match="must be positive"):
            Camera.default(**wrong)


def axis_turn(axis: int, radians: float) -> torch.Tensor:
    """A turn about one axis, written out."""
    c, s = math.cos(radians), math.sin(radians)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    R = torch.eye(3, dtype=torch.float64)
    R[i, i], R[i, j], R[j, i], R[j, j] = c, -s, s, c
    return R


@given(lean, angle, angle)
@settings(max_examples=60, deadline=None)
def test_euler_angles_are_yaw_times_pitch_times_roll_and_come_back(r_alpha, r_beta, r_gamma):
    angles = torch.tensor([[r_alpha, r_beta, r_gamma]], dtype=torch.float64)
    R = rotation_from_euler(angles)
    by_hand = axis_turn(1, r_beta) @ axis_turn(0, r_alpha) @ axis_turn(2, r_gamma)
    assert torch.allclose(R[0], by_hand, atol=1e-12)
    turned = (euler_from_rotation(R) - angles + math.pi) % (2 * math.pi) - math.pi
    assert turned.abs().max() < 1e-6


@given(angle, angle, angle)
@settings(max_examples=60, deadline=None)
def test_rotation_vectors_and_matrices_come_back(x, y, z):
    R = rotation_from_vector(torch.tensor([x, y, z], dtype=torch.float64))
    assert torch.allclose(R @ R.T, torch.eye(3, dtype=torch.float64), atol=1e-12)
    vector = vector_from_rotation(R)
    assert vector.norm() <= math.pi + 1e-12  # a longer one goes the short way round
    assert torch.allclose(rotation_from_vector(vector), R, atol=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_at_gimbal_lock_yaw_takes_the_roll(sign):
    angles = torch.tensor([[sign * math.pi / 2, 0.3, 0.2]], dtype=torch.float64)
    R = rotation_from_euler(angles)
    found = euler_from_rotation(R)
    assert torch.allclose(
        found, torch.tensor([[sign * math.pi / 2, 0.3 - sign * 0.2, 0.0]]).double(), atol=1e-7
    )
    assert torch.allclose(rotation_from_euler(found), R, atol=1e-6)


def test_yaw_pitch_roll_are_the_euler_angles_in_words():
    angles = torch.tensor([[0.1, -0.4, 0.2]])
    pose = Pose.from_euler(angles, FRONT.translation)
    assert torch.allclose(pose.euler(), angles, atol=1e-6)
    assert torch.allclose(pose.yaw_pitch_roll(), torch.rad2deg(torch.tensor([[-0.4, -0.1, 0.2]])), atol=1e-4)


@pytest.mark.parametrize("kind", ["perspective", "orthographic"])
def test_projection_and_rotations_have_the_right_gradients(kind):
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(1, 5, 3, generator=generator, dtype=torch.float64) * 50
    inputs = (
        torch.tensor([[0.2, -0.5, 0.3]], dtype=torch.float64, requires_grad=True),
        torch.tensor([[4.0, -3.0, 900.0]], dtype=torch.float64, requires_grad=True),
        torch.tensor([700.0 if kind == "perspective" else 0.8], dtype=torch.float64, requires_grad=True),
    )
    centre = torch.tensor([[30.0, 40.0]], dtype=torch.float64)

    def seen(angles, translation, size):
        camera = (Camera if kind == "perspective" else OrthographicCamera)(size, centre, (64, 64))
        pose = Pose.from_euler(angles, translation)
        return project(model_to_camera(points, pose), camera), pose.euler()

    assert torch.autograd.gradcheck(seen, inputs)


def test_parallel_rays_do_not_see_depth_and_a_far_pinhole_hardly_does():
    generator = torch.Generator().manual_seed(4)
    points = torch.randn(1, 30, 3, generator=generator, dtype=torch.float64) * 50
    parallel = OrthographicCamera.default((80, 120), 0.9, dtype=torch.float64)
    near, far = (
        Pose(torch.zeros(1, 3).double(), torch.tensor([[5.0, 6.0, z]]).double()) for z in (300.0, 1e6)
    )
    a, b = (project(model_to_camera(points, pose), parallel) for pose in (near, far))
    assert torch.equal(a[..., :2], b[..., :2]) and not torch.equal(a[..., 2], b[..., 2])
    assert a[0, 0, 0] == pytest.approx(59.5 + 0.9 * float(points[0, 0, 0] + 5))
    pinhole = Camera.default((80, 120), focal=0.9e6, dtype=torch.float64)
    assert torch.allclose(project(model_to_camera(points, far), pinhole)[..., :2], b[..., :2], atol=0.02)
    assert OrthographicCamera.like(pinhole, far.translation[:, 2]).scale == pytest.approx(0.9)
    assert pinhole.perspective and not parallel.perspective


def test_an_orthographic_camera_scales_like_a_pinhole_and_refuses_nonsense():
    camera = OrthographicCamera.default((10, 12), 0.5, batch=2)
    points = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(5)).expand(2, -1, -1)
    small, large = project(points, camera), project(points, camera.scaled(2))
    # Pixel p covers the large pixels 2p and 2p + 1, whose middle is 2p + ½.
    assert torch.allclose(large[..., :2], 2 * small[..., :2] + 0.5, atol=1e-5)
    assert camera.scaled(2).size == (20, 24) and camera.to(torch.float64).scale.dtype == torch.float64
    for wrong in (dict(size=0), dict(scale=0.0)):
        with pytest.raises(ValueError, match="must be positive"):
            OrthographicCamera.default(**wrong)


def test_a_pose_of_far_rotations_agrees_with_roma():
    vector = torch.randn(50, 3, generator=torch.Generator().manual_seed(6), dtype=torch.float64) * 2
    pose = Pose(vector, torch.zeros_like(vector))
    assert torch.allclose(pose.rotation, roma.rotvec_to_rotmat(vector))
    assert torch.allclose(rotation_from_euler(pose.euler()), pose.rotation, atol=1e-9)
