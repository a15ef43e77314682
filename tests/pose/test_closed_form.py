"""Closed forms and outliers: exact without noise, as good as OpenCV's with it."""

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.face_model import load
from helpers.pose import dlt_pose, epnp_pose, estimate_pose, scaled_orthographic_pose
from helpers.pose.ransac import _median

cv2 = pytest.importorskip("cv2")
FLIP = np.array([1.0, -1.0, -1.0])


def scene(batch: int, noise: float, seed: int = 0, n: int = 68, dtype=torch.float64):
    """Landmarks of the open model's mean face, seen within 50 degrees of yaw."""
    model = load("open", level=0)
    points = model.mean_shape[model.landmarks][None, -n:].to(dtype)
    generator = torch.Generator().manual_seed(seed)
    angles = (torch.rand(batch, 3, generator=generator, dtype=dtype) * 2 - 1) * torch.tensor(
        [0.4, 0.9, 0.4], dtype=dtype
    )
    shift = torch.randn(batch, 3, generator=generator, dtype=dtype) * torch.tensor(
        [15.0, 15.0, 60.0], dtype=dtype
    )
    pose = Pose.from_euler(angles, shift + torch.tensor([0.0, 0.0, 900.0], dtype=dtype))
    camera = Camera.default(224, batch=batch, dtype=dtype)
    pixels = project(model_to_camera(points, pose), camera)[..., :2]
    return points, pose, camera, pixels + noise * torch.randn(pixels.shape, generator=generator, dtype=dtype)


def degrees_off(pose: Pose, truth: Pose) -> torch.Tensor:
    return torch.rad2deg(roma.rotmat_geodesic_distance(pose.rotation.double(), truth.rotation.double()))


def opencv(points, pixels, camera, flag: str, ransac: bool = False) -> Pose:
    matrix = np.array([[1000, 0, 111.5], [0, 1000, 111.5], [0, 0, 1.0]])
    corners = np.ascontiguousarray(points[0].double().numpy() * FLIP)
    found = []
    for seen in pixels.double().numpy():
        if ransac:
            _, vector, t, _ = cv2.solvePnPRansac(
                corners,
                seen,
                matrix,
                None,
                flags=getattr(cv2, flag),
                reprojectionError=4.0,
                iterationsCount=200,
            )
        else:
            _, vector, t = cv2.solvePnP(corners, seen, matrix, None, flags=getattr(cv2, flag))
        found.append((cv2.Rodrigues(vector)[0] * FLIP[:, None] * FLIP, t[:, 0]))
    rotation, translation = (torch.tensor(np.array(part)) for part in zip(*found, strict=True))
    return Pose(roma.rotmat_to_rotvec(rotation), translation)


@given(seed=st.integers(0, 10_000), n=st.integers(6, 68))
@settings(max_examples=12, deadline=None)
@pytest.mark.slow
def test_epnp_and_dlt_are_exact_without_noise(seed, n):
    generator = torch.Generator().manual_seed(seed)
    _, truth, camera, _ = scene(3, 0.0, seed)
    points = torch.randn(1, n, 3, generator=generator, dtype=torch.float64) * torch.tensor([40.0, 50.0, 30.0])
    pixels = project(model_to_camera(points, truth), camera)[..., :2]
    for closed_form in (dlt_pose, epnp_pose):
        pose = closed_form(pixels, points, camera)
        # Six points in general position leave DLT a single spare equation: rounding is then magnified.
        assert degrees_off(pose, truth).median() < (1e-3 if n > 7 else 1e-1)
    if n > 9:
        assert degrees_off(epnp_pose(pixels, points, camera), truth).max() < 1e-3
        assert (epnp_pose(pixels, points, camera).translation - truth.translation).abs().max() < 1e-2


def test_pos_is_exact_for_parallel_rays():
    points, truth, camera, _ = scene(20, 0.0)
    far = Pose(truth.rotation_vector, truth.translation * torch.tensor([0.0, 0.0, 1000.0]))
    telephoto = Camera(camera.focal * 1000, camera.principal_point, camera.size)
    pixels = project(model_to_camera(points, far), telephoto)[..., :2]
    pose = scaled_orthographic_pose(pixels, points, telephoto)
    assert degrees_off(pose, far).max() < 0.01
    assert (pose.translation / far.translation)[:, 2].sub(1).abs().max() < 1e-3


