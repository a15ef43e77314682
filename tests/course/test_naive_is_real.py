"""The functions that notebooks write by hand are the ones of `helpers`: the same values and slopes on random inputs.

`helpers.course.naive.PAIRS` lists them. Each has a comparison here, which takes the function out of the stored notebook.
"""

from functools import cache
from pathlib import Path

import pytest
import roma
import torch

from helpers import camera as cameras
from helpers import lighting, rasterizer, rendering
from helpers import pose as poses
from helpers.camera import Camera, Pose
from helpers.course.naive import PAIRS, code_of, take
from helpers.course.names import resolve
from helpers.face_model import load
from helpers.face_model.alignment import align_onto
from helpers.rasterizer.reference import surface_weights
from helpers.rendering import antialias

ROOT = Path(__file__).parents[2]
SEEDS = (0, 1, 2)
COMPARISONS = {}
CUBE = torch.tensor(
    [
        [0, 1, 3],
        [0, 3, 2],
        [4, 6, 7],
        [4, 7, 5],
        [0, 4, 5],
        [0, 5, 1],
        [2, 3, 7],
        [2, 7, 6],
        [0, 2, 6],
        [0, 6, 4],
        [1, 5, 7],
        [1, 7, 3],
    ]
)


def comparison(*functions):
    """Register a comparison of these functions of a notebook. It is called as f(functions' taker, generator)."""

    def register(compare):
        for function in functions:
            COMPARISONS[function] = compare
        return compare

    return register


def check(naive, real, inputs, pair, generator):
    """Values, and the slopes of a random sum of them by every input."""
    inputs = [
        each.clone().requires_grad_(each.is_floating_point() and pair.slopes_within is not None)
        for each in inputs
    ]
    values = [flat(function(*inputs)) for function in (naive, real)]
    torch.testing.assert_close(values[0], values[1].to(values[0]), atol=pair.within, rtol=0)
    if pair.slopes_within is not None:
        weights = torch.randn(values[0].shape, generator=generator, dtype=values[0].dtype)
        slopes = [torch.autograd.grad((v * weights.to(v)).sum(), inputs, retain_graph=True) for v in values]
        assert any(slope.abs().max() > 0 for slope in slopes[0]), "a comparison of zeros proves nothing"
        for ours, theirs in zip(*slopes, strict=True):
            torch.testing.assert_close(
                ours, theirs.to(ours), atol=pair.slopes_within, rtol=pair.slopes_within
            )


def flat(result):
    """Tensors and numbers, nested or not, as one vector."""
    if isinstance(result, (tuple, list)):
        return torch.cat([flat(each) for each in result])
    return torch.as_tensor(result).reshape(-1)


@cache
def function_of(notebook, name):
    return take(notebook, (name,), ROOT)[0]


@cache
def face(level=0):
    return load("open", level=level).to(torch.float64)


def randn(generator, *shape, scale=1.0):
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def rand(generator, *shape):
    return torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.notebook}-{pair.functions[0]}")
@pytest.mark.slow
def test_notebook_function_is_the_real_one(pair, seed):
    for name in pair.functions:
        assert name in COMPARISONS, f"{name} has no comparison in this file"
        COMPARISONS[name](name, pair, torch.Generator().manual_seed(seed))


def test_table_and_comparisons_name_the_same_functions():
    listed = [name for pair in PAIRS for name in pair.functions]
    assert sorted(listed) == sorted(COMPARISONS)
    for pair in PAIRS:
        for name in pair.real:
            resolve(name)


def test_a_missing_function_is_noticed():
    with pytest.raises(LookupError, match="notebook 01 has no function no_such"):
        take("01", ("no_such",), ROOT)
    assert "turned_onto" in code_of("01", ROOT)[1]


