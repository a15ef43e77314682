"""The face model: what a face is, in 198 numbers."""

from __future__ import annotations

from pathlib import Path

import torch

from helpers.device import default_device
from helpers.errors import UserError
from helpers.face_model.alignment import align
from helpers.face_model.beard import beard_layer
from helpers.face_model.build import BuiltModel, build_model
from helpers.face_model.gaze import look
from helpers.face_model.morphable_model import FaceCoefficients, MorphableModel
from helpers.face_model.open_model import is_count, load_open_model
from helpers.face_model.quality import compactness, generalisation, specificity
from helpers.face_model.saving import save
from helpers.face_model.sources import BY_NAME, find, how_to_get, located, model_folders
from helpers.face_model.submodel import crop
from helpers.files import NO_SUCH_FILE, why_unreadable

__all__ = [
    "BuiltModel",
    "FaceCoefficients",
    "MorphableModel",
    "align",
    "beard_layer",
    "build_model",
    "compactness",
    "crop",
    "find",
    "generalisation",
    "how_to_get",
    "load",
    "look",
    "model_folders",
    "save",
    "specificity",
]


def load(
    name_or_path: str | Path = "open",
    *,
    level: int = 2,
    n_shape: int = 99,
    n_texture: int = 99,
    device: str | torch.device | None = None,
    part: str | None = None,
) -> MorphableModel:
    """Load a face model by name or from a file.

    Lengths are mm and triangles anticlockwise seen from outside, whatever the file has. Expression zero is the
    neutral face. `landmarks` come from the file or from a published list for that mesh; where only some of the 68
    are known, as for Basel's models of 2017 and 2019, the rest is estimated (`formats.landmark_transfer`); where
    none are, it is None. All expressions are kept. A model without colours is grey, with no texture modes:
    `texture(beta)` takes beta (B, 0).

    Args:
        name_or_path: "open" is the synthetic model that ships with the course. Any other name of `how_to_get()`, such
            as "bfm2009", is looked for in the folders of `model_folders()`. A path is that of a model file or folder;
            what kind it is, is seen from what is in it.
        level: Level of detail of the open model, 0, 1 or 2; means nothing for other models.
        n_shape: Number of leading shape modes to keep; a file with fewer gives what it has.
        n_texture: The same for texture modes.
        device: Where the model's tensors are to lie; None is `helpers.device.default_device()`.
        part: Part of ICT-FaceKit: "narrow", "face" (if not given) or "head".

    Returns:
        The model, with `n_shape` and `n_texture` modes at most.

    Raises:
        UserError: The name is unknown, the file is missing or cannot be read, or an argument is out of range.

    >>> model = load("open", level=0, n_shape=10)
    >>> model.shape(torch.zeros(1, 10)).shape == (1, model.n_vertices, 3)
    True
    """
    device = default_device() if device is None else device
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={device!r} is not usable here; use 'cpu', or a machine with a working GPU"
        ) from error
    if str(name_or_path) == "open":
        if part is not None:
            raise UserError(f"part={part!r}: the open face model has no parts; leave `part` out")
        return load_open_model(level, n_shape, n_texture).to(device)
    for key, value in (("n_shape", n_shape), ("n_texture", n_texture)):
        if not is_count(value) or value < 1:
            raise UserError(f"{key}={value!r}: give a whole number of modes, 1 or more")
    from helpers.face_model.formats import read
    from helpers.face_model.formats.assemble import Wanted

    return read(_path(name_or_path), Wanted(n_shape, n_texture, part)).to(device)


def _path(name_or_path: str | Path) -> Path:
    source = BY_NAME.get(str(name_or_path))
    if source is not None:
        return located(source)
    path = Path(name_or_path).expanduser()
    reason = why_unreadable(path, folders=True)
    if reason == NO_SUCH_FILE:
        raise UserError(
            f'{name_or_path}: no such face model or file; give "open", a path, or one of {", ".join(BY_NAME)}'
        )
    if reason is not None:
        raise UserError(f"{name_or_path}: {reason}")
    return path
