"""Every solver finds the same minimum of the same energy."""

from functools import partial

import pytest
import torch

from helpers.camera import model_to_camera, project
from helpers.fitting import FitSettings
from helpers.fitting.energy import Energy, add_gram, free_parameters, mirror
from helpers.fitting.landmark_term import landmark_rows
from helpers.fitting.parameters import FaceState
from helpers.fitting.prior_term import make_prior
from helpers.fitting.residuals import Rows
from helpers.fitting.solvers import adam, gauss_newton, lbfgs, stochastic_newton


@pytest.fixture(scope="module")
def problem(fit_model, scene):
    """Landmarks of the first two states, to be found again from the mean face in the same pose."""
    state, camera, _ = scene
    layout, settings = fit_model.layout, FitSettings()
    points = project(model_to_camera(fit_model.landmarks(state.coefficients), state.pose), camera)[..., :2]
    prior = make_prior(layout, settings, torch.tensor([False, False]))
    term = partial(landmark_rows, fit_model, camera=camera, points=points, settings=settings)
    energy = Energy(layout, prior, {"landmarks": term})
    start = FaceState(torch.zeros_like(state.coefficients), state.pose, prior.light_mean.repeat(2, 1, 1))
    free = free_parameters(layout, "cpu", slice(0, layout.n_geometry), layout.pose)
    return energy, start, free


def test_the_gradient_alone_is_that_of_the_equations(problem):
    energy, start, _ = problem
    whole = energy.equations(start)
    g, terms = energy.gradient(start)
    assert torch.allclose(g, whole.g, rtol=1e-4, atol=1e-2)
    assert all(torch.equal(terms[name], whole.terms[name]) for name in whole.terms)


@pytest.mark.parametrize(("solver", "iterations"), [(adam, 400), (lbfgs, 120)])
def test_other_solvers_reach_the_minimum_of_gauss_newton(problem, solver, iterations):
    energy, start, free = problem
    lowest = gauss_newton(energy, start, free, 20, damping=1e-6).equations.energy
    seen = []
    found = solver(
        energy, start, free, iterations, watch=lambda state, terms: seen.append(sum(terms.values()))
    )
    began = seen[0]
    assert ((found.equations.energy - lowest) < 0.02 * (began - lowest)).all()
    assert len(seen) == iterations
    held = energy.layout.light
    assert torch.equal(found.state.light, start.light) and held.stop == energy.layout.size
    assert torch.equal(
        found.state.coefficients[:, energy.layout.beta], start.coefficients[:, energy.layout.beta]
    )


@pytest.mark.slow
def test_stochastic_newton_comes_down_on_random_points(problem):
    energy, start, free = problem
    generator = torch.Generator().manual_seed(0)
    whole = energy.terms["landmarks"]

    def draw():
        chosen = torch.rand(68, generator=generator).argsort()[:20]
        rows_of = torch.stack([2 * chosen, 2 * chosen + 1], -1).flatten()

        def some(state):
            rows = whole(state)
            factor = (68 / 20) ** 0.5
            return Rows.of(
                rows.residual[:, rows_of] * factor, rows.jacobian[:, rows_of] * factor, rows.energy
            )

        return Energy(energy.layout, energy.prior, {"landmarks": some})

    lowest = gauss_newton(energy, start, free, 20, damping=1e-6).equations.energy
    began = energy.equations(start).energy
    found = stochastic_newton(energy, start, free, 600, draw=draw, rate=0.05)
    assert ((found.equations.energy - lowest) < 0.1 * (began - lowest)).all()


def test_gauss_newton_takes_back_what_does_not_help(problem):
    energy, start, free = problem
    energies = []
    gauss_newton(
        energy, start, free, 12, damping=1e-6, watch=lambda state, terms: energies.append(sum(terms.values()))
    )
    energies = torch.stack(energies)
    assert (energies[1:] <= energies[:-1]).all() and (energies[-1] < 0.2 * energies[0]).all()


def test_the_product_in_strips_is_the_product():
    J = torch.randn(2, 40, 107, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    H = torch.zeros(2, 107, 107, dtype=torch.float64)
    add_gram(H, J)
    add_gram(H, 2 * J)
    mirror(H)
    assert torch.allclose(H, 5 * J.transpose(1, 2) @ J)
