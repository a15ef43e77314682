"""What a network leaves open, found for a face that it has predicted: pose, expression and light.

The network predicts shape and texture. To lay that face over the photograph one must also know where it looks, how
its mouth is, and where the light comes from. That is the fit of `helpers.fitting` with shape and texture held: the predicted
face takes the place of the mean face, and nothing of the 198 numbers is left to move. 63 unknowns instead of 261.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from helpers.crop import FaceCrop
from helpers.face_model import FaceCoefficients, MorphableModel
from helpers.fitting import FitModel, FitResult, FitSettings, fit

HELD = 1e6  # weight of the prior on what must not move


def held_fit(
    crop: FaceCrop,
    guess: FaceCoefficients,
    model: MorphableModel,
    spread: Tensor | None = None,
    seed: int = 0,
) -> FitResult:
    """Fit pose, expression and light to a photograph, with alpha and beta held.

    Args:
        crop: of one face, as `crop_face` cuts it.
        guess: the network's coefficients (1, K).
        model: the face model of the coefficients.
        spread: (Ks + Kt,) standard deviations of the guesses about the truth, alpha then beta, for the covariance; None
            means 1, as if nothing were known.
        seed: of the surface points.

    Returns:
        The fit, with alpha and beta as guessed.

    Raises:
        ValueError: more than one face.
    """
    if len(crop) != 1 or len(guess.alpha) != 1:
        raise ValueError(f"held_fit takes one face, got {len(crop)} crops and {len(guess.alpha)} guesses")
    alpha, beta = guess.alpha.to(model.mean_shape), guess.beta.to(model.mean_shape)
    person = replace(
        model,
        mean_shape=model.shape(alpha)[0],
        mean_texture=model.texture(beta)[0],
        # One mode of each is kept, because a model has at least one. Its weight holds it at 0.
        shape_basis=model.shape_basis[..., :1],
        shape_std=model.shape_std[:1],
        texture_basis=model.texture_basis[..., :1],
        texture_std=model.texture_std[:1],
    )
    settings = FitSettings(shape_weight=HELD, texture_weight=HELD, seed=seed)
    found = fit(crop.image, crop.landmarks, FitModel(person), valid=crop.valid, settings=settings)
    return replace(
        found, alpha=alpha, beta=beta, covariance=_covariance(found.covariance, alpha, beta, spread)
    )


def _covariance(found: Tensor, alpha: Tensor, beta: Tensor, spread: Tensor | None) -> Tensor:
    """(1, n, n) of α, expression and β: the network's spread on the diagonal, and the expression's block from the fit."""
    a, b, e = alpha.shape[1], beta.shape[1], found.shape[1] - 2
    spread = torch.ones(a + b) if spread is None else torch.as_tensor(spread)
    whole = torch.zeros(1, a + e + b, a + e + b, device=found.device)
    at = torch.cat([torch.arange(a), torch.arange(a + e, a + e + b)])
    whole[:, at, at] = spread.to(found).square()
    whole[:, a : a + e, a : a + e] = found[:, 1 : 1 + e, 1 : 1 + e]
    return whole