def test_a_wrong_function_is_noticed():
    pair = next(pair for pair in PAIRS if pair.functions == ("basis_by_hand",))
    inputs = [torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)]
    with pytest.raises(AssertionError):
        check(
            lambda n: 1.001 * lighting.sh_basis(n),
            lighting.sh_basis,
            inputs,
            pair,
            torch.Generator().manual_seed(0),
        )
    with pytest.raises(AssertionError):  # the same value, another slope
        check(
            lambda n: lighting.sh_basis(n.detach()) + 0 * n.sum(),
            lighting.sh_basis,
            inputs,
            pair,
            torch.Generator().manual_seed(0),
        )


# Notebook 01


@comparison("turned_onto")
def _(name, pair, g):
    turned_onto = function_of("01", name)
    head, goal = randn(g, 20, 3, scale=50), randn(g, 20, 3, scale=50)
    check(turned_onto, lambda head, goal: align_onto(head[None], goal)[0], (head, goal), pair, g)


@comparison("all_turned_onto")
def _(name, pair, g):
    heads, goal = randn(g, 4, 20, 3, scale=50), randn(g, 20, 3, scale=50)
    check(function_of("01", name), align_onto, (heads, goal), pair, g)


@comparison("shape_by_loops")
def _(name, pair, g):
    by_loops, some = function_of("01", name), [0, 7, 1000]
    check(
        lambda a: by_loops(face(), a, some),
        lambda a: face().shape(a[None])[0, some],
        (randn(g, 99),),
        pair,
        g,
    )


@comparison("shape_by_tensors")
def _(name, pair, g):
    by_tensors = function_of("01", name)
    check(lambda a: by_tensors(face(), a), face().shape, (randn(g, 2, 99),), pair, g)


# Notebook 02


def a_view(g):
    """Rotation vector, translation in mm, focal length and principal point in px."""
    return (
        randn(g, 3, scale=0.4),
        randn(g, 3, scale=30) + torch.tensor([0.0, 0, 900]),
        500 + 500 * rand(g),
        100 + 20 * rand(g, 2),
    )


@comparison("project_one")
def _(name, pair, g):
    project_one = function_of("02", name)

    def naive(P, r, t, f, c):
        return project_one(P, roma.rotvec_to_rotmat(r), t, f, c)

    def real(P, r, t, f, c):
        return cameras.project(
            cameras.model_to_camera(P[None, None], Pose(r[None], t[None])),
            Camera(f[None], c[None], (224, 224)),
        )[0]

    check(naive, real, (randn(g, 3, scale=80), *a_view(g)), pair, g)


@comparison("weights_one")
def _(name, pair, g):
    weights_one = function_of("02", name)
    corners, pixel = 10 * rand(g, 3, 2), 10 * rand(g, 2)

    def real(corners, pixel):
        flat_triangle = torch.cat([corners, torch.full((3, 1), 1000.0).double()], -1)
        return surface_weights(flat_triangle, pixel[0], pixel[1])[0]

    check(weights_one, real, (corners, pixel), pair, g)


def triangles_on_screen(g, turned=0.7):
    """A cube in a random pose, on an image of 24 × 24 px."""
    corners = torch.tensor([[x, y, z] for x in (-50, 50) for y in (-50, 50) for z in (-50, 50)]).double()
    pose = Pose(randn(g, 1, 3, scale=turned), torch.tensor([[0.0, 0, 600]]).double())
    return cameras.project(
        cameras.model_to_camera(corners[None], pose), Camera.default(24, focal=85.0, dtype=torch.float64)
    )


@comparison("z_buffer", "z_buffer_tensor")
def _(name, pair, g):
    function, points = function_of("02", name), triangles_on_screen(g)
    arguments = (points[0].tolist(), CUBE.tolist()) if name == "z_buffer" else (points[0], CUBE)
    shown, depth = (torch.as_tensor(each) for each in function(*arguments, (24, 24)))
    for backend, given in (("torch", points), ("warp", points.float())):
        real = rasterizer.rasterize(given, CUBE, (24, 24), backend=backend)
        assert torch.equal(shown, real.triangle_id[0].to(shown)) and (shown >= 0).sum() > 50
        torch.testing.assert_close(depth.double(), real.depth[0].double(), atol=pair.within, rtol=0)


