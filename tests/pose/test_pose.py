"""Pose from points: exact where the truth is known, invariant where it must be, clear where it cannot work."""

import math

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.camera import Camera, OrthographicCamera, Pose, model_to_camera, project
from helpers.pose import (
    estimate_pose,
    pose_jacobian,
    scaled_orthographic_pose,
    slide_far_jaw,
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
@pytest.mark.slow
def test_exact_points_give_the_exact_pose(seed):
    points, truth, camera, pixels = make_scene(4, seed)
    estimate = estimate_pose(pixels, points, camera, iterations=20)
    assert angle_degrees(estimate.pose, truth).max() < 1e-3
    assert (estimate.pose.translation - truth.translation).abs().max() < 1e-2
    assert estimate.residual.max() < 1e-3


def test_closed_form_is_a_start_and_refinement_betters_it():
    points, truth, camera, pixels = make_scene(200, 1)
    pixels = pixels + torch.randn(
        pixels.shape, generator=torch.Generator().manual_seed(2), dtype=pixels.dtype
    )
    start = scaled_orthographic_pose(
        pixels, points.expand(200, -1, -1), camera, torch.ones_like(pixels[..., 0])
    )
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
    robust = angle_degrees(
        estimate_pose(spoiled, points, camera, robust_px=1.0, iterations=30).pose, truth
    ).mean()
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
        (dict(points_2d=lambda p: p[0]), r"points_2d must have shape"),
        (dict(points_2d=lambda p: p.long()), r"points_2d must be floats"),
        (dict(points_3d=lambda m: m[:, :60]), r"points_3d must have shape"),
        (dict(points_3d=lambda m: m.expand(3, -1, -1)), r"points_3d must have shape"),
        (dict(camera=lambda c: Camera.default(224, batch=3)), r"camera describes 3 images"),
        (dict(camera=lambda c: OrthographicCamera.default(224, batch=2)), r"perspective camera"),
        (dict(weights=lambda w: -w), r"not be negative"),
        (dict(weights=lambda w: w[:, :5]), r"weights must have shape"),
        (dict(start=lambda s: "guess"), r"start must be"),
        (dict(start=lambda s: Pose(torch.zeros(1, 3), torch.zeros(1, 3))), r"start must hold 2 poses"),
        (dict(far_side=lambda f: "hide"), r"far_side must be"),
        (dict(far_side=lambda f: "slide"), r"needs contour"),
        (dict(contour=lambda c: torch.zeros(2, 17, 3)), r"contour must have shape"),
    ],
)
def test_wrong_arguments_are_refused(change, message):
    points, _, camera, pixels = make_scene(2, 7)
    arguments = dict(
        points_2d=pixels,
        points_3d=points,
        camera=camera,
        weights=torch.ones(2, 68, dtype=torch.float64),
        start="pos",
        far_side=None,
        contour=None,
    )
    for name, wrong in change.items():
        arguments[name] = wrong(arguments[name])
    with pytest.raises(ValueError, match=message):
        estimate_pose(**arguments)


def test_the_far_jaw_needs_68_points():
    points, _, camera, pixels = make_scene(2, 7)
    with pytest.raises(ValueError, match="68 points"):
        estimate_pose(pixels[:, :30], points[:, :30], camera, far_side="drop")


def test_fewer_than_68_points_are_enough():
    points, truth, camera, pixels = make_scene(50, 8)
    estimate = estimate_pose(pixels[:, :7], points[:, :7], camera, iterations=30)
    assert estimate.ok.float().mean() > 0.9  # a few random sets of seven have a second pose
    assert angle_degrees(estimate.pose, truth)[estimate.ok].median() < 1e-3


