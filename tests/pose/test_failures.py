"""A face whose pose cannot be known says so and why, and the faces beside it do not notice."""

import pytest
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.pose import MIRRORED, REASONS, dlt_pose, epnp_pose, estimate_pose, scaled_orthographic_pose

BATCH, SPOILED = 5, 2
DTYPES = [torch.float32, torch.float64]


def face_points(dtype) -> torch.Tensor:
    """68 points with the left-right symmetry of a face and relief towards the viewer, (1, 68, 3) mm."""
    half = torch.rand(68, 3, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1
    points = half * torch.tensor([60.0, 60.0, 25.0], dtype=dtype)
    order = torch.tensor(MIRRORED)
    mirror = points[order] * torch.tensor([-1.0, 1.0, 1.0], dtype=dtype)
    points = torch.where((torch.arange(68) < order)[:, None], points, mirror)
    points[torch.arange(68) == order, 0] = 0
    return points[None]


def scene(dtype, noise: float = 0.5):
    generator = torch.Generator().manual_seed(1)
    points = face_points(dtype)
    angles = torch.randn(BATCH, 3, generator=generator, dtype=dtype) * torch.tensor(
        [0.2, 0.4, 0.2], dtype=dtype
    )
    pose = Pose.from_euler(angles, torch.tensor([[5.0, -5.0, 1000.0]], dtype=dtype).repeat(BATCH, 1))
    camera = Camera.default(224, batch=BATCH, dtype=dtype)
    pixels = project(model_to_camera(points, pose), camera)[..., :2]
    pixels = pixels + noise * torch.randn(pixels.shape, generator=generator, dtype=dtype)
    return pixels, points.repeat(BATCH, 1, 1), torch.ones(BATCH, 68, dtype=dtype), camera


def test_the_points_of_a_mirrored_face_are_its_mirrored_points():
    order = torch.tensor(MIRRORED)
    assert torch.equal(order[order], torch.arange(68))
    # The nose's bridge, the chin and the middles of the lips stay.
    assert (order == torch.arange(68)).nonzero()[:, 0].tolist() == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    points = face_points(torch.float64)[0]
    assert torch.equal(points[order], points * torch.tensor([-1.0, 1.0, 1.0]).double())


def flat(x):
    x[:, 2] = 0.3 * x[:, 0] - 0.1 * x[:, 1] + 7


def thin(x):
    x.copy_(x[:, :1] * torch.tensor([1.0, 0.5, 0.2]).to(x))


def swapped(p):
    p.copy_(p[torch.tensor(MIRRORED)].clone())


def shuffled(p):
    p.copy_(p[torch.randperm(len(p), generator=torch.Generator().manual_seed(3))].clone())


def on_a_line(p):
    p[:, 1] = 2 * p[:, 0] + 3


FAILURES = {
    "nan point": ("not_finite", "p", lambda p: p[7].fill_(torch.nan)),
    "infinite model point": ("not_finite", "x", lambda x: x[0].fill_(torch.inf)),
    "nan weight": ("not_finite", "w", lambda w: w[3:4].fill_(torch.nan)),
    "nan focal": ("not_finite", "f", lambda f: f.fill_(torch.nan)),
    "five points": ("too_few", "w", lambda w: w[5:].fill_(0)),
    "no points": ("too_few", "w", lambda w: w.fill_(0)),
    "equal points": ("one_place", "p", lambda p: p.fill_(100)),
    "equal model points": ("one_place", "x", lambda x: x.fill_(40)),
    "image points on a line": ("line", "p", on_a_line),
    "model points on a line": ("line", "x", thin),
    "model points in a plane": ("plane", "x", flat),
    "left and right swapped": ("mirrored", "p", swapped),
    "shuffled labels": ("misfit", "p", shuffled),
    "eyes swapped": ("misfit", "p", lambda p: p[36:48].copy_(p[[*range(42, 48), *range(36, 42)]].clone())),
    "upside-down mirror": ("mirrored", "p", lambda p: p[:, 0].mul_(-1).add_(223)),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
@pytest.mark.parametrize("name", FAILURES)
def test_a_bad_face_is_named_and_the_others_do_not_notice(name, dtype):
    why, what, spoil = FAILURES[name]
    pixels, points, weights, camera = scene(dtype)
    good = estimate_pose(pixels, points, camera, weights)
    assert good.ok.all() and good.reason == [""] * BATCH
    spoil({"p": pixels, "x": points, "w": weights, "f": camera.focal.view(-1, 1)}[what][SPOILED])
    estimate = estimate_pose(pixels, points, camera, weights)
    assert estimate.reason[SPOILED] == why
    assert estimate.ok.tolist() == [b != SPOILED for b in range(BATCH)]
    assert estimate.explain(SPOILED) == dict(REASONS.values())[why]
    others = [b for b in range(BATCH) if b != SPOILED]
    assert torch.equal(estimate.pose.rotation_vector[others], good.pose.rotation_vector[others])
    assert torch.equal(estimate.pose.translation[others], good.pose.translation[others])
    # Where there is no pose at all, no number can be mistaken for one.
    if why in ("not_finite", "too_few", "one_place", "line", "plane"):
        assert (
            estimate.pose.rotation_vector[SPOILED].isnan().all() and estimate.residual[SPOILED].isnan().all()
        )
        for closed_form in (scaled_orthographic_pose, dlt_pose, epnp_pose):
            start = closed_form(pixels, points, camera, weights)
            assert start.translation.isnan().all(-1).tolist() == [b == SPOILED for b in range(BATCH)]


@pytest.mark.parametrize(
    "options", [dict(ransac=True), dict(start="epnp"), dict(start="dlt"), dict(far_side="drop")]
)
@pytest.mark.parametrize(
    "name", ["nan point", "five points", "model points in a plane", "left and right swapped"]
)
def test_every_way_to_start_names_the_bad_face(name, options):
    why, what, spoil = FAILURES[name]
    pixels, points, weights, camera = scene(torch.float32)
    spoil({"p": pixels, "x": points, "w": weights}[what][SPOILED])
    estimate = estimate_pose(pixels, points, camera, weights, **options)
    assert estimate.reason == [why if b == SPOILED else "" for b in range(BATCH)]


@pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "float64"])
def test_a_start_behind_the_camera_is_told(dtype):
    pixels, points, weights, camera = scene(dtype)
    start = estimate_pose(pixels, points, camera).pose
    start.translation[SPOILED, 2] = -1000
    estimate = estimate_pose(pixels, points, camera, start=start)
    assert estimate.reason == ["behind" if b == SPOILED else "" for b in range(BATCH)]
    start.translation[SPOILED] = torch.nan  # no start: the solver finds its own
    assert estimate_pose(pixels, points, camera, start=start).ok.all()


