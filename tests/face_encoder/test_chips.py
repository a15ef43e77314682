"""Face chips lie where dlib's do, follow the face, and refuse points that are none."""

import importlib.util

import numpy as np
import pytest
import torch

from helpers.face_encoder import encoder, face_chips, load_face_encoder
from helpers.face_encoder.chips import FITTED, MEAN_FACE, PADDING
from helpers.landmarks import dlib_backend, stored_points
from helpers.photo import default_photos, read_photo

needs_dlib = pytest.mark.skipif(importlib.util.find_spec("dlib") is None, reason="dlib is not installed")
needs_weights = pytest.mark.skipif(
    dlib_backend.model_file(encoder.WEIGHTS) is None, reason="face_recognition_models is not installed"
)


def mean_face(scale=1.0, angle=0.0, centre=(74.5, 74.5)):
    """(68, 2) points whose chip has its centre at `centre`, one chip pixel being `scale` px long."""
    points = torch.zeros(68, 2, dtype=torch.float64)
    square = (torch.tensor(MEAN_FACE, dtype=torch.float64) + PADDING) / (1 + 2 * PADDING)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = torch.tensor([[cos, sin], [-sin, cos]])
    points[list(FITTED)] = (square - 0.5) @ turn * 150 * scale + torch.tensor(centre)
    return points


def ramps(height, width, dtype=torch.float32):
    """(1, H, W, 3) an image that tells x and y, from 0 to 1 for each 1000 px."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y, x + y], -1)[None].to(dtype) / 1000


def of_dlib(points):
    """What dlib calls a face with 68 points."""
    dlib = dlib_backend.load_dlib()
    parts = [dlib.point(int(x), int(y)) for x, y in points]
    return dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), parts)


# Where a chip lies ----------------------------------------------------------------------------------------


def test_an_upright_face_of_its_size_is_cut_out_as_it_is():
    image = torch.rand(1, 170, 180, 3, generator=torch.Generator().manual_seed(0))
    # The chip's points are lengths from its corner, half a pixel more than its pixels' numbers: see the module.
    chips = face_chips(image, mean_face(centre=(74.5 + 12, 74.5 + 5))[None])
    torch.testing.assert_close(chips, image[:, 5:155, 12:162], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("scale", "angle"), [(0.6, 0.4), (1.9, -2.0), (2.5, 0.3), (5.0, 0.1)])
def test_a_known_similarity_is_undone(scale, angle):
    chip = face_chips(ramps(1200, 1300), mean_face(scale, angle, (640.0, 600.0))[None])[0] * 1000
    step = (150 * scale - 1) / 149  # see `_sampling_points`
    along = (np.arange(150) - 74.5) * step
    x, y = np.meshgrid(along, along)
    expected = np.stack(
        [640 + x * np.cos(angle) - y * np.sin(angle), 600 + x * np.sin(angle) + y * np.cos(angle)], -1
    )
    np.testing.assert_allclose(chip[..., :2], expected, rtol=0, atol=0.02)


def test_each_face_of_a_batch_is_cut_by_itself():
    image = torch.rand(4, 500, 480, 3, generator=torch.Generator().manual_seed(0))
    points = torch.stack([mean_face(s, s - 1, (240.0, 250.0)) for s in (0.7, 2.4, 5.0, 1.0)])
    together = face_chips(image, points)
    for k in range(4):
        torch.testing.assert_close(face_chips(image[k : k + 1], points[k : k + 1])[0], together[k])


def test_fine_detail_is_averaged():
    noise = torch.rand(1, 900, 900, 3, generator=torch.Generator().manual_seed(0)).round()
    chips = face_chips(noise, mean_face(4.5, 0.2, (450.0, 450.0))[None])
    # A pixel of a quarter's size averages at least 16 of those whose deviation is ½.
    assert abs(chips.mean() - 0.5) < 0.01 and chips.std() < 0.5 / 16**0.5


def test_past_the_edge_it_is_black():
    chips = face_chips(torch.ones(1, 100, 100, 3), mean_face(centre=(0.0, 50.0))[None])
    assert (chips[0, 30:120, :70] == 0).all() and (chips[0, 30:120, 80:] == 1).all()


def test_the_slope_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 40, 40, 3, generator=generator, dtype=torch.float64)
    points = torch.stack([mean_face(0.2, 0.3, (20.0, 19.0)), mean_face(0.1, 0.1, (20.0, 19.0))])

    def chips(image, points):
        return face_chips(image, points, 9)  # chip pixels of 3.3 px, in a halved photograph, and of 1.7 px

    assert torch.autograd.gradcheck(
        chips, (image.requires_grad_(), points.requires_grad_()), eps=1e-7, atol=1e-5, fast_mode=True
    )


# dlib -----------------------------------------------------------------------------------------------------


@needs_dlib
def test_the_mean_face_is_that_of_dlib():
    """dlib's fit is linear in each point, by a factor that tells where the point lies in its mean face."""
    dlib, far = dlib_backend.load_dlib(), 10**7
    start = np.random.default_rng(0).integers(-far, far, (68, 2)) + np.linspace(0, 3 * far, 68)[:, None]

    def fitted(points):
        found = dlib.get_face_chip_details(of_dlib(points), 10**6, 0.0)
        corners = np.array([found.rect.left(), found.rect.top(), found.rect.right(), found.rect.bottom()])
        middle = complex(*(corners[:2] + corners[2:]) / 2)
        return (corners[2] - corners[0] + 1) * np.exp(1j * found.angle), middle

    (turn, middle), slopes = fitted(start), np.zeros(68, complex)
    for k in range(68):
        moved = start.copy()
        moved[k, 0] += far
        slopes[k] = (fitted(moved)[0] - turn) / far
    used = np.abs(slopes) > 1e-7
    assert np.flatnonzero(used).tolist() == list(FITTED)
    centred = np.conj(slopes[used]) / (np.abs(slopes[used]) ** 2).sum()
    mean = 0.5 + 0.5j - (middle - (start[used] @ [1, 1j]).mean()) / turn
    found = centred + mean
    np.testing.assert_allclose(np.stack([found.real, found.imag], 1), MEAN_FACE, rtol=0, atol=1e-6)


