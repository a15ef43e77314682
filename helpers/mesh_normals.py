"""Normals of triangle meshes in numpy. The renderer has its own, for tensors, with gradients."""

from __future__ import annotations

import numpy as np


def triangle_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Compute the unit normal of each triangle.

    Args:
        vertices: (V, 3).
        triangles: (F, 3), anticlockwise seen from outside.

    Returns:
        (F, 3), pointing outward; 0 for a triangle without area.
    """
    return _unit(_crosses(vertices, triangles))


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Compute the unit normal of each vertex: the mean of its triangles' normals, weighted by their areas.

    Args:
        vertices: (V, 3).
        triangles: (F, 3), anticlockwise seen from outside.

    Returns:
        (V, 3), pointing outward; 0 for a vertex whose triangles have no area.
    """
    crosses = _crosses(vertices, triangles)
    corners = triangles.T.ravel()
    sums = [np.bincount(corners, np.tile(axis, 3), len(vertices)) for axis in crosses.T]
    return _unit(np.stack(sums, axis=1))


def _crosses(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F, 3) normals as long as twice the triangles' areas."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
