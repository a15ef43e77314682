"""The released fitter's energy: each term by hand in numpy, and the root that it puts over means."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import roma
import torch
from scipy.ndimage import map_coordinates

from helpers.camera import flip_axes, model_to_camera, project
from helpers.datasets import known_faces
from helpers.face_model import load
from helpers.fitting import FitModel, FitSettings, fit
from helpers.fitting.edge_term import edge_map
from helpers.fitting.energy import Energy
from helpers.fitting.landmark_term import landmark_rows
from helpers.fitting.light_models import LAMP
from helpers.fitting.parameters import FaceState
from helpers.fitting.prior_term import make_prior
from helpers.fitting.residuals import Rows, rooted
from helpers.lighting import shade_phong
from helpers.lighting.lamp_vector import unpack_lamp

RELEASED = FitSettings.released()
FACTORS = {"landmarks": (8, 0, 0), "edges": (2, 0, 15), "light": (0, 15, 0), "pixels": (0, 15, 5)}


@pytest.fixture(scope="module")
def watched():
    """A short fit to two faces, with its first state, the state at the second step of each stage, and the points drawn."""
    model = FitModel(load("open", level=1))
    faces = known_faces(model.model, 2, seed=41, max_yaw=40.0, lamp=True)
    names = ("landmarks", "edges", "light", "pixels")
    chosen = [RELEASED.stages[i] for i in (0, 1, 3, -1)]
    stages = tuple(stage._replace(iterations=2, points=min(stage.points, 300)) for stage in chosen)
    steps, drawn = [], {"pixels": [], "edges": []}
    module = sys.modules[fit.__module__]
    with pytest.MonkeyPatch.context() as patch:
        for name, function in (("pixels", "shadowed"), ("edges", "edge_points")):
            draw = getattr(module, function)

            def record(*arguments, draw=draw, name=name):
                drawn[name].append(draw(*arguments))
                return drawn[name][-1]

            patch.setattr(module, function, record)
        result = fit(
            faces.image,
            faces.landmarks,
            model,
            settings=replace(RELEASED, stages=stages),
            on_iteration=steps.append,
        )
    return model, faces, steps[0].state, dict(zip(names, steps[1::2], strict=True)), drawn, result


def pixels_of(model, state, camera, position):
    return project(model_to_camera(position, state.pose), camera)[..., :2].numpy()


def landmark_error(model, faces, state, camera, b):
    """Root of the mean squared distance of points 0–59, without the far side of the jaw."""
    yaw = float(state.pose.yaw_pitch_roll()[b, 0])
    used = [i for i in range(60) if i > 16 or abs(yaw) <= 18 or (i < 9 if yaw > 0 else i > 7)]
    off = pixels_of(model, state, camera, model.landmarks(state.coefficients))[b] - faces.landmarks[b].numpy()
    return np.sqrt((off[used] ** 2).sum() / len(used)), len(used)


def pixel_error(model, faces, state, camera, points, b):
    """Root of the mean over points of robust squares in parts of 5 grey levels, summed over red, green and blue."""
    vertices, albedo = model.geometry(state.coefficients), model.albedo(state.coefficients)
    q = (vertices[b][points.corners[b].long()] @ state.pose.rotation[b].T).double()  # (P, 3 corners, 3)
    barycentric = points.barycentric[b].double()[..., None]
    middle = flip_axes((barycentric * q).sum(1)) + state.pose.translation[b].double()
    normal = torch.nn.functional.normalize(torch.linalg.cross(q[:, 1] - q[:, 0], q[:, 2] - q[:, 0]), dim=-1)
    view = torch.nn.functional.normalize(-flip_axes(middle), dim=-1)
    lamp, colour = unpack_lamp(state.light[b : b + 1].double())
    skin = (barycentric * albedo[b][points.corners[b].long()]).sum(1)
    shade = shade_phong(skin[None], normal[None], view[None], lamp, points.shadow[b : b + 1].double())
    u, v = (float(camera.focal[b]) * middle[:, :2] / middle[:, 2:] + camera.principal_point[b]).T.numpy()
    photo = [map_coordinates(faces.image[b, ..., c].double().numpy(), [v, u], order=1) for c in range(3)]
    x = np.abs(colour(shade)[0].numpy().T - photo) * 255 / 5
    cost = np.where(x < 4, x**2, 2 * 4 * x - 4 * 4).sum(0)
    weight = points.weight[b].numpy()
    return np.sqrt((weight * cost).sum() / weight.sum())


def edge_error(model, faces, state, camera, points, b):
    """Root of the mean squared distance in px from points of the outline to an edge, each at most 10."""
    used = points.weight[b].numpy() > 0
    assert points.outline[b].all()
    geometry = state.coefficients[:, : model.layout.n_geometry]
    position = points.mean + torch.einsum("bpcg,bg->bpc", points.geometry, geometry)
    u, v = pixels_of(model, state, camera, position)[b][used].T
    distance = edge_map(faces.image).distance[b].numpy().clip(max=10)
    return np.sqrt((map_coordinates(distance, [v, u], order=1) ** 2).mean())


def held(light, turn, shift):
    """Lamp, colours and pose by the released table: (x − start)² / s², colours there in 255 grey levels."""
    start = np.array([*[0.5] * 3, *[0.0] * 5, *[1.0] * 4, *[0.0] * 3])
    squares = np.array([*[1.0] * 6, *[np.pi**2] * 2, 1.0, *[4.0] * 3, *[(100 / 255) ** 2] * 3])
    by_pose = (turn**2).sum(-1) / np.radians(30) ** 2 + (shift**2).sum(-1) / 30**2
    return ((light - start) ** 2 / squares).sum(-1) + by_pose


@pytest.mark.slow
def test_each_term_is_that_of_the_released_code(watched):
    model, faces, first, steps, drawn, result = watched
    n = model.layout.n_expression
    counts = set()
    for number, (name, at) in enumerate(steps.items()):
        state, camera = at.state, result.camera
        alpha, e, beta = (
            state.coefficients[:, part].double().numpy()
            for part in (model.layout.alpha, model.layout.expression, model.layout.beta)
        )
        by_landmarks, by_pixels, by_edges = FACTORS[name]
        turn = roma.rotmat_to_rotvec(state.pose.rotation @ first.pose.rotation.transpose(1, 2)).numpy()
        shift = (state.pose.translation - first.pose.translation).numpy()
        for b in range(2):
            found = {term: float(energy[b, 2 * number + 1]) for term, energy in result.energy_terms.items()}
            error, used = landmark_error(model, faces, state, camera, b)
            counts.add(used)
            assert found["landmarks"] == pytest.approx(by_landmarks * error, rel=1e-3)
            shading = edges = 0.0
            if by_pixels:
                points = drawn["pixels"][("light", "pixels").index(name)]
                shading = by_pixels * pixel_error(model, faces, state, camera, points, b)
            if by_edges:
                points = drawn["edges"][("edges", "pixels").index(name)]
                edges = by_edges * edge_error(model, faces, state, camera, points, b)
            assert found["pixels"] == pytest.approx(shading, rel=1e-3)
            assert found["edges"] == pytest.approx(edges, rel=1e-3)
            prior = {
                "landmarks": (alpha[b] ** 2).sum() / (0.25 * 20) + (e[b] ** 2).sum() / (0.5 * n),
                "light": 0.0,
                "pixels": (alpha[b] ** 2).sum() / (0.25 * 99)
                + (beta[b] ** 2).sum() / (0.5 * 99)
                + (e[b] ** 2).sum() / (0.5 * n),
            }
            prior["edges"] = prior["landmarks"]
            assert found["coefficients"] == pytest.approx(prior[name], rel=1e-4, abs=1e-6)
            assert found["light"] == pytest.approx(held(state.light[b].numpy(), turn[b], shift[b]), rel=1e-3)
            assert float(at.energy[b]) == pytest.approx(sum(found.values()), rel=1e-5)
    assert counts == {60, 52}  # one of the two faces is turned by more than 18°


def test_light_and_pose_are_held_as_in_the_released_code(fit_model, scene):
    state, _, _ = scene
    model = fit_model.with_layout(LAMP)
    generator = torch.Generator().manual_seed(5)
    light = torch.rand(2, 15, generator=generator)
    prior = make_prior(model.layout, RELEASED, torch.tensor([False, False]), start=state.pose)
    step = torch.zeros(2, model.layout.size)
    axis = torch.tensor([0.6, 0.0, 0.8])
    shift = torch.tensor([10.0, -20.0, 40.0])
    step[:, model.layout.pose] = torch.cat([0.3 * axis, shift])
    moved = FaceState(state.coefficients, state.pose, light).moved(step, model.layout)
    expected = held(light.numpy(), 0.3 * axis.numpy(), shift.numpy())
    assert np.allclose(prior.energy(moved)[1].numpy(), expected, rtol=1e-4)


def test_a_rooted_term_has_its_own_gradient_and_lies_below_its_squares():
    generator = torch.Generator().manual_seed(6)
    A, c = torch.randn(2, 9, 4, generator=generator).double(), torch.randn(2, 9, generator=generator).double()

    def rows(x):
        r = (A @ x[..., None])[..., 0] - c
        return Rows.of(r, A, 0.5 * r.square().sum(-1))

    x = torch.randn(2, 4, generator=generator).double().requires_grad_()
    energy = 8 * rows(x).energy.sqrt()
    (slope,) = torch.autograd.grad(energy.sum(), x)
    found = rooted(rows, 8.0)(x.detach())
    assert torch.allclose(found.energy, energy)
    assert torch.allclose((found.residual[:, None] @ found.jacobian)[:, 0], slope)
    for _ in range(5):
        step = torch.randn(2, 4, generator=generator).double()
        H = found.jacobian.transpose(1, 2) @ found.jacobian
        parabola = energy + (slope * step).sum(-1) + 0.5 * (step * (H @ step[..., None])[..., 0]).sum(-1)
        assert (rooted(rows, 8.0)(x.detach() + step).energy <= parabola).all()
    exact = rooted(lambda x: Rows.of(0 * found.residual, A, torch.zeros(2).double()), 8.0)(x)
    assert (exact.energy == 0).all() and torch.isfinite(exact.jacobian).all()


def test_the_energys_gradient_is_its_slope(fit_model, scene):
    """Landmarks under a root and all priors, about a turned pose, by finite differences."""
    state, camera, _ = scene
    model = fit_model.with_layout(LAMP)
    light = torch.rand(2, 15, generator=torch.Generator().manual_seed(7))
    state = FaceState(state.coefficients, state.pose, light)
    away = torch.zeros(2, model.layout.size)
    away[:, model.layout.pose] = torch.tensor([0.3, -0.2, 0.25, 12.0, -7.0, 20.0])
    every = torch.arange(model.layout.size)
    prior = make_prior(model.layout, RELEASED, torch.tensor([False, False]), start=state.pose)
    prior = prior.of_means(model.layout, every)
    seen = project(model_to_camera(model.landmarks(state.coefficients), state.pose), camera)[..., :2]

    def term(at):
        return landmark_rows(model, at, camera, seen, RELEASED)

    energy = Energy(model.layout, prior, {"landmarks": rooted(term, 8.0)})
    here = state.moved(away, model.layout)
    g = energy.equations(here).g
    sizes = torch.full((model.layout.size,), 2e-2)
    sizes[model.layout.pose] = torch.tensor([2e-3] * 3 + [0.5] * 3)
    for i in every[: model.layout.light.stop]:
        step = torch.zeros(2, model.layout.size)
        step[:, i] = sizes[i]
        up, down = (energy.equations(here.moved(s, model.layout)).energy for s in (step, -step))
        slope = (up - down) / (2 * sizes[i])
        assert torch.allclose(g[:, i], slope, rtol=2e-2, atol=2e-3 * float(g[:, i].abs().max()) + 2e-3), i


def test_the_weight_of_a_mean_is_shared_by_what_moves(fit_model):
    layout = fit_model.with_layout(LAMP).layout
    prior = make_prior(layout, RELEASED, torch.tensor([False]))
    free = torch.tensor([0, 1, 2, layout.expression.start])
    shared = prior.of_means(layout, free).coefficients
    assert torch.allclose(shared[:3], torch.tensor(2 / 0.25 / 3)) and (shared[3 : layout.n_shape] == 0).all()
    assert float(shared[layout.expression.start]) == 2 / 0.5
    assert shared[layout.expression].sum() == 2 / 0.5 and (shared[layout.beta] == 0).all()


def test_only_the_two_forms_of_energy_are_known():
    with pytest.raises(ValueError, match='energy_form must be "squares" or "roots", got \'cubes\''):
        FitSettings(energy_form="cubes")
