"""Synthetic people: every photograph the same however it is asked for, and its truth true."""

import io
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.crop import authors_crop
from helpers.datasets import Nuisances, SyntheticPeople
from helpers.datasets.backgrounds import (
    COLOUR,
    GREY,
    PATTERN,
    PHOTOGRAPH,
    PHOTOGRAPHS,
    Backgrounds,
    patterns,
    photographs,
)
from helpers.datasets.damage import add_noise, blur_by, blur_by_motion, noise_table, through_jpeg, transformed
from helpers.datasets.occluders import Occluders
from helpers.datasets.random_streams import RandomStreams
from helpers.face_model import load
from helpers.fitting import fit
from helpers.landmarks.detection import Detection
from helpers.lighting import DEFAULT_LIGHT, ColourTransform
from helpers.rendering import render

HARD = Nuisances.photographs()


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


@pytest.fixture(scope="module")
def people(model):
    return SyntheticPeople(model, 6, 4, seed=3, size=64, nuisances=HARD)


@pytest.fixture(scope="module")
def all_of_them(people):
    return people.batch(torch.arange(len(people)))


def agree(some, rows, whole):
    """Whether the photographs of a batch are those rows of a larger one. Products of other sizes round otherwise, which
    moves a vertex by 1e-5 mm, and now and then the one pixel that shows it."""
    assert torch.equal(some.person, whole.person[rows])
    for a, b in (
        (some.coefficients.expression, whole.coefficients.expression[rows]),
        (some.pose.rotation_vector, whole.pose.rotation_vector[rows]),
        (some.light, whole.light[rows]),
    ):
        assert torch.equal(a, b)
    torch.testing.assert_close(some.vertices, whole.vertices[rows], atol=1e-4, rtol=0)
    torch.testing.assert_close(some.landmarks, whole.landmarks[rows], atol=1e-3, rtol=0)
    torch.testing.assert_close(some.confidence, whole.confidence[rows], atol=1e-4, rtol=0)
    assert ((some.image - whole.image[rows]).abs().amax(-1) > 0.02).float().mean() < 0.003
    assert (some.triangle_id != whole.triangle_id[rows]).float().mean() < 0.003


@pytest.mark.parametrize("rows", [[5], [23, 0, 7], [7, 7], list(range(20))])
def test_a_photograph_is_the_same_alone_in_any_subset_and_any_order(people, all_of_them, rows):
    agree(people.batch(torch.tensor(rows)), rows, all_of_them)


@pytest.mark.parametrize("size", [5, 24])
def test_batches_of_any_size_hold_every_photograph_once(people, all_of_them, size):
    batches = list(people.batches(size))
    assert sum(map(len, batches)) == len(people) == 24
    agree(batches[-1], list(range(24))[-len(batches[-1]) :], all_of_them)


def test_persons_and_their_photographs_do_not_depend_on_how_many_there_are(model, people, all_of_them):
    fewer = SyntheticPeople(model, 2, 3, seed=3, size=64, nuisances=HARD)
    assert torch.equal(fewer.coefficients.alpha, people.coefficients.alpha[:2])
    agree(fewer.batch(torch.arange(6)), [0, 1, 2, 4, 5, 6], all_of_them)


def test_another_seed_is_other_people(model, people):
    other = SyntheticPeople(model, 6, 4, seed=4, size=64)
    assert (other.coefficients.alpha - people.coefficients.alpha).abs().min() > 0
    assert len(people.coefficients.alpha.unique(dim=0)) == 6