def test_points_nearly_on_a_line_are_not_believed():
    pixels, points, weights, camera = scene(torch.float64)
    noise = torch.randn(68, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    pixels[SPOILED, :, 1] = 0.4 * pixels[SPOILED, :, 0] + 30 + noise
    assert not estimate_pose(pixels, points, camera).ok[SPOILED]


def test_an_empty_batch_gives_an_empty_answer():
    pixels, points, weights, _ = scene(torch.float32)
    for options in ({}, dict(ransac=True), dict(start="epnp"), dict(far_side="drop")):
        estimate = estimate_pose(pixels[:0], points[:1], Camera.default(224, batch=0), weights[:0], **options)
        assert estimate.ok.shape == (0,) and estimate.pose.translation.shape == (0, 3)


def garbage(kind: str, pixels: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    anywhere = torch.rand(pixels.shape, generator=generator) * 224
    order = torch.rand(pixels.shape[:2], generator=generator).argsort(-1)
    if kind == "shuffled":
        return pixels.gather(1, order[..., None].expand(-1, -1, 2))
    if kind == "seven wrong in ten":
        return torch.where((order < 48)[..., None], anywhere, pixels)
    return anywhere


@pytest.mark.parametrize("kind", ["anywhere", "shuffled", "seven wrong in ten"])
@pytest.mark.parametrize(
    "options", [{}, dict(ransac=True), dict(robust_px=3.0), dict(ransac=True, robust_px=3.0)]
)
def test_leaving_points_out_does_not_make_garbage_a_face(kind, options):
    """With enough points left out some pose fits anything: such a pose must not be called good."""
    pixels, points, _, _ = scene(torch.float32)
    pixels = garbage(kind, pixels.repeat(20, 1, 1))
    estimate = estimate_pose(pixels, points[:1], Camera.default(224, batch=100), iterations=30, **options)
    assert not estimate.ok.any()


def test_robust_weights_far_below_the_noise_do_not_condemn_a_good_face():
    pixels, points, _, camera = scene(torch.float32, noise=2.0)
    estimate = estimate_pose(pixels, points, camera, robust_px=0.8, iterations=30)
    assert estimate.ok.all() and (estimate.used.mean(-1) < 0.3).any()


def test_one_camera_serves_a_batch_and_two_do_not_serve_three():
    points = face_points(torch.float32)[0]
    camera = Camera.default(224)
    pose = Pose(
        torch.tensor([[0.1, 0.2, 0.0], [0.0, -0.3, 0.1], [0.0, 0.0, 0.0]]),
        torch.tensor([[0.0, 0.0, 1200.0]]).repeat(3, 1),
    )
    pixels = project(model_to_camera(points[None], pose), Camera.default(224, batch=3))[..., :2]
    shared = estimate_pose(pixels, points[None], camera)
    own = estimate_pose(pixels, points[None], Camera.default(224, batch=3))
    assert shared.ok.all() and torch.equal(shared.pose.rotation_vector, own.pose.rotation_vector)
    with pytest.raises(ValueError, match="camera describes 2 images, points_2d has 3"):
        estimate_pose(pixels, points[None], Camera.default(224, batch=2))
