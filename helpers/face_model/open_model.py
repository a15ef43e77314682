"""Load the open face model: small stored numbers, expanded to three levels of detail.

The asset holds a control mesh (about 3.5 thousand vertices) with its modes. Two Catmull–Clark steps give the
finest mesh, level 2; levels 1 and 0 are its first vertices, joined by larger quads. So a coefficient means
exactly the same face on every level. The basis is orthonormal at level 2, where the components were computed.
On coarser levels its columns are a part of that basis, rescaled to unit length with σ changed to match: there
they are still nearly, but not exactly, at right angles.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from helpers.assets import ASSETS
from helpers.errors import UserError
from helpers.face_model import subdivision
from helpers.face_model.morphable_model import MorphableModel

ASSET = ASSETS / "open_face_model" / "open_face_model.npz"
LEVELS = (0, 1, 2)
VERSION = 1  # of the file's layout


def load_open_model(
    level: int = 2, n_shape: int = 99, n_texture: int = 99, path: Path = ASSET
) -> MorphableModel:
    """Load the open face model, on the CPU.

    Args:
        level: Level of detail, 0, 1 or 2 (coarse to fine).
        n_shape: Number of leading shape modes.
        n_texture: Number of leading texture modes.
        path: The asset.

    Returns:
        The model.

    Raises:
        UserError: The asset is missing or broken, or a number is out of range.
    """
    if not is_count(level) or level not in LEVELS:
        raise UserError(f"level={level!r}: the open face model has the levels 0, 1 and 2 (coarse to fine)")
    stored = _read(path)
    for key, wanted, count in (("n_shape", n_shape, "shape_std"), ("n_texture", n_texture, "texture_std")):
        if not is_count(wanted) or not 1 <= wanted <= len(stored[count]):
            raise UserError(
                f"{key}={wanted!r}: the open face model has 1 to {len(stored[count])} of these modes"
            )

    return _expand(stored, level, n_shape, n_texture)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            stored = {key: file[key] for key in file.files}
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: the open face model is missing; run `git checkout -- assets` or `make model`"
        ) from error
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(
            f"{path}: not readable ({error}); run `git checkout -- assets` or `make model`"
        ) from error
    if int(stored.get("version", -1)) != VERSION:
        raise UserError(f"{path}: not an open face model of version {VERSION}; rebuild it with `make model`")
    return stored


def is_count(value: object) -> bool:
    """Tell whether it is a whole number."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _expand(stored: dict[str, np.ndarray], level: int, n_shape: int, n_texture: int) -> MorphableModel:
    """From the arrays of the asset to the model at one level."""
    steps = _Levels(stored["quads"].astype(np.int64), len(stored["control_mean"]), level)
    mean = steps.refine(stored["control_mean"])
    shape_basis, shape_std = _unit_columns(
        steps.refine(_mixed(stored["shape_modes"], stored["shape_mix"][:, :n_shape])),
        stored["shape_std"][:n_shape],
    )
    texture_basis, texture_std = _unit_columns(
        steps.spread(_mixed(stored["texture_modes"], stored["texture_mix"][:, :n_texture])),
        stored["texture_std"][:n_texture],
    )
    control_units = stored["expression_units"].astype(np.float32)
    units = steps.refine(np.ascontiguousarray(control_units.transpose(1, 2, 0)))
    modes = units.reshape(-1, units.shape[-1]) @ stored["expression_mix"]
    expression_basis, expression_std = _unit_columns(
        modes.reshape(len(mean), 3, -1), np.ones(modes.shape[1], np.float32)
    )
    masks = stored["masks"][:, : len(mean)].astype(np.float32) / 255
    return MorphableModel(
        mean_shape=torch.from_numpy(mean),
        shape_basis=torch.from_numpy(shape_basis),
        shape_std=torch.from_numpy(shape_std),
        mean_texture=torch.from_numpy(stored["texture_mean"][: len(mean)].astype(np.float32) / 255),
        texture_basis=torch.from_numpy(texture_basis),
        texture_std=torch.from_numpy(texture_std),
        triangles=torch.from_numpy(subdivision.to_triangles(mean, steps.quads)),
        name=str(stored["name"]),
        licence=str(stored["licence"]),
        landmarks=torch.from_numpy(stored["landmarks"][level].astype(np.int64)),
        masks={
            str(key): torch.from_numpy(mask) for key, mask in zip(stored["mask_names"], masks, strict=True)
        },
        expression_basis=torch.from_numpy(expression_basis),
        expression_std=torch.from_numpy(expression_std),
        expression_units=torch.from_numpy(units),
        expression_names=tuple(str(n) for n in stored["expression_names"]),
    )


class _Levels:
    """The matrices from stored values to the vertices of one level."""

    def __init__(self, quads: np.ndarray, n_control: int, level: int):
        first, level_1 = subdivision.catmull_clark(quads, n_control)
        second, level_2 = subdivision.catmull_clark(level_1, first.shape[0])
        counts = (n_control, first.shape[0], second.shape[0])
        self.quads = (quads, level_1, level_2)[level]
        self.count = counts[level]
        # A coarse level is the first rows of the finest one.
        self.steps = [first.astype(np.float32), second[: self.count].astype(np.float32)]
        self.colours = subdivision.interpolation(level_1, counts[1])[: self.count].astype(np.float32)

    def refine(self, values: np.ndarray) -> np.ndarray:
        """Control values (N, ...) as Catmull–Clark vertices (V, ...)."""
        return _apply(self.steps[1], _apply(self.steps[0], values))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (V₁, ...) of level 1 on this level's vertices (V, ...)."""
        return _apply(self.colours, values)


def _apply(matrix: sp.csr_matrix, values: np.ndarray) -> np.ndarray:
    out = matrix @ values.reshape(len(values), -1)
    return out.reshape(-1, *values.shape[1:])


def _mixed(modes: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """Stored modes (V·3, K) times the mix (K, k): (V, 3, k)."""
    return (modes.astype(np.float32) @ mix).reshape(-1, 3, mix.shape[1])


def _unit_columns(basis: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale the columns of (V, 3, K) to unit length and σ so that the product stays the same."""
    length = np.sqrt(np.einsum("vck,vck->k", basis, basis, dtype=np.float64)).astype(np.float32)
    return basis / length, std * length
