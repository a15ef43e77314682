"""Read scans and reconstructed faces: PLY or OBJ, with landmarks in a file beside them.

The MICC Florence scans lie in folders `subject_NN/Model/frontal1/obj/*.obj`; the landmarks are not part of the data set.
The NoW scans come as `.obj` with MeshLab's picked points, seven for each scan, in `.pp` files.
Neither data set is here: both are given to researchers who ask for them.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from helpers._open3d import open3d
from helpers.errors import UserError
from helpers.evaluation.surface import Surface
from helpers.face_model.formats.obj import FACE_LINE, VERTEX_LINE

MESHES = (".ply", ".obj")
LANDMARKS = (".pp", ".npy", ".json", ".txt")
UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
# How many points a landmark file may have, and which of the 68 they are (counted from 0).
NOW_SEVEN = (36, 39, 42, 45, 33, 48, 54)  # corners of the eyes, base of the nose, corners of the mouth
KNOWN_COUNTS = {1: (30,), 7: NOW_SEVEN, 51: tuple(range(17, 68)), 68: tuple(range(68))}
EXTENT = (60.0, 1500.0)  # mm, between which the longest side of a scan with a face must lie


def read_surface(path: str | Path, landmarks: str | Path | None = None, unit: str = "mm") -> Surface:
    """A PLY or OBJ file as a Surface, in mm; polygons are cut into triangles, colours left out.

    landmarks: their file, see `read_landmarks`; None looks for one of the mesh's name beside it, and goes without if
    there is none.  unit: of the mesh and the landmarks, "mm", "cm" or "m".

    Raises UserError for a file that is missing, broken, empty, or of a size that no face has.
    """
    path = Path(path)
    if path.suffix.lower() not in MESHES:
        raise UserError(f"{path}: a mesh is expected to end in {' or '.join(MESHES)}")
    if not path.is_file():
        raise UserError(f"{path}: no such mesh")
    if unit not in UNITS:
        raise UserError(f"unit {unit!r}: expected one of {', '.join(UNITS)}")
    vertices, triangles = (_read_ply if path.suffix.lower() == ".ply" else _read_obj)(path)
    try:
        surface = Surface.of(vertices * UNITS[unit], triangles, name=path.stem)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    extent = float(np.ptp(surface.vertices, axis=0).max())
    if not EXTENT[0] <= extent <= EXTENT[1]:
        raise UserError(
            f"{path}: its longest side is {extent:.3g} mm, which is no face: say in what unit it is (mm, cm or m)"
        )
    landmarks = landmarks or landmarks_beside(path)
    points = np.full((68, 3), np.nan) if landmarks is None else read_landmarks(landmarks) * UNITS[unit]
    return Surface(surface.vertices, surface.triangles, points, path.stem)


def landmarks_beside(path: Path) -> Path | None:
    """The landmark file of a mesh: its name with another ending, or with `_picked_points` or `_landmarks` before it."""
    for ending in LANDMARKS:
        for extra in ("", "_picked_points", "_landmarks"):
            beside = path.with_name(path.stem + extra + ending)
            if beside.is_file():
                return beside
    return None


def read_landmarks(path: str | Path) -> np.ndarray:
    """3D points (68, 3) in the file's unit; NaN for those that the file does not have.

    .pp: picked points of MeshLab.  .npy: an array.  .json: a list of points, or an object with the list "points".
    .txt: three numbers a line. There must be 68 points; 51 (without the jaw); 7, as in the NoW data; or 1, the tip of
    the nose. Raises UserError for anything else.
    """
    path = Path(path)
    reader = {".pp": _read_pp, ".npy": _read_npy, ".json": _read_json, ".txt": _read_txt}.get(
        path.suffix.lower()
    )
    if reader is None:
        raise UserError(f"{path}: a file of 3D landmarks ends in {', '.join(LANDMARKS)}")
    if not path.is_file():
        raise UserError(f"{path}: no such landmark file")
    try:
        points = np.asarray(reader(path), np.float64)
    except (ValueError, TypeError, KeyError, OSError, EOFError, ElementTree.ParseError) as error:
        raise UserError(f"{path}: no readable landmarks: {' '.join(str(error).split())}") from error
    if points.ndim != 2 or points.shape[1] != 3 or len(points) not in KNOWN_COUNTS:
        raise UserError(f"{path}: expected 68, 51, 7 or 1 points of three numbers, got shape {points.shape}")
    if not np.isfinite(points).all():
        raise UserError(f"{path}: the landmarks have numbers that are not finite")
    out = np.full((68, 3), np.nan)
    out[list(KNOWN_COUNTS[len(points)])] = points
    return out


def find_scans(folder: str | Path) -> dict[str, Path]:
    """The scans of a folder by name: MICC's layout if it has folders `subject_NN`, else every mesh by its stem.

    In MICC's layout a subject's first frontal scan is taken, or its first mesh where none is called frontal.
    Raises UserError if there is no mesh.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    subjects = sorted(p for p in folder.iterdir() if p.is_dir() and re.fullmatch(r"subject_\d+", p.name))
    found = {}
    for subject in subjects:
        meshes = _meshes(subject)
        frontal = [
            p for p in meshes if any("frontal" in part.lower() for part in p.relative_to(subject).parts)
        ]
        if meshes:
            found[subject.name] = (frontal or meshes)[0]
    if not subjects:
        found = {p.stem: p for p in reversed(_meshes(folder))}
    if not found:
        raise UserError(f"{folder}: no mesh ({', '.join(MESHES)}) in it")
    return dict(sorted(found.items()))


