"""The face model: what a face is, in 198 numbers."""

from __future__ import annotations

from pathlib import Path

import torch

from helpers.errors import UserError
from helpers.face_model.alignment import align
from helpers.face_model.building import BuiltModel, build_model
from helpers.face_model.cropping import crop
from helpers.face_model.morphable_model import FaceCoefficients, MorphableModel
from helpers.face_model.open_model import load_open_model
from helpers.face_model.quality import compactness, generalisation, specificity
from helpers.face_model.saving import save

__all__ = [
    "BuiltModel", "FaceCoefficients", "MorphableModel", "align", "build_model", "compactness", "crop",
    "generalisation", "load", "save", "specificity",
]  # fmt: skip


def load(
    name_or_path="open", *, level: int = 2, n_shape: int = 99, n_texture: int = 99, device="cpu"
) -> MorphableModel:
    """Load a face model by name.

    "open" is the synthetic model that ships with the course. `level` 0, 1 or 2 is its level of detail,
    `n_shape` and `n_texture` are the numbers of leading modes to keep. Raises UserError for anything else.
    """
    if str(name_or_path) != "open":
        found = (
            "this file is not a model that can be read here"
            if Path(name_or_path).exists()
            else "no such face model"
        )
        raise UserError(
            f'{name_or_path}: {found}; give "open", the synthetic model that ships with the course'
        )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={device!r} is not usable here; use 'cpu', or a machine with a working GPU"
        ) from error
    return load_open_model(level, n_shape, n_texture).to(device)
