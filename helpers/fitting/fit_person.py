"""Several photographs of one person, fitted at once: one shape and one texture that must explain them all.

    E(α, β, p_1 … p_n) = Σ_i E_i(α, β, p_i) + κ (½ ‖α‖² + ½ ‖β‖²),      κ = 1 + ρ (n − 1)

with p_i what photograph i has of its own (expression, pose, light, focal length), and E_i its terms and the prior of p_i,
as in `fit`. ρ is the correlation of the errors that the photographs share, `FitSettings.photo_correlation`: at 0 the
prior is there once, at 1 as often as there are photographs.

Pooling averages what single fits found, each with its own compromise between photograph and prior. Here, what one
photograph leaves open (the depth of a nose seen from the front) another one decides while the search goes on. The step
is Gauss-Newton's, with the p_i eliminated: see `helpers.fitting.solvers.schur`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.camera import Camera
from helpers.face_model import MorphableModel
from helpers.fitting.confidence import NOT_FINITE, POSE
from helpers.fitting.fit import FitProgress, fit
from helpers.fitting.parameters import FitModel
from helpers.fitting.prior_term import FacePrior
from helpers.fitting.result import FitResult
from helpers.fitting.settings import FitSettings


@dataclass(frozen=True)
class PersonFit:
    """The faces of P people.

    Attributes:
        person: (P,) the given numbers, in increasing order.
        alpha: (P, 99) shape, in standard deviations.
        beta: (P, 99) texture, in standard deviations.
        covariance: (P, 198, 198) of α and β, in this order, with what each photograph has of its own free to follow. The
            prior's identity for a person without a usable photograph.
        confidence: (P,) mean confidence of the photographs that were used, 0 without any.
        used: (P,) number of photographs that were used.
        photographs: the B fits; those of one person have the same `alpha` and `beta`.
        index: (B,) number of each photograph's person, from 0 to P − 1.
    """

    person: Tensor
    alpha: Tensor
    beta: Tensor
    covariance: Tensor
    confidence: Tensor
    used: Tensor
    photographs: FitResult
    index: Tensor


def fit_person(
    image: Tensor,
    landmarks: Tensor,
    model: MorphableModel | FitModel,
    *,
    person: Tensor | None = None,
    valid: Tensor | None = None,
    camera: Camera | None = None,
    prior: FacePrior | None = None,
    settings: FitSettings | None = None,
    on_iteration: Callable[[FitProgress], None] | None = None,
) -> PersonFit:
    """Fit the face model to all photographs of a person together, or of several people.

    A photograph whose numbers are not finite, or whose landmarks are those of no face, has no part in its person's face.
    It gets that face all the same, and its `code` tells what is wrong.

    Args:
        image: (B, H, W, 3) sRGB, 0 to 1.
        landmarks: (B, 68, 2) px in the crop, iBUG order.
        model: a face model with landmarks.
        person: (B,) whole numbers, the same for photographs of the same person; None means that all show one.
        valid: (B, H, W), 0 where the crop reaches beyond the photograph.
        camera: of the crops, see `fit`.
        prior: of the face in each photograph; a person's has the average of its photographs' means.
        settings: weights and stages; None means the defaults.
        on_iteration: called before each iteration.

    Returns:
        The people, and the fits of their photographs.

    Raises:
        ValueError: as `fit`.
    """
    if person is None:
        person = torch.zeros(len(image), dtype=torch.long, device=image.device)
    result = fit(
        image,
        landmarks,
        model,
        valid=valid,
        camera=camera,
        person=person,
        prior=prior,
        settings=settings,
        on_iteration=on_iteration,
    )
    names, index = person.unique(return_inverse=True)
    P, B = len(names), len(index)
    usable = (result.code != NOT_FINITE) & (result.code != POSE)
    used = torch.zeros(P, dtype=torch.long, device=index.device).index_add_(0, index, usable.long())
    total = result.confidence.new_zeros(P).index_add_(0, index, torch.where(usable, result.confidence, 0.0))
    # All photographs of a person have the same face; the first one stands for it.
    order = torch.arange(B, device=index.device)
    first = torch.full_like(used, B).scatter_reduce(0, index, order, "amin")
    n_shape, n_texture = result.alpha.shape[1], result.beta.shape[1]
    whole = torch.arange(result.covariance.shape[1], device=index.device)
    kept = torch.cat([whole[:n_shape], whole[-n_texture:]])
    return PersonFit(
        person=names,
        alpha=result.alpha[first],
        beta=result.beta[first],
        covariance=result.covariance[first][:, kept[:, None], kept],
        confidence=total / used.clamp(min=1),
        used=used,
        photographs=result,
        index=index,
    )