@comparison("mix")
def _(name, pair, g):
    mix, points = function_of("02", name), triangles_on_screen(g)
    raster = rasterizer.rasterize(points, CUBE, (24, 24), backend="torch")
    assert raster.mask.any()

    def naive(values, points):
        return mix(values, CUBE, raster.triangle_id[0], rasterizer.barycentric(points[None], CUBE, raster)[0])

    def real(values, points):
        return rasterizer.interpolate(values[None], CUBE, raster, points=points[None])

    check(naive, real, (rand(g, 8, 3), points[0]), pair, g)


@comparison("perspective")
def _(name, pair, g):
    def affine(corners, pixel):
        return surface_weights(corners, pixel[0], pixel[1], perspective=False)[0]

    def naive(corners, pixel):
        return function_of("02", name)(affine(corners, pixel)[None], corners[None, :, 2])

    corners = torch.cat([10 * rand(g, 3, 2), 500 + 500 * rand(g, 3, 1)], -1)
    check(naive, lambda c, p: surface_weights(c, p[0], p[1])[0], (corners, 10 * rand(g, 2)), pair, g)


@comparison("own_renderer")
def _(name, pair, g):
    # A few triangles at random, of which none has a pixel on an edge: there the two may choose another.
    triangles, size = torch.arange(12).view(4, 3), (14, 17)
    points = torch.cat([20 * rand(g, 12, 2) - 2, 500 + 400 * rand(g, 12, 1)], -1).float()
    raster = rasterizer.rasterize(points[None], triangles, size)

    def real(colours):
        drawn = rasterizer.interpolate(colours[None], triangles, raster)[0]
        return torch.where(raster.mask[0, ..., None], drawn, 1.0)

    own_renderer = function_of("02", name)
    check(
        lambda colours: own_renderer(points, triangles, colours, size),
        real,
        (rand(g, 12, 3).float(),),
        pair,
        g,
    )


# Notebook 02b


@comparison("normals_by_loop")
def _(name, pair, g):
    by_loop = function_of("02b", name)
    corners = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) + randn(
        g, 8, 3, scale=0.2
    )
    check(
        lambda v: by_loop(v, CUBE), lambda v: rendering.vertex_normals(v[None], CUBE)[0], (corners,), pair, g
    )


def unit(v):
    return torch.nn.functional.normalize(v, dim=-1)


@comparison("basis_by_hand")
def _(name, pair, g):
    check(function_of("02b", name), lighting.sh_basis, (unit(randn(g, 3)),), pair, g)


@comparison("shade_by_hand")
def _(name, pair, g):
    light = randn(g, 9, 3, scale=0.1)
    light[0] += 0.6
    inputs = (rand(g, 3), unit(randn(g, 3)), light)
    check(
        function_of("02b", name), lambda a, n, L: lighting.shade(a[None], n[None], L[None]), inputs, pair, g
    )


@comparison("phong_by_hand")
def _(name, pair, g):
    usual = lighting.PhongLight.defaults(dtype=torch.float64)

    def real(a, n, w, ambient, diffuse, angles):
        lamp = lighting.PhongLight(
            ambient[None], diffuse[None], angles[None], usual.specular, usual.shininess
        )
        return lighting.shade_phong(a[None], n[None], w[None], lamp)

    towards = torch.tensor([0.0, 0, 1]).double()
    inputs = (
        rand(g, 3),
        unit(towards + randn(g, 3, scale=0.3)),
        unit(towards + randn(g, 3, scale=0.2)),
        rand(g, 3),
        rand(g, 3),
        randn(g, 2, scale=0.4),
    )
    check(function_of("02b", name), real, inputs, pair, g)


