"""Read vertices and polygons of Wavefront OBJ files, as the many programs that write them do."""

from __future__ import annotations

import re

import numpy as np

# Lines may be indented, and may be continued behind a backslash at their end.
VERTEX_LINE = re.compile(rb"^[ \t]*v[ \t]+([^\r\n#]*)", re.MULTILINE)
FACE_LINE = re.compile(rb"^[ \t]*f[ \t]+([^\r\n#]*)", re.MULTILINE)
CONTINUED = re.compile(rb"\\[ \t]*\r?\n")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
AFTER_SLASH = re.compile(rb"/[^\s]*")


class IncompleteObj(ValueError):
    """What is there can be read, and is not a mesh."""


def obj_vertices(content: bytes) -> np.ndarray:
    """Read the places of the vertices.

    Args:
        content: Of an OBJ file.

    Returns:
        (V, 3) float64, in the file's unit. A weight or a colour behind a place is left out.

    Raises:
        IncompleteObj: For a file without vertices, and for one of fewer than three numbers.
        ValueError: For what is not a number.
    """
    lines = VERTEX_LINE.findall(_joined(content))
    numbers = b"\n".join(lines).split()
    if len(numbers) != 3 * len(lines):
        numbers = [number for line in lines for number in line.split()[:3]]
    if not lines or len(numbers) != 3 * len(lines):
        raise IncompleteObj("has no vertices of three numbers each")
    return np.array(numbers, dtype=np.float64).reshape(-1, 3)


def obj_polygons(content: bytes) -> list[np.ndarray]:
    """Read the polygons, by the numbers of their vertices.

    A number below zero counts back from the last vertex before its own line.

    Args:
        content: Of an OBJ file.

    Returns:
        Arrays (N, corners) int64, numbers from 0, one array for each number of corners.

    Raises:
        IncompleteObj: For a polygon of fewer than three corners.
        ValueError: For what is not a number.
    """
    content = _joined(content)
    corners: dict[int, list[list[bytes]]] = {}
    places: dict[int, list[int]] = {}
    for line in FACE_LINE.finditer(content):
        row = AFTER_SLASH.sub(b"", line[1]).split()  # "7/3/2" is vertex 7 with other things
        corners.setdefault(len(row), []).append(row)
        places.setdefault(len(row), []).append(line.start())
    if corners and min(corners) < 3:
        raise IncompleteObj("has a polygon of fewer than three corners")
    polygons = []
    for size in sorted(corners):
        numbers = np.array(corners[size], dtype=np.int64)
        if (numbers < 0).any():
            vertex_lines = np.array([line.start() for line in VERTEX_LINE.finditer(content)])
            before = np.searchsorted(vertex_lines, places[size])[:, None]
            numbers = np.where(numbers < 0, numbers + before + 1, numbers)
        polygons.append(numbers - 1)
    return polygons


def triangulated(polygons: list[np.ndarray]) -> np.ndarray | None:
    """Cut convex polygons into fans of triangles.

    Args:
        polygons: Arrays (N, corners).

    Returns:
        (F, 3), or None where there are no polygons.
    """
    fans = [p[:, [0, k, k + 1]] for p in polygons for k in range(1, p.shape[1] - 1)]
    return np.concatenate(fans) if fans else None


def _joined(content: bytes) -> bytes:
    content = content.removeprefix(BYTE_ORDER_MARK)
    return CONTINUED.sub(b" ", content) if b"\\" in content else content
