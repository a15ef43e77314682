"""How good predictions are, in numbers that mean something besides the loss."""

from __future__ import annotations

import torch
from torch import Tensor

N_SHAPE = 99


def magnitude_ratio(prediction: Tensor, target: Tensor) -> Tensor:
    """(B,) ‖p‖ / ‖t‖ of predictions p and targets t (B, K): below 1 for a guess that stays near the mean face."""
    return prediction.norm(dim=-1) / target.norm(dim=-1).clamp(min=1e-12)


def cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """(B,) cosine of the angle between prediction and target (B, K): whether the direction is right."""
    return torch.nn.functional.cosine_similarity(prediction, target, dim=-1)


def shape_rms(prediction: Tensor, target: Tensor, std: Tensor, vertices: int) -> Tensor:
    """Root mean square distance between the vertices of two shapes, without alignment.

    The model's modes have unit length and are perpendicular, so the squared distance of all vertices together is
    Σ_k (σ_k Δα_k)², and no vertex needs to be made.

    Args:
        prediction: (B, K) α.
        target: (B, K) α.
        std: (K,) σ of the modes, mm.
        vertices: How many the model has.

    Returns:
        (B,) mm.
    """
    return ((std * (prediction - target)).square().sum(-1) / vertices).sqrt()


def shape_spread(alpha: Tensor, person: Tensor, std: Tensor, vertices: int) -> tuple[float, float]:
    """How far shapes lie apart: within a person, and between people.

    Args:
        alpha: (N, K) coefficients of shape.
        person: (N,) whole numbers, whom each shape is of.
        std: (K,) σ of the modes, mm.
        vertices: How many the model has.

    Returns:
        within: mm, root mean square distance of the shapes from the mean of their person.
        between: mm, that of the people's means, each counted as often as the person has shapes, from the mean of all.
        The squares of both add up to the mean squared distance of all shapes from their mean.
    """
    shape = alpha * std
    _, owner = person.unique(return_inverse=True)
    mean = shape.new_zeros(int(owner.max()) + 1, shape.shape[1]).index_add_(0, owner, shape)
    mean = (mean / torch.bincount(owner)[:, None])[owner]
    squares = ((shape - mean).square().sum(-1), (mean - shape.mean(0)).square().sum(-1))
    within, between = (float((square.mean() / vertices).sqrt()) for square in squares)
    return within, between


def measures(
    prediction: Tensor, target: Tensor, n_shape: int = N_SHAPE, std: Tensor | None = None, vertices: int = 0
) -> dict[str, Tensor]:
    """Measure predictions beside their loss.

    Args:
        prediction: (B, K) coefficients, α then β.
        target: (B, K) coefficients.
        n_shape: How many of them are α.
        std: (n_shape,) σ of shape, mm; None leaves the distance out.
        vertices: How many the model has.

    Returns:
        Name to (B,): "magnitude_alpha", "cosine_alpha", "magnitude_beta", "cosine_beta", and with `std` "shape_mm".
    """
    found: dict[str, Tensor] = {}
    if std is not None:
        found["shape_mm"] = shape_rms(prediction[:, :n_shape], target[:, :n_shape], std, vertices)
    for name, part in (("alpha", slice(0, n_shape)), ("beta", slice(n_shape, None))):
        if prediction[:, part].shape[1]:
            found[f"magnitude_{name}"] = magnitude_ratio(prediction[:, part], target[:, part])
            found[f"cosine_{name}"] = cosine(prediction[:, part], target[:, part])
    return found


def importance_of(shape_std: Tensor, texture_std: Tensor, emphasis: float) -> Tensor:
    """Weights of the coefficients in a loss: in proportion to σ to the power of `emphasis`.

    With emphasis 0 all count alike, the last mode as much as the first. Most of the modes do not show in a picture of few
    pixels, and what a network cannot learn only adds noise to its gradient: with emphasis 1 those modes count less, and
    it learns faster.

    Args:
        shape_std: (Ks,) σ of shape.
        texture_std: (Kt,) σ of texture; may be empty.
        emphasis: The power.

    Returns:
        (Ks + Kt,), with mean 1 for shape and for texture.
    """
    parts = [(std / std.max()) ** emphasis for std in (shape_std, texture_std)]
    return torch.cat([part / part.mean() for part in parts])
