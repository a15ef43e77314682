"""Stochastic Newton, as in the fitters of Blanz and Vetter and of the paper: a gradient from a few random points,
divided by a diagonal of second derivatives that is measured now and then on many."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from helpers.fitting.energy import Energy
from helpers.fitting.parameters import FaceState
from helpers.fitting.solvers.gauss_newton import SolverResult, Watch, unwatched
from helpers.fitting.solvers.scaling import Best, finish, parameter_units

LONGEST_STEP = 0.5  # of a parameter, in its own unit; few points can ask for much more


def stochastic_newton(
    energy: Energy,
    state: FaceState,
    free: Tensor,
    iterations: int,
    *,
    draw: Callable[[], Energy],
    rate: float = 0.1,
    measure_every: int = 50,
    watch: Watch = unwatched,
    **_,
) -> SolverResult:
    """Lower an energy by steps along its gradients on a few random points.

    The noise of 40 points keeps the search out of small hollows; the falling rate brings it to rest. Other keywords,
    of other solvers, are ignored.

    Args:
        energy: to be lowered, on many points.
        state: where to begin.
        free: indices of the parameters that may move.
        iterations: number of steps.
        draw: gives the same energy on a few random points, anew for each step.
        rate: of the first step, in parts of Newton's.
        measure_every: after so many steps the diagonal of H is measured on `energy` itself, and the best state so far
            is kept.
        watch: is given each state that was measured, and its energies.
    """
    equations = energy.equations(state)
    best, units = Best(state, equations.energy), parameter_units(equations, free)
    watch(state, equations.terms)
    for t in range(iterations):
        g, _ = draw().gradient(state)
        step = -rate * (1 - t / iterations) * torch.nan_to_num(g) * units.square()
        state = energy.moved(state, step.clamp(-LONGEST_STEP, LONGEST_STEP))
        if (t + 1) % measure_every == 0 or t + 1 == iterations:
            equations = energy.equations(state)
            units = parameter_units(equations, free)
            best.see(state, equations.energy)
            watch(state, equations.terms)
    return finish(energy, best)
