"""Landmark points in files: our own .json, and the .pts of the 300-W data sets.

A .json file counts pixels from 0, as this package does: the first pixel's centre is (0, 0). It is an object with
`points`, 68 pairs [x, y], and optionally `confidence`, `spread` and anything else; a bare list of pairs will do.

A .pts file counts from 1, because its pixels are Matlab's; so the menpo library reads the files of 300-W, and so
does this module: 1 is subtracted on reading and added on writing. Some tools write .pts from 0: the points then
come out one pixel too high and too far left.
"""

from __future__ import annotations

import codecs
import json
import math
from pathlib import Path

import numpy as np

from helpers.errors import UserError
from helpers.files import NO_SUCH_FILE, why_unreadable, write_in_one_step
from helpers.landmarks.detection import N_LANDMARKS, Detection

LARGEST_COORDINATE = 1e6  # px, beyond any photograph


def read_points(path: str | Path) -> np.ndarray:
    """Read the 68 points of a landmark file.

    Args:
        path: A .json or .pts file.

    Returns:
        (68, 2) float64 px, pixel centres at integers.

    Raises:
        UserError: It is no landmark file, or a point is not possible; the message names file and point.
    """
    return _read(Path(path))[0]


def read_detection(path: str | Path) -> Detection:
    """Read a landmark file as a Detection; a .json file may bring confidence, spread and backend with it.

    Args:
        path: A .json or .pts file.

    Returns:
        The face.

    Raises:
        UserError: As `read_points`, or confidence or spread is not a number of 0 or more.
    """
    path = Path(path)
    points, extra = _read(path)
    confidence, spread = (
        _number(path, extra, key, default) for key, default in (("confidence", 1), ("spread", 0))
    )
    return Detection.from_points(points, confidence, spread, str(extra.get("backend", "file")))


def file_beside(folder: str | Path, photograph: str) -> Path | None:
    """Find the landmark file of a photograph in a folder that is laid out as the photographs are.

    Args:
        folder: Of the landmark files; it may be that of the photographs.
        photograph: Path of the photograph below its own folder, such as "anna/1.jpg".

    Returns:
        folder/anna/1.json, or else folder/anna/1.pts; None where neither is there.
    """
    beside = (Path(folder, photograph).with_suffix(ending) for ending in (".json", ".pts"))
    return next((file for file in beside if file.exists()), None)


