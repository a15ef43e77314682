"""`BFM_model_front.mat` as Deep3DFaceRecon writes it from the Basel Face Model 2009 (35,709 vertices).

Decimetres. The columns of idBase, exBase and texBase are already multiplied by σ. Colours 0–255. Triangles and the
68 keypoints count from 1. Source: util/load_mats.py of github.com/sicxu/Deep3DFaceRecon_pytorch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.face_model.formats.assemble import Modes, Parts, Wanted, indices, triangle_list, vector
from helpers.face_model.formats.matlab import names, required, variables

TITLE = "BFM_model_front.mat of Deep3DFaceRecon"
LAYOUT = "a MATLAB file with meanshape, idBase, exBase, meantex, texBase, tri and keypoints"
ENDINGS = (".mat",)
NAMES = ("deep3d",)
ARRAYS = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints")
DECIMETRE = 100.0
VERTICES, TRIANGLES = 35709, 70789


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    return {"meanshape", "idBase"} <= names(path)


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    content = variables(path, ARRAYS)
    required(content, ARRAYS)
    mean = vector(content["meanshape"], "meanshape")
    return Parts(
        name="Basel Face Model 2009 as in Deep3DFaceRecon",
        licence="Basel Face Model licence: non-commercial research",
        unit=DECIMETRE,
        shape=Modes(mean, content["idBase"]),
        texture=Modes(content["meantex"], content["texBase"]),
        white=255.0,
        expression=Modes(np.zeros(len(mean)), content["exBase"]),
        triangles=triangle_list(content["tri"], "tri", start=1),
        triangle_count=TRIANGLES if len(mean) == 3 * VERTICES else None,
        landmarks=indices(vector(content["keypoints"], "keypoints"), "keypoints", start=1),
    )
