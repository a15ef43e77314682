"""Where on the face each pigment, hair and shade may lie: smooth maps over the fine mean mesh.

Every length stands in one table below, in mm, named. None was measured on people: they were set by eye, on pictures
of the built model, unless a comment names another source.
"""

from __future__ import annotations

from collections.abc import Callable
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
MOUSTACHE = Bump("upper lip level", (0, 0, 45), (27, 7, 26))
GOATEE = Bump("chin", (0, 7, 2), (23, 17, 30))
BARE_UNDER_LIP = Bump(
    "lower lip level", (11, -3, 40), (7, 5, 14)
)  # beside the tuft under the lip the beard is thin
NOSTRIL = Bump("nose base", (8, 4, -6), (13, 9, 14))

# Lengths, mm. A softness is how far it takes a soft edge to rise by a factor e.
# The beard's upper edge: its height over the mouth at distances from the midline.
BEARD_EDGE = ((0, 18, 27, 38, 52, 62, 70, 80), (14, 13, 5, 1, 5, 18, 42, 58))
BEARD_SOFTNESS = 2.6
THROAT_BELOW_CHIN, THROAT_SOFTNESS = 14.0, 5.0  # where the beard ends on the throat, as seen on the midline
SIDEBURN_BEHIND, SIDEBURN_SOFTNESS = 32.0, 4.0  # behind the model's origin, where the ear begins
NECK_BELOW_CHIN, NECK_SOFTNESS = 4.0, 4.0
HAIRLINE_OVER_EYES, HAIRLINE_SOFTNESS = 64.0, 10.0
SIDE_HAIR_OVER_EYES, SIDE_HAIR_BEHIND, SIDE_HAIR_SOFTNESS = 8.0, 18.0, 9.0  # behind: of the model's origin
UPPER_LID_BELOW_EYES = 1.0  # lid edges down to here are of the upper lid
EYE_CORNER_REACH = {39: 3.6, 42: 3.6, 36: 2.0, 45: 2.0}  # of the red about a corner, by its landmark
STRAND_WAVELENGTH = 4.5  # of the pattern of single hairs
BROW_DEPTH = 26.0  # what lies farther from a brow's own depth is not brow
FAR = 99.0  # beyond the reach of every map
FOREHEAD_LINES = (27.0, 35.0, 43.5, 52.0)  # over the eyes
CREASE = 1.5  # half the width of a wrinkle's shade
CROWS_FEET = (-24.0, -4.0, 17.0, 36.0)  # degrees of each ray, outwards and up from the eye's corner
FRECKLE_SIZE, FRECKLES = 1.5, 420  # radius, and their number in each of the patterns
FRECKLE_PATTERNS = 3