def test_photograph_i_shows_person_i_over_photos(people, all_of_them):
    assert all_of_them.person.tolist() == [i // 4 for i in range(24)]
    assert torch.equal(all_of_them.coefficients.alpha, people.coefficients.alpha[all_of_them.person])
    assert torch.equal(all_of_them.coefficients.beta, people.coefficients.beta[all_of_them.person])


def test_the_truth_is_that_of_the_picture(model, people, all_of_them):
    """Rendering the truth gives the picture again, but for what the camera and the file did to it."""
    b = all_of_them
    expressed = model.shape(b.coefficients.alpha, b.coefficients.expression)
    unlike = b.neutral - model.shape(b.coefficients.alpha)  # the same with and without expression
    lids = model.masks["gaze"] == 0  # eyes turn besides
    torch.testing.assert_close((expressed + unlike)[:, lids], b.vertices[:, lids], atol=1e-3, rtol=0)
    bare = replace(HARD, wardrobe=0.0, unlike_shape=0.0, unlike_skin=0.0)
    quiet = replace(bare, occluders=0.0, blur=0.0, motion=0.0, noise=0.0, jpeg=0.0, background=0.0)
    for framing in ("network", "fit"):
        b = SyntheticPeople(model, 2, 4, seed=3, size=64, nuisances=quiet, framing=framing).batch(
            torch.arange(8)
        )
        torch.testing.assert_close(model.shape(b.coefficients.alpha), b.neutral, atol=1e-3, rtol=0)
        drawn = render(
            b.vertices,
            model.triangles,
            model.texture(b.coefficients.beta),
            b.pose,
            b.camera,
            b.light,
            background=0.5,
        )
        torch.testing.assert_close(b.colour(drawn.image).clamp(0, 1), b.image, atol=1e-4, rtol=0)
        assert torch.equal(drawn.triangle_id, b.triangle_id)


def test_landmarks_are_projections_with_the_noise_that_is_told(model):
    nuisances = replace(Nuisances(), occluders=0.0)
    b = SyntheticPeople(model, 10, 10, size=64, nuisances=nuisances).batch(torch.arange(100))
    truth = project(model_to_camera(b.vertices[:, model.landmarks], b.pose), b.camera)[..., :2]
    error = (b.landmarks - truth) / b.landmark_noise[:, None, None]
    assert abs(error.mean()) < 0.03 and abs(error.std() - 1) < 0.03
    assert b.landmark_noise.min() > 0


def test_no_nuisance_is_a_plain_render_with_perfect_landmarks(model):
    people = SyntheticPeople(model, 3, 2, size=64, framing="fit", nuisances=Nuisances.none())
    b = people.batch(torch.arange(6))
    truth = project(model_to_camera(b.vertices[:, model.landmarks], b.pose), b.camera)[..., :2]
    torch.testing.assert_close(b.landmarks, truth, atol=1e-4, rtol=0)
    assert torch.equal(b.light, DEFAULT_LIGHT.expand(6, 9, 3))
    assert (
        (b.pose.rotation_vector == 0).all()
        and (b.coefficients.expression == 0).all()
        and (b.confidence == 1).all()
    )
    light = DEFAULT_LIGHT[None]
    plain = render(
        b.neutral,
        model.triangles,
        model.texture(b.coefficients.beta),
        b.pose,
        b.camera,
        light,
        background=0.5,
    )
    torch.testing.assert_close(b.image, plain.image.clamp(0, 1), atol=1e-5, rtol=0)
    # Two photographs of one person are then the same.
    torch.testing.assert_close(b.image[0], b.image[1], atol=1e-5, rtol=0)


def test_the_network_crop_is_that_of_the_authors_code(model):
    """A photograph with a face anywhere in it, cropped by `authors_crop`, frames the face alike."""
    nuisances = replace(Nuisances(), jitter=0.0, occluders=0.0)
    b = SyntheticPeople(model, 4, 4, size=128, nuisances=nuisances).batch(torch.arange(16))
    for image, points in zip(b.image, b.landmarks, strict=True):
        wide = np.zeros((200, 260, 3), np.float32)
        wide[30:158, 70:198] = image
        moved = points.numpy() + np.float32([70, 30])
        crop = authors_crop(wide, Detection.from_points(moved), size=128)
        # The crop has the same scale and the same place, so the points stay where they were.
        np.testing.assert_allclose(crop.landmarks[0], points, atol=0.02)


def test_jitter_moves_the_crop_and_the_camera_with_it(model):
    still, moved = (
        SyntheticPeople(model, 2, 4, size=64, framing=f, nuisances=replace(Nuisances.none(), jitter=j)).batch(
            torch.arange(8)
        )
        for f, j in (("network", 0.0), ("network", 0.05))
    )
    truth = project(model_to_camera(moved.vertices[:, model.landmarks], moved.pose), moved.camera)[..., :2]
    torch.testing.assert_close(moved.landmarks, truth, atol=1e-3, rtol=0)
    away = (moved.landmarks.mean(1) - still.landmarks.mean(1)).abs()
    assert 0.5 < away.mean() and away.max() < 0.08 * 64


def test_confidence_falls_with_what_makes_a_photograph_hard(model):
    harder = replace(HARD, jpeg=0.0, landmark_share=0.0, max_yaw=50.0, occluders=0.25, blur=2.0, noise=0.06)
    b = SyntheticPeople(model, 100, 3, size=64, nuisances=harder).batch(torch.arange(300))
    truth = project(model_to_camera(b.vertices[:, model.landmarks], b.pose), b.camera)[..., :2]
    error = (b.landmarks - truth).norm(dim=-1).mean(1)
    order = b.confidence.argsort()
    assert error[order[:100]].mean() > 1.5 * error[order[-100:]].mean()
    yaw = b.pose.yaw_pitch_roll()[:, 0].abs()
    assert b.confidence[yaw < 15].mean() > b.confidence[yaw > 35].mean() + 0.1
    assert 0 < b.confidence.min() and b.confidence.max() < 1


def test_what_is_hidden_is_not_visible(model):
    open_, hidden = (
        SyntheticPeople(model, 20, 1, size=64, nuisances=replace(Nuisances.none(), occluders=s)).batch(
            torch.arange(20)
        )
        for s in (0.0, 1.0)
    )
    assert ((hidden.visible <= open_.visible).all()) and hidden.visible.sum() < 0.95 * open_.visible.sum()
    assert 0.3 < open_.visible[:, model.masks["skin"] > 0.5].mean() < 1


def test_statistics_of_people_and_photographs(model):
    people = SyntheticPeople(model, 300, 1, size=32)
    alpha = people.coefficients.alpha
    assert abs(alpha.mean()) < 0.03 and abs(alpha.std() - 1) < 0.03
    b = people.batch(torch.arange(300))
    yaw = torch.rad2deg(b.pose.rotation_vector[:, 1])
    assert yaw.abs().max() <= 35.01 and yaw.abs().max() > 33 and abs(yaw.mean()) < 4
    focal = b.camera.focal
    assert focal.max() / focal.min() > 2
    assert abs(b.coefficients.expression.std() - 0.6) < 0.02


def test_a_lamp_is_told_with_its_colours(model):
    quiet = replace(Nuisances.none(), light=1.0, colour=1.0, lamp=True)
    b = SyntheticPeople(model, 3, 1, size=64, nuisances=quiet).batch(torch.arange(3))
    assert b.light.shape == (3, 15)
    assert torch.equal(b.light[:, 9:12], b.colour.gain)
    assert len(b.light.unique(dim=0)) == 3


@pytest.mark.slow
def test_an_ordinary_fit_finds_the_person_in_the_fit_framing(model):
    full = load("open", level=1)
    nuisances = replace(Nuisances(), occluders=0.0, blur=0.0, noise=0.01, max_yaw=20.0)
    people = SyntheticPeople(full, 3, 1, size=112, framing="fit", nuisances=nuisances)
    b = people.batch(torch.arange(3))
    found = fit(b.image, b.landmarks, full)
    guess = full.shape(found.alpha)
    error = (guess - b.neutral)[:, full.masks["skin"] > 0.5].norm(dim=-1).mean()
    mean_face = (full.mean_shape - b.neutral)[:, full.masks["skin"] > 0.5].norm(dim=-1).mean()
    assert error < mean_face


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": 0}, "people"),
        ({"photos": 1.5}, "photos"),
        ({"size": -3}, "size"),
        ({"framing": "wide"}, "framing"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, change, message):
    with pytest.raises(ValueError, match=message):
        SyntheticPeople(model, **{"people": 2, "photos": 2, **change})


def test_numbers_out_of_range_are_refused(people, model):
    for wrong in ([24], [-1]):
        with pytest.raises(IndexError, match="0 to 23"):
            people.batch(torch.tensor(wrong))
    for wrong in (torch.zeros(0, dtype=torch.long), torch.zeros(2, 2, dtype=torch.long)):
        with pytest.raises(ValueError, match="indices"):
            people.batch(wrong)
    for wrong in ({"blur": -1.0}, {"jpeg": 1.5}, {"noise": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Nuisances(**wrong)
    with pytest.raises(ValueError, match="landmarks"):
        SyntheticPeople(replace(model, landmarks=None), 2, 2)


# The pieces.


def test_streams_of_numbers_are_apart_and_repeatable():
    keys = [(0, 1, 2), (0, 2, 1), (1, 1, 2), (0, 1, 3)]
    rows = [RandomStreams(seed, [p], [n]).uniform(name, 50)[0] for seed, p, n in keys for name in ("a", "b")]
    rows.append(RandomStreams(0, [1]).uniform("a", 50)[0])  # of the person
    assert len(torch.cat(rows).unique()) > 50 * len(rows) - 3  # of 450 floats two may agree by chance
    assert torch.equal(rows[0], RandomStreams(0, [1], [2]).uniform("a", 50)[0])


def test_a_stream_does_not_depend_on_what_else_is_drawn():
    together = RandomStreams(5, [3, 1, 3], [0, 0, 7])
    together.normal("before", 5)
    alone = RandomStreams(5, [3], [7]).normal("noise", 4, 2)
    assert torch.equal(together.normal("noise", 4, 2)[2:], alone)
    longer = RandomStreams(5, [3], [7]).normal("noise", 9)
    assert torch.equal(alone.flatten(1), longer[:, :8])
    with pytest.raises(ValueError, match="'before' has been drawn already"):
        together.normal("before")


def test_streams_have_the_distributions_that_are_asked_for():
    streams = RandomStreams(0, range(200), [0] * 200)
    uniform = streams.uniform("u", 50, low=-2, high=4).flatten()
    assert scipy.stats.kstest(uniform.numpy(), scipy.stats.uniform(-2, 6).cdf).pvalue > 0.01
    normal = streams.normal("n", 50, sigma=3).flatten()
    assert scipy.stats.kstest(normal.numpy(), scipy.stats.norm(0, 3).cdf).pvalue > 0.01
    first, second = streams.normal("x", 1).flatten(), streams.normal("y", 1).flatten()
    assert scipy.stats.pearsonr(first.numpy(), second.numpy()).pvalue > 0.01


def test_a_nuisance_that_is_turned_off_leaves_the_others_as_they_were(model):
    """Each quantity has its own stream: without JPEG, or with a lamp, face, pose and background stay."""
    one, other = (
        SyntheticPeople(model, 2, 2, seed=3, size=64, nuisances=n).batch(torch.arange(4))
        for n in (HARD, replace(HARD, jpeg=0.0, lamp=True, occluders=0.0, colour=0.0))
    )
    assert torch.equal(one.pose.rotation_vector, other.pose.rotation_vector)
    assert torch.equal(one.coefficients.expression, other.coefficients.expression)
    assert not torch.equal(one.image, other.image)


def test_blur_is_scipys():
    image = torch.rand(3, 20, 24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = torch.tensor([0.0, 0.7, 1.5], dtype=torch.float64)
    blurred = blur_by(image, sigma, 1.5)
    torch.testing.assert_close(blurred[0], image[0])
    for k in (1, 2):
        expected = gaussian_filter(image[k].numpy(), float(sigma[k]), axes=(0, 1), mode="nearest", radius=5)
        torch.testing.assert_close(blurred[k], torch.from_numpy(expected))


def test_motion_blur_is_the_mean_along_the_path():
    image = torch.rand(3, 20, 24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blurred = blur_by_motion(image, torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, -2.0]]))
    torch.testing.assert_close(blurred[0], image[0])
    for k, axis in ((1, 1), (2, 0)):  # from −1 to 1 px: half of the pixel itself, a quarter of each neighbour
        left, right = image[k].roll(1, axis), image[k].roll(-1, axis)
        expected = 0.5 * image[k] + 0.25 * (left + right)
        inner = (slice(2, -2), slice(2, -2))
        torch.testing.assert_close(blurred[k][inner], expected[inner], atol=1e-6, rtol=0)


def test_eyes_turn_to_the_camera_or_wander_and_nothing_else_moves(model):
    straight = SyntheticPeople(model, 40, 1, seed=3, size=64, nuisances=replace(HARD, gaze=0.0))
    a, b = (
        SyntheticPeople(model, 40, 1, seed=3, size=64, nuisances=replace(HARD, gaze=g)).batch(
            torch.arange(40)
        )
        for g in (0.0, 0.6)
    )
    assert torch.equal(a.vertices, straight.batch(torch.arange(40)).vertices)
    assert torch.equal(a.landmarks, b.landmarks)
    moved = (a.vertices - b.vertices).norm(dim=-1)
    assert moved[:, model.masks["gaze"] == 0].max() == 0
    turned = moved.amax(1) > 0.05
    assert 0.3 < turned.float().mean() < 0.9


def test_colours_are_those_of_the_transform():
    g = torch.Generator().manual_seed(0)
    image = torch.rand(2, 5, 4, 3, generator=g, dtype=torch.float64)
    colour = ColourTransform(
        *(torch.rand(2, *shape, generator=g, dtype=torch.float64) for shape in ((), (3,), (3,)))
    )
    torch.testing.assert_close(transformed(image, colour), colour(image))


def test_patterns_are_smooth_surfaces_through_their_colours():
    colours = torch.rand(2, 5, 5, 3, generator=torch.Generator().manual_seed(0)) / 2 + 0.25
    surface = patterns(colours, 41)
    torch.testing.assert_close(surface[:, ::10, ::10], colours, atol=1e-5, rtol=0)
    expected = torch.nn.functional.interpolate(
        colours.permute(0, 3, 1, 2), (41, 41), mode="bicubic", align_corners=True
    )
    torch.testing.assert_close(surface, expected.permute(0, 2, 3, 1).clamp(0, 1), atol=1e-5, rtol=0)


def test_noise_has_its_size_and_belongs_to_its_start():
    table = noise_table(0)
    image = torch.full((3, 40, 40, 3), 0.5)
    noisy = add_noise(image, torch.tensor([0.0, 0.05, 0.05]), torch.tensor([0.1, 0.3, 0.6]), table) - image
    assert noisy[0].abs().max() == 0
    assert abs(noisy[1].std() - 0.05) < 0.003 and abs(noisy[2].std() - 0.05) < 0.003
    assert abs((noisy[1] * noisy[2]).mean()) < 2e-4


def test_jpeg_is_pillows():
    image = torch.rand(3, 16, 16, 3, generator=torch.Generator().manual_seed(0))
    result = through_jpeg(image, torch.tensor([0.0, 90.0, 30.0]))
    assert torch.equal(result[0], image[0])
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.round(image[1].numpy() * 255))).save(file, "JPEG", quality=90)
    expected = np.asarray(Image.open(io.BytesIO(file.getvalue())), np.float32) / 255
    np.testing.assert_allclose(result[1], expected, atol=1e-6)
    assert (result[2] - image[2]).abs().mean() > (result[1] - image[1]).abs().mean()


