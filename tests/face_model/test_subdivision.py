"""Catmull–Clark as a matrix: weights, nesting, and the limits it is known to have."""

from __future__ import annotations

import numpy as np
import pytest

from helpers.face_model import subdivision

CUBE = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
CORNERS = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
PLANE = np.array(
    [[i * 4 + j, i * 4 + j + 1, (i + 1) * 4 + j + 1, (i + 1) * 4 + j] for i in range(3) for j in range(3)]
)


@pytest.mark.parametrize(("quads", "n"), [(CUBE, 8), (PLANE, 16)])
def test_rows_are_weighted_means_and_counts_follow(quads, n):
    matrix, finer = subdivision.catmull_clark(quads, n)
    edges = len(subdivision.topology(quads).edges)
    assert matrix.shape == (n + edges + len(quads), n) and len(finer) == 4 * len(quads)
    assert np.allclose(matrix.sum(1), 1) and matrix.data.min() > 0
    assert sorted(set(finer.ravel())) == list(range(matrix.shape[0]))
    keep = subdivision.interpolation(quads, n)
    assert np.allclose(keep.sum(1), 1) and np.array_equal(keep[:n].toarray(), np.eye(n))


def test_a_cube_gives_the_known_points():
    """First step of the cube [−1, 1]³: corners to 5/9, edge points to 3/4, face points stay at 1."""
    matrix, _ = subdivision.catmull_clark(CUBE, 8)
    points = matrix @ CORNERS
    assert np.allclose(np.abs(points[:8]), 5 / 9)
    assert np.allclose(np.sort(np.abs(points[8:20]), axis=1), [0, 0.75, 0.75])
    assert np.allclose(np.sort(np.abs(points[20:]), axis=1), [0, 0, 1])


def test_a_flat_grid_stays_flat_and_its_straight_edges_straight():
    grid = np.array([[i, j, 0.0] for i in range(4) for j in range(4)])
    matrix, quads = subdivision.catmull_clark(PLANE, 16)
    points = matrix @ grid
    assert np.allclose(points[:, 2], 0)
    boundary = subdivision.topology(quads)
    on_rim = np.unique(boundary.edges[boundary.boundary])
    corners = np.array([0, 3, 12, 15])  # an open corner is rounded, as a B-spline curve is
    rim = points[np.setdiff1d(on_rim, corners)]
    assert np.isclose(np.minimum(rim[:, :2] % 3, 3 - rim[:, :2] % 3).min(1), 0).all()


def test_triangles_keep_the_orientation_and_take_the_short_diagonal():
    points = np.array([[0, 0, 0], [3, 0, 0], [3.5, 1, 0], [0.5, 1, 0.0]])
    triangles = subdivision.to_triangles(points, np.array([[0, 1, 2, 3]]))
    assert {tuple(sorted(t)) for t in triangles} == {(0, 1, 3), (1, 2, 3)}
    a, b, c = (points[triangles[:, i]] for i in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