# Shares, without a unit.
TOOTH_GAP = 0.42  # of half a tooth's width: the shade between two teeth
BROW_START = 0.08  # of the brow's length, from its innermost landmark outwards
NOSTRIL_EXPOSURE, NOSTRIL_RAMP = 0.42, 0.25  # what sees less of the sky may be a nostril
STRANDS = 200  # waves
# wavelength mm, number of waves, share of waves that are left-right symmetric, amplitude
BLOTCHES = ((110, 18, 1.0, 2.0), (55, 30, 0.8, 0.55), (22, 44, 0.3, 0.20), (9, 60, 0.1, 0.16))


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
        tongue: Weight, 0 to 1.
        teeth: Weight, 0 to 1.
        gum: Weight, 0 to 1.
        tooth_shade: Of the gaps between teeth and of the sides of the arch, 0 to 1.
        eye: Bool.
        ball: 1 on the eyeballs, less where they meet the lids.
        iris_radius: mm from the middle of the iris; large elsewhere.
        iris_angle: Radians around it.
        lid_distance: mm from the lid edge.
        upper_lid: Bool, whether that edge is of the upper lid.
        eye_corner: Weight, 0 to 1.
        beard: Weight of whiskers on jaw and cheeks, 0 to 1.
        goatee: The same of the chin.
        moustache: The same of the upper lip.
        hair_top: Height over the front hairline, in softnesses.
        hair_side: How far behind the hairline of the temples, in softnesses.
        seam_distance: mm from the line between the lips.
        nostril: Weight, 0 to 1.
        exposure: Share of the sky that a vertex sees, 0 to 1.
        wrinkles: Lines and folds of age by name, 0 to 1.
        freckles: (P, V) patterns of spots, 0 to 1.
        strands: Fine noise of about unit size, for single hairs.
        pores: Still finer noise of about unit size.
        tone_patch: Bool, cheeks and forehead, where the tone of skin is measured.
        waves: (W, V) bank of cosines for blotches.
        wave_size: (W,) their amplitudes.
    """

    zone: dict[str, np.ndarray]
    brows: list[tuple[np.ndarray, np.ndarray]]
    lips: np.ndarray
    mouth: np.ndarray
    tongue: np.ndarray
    teeth: np.ndarray
    gum: np.ndarray
    tooth_shade: np.ndarray
    eye: np.ndarray
    ball: np.ndarray
    iris_radius: np.ndarray
    iris_angle: np.ndarray
    lid_distance: np.ndarray
    upper_lid: np.ndarray
    eye_corner: np.ndarray
    beard: np.ndarray
    goatee: np.ndarray
    moustache: np.ndarray
    hair_top: np.ndarray
    hair_side: np.ndarray
    seam_distance: np.ndarray
    nostril: np.ndarray
    exposure: np.ndarray
    wrinkles: dict[str, np.ndarray]
    freckles: np.ndarray
    strands: np.ndarray
    pores: np.ndarray
    tone_patch: np.ndarray
    waves: np.ndarray = field(repr=False)
    wave_size: np.ndarray = field(repr=False)

    def hairline(self, up: float = 0.0, back: float = 0.0) -> np.ndarray:
        """Compute the weight (V,) of scalp hair, with the hairline moved up or back by some softnesses."""
        return sigmoid(2 * np.maximum(self.hair_top - up, self.hair_side - back)) * (1 - self.zone["ears"])

    def layers(self) -> dict[str, np.ndarray]:
        """Make the masks of hair that is a layer over the model's texture: name → (V,) 0 to 1."""
        thin = np.clip(0.9 + 0.1 * self.strands, 0, 1)
        hair = {"beard": self.beard, "goatee": self.goatee, "moustache": self.moustache}
        return {name: mask * thin for name, mask in hair.items()} | {"hairline": self.hairline()}

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
    eye_y, chin_y = mark[36:48, 1].mean(), mark[8, 1]
    points = anchors(mark)

    def spot(bump: Bump) -> np.ndarray:
        return blob(folded, points[bump.anchor] + np.array(bump.offset), bump.radii)

    ears = np.clip(parts["ears"] * 1.1, 0, 1)
    zone = {name: spot(bump) for name, bump in ZONES.items()}
    zone |= {"ears": ears, "neck": sigmoid(-(y - (chin_y - NECK_BELOW_CHIN)) / NECK_SOFTNESS)}
    lips = np.clip(parts["lips"] * 1.15, 0, 1)
    whiskers = whisker_maps(folded, mark, spot) * (1 - lips) * (1 - ears)

    iris_radius, iris_angle = np.full(len(v), FAR), np.zeros(len(v))
    rims = []
    for eye in template.eyes:
        centre = v[eye.centre]
        mine = (parts["ball"] > 1 - 1e-6) & (np.sign(x) == np.sign(centre[0]))
        iris_radius[mine] = np.hypot(x - centre[0], y - centre[1])[mine]
        iris_angle[mine] = np.arctan2(y - centre[1], x - centre[0])[mine]
        rims.append(closed_polyline(v[eye.rings[0]]))
    rims = np.concatenate(rims)
    lid_distance, nearest = KDTree(rims).query(v)
    seam_distance = KDTree(closed_polyline(v[template.seam])).query(v)[0]
    top_hair = (y - (eye_y + HAIRLINE_OVER_EYES)) / HAIRLINE_SOFTNESS
    behind, above = -(z + SIDE_HAIR_BEHIND), y - eye_y - SIDE_HAIR_OVER_EYES
    rng = np.random.default_rng(123)
    strands, pores = (
        noise(v, wavelength, rng) for wavelength in (STRAND_WAVELENGTH, STRAND_WAVELENGTH / 1.6)
    )
    waves, wave_size = blotch_bank(v, folded, rng)
    brow_lines = [brow_arc(mark[17:22][::-1]), brow_arc(mark[22:27])]
    teeth, cavity = parts["teeth"], parts["mouth_interior"] * (1 - parts["teeth"])
    tooth = parts["tooth_column"] - template.teeth.shape[1] // 2  # in half teeth; even numbers are gaps
    gap = np.clip(1 - np.abs(tooth - 2 * np.round(tooth / 2)) / TOOTH_GAP, 0, 1)
    corners = np.clip((np.abs(tooth) - 4.5) / 6, 0, 1)
    below = mark[62, 1] - y  # the line between the lips
    return SkinMaps(
        zone=zone,
        brows=[brow_line(v, line) for line in brow_lines],
        lips=lips,
        mouth=cavity,
        tongue=cavity * np.clip(below / 3, 0, 1) * (np.abs(x) < 16),
        teeth=teeth,
        gum=np.clip(1.25 - parts["tooth_row"], 0, 1) * teeth,
        tooth_shade=np.maximum(0.9 * gap, corners) * teeth,
        eye=parts["eyes"] > 0,
        ball=parts["ball"],
        iris_radius=iris_radius,
        iris_angle=iris_angle,
        lid_distance=lid_distance,
        upper_lid=rims[nearest, 1] > eye_y - UPPER_LID_BELOW_EYES,
        eye_corner=np.max(
            [np.exp(-((np.linalg.norm(v - mark[i], axis=1) / r) ** 2)) for i, r in EYE_CORNER_REACH.items()],
            axis=0,
        ),
        beard=whiskers[0],
        goatee=whiskers[1],
        moustache=whiskers[2],
        hair_top=top_hair,
        hair_side=np.minimum(behind / SIDE_HAIR_SOFTNESS, above / SIDE_HAIR_SOFTNESS),
        seam_distance=seam_distance,
        nostril=np.clip((NOSTRIL_EXPOSURE - exposure) / NOSTRIL_RAMP, 0, 1) * spot(NOSTRIL),
        exposure=exposure,
        wrinkles=wrinkle_maps(folded, mark),
        freckles=np.stack([freckle_map(v, zone, rng) for _ in range(FRECKLE_PATTERNS)]),
        strands=strands,
        pores=pores,
        tone_patch=(zone["cheek"] > 0.5) | ((zone["forehead"] > 0.6) & (top_hair < -1.8)),
        waves=waves,
        wave_size=wave_size,
    )