def test_backgrounds_are_of_the_shares_asked_for():
    streams = RandomStreams(0, range(3000), [0] * 3000)
    counts = Backgrounds.draw(streams, 0.6).kind.bincount(minlength=4)
    for kind, share in ((GREY, 0.4), (COLOUR, 0.15), (PATTERN, 0.15), (PHOTOGRAPH, 0.3)):
        assert abs(counts[kind] / 3000 - share) < 0.03
    assert (Backgrounds.draw(RandomStreams(0, range(50)), 0.0).kind == GREY).all()
    assert (Backgrounds.draw(RandomStreams(0, range(50)), 1.0).kind != GREY).all()


def test_backgrounds_are_of_their_kinds():
    drawn = Backgrounds.draw(RandomStreams(0, range(4)), 1.0)
    images = replace(drawn, kind=torch.tensor([GREY, COLOUR, PATTERN, PHOTOGRAPH])).images(32)
    assert (images[0] == 0.5).all() and (images[1] == drawn.colour[1]).all()
    assert torch.equal(images[2], patterns(drawn.pattern[2:3], 32)[0])
    assert images[3].flatten(0, 1).std(0).amax() > 0.01
    assert images.min() >= 0 and images.max() <= 1


def test_the_photographs_come_with_scikit_image():
    assert len(photographs(48)) == 3 * len(PHOTOGRAPHS)
    assert all(min(p.shape[:2]) > 48 for p in photographs(48))


