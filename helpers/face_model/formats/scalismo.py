"""Scalismo's HDF5 files: the Basel Face Models 2017 and 2019, and any model of that layout.

/shape/model    mean (3·V,) mm, pcaBasis (3·V, K), pcaVariance (K,): variances, not σ
/shape/representer    points (3, V) and cells (3, F), counted from 0
/color/model, /expression/model    the same for colours 0–1 and for expressions; either may be absent
/metadata/landmarks/json    a list of {"id": name, "coordinates": [x, y, z]}

Since version 0.9 of the layout columns are of unit length, before that they were multiplied by σ. A model of Basel's
has a mean expression that is not zero; `assemble` leaves it out, so that expression zero is the neutral face.
Sources: eos' share/scripts/convert-bfm2017-to-eos.py; units as its makers state in github.com/unibas-gravis/basel-face-model-viewer.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from helpers.face_model.formats import landmarks
from helpers.face_model.formats.assemble import (
    Modes,
    NotThisModel,
    Parts,
    Wanted,
    finite,
    require,
    triangle_list,
    vector,
)
from helpers.face_model.formats.landmark_transfer import complete
from helpers.face_model.formats.sniff import HDF5, start
from helpers.face_model.scalismo_metadata import read_extras

TITLE = "a model in scalismo's layout, as the Basel Face Models 2017 and 2019 are"
LAYOUT = "an HDF5 file with /shape/model/{mean,pcaBasis,pcaVariance} and /shape/representer/{points,cells}"
ENDINGS = (".h5", ".hdf5")
NAMES = ("bfm2017", "bfm2017-face12", "bfm2019", "bfm2019-face12", "bfm2019-fullhead")
# By number of vertices: name, and number of triangles where it is known.
BASEL = {
    53149: ("Basel Face Model 2017", 105694),
    28588: ("Basel Face Model 2017, face only", None),
    47439: ("Basel Face Model 2019", 94464),
    27657: ("Basel Face Model 2019, face only", 55040),
    58203: ("Basel Face Model 2019, full head", 116160),
}
BFM_2017 = 53149
UNIT_COLUMNS_SINCE = (0, 9)


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    if path.is_dir() or path.suffix.lower() not in ENDINGS or not start(path).startswith(HDF5):
        return False
    import h5py

    with h5py.File(path, "r") as file:
        return "shape/model" in file


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    import h5py

    with h5py.File(path, "r") as file:
        shape = _modes(file, "shape", wanted.n_shape)
        if shape is None:
            raise NotThisModel("it has no /shape/model")
        mean = vector(shape.mean, "shape/model/mean")
        count = len(mean) // 3
        texture = _modes(file, "color", wanted.n_texture)
        require(
            texture is None or np.size(texture.mean) == len(mean), "shape and color differ in their vertices"
        )
        expression = _modes(file, "expression", None)
        triangles = _cells(file, count)
        extras = read_extras(file)  # what only files have that `save` has written
        units, masks = extras.get("expression_units"), extras.get("masks", {})
        title, triangle_count = BASEL.get(count, (None, None))
        return Parts(
            name=extras.get("name") or title or path.stem,
            licence=extras.get("licence")
            or ("Basel Face Model licence: non-commercial research" if title else "unknown"),
            unit=1.0,
            shape=shape,
            texture=texture,
            expression=expression,
            triangles=triangles,
            triangle_count=triangle_count,
            landmarks=_landmarks(file, extras, mean.reshape(-1, 3), triangles),
            masks={name: weights.numpy() for name, weights in masks.items()} or None,
            expression_units=None if units is None else units.flatten(0, 1).numpy(),
            expression_names=extras.get("expression_names", ()),
        )


def _modes(file, part: str, n: int | None) -> Modes | None:
    if f"{part}/model" not in file:
        return None
    group = file[f"{part}/model"]
    missing = [name for name in ("mean", "pcaBasis", "pcaVariance") if name not in group]
    require(not missing, f"/{part}/model/{', '.join(missing)} is missing in it")
    mean = vector(group["mean"][()], f"{part}/model/mean")
    basis = group["pcaBasis"]
    require(
        len(basis.shape) == 2, f"{part}/model/pcaBasis has {len(basis.shape)} dimensions, expected a matrix"
    )
    turned = ": it is transposed" if basis.shape[1] == len(mean) else ""
    require(
        basis.shape[0] == len(mean),
        f"{part}/model/pcaBasis is {basis.shape}, expected {len(mean)} rows{turned}",
    )
    variance = vector(group["pcaVariance"][()], f"{part}/model/pcaVariance").astype(np.float64)
    require(
        len(variance) == basis.shape[1], f"{part} has {basis.shape[1]} modes, but {len(variance)} variances"
    )
    require((variance > 0).all(), f"a variance of {part} is not a number above zero")
    columns = basis[:, :n]
    std = np.sqrt(variance[:n])
    if _version(file, part) < UNIT_COLUMNS_SINCE:
        columns = columns / std
    # That the columns of shape are of unit length is what two programs measured; of the others they tell nothing.
    return Modes(mean, columns, std, exact=True, cropped=part != "shape")


def _version(file, part: str) -> tuple[int, int]:
    for place in (f"{part}/version", "version"):
        if f"{place}/majorVersion" in file and f"{place}/minorVersion" in file:
            major, minor = (np.ravel(file[f"{place}/{half}Version"][()])[0] for half in ("major", "minor"))
            return int(major), int(minor)
    return UNIT_COLUMNS_SINCE


def _cells(file, count: int) -> np.ndarray:
    require("shape/representer/cells" in file, "/shape/representer/cells is missing in it")
    cells = file["shape/representer/cells"][()]
    require(
        cells.ndim == 2 and cells.shape[0] == 3, f"shape/representer/cells is {cells.shape}, expected (3, F)"
    )
    if "shape/representer/points" in file:
        points = file["shape/representer/points"].shape
        require(points == (3, count), f"shape/representer/points is {points}, expected (3, {count})")
    return triangle_list(cells, "shape/representer/cells", start=0)


def _landmarks(file, extras: dict, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray | None:
    """All 68, as vertex numbers or as places on the mean face named ibug.1 to ibug.68; else those that are known
    under other names, and the rest by `landmark_transfer`; None if that is too little."""
    if "landmarks" in extras:
        return extras["landmarks"].numpy()
    named = _named(file, vertices)
    places = [named.get(f"ibug.{i}") for i in range(1, 69)]
    if None not in places:
        return np.array(places)
    known = {i: named[name] for name, i in landmarks.NAMED.items() if name in named}
    if len(vertices) == BFM_2017:
        known = landmarks.BFM_2017 | known
    return complete(known, vertices, triangles)


def _named(file, vertices: np.ndarray) -> dict[str, int]:
    """The vertex next to each named landmark of the file."""
    from scipy.spatial import KDTree

    if "metadata/landmarks/json" not in file:
        return {}
    text = np.ravel(file["metadata/landmarks/json"][()])[0]
    entries = json.loads(text)
    if isinstance(entries, dict):  # some programs write {name: [x, y, z]}
        entries = [{"id": name, "coordinates": place} for name, place in entries.items()]
    if not entries:
        return {}
    places = finite(np.array([entry["coordinates"] for entry in entries], float), "its landmarks")
    require(places.ndim == 2 and places.shape[1] == 3, "its landmarks are no places")
    _, nearest = KDTree(vertices).query(places)
    return {str(entry["id"]): int(i) for entry, i in zip(entries, nearest, strict=True)}