def noise(points: np.ndarray, wavelength: float, rng: np.random.Generator) -> np.ndarray:
    """Make fine noise (V,) of about unit size at points (V, 3) mm."""
    wave_vectors = rng.normal(0, 2 * np.pi / wavelength, (STRANDS, 3))
    phases = rng.uniform(0, 2 * np.pi, STRANDS)
    return np.cos(points @ wave_vectors.T + phases).sum(1) / np.sqrt(STRANDS / 2)


def whisker_maps(folded: np.ndarray, mark: np.ndarray, spot: Callable[[Bump], np.ndarray]) -> np.ndarray:
    """Lay out where whiskers grow.

    Args:
        folded: (V, 3) mm, with x as the distance from the midline.
        mark: (68, 3) mm, the landmarks of the mean face.
        spot: From a bump to its map (V,).

    Returns:
        (3, V) 0 to 1: jaw and cheeks with all that is below; chin; upper lip.
    """
    side, y, z = folded.T
    mouth, chin = mark[62, 1], mark[8]
    below_edge = np.interp(side, *BEARD_EDGE) + mouth - y
    above_throat = y - (chin[1] - THROAT_BELOW_CHIN) - 0.35 * np.clip(side - 20, 0, None)
    above_throat += 0.25 * np.clip(chin[2] - 30 - z, 0, None)  # the throat's edge climbs towards the ears
    in_front = z + SIDEBURN_BEHIND
    beard = sigmoid(below_edge / BEARD_SOFTNESS * 2) * sigmoid(above_throat / THROAT_SOFTNESS * 2)
    beard = beard * sigmoid(in_front / SIDEBURN_SOFTNESS * 2) * (1 - 0.75 * spot(BARE_UNDER_LIP))
    upper = np.clip(1.5 * spot(MOUSTACHE), 0, 1) * sigmoid((mark[33, 1] - 2 - y) / 1.2 * 2)
    goatee = np.clip(1.7 * spot(GOATEE), 0, 1) * beard
    under_nose = np.clip(1.6 * blob(folded, [0, mouth + 6, mark[51, 2]], [13, 12, 30]), 0, 1)
    return np.stack([beard * (1 - under_nose), goatee, upper])


