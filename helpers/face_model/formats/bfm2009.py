"""Basel Face Model 2009: `01_MorphableModel.mat` (Paysan, Knothe, Amberg, Romdhani, Vetter 2009).

Micrometres. shapeEV and texEV are standard deviations, in spite of their name. Colours 0–255. `tl` counts from 1 and
runs clockwise. Source: eos' share/scripts/convert-bfm2009-to-eos.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.face_model.formats import landmarks
from helpers.face_model.formats.assemble import Modes, Parts, Wanted, triangle_list
from helpers.face_model.formats.matlab import names, required, variables

TITLE = "the Basel Face Model 2009"
LAYOUT = "a MATLAB file with shapeMU, shapePC, shapeEV, texMU, texPC, texEV and tl"
ENDINGS = (".mat",)
NAMES = ("bfm2009",)
ARRAYS = ("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl")
MICROMETRE = 1e-3
VERTICES, TRIANGLES = 53490, 106466


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    return {"shapePC", "tl"} <= names(path)


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    content = variables(path, ARRAYS)
    required(content, ARRAYS)
    known = np.size(content["shapeMU"]) == 3 * VERTICES
    return Parts(
        name="Basel Face Model 2009",
        licence="Basel Face Model licence: non-commercial research",
        unit=MICROMETRE,
        shape=Modes(content["shapeMU"], content["shapePC"], content["shapeEV"], exact=True),
        texture=Modes(content["texMU"], content["texPC"], content["texEV"], exact=True),
        white=255.0,
        triangles=triangle_list(content["tl"], "tl", start=1),
        triangle_count=TRIANGLES if known else None,
        landmarks=np.array(landmarks.BFM_2009) if known else None,
    )
