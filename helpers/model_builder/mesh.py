"""Small mesh tools of the builder (numpy; the course's own renderer works on tensors)."""

from __future__ import annotations

import numpy as np


def boundary_loops(faces: np.ndarray) -> list[list[int]]:
    """Find the closed boundary curves of a mesh (F, k), each as a list of vertices in the faces' direction."""
    sides = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)
    _, inverse, count = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True, return_counts=True)
    following = dict(map(tuple, sides[count[inverse.ravel()] == 1].tolist()))
    loops = []
    while following:
        start, vertex = following.popitem()
        loop = [start]
        while vertex != start and vertex in following:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(loop)
    return loops


def vertex_areas(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Compute the share of the surface that belongs to each vertex.

    Args:
        vertices: (V, 3).
        quads: (Q, 4).

    Returns:
        (V,), with a sum of 1.
    """
    area = np.zeros(len(vertices))
    for corners in (quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]):
        a, b, c = (vertices[corners[:, i]] for i in range(3))
        size = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
        for corner in range(3):
            np.add.at(area, corners[:, corner], size)
    return area / area.sum()


def resample(curve: np.ndarray, n: int) -> np.ndarray:
    """Take `n` points evenly spaced along the polyline (m, d): (n, d)."""
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))]
    at = np.linspace(0, along[-1], n)
    return np.stack([np.interp(at, along, curve[:, k]) for k in range(curve.shape[1])], axis=1)
