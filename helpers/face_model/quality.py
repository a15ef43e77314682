"""Is a face model any good? Three usual answers: compactness, generalisation, specificity (Davies 2002).

All errors are root mean square distances of corresponding vertices, in mm.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.face_model.alignment import align_onto
from helpers.face_model.morphable_model import MorphableModel

CHUNK = 1024  # vertices at a time


def compactness(std: Tensor, total_variance: float | None = None) -> Tensor:
    """Compute the share of the variance that the first modes hold. A compact model needs few modes.

    Args:
        std: (K,) standard deviations of the modes.
        total_variance: That of the population; None is that of all the modes given.

    Returns:
        (K,) float64, the share in the first 1, 2, … K modes.
    """
    variance = std.double().square().cumsum(0)
    return variance / (variance[-1] if total_variance is None else total_variance)


def generalisation(
    model: MorphableModel,
    heads: Tensor,
    modes: Sequence[int],
    *,
    weights: Tensor | None = None,
    align_by: str = "rigid",
) -> Tensor:
    """Measure what the first k modes cannot represent of heads that the model has not seen.

    Each head is first moved onto the mean face, then projected on the modes by least squares, without a prior.

    Args:
        model: The model.
        heads: (N, V, 3) mm.
        modes: The M numbers k, each from 0 (the mean face) to Ks.
        weights: (V,), as in `align`.
        align_by: Method of `align`.

    Returns:
        (M, N) float64, mm.

    Raises:
        UserError: The heads are not like the model, or a number k is out of range.
    """
    _check(model, heads)
    if not modes or not all(isinstance(k, int) and 0 <= k <= model.shape_basis.shape[-1] for k in modes):
        raise UserError(f"modes must be numbers from 0 to {model.shape_basis.shape[-1]}, got {list(modes)}")
    heads = align_onto(heads, model.mean_shape, align_by, weights=weights)
    squared, products, gram = _normal_equations(model, heads)
    errors = []
    for k in modes:
        # The best coefficients c of k modes solve G c = b, and leave ‖x‖² − b·c of the squared length.
        explained = (products[:, :k] * torch.linalg.solve(gram[:k, :k], products[:, :k].T).T).sum(1)
        errors.append(((squared - explained).clamp(min=0) / len(model.mean_shape)).sqrt())
    return torch.stack(errors)


def specificity(
    model: MorphableModel,
    heads: Tensor,
    n: int = 200,
    *,
    modes: int | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Measure how far random heads of the model are from the nearest of the population.

    Small is good, if the population is large: then what the model invents resembles what there is.

    Args:
        model: The model.
        heads: (N, V, 3) mm, in the model's frame, as `Alignment.apply` gives them.
        n: How many heads to draw.
        modes: From how many leading modes; None is all.
        generator: Of the random numbers.

    Returns:
        (n,) float64, mm.

    Raises:
        UserError: The heads are not like the model.
    """
    _check(model, heads)
    alpha = model.sample(n, generator=generator).alpha[:, :modes]
    squared = heads.new_zeros((), dtype=torch.float64)
    for start in range(0, len(model.mean_shape), CHUNK):
        part = slice(start, start + CHUNK)
        mean = model.mean_shape[part].double()
        basis = (model.shape_basis[part, :, : alpha.shape[1]] * model.shape_std[: alpha.shape[1]]).double()
        drawn = alpha.double() @ basis.flatten(0, 1).T
        known = (heads[:, part].double() - mean).flatten(1)
        squared = squared + drawn.square().sum(1)[:, None] + known.square().sum(1) - 2 * drawn @ known.T
    return (squared.clamp(min=0).amin(1) / len(model.mean_shape)).sqrt()


def _normal_equations(model: MorphableModel, heads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """‖x‖² (N,), Eᵀx (N, K) and EᵀE (K, K) for x = heads − mean, summed in float64 over blocks of vertices."""
    squared = products = gram = heads.new_zeros((), dtype=torch.float64)
    for start in range(0, len(model.mean_shape), CHUNK):
        part = slice(start, start + CHUNK)
        x = (heads[:, part].double() - model.mean_shape[part].double()).flatten(1)
        basis = model.shape_basis[part].double().flatten(0, 1)
        squared, products, gram = squared + x.square().sum(1), products + x @ basis, gram + basis.T @ basis
    return squared, products, gram


def _check(model: MorphableModel, heads: Tensor) -> None:
    if heads.ndim != 3 or heads.shape[1:] != model.mean_shape.shape or len(heads) == 0:
        raise UserError(f"heads must be (N, {model.n_vertices}, 3) like the model, got {tuple(heads.shape)}")
