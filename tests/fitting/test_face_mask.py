"""What is in front of a face: the parts of the estimate against oracles, then masks, glasses and bare faces."""

from math import log

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from helpers.camera import Camera
from helpers.crop import crop_face
from helpers.datasets import known_faces
from helpers.face_model import load
from helpers.fitting import FitModel, FitSettings, fit
from helpers.fitting.confidence import COVERED, parts_hidden
from helpers.fitting.face_mask import (
    COUPLING,
    LEAST_TRUST,
    PRIOR,
    REACH,
    SHADE,
    SIGMA,
    SWEEPS,
    Scene,
    best_light,
    colour_density,
    covered_share,
    explaining_light,
    face_probability,
    landmark_trust,
    log_likelihood,
    smoothed,
)
from helpers.fitting.parameters import FaceState
from helpers.fitting.pixel_term import see
from helpers.landmarks import stored_points
from helpers.lighting import DEFAULT_LIGHT, sh_basis, shade
from helpers.photo import default_photos, read_photo

EYES, MASK = (slice(36, 42), slice(42, 48)), (*range(2, 15), 29)
COLOURS = {"blue": (170, 200, 220), "white": (235, 235, 235), "black": (25, 25, 28)}


@pytest.fixture(scope="module")
def fit_model() -> FitModel:
    return FitModel(load("open", level=1))


@pytest.fixture(scope="module")
def faces(fit_model):
    return known_faces(fit_model.model, 12, seed=7)


def drawn_over(picture: np.ndarray, points: np.ndarray, colour: tuple[int, ...] | str | None):
    """A picture (H, W, 3) of bytes with a mask of some colour, or "glasses", and where (H, W) they are."""
    image, where = Image.fromarray(picture), Image.new("L", picture.shape[1::-1])
    reach = np.linalg.norm(points[36] - points[45]) * np.array([0.24, 0.17])
    for target, fill in ((ImageDraw.Draw(image), colour), (ImageDraw.Draw(where), 255)):
        if colour == "glasses":
            for eye in EYES:
                middle = points[eye].mean(0)
                target.ellipse(
                    [*(middle - reach), *(middle + reach)], fill=fill if fill == 255 else (10, 10, 12)
                )
        elif colour is not None:
            target.polygon([tuple(points[j]) for j in MASK], fill=fill)
    return np.asarray(image), np.asarray(where) > 0


def covered_faces(faces, colour):
    """The rendered faces with something drawn over them, and where it is."""
    pairs = [
        drawn_over((image * 255).byte().numpy(), points, colour)
        for image, points in zip(faces.image, faces.landmarks.numpy(), strict=True)
    ]
    images = torch.stack([torch.from_numpy(image.astype(np.float32) / 255) for image, _ in pairs])
    return images, torch.stack([torch.from_numpy(where) for _, where in pairs])


def true_state(faces) -> FaceState:
    c = faces.coefficients
    return FaceState(torch.cat([c.alpha, c.expression, c.beta], -1), faces.pose, faces.light)


def probability(fit_model, faces, image):
    state, valid = true_state(faces), torch.ones_like(image[..., 0])
    raster = see(fit_model, state, faces.camera)
    return raster, face_probability(fit_model, state, faces.camera, raster, image, valid)


def test_the_likelihood_is_a_normal_density():
    generator = torch.Generator().manual_seed(0)
    drawn, colour = torch.rand(2, 50, 3, generator=generator).double().unbind(0)
    covariance = SIGMA**2 * torch.eye(3).double() + SHADE**2 * drawn[:, :, None] * drawn[:, None]
    expected = torch.distributions.MultivariateNormal(drawn, covariance).log_prob(colour)
    assert torch.allclose(log_likelihood(colour, drawn), expected)


def test_the_density_of_colours_integrates_to_one_and_follows_the_surroundings():
    steps = (torch.arange(8) + 0.5) / 8
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).view(1, 8, 64, 3)
    density = colour_density(cube, (cube[..., 0] < 0.5).float())
    assert torch.allclose(density.mean(), torch.tensor(1.0))
    assert density[cube[..., 0] < 0.3].min() > 1 > 10 * density[cube[..., 0] > 0.7].max()
    assert torch.allclose(colour_density(cube, torch.zeros(1, 8, 64)), torch.tensor(1.0))  # nothing is known


