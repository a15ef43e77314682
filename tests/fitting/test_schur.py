"""Photographs of one person in one system: against the whole matrix, and what must hold for any solver of it."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from helpers.camera import model_to_camera, project
from helpers.fitting import FitSettings
from helpers.fitting.energy import Energy, Equations, free_parameters
from helpers.fitting.landmark_term import landmark_rows
from helpers.fitting.parameters import FaceState
from helpers.fitting.prior_term import make_prior
from helpers.fitting.residuals import Rows, counted
from helpers.fitting.solvers import gauss_newton
from helpers.fitting.solvers.schur import People, coupled
from helpers.fitting.uncertainty import posterior_covariance

INDEX = torch.tensor([1, 0, 1, 2, 1, 0])  # two photographs of one person, three of the next, one of the third


@pytest.fixture(scope="module")
def arrow():
    """Equations of six photographs, 7 shared parameters and 4 of their own in mixed order, in float64."""
    generator = torch.Generator().manual_seed(3)
    J = torch.randn(6, 30, 11, generator=generator, dtype=torch.float64)
    g = torch.randn(6, 11, generator=generator, dtype=torch.float64)
    shared = torch.tensor([1, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0], dtype=torch.bool)
    return J.transpose(1, 2) @ J, g, People(INDEX, 3, shared)


def whole(H, g, people, person):
    """The matrix and the gradient of one person as they stand on paper: shared block first, then the photographs'."""
    s, p = people.shared, ~people.shared
    photos = (people.index == person).nonzero()[:, 0].tolist()
    k, m = int(s.sum()), int(p.sum())
    matrix = torch.zeros(k + m * len(photos), k + m * len(photos), dtype=H.dtype)
    right = torch.zeros(len(matrix), dtype=H.dtype)
    for place, i in enumerate(photos):
        own = slice(k + m * place, k + m * (place + 1))
        matrix[:k, :k] += H[i][s][:, s]
        matrix[own, :k], matrix[:k, own] = H[i][p][:, s], H[i][s][:, p]
        matrix[own, own] = H[i][p][:, p]
        right[:k] += g[i][s]
        right[own] = g[i][p]
    return matrix, right, [(i, slice(k + m * place, k + m * (place + 1))) for place, i in enumerate(photos)]


def test_step_and_covariance_are_those_of_the_whole_matrix(arrow):
    H, g, people = arrow
    s, p = people.shared, ~people.shared
    joint_H, joint_g = coupled(H, g, people, s)
    step, inverse = torch.linalg.solve(joint_H, joint_g), torch.linalg.inv(joint_H)
    for person in range(3):
        matrix, right, photos = whole(H, g, people, person)
        expected, covariance = torch.linalg.solve(matrix, right), torch.linalg.inv(matrix)
        k = int(s.sum())
        for i, own in photos:
            torch.testing.assert_close(step[i][s], expected[:k], rtol=0, atol=1e-8)
            torch.testing.assert_close(step[i][p], expected[own], rtol=0, atol=1e-8)
            torch.testing.assert_close(inverse[i][s][:, s], covariance[:k, :k], rtol=0, atol=1e-8)
            torch.testing.assert_close(inverse[i][p][:, p], covariance[own, own], rtol=0, atol=1e-8)
            torch.testing.assert_close(inverse[i][p][:, s], covariance[own, :k], rtol=0, atol=1e-8)


def test_shared_errors_widen_what_is_shared_and_leave_the_step(arrow):
    H, g, people = arrow
    s, p = people.shared, ~people.shared
    κ = 1 + 0.3 * (people.count - 1).double()
    plain_H, plain_g = coupled(H, g, people, s)
    joint_H, joint_g = coupled(H, g, replace(people, redundancy=κ), s)
    torch.testing.assert_close(torch.linalg.solve(joint_H, joint_g), torch.linalg.solve(plain_H, plain_g))
    plain, joint = torch.linalg.inv(plain_H), torch.linalg.inv(joint_H)
    torch.testing.assert_close(joint[:, s][:, :, s], κ[:, None, None] * plain[:, s][:, :, s])
    # What is a photograph's own is as uncertain as before where the shared is held.
    held = torch.linalg.inv(H[:, p][:, :, p])
    follow = held @ H[:, p][:, :, s]
    expected = held + follow @ joint[:, s][:, :, s] @ follow.transpose(1, 2)
    torch.testing.assert_close(joint[:, p][:, :, p], expected)


def test_a_person_with_one_photograph_keeps_its_equations(arrow):
    H, g, people = arrow
    joint_H, joint_g = coupled(H, g, people, people.shared)
    assert torch.equal(joint_H[3], H[3]) and torch.equal(joint_g[3], g[3])


def test_a_photograph_with_a_broken_block_of_its_own_leaves_the_others_a_step(arrow):
    H, g, people = arrow
    H = H.clone()
    p = (~people.shared).nonzero()[:, 0]
    H[0, p[:, None], p] *= -1
    joint_H, joint_g = coupled(H, g, people, people.shared)
    expected_H, expected_g = coupled(
        H[[2, 4]], g[[2, 4]], People(torch.tensor([0, 0]), 1, people.shared), people.shared
    )
    s = people.shared.nonzero()[:, 0]
    # To its person's other photographs it says what it would with its own parameters held.
    expected_H[:, s[:, None], s] += H[0, s[:, None], s]
    expected_g[:, s] += g[0, s]
    torch.testing.assert_close(joint_H[[2, 4]], expected_H)
    torch.testing.assert_close(joint_g[[2, 4]], expected_g)


