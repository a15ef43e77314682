"""Read what a face model needs of a Wavefront OBJ file: places of vertices, and polygons by vertex numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from helpers.face_model.formats.assemble import finite, require

VERTEX_LINE = re.compile(rb"^v[ \t]+([^\r\n#]*)", re.MULTILINE)
FACE_LINE = re.compile(rb"^f[ \t]+([^\r\n#]*)", re.MULTILINE)
AFTER_SLASH = re.compile(rb"/[^\s]*")


def read_vertices(path: Path) -> np.ndarray:
    """Read the vertices of an OBJ file: (V, 3) float64, in the file's units."""
    return _vertices(path.read_bytes(), path.name)


def read_mesh(path: Path) -> tuple[np.ndarray, list[np.ndarray]]:
    """Read the mesh of an OBJ file.

    Args:
        path: The file.

    Returns:
        Vertices (V, 3) float64 in the file's units, and polygons as vertex numbers from 0, in arrays (N, corners) by
        their number of corners.

    Raises:
        NotThisModel: There are no vertices or polygons, or a polygon names a vertex that is not there.
    """
    content = path.read_bytes()
    vertices = _vertices(content, path.name)
    by_size: dict[int, list] = {}
    for line in FACE_LINE.findall(content):
        corners = AFTER_SLASH.sub(b"", line).split()  # "7/3/2" is vertex 7 with other things
        by_size.setdefault(len(corners), []).append(corners)
    require(by_size, f"{path.name} has no polygons")
    require(min(by_size) >= 3, f"a polygon of {path.name} has fewer than three corners")
    polygons = [np.array(group, dtype=np.int64) - 1 for _, group in sorted(by_size.items())]
    for group in polygons:
        require(
            group.min() >= 0 and group.max() < len(vertices),
            f"a polygon of {path.name} names a vertex that is not there",
        )
    return vertices, polygons


def _vertices(content: bytes, name: str) -> np.ndarray:
    lines = VERTEX_LINE.findall(content)
    numbers = b"\n".join(lines).split()
    require(lines and len(numbers) == 3 * len(lines), f"{name} has no vertices of three numbers each")
    return finite(np.array(numbers, dtype=np.float64), name).reshape(-1, 3)