@comparison("colour_by_hand")
def _(name, pair, g):
    def real(colour, contrast, gain, offset):
        return lighting.ColourTransform(contrast[None], gain[None], offset[None])(colour[None])

    check(
        function_of("02b", name),
        real,
        (rand(g, 3), rand(g), 0.5 + rand(g, 3), randn(g, 3, scale=0.1)),
        pair,
        g,
    )


@comparison("my_render")
def _(name, pair, g):
    my_render, model = function_of("02b", name), load("open", level=0)
    pose = Pose(randn(g, 1, 3, scale=0.2).float(), torch.tensor([[0.0, 0, 1100]]))
    vertices, camera = model.shape(randn(g, 1, 99).float()), Camera.default(48, focal=220.0)

    def naive(albedo, light):
        return my_render(vertices, model.triangles, albedo, pose, camera, light)

    def real(albedo, light):
        return rendering.render(vertices, model.triangles, albedo, pose, camera, light).image

    light = lighting.STUDIO_LIGHT[None] + 0.1 * randn(g, 1, 9, 3).float()
    check(naive, real, (rand(g, 1, model.n_vertices, 3).float(), light), pair, g)


@comparison("by_area")
def _(name, pair, g):
    centres, halves = torch.arange(10, dtype=torch.float64), torch.tensor([[0, 1, 2], [0, 2, 3]])
    (by_area,) = take("02b", (name,), ROOT, centres=centres)

    def real(h):
        left, one = torch.full_like(h, -5), torch.ones_like(h)
        wall = torch.stack(
            [torch.stack([u, v * one, 1000 * one]) for u, v in ((left, -5), (left, 5), (h, 5), (h, -5))]
        )[None]
        raster = rasterizer.rasterize(wall, halves, (3, 10), backend="torch")
        return antialias(raster.mask[..., None].to(h), wall, halves, raster)[0, 1, :, 0]

    check(by_area, real, (1 + 7 * rand(g),), pair, g)


# Notebook 03


def the_68(g):
    """68 points of a random person in mm, a pose (6,), and the camera of the notebook, in double precision."""
    model = face()
    X = model.shape(randn(g, 1, 99))[0, model.landmarks]
    theta = torch.cat([randn(g, 3, scale=0.3), torch.tensor([0.0, 0, 1250]) + randn(g, 3, scale=20)])
    camera = Camera.default(224, dtype=torch.float64)
    given = {
        "X": X,
        "F": torch.tensor([1.0, -1, -1]).double(),
        "f": float(camera.focal),
        "c": camera.principal_point[0],
    }
    seen = cameras.project(cameras.model_to_camera(X[None], Pose(theta[None, :3], theta[None, 3:])), camera)[
        0, :, :2
    ]
    return given, theta, camera, seen + randn(g, 68, 2)


@comparison("project_all")
def _(name, pair, g):
    given, theta, camera, _ = the_68(g)
    (project_all,) = take("03", (name,), ROOT, **given)

    def real(theta):
        return cameras.project(
            cameras.model_to_camera(given["X"][None], Pose(theta[None, :3], theta[None, 3:])), camera
        )[0, :, :2]

    check(project_all, real, (theta,), pair, g)


@comparison("jacobian_by_hand")
def _(name, pair, g):
    given, theta, camera, _ = the_68(g)
    (by_hand,) = take("03", (name,), ROOT, **given)
    pose = Pose(theta[None, :3], theta[None, 3:])

    def real(R, t):
        return poses.pose_jacobian(cameras.model_to_camera(given["X"][None], pose), pose.translation, camera)

    check(by_hand, real, (pose.rotation[0], pose.translation[0]), pair, g)


@comparison("gauss_newton")
def _(name, pair, g):
    given, theta, camera, seen = the_68(g)
    (gauss_newton,) = take("03", (name,), ROOT, x=seen, **given)

    def naive(seen):
        return gauss_newton(seen, theta.detach(), 8)

    def real(seen):
        found = poses.estimate_pose(seen[None], given["X"][None], camera, iterations=20).pose
        return torch.cat([found.rotation_vector[0], found.translation[0]])

    check(naive, real, (seen,), pair, g)


