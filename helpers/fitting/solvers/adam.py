"""Adam (Kingma and Ba 2015): the gradient, smoothed, over its own size. One step costs little and gains little."""

from __future__ import annotations

from math import cos, pi

import torch
from torch import Tensor

from helpers.fitting.energy import Energy, total
from helpers.fitting.parameters import FaceState
from helpers.fitting.solvers.gauss_newton import SolverResult, Watch, unwatched
from helpers.fitting.solvers.scaling import Best, finish, parameter_units


def adam(
    energy: Energy,
    state: FaceState,
    free: Tensor,
    iterations: int,
    *,
    rate: float = 1.0,
    decay: tuple[float, float] = (0.9, 0.99),
    watch: Watch = unwatched,
    **_,
) -> SolverResult:
    """Lower an energy by Adam's steps; the best state on the way is returned.

    The rate falls to a tenth along half a cosine. Other keywords, of other solvers, are ignored.

    Args:
        energy: to be lowered.
        state: where to begin.
        free: indices of the parameters that may move.
        iterations: number of steps.
        rate: length of the first steps, in the units of `parameter_units`.
        decay: of the running means of the gradient and of its square.
        watch: is given each state and its energies before the step from there.
    """
    units = parameter_units(energy.equations(state), free)
    mean, square = torch.zeros_like(units), torch.zeros_like(units)
    g, terms = energy.gradient(state)
    best = Best(state, total(terms))
    for t in range(iterations):
        watch(state, terms)
        g = torch.nan_to_num(g) * units
        mean = decay[0] * mean + (1 - decay[0]) * g
        square = decay[1] * square + (1 - decay[1]) * g.square()
        direction = mean / (1 - decay[0] ** (t + 1)) / ((square / (1 - decay[1] ** (t + 1))).sqrt() + 1e-8)
        fall = 0.55 + 0.45 * cos(pi * t / iterations)
        state = energy.moved(state, -rate * fall * units * direction)
        g, terms = energy.gradient(state)
        best.see(state, total(terms))
    return finish(energy, best)
