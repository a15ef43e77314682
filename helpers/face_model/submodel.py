"""Keep a part of a face model: the same coefficients, fewer vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.face_model.morphable_model import NOSE_TIP, MorphableModel


def crop(
    model: MorphableModel,
    *,
    vertices: Sequence[int] | np.ndarray | Tensor | None = None,
    radius_mm: float | None = None,
    centre: str | int | Sequence[float] | Tensor = "nose",
) -> MorphableModel:
    """Keep a part of a model: `shape(alpha)` of the result is that part of the model's `shape(alpha)`.

    A triangle stays if all its corners do. The landmarks stay if all 68 vertices do, else the result has none:
    half a set would be taken for another one. The rest of the head goes. Columns of the bases are a part of the old ones, rescaled to unit
    length with σ changed to match; they are no longer exactly at right angles.

    Args:
        model: The whole model.
        vertices: Which to keep, in the order of the result: different numbers (N,), or a mask (V,) bool.
        radius_mm: Instead, keep those within this distance of `centre` on the mean face that still have a triangle.
        centre: "nose" (the landmark at its tip), the number of a vertex, or a point (3,) mm in model axes.

    Returns:
        The part.

    Raises:
        UserError: Nothing or more than one thing is asked for, or no triangle would be left.
    """
    if (vertices is None) == (radius_mm is None):
        raise UserError("crop needs either vertices=… or radius_mm=…, and not both")
    keep = _checked(vertices, model) if radius_mm is None else _within(model, radius_mm, centre)
    new_number = torch.full((model.n_vertices,), -1, device=keep.device)
    new_number[keep] = torch.arange(len(keep), device=keep.device)
    triangles = new_number[model.triangles]
    triangles = triangles[(triangles >= 0).all(1)]
    if len(triangles) == 0:
        raise UserError(f"crop would leave {len(keep)} vertices and no triangle; keep more of the face")
    return _part(model, keep, new_number, triangles)


def _part(model: MorphableModel, keep: Tensor, new_number: Tensor, triangles: Tensor) -> MorphableModel:
    landmarks = None if model.landmarks is None else new_number[model.landmarks]
    if landmarks is not None and (landmarks < 0).any():
        landmarks = None
    shape_basis, shape_std = _unit_columns(model.shape_basis[keep], model.shape_std)
    texture_basis, texture_std = _unit_columns(model.texture_basis[keep], model.texture_std)
    changed = {}
    if model.expression_basis is not None and model.expression_std is not None:
        basis, std = _unit_columns(model.expression_basis[keep], model.expression_std)
        changed |= {"expression_basis": basis, "expression_std": std}
    if model.expression_units is not None:
        changed["expression_units"] = model.expression_units[keep]
    if model.masks is not None:
        changed["masks"] = {name: weights[keep] for name, weights in model.masks.items()}
    return replace(
        model,
        mean_shape=model.mean_shape[keep],
        shape_basis=shape_basis,
        shape_std=shape_std,
        mean_texture=model.mean_texture[keep],
        texture_basis=texture_basis,
        texture_std=texture_std,
        triangles=triangles,
        landmarks=landmarks,
        rest=None,
        **changed,
    )


def _unit_columns(basis: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Columns of (V, 3, K) at unit length and σ (K,) so that their product stays; a mode that is gone has σ = 0."""
    length = basis.double().square().sum((0, 1)).sqrt().to(std)
    return basis / torch.where(length > 0, length, 1), std * length


def _within(model: MorphableModel, radius_mm: float, centre) -> Tensor:
    if not radius_mm > 0:
        raise UserError(f"radius_mm={radius_mm!r}: a radius is a number of millimetres above zero")
    inside = (model.mean_shape - _point(model, centre)).norm(dim=1) <= radius_mm
    kept = model.triangles[inside[model.triangles].all(1)]
    return kept.unique()  # sorted: the order of the model


def _point(model: MorphableModel, centre) -> Tensor:
    """(3,) mm."""
    if isinstance(centre, str):
        if centre != "nose":
            raise UserError(f'centre={centre!r}: give "nose", the number of a vertex, or a point (3,) mm')
        if model.landmarks is None:
            raise UserError(
                f'{model.name} has no landmarks, so centre="nose" is not known; give a point (3,) mm'
            )
        return model.mean_shape[model.landmarks[NOSE_TIP]]
    place = torch.as_tensor(centre, device=model.mean_shape.device)
    if place.ndim == 0 and not place.is_floating_point():
        if not 0 <= int(place) < model.n_vertices:
            raise UserError(f"centre={centre}: the vertices have the numbers 0 to {model.n_vertices - 1}")
        return model.mean_shape[place]
    if place.shape != (3,):
        raise UserError(f"centre must be a point (3,) mm or the number of a vertex, got {tuple(place.shape)}")
    return place.to(model.mean_shape)


def _checked(vertices, model: MorphableModel) -> Tensor:
    """`vertices` as a tensor of different vertex numbers."""
    keep = torch.as_tensor(vertices, device=model.triangles.device)
    if keep.dtype == torch.bool and keep.shape == (model.n_vertices,):
        return keep.nonzero()[:, 0]
    if keep.ndim != 1 or keep.dtype == torch.bool or keep.is_floating_point() or keep.numel() == 0:
        raise UserError(
            f"vertices must be whole numbers (N,) or a mask ({model.n_vertices},) bool, "
            f"got {keep.dtype} {tuple(keep.shape)}"
        )
    keep = keep.long()
    if keep.min() < 0 or keep.max() >= model.n_vertices:
        raise UserError(
            f"vertices go from {int(keep.min())} to {int(keep.max())}, but {model.name} has the numbers "
            f"0 to {model.n_vertices - 1}; is the list made for another model?"
        )
    if len(keep.unique()) < len(keep):
        raise UserError("vertices names some vertices twice; give each once")
    return keep