def test_a_detector_that_follows_the_outline_is_met_by_dropping_or_sliding_the_far_jaw():
    """The far jaw points of a turned head are seen where an ellipsoid's outline is, not where its vertices are."""
    azimuth = torch.linspace(-85, 85, 17).double().deg2rad()
    # Each jaw point has candidates along its own height, all around the ellipsoid.
    height = -20 - 40 * torch.cos(azimuth)
    width = (1 - (height / 90) ** 2).sqrt()

    def on_surface(angles):
        x = 70 * width[:, None] * torch.sin(angles)
        return torch.stack([x, height[:, None].expand_as(x), 60 * width[:, None] * torch.cos(angles)], -1)

    around = torch.linspace(-math.pi / 2, math.pi / 2, 91).double()
    contour = on_surface(around.expand(17, 91))[None]
    inner = (
        torch.randn(51, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
        * FACE.double()
        * 0.6
    )
    points = torch.cat([on_surface(azimuth[:, None])[:, 0], inner])[None]
    yaw = torch.tensor([-35.0, 35.0, 10.0]).double().deg2rad()
    truth = Pose.from_euler(
        torch.stack([yaw * 0 + 0.1, yaw, yaw * 0 + 0.2], -1),
        FACE.double().new_tensor([[3.0, 4.0, 900.0]]).repeat(3, 1),
    )
    camera = Camera.default(224, batch=3, dtype=torch.float64)
    outline = slide_far_jaw(points.expand(3, -1, -1), contour, truth, camera)
    # On the outline the ray touches the surface: the normal is square to it.
    moved = (outline != points).any(-1)
    assert moved.sum(-1).tolist() == [8, 8, 0] and moved[0, :8].all() and moved[1, 9:17].all()
    axes = torch.tensor([70.0, 90.0, 60.0]).double()
    normal = torch.nn.functional.normalize(outline / axes**2, dim=-1)
    normal[..., 1] = 0  # along its own height, which is how a point may slide
    normal = torch.nn.functional.normalize(normal, dim=-1)
    flip = torch.tensor([1.0, -1.0, -1.0]).double()
    ray = torch.nn.functional.normalize(model_to_camera(outline, truth), dim=-1) * flip @ truth.rotation
    across = (normal * ray).sum(-1)[moved].abs()
    assert across.max() < 0.25

    pixels = project(model_to_camera(outline, truth), camera)[..., :2]
    plain, drop, slide = (
        estimate_pose(pixels, points, camera, far_side=how, contour=contour, iterations=30)
        for how in (None, "drop", "slide")
    )
    error = [angle_degrees(e.pose, truth) for e in (plain, drop, slide)]
    assert (error[0][:2] > 1).all() and error[1].max() < 1e-3 and error[2].max() < 0.05
    assert drop.used[0, :8].sum() == 0 and drop.used[1, 9:17].sum() == 0 and drop.used[2].sum() == 68
    assert torch.equal(slide.points_3d[moved], outline[moved])


@pytest.mark.parametrize("robust", [None, 3.0])
@pytest.mark.slow
def test_the_covariance_is_the_scatter_of_repeated_measurements(robust):
    points, truth, camera, pixels = make_scene(1, 10)
    n, noise = 3000, 0.8
    camera = Camera.default(224, batch=n, dtype=torch.float64)
    seen = pixels + noise * torch.randn(
        n, 68, 2, generator=torch.Generator().manual_seed(11), dtype=torch.float64
    )
    estimate = estimate_pose(seen, points, camera, robust_px=robust)
    turned = estimate.pose.rotation @ truth.rotation.transpose(1, 2)
    off = torch.cat([roma.rotmat_to_rotvec(turned), estimate.pose.translation - truth.translation], -1)
    measured, predicted = off.T @ off / n, estimate.covariance.mean(0)
    size = measured.diagonal().sqrt()
    # Standard deviations, then correlations; 3000 samples know a deviation to 1.3 %.
    assert (predicted.diagonal().sqrt() / size - 1).abs().max() < 0.06
    assert ((predicted - measured) / size[:, None] / size).abs().max() < 0.1
    # Squared lengths in units of the covariance average six, the number of unknowns.
    length = (off * torch.linalg.solve(estimate.covariance, off)).sum(-1).mean()
    assert 5.6 < length < 6.5
    told = estimate_pose(seen[:5], points, Camera.default(224, batch=5, dtype=torch.float64), noise_px=noise)
    assert (told.covariance[0].diagonal().sqrt() / size - 1).abs().max() < 0.06


def test_weights_are_inverse_variances():
    """Half of the points ten times as noisy: with weights, the pose is better and the covariance knows it."""
    points, truth, _, pixels = make_scene(1, 12)
    n = 1000
    camera = Camera.default(224, batch=n, dtype=torch.float64)
    noise = torch.where(torch.arange(68) % 2 == 0, 0.3, 3.0).double()
    seen = pixels + noise[:, None] * torch.randn(
        n, 68, 2, generator=torch.Generator().manual_seed(13), dtype=torch.float64
    )
    plain, weighted = (estimate_pose(seen, points, camera, w) for w in (None, 1 / noise[None] ** 2))
    off = angle_degrees(weighted.pose, truth)
    assert off.mean() < 0.3 * angle_degrees(plain.pose, truth).mean()
    expected = torch.rad2deg(weighted.covariance[:, :3, :3].diagonal(dim1=1, dim2=2).sum(-1).mean().sqrt())
    assert off.square().mean().sqrt() == pytest.approx(float(expected), rel=0.06)
