"""Read scans and reconstructed faces: PLY or OBJ, with landmarks in a file beside them.

The MICC Florence scans lie in folders `subject_NN/Model/frontal1/obj/*.obj`; the landmarks are not part of the data set.
The NoW scans come as `.obj` with MeshLab's picked points, seven for each scan, in `.pp` files.
Neither data set is here: both are given to researchers who ask for them.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from helpers.errors import UserError
from helpers.evaluation.surface import Nearest, Surface
from helpers.face_model.morphable_model import NOSE_TIP
from helpers.files import write_in_one_step
from helpers.obj_files import obj_polygons, obj_vertices, triangulated
from helpers.ply_files import IncompletePly, read_ply

MESHES = (".ply", ".obj")
LANDMARKS = (".pp", ".npy", ".json", ".txt")
UNITS = {"um": 0.001, "mm": 1.0, "cm": 10.0, "dm": 100.0, "m": 1000.0}
# How many points a landmark file may have, and which of the 68 they are (counted from 0).
NOW_SEVEN = (36, 39, 42, 45, 33, 48, 54)  # corners of the eyes, base of the nose, corners of the mouth
KNOWN_COUNTS = {1: (NOSE_TIP,), 7: NOW_SEVEN, 51: tuple(range(17, 68)), 68: tuple(range(68))}
EXTENT = (60.0, 1500.0)  # mm, between which the longest side of a scan with a face must lie
LANDMARK_EXTENT = 30.0  # mm, which the landmarks of a face, if more than one, reach at least
OFF_SURFACE = 20.0  # mm, how far off the surface most landmarks may lie
STRAY = 10.0  # a point so many times as far from the middle as half of them are does not belong to the scan
CUT_OFF = "cut off: copy it again from where it is whole"


def read_surface(
    path: str | Path,
    landmarks: str | Path | None = None,
    unit: str = "mm",
    *,
    with_landmarks: bool = True,
    note: Callable[[str], object] = warnings.warn,
) -> Surface:
    """Read a mesh or a cloud of points.

    Polygons are cut into triangles, colours are left out. So are points that scanners write where they saw nothing: numbers
    that are not finite, several points at exactly (0, 0, 0), and single ones far from all others.

    Args:
        path: A .ply or .obj file.
        landmarks: Their file, see `read_landmarks`; None looks for one of the mesh's name beside it, and goes without if
            there is none that can be read.
        unit: Of the mesh and the landmarks, one of `UNITS`.
        with_landmarks: False leaves aside what lies beside the mesh.
        note: Is called with a line of text about points that are left out.

    Returns:
        The surface, in mm.

    Raises:
        UserError: For a file that is missing, broken, cut off, empty, or of a size that no face has, and for landmarks that
            do not lie on it.
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
        vertices, triangles = _without_holes(vertices, triangles, lambda text: note(f"{path}: {text}"))
        surface = Surface.of(vertices * UNITS[unit], triangles, name=path.stem)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    extent = float(np.ptp(surface.vertices, axis=0).max())
    if not EXTENT[0] <= extent <= EXTENT[1]:
        other = {name: extent / UNITS[unit] * size for name, size in UNITS.items()}
        likely = [f"{mm:.3g} mm if the unit is {name}" for name, mm in other.items() if 100 <= mm <= 500]
        raise UserError(
            f"{path}: its longest side is {extent:.3g} mm, which is no face{''.join(f', and {text}' for text in likely)}: say in what "
            f"unit it is ({', '.join(UNITS)}; for `evaluate` by --unit for scans, --mesh-unit for faces)"
        )
    if landmarks is not None:
        found = Path(landmarks), read_landmarks(landmarks)
    else:
        found = landmarks_beside(path)[0] if with_landmarks else None
    if found is None:
        return surface
    file, points = found[0], found[1] * UNITS[unit]
    _check_landmarks(points, surface, file, path)
    return Surface(surface.vertices, surface.triangles, points, path.stem)


def landmarks_beside(path: Path) -> tuple[tuple[Path, np.ndarray] | None, list[str]]:
    """Look for landmarks beside a mesh: its name with another ending, or with `_picked_points` or `_landmarks` before it.

    Not every file of the mesh's name is one of landmarks: a note, or the points of a photograph, is passed over.

    Args:
        path: Of the mesh.

    Returns:
        The first file that can be read, with its points (68, 3) as `read_landmarks` gives them, or None; and for each
        that cannot be read, why.
    """
    why = []
    for ending in LANDMARKS:
        for extra in ("", "_picked_points", "_landmarks"):
            file = path.with_name(path.stem + extra + ending)
            if file.is_file():
                try:
                    return (file, read_landmarks(file)), why
                except UserError as error:
                    why.append(str(error))
    return None, why