def test_shapes_cover_what_geometry_says():
    one = torch.ones(1)
    ellipse = Occluders(
        one > 0, torch.tensor([[10.0, 12.0]]), torch.tensor([[6.0, 3.0]]), 0 * one, 2 * one, torch.zeros(1, 3)
    )
    turned = replace(ellipse, turn=one * torch.pi / 2)
    points = torch.tensor([[[15.9, 12.0], [10.0, 14.9], [16.1, 12.0], [10.0, 15.1], [14.5, 14.5]]])
    assert ellipse.covers(points).tolist() == [[True, True, False, False, False]]
    assert turned.covers(points).tolist() == [[False, True, False, True, False]]
    large = replace(ellipse, centre=torch.tensor([[31.3, 30.7]]), radius=torch.tensor([[25.0, 14.0]]))
    assert abs(large.masks(64).sum() / (torch.pi * 25 * 14) - 1) < 0.02
    moved = ellipse.moved(torch.tensor([[2.0, 3.0]]), torch.tensor([2.0]))
    assert torch.equal(moved.covers((points - torch.tensor([2.0, 3.0])) * 2), ellipse.covers(points))
    assert not replace(ellipse, present=one < 0).masks(32).any()


def test_the_truth_lets_a_camera_see_the_same(model):
    """Camera and pose are all that is needed to project: no offset of half a pixel is left anywhere."""
    b = SyntheticPeople(model, 1, 1, size=64, nuisances=Nuisances.none()).batch(torch.tensor([0]))
    camera = Camera(b.camera.focal * 2, b.camera.principal_point * 2 + 0.5, (128, 128))
    light = DEFAULT_LIGHT[None]
    large = render(
        b.vertices,
        model.triangles,
        model.texture(b.coefficients.beta),
        Pose(b.pose.rotation_vector, b.pose.translation),
        camera,
        light,
        background=0.5,
    )
    small = large.image.view(1, 64, 2, 64, 2, 3).mean((2, 4))
    assert (small - b.image).abs().mean() < 0.01
