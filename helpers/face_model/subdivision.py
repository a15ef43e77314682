"""Catmull–Clark subdivision as a sparse matrix.

Subdivision is linear: each new vertex is a fixed weighted mean of old ones, whatever their positions. The
weights depend on the quads only, so one sparse matrix refines the mean face, every mode and every mask.

New vertices come in the order: the old vertices (moved), one per edge, one per quad. So the vertices of a
coarse level are the first vertices of the next finer one. (Catmull and Clark 1978.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class Topology:
    """The edges of a quad mesh.

    Attributes:
        edges: (E, 2) vertex pairs.
        quad_edges: (Q, 4) edge of each quad side i → i + 1.
        boundary: (E,) bool, edges with a quad on one side only.
    """

    edges: np.ndarray
    quad_edges: np.ndarray
    boundary: np.ndarray


def topology(quads: np.ndarray) -> Topology:
    """Find the edges of quads (Q, 4)."""
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    edges, inverse, count = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True, return_counts=True)
    return Topology(edges, inverse.reshape(quads.shape), count == 1)


def incidence(rows_of: np.ndarray, n_columns: int) -> sp.csr_matrix:
    """Make the (R, n_columns) matrix of ones from an (R, k) table of column numbers."""
    n_rows, k = rows_of.shape
    rows = np.repeat(np.arange(n_rows), k)
    return sp.csr_matrix((np.ones(n_rows * k), (rows, rows_of.ravel())), shape=(n_rows, n_columns))


def _scale_rows(factors: np.ndarray, matrix: sp.csr_matrix) -> sp.csr_matrix:
    return sp.diags(factors.astype(float)) @ matrix


def catmull_clark(quads: np.ndarray, n_vertices: int) -> tuple[sp.csr_matrix, np.ndarray]:
    """Refine a quad mesh once.

    Boundary edges get their midpoint, boundary vertices ¾ of themselves and ⅛ of each boundary neighbour (a
    cubic B-spline), so an open edge stays a smooth curve.

    Args:
        quads: (Q, 4).
        n_vertices: V.

    Returns:
        The matrix (V + E + Q, V) from old vertices to new ones, and the new quads (4Q, 4).

    Source:
        E. Catmull and J. Clark, "Recursively generated B-spline surfaces on arbitrary topological meshes", 1978.
    """
    topo = topology(quads)
    n_edges = len(topo.edges)
    face_points = incidence(quads, n_vertices) / 4
    midpoints = incidence(topo.edges, n_vertices) / 2

    # Edge points: the mean of the midpoint and of the two neighbouring face points.
    edge_faces = incidence(topo.quad_edges, n_edges).T
    mean_face = 0.5 * edge_faces @ face_points
    edge_points = _scale_rows(np.where(topo.boundary, 1.0, 0.5), midpoints) + _scale_rows(
        np.where(topo.boundary, 0.0, 0.5), mean_face
    )

    # Vertex points: (F + 2 M + (n − 3) v) / n with F, M the means around a vertex that has n quads.
    vertex_faces = incidence(quads, n_vertices).T
    vertex_edges = incidence(topo.edges, n_vertices).T
    n = np.maximum(np.asarray(vertex_faces.sum(1)).ravel(), 1)
    n_around = np.maximum(np.asarray(vertex_edges.sum(1)).ravel(), 1)
    mean_face = _scale_rows(1 / n, vertex_faces @ face_points)
    mean_edge = _scale_rows(1 / n_around, vertex_edges @ midpoints)
    inner = _scale_rows(1 / n, mean_face + 2 * mean_edge) + sp.diags((n - 3) / n)
    rim_edges = vertex_edges @ sp.diags(topo.boundary.astype(float))
    rim_count = np.asarray(rim_edges.sum(1)).ravel()
    rim = 0.5 * sp.eye(n_vertices) + 0.5 * _scale_rows(1 / np.maximum(rim_count, 1), rim_edges @ midpoints)
    on_rim = rim_count > 0
    vertex_points = _scale_rows(~on_rim, inner) + _scale_rows(on_rim, rim)

    matrix = sp.vstack([vertex_points, edge_points, face_points]).tocsr()
    matrix.eliminate_zeros()
    return matrix, refined_quads(quads, topo, n_vertices)


def refined_quads(quads: np.ndarray, topo: Topology, n_vertices: int) -> np.ndarray:
    """Make the four small quads (4Q, 4) in each quad: corner, edge after it, centre, edge before it."""
    edge = n_vertices + topo.quad_edges
    centre = n_vertices + len(topo.edges) + np.arange(len(quads))
    small = [np.stack([quads[:, i], edge[:, i], centre, edge[:, i - 1]], axis=1) for i in range(4)]
    return np.stack(small, axis=1).reshape(-1, 4)


def interpolation(quads: np.ndarray, n_vertices: int) -> sp.csr_matrix:
    """Make the matrix (V + E + Q, V) that keeps vertex values and puts plain means on edges and quads.

    For colours: Catmull–Clark would blur the values at the vertices, this leaves them as they are.

    Args:
        quads: (Q, 4).
        n_vertices: V.
    """
    edges = topology(quads).edges
    parts = [sp.eye(n_vertices), incidence(edges, n_vertices) / 2, incidence(quads, n_vertices) / 4]
    return sp.vstack(parts).tocsr()


def to_triangles(vertices: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Split each quad along its shorter diagonal.

    Args:
        vertices: (V, 3).
        quads: (Q, 4).

    Returns:
        Triangles (2Q, 3) with the same orientation.
    """
    a, b, c, d = (vertices[quads[:, i]] for i in range(4))
    short_ac = np.linalg.norm(a - c, axis=1) <= np.linalg.norm(b - d, axis=1)
    by_ac, by_bd = quads[:, [[0, 1, 2], [0, 2, 3]]], quads[:, [[0, 1, 3], [1, 2, 3]]]
    return np.where(short_ac[:, None, None], by_ac, by_bd).reshape(-1, 3)
