"""Stochastic Newton, as in the fitters of Blanz and Vetter and of the paper: a gradient from a few random points,
divided by a diagonal of second derivatives that is measured now and then on many."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from helpers.fitting.energy import Energy
from helpers.fitting.parameters import FaceState
from helpers.fitting.solvers.gauss_newton import SolverResult
from helpers.fitting.solvers.scaling import Best, finish, parameter_units


def stochastic_newton(
    energy: Energy,
    state: FaceState,
    free: Tensor,
    iterations: int,
    *,
    draw: Callable[[], Energy],
    rate: float = 0.1,
    measure_every: int = 50,
    watch=lambda state, terms: None,
    **_,
) -> SolverResult:
    """Lower `energy` by `iterations` steps along gradients of `draw()`, the same energy on a few random points.

    Every `measure_every` steps the diagonal of H is measured on `energy` itself, and the best state so far is
    kept. The noise of 40 points keeps the search out of small hollows; the falling rate brings it to rest.
    Other keywords, of other solvers, are ignored.
    """
    best = None
    for t in range(iterations + 1):
        if t % measure_every == 0 or t == iterations:
            equations = energy.equations(state)
            units = parameter_units(equations, free)
            best = best or Best(state, equations.energy)
            best.see(state, equations.energy)
            watch(state, equations.terms)
        if t < iterations:
            g, _ = draw().gradient(state)
            step = -rate * (1 - t / iterations) * torch.nan_to_num(g) * units.square()
            state = energy.moved(state, step.clamp(-0.5, 0.5))
    return finish(energy, best)
