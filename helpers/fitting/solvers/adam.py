"""Adam (Kingma and Ba 2015): the gradient, smoothed, over its own size. One step costs little and gains little."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.fitting.energy import Energy
from helpers.fitting.parameters import FaceState
from helpers.fitting.solvers.gauss_newton import SolverResult
from helpers.fitting.solvers.scaling import Best, finish, parameter_units


def adam(
    energy: Energy,
    state: FaceState,
    free: Tensor,
    iterations: int,
    *,
    rate: float = 1.0,
    decay: tuple[float, float] = (0.9, 0.99),
    watch=lambda state, terms: None,
    **_,
) -> SolverResult:
    """Lower `energy` by `iterations` steps. rate: length of the first steps, in the units of `parameter_units`.

    The rate falls to a tenth along half a cosine. The best state on the way is returned. Other keywords, of other
    solvers, are ignored.
    """
    units = parameter_units(energy.equations(state), free)
    mean, square = torch.zeros_like(units), torch.zeros_like(units)
    best = None
    for t in range(iterations + 1):
        g, terms = energy.gradient(state)
        total = sum(terms.values())
        best = best or Best(state, total)
        best.see(state, total)
        if t == iterations:
            break
        watch(state, terms)
        g = torch.nan_to_num(g) * units
        mean = decay[0] * mean + (1 - decay[0]) * g
        square = decay[1] * square + (1 - decay[1]) * g.square()
        direction = mean / (1 - decay[0] ** (t + 1)) / ((square / (1 - decay[1] ** (t + 1))).sqrt() + 1e-8)
        fall = 0.55 + 0.45 * torch.cos(torch.tensor(torch.pi * t / max(iterations, 1))).item()
        state = energy.moved(state, -rate * fall * units * direction)
    return finish(energy, best)
