"""Where on the face each pigment, hair and shade may lie: smooth maps over the fine mean mesh.

Every length stands in one table below, in mm, named. None was measured on people: they were set by eye, on pictures
of the built model, unless a comment names another source.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from helpers.model_builder.template import Template


@dataclass(frozen=True)
class Bump:
    """A smooth spot on the face, the same on both sides.

    Attributes:
        anchor: Name of the point that it follows, see `anchors`.
        offset: From there to its middle, mm: away from the midline, up, forward.
        radii: Of the ellipsoid where it has fallen to 1/e, mm, along the same axes.
    """

    anchor: str
    offset: tuple[float, float, float]
    radii: tuple[float, float, float]


# Zones that may be darker or redder than the rest.
ZONES = {
    "cheek": Bump("eye level", (40, -28, 30), (18, 16, 30)),
    "nose": Bump("nose tip", (0, 0, -6), (14, 13, 18)),
    "bridge": Bump("eye level", (0, -8, 48), (8, 16, 14)),
    "chin": Bump("chin", (0, 10, 4), (16, 13, 20)),
    "forehead": Bump("eye level", (0, 48, 30), (42, 26, 50)),
    "temple": Bump("eye level", (62, 18, 0), (14, 22, 25)),
    "under_eye": Bump("eye", (-3, -10.5, 30), (13, 5.5, 14)),
    "upper_lid": Bump("eye", (0, 7.5, 30), (14, 5, 14)),
    "nose_fold": Bump("nose base level", (25, -6, 38), (8, 12, 15)),
    "glabella": Bump("eye level", (0, 18, 42), (10, 9, 12)),
    "around_mouth": Bump("mouth level", (0, 0, 45), (30, 17, 26)),
}
# Hair of men's faces.
MOUSTACHE = Bump("upper lip level", (0, 0, 45), (24, 5.5, 20))
BEARD_CHIN = Bump("lower lip level", (0, -14, 20), (46, 22, 60))
BEARD_JAW = Bump("lower lip level", (48, -8, -10), (16, 28, 40))
BEARD_THROAT = Bump("chin level", (18, -5, 0), (34, 14, 40))
BARE_UNDER_LIP = Bump("lower lip level", (0, -3, 40), (9, 3.5, 12))  # the beard is thin here
NOSTRIL = Bump("nose base", (8, 4, -6), (13, 9, 14))

# Lengths, mm. A softness is how far it takes a soft edge to rise by a factor e.
BEARD_SOFTNESS = 2.5  # of the beard's upper edge, at the base of the nose
NECK_BELOW_CHIN, NECK_SOFTNESS = 4.0, 4.0
HAIRLINE_OVER_EYES, HAIRLINE_SOFTNESS = 64.0, 10.0
SIDE_HAIR_OVER_EYES, SIDE_HAIR_BEHIND, SIDE_HAIR_SOFTNESS = 8.0, 18.0, 9.0  # behind: of the model's origin
IRIS_RAISED = 0.6  # the upper lid covers a little of the iris
UPPER_LID_BELOW_EYES = 1.0  # lid edges down to here are of the upper lid
EYE_CORNER_REACH = {39: 4.0, 42: 4.0, 36: 2.5, 45: 2.5}  # of the red about a corner, by its landmark
TOOTH_WIDTH = 8.0  # an upper central incisor is 8 to 9 mm wide
STRAND_WAVELENGTH = 4.5  # of the pattern of single hairs
BROW_DEPTH = 26.0  # what lies farther from a brow's own depth is not brow
FAR = 99.0  # beyond the reach of every map

# Shares, without a unit.
TOOTH_GAP = 0.07  # of a tooth's width
BROW_START = 0.08  # of the brow's length, from its innermost landmark outwards
NOSTRIL_EXPOSURE, NOSTRIL_RAMP = 0.42, 0.25  # what sees less of the sky may be a nostril
STRANDS = 200  # waves
# wavelength mm, number of waves, share of waves that are left-right symmetric, amplitude
BLOTCHES = ((90, 18, 0.6, 1.0), (45, 30, 0.5, 0.6), (22, 44, 0.3, 0.36), (11, 40, 0.1, 0.22))


def blob(points: np.ndarray, centre: ArrayLike, radii: ArrayLike) -> np.ndarray:
    """Make a Gaussian bump.

    Args:
        points: (V, 3) mm.
        centre: (3,) mm.
        radii: (3,) mm, of the ellipsoid.

    Returns:
        (V,): 1 at the centre and 1/e at the ellipsoid's surface.
    """
    return np.exp(-(((points - np.asarray(centre)) / np.asarray(radii)) ** 2).sum(-1))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Compute 1 / (1 + e^−x) without overflow."""
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


