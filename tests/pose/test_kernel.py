"""The pose kernel against its twin in torch, and against itself in other orders of threads."""

import pytest
import roma
import torch

from helpers._warp import kernel_modules
from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.pose import estimate_pose, reference, solver
from helpers.pose.checks import FLAT
from helpers.pose.closed_form import pos
from helpers.pose.solution import Observations, Options


def scene(batch: int, n: int = 68, noise: float = 1.0, seed: int = 0, own_points: bool = False):
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([45.0, 50.0, 25.0])
    points = torch.randn(batch if own_points else 1, n, 3, generator=generator) * size + 10
    angles = torch.randn(batch, 3, generator=generator) * torch.tensor([0.2, 0.5, 0.3])
    shift = torch.randn(batch, 3, generator=generator) * torch.tensor([30.0, 30.0, 100.0])
    pose = Pose.from_euler(angles, shift + torch.tensor([0.0, 0.0, 900.0]))
    camera = Camera.default((200, 240), focal=680.0, batch=batch)
    pixels = project(model_to_camera(points, pose), camera)[..., :2]
    pixels = pixels + noise * torch.randn(pixels.shape, generator=generator)
    weights = torch.rand(batch, n, generator=generator) + 0.2
    return pixels, points.expand(batch, -1, -1), camera, weights, pose


def degrees_apart(a: Pose, b: Pose) -> torch.Tensor:
    return torch.rad2deg(roma.rotmat_geodesic_distance(a.rotation.double(), b.rotation.double()))


def test_the_search_finds_the_kernel():
    assert "helpers.pose.kernels" in kernel_modules()


@pytest.mark.parametrize("robust", [None, 2.0])
@pytest.mark.parametrize("noise_px", [None, 1.0])
@pytest.mark.parametrize("n, own_points", [(68, False), (68, True), (9, True)])
def test_kernel_and_twin_agree(robust, noise_px, n, own_points):
    pixels, points, camera, weights, _ = scene(150, n, own_points=own_points)
    weights[:, n - 1] = 0
    inputs = Observations(pixels, points, camera, weights), Options(15, robust, noise_px)
    found, twin = solver.levenberg_marquardt(*inputs), reference.levenberg_marquardt(*inputs)
    assert torch.equal(found.code, twin.code)
    good = found.code == 0
    assert good.float().mean() > 0.9
    assert degrees_apart(found.pose, twin.pose)[good].max() < 0.02 * degrees_of(twin.covariance[good]).max()
    assert (found.residual - twin.residual)[good].abs().max() < 0.05
    assert (found.weights - twin.weights)[good].abs().max() < 0.02
    scale = twin.covariance.diagonal(dim1=1, dim2=2).sqrt()
    relative = (found.covariance - twin.covariance) / scale[:, :, None] / scale[:, None, :]
    assert relative[good].abs().max() < 0.02
    # Both stop where a further step would gain nothing that matters; rounding may move that by one step.
    assert (found.iterations - twin.iterations).abs().max() <= 1 or robust is not None


def degrees_of(covariance: torch.Tensor) -> torch.Tensor:
    return torch.rad2deg(covariance[:, :3, :3].diagonal(dim1=1, dim2=2).sum(-1).sqrt())


def test_without_iterations_both_give_pos():
    pixels, points, camera, weights, _ = scene(40)
    seen = Observations(pixels, points, camera, weights)
    start = pos(seen)
    for solve in (solver.levenberg_marquardt, reference.levenberg_marquardt):
        found = solve(seen, Options(0)).pose
        assert degrees_apart(found, start).max() < 1e-3
        assert torch.allclose(found.translation, start.translation, rtol=1e-4, atol=1e-2)


def test_kernel_reaches_what_double_precision_reaches():
    pixels, points, camera, weights, _ = scene(200)
    found = estimate_pose(pixels, points, camera, weights, iterations=20)
    exact = estimate_pose(
        pixels.double(), points.double(), camera.to(torch.float64), weights.double(), iterations=40
    )
    assert torch.equal(found.code, exact.code) and found.ok.all()
    sigma = degrees_of(exact.covariance)
    # Rounding and the early stop cost far less than the noise of the points.
    assert (degrees_apart(found.pose, exact.pose) / sigma).max() < 0.05


def test_a_start_is_used_and_a_missing_one_is_made_up_for():
    pixels, points, camera, weights, truth = scene(6)
    start = Pose(truth.rotation_vector.clone(), truth.translation.clone())
    start.translation[1] = torch.nan
    for solve in (solver.levenberg_marquardt, reference.levenberg_marquardt):
        found = solve(Observations(pixels, points, camera, weights), Options(0), start).pose
        assert degrees_apart(found, truth)[[0, 2, 3, 4, 5]].max() < 1e-3
        assert 0.05 < degrees_apart(found, truth)[1] < 10  # POS