def test_the_light_is_that_of_least_squares_with_the_prior_as_rows():
    generator = torch.Generator().manual_seed(1)
    colour, albedo = torch.rand(2, 1, 40, 3, generator=generator).double().unbind(0)
    basis = sh_basis(
        torch.nn.functional.normalize(torch.randn(1, 40, 3, generator=generator).double(), dim=-1)
    )
    weight, mean = torch.rand(1, 40, generator=generator).double(), torch.full((9, 3), 0.1).double()
    found = best_light(colour, albedo, basis, weight, 4 * torch.eye(27).double()[None], mean)
    for c in range(3):
        root = weight[0, :, None].sqrt()
        rows = torch.cat([root * albedo[0, :, c, None] * basis[0], 2 * torch.eye(9).double()])
        target = torch.cat([root[:, 0] * colour[0, :, c], 2 * mean[:, c]])
        assert torch.allclose(torch.linalg.lstsq(rows, target).solution, found[0, :, c])


def test_em_finds_the_light_of_a_ball_that_is_half_covered(fit_model):
    v, u = torch.meshgrid(torch.linspace(0.8, -0.8, 40), torch.linspace(-0.8, 0.8, 40), indexing="ij")
    normals = torch.nn.functional.normalize(torch.stack([u, v, torch.ones_like(u)], -1), dim=-1)[None]
    albedo = torch.tensor([0.75, 0.58, 0.5]).expand(1, 40, 40, 3)
    lit = shade(albedo, normals, DEFAULT_LIGHT[None])
    cloth = v[None, ..., None] < -0.05
    colour = torch.where(cloth, torch.tensor([0.67, 0.78, 0.86]), lit)
    ones, place = torch.ones(1, 40, 40), 80 * torch.stack([u, v], -1)[None] + fit_model.landmark_mean[33, :2]
    scene = Scene(colour, albedo, sh_basis(normals), ones, ones, place, 0 * ones)
    light = explaining_light(fit_model, scene, torch.tensor([False]))
    drawn = shade(albedo, normals, light)
    assert (drawn - lit)[~cloth[..., 0]].abs().max() < 0.03
    odds = log_likelihood(colour, drawn) + log(PRIOR / (1 - PRIOR))
    assert (odds[~cloth[..., 0]] > 3).all() and (odds[cloth[..., 0]] < -3).all()


def test_smoothing_is_the_mean_field_of_its_neighbours():
    ratio, face = torch.randn(1, 9, 11, generator=torch.Generator().manual_seed(2)), torch.ones(1, 9, 11)
    face[:, :, 9:] = 0
    expected = torch.sigmoid(ratio + log(PRIOR / (1 - PRIOR)))
    for _ in range(SWEEPS):
        before = expected.clone()
        for y in range(9):
            for x in range(9):
                rows, columns = (
                    slice(max(0, y - REACH), y + REACH + 1),
                    slice(max(0, x - REACH), min(9, x + REACH + 1)),
                )
                vote = (2 * before[0, rows, columns] - 1).mean()
                expected[0, y, x] = torch.sigmoid(ratio[0, y, x] + log(PRIOR / (1 - PRIOR)) + COUPLING * vote)
    assert torch.allclose(smoothed(ratio, face)[..., :9], expected[..., :9], atol=1e-5)


def test_nothing_hides_a_bare_face_of_any_tone(fit_model, faces):
    raster, face = probability(fit_model, faces, faces.image)
    tone = fit_model.model.texture(faces.coefficients.beta).mean((1, 2))
    assert tone.max() - tone.min() > 0.2  # there are dark and light people
    assert covered_share(fit_model, raster, torch.ones_like(face), face).max() < 0.02
    dark = faces.image * 0.5  # nor does little light
    raster, face = probability(fit_model, faces, dark)
    assert covered_share(fit_model, raster, torch.ones_like(face), face).max() < 0.03


@pytest.mark.parametrize(("colour", "least"), [("blue", 0.9), ("white", 0.9), ("glasses", 0.65)])
def test_what_hides_a_rendered_face_is_found(fit_model, faces, colour, least):
    image, where = covered_faces(faces, COLOURS.get(colour, colour))
    raster, face = probability(fit_model, faces, image)
    skin = (fit_model.triangle_weight[raster.triangle_id.long().clamp(min=0)] > 0.5) & raster.mask
    found, true = (face < 0.5) & skin, where & skin
    overlap = (found & true).sum((1, 2)) / (found | true).sum((1, 2))
    assert overlap.mean() > least, overlap


def test_points_on_what_hides_the_face_count_little():
    face = torch.ones(1, 224, 224)
    face[:, :90] = 0.0
    points = torch.full((1, 68, 2), 112.0)
    points[:, 17:27, 1] = 60.0  # brows, on a hat
    trust = landmark_trust(face, points)
    assert (trust[:, 17:27] == LEAST_TRUST).all() and (trust[:, 27:] == 1).all()


