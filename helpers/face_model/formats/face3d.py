"""`BFM.mat` as face3d writes it from the Basel Face Model 2009 and 3DDFA's expressions (53,215 vertices).

One struct `model`. Micrometres. The mean is shapeMU + expMU. shapeEV, texEV and expEV are standard deviations; the
columns of expPC are not of unit length. Colours 0–255. Triangles and the 68 points kpt_ind count from 1.
Source: examples/Data/BFM/generate.m and face3d/morphable_model of github.com/yfeng95/face3d.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.face_model.formats.assemble import Modes, Parts, Wanted, indices, require, triangle_list, vector
from helpers.face_model.formats.matlab import names, required, variables

TITLE = "BFM.mat of face3d and 3DDFA"
LAYOUT = "a MATLAB file with a struct `model` of shapeMU, shapePC, shapeEV, expMU, expPC, expEV, texMU, texPC, texEV, tri and kpt_ind"
ENDINGS = (".mat",)
NAMES = ("face3d",)
ARRAYS = (
    "shapeMU",
    "shapePC",
    "shapeEV",
    "texMU",
    "texPC",
    "texEV",
    "expMU",
    "expPC",
    "expEV",
    "tri",
    "kpt_ind",
)
MICROMETRE = 1e-3
VERTICES, TRIANGLES = 53215, 105840


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    return "model.shapePC" in names(path)


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    content = variables(path, ARRAYS, struct="model")
    required(content, ARRAYS)
    mean, offset = (vector(content[name], name).astype(np.float64) for name in ("shapeMU", "expMU"))
    require(mean.shape == offset.shape, f"shapeMU has {len(mean)} numbers and expMU {len(offset)}")
    return Parts(
        name="Basel Face Model 2009 as in 3DDFA",
        licence="Basel Face Model licence: non-commercial research",
        unit=MICROMETRE,
        shape=Modes(mean + offset, content["shapePC"], content["shapeEV"]),
        texture=Modes(content["texMU"], content["texPC"], content["texEV"]),
        white=255.0,
        expression=Modes(np.zeros_like(offset), content["expPC"], content["expEV"]),
        triangles=triangle_list(content["tri"], "tri", start=1),
        triangle_count=TRIANGLES if len(mean) == 3 * VERTICES else None,
        landmarks=indices(vector(content["kpt_ind"], "kpt_ind"), "kpt_ind", start=1),
    )