@comparison("own_pose")
def _(name, pair, g):
    given, _, camera, seen = the_68(g)
    own_pose = function_of("03", name)

    def real(seen, X, weights):
        pose = poses.scaled_orthographic_pose(seen[None], X[None], camera, weights[None])
        return pose.rotation[0], pose.translation[0]

    check(
        lambda s, X, w: own_pose(s, X, w, given["f"], given["c"]),
        real,
        (seen, given["X"], 0.1 + rand(g, 68)),
        pair,
        g,
    )


@comparison("mirror_points")
def _(name, pair, g):
    def real(points):
        mirrored = torch.stack([223 - points[:, 0], points[:, 1]], -1)
        return mirrored[list(poses.MIRRORED)]

    check(lambda points: function_of("03", name)(points, 224), real, (200 * rand(g, 68, 2),), pair, g)


# Notebook 04


@cache
def fitting_scene(seed):
    """What notebook 04 has at hand when it writes its functions, for one random face."""
    from helpers.datasets import known_faces
    from helpers.fitting import FaceState, FitModel, FitSettings
    from helpers.fitting.images import gaussian_blur, with_slopes
    from helpers.fitting.pixel_term import sample_points, see

    fit_model = FitModel(load("open", level=0))
    faces = known_faces(fit_model.model, 1, seed=seed + 20, focal_spread=0.0)
    c, settings = faces.coefficients, FitSettings()
    truth = FaceState(torch.cat([c.alpha, c.expression, c.beta], -1), faces.pose, faces.light)
    blurred = with_slopes(gaussian_blur(faces.image, 3.0))
    size = faces.image.shape[1:3]
    raster = see(fit_model, truth, faces.camera)
    points = sample_points(fit_model, raster, torch.ones(1, *size), 50, torch.Generator().manual_seed(seed))
    given = {
        "fit_model": fit_model,
        "layout": fit_model.layout,
        "truth": truth,
        "pose": faces.pose,
        "camera": faces.camera,
        "points": points,
        "points_seen": faces.landmarks,
        "blurred": blurred,
        "settings": settings,
        "flip": torch.diag(torch.tensor([1.0, -1.0, -1.0])),
    }
    return given


@comparison("one_pixel")
def _(name, pair, g):
    from helpers.fitting.pixel_term import look_at_points

    given = fitting_scene(g.initial_seed())
    (one_pixel,) = take("04", (name,), ROOT, **given)
    points, truth = given["points"], given["truth"]
    look = look_at_points(
        given["fit_model"], truth, given["camera"], given["blurred"], points, given["settings"]
    )
    a1 = truth.coefficients[0, 0]
    for n in range(0, 50, 10):
        torch.testing.assert_close(one_pixel(a1, n), look.residual[0, n], atol=pair.within, rtol=0)
        ours = torch.func.jacfwd(lambda a, n=n: one_pixel(a, n))(a1)
        theirs = look.by_corners[0, n] @ points.geometry[0, n, :, 0]
        torch.testing.assert_close(ours, theirs, atol=pair.slopes_within, rtol=pair.slopes_within)


def same_rows(rows, by_hand, within, size):
    """The rows of `helpers` are those by hand times one number each, the square root of the row's weight."""
    residual = rows.residual[0].view(len(by_hand), -1)
    jacobian = rows.jacobian[0].view(*residual.shape, size)
    weighed = 0
    for r, J, (mine, slopes) in zip(residual, jacobian, by_hand, strict=True):
        root = (r @ mine) / (mine @ mine)
        weighed += float(root) > 0
        torch.testing.assert_close(r, root * mine, atol=within, rtol=0)
        torch.testing.assert_close(J, root * slopes, atol=within, rtol=0)
    assert weighed > len(by_hand) / 2, "a comparison of rows without weight proves nothing"


