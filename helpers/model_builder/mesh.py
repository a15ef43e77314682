"""Small mesh tools of the builder (numpy; the course's own renderer works on tensors)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


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


def snap_loop(
    points: np.ndarray, value: np.ndarray, loop: list[int], quads: np.ndarray
) -> dict[int, tuple[int, float]]:
    """Find where the vertices of a boundary may slide along mesh edges onto the surface where `value` is 0.

    Args:
        points: (V, 3).
        value: (V,), negative on one side of the surface.
        loop: The boundary.
        quads: Of the mesh on both sides of it.

    Returns:
        Vertex → (neighbour, share of the way there); vertices without a crossing are left out.
    """
    neighbours = {v: set() for v in loop}
    for i, j in ((0, 1), (0, 2), (0, 3)):  # edges and diagonals of the quads around a boundary vertex
        for k in range(4):
            for a, b in zip(quads[:, (i + k) % 4], quads[:, (j + k) % 4], strict=True):
                if a in neighbours:
                    neighbours[a].add(b)
                if b in neighbours:
                    neighbours[b].add(a)
    found = {}
    for v in loop:
        across = [o for o in neighbours[v] if value[o] * value[v] < 0]
        if across:
            # the crossing that moves the vertex least
            crossing = {o: value[v] / (value[v] - value[o]) for o in across}
            other = min(across, key=lambda o: crossing[o] * np.linalg.norm(points[o] - points[v]))
            found[v] = (other, crossing[other])
    return found


def smooth_loop(place: sp.csr_matrix, loop: np.ndarray, rounds: int = 4) -> sp.csr_matrix:
    """Even a closed curve out: `place` (R, C) places R vertices, `loop` are the rows of the curve's."""
    relax = sp.eye(place.shape[0]).tolil()
    relax[loop, loop] = 0.5
    relax[loop, np.roll(loop, 1)] = 0.25
    relax[loop, np.roll(loop, -1)] = 0.25
    relax = relax.tocsr()
    for _ in range(rounds):
        place = relax @ place
    return place.tocsr()
