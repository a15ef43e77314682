"""What a scalismo file has no place for, kept beside it in the same file so that nothing of a model is lost.

Everything lies under /metadata, where other programs look for landmarks only:

    /metadata/name, licence          strings
    /metadata/landmarks/vertices     (68,) vertex numbers
    /metadata/masks/NAME             (V,) weights 0–1
    /metadata/expression_units       displacements (3·V, U) mm, names (U,)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from helpers.face_model.morphable_model import MorphableModel

if TYPE_CHECKING:
    import h5py

FIELDS = ("name", "licence", "landmarks", "masks", "expression_units", "expression_names")


def write_extras(file: h5py.File, model: MorphableModel) -> None:
    """Write what a model has of these into an open h5py file.

    Args:
        file: The h5py file.
        model: The model.
    """
    metadata = file.require_group("metadata")
    metadata["name"], metadata["licence"] = model.name, model.licence
    if model.landmarks is not None:
        metadata["landmarks/vertices"] = model.landmarks.cpu().numpy().astype(np.int32)
    for name, weights in (model.masks or {}).items():
        metadata[f"masks/{name}"] = float32_array(weights)
    if model.expression_units is not None:
        metadata["expression_units/displacements"] = float32_array(model.expression_units.flatten(0, 1))
        metadata["expression_units/names"] = list(model.expression_names)


def read_extras(file: h5py.File) -> dict:
    """Read what an open h5py file has of these; a foreign file may have nothing.

    Args:
        file: The h5py file.

    Returns:
        Those of `FIELDS` that it has, as `MorphableModel` takes them.
    """
    metadata, found = file.get("metadata", {}), {}
    for name in ("name", "licence"):
        if name in metadata:
            found[name] = metadata[name].asstr()[()]
    if "landmarks/vertices" in metadata:
        found["landmarks"] = torch.from_numpy(metadata["landmarks/vertices"][()].astype(np.int64))
    if "masks" in metadata:
        found["masks"] = {name: torch.from_numpy(item[()]) for name, item in metadata["masks"].items()}
    if "expression_units" in metadata:
        units = metadata["expression_units/displacements"][()]
        found["expression_units"] = torch.from_numpy(units).reshape(-1, 3, units.shape[1])
        found["expression_names"] = tuple(metadata["expression_units/names"].asstr()[()])
    return found


def float32_array(values: torch.Tensor) -> np.ndarray:
    """Copy a tensor to the CPU as a float32 array."""
    return values.detach().cpu().numpy().astype(np.float32)