def _meshes(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in MESHES and p.is_file())


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    content = path.read_bytes()
    try:
        # Behind its place a vertex may carry a weight or a colour.
        vertices = np.array([line.split()[:3] for line in VERTEX_LINE.findall(content)], np.float64).reshape(
            -1, 3
        )
        polygons = [
            [int(corner.split(b"/")[0]) for corner in line.split()] for line in FACE_LINE.findall(content)
        ]
    except ValueError as error:
        raise UserError(f"{path}: no readable OBJ mesh: {' '.join(str(error).split())}") from error
    if not len(vertices):
        raise UserError(f"{path}: no readable OBJ mesh: it has no vertices")
    # A polygon of n corners becomes a fan of n − 2 triangles. Numbers below zero count from the last vertex back.
    fans = [(p[0], p[k], p[k + 1]) for p in polygons for k in range(1, len(p) - 1)]
    if not fans:
        return vertices, None
    corners = np.array(fans, np.int64)
    return vertices, np.where(corners < 0, corners + len(vertices), corners - 1)


def _read_ply(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    with path.open("rb") as file:
        if file.read(3) != b"ply":  # Open3D's reader would write a line of its own to standard error
            raise UserError(f"{path}: no readable PLY mesh")
    o3d = open3d()
    with contextlib.ExitStack() as quiet:
        quiet.enter_context(o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error))
        mesh = o3d.io.read_triangle_mesh(str(path))
        vertices, triangles = np.asarray(mesh.vertices), np.asarray(mesh.triangles)
        if not len(vertices):
            vertices = np.asarray(o3d.io.read_point_cloud(str(path)).points)
    if not len(vertices):
        raise UserError(f"{path}: no readable PLY mesh")
    return vertices, triangles if len(triangles) else None


def _read_pp(path: Path) -> list:
    points = ElementTree.parse(path).getroot().findall(".//point")
    return [[float(point.get(axis)) for axis in "xyz"] for point in points if point.get("active", "1") == "1"]


def _read_npy(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _read_json(path: Path) -> list:
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["points"] if isinstance(content, dict) else content


def _read_txt(path: Path) -> np.ndarray:
    return np.loadtxt(path, ndmin=2, delimiter="," if "," in path.read_text(encoding="utf-8") else None)