@needs_dlib
@pytest.mark.parametrize(("scale", "angle"), [(0.7, -1.0), (1.5, 0.3), (1.9, 2.0)])
def test_pixels_lie_where_those_of_dlib_do(scale, angle):
    points = mean_face(scale, angle, (300.0, 310.0)).round()
    image = ramps(600, 620)
    ours = face_chips(image, points[None])[0]
    for k in range(3):
        theirs = dlib_backend.load_dlib().get_face_chip(
            image[0, ..., k].contiguous().numpy(), of_dlib(points)
        )
        np.testing.assert_allclose(ours[..., k], theirs, rtol=0, atol=2e-6)


@needs_dlib
@needs_weights
@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
@pytest.mark.parametrize("enlarged", [1, 3])
def test_a_photographs_chip_is_that_of_dlib(name, enlarged):
    photo = torch.from_numpy(read_photo(default_photos()[name]).image)[None].permute(0, 3, 1, 2)
    photo = torch.nn.functional.interpolate(photo, scale_factor=enlarged, mode="bicubic").clamp(0, 1)
    pixels = (photo[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
    points = torch.from_numpy(stored_points(name).points * enlarged).round()
    theirs = (
        torch.from_numpy(dlib_backend.load_dlib().get_face_chip(pixels.numpy(), of_dlib(points)))[None] / 255
    )
    ours = face_chips(pixels[None] / 255, points[None])
    assert (ours - theirs).abs().mean() < (0.003 if enlarged == 1 else 0.02)
    network = load_face_encoder()
    assert (network(ours) - network(theirs)).norm() < (0.01 if enlarged == 1 else 0.1)


# Bad input ------------------------------------------------------------------------------------------------


def test_points_that_are_no_face_are_refused():
    image, good = torch.zeros(2, 200, 200, 3), mean_face()
    line = good.clone()
    line[:, 1] = 2 * line[:, 0] + 3
    missing, unbounded = good.clone(), good.clone()
    missing[30, 0], unbounded[30, 0] = torch.nan, torch.inf
    for bad in (line, missing, unbounded, torch.full_like(good, 7.0)):
        with pytest.raises(ValueError, match=r"faces \[1\]"):
            face_chips(image, torch.stack([good, bad]))
    unused = good.clone()
    unused[:17] = torch.nan  # a jaw that was not found does not matter
    face_chips(image[:1], unused[None])


def test_arguments_of_another_shape_are_refused():
    image, points = torch.zeros(1, 200, 200, 3), mean_face()[None]
    for bad in (image[0], image[..., :2], image.to(torch.uint8)):
        with pytest.raises(ValueError, match="image must be"):
            face_chips(bad, points)
    for bad in (points[0], points[:, :67], points.expand(2, 68, 2)):
        with pytest.raises(ValueError, match="points must have shape"):
            face_chips(image, bad)