def wrinkle_maps(folded: np.ndarray, mark: np.ndarray) -> dict[str, np.ndarray]:
    """Lay out the lines and folds of age.

    Args:
        folded: (V, 3) mm, with x as the distance from the midline.
        mark: (68, 3) mm, the landmarks of the mean face.

    Returns:
        Name → (V,) 0 to 1.
    """
    side, y, z = folded.T
    flat, eye_y = folded[:, :2], mark[36:48, 1].mean()
    front = z > mark[36:48, 2].mean() - 35

    def crease(points: list[tuple[float, float]], width: float) -> np.ndarray:
        distance, position = along_curve(flat, np.array(points))
        ends = np.clip(np.minimum(position, 1 - position) * 5, 0, 1)
        return np.exp(-((distance / width) ** 2)) * ends * front

    def waved(height: float, k: int) -> np.ndarray:
        return eye_y + height + 2.5 * np.cos(side / 17 + 0.8 * k) - 0.001 * side**2

    lines = [np.exp(-(((y - waved(h, k)) / CREASE) ** 2)) for k, h in enumerate(FOREHEAD_LINES)]
    corner = mark[45]
    away, angle = (
        np.hypot(side - corner[0], y - corner[1]),
        np.degrees(np.arctan2(y - corner[1], side - corner[0])),
    )
    rays = [
        np.exp(-((np.deg2rad(angle - a) * away / CREASE) ** 2)) * (np.abs(angle - a) < 60) for a in CROWS_FEET
    ]
    wing, mouth, eye = mark[35], mark[54], np.abs(mark[42:48]).mean(0)
    bag = [(eye[0] + dx, eye_y - dy) for dx, dy in ((-16, 7), (-9, 12), (0, 14.5), (9, 13), (15, 9))]
    fold = [(wing[0] + 5, wing[1] + 6), (wing[0] + 11, wing[1] - 4), (mouth[0] + 8, mouth[1] + 4)]
    fold += [(mouth[0] + 9, mouth[1] - 6)]
    marionette = [(mouth[0] + 2, mouth[1] - 3), (mouth[0] + 5, mouth[1] - 12), (mouth[0] + 5, mouth[1] - 22)]
    return {
        "forehead": np.max(lines, axis=0) * np.exp(-((side / 40) ** 4)) * front,
        "crows_feet": np.max(rays, axis=0)
        * np.clip((away - 3) / 4, 0, 1)
        * np.exp(-((away / 17) ** 4))
        * front,
        "nose_fold": crease(fold, 2.2),
        "marionette": crease(marionette, 2.2),
        "eye_bag": crease(bag, 1.8),
        "glabella": crease([(5.5, eye_y + 12), (5, eye_y + 20), (6.5, eye_y + 27)], CREASE),
    }


def freckle_map(points: np.ndarray, zone: dict[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Scatter spots of several sizes and strengths where the sun reaches: (V,) 0 to 1."""
    sun = np.clip(zone["cheek"] + zone["nose"] + zone["bridge"] + 0.3 * zone["forehead"] + 0.05, 0, 1)
    middles = points[rng.choice(len(points), FRECKLES, replace=False, p=sun / sun.sum())]
    distance, which = KDTree(middles).query(points)
    size, strength = FRECKLE_SIZE * rng.uniform(0.6, 1.4, FRECKLES), rng.uniform(0.3, 1, FRECKLES)
    return strength[which] * np.exp(-((distance / size[which]) ** 2))


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
