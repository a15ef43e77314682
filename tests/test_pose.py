"""Pose from points: exact where the truth is known, invariant where it must be, clear where it cannot work."""

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.pose import (
    estimate_pose,
    pose_jacobian,
    scaled_orthographic_pose,
    turn,
    visible_landmarks,
)

FACE = torch.tensor([45.0, 50.0, 25.0])  # mm, about the half size of a face


def make_scene(batch: int, seed: int, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    points = normal(1, 68, 3) * FACE.to(dtype)
    rotation = normal(batch, 3) * torch.tensor([0.25, 0.5, 0.2], dtype=dtype)
    depth = 900 + 300 * torch.rand(batch, 1, generator=generator, dtype=dtype)
    pose = Pose(rotation, torch.cat([normal(batch, 2) * 30, depth], -1))
    camera = Camera.default(224, batch=batch, dtype=dtype)
    return points, pose, camera, project(model_to_camera(points, pose), camera)[..., :2]


def angle_degrees(a: Pose, b: Pose) -> torch.Tensor:
    return torch.rad2deg(roma.rotmat_geodesic_distance(a.rotation, b.rotation))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_exact_points_give_the_exact_pose(seed):
    points, truth, camera, pixels = make_scene(4, seed)
    estimate = estimate_pose(pixels, points, camera, iterations=20)
    assert angle_degrees(estimate.pose, truth).max() < 1e-3
    assert (estimate.pose.translation - truth.translation).abs().max() < 1e-2
    assert estimate.residual.max() < 1e-3


def test_closed_form_is_a_start_and_refinement_betters_it():
    points, truth, camera, pixels = make_scene(200, 1)
    pixels = pixels + torch.randn(pixels.shape, generator=torch.Generator().manual_seed(2), dtype=pixels.dtype)
    start = scaled_orthographic_pose(pixels, points.expand(200, -1, -1), camera, torch.ones_like(pixels[..., 0]))
    estimate = estimate_pose(pixels, points, camera)
    assert 0.5 < angle_degrees(start, truth).mean() < 6.0
    assert angle_degrees(estimate.pose, truth).mean() < 0.5


def test_jacobian_agrees_with_finite_differences():
    points, pose, camera, pixels = make_scene(2, 3)
    J = pose_jacobian(model_to_camera(points, pose), pose.translation, camera)
    h = 1e-6
    for i in range(6):
        step = torch.zeros(2, 6, dtype=torch.float64)
        step[:, i] = h
        moved = project(model_to_camera(points, turn(pose, step)), camera)[..., :2]
        assert torch.allclose(J[..., i], (moved - pixels) / h, rtol=1e-4, atol=1e-3)


def test_points_without_weight_do_not_matter():
    points, truth, camera, pixels = make_scene(3, 4)
    spoiled = pixels.clone()
    spoiled[:, :17] += 40
    weights = torch.ones(1, 68, dtype=torch.float64)
    weights[:, :17] = 0
    estimate = estimate_pose(spoiled, points, camera, weights, iterations=20)
    assert angle_degrees(estimate.pose, truth).max() < 1e-3


def test_robust_weights_survive_wrong_points():
    points, truth, camera, pixels = make_scene(20, 5)
    spoiled = pixels.clone()
    spoiled[:, ::12] += 15
    plain = angle_degrees(estimate_pose(spoiled, points, camera).pose, truth).mean()
    robust = angle_degrees(estimate_pose(spoiled, points, camera, robust_px=1.0, iterations=30).pose, truth).mean()
    assert robust < 0.2 * plain


def test_a_batch_gives_what_single_faces_give():
    points, _, camera, pixels = make_scene(5, 6)
    together = estimate_pose(pixels, points, camera)
    for b in range(5):
        alone = estimate_pose(pixels[b : b + 1], points, Camera.default(224, dtype=torch.float64))
        assert torch.allclose(together.pose.rotation_vector[b], alone.pose.rotation_vector[0], atol=1e-9)


def test_far_jaw_is_dropped_beyond_18_degrees():
    def weights(yaw):
        rotation = torch.tensor([[0.0, torch.deg2rad(torch.tensor(yaw)).item(), 0.0]])
        return visible_landmarks(Pose(rotation, torch.tensor([[0.0, 0.0, 1000.0]])))[0]

    assert weights(17.0).sum() == 68
    right, left = weights(25.0), weights(-25.0)
    assert right[9:17].sum() == 0 and right[:9].sum() == 9 and right[17:].sum() == 51
    assert left[:8].sum() == 0 and left[8:17].sum() == 9 and left[17:].sum() == 51


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda p, m, w: (p[0], m, w), r"points_2d must have shape"),
        (lambda p, m, w: (p, m[:, :60], w), r"points_3d must have shape"),
        (lambda p, m, w: (p, m, -w), r"not be negative"),
        (lambda p, m, w: (p, m, w * 0), r"at least four points"),
        (lambda p, m, w: (p * float("nan"), m, w), r"finite"),
        (lambda p, m, w: (p, m * torch.tensor([1.0, 1.0, 0.0]).double(), w), r"in one plane"),
    ],
)
def test_bad_input_is_refused(change, message):
    points, _, camera, pixels = make_scene(2, 7)
    weights = torch.ones(2, 68, dtype=torch.float64)
    p, m, w = change(pixels, points, weights)
    with pytest.raises(ValueError, match=message):
        estimate_pose(p, m, camera, w)
