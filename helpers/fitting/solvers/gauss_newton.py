"""Damped Gauss-Newton (Levenberg-Marquardt): every term is a sum of squares, so a step is one linear system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.fitting.energy import Energy, Equations
from helpers.fitting.parameters import FaceState, Layout
from helpers.fitting.solvers.schur import People, coupled

Watch = Callable[[FaceState, dict[str, Tensor]], None]

TURN_LIMIT, SHIFT_LIMIT = 0.5, 400.0  # radians and mm, of one step of the pose


def unwatched(state: FaceState, terms: dict[str, Tensor]) -> None:
    """The `Watch` of those who want none."""


@dataclass(frozen=True)
class SolverResult:
    """Where a solver ended.

    Attributes:
        state: the best state it saw.
        energy: what was lowered.
        promised: (B,) by how much the last step should have lowered the energy, as a part of it; of photographs that
            show one person, by how much that of all of them.
    """

    state: FaceState
    energy: Energy
    promised: Tensor

    @cached_property
    def equations(self) -> Equations:
        """The energy at the state, by all parameters."""
        return self.energy.equations(self.state)


def gauss_newton(
    energy: Energy,
    state: FaceState,
    free: Tensor,
    iterations: int,
    *,
    first: int = 0,
    damping: float = 1e-2,
    step_limit: float = 4.0,
    check_last: bool = True,
    watch: Watch = unwatched,
    people: People | None = None,
) -> SolverResult:
    """Lower an energy by damped Gauss-Newton steps.

    Solves (H + λ diag H) Δ = −g for B faces at once. A face whose energy rose goes back to where it was, and
    tries again with ten times its λ; a face that improved lowers its λ, but not below `damping`. Photographs of one
    person take their steps, or go back, together.

    Args:
        energy: to be lowered.
        state: where to begin.
        free: indices of the parameters that may move.
        iterations: number of steps, at least one.
        first: the lowest of those indices, or one below it: nothing is computed for parameters before.
        damping: the smallest λ, and the first.
        step_limit: norm of one step of the coefficients, in standard deviations.
        check_last: without it the last step is taken on trust, which saves one evaluation where another level
            follows.
        watch: is given each state and its energies before the step from there.
        people: which photographs show the same person; None means that each shows another one.
    """
    B, layout = len(state.coefficients), energy.layout
    if people is not None and not bool(people.shared[free].any()):
        people = None  # nothing that moves is shared
    λ = state.coefficients.new_full((B,), damping)
    best, known = state, energy.equations(state, first)
    for iteration in range(1, iterations + 1):
        watch(best, known.terms)
        step, promised = solve(known, layout, free, λ, step_limit, people)
        tried, lowest = energy.moved(best, step), _of_people(known.energy, people)
        if iteration < iterations:
            at_tried = energy.equations(tried, first)
            better = _of_people(at_tried.energy, people) <= lowest  # False also for NaN
            λ = torch.where(better, (λ / 3).clamp(min=damping), (10 * λ).clamp(max=1e6))
            best, known = tried.where(better, best), _where(better, at_tried, known)
        elif check_last:
            at_last = _of_people(energy.value(tried), people)
            better = at_last <= lowest
            tried, lowest = tried.where(better, best), torch.where(better, at_last, lowest)
    return SolverResult(tried, energy, promised / lowest.clamp(min=1e-12))


def solve(
    equations: Equations,
    layout: Layout,
    free: Tensor,
    damping: Tensor,
    step_limit: float,
    people: People | None = None,
) -> tuple[Tensor, Tensor]:
    """One damped step.

    The step is shortened so that its coefficients have at most the norm `step_limit`, and its pose stays within
    TURN_LIMIT and SHIFT_LIMIT, because far from the solution the linear picture is wrong.

    Args:
        equations: of the energy at the present state.
        layout: of the n parameters.
        free: indices of the parameters that may move.
        damping: (B,) λ, in parts of the diagonal of H.
        step_limit: in standard deviations.
        people: which photographs show the same person. Their steps are shortened together, and λ must be the same.

    Returns:
        (B, n) step, 0 for parameters that are not free, and (B,) the fall in energy that it promises.
    """
    B, n = equations.g.shape
    whole = len(free) == n
    H = equations.H.clone() if whole else equations.H[:, free[:, None], free]
    g = equations.g if whole else equations.g[:, free]
    diagonal = H.diagonal(dim1=1, dim2=2)
    diagonal += damping[:, None] * diagonal + 1e-6
    right = g
    if people is not None:
        H, right = coupled(H, g, people, people.shared[free])
    factor, failed = torch.linalg.cholesky_ex(H)
    solution = -torch.cholesky_solve(right[..., None], factor)[..., 0]
    solution = torch.where((failed == 0)[:, None], torch.nan_to_num(solution), 0.0)
    if people is not None:  # rounding differs from photograph to photograph; one person has one face
        same = people.total(solution) / people.count[:, None]
        solution = torch.where(people.shared[free], same, solution)
    step = solution if whole else g.new_zeros(B, n).index_copy(1, free, solution)
    turn, shift = step[:, layout.pose].split(3, -1)
    parts = (step[:, : layout.n_coefficients], step_limit), (turn, TURN_LIMIT), (shift, SHIFT_LIMIT)
    excess = torch.stack([part.norm(dim=-1) / limit for part, limit in parts]).amax(0)
    if people is not None:
        excess = people.largest(excess)
    shortened = 1 / excess.clamp(min=1)[:, None]
    return step * shortened, -0.5 * _of_people((g * solution).sum(-1), people) * shortened[:, 0]


def _of_people(energy: Tensor, people: People | None) -> Tensor:
    """(B,) energies of photographs, or of all photographs of the same person."""
    return energy if people is None else people.total(energy)


def _where(chosen: Tensor, one: Equations, other: Equations) -> Equations:
    if not chosen.is_cuda and bool(
        chosen.all()
    ):  # a GPU is not asked: the answer would have to be waited for
        return one
    H = torch.where(chosen[:, None, None], one.H, other.H)
    terms = {name: torch.where(chosen, one.terms[name], other.terms[name]) for name in one.terms}
    return Equations(H, torch.where(chosen[:, None], one.g, other.g), terms)
