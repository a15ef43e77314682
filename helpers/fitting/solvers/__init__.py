"""Ways down the same energy, with one interface: (energy, state, free parameters, iterations) to a `SolverResult`."""

from collections.abc import Callable

from helpers.fitting.solvers.adam import adam
from helpers.fitting.solvers.gauss_newton import SolverResult, gauss_newton
from helpers.fitting.solvers.lbfgs import lbfgs
from helpers.fitting.solvers.stochastic_newton import stochastic_newton

SOLVERS: dict[str, Callable[..., SolverResult]] = {"gauss-newton": gauss_newton, "adam": adam, "lbfgs": lbfgs}

__all__ = ["SOLVERS", "SolverResult", "adam", "gauss_newton", "lbfgs", "stochastic_newton"]
