"""ICT-FaceKit Light: the folder `FaceXModel` (Li, Bladin, Zhao et al. 2020).

Centimetres. generic_neutral_mesh.obj; identity000.obj to identity099.obj, each the neutral face plus one σ of one
mode; the 53 expressions that vertex_indices.json lists, each the neutral face plus the expression in full. Quads and
triangles. No colours. The face comes first in the order of vertices (README of github.com/ICT-VGL/ICT-FaceKit):

    part="narrow"   vertices 0–6705, the face without forehead and neck
    part="face"     vertices 0–9408, the face; this is what is loaded unless said otherwise
    part="head"     all: neck, back of the head, teeth, tongue, eyes
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from helpers.errors import UserError
from helpers.face_model.formats import landmarks
from helpers.face_model.formats.assemble import Modes, NotThisModel, Parts, Wanted, fans, require
from helpers.face_model.formats.obj import read_mesh, read_vertices

TITLE = "ICT-FaceKit Light"
LAYOUT = "a folder with generic_neutral_mesh.obj, identity000.obj and on, and vertex_indices.json"
ENDINGS = ()
NAMES = ("ict",)
NEUTRAL, INDEX = "generic_neutral_mesh.obj", "vertex_indices.json"
CENTIMETRE = 10.0
VERTICES = 26719
PARTS = {"narrow": 6706, "face": 9409, "head": VERTICES}  # the first so many vertices


def recognises(path: Path) -> bool:
    """Tell whether it is this format, by name and first bytes."""
    return _folder(path) is not None


def read(path: Path, wanted: Wanted) -> Parts:
    """Take the numbers out of a file; raises NotThisModel where they are not there."""
    folder = _folder(path)
    if folder is None:
        raise NotThisModel(f"{NEUTRAL} or {INDEX} is missing in it")
    neutral, polygons = read_mesh(folder / NEUTRAL)
    kept = _kept(wanted.part, len(neutral))
    names = _expression_names(folder)
    shapes = [_displacement(file, neutral)[:kept] for file in _identities(folder, wanted.n_shape)]
    units = [_displacement(folder / f"{name}.obj", neutral)[:kept] for name in names]
    # Some expressions move only what a part leaves out, as the eyeballs.
    moving = [i for i, unit in enumerate(units) if unit.any()]
    expression = _columns([units[i] for i in moving]) if moving else None
    return Parts(
        name=f"ICT-FaceKit Light, {wanted.part or 'face'}"
        if len(neutral) == VERTICES
        else "ICT-FaceKit Light",
        licence="MIT",
        unit=CENTIMETRE,
        shape=Modes(neutral[:kept].reshape(-1), _columns(shapes)),
        expression=None if expression is None else Modes(np.zeros(3 * kept), expression),
        expression_units=expression,
        expression_names=tuple(names[i] for i in moving),
        triangles=fans([group[(group < kept).all(1)] for group in polygons]),
        landmarks=np.array(landmarks.ICT) if len(neutral) == VERTICES else None,
    )


def _folder(path: Path) -> Path | None:
    """The folder with the meshes: the one given, or FaceXModel in it."""
    for folder in (path, path / "FaceXModel"):
        if (folder / NEUTRAL).is_file() and (folder / INDEX).is_file():
            return folder
    return None


def _kept(part: str | None, count: int) -> int:
    if part is not None and part not in PARTS:
        raise UserError(f"part={part!r}: ICT-FaceKit has the parts {', '.join(PARTS)}")
    # The parts are known for the genuine order of vertices only.
    require(
        count == VERTICES or part in (None, "head"),
        f"it has {count} vertices, so that its parts are not known",
    )
    return PARTS[part or "face"] if count == VERTICES else count


def _identities(folder: Path, n: int) -> list[Path]:
    files = sorted(folder.glob("identity[0-9][0-9][0-9].obj"))
    expected = [f"identity{i:03d}.obj" for i in range(len(files))]
    missing = sorted(set(expected) - {file.name for file in files}) or ([] if files else ["identity000.obj"])
    require(not missing, f"{missing[0] if missing else ''} is missing in it")
    return files[:n]


def _expression_names(folder: Path) -> list[str]:
    names = json.loads((folder / INDEX).read_text()).get("expressions")
    require(
        isinstance(names, list) and all(isinstance(n, str) and "/" not in n for n in names),
        f"{INDEX} has no list of expressions",
    )
    missing = [name for name in names if not (folder / f"{name}.obj").is_file()]
    require(not missing, f"{missing[0] if missing else ''}.obj is missing in it")
    return names


def _displacement(file: Path, neutral: np.ndarray) -> np.ndarray:
    vertices = read_vertices(file)
    require(
        len(vertices) == len(neutral),
        f"{file.name} has {len(vertices)} vertices, the neutral face {len(neutral)}",
    )
    return vertices - neutral


def _columns(displacements: list[np.ndarray]) -> np.ndarray:
    """K displacements (V, 3) as (3·V, K)."""
    return np.stack([d.reshape(-1) for d in displacements], axis=1)
