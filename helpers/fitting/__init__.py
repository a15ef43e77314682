"""Single-image fitting: the face, pose and light that explain one photograph (Tran et al. 2017).

`fit` minimises landmarks + pixels + prior by damped Gauss-Newton, coarse to fine. The authors' released fitter
solves the same kind of energy by stochastic Newton steps with finite differences; here every Jacobian is analytic. `fit_person`
does so for all photographs of a person at once.
"""

from helpers.fitting.confidence import GOOD_CONFIDENCE, REASONS
from helpers.fitting.fit import FitProgress, fit, state_of
from helpers.fitting.fit_person import PersonFit, fit_person
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.prior_term import FacePrior
from helpers.fitting.result import FitResult, render_state
from helpers.fitting.settings import FitSettings
from helpers.fitting.uncertainty import posterior_samples, vertex_sigma

__all__ = [
    "GOOD_CONFIDENCE",
    "REASONS",
    "FacePrior",
    "FaceState",
    "FitModel",
    "FitProgress",
    "FitResult",
    "FitSettings",
    "PersonFit",
    "fit",
    "fit_person",
    "posterior_samples",
    "render_state",
    "state_of",
    "vertex_sigma",
]
