"""From the numbers of a file to a `MorphableModel`: the checks and conversions that all formats share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from helpers.face_model.formats.landmarks import misplaced
from helpers.face_model.morphable_model import GREY, MorphableModel

if TYPE_CHECKING:
    import h5py

WIDTH_MM = (
    40.0,
    400.0,
)  # from the middle of a face to a head with shoulders; centimetres and metres lie below
LONGEST_EDGE_MM = 80.0
UNIT_TOLERANCE = 0.01  # of the length of a column that the format promises to be 1
SHORTEST = 0.1  # such a column, if most of it was cut off
LARGEST = {
    "shape": 150.0,
    "expression": 150.0,
    "texture": 2.0,
}  # what σ of a mode does at a vertex: mm, or sRGB


class NotThisModel(Exception):
    """What is wrong with a file, as half a sentence."""


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for.

    Attributes:
        n_shape: Leading shape modes to keep.
        n_texture: Leading texture modes to keep.
        part: Part of a model that has parts, or None.
    """

    n_shape: int = 99
    n_texture: int = 99
    part: str | None = None


@dataclass(frozen=True)
class Modes:
    """A mean and its modes, in the file's units; x, y, z of a vertex follow each other.

    Attributes:
        mean: (3·V,).
        basis: (3·V, K), the modes as columns.
        std: (K,) σ of each mode; None: the length of each column is its σ.
        exact: The format promises columns of unit length ...
        cropped: ... or what is left of such columns after a part of the mesh was cut off, which is shorter.
    """

    mean: np.ndarray
    basis: np.ndarray
    std: np.ndarray | None = None
    exact: bool = False
    cropped: bool = False


@dataclass(frozen=True)
class Parts:
    """What a reader found in a file.

    Attributes:
        name: What the model is called.
        licence: Under which it may be used.
        unit: How many mm one unit of shape and expression is.
        shape: Mean face and its modes.
        triangles: (F, 3), counted from 0, either way round.
        texture: Mean colours and their modes, or None.
        white: What 1.0 is in the file's colours.
        expression: Expression modes, or None. Their mean is checked and then left out, so that expression zero is the
            neutral face.
        expression_units: (3·V, U), single expressions, or None.
        expression_names: The U names of these.
        landmarks: (68,) vertices, or None.
        masks: Name → (V,) weights 0–1, or None.
        triangle_count: How many triangles the genuine file has, where that is known.
    """

    name: str
    licence: str
    unit: float
    shape: Modes
    triangles: np.ndarray
    texture: Modes | None = None
    white: float = 1.0
    expression: Modes | None = None
    expression_units: np.ndarray | None = None
    expression_names: tuple[str, ...] = ()
    landmarks: np.ndarray | None = None
    masks: dict[str, np.ndarray] | None = None
    triangle_count: int | None = None


def assemble(parts: Parts, wanted: Wanted) -> MorphableModel:
    """Check everything, convert to mm, unit columns and outward triangles.

    Columns that the format promises to be of unit length stay as they are; others are scaled to it.

    Args:
        parts: What a reader found.
        wanted: How many modes to keep.

    Returns:
        The model, on the CPU.

    Raises:
        NotThisModel: Something is missing, not finite, of a wrong shape, or not as in a face.
    """
    mean, basis, std = _modes(parts.shape, "shape", wanted.n_shape, parts.unit)
    require(len(std), "it has no shape modes")
    vertices = mean.reshape(-1, 3)
    count = len(vertices)
    triangles = _triangles(parts.triangles, vertices)
    wrong = parts.triangle_count not in (None, len(triangles))
    require(not wrong, f"it has {len(triangles)} triangles, expected {parts.triangle_count}")
    _check_face(vertices, triangles)
    texture = (
        _grey(count)
        if parts.texture is None
        else (_modes(parts.texture, "texture", wanted.n_texture, 1 / parts.white, count))
    )
    low, high = texture[0].min(), texture[0].max()
    require(-0.05 < low and high < 1.05, f"the mean colours go from {low:.3g} to {high:.3g}, expected 0 to 1")
    fields = {}
    if parts.expression is not None:
        _, modes, sigma = _modes(parts.expression, "expression", None, parts.unit, count)
        fields |= {"expression_basis": modes.reshape(count, 3, -1), "expression_std": sigma}
    if parts.expression_units is not None:
        units = _floats(parts.expression_units, "expressions") * np.float32(parts.unit)
        require(
            np.abs(units).max(initial=0) < LARGEST["expression"],
            "an expression moves the face further than a face goes",
        )
        require(
            units.shape[0] == 3 * count, f"the expressions have {units.shape[0]} rows for {count} vertices"
        )
        require(
            units.shape[1] == len(parts.expression_names), "the expressions and their names differ in number"
        )
        fields["expression_units"] = units.reshape(count, 3, -1)
    if parts.landmarks is not None:
        fields["landmarks"] = _landmarks(parts.landmarks, vertices)
    tensors: dict[str, Any] = {
        key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in fields.items()
    }
    masks = (
        None
        if parts.masks is None
        else {key: torch.from_numpy(_mask(values, key, count)) for key, values in parts.masks.items()}
    )
    return MorphableModel(
        mean_shape=torch.from_numpy(vertices),
        shape_basis=torch.from_numpy(basis.reshape(count, 3, -1)),
        shape_std=torch.from_numpy(std),
        mean_texture=torch.from_numpy(texture[0].reshape(-1, 3)),
        texture_basis=torch.from_numpy(texture[1].reshape(count, 3, -1)),
        texture_std=torch.from_numpy(texture[2]),
        triangles=torch.from_numpy(triangles),
        name=parts.name,
        licence=parts.licence,
        masks=masks,
        expression_names=parts.expression_names,
        **tensors,
    )


