"""A surface to measure: a mesh or a bare set of points, and the nearest place on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.errors import UserError
from helpers.face_model.morphable_model import NOSE_TIP
from helpers.mesh_normals import triangle_normals, vertex_normals


@dataclass(frozen=True)
class Surface:
    """A scan or a reconstructed face.

    vertices: (V, 3) float64, mm.  triangles: (F, 3) int64, or None for a scan without triangles.
    landmarks: (68, 3) float64, mm, the 68 points of 300-W on the surface; NaN for those that are not known.
    name: how it is called in tables.
    """

    vertices: np.ndarray
    triangles: np.ndarray | None
    landmarks: np.ndarray
    name: str = ""

    @classmethod
    def of(cls, vertices, triangles=None, landmarks=None, name: str = "") -> Surface:
        """From arrays or tensors: vertices (V, 3) mm, triangles (F, 3), and landmarks as 68 vertex numbers, as 68
        points (68, 3) mm, or none. Raises ValueError for shapes that do not fit and numbers that are not finite."""
        vertices = np.asarray(_host(vertices), np.float64)
        if (
            vertices.ndim != 2
            or vertices.shape[1] != 3
            or not len(vertices)
            or not np.isfinite(vertices).all()
        ):
            raise ValueError(f"vertices must be finite numbers (V, 3), got {vertices.shape}")
        if triangles is not None:
            triangles = np.asarray(_host(triangles), np.int64)
            if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles):
                raise ValueError(f"triangles must be (F, 3), got {triangles.shape}")
            if triangles.min() < 0 or triangles.max() >= len(vertices):
                raise ValueError(
                    f"triangles name vertices {triangles.min()} to {triangles.max()} of {len(vertices)}"
                )
        points = np.full((68, 3), np.nan)
        if landmarks is not None:
            landmarks = np.asarray(_host(landmarks))
            points = vertices[landmarks] if landmarks.ndim == 1 else landmarks.astype(np.float64)
        if points.shape != (68, 3):
            raise ValueError(f"landmarks must be 68 vertex numbers or points (68, 3), got {points.shape}")
        return cls(vertices, triangles, points, name)

    @property
    def nose(self) -> np.ndarray:
        """(3,) mm, the tip of the nose. Raises UserError if it is not known."""
        if not np.isfinite(self.landmarks[NOSE_TIP]).all():
            raise UserError(
                f"{self.name or 'the surface'}: the tip of the nose is not known; give its landmarks"
            )
        return self.landmarks[NOSE_TIP]


class Nearest:
    """The nearest place on a mesh, or the nearest of some points.

    On a mesh Open3D searches the triangles (Embree, a tree of boxes). Without triangles, or with `vertices_only`,
    scipy's k-d tree searches the vertices.
    """

    def __init__(
        self, vertices: np.ndarray, triangles: np.ndarray | None = None, vertices_only: bool = False
    ):
        # Embree counts in float32: near the origin its steps are smallest.
        self.vertices, self.triangles = vertices, triangles
        self.centre = vertices.mean(0)
        self.on_triangles = triangles is not None and not vertices_only
        if self.on_triangles:
            from helpers._open3d import open3d

            o3d = open3d()
            self._tensor, self._scene = o3d.core.Tensor, o3d.t.geometry.RaycastingScene()
            self._scene.add_triangles(
                self._tensor((vertices - self.centre).astype(np.float32)),
                self._tensor(triangles.astype(np.uint32)),
            )
        else:
            from scipy.spatial import cKDTree

            self._tree = cKDTree(vertices)
        self._normals = None

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For points (N, 3) mm: the nearest places (N, 3) mm, and the number (N,) of their triangle or vertex."""
        if not self.on_triangles:
            number = self._tree.query(points)[1]
            return self.vertices[number], number
        found = self._scene.compute_closest_points(self._tensor((points - self.centre).astype(np.float32)))
        return found["points"].numpy().astype(np.float64) + self.centre, found[
            "primitive_ids"
        ].numpy().astype(np.int64)

    def normals(self, number: np.ndarray) -> np.ndarray:
        """Unit normals (N, 3) at the places that a call found in triangles or vertices `number` (N,)."""
        if self.triangles is None:
            raise UserError('a surface without triangles has no normals: choose the step "point"')
        if self._normals is None:
            self._normals = triangle_normals(self.vertices, self.triangles)
            if not self.on_triangles:
                self._normals = vertex_normals(self.vertices, self.triangles)
        return self._normals[number]


def distances(points: np.ndarray, surface: Surface) -> np.ndarray:
    """(N,) mm from points (N, 3) to the nearest place on a surface."""
    return np.linalg.norm(Nearest(surface.vertices, surface.triangles)(points)[0] - points, axis=1)


def _host(values):
    return values.detach().cpu() if hasattr(values, "detach") else values