@comparison("landmark_row")
def _(name, pair, g):
    from helpers.fitting import FitSettings
    from helpers.fitting.landmark_term import landmark_rows

    given = fitting_scene(g.initial_seed())
    (landmark_row,) = take("04", (name,), ROOT, **given)
    settings = FitSettings(landmark_shift_sigma=0.0)
    scene = given["fit_model"], given["truth"], given["camera"], given["points_seen"]
    by_hand = [landmark_row(given["truth"], j) for j in range(68)]
    same_rows(landmark_rows(*scene, settings), by_hand, pair.within, given["layout"].size)


@comparison("pixel_row")
def _(name, pair, g):
    from helpers.fitting.pixel_term import pixel_rows

    given = fitting_scene(g.initial_seed())
    (pixel_row,) = take("04", (name,), ROOT, **given)
    names = ("fit_model", "truth", "camera", "blurred", "points", "settings")
    rows = pixel_rows(*(given[each] for each in names))
    by_hand = [pixel_row(given["truth"], given["blurred"], given["points"], n)[:2] for n in range(50)]
    same_rows(rows, by_hand, pair.within, given["layout"].size)


# Notebook 04b


@comparison("correlation_by_hand")
def _(name, pair, g):
    from helpers.fitting.residual_correlation import residual_noise

    by_hand, place = function_of("04b", name), (30 * rand(g, 200, 2)).round()
    weight, distances = torch.ones(1, 200, dtype=torch.float64), (1, 2, 3, 9, 15)
    check(
        lambda residual: [by_hand(residual, place, x) for x in distances],
        lambda residual: residual_noise(residual[None], place[None], weight).profile[0, list(distances)],
        (randn(g, 200, 3),),
        pair,
        g,
    )


@comparison("confidence_by_hand")
def _(name, pair, g):
    from helpers.fitting.confidence import fit_confidence

    picture, noise = rand(g, 224, 224, 3), rand(g, 224, 224, 3)
    inside = torch.zeros(224, 224, dtype=torch.bool)
    inside[9:200, 20:210] = rand(g, 191, 190) < 0.98
    landmarks, error = 200 * rand(g, 68, 2), 20 * rand(g, 68)

    def real(picture, drawn, error):
        batch = picture[None], drawn[None], inside[None], error[None], landmarks[None]
        return fit_confidence(*batch)[0]

    by_hand = function_of("04b", name)
    check(
        lambda a, b, e: by_hand(a, b, inside, e, landmarks), real, (picture, picture + noise, error), pair, g
    )


# Notebook 06


@comparison("loss_by_hand", "loss_by_tensors")
def _(name, pair, g):
    from helpers.regression import asymmetric_euclidean_loss

    function = function_of("06", name)
    check(
        function,
        lambda p, t: asymmetric_euclidean_loss(p[None], t[None]),
        (randn(g, 198), randn(g, 198)),
        pair,
        g,
    )
    check(
        lambda p, t: function(p, t, 2.0, 5.0),
        lambda p, t: asymmetric_euclidean_loss(p[None], t[None], 2.0, 5.0),
        (randn(g, 9), randn(g, 9)),
        pair,
        g,
    )


@comparison("gradient_by_hand")
def _(name, pair, g):
    from helpers.regression import asymmetric_euclidean_loss

    prediction, target = randn(g, 198).requires_grad_(), randn(g, 198)
    (slope,) = torch.autograd.grad(asymmetric_euclidean_loss(prediction[None], target[None]), prediction)
    torch.testing.assert_close(
        function_of("06", name)(prediction.detach(), target), slope, atol=pair.within, rtol=0
    )