@pytest.fixture(scope="module")
def problem(fit_model, scene):
    """Makes an energy on the landmarks of the scene's photographs, some of them perhaps several times."""
    state, camera, _ = scene
    layout, settings = fit_model.layout, FitSettings()
    shared = torch.zeros(layout.size, dtype=torch.bool)
    shared[layout.alpha] = shared[layout.beta] = True
    points = project(model_to_camera(fit_model.landmarks(state.coefficients), state.pose), camera)[..., :2]

    def make(photos, index, share=None, counts=None):
        B = len(photos)
        # The rows know nothing of people: each photograph is set before the camera of its own state.
        chosen = torch.tensor(photos)
        at = type(camera)(camera.focal[chosen], camera.principal_point[chosen], camera.size)
        term = partial(landmark_rows, fit_model, camera=at, points=points[chosen], settings=settings)
        if counts is not None:
            term = counted(term, torch.tensor(counts))
        people = People(torch.tensor(index), max(index) + 1, shared)
        share = 1 / people.count if share is None else share
        prior = make_prior(layout, settings, torch.zeros(B, dtype=torch.bool), share)
        pose = type(state.pose)(state.pose.rotation_vector[chosen], state.pose.translation[chosen])
        start = FaceState(
            state.coefficients.new_zeros(B, layout.n_coefficients), pose, prior.light_mean.repeat(B, 1, 1)
        )
        free = free_parameters(layout, "cpu", slice(0, layout.n_geometry), layout.pose)
        return Energy(layout, prior, {"landmarks": term}), start, free, people

    return make


def descend(problem, *, steps=25, watch=lambda state, terms: None):
    energy, start, free, people = problem
    return gauss_newton(energy, start, free, steps, damping=1e-6, watch=watch, people=people)


def test_the_search_ends_where_the_persons_gradient_is_zero(problem):
    energy, start, free, people = problem([0, 1, 1], [0, 0, 1])
    found = descend((energy, start, free, people))
    began, left = energy.equations(start), found.equations
    at_rest = torch.where(people.shared, people.total(left.g), left.g)[:, free]
    was = torch.where(people.shared, people.total(began.g), began.g)[:, free]
    assert (at_rest.norm(dim=1) < 1e-3 * was.norm(dim=1)).all()
    alpha = found.state.coefficients[:, energy.layout.alpha]
    assert torch.equal(alpha[0], alpha[1]) and not torch.equal(alpha[0], alpha[2])
    expression = found.state.coefficients[:, energy.layout.expression]
    assert (expression[0] - expression[1]).abs().max() > 1e-3


def test_the_energy_of_a_person_never_rises(problem):
    made = problem([0, 1, 1], [0, 0, 1])
    seen = []
    descend(made, watch=lambda state, terms: seen.append(made[3].total(sum(terms.values()))))
    seen = torch.stack(seen)
    assert (seen[1:] <= seen[:-1]).all() and (seen[-1] < 0.5 * seen[0]).all()
    assert torch.equal(seen[:, 0], seen[:, 1])


def test_the_order_of_photographs_does_not_matter(problem):
    one = descend(problem([0, 1, 1], [0, 0, 1])).state.coefficients
    other = descend(problem([1, 1, 0], [0, 1, 1])).state.coefficients
    torch.testing.assert_close(other[[2, 1, 0]], one, rtol=0, atol=2e-3)


def test_people_of_one_photograph_each_are_what_single_photographs_give(problem):
    energy, start, free, people = problem([0, 1], [0, 1])
    alone = descend((energy, start, free, None))
    together = descend((energy, start, free, people))
    torch.testing.assert_close(together.state.coefficients, alone.state.coefficients, rtol=0, atol=1e-6)
    torch.testing.assert_close(together.promised, alone.promised, rtol=0, atol=1e-6)


def test_the_same_photograph_twice_holds_twice_the_information(problem):
    energy, start, free, people = problem([0, 0], [0, 0])
    alone, *_ = problem([0], [0])
    begin = FaceState(start.coefficients[:1], start.pose, start.light[:1])
    begin = FaceState(
        begin.coefficients,
        type(start.pose)(start.pose.rotation_vector[:1], start.pose.translation[:1]),
        begin.light,
    )
    layout = energy.layout
    twice = energy.equations(start)
    H, g = coupled(twice.H.double(), twice.g.double(), people, people.shared)
    joint, definite = posterior_covariance(Equations(H, g, {}), layout)
    one = alone.equations(begin)
    single, _ = posterior_covariance(Equations(one.H.double(), one.g.double(), {}), layout)
    assert definite.all()
    a = layout.alpha
    identity = torch.eye(layout.n_shape, dtype=torch.float64)
    information = torch.linalg.inv(single[0, a, a]) - identity  # of the photograph, without the prior
    torch.testing.assert_close(
        torch.linalg.inv(joint[0, a, a]) - identity, 2 * information, rtol=1e-6, atol=1e-6
    )
    torch.testing.assert_close(joint[0, a, a], joint[1, a, a])


def test_what_does_not_count_leaves_the_face_to_the_others(problem):
    with_it = descend(problem([0, 1, 1], [0, 0, 1], counts=[True, False, True]))
    alone = descend(problem([0, 1], [0, 1]))
    torch.testing.assert_close(
        with_it.state.coefficients[[0, 2]], alone.state.coefficients, rtol=0, atol=2e-3
    )
    broken = torch.full((2, 4), torch.nan)

    def rows(state):
        return Rows.of(broken, torch.full((2, 4, 3), torch.nan), broken[:, 0])

    masked = counted(rows, torch.tensor([False, True]))(None)
    for part in (masked.residual, masked.jacobian, masked.energy):
        assert (part[0] == 0).all() and part[1].isnan().all()