def read_landmarks(path: str | Path) -> np.ndarray:
    """Read 3D points: 68; 51 (without the jaw); 7, as in the NoW data; or 1, the tip of the nose.

    Args:
        path: A file .pp of picked points of MeshLab; .npy, an array; .json, a list of points or an object with the list
            "points"; or .txt, three numbers per line.

    Returns:
        (68, 3) in the file's unit; NaN for those that the file does not have.

    Raises:
        UserError: For anything else.
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
    except Exception as error:  # damaged files raise many kinds
        raise UserError(f"{path}: no readable landmarks: {' '.join(str(error).split())}") from error
    if points.ndim != 2 or points.shape[1] != 3 or len(points) not in KNOWN_COUNTS:
        raise UserError(f"{path}: expected 68, 51, 7 or 1 points of three numbers, got shape {points.shape}")
    if not np.isfinite(points).all():
        raise UserError(f"{path}: the landmarks have numbers that are not finite")
    out = np.full((68, 3), np.nan)
    out[list(KNOWN_COUNTS[len(points)])] = points
    return out


def write_landmarks(path: str | Path, points: np.ndarray) -> None:
    """Write 3D points (7, 3), in the order of `NOW_SEVEN`, as .json that `read_landmarks` reads, in one step."""
    text = json.dumps({"points": np.asarray(points, float).round(6).tolist()}, indent=1)
    write_in_one_step(path, lambda file: file.write(text.encode()))


def find_scans(folder: str | Path) -> dict[str, Path]:
    """Look for the meshes of a folder.

    In MICC's layout, folders `subject_NN`, a subject's first frontal scan is taken, or its first mesh where none is called
    frontal. Else every mesh is called by its stem; where several have one stem, as WHO/mesh.ply, by its folder.

    Args:
        folder: With meshes, at any depth.

    Returns:
        The files by name.

    Raises:
        UserError: If there is no mesh, or two would have one name.
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
        found = _named(_meshes(folder), folder)
    if not found:
        raise UserError(f"{folder}: no mesh ({', '.join(MESHES)}) in it")
    return dict(sorted(found.items()))


def _meshes(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in MESHES and p.is_file())


def _named(meshes: list[Path], folder: Path) -> dict[str, Path]:
    # One face as .obj and .ply, side by side, is one face.
    first = {path.with_suffix(""): path for path in reversed(meshes)}
    often = Counter(path.stem for path in first.values())
    found: dict[str, Path] = {}
    for path in first.values():
        place = path.parent.relative_to(folder)
        name = path.stem if often[path.stem] == 1 or not place.parts else place.as_posix()
        if name in found:
            raise UserError(f"{folder}: both {found[name]} and {path} would be called {name}: rename one")
        found[name] = path
    return found


def _without_holes(
    vertices: np.ndarray, triangles: np.ndarray | None, note: Callable[[str], object]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Vertices and triangles without the points where a scanner saw nothing."""
    finite = np.asarray(np.isfinite(vertices).all(1))
    zero = (vertices == 0).all(1)
    zero &= zero.sum() > 1
    good = finite & ~zero
    if not good.any():
        raise ValueError("has no point of three finite numbers")
    distance = np.linalg.norm(np.where(finite[:, None], vertices - np.median(vertices[good], 0), 0), axis=1)
    stray = good & (distance > STRAY * np.median(distance[good]))
    if good.all() and not stray.any():
        return vertices, triangles
    kept = good & ~stray
    counts = {"not finite": ~finite, "at exactly (0, 0, 0)": zero, "far from all others": stray}
    told = ", ".join(f"{n.sum()} {what}" for what, n in counts.items() if n.any())
    note(f"{(~kept).sum()} of {len(kept)} points are left out: {told}")
    if triangles is not None:
        if triangles.min() < 0 or triangles.max() >= len(vertices):
            return vertices[kept], triangles  # `Surface.of` refuses them
        triangles = (np.cumsum(kept) - 1)[triangles[kept[triangles].all(1)]]
    return vertices[kept], triangles if triangles is not None and len(triangles) else None


def _check_landmarks(points: np.ndarray, surface: Surface, file: Path, mesh: Path) -> None:
    """Raises UserError for landmarks that are not of this mesh, or not in its unit."""
    known = points[np.isfinite(points).all(1)]
    extent = float(np.ptp(known, axis=0).max())
    if len(known) > 1 and extent < LANDMARK_EXTENT:
        raise UserError(
            f"{file}: the landmarks lie within {extent:.3g} mm, which is no face: they must be in the unit of {mesh.name}"
        )
    off = float(
        np.median(np.linalg.norm(Nearest(surface.vertices, surface.triangles)(known)[0] - known, axis=1))
    )
    if off > OFF_SURFACE:
        raise UserError(
            f"{file}: the landmarks lie {off:.3g} mm off {mesh.name}: they must be of this mesh, in its unit and axes"
        )


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    content = path.read_bytes()
    # A finished file of any program ends with its polygons; only a line that is cut off lacks its end.
    last = b"" if content.endswith(b"\n") else content[content.rfind(b"\n") + 1 :].strip()
    if re.match(rb"v[tn]?\s", last):
        raise UserError(f"{path}: {CUT_OFF} (or end its last line, if nothing is missing)")
    try:
        vertices, triangles = obj_vertices(content), triangulated(obj_polygons(content))
    except ValueError as error:
        what = CUT_OFF if re.match(rb"f\b", last) else f"no readable OBJ mesh: {' '.join(str(error).split())}"
        raise UserError(f"{path}: {what}") from error
    if last and triangles is not None and len(np.unique(triangles)) < 0.99 * len(vertices):
        raise UserError(f"{path}: {CUT_OFF}: polygons are missing")
    return vertices, triangles


def _read_ply(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        vertices, polygons = read_ply(path.read_bytes())
    except IncompletePly as error:
        raise UserError(f"{path}: {CUT_OFF}: {error}") from error
    except ValueError as error:
        raise UserError(f"{path}: no readable PLY mesh: {' '.join(str(error).split())}") from error
    return vertices, triangulated(polygons)


def _read_pp(path: Path) -> list:
    points = ElementTree.parse(path).getroot().findall(".//point")
    return [
        [float(point.attrib[axis]) for axis in "xyz"] for point in points if point.get("active", "1") == "1"
    ]


def _read_npy(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _read_json(path: Path) -> list:
    content = json.loads(path.read_text(encoding="utf-8"))
    return content["points"] if isinstance(content, dict) else content


def _read_txt(path: Path) -> np.ndarray:
    text = path.read_text(encoding="utf-8")
    if not text.strip():
        raise ValueError("is empty")
    return np.loadtxt(path, ndmin=2, delimiter="," if "," in text else None)
