"""Find the rest of the 68 points on a face where only some of them are known.

The open face model is laid onto the other mesh: first by the points that are known, then also by its surface, as
iterated closest points do, with its shape modes and their prior deciding what is a face. Where its own landmarks then
lie, the nearest vertices of the other mesh are the ones that were missing. This is an estimate. On faces that are not
of the open model it is off by some 2 mm at eyes, nose and mouth, 3 mm at the brows and 6 mm along the jaw, where
nothing on the skin marks the points: a third of their distance (tests/face_model/test_landmarks_of_formats.py measures it).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from helpers.alignment import align_points
from helpers.face_model.formats.assemble import outward
from helpers.face_model.formats.landmarks import misplaced
from helpers.face_model.open_model import load_open_model
from helpers.mesh_normals import vertex_normals

MODES = 60
FEWEST = 8  # known points
POINT_MM, SURFACE_MM = 1.5, 2.0  # how closely known points and the surface are to be met
WORST_POINT_MM, WORST_GAP_MM = 12.0, 10.0
REACHES_MM = (20, 20, 15, 15, 10, 10, 8, 8, 8, 8)  # how far a closest point may be, from round to round


def complete(known: dict[int, int], vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray | None:
    """Estimate all 68 landmarks of a face from those that are known.

    Args:
        known: Number of the point, 0 to 67 → vertex. They stay as they are.
        vertices: (V, 3) mm, in model axes.
        triangles: (F, 3), either way round.

    Returns:
        (68,) vertex numbers; None if those known are too few or not those of a face, or if the open face model
        cannot be laid onto it.
    """
    if len(known) < FEWEST:
        return None
    vertices = vertices.astype(np.float64)
    fit = _Fit(known, vertices, outward(triangles, vertices))
    fit.meet_points(5)
    for reach in REACHES_MM:
        fit.meet_surface(reach)
    if fit.point_error() > WORST_POINT_MM:
        return None
    gaps, nearest = fit.tree.query(fit.placed()[fit.landmarks])
    found = fit.used[nearest]
    missing = [i for i in range(68) if i not in known]
    found[list(known)] = list(known.values())
    if (gaps[missing] > WORST_GAP_MM).any() or misplaced(vertices[found]) is not None:
        return None
    return found


class _Fit:
    """The open face model on its way onto another face: X = s · R · (S̄ + B·α) + t."""

    def __init__(self, known: dict[int, int], vertices: np.ndarray, triangles: np.ndarray):
        model = load_open_model(level=1, n_shape=MODES, n_texture=1)
        self.mean = model.mean_shape.double().numpy()
        self.basis = (model.shape_basis * model.shape_std).double().numpy()
        self.triangles = model.triangles.numpy()
        assert model.landmarks is not None and model.masks is not None  # the open model has both
        self.landmarks, masks = model.landmarks.numpy(), model.masks
        self.skin = np.flatnonzero((masks["skin"] > 0.5) & (masks["neck"] < 0.5))[::3]
        self.rows, self.points = self.landmarks[list(known)], vertices[list(known.values())]
        self.used = np.unique(triangles)
        self.target, self.target_normals = vertices[self.used], vertex_normals(vertices, triangles)[self.used]
        self.tree = KDTree(self.target)
        self.alpha, self.scale, self.rotation, self.shift = np.zeros(MODES), 1.0, np.eye(3), np.zeros(3)

    def placed(self) -> np.ndarray:
        return self.scale * (self.mean + self.basis @ self.alpha) @ self.rotation.T + self.shift

    def point_error(self) -> float:
        """mm, the largest at a known point."""
        return float(np.linalg.norm(self.placed()[self.rows] - self.points, axis=1).max())

    def meet_points(self, rounds: int) -> None:
        for _ in range(rounds):
            self._align(self.rows, self.points)
            self._solve([self._point_equations()])

    def meet_surface(self, reach: float) -> None:
        """One round: closest points, then a rigid step and the modes, towards the planes through those points."""
        placed = self.placed()
        distance, nearest = self.tree.query(placed[self.skin])
        facing = (vertex_normals(placed, self.triangles)[self.skin] * self.target_normals[nearest]).sum(
            1
        ) > 0.6
        near = facing & (distance < reach)
        rows, nearest = self.skin[near], nearest[near]
        if len(rows) < 100:
            return
        self._align(np.r_[self.rows, rows], np.r_[self.points, self.target[nearest]], len(self.rows))
        normals = self.target_normals[nearest]
        turned = (
            normals @ self.rotation * self.scale
        )  # (N, 3): what a mode's displacement adds along the normal
        modes = np.einsum("nc,nck->nk", turned, self.basis[rows])
        start = self.scale * self.mean[rows] @ self.rotation.T + self.shift
        gap = ((self.target[nearest] - start) * normals).sum(1)
        self._solve([self._point_equations(), (modes / SURFACE_MM, gap / SURFACE_MM)])

    def _point_equations(self) -> tuple[np.ndarray, np.ndarray]:
        back = (self.points - self.shift) @ self.rotation / self.scale
        modes = self.basis[self.rows].reshape(-1, MODES)
        return modes / POINT_MM, (back - self.mean[self.rows]).reshape(-1) / POINT_MM

    def _solve(self, equations: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """α of least squares with its prior N(0, 1). Neighbouring surface points hold the same evidence: 30 count as 1."""
        left, right = np.eye(MODES), np.zeros(MODES)
        for i, (modes, value) in enumerate(equations):
            weight = 1.0 if i == 0 else 1 / 30
            left += weight * modes.T @ modes
            right += weight * modes.T @ value
        self.alpha = np.linalg.solve(left, right)

    def _align(self, rows: np.ndarray, points: np.ndarray, first: int = 0) -> None:
        """The similarity that lays the vertices `rows` onto `points`; the `first` ones count as much as the rest."""
        weights = np.ones(len(rows))
        if first:
            weights[:first] = (len(rows) - first) / first
        mine = self.mean[rows] + self.basis[rows] @ self.alpha
        self.rotation, self.shift, self.scale = align_points(mine, points, weights, scale=True)
