"""Where on the face each pigment, hair and shade may lie: smooth maps over the fine mean mesh."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial import cKDTree

from helpers.model_builder.template import Template

# wavelength mm, number of waves, share of waves that are left-right symmetric, amplitude
BLOTCHES = ((90, 18, 0.6, 1.0), (45, 30, 0.5, 0.6), (22, 44, 0.3, 0.36), (11, 40, 0.1, 0.22))


def blob(points: np.ndarray, centre, radii) -> np.ndarray:
    """(V,) Gaussian bump with value 1 at `centre` and 1/e at the ellipsoid's surface."""
    return np.exp(-(((points - np.asarray(centre)) / np.asarray(radii)) ** 2).sum(-1))


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


def closed_polyline(points: np.ndarray, parts: int = 5) -> np.ndarray:
    """Points along the closed curve through `points` (n, 3): (n·parts, 3)."""
    step = np.roll(points, -1, axis=0) - points
    return np.concatenate([points + step * t for t in np.arange(parts) / parts])


def along_curve(points: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed distance above the xy-polyline (m, 2) and position along it from 0 to 1, both (V,)."""
    step = np.diff(curve, axis=0)
    length = np.linalg.norm(step, axis=1)
    start = np.r_[0, np.cumsum(length)]
    offset = points[:, None] - curve[:-1]
    t = np.clip((offset * step).sum(-1) / length**2, 0, 1)
    distance = np.linalg.norm(offset - t[..., None] * step, axis=-1)
    nearest = distance.argmin(1)
    row = np.arange(len(points))
    above = step[nearest, 0] * offset[row, nearest, 1] - step[nearest, 1] * offset[row, nearest, 0]
    sign = np.where(above * np.sign(curve[-1, 0] - curve[0, 0]) >= 0, 1.0, -1.0)
    position = (start[nearest] + t[row, nearest] * length[nearest]) / start[-1]
    return distance[row, nearest] * sign, position


@dataclass
class SkinMaps:
    """All maps are (V,). `zone` holds bumps by name; brows: (distance above the brow line, position) a side."""

    zone: dict[str, np.ndarray]
    brows: list[tuple[np.ndarray, np.ndarray]]
    lips: np.ndarray
    mouth: np.ndarray
    teeth: np.ndarray
    tooth_gap: np.ndarray
    eye: np.ndarray
    iris_radius: np.ndarray
    iris_angle: np.ndarray
    lid_distance: np.ndarray
    upper_lid: np.ndarray
    eye_corner: np.ndarray
    beard: np.ndarray
    moustache: np.ndarray
    hairline: np.ndarray
    seam_distance: np.ndarray
    nostril: np.ndarray
    exposure: np.ndarray
    strands: np.ndarray
    waves: np.ndarray = field(repr=False)
    wave_size: np.ndarray = field(repr=False)

    def brow_distance(self) -> np.ndarray:
        return np.min([np.abs(d) for d, _ in self.brows], axis=0)

    def blotches(self, rng: np.random.Generator) -> np.ndarray:
        """(V,) smooth noise of about unit size: random weights on a fixed bank of waves."""
        return (rng.normal(0, 1, len(self.wave_size)) * self.wave_size).astype(np.float32) @ self.waves


def skin_maps(
    template: Template, parts: dict, vertices: np.ndarray, landmarks: np.ndarray, exposure: np.ndarray
) -> SkinMaps:
    """Place the maps by landmarks. exposure: (V,) 0–1, the share of the sky that a vertex sees."""
    v, mark = vertices, vertices[landmarks]
    x, y, z = v.T
    folded = np.column_stack([np.abs(x), y, z])  # for maps that are the same on both sides
    eye_x, eye_y = np.abs(mark[36:42, 0].mean()), mark[36:48, 1].mean()
    nose, base, lip, chin = mark[30], mark[33], mark[57], mark[8]
    ears = np.clip(parts["ears"] * 1.1, 0, 1)
    zone = {
        "cheek": blob(folded, [40, eye_y - 28, 30], [18, 16, 30]),
        "nose": blob(folded, nose - [0, 0, 6], [14, 13, 18]),
        "bridge": blob(folded, [0, eye_y - 8, 48], [8, 16, 14]),
        "chin": blob(folded, chin + [0, 10, 4], [16, 13, 20]),
        "forehead": blob(folded, [0, eye_y + 48, 30], [42, 26, 50]),
        "temple": blob(folded, [62, eye_y + 18, 0], [14, 22, 25]),
        "under_eye": blob(folded, [eye_x - 3, eye_y - 10.5, 30], [13, 5.5, 14]),
        "upper_lid": blob(folded, [eye_x, eye_y + 7.5, 30], [14, 5, 14]),
        "nose_fold": blob(folded, [25, base[1] - 6, 38], [8, 12, 15]),
        "glabella": blob(folded, [0, eye_y + 18, 42], [10, 9, 12]),
        "around_mouth": blob(folded, [0, mark[62, 1], 45], [30, 17, 26]),
        "ears": ears,
        "neck": sigmoid(-(y - (chin[1] - 4)) / 4),
    }
    lips = np.clip(parts["lips"] * 1.15, 0, 1)
    between = (base[1] + mark[51, 1]) / 2
    moustache = blob(folded, [0, between, 45], [24, 5.5, 20])
    beard = moustache + blob(folded, [0, lip[1] - 14, 20], [46, 22, 60])
    beard += 0.9 * blob(folded, [48, lip[1] - 8, -10], [16, 28, 40]) + 0.7 * blob(
        folded, [18, chin[1] - 5, 0], [34, 14, 40]
    )
    beard = np.clip(beard, 0, 1) * (1 - lips) * (1 - 0.5 * blob(folded, [0, lip[1] - 3, 40], [9, 3.5, 12]))
    beard *= sigmoid(-(y - base[1]) / 2.5) * (1 - ears)

    iris_radius, iris_angle = np.full(len(v), 99.0), np.zeros(len(v))
    rims = []
    for eye in template.eyes:
        centre = v[eye.centre] + [0, 0.6, 0]  # the upper lid covers a little of the iris
        mine = (parts["eyes"] > 0) & (np.sign(x) == np.sign(centre[0]))
        iris_radius[mine] = np.hypot(x - centre[0], y - centre[1])[mine]
        iris_angle[mine] = np.arctan2(y - centre[1], x - centre[0])[mine]
        rims.append(closed_polyline(v[eye.rings[0]]))
    rims = np.concatenate(rims)
    lid_distance, nearest = cKDTree(rims).query(v)
    corners = [(39, 4.0), (42, 4.0), (36, 2.5), (45, 2.5)]
    seam_distance = cKDTree(closed_polyline(v[template.seam])).query(v)[0]
    hair = np.maximum((y - (eye_y + 64)) / 10, np.minimum(-(z + 18) / 9, (y - eye_y - 8) / 9))
    rng = np.random.default_rng(123)
    wave_vectors = rng.normal(0, 2 * np.pi / 4.5, (200, 3))
    strands = np.cos(v @ wave_vectors.T + rng.uniform(0, 2 * np.pi, 200)).sum(1) / 10
    waves, wave_size = blotch_bank(v, folded, rng)
    brow_lines = [brow_arc(mark[17:22][::-1]), brow_arc(mark[22:27])]
    teeth = parts["teeth"]
    middle = v[template.teeth[0, template.teeth.shape[1] // 2], 0]
    return SkinMaps(
        zone=zone,
        brows=[brow_line(v, line) for line in brow_lines],
        lips=lips,
        mouth=parts["mouth_interior"] * (1 - teeth),
        teeth=teeth,
        tooth_gap=np.exp(-(((((x - middle) / 8.0 + 0.5) % 1 - 0.5) / 0.07) ** 2)) * teeth,
        eye=parts["eyes"] > 0,
        iris_radius=iris_radius,
        iris_angle=iris_angle,
        lid_distance=lid_distance,
        upper_lid=rims[nearest, 1] > eye_y - 1,
        eye_corner=np.max(
            [np.exp(-((np.linalg.norm(v - mark[i], axis=1) / r) ** 2)) for i, r in corners], axis=0
        ),
        beard=beard,
        moustache=moustache * (1 - lips),
        hairline=sigmoid(2 * hair) * (1 - ears),
        seam_distance=seam_distance,
        nostril=np.clip((0.42 - exposure) / 0.25, 0, 1) * blob(folded, base + [8, 4, -6], [13, 9, 14]),
        exposure=exposure,
        strands=strands,
        waves=waves,
        wave_size=wave_size,
    )


def brow_arc(marks: np.ndarray, n: int = 12) -> np.ndarray:
    """A smooth arc (n, 3) through five brow landmarks, nose side first: a parabola over x.

    It starts a little outside the innermost landmark, where the brow's hair does.
    """
    x = np.linspace(0.92 * marks[0, 0] + 0.08 * marks[-1, 0], marks[-1, 0], n)
    y, z = (np.polyval(np.polyfit(marks[:, 0], marks[:, k], 2), x) for k in (1, 2))
    return np.column_stack([x, y, z])


def brow_line(vertices: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance above a brow's line (n, 3), from the nose outwards, and position along it."""
    distance, position = along_curve(vertices[:, :2], line[:, :2])
    behind = np.abs(vertices[:, 2] - line[:, 2].mean()) > 26
    return np.where(behind, 99.0, distance), position


def blotch_bank(
    vertices: np.ndarray, folded: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Random cosines (W, V) and their amplitudes (W,)."""
    waves, size = [], []
    for wavelength, count, symmetric, amplitude in BLOTCHES:
        for _ in range(count):
            direction, phase = rng.normal(0, 2 * np.pi / wavelength / 1.5, 3), rng.uniform(0, 2 * np.pi)
            points = folded if rng.random() < symmetric else vertices
            waves.append(np.cos(points @ direction + phase))
            size.append(amplitude)
    return np.array(waves, np.float32), np.array(size) / np.sqrt(26)
