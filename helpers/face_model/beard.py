"""Grow a beard on a painted face: a layer over the texture modes, which hold stubble at most.

Beards are there or not, and with an edge: a Gaussian of their pictures would be half a beard on every second face.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.face_model.morphable_model import MorphableModel

PARTS = ("beard", "goatee", "moustache")  # masks: jaw and cheeks, chin, upper lip


def beard_layer(model: MorphableModel, colours: Tensor, hair: Tensor, density: Tensor) -> Tensor:
    """Lay a beard over the colours of faces.

    Args:
        model: With the masks `PARTS`, as the open model has them.
        colours: (B, V, 3) sRGB, 0 to 1.
        hair: (B, 3) sRGB, the hair's colour.
        density: (B, 3), for each of `PARTS` 0 (shaved) to 1 (full).

    Returns:
        (B, V, 3) sRGB, 0 to 1.

    Raises:
        UserError: The model has no such masks.
    """
    if model.masks is None or not set(PARTS) <= set(model.masks):
        raise UserError(f'{model.name}: no place for a beard; load the open face model ("open")')
    where = torch.stack([model.masks[part] for part in PARTS]).to(colours)  # (3, V)
    cover = (density.to(colours)[..., None] * where).amax(1).clamp(0, 1)[..., None]
    return colours * (1 - cover) + hair.to(colours)[:, None] * cover
