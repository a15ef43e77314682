"""First-order solvers need parameters of like size: a radian is worth a thousand millimetres or more."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.fitting.energy import Energy, Equations
from helpers.fitting.parameters import FaceState
from helpers.fitting.solvers.gauss_newton import SolverResult, solve

LAST_DAMPING, LAST_STEP_LIMIT = 1e-3, 4.0  # of the step whose promise tells whether a search has come to rest


def parameter_units(equations: Equations, free: Tensor) -> Tensor:
    """(B, n) one over the square root of the energy's curvature by each parameter, 0 for those that are held.

    In these units every parameter has curvature 1 on its own; how they act together is left to the solver.
    """
    curvature = equations.H.diagonal(dim1=1, dim2=2)
    units = torch.zeros_like(curvature)
    units[:, free] = curvature[:, free].clamp(min=1e-6).rsqrt()
    return units


class Best:
    """Remembers for each face the state with the lowest energy; a face never gets worse than it came."""

    def __init__(self, state: FaceState, energy: Tensor):
        self.state, self.energy = state, energy

    def see(self, state: FaceState, energy: Tensor) -> Tensor:
        """Take the state where it is better; returns where (B,)."""
        better = energy < self.energy  # False also for NaN
        self.state = state.where(better, self.state)
        self.energy = torch.where(better, energy, self.energy)
        return better


def finish(energy: Energy, best: Best) -> SolverResult:
    """The best state as a `SolverResult`, with what a step of Gauss-Newton would gain."""
    equations = energy.equations(best.state)
    everything = torch.arange(energy.layout.size, device=equations.g.device)
    damping = equations.g.new_full((len(equations.g),), LAST_DAMPING)
    _, promised = solve(equations, energy.layout, everything, damping, LAST_STEP_LIMIT)
    return SolverResult(best.state, energy, promised / equations.energy.clamp(min=1e-12))