class FileDetector:
    """The points of one photograph from its file, as a detector: `FileDetector("me.json").detect(image)`."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def detect(self, image: np.ndarray, seed: int = 0) -> list[Detection]:
        """Read the one face of the file.

        Args:
            image: (H, W, 3), the photograph; only its size matters.
            seed: Changes nothing.

        Returns:
            The face, alone in a list.

        Raises:
            UserError: The file is no landmark file, or its points are not of this photograph.
        """
        face = read_detection(self.path)
        height, width = np.asarray(image).shape[:2]
        inside = ((face.points >= -0.5) & (face.points <= [width - 0.5, height - 0.5])).all(1).mean()
        if inside < 0.5:
            raise UserError(f"{self.path}: most points lie outside of the photograph ({width}×{height} px)")
        # A cropped face may reach past the edge, but no face is several photographs long.
        far = np.flatnonzero((np.abs(face.points - [width / 2, height / 2]) > 2 * max(width, height)).any(1))
        if len(far):
            x, y = face.points[far[0]]
            raise UserError(
                f"{self.path}: point {far[0] + 1} at ({x:g}, {y:g}) lies far outside of the photograph "
                f"({width}×{height} px): correct it"
            )
        if (face.points.max(0) - face.points.min(0)).min() < 1:
            raise UserError(f"{self.path}: the points do not span a face")
        return [face]


def write_points(path: str | Path, points: np.ndarray, **extra: object) -> None:
    """Write a landmark file, in one step.

    Args:
        path: A .json or .pts file.
        points: (68, 2) px, pixel centres at integers.
        **extra: Goes into a .json file as it is.

    Raises:
        ValueError: Points of another shape or not finite, another ending, or `extra` for a .pts file.
    """
    path, points = Path(path), np.asarray(points, np.float64)
    if points.shape != (N_LANDMARKS, 2) or not np.isfinite(points).all():
        raise ValueError(
            f"points must be finite numbers of shape ({N_LANDMARKS}, 2), got shape {points.shape}"
        )
    if path.suffix.lower() == ".pts":
        if extra:
            raise ValueError(f"a .pts file holds points only, not {', '.join(extra)}: write .json")
        rows = "".join(f"{x + 1:.6f} {y + 1:.6f}\n" for x, y in points)
        text = f"version: 1\nn_points:  {N_LANDMARKS}\n{{\n{rows}}}\n"
    elif path.suffix.lower() == ".json":
        head = "".join(
            f" {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},\n" for key, value in extra.items()
        )
        rows = ",\n".join(f"  [{x:.6f}, {y:.6f}]" for x, y in points)
        text = f'{{\n{head} "points": [\n{rows}\n ]\n}}\n'
    else:
        raise ValueError(f"{path}: the ending must be .json or .pts")
    write_in_one_step(path, lambda file: file.write(text.encode()))


def _read(path: Path) -> tuple[np.ndarray, dict]:
    reader = {".json": _parse_json, ".pts": _parse_pts}.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"{path}: a landmark file ends in .json or .pts")
    reason = why_unreadable(path)
    if reason is not None:
        raise UserError(f"{path}: {'no such landmark file' if reason == NO_SUCH_FILE else reason}")
    try:
        content = path.read_bytes()
        # Windows' programs begin a text with a byte order mark, and may write two bytes a letter.
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable text file") from error
    points, extra = reader(path, text)
    if len(points) != N_LANDMARKS:
        raise UserError(f"{path}: has {len(points)} points, expected {N_LANDMARKS} (the order of 300-W)")
    for number, (x, y) in enumerate(points, 1):
        if not (math.isfinite(x) and math.isfinite(y)):
            raise UserError(f"{path}: point {number} is ({x}, {y}), expected finite numbers")
        if max(abs(x), abs(y)) > LARGEST_COORDINATE:
            raise UserError(
                f"{path}: point {number} is ({x:g}, {y:g}), which is on no photograph: expected pixels"
            )
    return np.array(points, np.float64), extra


def _parse_json(path: Path, text: str) -> tuple[list, dict]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON: {error}") from error
    if isinstance(content, list):
        content = {"points": content}
    if not isinstance(content, dict) or not isinstance(content.get("points"), list):
        raise UserError(f'{path}: expected an object with the list "points", or a list of pairs [x, y]')
    points = content.pop("points")
    for number, point in enumerate(points, 1):
        if not isinstance(point, list) or len(point) != 2 or not all(type(v) in (int, float) for v in point):
            raise UserError(f"{path}: point {number} is {json.dumps(point)[:40]}, expected [x, y]")
    return points, content


def _parse_pts(path: Path, text: str) -> tuple[list, dict]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    head = [line.replace(" ", "") for line in lines[:3]]
    if (
        len(head) < 3
        or not head[0].startswith("version:")
        or not head[1].startswith("n_points:")
        or head[2] != "{"
    ):
        raise UserError(f"{path}: expected the header lines 'version: 1', 'n_points: {N_LANDMARKS}' and '{{'")
    if lines[-1] != "}":
        raise UserError(f"{path}: the closing '}}' is missing: the file is cut off")
    points = []
    for number, line in enumerate(lines[3:-1], 1):
        try:
            x, y = (float(word) for word in line.split())
        except ValueError:
            raise UserError(f"{path}: point {number} is {line[:40]!r}, expected two numbers") from None
        points.append([x - 1, y - 1])
    if head[1] != f"n_points:{len(points)}":
        raise UserError(f"{path}: the header says {lines[1]!r} but {len(points)} points follow")
    return points, {}


def _number(path: Path, extra: dict, key: str, default: float) -> float:
    value = extra.get(key, default)
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise UserError(f"{path}: {key} is {value!r}, expected a number, 0 or more")
    return float(value)