def require(condition: object, otherwise: str) -> None:
    """Raise NotThisModel(otherwise) unless the condition holds; `otherwise` is half a sentence."""
    if not condition:
        raise NotThisModel(otherwise)


def finite(values: np.ndarray, what: str) -> np.ndarray:
    """Check that no number is NaN or infinite.

    Every array of every format comes through here: in `assemble`, and before that where a reader computes with it.

    Args:
        values: Any shape.
        what: What to call them in the message.

    Returns:
        The values themselves.

    Raises:
        NotThisModel: A number is not finite.
    """
    require(np.isfinite(values).all(), f"{what} has numbers that are not finite")
    return values


def vector(values: ArrayLike, what: str) -> np.ndarray:
    """Take a column, row or list of numbers as (N,); `what` is its name in the NotThisModel that may be raised."""
    values = np.asarray(values)
    require(values.dtype.kind in "iuf", f"{what} has no numbers")
    long = [n for n in values.shape if n != 1]
    require(len(long) <= 1, f"{what} is {values.shape}, expected one column")
    return values.reshape(-1)


def columns(values: np.ndarray | h5py.Dataset, what: str, rows: int, n: int | None = None) -> np.ndarray:
    """Take the leading columns of a matrix, which may be one that still lies in a file.

    Args:
        values: (rows, K).
        what: Its name in messages.
        rows: How many rows it must have.
        n: How many columns to take; None is all.

    Returns:
        (rows, n).

    Raises:
        NotThisModel: It has another shape.
    """
    require(len(values.shape) == 2, f"{what} has {len(values.shape)} dimensions, expected a matrix")
    if values.shape[0] != rows:
        turned = ": it is transposed" if values.shape[1] == rows else ""
        raise NotThisModel(f"{what} is {tuple(values.shape)}, expected {rows} rows{turned}")
    return values[:] if n is None else values[:, :n]


def indices(values: ArrayLike, what: str, start: int) -> np.ndarray:
    """Take whole numbers that count from `start` as int64 that count from 0."""
    values = np.asarray(values)
    require(values.dtype.kind in "iuf" and values.size, f"{what} are not numbers")
    whole = (values == np.floor(values)).all() and (np.abs(values) < 2**31).all()  # false for NaN
    require(whole, f"{what} are not whole numbers")
    return values.astype(np.int64) - start


def triangle_list(values: ArrayLike, what: str, start: int) -> np.ndarray:
    """Take triangles (F, 3) or (3, F) that count from `start` as int64 (F, 3) that count from 0."""
    values = indices(values, what, start)
    require(values.ndim == 2 and 3 in values.shape, f"{what} is {values.shape}, expected rows of three")
    return values if values.shape[1] == 3 else np.ascontiguousarray(values.T)


def fans(polygons: list[np.ndarray]) -> np.ndarray:
    """Cut polygons, given as arrays (N, corners), into triangles (F, 3): each is a fan about its first corner."""
    pieces = []
    for group in polygons:
        rest = range(1, group.shape[1] - 1)
        fan = np.stack([np.stack([group[:, 0], group[:, i], group[:, i + 1]], 1) for i in rest], 1)
        pieces.append(fan.reshape(-1, 3))
    return np.concatenate(pieces)