def test_epnp_and_the_whole_estimate_are_as_good_as_opencv():
    points, truth, camera, pixels = scene(300, 1.0)
    error = {
        name: degrees_off(opencv(points, pixels, camera, f"SOLVEPNP_{name}"), truth).mean()
        for name in ("EPNP", "ITERATIVE", "SQPNP")
    }
    assert degrees_off(epnp_pose(pixels, points, camera), truth).mean() < 1.03 * error["EPNP"]
    ours = degrees_off(
        estimate_pose(pixels.float(), points.float(), camera.to(torch.float32)).pose, truth
    ).mean()
    assert ours < 1.005 * error["ITERATIVE"] and ours < error["SQPNP"]
    # Worst to best, as the course says of them.
    assert error["EPNP"] < degrees_off(scaled_orthographic_pose(pixels, points, camera), truth).mean() < 5


@pytest.mark.parametrize("start", ["pos", "epnp", "dlt", "pose"])
def test_every_start_leads_to_the_same_pose(start):
    points, truth, camera, pixels = scene(50, 0.7, seed=1)
    best = estimate_pose(pixels, points, camera, iterations=30)
    other = truth if start == "pose" else start
    found = estimate_pose(pixels, points, camera, start=other, iterations=30)
    assert degrees_off(found.pose, best.pose).max() < 1e-4
    assert found.ok.all()


def test_weights_of_zero_leave_points_out_of_the_closed_forms():
    points, truth, camera, pixels = scene(4, 0.0)
    pixels[:, 10:30] += 50
    weights = torch.ones(1, 68, dtype=torch.float64)
    weights[:, 10:30] = 0
    for closed_form in (dlt_pose, epnp_pose):
        assert degrees_off(closed_form(pixels, points, camera, weights), truth).max() < 1e-3


@pytest.mark.parametrize("share", [0.15, 0.3, 0.4])
def test_ransac_finds_the_pose_among_gross_outliers(share):
    points, truth, camera, pixels = scene(60, 1.0, seed=2, dtype=torch.float32)
    generator = torch.Generator().manual_seed(3)
    wrong = torch.rand(60, 68, generator=generator).argsort(-1) < round(68 * share)
    seen = torch.where(wrong[..., None], torch.rand(60, 68, 2, generator=generator) * 224, pixels)
    plain = degrees_off(estimate_pose(seen, points, camera).pose, truth)
    estimate = estimate_pose(seen, points, camera, ransac=True)
    theirs = degrees_off(opencv(points, seen, camera, "SOLVEPNP_EPNP", ransac=True), truth)
    error = degrees_off(estimate.pose, truth)
    assert plain.mean() > 5 and estimate.ok.float().mean() > 0.98
    assert error.median() < 0.6 and error.mean() < 1.1 * theirs.mean()
    # Of the wrong points nearly all are left out, of the right ones nearly none.
    assert (estimate.used[wrong] > 0).float().mean() < 0.05
    assert (estimate.used[~wrong] > 0).float().mean() > 0.95
    alone = estimate_pose(seen[7:8], points, Camera.default(224), ransac=True)
    assert torch.allclose(alone.pose.translation[0], estimate.pose.translation[7], rtol=1e-5)


def test_ransac_keeps_exact_points():
    points, truth, camera, pixels = scene(3, 0.0, seed=4)
    estimate = estimate_pose(pixels, points, camera, ransac=True, iterations=20)
    assert degrees_off(estimate.pose, truth).max() < 1e-4 and (estimate.used > 0).all()


@given(st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_median_is_of_the_values_that_count(n, seed):
    rng = np.random.default_rng(seed)
    values, counts = rng.random((5, n)), rng.random((5, n)) < 0.6
    counts[:, 0] = True
    found = _median(torch.tensor(values), torch.tensor(counts))
    for row, keep, median in zip(values, counts, found, strict=True):
        inside = np.sort(row[keep])
        # Of an even number either of the middle two will do.
        assert float(median) in inside[[(len(inside) - 1) // 2, len(inside) // 2]]
