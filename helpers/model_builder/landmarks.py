"""The 68 iBUG landmarks of the mean face, found by rules on its mesh.

Numbers: jaw 0–16 from the subject's right ear, brows 17–26, nose 27–35, eyes 36–47, outer lips 48–59, inner
lips 60–67. The subject's right is x < 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from helpers.model_builder.mesh import resample
from helpers.model_builder.template import Template

# Detectors put some points elsewhere than anatomy does. Millimetres (lateral, up) from the anatomical place to
# where they were found on photographs; the jaw and the eyes needed nothing.
DETECTOR_OFFSET = {
    (17, 26): (9.4, -2.8),
    (18, 25): (6.8, 0.0),
    (19, 24): (4.3, 0.0),
    (20, 23): (0.0, 2.8),
    (21, 22): (-4.4, -2.1),
    (31, 35): (-3.7, 2.8),
    (32, 34): (-1.8, 1.4),
    (49, 53): (2.3, 0.0),
    (51, 51): (0.0, -2.6),
    (59, 55): (2.5, 1.7),
}
MIRROR = {17: 26, 18: 25, 19: 24, 20: 23, 21: 22}


class Finder:
    """The rules, which share the mean mesh.

    Args:
        template: The control mesh.
        parts: As `regions.anatomy` finds them, with the normals.
        vertices: (V, 3) mm, the mean face.
        nose_wings: (V,) mm, how far a wider nose moves each vertex.
    """

    def __init__(
        self, template: Template, parts: dict[str, np.ndarray], vertices: np.ndarray, nose_wings: np.ndarray
    ):
        self.template, self.parts, self.vertices = template, parts, vertices
        self.normals = parts["normals"]
        self.nose_wings = nose_wings
        self.tree = KDTree(vertices)
        self.found = np.zeros(68, int)
        self.front_skin = (parts["eyes"] == 0) & (parts["mouth_interior"] < 0.3)

    def nearest(self, point: ArrayLike) -> int:
        """Find the vertex nearest to a point (3,) mm."""
        return int(self.tree.query(point)[1])

    def frontmost(self, x: float, y: float, radius: float = 2.0) -> int:
        """Find the vertex of the front surface that the line through (x, y) mm along z meets first."""
        distance = np.hypot(self.vertices[:, 0] - x, self.vertices[:, 1] - y)
        near = np.flatnonzero((distance < radius) & (self.normals[:, 2] > -0.1))
        if not len(near):
            return int(np.argmin(distance))
        depth = self.vertices[near, 2]
        near = near[depth > depth.max() - 4]
        return int(near[np.argmin(distance[near])])

    def run(self) -> np.ndarray:
        """Find all 68 vertex numbers (68,), moved to where detectors put the points."""
        self.eyes()
        self.nose()
        self.mouth()
        self.brows()
        self.jaw()
        for (right, left), (lateral, up) in DETECTOR_OFFSET.items():
            one, other = self.vertices[self.found[right]], self.vertices[self.found[left]]
            x, y = (other[0] - one[0]) / 2, (one[1] + other[1]) / 2 + up
            if right == left:
                height = np.abs(self.vertices[self.midline, 1] - y)
                self.found[left] = self.midline[
                    np.argmin(height + 100 * (self.normals[self.midline, 2] < 0.1))
                ]
                continue
            self.found[left] = self.frontmost(x + lateral, y)
            # The mesh is symmetric but for rounding, so the mirrored point has a vertex of its own.
            self.found[right] = self.nearest(self.vertices[self.found[left]] * [-1, 1, 1])
        return self.found

    def eyes(self) -> None:
        """Find the eyes: lid edges at their corners and thirds; the corners a little out, where the skin's fold ends."""
        self.eye_level = np.mean([self.vertices[eye.centre, 1] for eye in self.template.eyes])
        for eye, sign, numbers in zip(
            self.template.eyes, (-1, 1), (range(36, 42), range(42, 48)), strict=True
        ):
            rim = self.vertices[eye.rings[0]]
            first, last, n = int(np.argmin(rim[:, 0])), int(np.argmax(rim[:, 0])), len(rim)
            one = rim[(first + np.arange((last - first) % n + 1)) % n]
            other = rim[(last + np.arange((first - last) % n + 1)) % n][::-1]
            upper, lower = (one, other) if one[:, 1].mean() > other[:, 1].mean() else (other, one)
            upper, lower = resample(upper, 100)[[0, 33, 66, 99]], resample(lower, 100)[[33, 66]]
            outer, inner = (upper[0], upper[3]) if sign < 0 else (upper[3], upper[0])
            outer = self.frontmost(outer[0] + 1.3 * sign, outer[1] - 0.3)
            inner = self.frontmost(inner[0] - 2.2 * sign, inner[1] - 0.6)
            top = [self.nearest(p) for p in upper[1:3]]
            bottom = [self.nearest(p) for p in lower[::-1]]
            left, right = (outer, inner) if sign < 0 else (inner, outer)
            self.found[list(numbers)] = [left, *top, right, *bottom]

    def nose(self) -> None:
        """Find the nose: bridge and tip from the midline's profile, the base where it is most concave, then the wings."""
        v, lips = self.vertices, self.parts["lips"]
        mid = np.flatnonzero((np.abs(v[:, 0]) < 0.35) & (self.normals[:, 2] > -0.6) & self.front_skin)
        self.midline = mid = mid[np.argsort(-v[mid, 1])]
        height = v[mid, 1] - self.eye_level
        span = mid[(height < 15) & (height > -70)]
        tip = span[np.argmax(v[span, 2])]
        span = mid[(height < 14) & (height > -10)]
        root = span[np.argmin(v[span, 2])]
        bridge = mid[(v[mid, 1] <= v[root, 1] + 0.01) & (v[mid, 1] >= v[tip, 1] - 0.01)]
        self.found[27:31] = [root, *(self.nearest(p) for p in resample(v[bridge], 4)[1:3]), tip]
        lip_top = v[mid[lips[mid] > 0.5], 1].max()
        profile = mid[(v[mid, 1] < v[tip, 1] - 3) & (v[mid, 1] > lip_top - 1)]
        chord = (v[profile[-1]] - v[tip])[1:]
        base = profile[np.argmax(np.abs((v[profile] - v[tip])[:, 1:] @ [-chord[1], chord[0]]))]
        self.found[33] = base
        wings = np.flatnonzero(self.nose_wings > 0.75 * self.nose_wings.max())
        for sign, outer, inner in ((-1, 31, 32), (1, 35, 34)):
            width = np.max(v[wings, 0] * sign)
            self.found[outer] = self.frontmost(sign * width * 0.82, v[base, 1] + 1.5)
            self.found[inner] = self.frontmost(sign * width * 0.42, v[base, 1] + 0.3)

    def mouth(self) -> None:
        """Find the mouth: corners at the ends of the seam, the red's border around it, the seam for the inner lips."""
        v, t = self.vertices, self.template
        red = np.flatnonzero(self.parts["lips"] > 0.5)
        upper, lower = v[t.lips.upper], v[t.lips.lower]
        half = v[t.seam, 0].max()
        self.found[48], self.found[54] = t.lips.upper[0], t.lips.upper[-1]

        def border(x: float, sign: int) -> int:
            column = red[np.abs(v[red, 0] - x) < 0.8]
            return int(column[np.argmax(sign * v[column, 1])])

        def seam_point(edge: np.ndarray, x: float) -> int:
            return self.nearest([np.interp(x, edge[:, 0], edge[:, k]) for k in range(3)])

        for i, at in zip(range(49, 54), (-0.60, -0.24, 0, 0.24, 0.60), strict=True):
            self.found[i] = border(at * half, 1)
        for i, at in zip(range(55, 60), (0.62, 0.32, 0, -0.32, -0.62), strict=True):
            self.found[i] = border(at * half, -1)
        for i, at in zip(range(60, 65), (-0.86, -0.35, 0, 0.35, 0.86), strict=True):
            self.found[i] = seam_point(upper, at * half)
        for i, at in zip(range(65, 68), (0.35, 0, -0.35), strict=True):
            self.found[i] = seam_point(lower, at * half)

    def brows(self) -> None:
        """Find the brows: five points on an arc over each eye, in proportion to the lid opening."""
        rim = self.vertices[self.template.eyes[0].rings[0]]
        inner, outer = np.abs(rim[:, 0]).min(), np.abs(rim[:, 0]).max()
        across = [
            outer + 7,
            outer + 1,
            inner + 0.62 * (outer - inner),
            inner + 0.25 * (outer - inner),
            inner - 3,
        ]
        up = [13.5, 19.0, 20.0, 18.0, 15.5]
        for i, x, dy in zip(range(17, 22), across, up, strict=True):
            self.found[i] = self.frontmost(-x, self.eye_level + dy)
            self.found[MIRROR[i]] = self.frontmost(x, self.eye_level + dy)

    def jaw(self) -> None:
        """Find the jaw: the outline seen from the front, symmetrised, from ear to chin at equal steps."""
        v = self.vertices
        lip_base = v[self.found[57]]
        chin_front = self.midline[
            (v[self.midline, 1] < lip_base[1] - 10) & (v[self.midline, 2] > lip_base[2] - 22)
        ]
        chin = v[chin_front, 1].min()
        centre = self.eye_level - 42
        # A slanted plane keeps the neck out of the outline.
        in_front = v[:, 2] > np.maximum(lip_base[2] - 24 - 1.75 * np.clip(v[:, 1] - chin, 0, None), -45)
        allowed = self.front_skin & (self.parts["ears"] <= 0.15) & (v[:, 1] >= chin - 0.5) & in_front
        angle = np.arctan2(v[:, 1] - centre, np.abs(v[:, 0]))
        radius = np.hypot(v[:, 0], v[:, 1] - centre)
        curve = []
        for a in np.linspace(np.arctan2(self.eye_level + 1 - centre, 72.0), -np.pi / 2, 121):
            sector = allowed & (np.abs(angle - a) < np.deg2rad(1.6))
            sides = [np.flatnonzero(sector & (sign * v[:, 0] > -1e-3)) for sign in (-1, 1)]
            ends = np.array([v[side[np.argmax(radius[side])]] for side in sides])
            curve.append([np.abs(ends[:, 0]).mean(), *ends[:, 1:].mean(0)])
        curve = np.array(curve)
        curve[-1, 0] = 0
        smooth = gaussian_filter1d(curve, 2, axis=0, mode="nearest")
        smooth[[0, -1]] = curve[[0, -1]]
        for k, point in enumerate(resample(smooth, 9)):
            self.found[k], self.found[16 - k] = self.nearest(point * [-1, 1, 1]), self.nearest(point)
        height = np.abs(v[self.midline, 1] - (chin + 1.5))
        self.found[8] = self.midline[np.argmin(height + 100 * (v[self.midline, 2] < lip_base[2] - 25))]


def at_level(
    landmarks: np.ndarray, vertices: np.ndarray, n_vertices: int, teeth_and_eyes: np.ndarray
) -> np.ndarray:
    """Find the landmarks of a coarse level, whose vertices are the first of the fine one.

    Args:
        landmarks: (68,) vertices of the fine level.
        vertices: (V, 3) mm, of the fine level.
        n_vertices: Number of vertices of the coarse level.
        teeth_and_eyes: (V,) bool, vertices that are no landmark.

    Returns:
        (68,) the nearest vertex of the coarse level to each landmark, all different.
    """
    allowed = np.flatnonzero(~teeth_and_eyes[:n_vertices])
    distance = cdist(vertices[landmarks], vertices[allowed])
    return allowed[linear_sum_assignment(distance**2)[1]]