@pytest.mark.slow
def test_covered_photographs_are_doubted_and_bare_ones_believed(fit_model):
    """Whatever the colour of a mask, what is below it is a guess."""
    crops, wanted = [], []
    for who, path in default_photos().items():
        picture, points = np.asarray(Image.open(path).convert("RGB")), stored_points(who).points
        for colour in (None, *COLOURS.values(), (205, 165, 145), "glasses"):
            crops.append(crop_face(drawn_over(picture, points, colour)[0] / 255.0, points))
            wanted.append("covered" if colour else "")
    image, landmarks, valid = (
        torch.cat([getattr(crop, name) for crop in crops]).float() for name in ("image", "landmarks", "valid")
    )
    result = fit(image, landmarks, fit_model, valid=valid)
    assert result.reason == wanted
    covered = result.code == COVERED
    assert result.covered[covered].min() > 0.1 > result.covered[~covered].max()
    assert f"{100 * float(result.covered[1]):.0f} % of the face" in result.explain(1)
    # A mask's pixels have no weight, and the shape stays near the mean face's where nothing is to be seen.
    blue = fit(image[1:2], landmarks[1:2], fit_model, settings=FitSettings(face_mask=False))
    assert (blue.face_probability == 1).all() and result.pixel_weight[1].sum() < 0.7 * blue.pixel_weight.sum()
    assert result.alpha[1].norm() < blue.alpha.norm()


@pytest.mark.slow
def test_misplaced_landmarks_are_doubted(fit_model):
    crops = [
        crop_face(read_photo(path).image, stored_points(who).points) for who, path in default_photos().items()
    ]
    image, landmarks, valid = (
        torch.cat([getattr(crop, name) for crop in crops]) for name in ("image", "landmarks", "valid")
    )
    side = (landmarks.amax(1) - landmarks.amin(1)).amax(-1)[:, None, None]
    mouth = torch.zeros(68, 1)
    mouth[48:] = 1
    tried = [
        landmarks + 0.15 * side * torch.tensor([1.0, 0.0]),
        landmarks + 0.15 * side * torch.tensor([0.0, 1.0]),
        landmarks + 0.15 * side * torch.tensor([0.0, -1.0]),
        landmarks + mouth * torch.tensor([20.0, 0.0]),
    ]
    n = len(tried)
    result = fit(image.repeat(n, 1, 1, 1), torch.cat(tried), fit_model, valid=valid.repeat(n, 1, 1))
    assert not result.ok.any(), result.reason


def test_a_part_is_hidden_without_its_edges_or_its_pixels():
    picture = torch.rand(1, 112, 112, 3, generator=torch.Generator().manual_seed(3))
    regions = torch.zeros(1, 2, 112, 112, dtype=torch.bool)
    regions[:, 0, 60:100, 20:80] = regions[:, 1, 10:50, 20:80] = True
    face = torch.ones(1, 112, 112)
    flat = torch.full_like(picture, 0.5)

    def hidden(image):
        return parts_hidden(image, picture, face, regions)[0].tolist()

    assert hidden(picture) == [False, False]
    assert hidden(flat) == [True, False]  # smooth cloth; eyes in the shade are eyes
    face[:, :55] = 0.7
    assert hidden(flat) == [True, True] and hidden(picture) == [False, False]
    face[:, :55] = 0.5  # mostly something else, whatever its edges
    assert hidden(picture) == [False, True]


def test_a_grid_of_another_size_gives_the_same_mask(fit_model, faces):
    image, _ = covered_faces(faces, COLOURS["blue"])
    image = image[:2]
    finer = torch.nn.functional.interpolate(image.permute(0, 3, 1, 2), scale_factor=1.5).permute(0, 2, 3, 1)
    camera = Camera(
        1.5 * faces.camera.focal[:2], (faces.camera.principal_point[:2] + 0.5) * 1.5 - 0.5, (336, 336)
    )
    whole = true_state(faces)
    pose = type(whole.pose)(whole.pose.rotation_vector[:2], whole.pose.translation[:2])
    state = FaceState(whole.coefficients[:2], pose, whole.light[:2])
    shares = []
    for picture, cam in ((image, None), (finer, camera)):
        cam = cam or Camera(faces.camera.focal[:2], faces.camera.principal_point[:2], faces.camera.size)
        raster, valid = see(fit_model, state, cam), torch.ones_like(picture[..., 0])
        face = face_probability(fit_model, state, cam, raster, picture, valid)
        assert face.shape == picture.shape[:3]
        shares.append(covered_share(fit_model, raster, valid, face))
    assert (shares[0] - shares[1]).abs().max() < 0.05
