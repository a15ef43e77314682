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
from scipy.spatial import KDTree

from helpers.assets import ASSETS
from helpers.errors import UserError
from helpers.face_model import subdivision
from helpers.face_model.morphable_model import MorphableModel
from helpers.face_model.whole_head import RestOfHead

ASSET = ASSETS / "open_face_model" / "open_face_model.npz"
LEVELS = (0, 1, 2)
VERSION = 2  # of the file's layout
SAME_VERTEX = 1e-3  # mm


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
    quads = stored["quads"].astype(np.int64)
    n_control = int(quads.max()) + 1  # what follows in the control arrays is the rest of the head
    steps = Levels(quads, n_control, level)
    shape_modes = _mixed(stored["shape_modes"], stored["shape_mix"][:, :n_shape])
    texture_modes = _mixed(stored["texture_modes"], stored["texture_mix"][:, :n_texture])
    units = stored["expression_units"].astype(np.float32).transpose(1, 2, 0)
    units = np.ascontiguousarray(units)
    expression_mix = stored["expression_mix"]
    mean = steps.refine(stored["control_mean"][:n_control])
    shape_basis, shape_std = _unit_columns(
        steps.refine(shape_modes[:n_control]), stored["shape_std"][:n_shape]
    )
    n_coarse_colours = steps.colours.shape[1]
    texture_basis, texture_std = _unit_columns(
        steps.spread(texture_modes[:n_coarse_colours]), stored["texture_std"][:n_texture]
    )
    face_units = steps.refine(units[:n_control])
    expression_basis, expression_std = _unit_columns(
        face_units @ expression_mix, np.ones(expression_mix.shape[1], np.float32)
    )
    masks = stored["masks"][:, : len(mean)].astype(np.float32) / 255
    triangles = subdivision.to_triangles(mean, steps.quads)

    head_quads = stored["head_quads"].astype(np.int64)
    behind = Rest(head_quads, n_control, level, mean, stored["control_mean"])
    finest_face = stored["texture_mean"][: steps.finest].astype(np.float32) / 255
    finest_rest = stored["texture_mean"][steps.finest :].astype(np.float32) / 255
    rest = RestOfHead(
        mean_shape=torch.from_numpy(behind.refine(stored["control_mean"])),
        shape_modes=torch.from_numpy(behind.refine(shape_modes) * stored["shape_std"][:n_shape]),
        mean_texture=torch.from_numpy(behind.own(finest_rest)),
        texture_modes=torch.from_numpy(
            behind.spread(texture_modes[n_coarse_colours:]) * stored["texture_std"][:n_texture]
        ),
        expression_modes=torch.from_numpy(behind.refine(units) @ expression_mix),
        expression_units=torch.from_numpy(behind.refine(units)),
        triangles=torch.from_numpy(behind.triangles),
    )
    return MorphableModel(
        mean_shape=torch.from_numpy(mean),
        shape_basis=torch.from_numpy(shape_basis),
        shape_std=torch.from_numpy(shape_std),
        mean_texture=torch.from_numpy(finest_face[: len(mean)]),
        texture_basis=torch.from_numpy(texture_basis),
        texture_std=torch.from_numpy(texture_std),
        triangles=torch.from_numpy(triangles),
        name=str(stored["name"]),
        licence=str(stored["licence"]),
        landmarks=torch.from_numpy(stored["landmarks"][level].astype(np.int64)),
        masks={
            str(key): torch.from_numpy(mask) for key, mask in zip(stored["mask_names"], masks, strict=True)
        },
        expression_basis=torch.from_numpy(expression_basis),
        expression_std=torch.from_numpy(expression_std),
        expression_units=torch.from_numpy(face_units),
        expression_names=tuple(str(n) for n in stored["expression_names"]),
        rest=rest,
    )


class Levels:
    """The matrices from stored values to the vertices of one level.

    Attributes:
        quads: (Q, 4) of this level.
        count: Number of its vertices, V.
        finest: Number of vertices of level 2.
        colours: (V, V₁), from values of level 1 to this level.
    """

    def __init__(self, quads: np.ndarray, n_control: int, level: int):
        first, level_1 = subdivision.catmull_clark(quads, n_control)
        second, level_2 = subdivision.catmull_clark(level_1, first.shape[0])
        counts = (n_control, first.shape[0], second.shape[0])
        self.quads = (quads, level_1, level_2)[level]
        self.count, self.finest = counts[level], counts[-1]
        # A coarse level is the first rows of the finest one.
        self.steps = [first.astype(np.float32), second[: self.count].astype(np.float32)]
        self.colours = subdivision.interpolation(level_1, counts[1])[: self.count].astype(np.float32)

    def refine(self, values: np.ndarray) -> np.ndarray:
        """Control values (N, ...) as Catmull–Clark vertices (V, ...)."""
        return _apply(self.steps[1], _apply(self.steps[0], values))

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values (V₁, ...) of level 1 on this level's vertices (V, ...)."""
        return _apply(self.colours, values)


class Rest:
    """The rest of the head at one level, joined to the face's rim.

    Args:
        quads: (Q, 4), in control vertices of face (0 to N − 1) and rest.
        n_control: N.
        level: Of detail.
        face: (V, 3) mm, the mean face at this level.
        control_mean: (N + R₀, 3) mm.

    Attributes:
        triangles: (F, 3), numbers below V are vertices of the face.
    """

    def __init__(
        self, quads: np.ndarray, n_control: int, level: int, face: np.ndarray, control_mean: np.ndarray
    ):
        self._corners = np.unique(quads)  # the rim's control vertices come first
        number = np.full(self._corners.max() + 1, -1)
        number[self._corners] = np.arange(len(self._corners))
        self._levels = Levels(number[quads], len(self._corners), level)
        places = self._levels.refine(control_mean[self._corners])
        # The rim is the same curve on both meshes, so its vertices lie on those of the face.
        gap, nearest = KDTree(face).query(places)
        shared = gap < SAME_VERTEX
        self._own = np.flatnonzero(~shared)
        joined = np.where(shared, nearest, 0)
        joined[self._own] = len(face) + np.arange(len(self._own))
        self.triangles = joined[subdivision.to_triangles(places, self._levels.quads)]

    def refine(self, control: np.ndarray) -> np.ndarray:
        """Control values (N + R₀, ...) on the R vertices."""
        return self._levels.refine(control[self._corners])[self._own]

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of level 1, of all vertices of this mesh, on the R vertices."""
        return self._levels.spread(values)[self._own]

    def own(self, finest: np.ndarray) -> np.ndarray:
        """Values of level 2, of all vertices of this mesh, on the R vertices."""
        return finest[: self._levels.count][self._own]


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
