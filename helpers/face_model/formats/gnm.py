"""Google's GNM Head 3: `gnm_head.npz`.

Metres. template_vertex_positions (V, 3), vertex_identity_basis (I, V, 3), expression_basis (E, V, 3): displacements
for a coefficient of 1, whose usual range is −3 to 3. triangles (F, 3) from 0. No colours; joints are not read, nor the
68 points, which lie between vertices and in another file. The zip archive around the arrays has checksums.
Source: gnm/shape/gnm_data_schema.py, gnm_data_loader_test.py and README.md of github.com/google/GNM.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from helpers.face_model.formats.assemble import Modes, Parts, Wanted, require, triangle_list
from helpers.face_model.formats.sniff import start

TITLE = "GNM Head"
LAYOUT = "an .npz file with template_vertex_positions, vertex_identity_basis, expression_basis and triangles"
ENDINGS = (".npz",)
NAMES = ("gnm",)
METRE = 1000.0
ARRAYS = (
    "version",
    "template_vertex_positions",
    "vertex_identity_basis",
    "identity_names",
    "expression_basis",
    "expression_names",
    "triangles",
)


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    if path.is_dir() or path.suffix.lower() != ".npz" or not start(path, 2) == b"PK":
        return False
    with zipfile.ZipFile(path) as archive:
        return "vertex_identity_basis.npy" in archive.namelist()


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    with np.load(path, allow_pickle=False) as file:
        missing = [name for name in ARRAYS if name not in file.files]
        require(not missing, f"{', '.join(missing)} is missing in it")
        version = str(file["version"])
        require(version.split(".")[0] == "3", f"it is of version {version}, expected 3")
        mean = file["template_vertex_positions"]
        require(
            mean.ndim == 2 and mean.shape[1] == 3,
            f"template_vertex_positions is {mean.shape}, expected (V, 3)",
        )
        shape = _columns(file["vertex_identity_basis"], mean, "vertex_identity_basis")
        expression = _columns(file["expression_basis"], mean, "expression_basis")
        triangles = file["triangles"]
        names = [str(name) for name in file["expression_names"]]
        counts = shape.shape[1], len(file["identity_names"])
        require(counts[0] == counts[1], f"it has {counts[0]} shapes and {counts[1]} names of shapes")
    return Parts(
        name="GNM Head",
        licence="Apache-2.0",
        unit=METRE,
        shape=Modes(mean.reshape(-1), shape[:, : wanted.n_shape]),
        expression=Modes(np.zeros(mean.size), expression),
        expression_units=expression,
        expression_names=tuple(names),
        triangles=triangle_list(triangles, "triangles", start=0),
    )


def _columns(basis: np.ndarray, mean: np.ndarray, what: str) -> np.ndarray:
    """(K, V, 3) as (3·V, K)."""
    require(
        basis.ndim == 3 and basis.shape[1:] == mean.shape,
        f"{what} is {basis.shape}, expected modes of {mean.shape}",
    )
    return basis.reshape(len(basis), -1).T