def closed_polyline(points: np.ndarray, parts: int = 5) -> np.ndarray:
    """Take points along the closed curve through `points` (n, 3): (n·parts, 3)."""
    step = np.roll(points, -1, axis=0) - points
    return np.concatenate([points + step * t for t in np.arange(parts) / parts])


def along_curve(points: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure where points lie beside a polyline.

    Args:
        points: (V, 2) mm.
        curve: (m, 2) mm.

    Returns:
        Signed distance above the curve, mm, and position along it from 0 to 1, both (V,).
    """
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
    """Where on the face each pigment, hair and shade may lie. All maps are (V,).

    Attributes:
        zone: Bumps by name, 0 to 1.
        brows: For each side, distance above the brow's line (mm) and position along it (0 to 1).
        lips: Weight, 0 to 1.
        mouth: Weight of the cavity, 0 to 1.
        teeth: Weight, 0 to 1.
        tooth_gap: Weight of the gaps between teeth, 0 to 1.
        eye: Bool.
        iris_radius: mm from the middle of the iris; large elsewhere.
        iris_angle: Radians around it.
        lid_distance: mm from the lid edge.
        upper_lid: Bool, whether that edge is of the upper lid.
        eye_corner: Weight, 0 to 1.
        beard: Weight, 0 to 1.
        moustache: Weight, 0 to 1.
        hairline: Weight, 0 to 1.
        seam_distance: mm from the line between the lips.
        nostril: Weight, 0 to 1.
        exposure: Share of the sky that a vertex sees, 0 to 1.
        strands: Fine noise of about unit size, for single hairs.
        waves: (W, V) bank of cosines for blotches.
        wave_size: (W,) their amplitudes.
    """

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
        """Measure the distance from the nearer brow's line: (V,) mm."""
        return np.min([np.abs(d) for d, _ in self.brows], axis=0)

    def blotches(self, rng: np.random.Generator) -> np.ndarray:
        """Draw smooth noise (V,) of about unit size: random weights on a fixed bank of waves."""
        return (rng.normal(0, 1, len(self.wave_size)) * self.wave_size).astype(np.float32) @ self.waves


def skin_maps(
    template: Template, parts: dict, vertices: np.ndarray, landmarks: np.ndarray, exposure: np.ndarray
) -> SkinMaps:
    """Place the maps by landmarks.

    Args:
        template: The control mesh.
        parts: As `regions.anatomy` finds them.
        vertices: (V, 3) mm, the mean face.
        landmarks: (68,) vertex numbers.
        exposure: (V,) share of the sky that a vertex sees, 0 to 1.

    Returns:
        The maps.
    """
    v, mark = vertices, vertices[landmarks]
    x, y, z = v.T
    folded = np.column_stack([np.abs(x), y, z])  # for maps that are the same on both sides
    eye_y, nose_base_y, chin_y = mark[36:48, 1].mean(), mark[33, 1], mark[8, 1]
    points = anchors(mark)

    def spot(bump: Bump) -> np.ndarray:
        return blob(folded, points[bump.anchor] + np.array(bump.offset), bump.radii)

    ears = np.clip(parts["ears"] * 1.1, 0, 1)
    zone = {name: spot(bump) for name, bump in ZONES.items()}
    zone |= {"ears": ears, "neck": sigmoid(-(y - (chin_y - NECK_BELOW_CHIN)) / NECK_SOFTNESS)}
    lips = np.clip(parts["lips"] * 1.15, 0, 1)
    moustache = spot(MOUSTACHE)
    beard = moustache + spot(BEARD_CHIN)
    beard += 0.9 * spot(BEARD_JAW) + 0.7 * spot(BEARD_THROAT)
    beard = np.clip(beard, 0, 1) * (1 - lips) * (1 - 0.5 * spot(BARE_UNDER_LIP))
    beard *= sigmoid(-(y - nose_base_y) / BEARD_SOFTNESS) * (1 - ears)

    iris_radius, iris_angle = np.full(len(v), FAR), np.zeros(len(v))
    rims = []
    for eye in template.eyes:
        centre = v[eye.centre] + [0, IRIS_RAISED, 0]
        mine = (parts["eyes"] > 0) & (np.sign(x) == np.sign(centre[0]))
        iris_radius[mine] = np.hypot(x - centre[0], y - centre[1])[mine]
        iris_angle[mine] = np.arctan2(y - centre[1], x - centre[0])[mine]
        rims.append(closed_polyline(v[eye.rings[0]]))
    rims = np.concatenate(rims)
    lid_distance, nearest = KDTree(rims).query(v)
    seam_distance = KDTree(closed_polyline(v[template.seam])).query(v)[0]
    top_hair = (y - (eye_y + HAIRLINE_OVER_EYES)) / HAIRLINE_SOFTNESS
    behind, above = -(z + SIDE_HAIR_BEHIND), y - eye_y - SIDE_HAIR_OVER_EYES
    hair = np.maximum(top_hair, np.minimum(behind / SIDE_HAIR_SOFTNESS, above / SIDE_HAIR_SOFTNESS))
    rng = np.random.default_rng(123)
    wave_vectors = rng.normal(0, 2 * np.pi / STRAND_WAVELENGTH, (STRANDS, 3))
    phases = rng.uniform(0, 2 * np.pi, STRANDS)
    strands = np.cos(v @ wave_vectors.T + phases).sum(1) / np.sqrt(STRANDS / 2)  # of unit size
    waves, wave_size = blotch_bank(v, folded, rng)
    brow_lines = [brow_arc(mark[17:22][::-1]), brow_arc(mark[22:27])]
    teeth = parts["teeth"]
    middle = v[template.teeth[0, template.teeth.shape[1] // 2], 0]
    from_gap = ((x - middle) / TOOTH_WIDTH + 0.5) % 1 - 0.5  # in widths of a tooth
    return SkinMaps(
        zone=zone,
        brows=[brow_line(v, line) for line in brow_lines],
        lips=lips,
        mouth=parts["mouth_interior"] * (1 - teeth),
        teeth=teeth,
        tooth_gap=np.exp(-((from_gap / TOOTH_GAP) ** 2)) * teeth,
        eye=parts["eyes"] > 0,
        iris_radius=iris_radius,
        iris_angle=iris_angle,
        lid_distance=lid_distance,
        upper_lid=rims[nearest, 1] > eye_y - UPPER_LID_BELOW_EYES,
        eye_corner=np.max(
            [np.exp(-((np.linalg.norm(v - mark[i], axis=1) / r) ** 2)) for i, r in EYE_CORNER_REACH.items()],
            axis=0,
        ),
        beard=beard,
        moustache=moustache * (1 - lips),
        hairline=sigmoid(2 * hair) * (1 - ears),
        seam_distance=seam_distance,
        nostril=np.clip((NOSTRIL_EXPOSURE - exposure) / NOSTRIL_RAMP, 0, 1) * spot(NOSTRIL),
        exposure=exposure,
        strands=strands,
        waves=waves,
        wave_size=wave_size,
    )


def anchors(mark: np.ndarray) -> dict[str, np.ndarray]:
    """List the points that bumps follow: landmarks, or a height on the midline in the plane z = 0.

    Args:
        mark: (68, 3) mm, the landmarks of the mean face.

    Returns:
        Name to point (3,) mm.
    """
    eye_x, eye_y = np.abs(mark[36:42, 0].mean()), mark[36:48, 1].mean()
    levels = {
        "eye level": eye_y,
        "nose base level": mark[33, 1],
        "upper lip level": (mark[33, 1] + mark[51, 1]) / 2,  # between nose and lip
        "mouth level": mark[62, 1],
        "lower lip level": mark[57, 1],
        "chin level": mark[8, 1],
    }
    points = {
        "eye": np.array([eye_x, eye_y, 0]),
        "nose tip": mark[30],
        "nose base": mark[33],
        "chin": mark[8],
    }
    return points | {name: np.array([0, height, 0]) for name, height in levels.items()}


def brow_arc(marks: np.ndarray, n: int = 12) -> np.ndarray:
    """Lay a smooth arc through the landmarks of a brow: a parabola over x.

    It starts a little outside the innermost landmark, where the brow's hair does.

    Args:
        marks: (5, 3) mm, nose side first.
        n: Number of points.

    Returns:
        (n, 3) mm.
    """
    x = np.linspace((1 - BROW_START) * marks[0, 0] + BROW_START * marks[-1, 0], marks[-1, 0], n)
    y, z = (np.polyval(np.polyfit(marks[:, 0], marks[:, k], 2), x) for k in (1, 2))
    return np.column_stack([x, y, z])


def brow_line(vertices: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure the distance (V,) mm above a brow's line (n, 3), from the nose outwards, and the position (V,) along it."""
    distance, position = along_curve(vertices[:, :2], line[:, :2])
    behind = np.abs(vertices[:, 2] - line[:, 2].mean()) > BROW_DEPTH
    return np.where(behind, FAR, distance), position


def blotch_bank(
    vertices: np.ndarray, folded: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Make random cosines (W, V) and their amplitudes (W,)."""
    waves, size = [], []
    for wavelength, count, symmetric, amplitude in BLOTCHES:
        for _ in range(count):
            direction, phase = rng.normal(0, 2 * np.pi / wavelength / 1.5, 3), rng.uniform(0, 2 * np.pi)
            points = folded if rng.random() < symmetric else vertices
            waves.append(np.cos(points @ direction + phase))
            size.append(amplitude)
    return np.array(waves, np.float32), np.array(size) / np.sqrt(26)
