"""L-BFGS (Nocedal 1980): curvature learnt from the last few gradients, for B faces at once."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.fitting.energy import Energy, total
from helpers.fitting.parameters import FaceState
from helpers.fitting.solvers.gauss_newton import SolverResult, Watch, unwatched
from helpers.fitting.solvers.scaling import Best, finish, parameter_units


def lbfgs(
    energy: Energy,
    state: FaceState,
    free: Tensor,
    iterations: int,
    *,
    memory: int = 12,
    watch: Watch = unwatched,
    **_,
) -> SolverResult:
    """Lower an energy by L-BFGS; the best state on the way is returned.

    A step that does not lower a face's energy is taken back and halved. Other keywords, of other solvers, are
    ignored.

    Args:
        energy: to be lowered.
        state: where to begin.
        free: indices of the parameters that may move.
        iterations: number of evaluations of the gradient.
        memory: how many pairs of step and change of gradient to keep.
        watch: is given each state and its energies before the step from there.
    """
    units = parameter_units(energy.equations(state), free)
    g, terms = energy.gradient(state)
    best, g = Best(state, total(terms)), g * units
    pairs: list[tuple[Tensor, Tensor]] = []
    reach = torch.ones_like(best.energy)
    for _ in range(iterations):
        watch(best.state, terms)
        direction = _two_loops(g, pairs)
        # The first direction has no curvature behind it: a step of length one at most.
        limit = (1.0 if not pairs else 6.0) / direction.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        step = -direction * limit.clamp(max=1.0) * reach[:, None]
        tried = energy.moved(best.state, step * units)
        at_tried, terms_tried = energy.gradient(tried)
        at_tried = torch.nan_to_num(at_tried) * units
        better = best.see(tried, total(terms_tried))
        reach = torch.where(better, (2 * reach).clamp(max=1.0), 0.5 * reach)
        change = torch.where(better[:, None], at_tried - g, 0.0)
        pairs = [*pairs, (torch.where(better[:, None], step, 0.0), change)][-memory:]
        g = torch.where(better[:, None], at_tried, g)
        terms = {name: torch.where(better, terms_tried[name], terms[name]) for name in terms}
    return finish(energy, best)


def _two_loops(g: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The product of the inverse Hessian, as the pairs (step, change of gradient) show it, with g (B, n)."""
    q, kept = g, []
    for s, y in reversed(pairs):
        curvature = (s * y).sum(-1, keepdim=True)
        # A face whose step was taken back, or along which the energy curves down, has no pair here.
        ρ = torch.where(curvature > 1e-10, 1 / curvature.clamp(min=1e-10), 0.0)
        a = ρ * (s * q).sum(-1, keepdim=True)
        q = q - a * y
        kept.append((ρ, a))
    for (s, y), (ρ, a) in zip(pairs, reversed(kept), strict=True):
        q = q + s * (a - ρ * (y * q).sum(-1, keepdim=True))
    return q
