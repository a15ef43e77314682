"""FLAME 2020 and 2023: `generic_model.pkl`, `flame2023.pkl` (Li, Bolkart, Black, Li, Romero 2017).

Metres. shapedirs (5023, 3, 400): 300 shapes, then 100 expressions, each displacement at one σ. No colours. Triangles
count from 0. The jaw and the eyeballs stay as they are in the template: joints and pose are not read.
The file is a pickle, which is read without running any of it (see `pickles`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.face_model.formats import landmarks
from helpers.face_model.formats.assemble import Modes, Parts, Wanted, require, triangle_list
from helpers.face_model.formats.pickles import read_pickle
from helpers.face_model.formats.sniff import start

TITLE = "FLAME"
LAYOUT = "a pickle with v_template, shapedirs and f"
ENDINGS = (".pkl",)
NAMES = ("flame2023", "flame2020")
ARRAYS = ("v_template", "shapedirs", "f")
METRE = 1000.0
VERTICES, TRIANGLES, SHAPES = 5023, 9976, 300


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    # Protocol 2 and later start with 0x80, and protocols 0 and 1 with the opcode of a dictionary or an object.
    return (
        not path.is_dir() and path.suffix.lower() == ".pkl" and start(path, 1) in (b"\x80", b"(", b"}", b"c")
    )


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    content = read_pickle(path)
    arrays = {name: content[name] for name in ARRAYS if isinstance(content.get(name), np.ndarray)}
    missing = [name for name in ARRAYS if name not in arrays]
    require(not missing, f"{', '.join(missing)} is missing in it")
    mean, modes, triangles = (np.asarray(arrays[name]) for name in ARRAYS)
    require(mean.ndim == 2 and mean.shape[1] == 3, f"v_template is {mean.shape}, expected (V, 3)")
    require(
        modes.ndim == 3 and modes.shape[:2] == mean.shape,
        f"shapedirs is {modes.shape}, expected {mean.shape} and the modes",
    )
    require(
        modes.shape[2] > SHAPES,
        f"shapedirs has {modes.shape[2]} modes, expected {SHAPES} shapes and expressions",
    )
    modes = modes.reshape(-1, modes.shape[2])
    return Parts(
        name="FLAME",
        licence="FLAME licence, see flame.is.tue.mpg.de",
        unit=METRE,
        shape=Modes(mean.reshape(-1), modes[:, : min(SHAPES, wanted.n_shape)]),
        expression=Modes(np.zeros(mean.size), modes[:, SHAPES:]),
        triangles=triangle_list(triangles, "f", start=0),
        triangle_count=TRIANGLES if len(mean) == VERTICES else None,
        landmarks=np.array(landmarks.FLAME) if len(mean) == VERTICES else None,
    )
