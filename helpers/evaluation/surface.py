"""A surface to measure: a mesh or a bare set of points, and the nearest place on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree
from torch import Tensor

from helpers._open3d import open3d
from helpers.errors import UserError
from helpers.face_model.morphable_model import NOSE_TIP
from helpers.mesh_normals import triangle_normals, vertex_normals
from helpers.pose.points68 import NAMES


@dataclass(frozen=True)
class Surface:
    """A scan or a reconstructed face.

    Attributes:
        vertices: (V, 3) float64, mm.
        triangles: (F, 3) int64, or None for a scan without triangles.
        landmarks: (68, 3) float64, mm, the 68 points of 300-W on the surface; NaN for those that are not known.
        name: How it is called in tables.
    """

    vertices: np.ndarray
    triangles: np.ndarray | None
    landmarks: np.ndarray
    name: str = ""

    @classmethod
    def of(
        cls,
        vertices: ArrayLike | Tensor,
        triangles: ArrayLike | Tensor | None = None,
        landmarks: ArrayLike | Tensor | None = None,
        name: str = "",
    ) -> Surface:
        """Make a surface of arrays or tensors.

        Args:
            vertices: (V, 3) mm.
            triangles: (F, 3), if there are any.
            landmarks: 68 vertex numbers, 68 points (68, 3) mm, or None.
            name: How it is called in tables.

        Raises:
            ValueError: For shapes that do not fit and numbers that are not finite.
        """
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

    def moved(self, motion: Callable[[np.ndarray], np.ndarray]) -> Surface:
        """The surface and its landmarks after a motion of points (N, 3)."""
        return replace(self, vertices=motion(self.vertices), landmarks=motion(self.landmarks))

    @property
    def nose(self) -> np.ndarray:
        """(3,) mm, the tip of the nose. Raises UserError if it is not known."""
        return self.known((NOSE_TIP,))[0]

    def known(self, numbers: Sequence[int]) -> np.ndarray:
        """(N, 3) mm, some of the 68 landmarks. Raises UserError that names those that are not known."""
        points = self.landmarks[list(numbers)]
        missing = [n for n, point in zip(numbers, points, strict=True) if not np.isfinite(point).all()]
        if missing:
            called = ", ".join(f"the {NAMES.get(n, f'landmark {n + 1} of 68')}" for n in missing)
            verb = "is" if len(missing) == 1 else "are"
            raise UserError(f"{self.name or 'the surface'}: {called} {verb} not known; give its landmarks")
        return points


class Nearest:
    """The nearest place on a mesh, or the nearest of some points.

    On a mesh Open3D searches the triangles (Embree, a tree of boxes). Without triangles, or with `vertices_only`,
    scipy's k-d tree searches the vertices.

    Args:
        vertices: (V, 3) mm.
        triangles: (F, 3), or None for bare points.
        vertices_only: Whether the triangles are left out of the search.
    """

    def __init__(
        self, vertices: np.ndarray, triangles: np.ndarray | None = None, vertices_only: bool = False
    ):
        # Embree counts in float32: near the origin its steps are smallest.
        self.vertices, self.triangles = vertices, triangles
        self.centre = vertices.mean(0)
        self.on_triangles = triangles is not None and not vertices_only
        if triangles is not None and not vertices_only:
            o3d = open3d()
            self._tensor, self._scene = o3d.core.Tensor, o3d.t.geometry.RaycastingScene()
            self._scene.add_triangles(
                self._tensor((vertices - self.centre).astype(np.float32)),
                self._tensor(triangles.astype(np.uint32)),
            )
        else:
            self._tree = KDTree(vertices)
        self._normals: np.ndarray | None = None

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look for the nearest places.

        Args:
            points: (N, 3) mm.

        Returns:
            The places (N, 3) mm, and the number (N,) of the triangle or vertex in which each lies.
        """
        if not self.on_triangles:
            number = self._tree.query(points)[1]
            return self.vertices[number], number
        found = self._scene.compute_closest_points(self._tensor((points - self.centre).astype(np.float32)))
        places = found["points"].numpy().astype(np.float64) + self.centre
        return places, found["primitive_ids"].numpy().astype(np.int64)

    def normals(self, number: np.ndarray) -> np.ndarray:
        """Unit normals (N, 3) at the places that a call found in triangles or vertices `number` (N,).

        Raises UserError for a surface without triangles.
        """
        if self.triangles is None:
            raise UserError('a surface without triangles has no normals: choose the step "point"')
        if self._normals is None:
            normals = triangle_normals if self.on_triangles else vertex_normals
            self._normals = normals(self.vertices, self.triangles)
        return self._normals[number]


def _host(values: ArrayLike | Tensor) -> ArrayLike:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