@comparison("own_loss")
def _(name, pair, g):
    from helpers.regression import asymmetric_euclidean_loss

    target, unlabelled = randn(g, 6, 8), torch.tensor([1, 4])
    labelled = torch.tensor([0, 2, 3, 5])
    holes = target.index_fill(0, unlabelled, float("nan"))
    check(
        lambda p: function_of("06", name)(p, holes, 1.0, 4.0),
        lambda p: asymmetric_euclidean_loss(p[labelled], target[labelled], 1.0, 4.0),
        (randn(g, 6, 8),),
        pair,
        g,
    )


# Notebook 07


@comparison("motion_by_loop")
def _(name, pair, g):
    from helpers.evaluation import best_motion

    a, b = randn(g, 20, 3, scale=50).numpy(), randn(g, 20, 3, scale=50).numpy()
    R, t = function_of("07", name)(a, b)
    found = best_motion(a, b)
    assert abs(R - found.rotation).max() < pair.within and abs(t - found.translation).max() < 50 * pair.within


@comparison("nearest_by_loops", "nearest_by_table")
def _(name, pair, g):
    from helpers.evaluation import Nearest

    points, vertices = randn(g, 15, 3).numpy(), randn(g, 40, 3).numpy()
    assert (
        function_of("07", name)(points, vertices) == Nearest(vertices, vertices_only=True)(points)[1]
    ).all()


@comparison("icp_by_hand")
def _(name, pair, g):
    from helpers.evaluation import IcpSettings, Motion, Nearest, Surface, icp

    vertices = randn(g, 60, 3, scale=50).numpy()
    points = vertices + randn(g, 60, 3, scale=8).numpy()
    by_hand, rms = function_of("07", name)(points, Nearest(vertices), Motion.none(), 6)
    how = IcpSettings(step="point", nearest="vertex", keep=1.0, rounds=6, tolerance=0.0)
    real = icp(Surface.of(vertices), Surface.of(points), how)
    assert (
        abs(by_hand(points) - real.motion(points)).max() < pair.within
        and abs(rms - real.rms[:-1]).max() < pair.within
    )


@comparison("rates_by_loop")
def _(name, pair, g):
    from helpers.evaluation import roc

    score, same = rand(g, 30).mul(10).round(), torch.arange(30) % 3 == 0
    curve = roc(score, same)
    for threshold, *rates in zip(
        curve.threshold.tolist(), curve.false_accept.tolist(), curve.true_accept.tolist(), strict=True
    ):
        assert (
            abs(flat(function_of("07", name)(score, same, threshold)) - flat(tuple(rates))).max()
            < pair.within
        )


@comparison("crop_rmse")
def _(name, pair, g):
    from helpers.evaluation import Nearest, Surface, scan_error

    corner = face()
    shapes = corner.shape(randn(g, 2, 99))
    model, scan = (Surface.of(shape, corner.triangles, corner.landmarks) for shape in shapes)
    error = scan_error(model, scan)
    back = error.motion.back(scan.vertices)
    distance = torch.from_numpy(Nearest(model.vertices, model.triangles)(back)[0] - back).norm(dim=-1)
    mine = function_of("07", name)(
        torch.from_numpy(scan.vertices), distance, torch.from_numpy(scan.nose), 95.0
    )
    assert abs(float(mine) - error.rmse) < pair.within


@comparison("tar_at")
def _(name, pair, g):
    from helpers.evaluation import tar_at_far

    score, same = rand(g, 30).mul(10).round(), torch.arange(30) % 3 == 0
    for far in (0.0, 0.1, 0.45, 1.0):
        assert (
            abs(float(function_of("07", name)(score, same, far)) - tar_at_far(score, same, far)) < pair.within
        )