def test_a_very_close_face_is_pushed_out_before_it_is_fitted():
    """So near that POS puts some points behind the camera."""
    points = scene(1)[1][:, :68] - 10
    camera = Camera.default(400, focal=150.0, batch=30)
    generator = torch.Generator().manual_seed(1)
    angles = torch.randn(30, 3, generator=generator) * 0.2
    truth = Pose.from_euler(angles, torch.tensor([[0.0, 0.0, 110.0]]).repeat(30, 1))
    in_camera = model_to_camera(points, truth)
    assert (in_camera[..., 2] > 0).all()
    pixels = project(in_camera, camera)[..., :2]
    both = points.expand(30, -1, -1), torch.ones(30, 68)
    start = pos(Observations(pixels, both[0], camera, both[1]))
    pushed = reference.pushed_out(start, *both)
    assert (model_to_camera(points, pushed)[..., 2] > 0).all()
    found = estimate_pose(pixels, points, camera, iterations=50)
    assert (degrees_apart(found.pose, truth)[found.ok] < 0.1).float().mean() > 0.9
    assert found.ok.float().mean() > 0.8


@pytest.mark.parametrize("thickness, expected", [(3 * FLAT**0.5, ""), (0.3 * FLAT**0.5, "plane")])
def test_kernel_and_twin_draw_the_line_at_flatness_alike(thickness, expected):
    pixels, points, camera, weights, _ = scene(4, noise=0.0)
    flat = points.clone()
    flat[..., 2] = (
        thickness * flat[..., 1].std() * torch.nn.functional.normalize(flat[..., 2], dim=1) * 68**0.5
    )
    for dtype in (torch.float32, torch.float64):
        reason = estimate_pose(pixels.to(dtype), flat.to(dtype), camera.to(dtype), iterations=0).reason
        assert all((r == "plane") == (expected == "plane") for r in reason)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_neither_order_nor_number_of_threads_changes_a_bit(threads, with_threads):
    B = 200
    pixels, points, camera, weights, _ = scene(B)
    pixels[7, 3] = torch.nan
    seen, options = Observations(pixels, points, camera, weights), Options(10, 2.0)
    with_threads(1)
    expected = solver.levenberg_marquardt(seen, options)
    assert expected.code.tolist() == [int(b == 7) for b in range(B)]
    with_threads(threads)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(threads))
    found = solver.levenberg_marquardt(seen.of(order), options)
    for name in ("residual", "weights", "covariance", "code", "iterations"):
        assert torch.equal(bits(getattr(found, name)), bits(getattr(expected, name)[order])), name
    for name in ("rotation_vector", "translation"):
        assert torch.equal(bits(getattr(found.pose, name)), bits(getattr(expected.pose, name)[order])), name


def bits(values: torch.Tensor) -> torch.Tensor:
    """So that NaN equals NaN."""
    return values.contiguous().view(torch.int32)


def test_a_face_in_a_batch_is_what_it_is_alone():
    pixels, points, camera, weights, _ = scene(130)
    seen = Observations(pixels, points, camera, weights)
    together = solver.levenberg_marquardt(seen, Options())
    for b in (0, 64, 65, 129):
        alone = solver.levenberg_marquardt(seen.of(slice(b, b + 1)), Options())
        assert torch.equal(alone.pose.translation[0], together.pose.translation[b])
        assert torch.equal(alone.covariance[0], together.covariance[b])


def test_errors_at_many_poses_agree_with_the_twin():
    pixels, points, camera, _, truth = scene(20, 30)
    poses = Pose(truth.rotation_vector.repeat_interleave(4, 0), truth.translation.repeat_interleave(4, 0))
    poses.rotation_vector[1::4] += 0.5
    poses.translation[2::4, 2] = torch.linspace(-60, 60, 20)  # some points behind the camera
    poses.translation[3::4] = torch.nan
    seen = Observations(pixels, points, camera, torch.ones(20, 30))
    found = solver.squared_errors(seen, poses, 4)
    twin = reference.squared_errors(seen, poses, 4)
    assert torch.equal(found.isinf(), twin.isinf()) and found[:, 3].isinf().all()
    assert 0.2 < found[:, 2].isinf().float().mean() < 0.8
    near = twin < 1e6  # beyond, a point all but touches the plane of the camera
    assert torch.allclose(found[near], twin[near], rtol=1e-2, atol=1e-2)
    assert torch.allclose(found[:, :2], twin[:, :2], rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_a_gradient_goes_through_the_twin():
    pixels, points, camera, weights, _ = scene(2, 12, noise=0.3)
    inputs = [t.double().requires_grad_() for t in (pixels, points)]
    camera = camera.to(torch.float64)

    def six_numbers(p, x):
        pose = estimate_pose(p, x, camera, weights.double(), iterations=15).pose
        return pose.rotation_vector, pose.translation

    assert torch.autograd.gradcheck(six_numbers, inputs, rtol=1e-3, atol=1e-4)
    single = pixels.clone().requires_grad_()
    estimate_pose(single, points, camera.to(torch.float32)).pose.translation.sum().backward()
    assert torch.isfinite(single.grad).all() and single.grad.abs().max() > 0