def _modes(modes: Modes, what: str, n: int | None, factor: float, count: int | None = None):
    """Mean, basis and σ as float32, in units of `factor`, cut to `n` columns and checked."""
    mean = _floats(vector(modes.mean, f"the mean {what}"), f"the mean {what}")
    require(
        len(mean) and len(mean) % 3 == 0,
        f"the mean {what} has {len(mean)} numbers, expected three for each vertex",
    )
    if count is not None:
        require(
            len(mean) == 3 * count, f"the mean {what} has {len(mean) // 3} vertices, the shape has {count}"
        )
    total = modes.basis.shape[1] if len(modes.basis.shape) == 2 else 0
    basis = _floats(columns(modes.basis, f"the {what} basis", len(mean), n), f"the {what} basis")
    length = np.sqrt(np.einsum("vk,vk->k", basis, basis, dtype=np.float64))
    std = None
    if modes.std is not None:
        std = _floats(vector(modes.std, f"the {what} deviations"), f"the {what} deviations")
        require(len(std) == total, f"there are {total} {what} modes, but {len(std)} deviations")
        std = std[:n]
        require((std > 0).all(), f"a {what} deviation is zero or negative")
    basis, std = _unit(modes, basis, std, length, what)
    mean, std = mean * np.float32(factor), std * np.float32(factor)
    largest = np.maximum(basis.max(0), -basis.min(0)).astype(np.float64) * std
    require((largest < LARGEST[what]).all(), f"a {what} mode is so large that nobody looks like that")
    require((std > 0).all(), f"a {what} deviation is zero")
    return mean, basis, std


def _unit(modes: Modes, basis: np.ndarray, std: np.ndarray | None, length: np.ndarray, what: str):
    """Columns of unit length, and σ as float32. Those that the format promises to be so are left as they are."""
    if modes.exact:
        shortest = SHORTEST if modes.cropped else 1 - UNIT_TOLERANCE
        if ((length < shortest) | (length > 1 + UNIT_TOLERANCE)).any():
            raise NotThisModel(
                f"the {what} columns have lengths {length.min():.3g} to {length.max():.3g}, expected 1"
            )
        if not modes.cropped or (np.abs(length - 1) < UNIT_TOLERANCE).all():
            return basis, std
    require((length > 0).all(), f"a {what} mode is zero everywhere")
    basis /= length.astype(np.float32)
    return basis, (length if std is None else std * length).astype(np.float32)


def _floats(values, what: str) -> np.ndarray:
    """A fresh float32 array, rows first; NaN and infinity are refused."""
    values = np.asarray(values)
    require(values.dtype.kind in "iuf", f"{what} has no numbers")
    with np.errstate(over="ignore"):
        return finite(np.array(values, np.float32, order="C"), what)


def _grey(count: int):
    empty = np.zeros((3 * count, 0), np.float32)
    return np.full(3 * count, GREY, np.float32), empty, np.zeros(0, np.float32)


def _triangles(triangles: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Those of vertices that are there, anticlockwise seen from outside."""
    require(triangles.ndim == 2 and triangles.shape[1] == 3 and len(triangles), "there are no triangles")
    low, high = triangles.min(), triangles.max()
    require(low >= 0 and high < len(vertices), f"triangles name vertices {low} to {high} of {len(vertices)}")
    return outward(triangles, vertices)


def outward(triangles: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Triangles (F, 3), all turned round if most of them face a point behind the face. Works for open meshes too."""
    corners = vertices[triangles].astype(np.float64)
    behind = np.array([*vertices[:, :2].mean(0), vertices[:, 2].min()])
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    volume = np.einsum("fc,fc->", corners.mean(1) - behind, normals)
    return np.ascontiguousarray(triangles if volume > 0 else triangles[:, [0, 2, 1]]).astype(np.int64)


def _check_face(vertices: np.ndarray, triangles: np.ndarray) -> None:
    """No face is smaller or larger than this, nor has it edges so long."""
    width = float(np.ptp(vertices[:, 0]))
    low, high = WIDTH_MM
    require(low <= width <= high, f"the face is {width:.3g} mm wide, expected {low:.0f} to {high:.0f} mm")
    others = np.ptp(vertices[:, 1:], axis=0)
    possible = (others < 2 * high).all() and (others > low / 4).all()
    require(possible, f"the face is {others[0]:.3g} mm high and {others[1]:.3g} mm deep, which no face is")
    corners = vertices[triangles]
    edge = float(np.sqrt(np.square(corners - np.roll(corners, 1, axis=1)).sum(-1).max()))
    require(edge < LONGEST_EDGE_MM, f"a triangle has an edge of {edge:.3g} mm")


def _landmarks(landmarks: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    require(landmarks.shape == (68,), f"there are {landmarks.size} landmarks, expected 68")
    require(
        0 <= landmarks.min() and landmarks.max() < len(vertices),
        "a landmark names a vertex that is not there",
    )
    wrong = misplaced(vertices[landmarks])
    require(wrong is None, f"{wrong}: the axes or the order of the vertices are not those of this model")
    return landmarks.astype(np.int64)


def _mask(values, name: str, count: int) -> np.ndarray:
    values = _floats(vector(values, f"the mask {name}"), f"the mask {name}")
    require(len(values) == count, f"the mask {name} has {len(values)} weights for {count} vertices")
    require(values.min() >= 0 and values.max() <= 1, f"the mask {name} has weights outside 0–1")
    return values
