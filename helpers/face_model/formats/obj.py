"""Read what a face model needs of a Wavefront OBJ file: places of vertices, and polygons by vertex numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.face_model.formats.assemble import NotThisModel, finite, require
from helpers.obj_files import IncompleteObj, obj_polygons, obj_vertices


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
    try:
        polygons = obj_polygons(content)
    except IncompleteObj as error:
        raise NotThisModel(f"{path.name} {error}") from error
    require(polygons, f"{path.name} has no polygons")
    for group in polygons:
        require(
            group.min() >= 0 and group.max() < len(vertices),
            f"a polygon of {path.name} names a vertex that is not there",
        )
    return vertices, polygons


def _vertices(content: bytes, name: str) -> np.ndarray:
    try:
        vertices = obj_vertices(content)
    except IncompleteObj as error:
        raise NotThisModel(f"{name} {error}") from error
    return finite(vertices, name)