@comparison("plane_step")
def _(name, pair, g):
    from helpers.evaluation import Motion
    from helpers.evaluation.icp import plane_step

    x, n = randn(g, 50, 3), torch.nn.functional.normalize(randn(g, 50, 3), dim=-1)
    x = x - x.mean(0)  # the real one turns about the centre
    y = x + randn(g, 50, 3, scale=0.05)
    step = function_of("07", name)(x, y, n)
    real = plane_step(x.numpy(), y.numpy(), n.numpy(), Motion.none(), False)
    R = roma.rotvec_to_rotmat(step[:3])
    assert abs(R - torch.from_numpy(real.rotation)).max() < pair.within
    assert abs(step[3:] - torch.from_numpy(real.translation)).max() < pair.within


@comparison("pooled_by_hand", "pooled_at_once", "product")
def _(name, pair, g):
    from helpers.pooling import pool

    (naive,) = take("05", (name,), ROOT)
    coefficients = torch.randn(12, 5, generator=g, dtype=torch.float64)
    spread = 0.1 + 0.8 * torch.rand(12, 5, generator=g, dtype=torch.float64)
    person = torch.randint(0, 3, (12,), generator=g)
    person[:3] = torch.arange(3)
    one = torch.zeros(12, dtype=torch.long)
    if name == "product":
        real = lambda γ, v: pool(γ, one, "precision", covariance=v, correlation=0.0).coefficients[0]  # noqa: E731
        check(naive, real, (coefficients, spread), pair, g)
    elif name == "pooled_at_once":
        ours = lambda γ, c: naive(γ, person, c)  # noqa: E731
        real = lambda γ, c: pool(γ, person, confidence=c).coefficients  # noqa: E731
        check(ours, real, (coefficients, spread[:, 0]), pair, g)
    else:
        real = lambda γ, c: pool(γ, one, confidence=c).coefficients[0]  # noqa: E731
        check(naive, real, (coefficients, spread[:, 0]), pair, g)


@comparison("cosines")
def _(name, pair, g):
    from helpers.evaluation.compare_methods import spread

    vectors, person = torch.randn(12, 99, generator=g), torch.arange(4).repeat(3)
    for ours, theirs in zip(function_of("05", name)(vectors, person), spread(vectors, person), strict=True):
        torch.testing.assert_close(
            ours.sort().values, theirs.to(ours).sort().values, atol=pair.within, rtol=0
        )


@comparison("own_label")
def _(name, pair, g):
    from helpers.pooling import pool

    def real(alpha, confidence):
        one = torch.zeros(len(confidence), dtype=torch.long)
        return pool(alpha, one, confidence=confidence).coefficients[0]

    own_label = function_of("05", name)
    check(own_label, real, (randn(g, 5, 3), 0.1 + rand(g, 5)), pair, g)
    for special in (torch.zeros(3).double(), torch.tensor([float("nan"), 0.5, 0.25]).double()):
        alpha = randn(g, 3, 4)
        torch.testing.assert_close(own_label(alpha, special), real(alpha, special), atol=pair.within, rtol=0)


# Notebook 09


@comparison("label_in_memory")
def _(name, pair, g):
    import tempfile

    from helpers.fitting import FitModel
    from helpers.labelling import label, open_source, quick_settings, read_rows

    model, settings = load("open", level=0), quick_settings()
    source = open_source("synthetic:1x4", model=model, size=64, seed=g.initial_seed())
    given = {"source": source, "fit_model": FitModel(model), "settings": settings}
    (label_in_memory,) = take("09", (name,), ROOT, **given)
    rows = label_in_memory([range(0, 2), range(2, 4)])
    with tempfile.TemporaryDirectory() as folder:
        label(
            source,
            f"{folder}/rows",
            model=model,
            settings=settings,
            size=64,
            batch=2,
            shard=4,
            workers=0,
            progress=False,
        )
        real = torch.tensor(read_rows(f"{folder}/rows").column("alpha").to_pylist())
    # To the bit where both use one thread, as the notebook does; sums of more threads round otherwise.
    torch.testing.assert_close(
        torch.stack([rows[place] for place in range(4)]), real, atol=pair.within, rtol=0
    )
    assert real.abs().sum() > 1
