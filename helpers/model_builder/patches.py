"""Geometry that the cropped skin does not have: eyeballs, mouth floor, upper teeth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# Rings of the eyeball, by the angle that each makes with the gaze as seen from the ball's centre, in degrees. The
# widest lies behind the lids all the way round, so the lids slide over the ball and never change it.
EYE_ANGLES = (66.0, 44.0, 27.5, 18.0, 8.5)
EYE_RINGS = 2 + len(EYE_ANGLES)  # and the lid's edge, and the ball's point behind each of its vertices
MOUTH_RINGS = 4
# Widths of the upper teeth from the midline outwards, mm: incisors, canine, premolars (Wheeler's Dental Anatomy).
TOOTH_WIDTHS = (8.5, 6.5, 7.5, 7.0, 7.0)
TOOTH_EDGES = np.concatenate([[0.0], np.cumsum(TOOTH_WIDTHS)])  # along the arch, from the midline
TOOTH_DROP = (0.0, 0.9, 0.1, 0.9, 1.3)  # how much shorter each is than the central incisor, mm
TEETH_ROWS, TEETH_COLUMNS = 4, 4 * len(TOOTH_WIDTHS) + 1  # a column on each gap and one on each tooth
GUM_TOP, GUM_LINE, TOOTH_BULGE = 8.0, 4.3, 0.9  # mm: over the lip line, over the lip line, in depth
TOOTH_LENGTH = 9.8  # of the part that shows, mm
ARCH_DEPTH = 0.030  # of the dental arch, mm of depth for each mm² off the midline
EYEBALL = 0.86  # of MakeHuman's helper ball, which is larger than the eye that shows
# mm of the ball's centre over the middle of the lid opening: the upper lid covers more of the iris.
EYE_RAISED = 0.35
LID_THICKNESS = 0.45  # mm between eyeball and lid edge
MOUTH_DEPTH = 16.0  # mm from the inner loop back to the mouth's floor


@dataclass(frozen=True)
class Patch:
    """A disc of quads inside a loop.

    Attributes:
        rings: (n,) vertex numbers of each ring, from the loop inwards.
        centre: Vertex number of the middle.
    """

    rings: tuple[np.ndarray, ...]
    centre: int

    @property
    def new_vertices(self) -> np.ndarray:
        """Vertex numbers of all but the loop itself."""
        return np.concatenate([*self.rings[1:], [self.centre]])

    @property
    def ball(self) -> np.ndarray:
        """Vertex numbers of an eye's ball, without the strip between it and the lids."""
        return np.concatenate([*self.rings[2:], [self.centre]])


def disc(rim: np.ndarray, rings: int, first: int) -> tuple[Patch, np.ndarray]:
    """Fill a loop with rings of quads.

    Args:
        rim: (n,) vertex numbers of the loop, n even.
        rings: Number of rings, the loop included.
        first: Number of the first new vertex.

    Returns:
        The patch, and its quads (Q, 4).
    """
    n = len(rim)
    loops = [rim] + [first + k * n + np.arange(n) for k in range(rings - 1)]
    centre = first + (rings - 1) * n
    quads = [np.stack([a, np.roll(a, -1), np.roll(b, -1), b], axis=1) for a, b in pairwise(loops)]
    last = loops[-1]
    quads.append(np.stack([last[0::2], last[1::2], np.roll(last, -2)[0::2], np.full(n // 2, centre)], axis=1))
    return Patch(tuple(loops), centre), np.concatenate(quads)


def strip(first: int) -> tuple[np.ndarray, np.ndarray]:
    """Make the grid of the teeth.

    Args:
        first: Number of the first vertex.

    Returns:
        Vertex numbers (rows, columns), top row and viewer's left first, and their quads (Q, 4).
    """
    grid = first + np.arange(TEETH_ROWS * TEETH_COLUMNS).reshape(TEETH_ROWS, TEETH_COLUMNS)
    quads = np.stack([grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:], grid[:-1, :-1]], axis=-1)
    return grid, quads.reshape(-1, 4)


def helper_ball(ball: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take centres (n, 3) and radii (n,) mm of eyes from MakeHuman's helper balls (n, 72, 3) mm."""
    centre = ball.mean(1)
    return centre, EYEBALL * np.linalg.norm(ball - centre[:, None], axis=2).mean(1)


def placed_ball(points: np.ndarray, patch: Patch) -> tuple[np.ndarray, np.ndarray]:
    """Find where the eyes of heads (n, N, 3) mm were placed: their points in front (n, 3) and radii (n,) mm."""
    widest = points[:, patch.rings[2]]
    circle = np.linalg.norm(widest - widest.mean(1, keepdims=True), axis=2).mean(1)
    return points[:, patch.centre], circle / np.sin(np.deg2rad(EYE_ANGLES[0]))


def fill_eye(points: np.ndarray, patch: Patch, centre: np.ndarray, radius: np.ndarray) -> None:
    """Place an eye patch: a ball behind the lids, in rings about the straight gaze.

    The ball is moved in height to the lid opening, and in depth so that the middle of the lid edge lies just outside.

    Args:
        points: (n, N, 3) mm; those of the patch are written.
        patch: The eye.
        centre: (n, 3) mm, of the ball; only x stays.
        radius: (n,) mm.
    """
    centre, radius = centre.copy(), radius[:, None]
    rim = points[:, patch.rings[0]] - centre[:, None]
    middle = np.abs(rim[..., 0]).mean(0) < 6.5
    upper = rim[..., 1].mean(0) > rim[:, :, 1].mean()
    opening = (rim[:, middle & upper, 1].mean(1) + rim[:, middle & ~upper, 1].mean(1)) / 2
    centre[:, 1] += opening + EYE_RAISED
    rim = points[:, patch.rings[0]] - centre[:, None]
    sphere = np.sqrt(np.maximum((radius + LID_THICKNESS) ** 2 - rim[..., 0] ** 2 - rim[..., 1] ** 2, 4.0))
    centre[:, 2] += (rim[..., 2] - sphere)[:, middle].mean(1)
    rim = points[:, patch.rings[0]] - centre[:, None]
    points[:, patch.rings[1]] = centre[:, None] + rim * (radius / np.linalg.norm(rim, axis=2))[..., None]
    turn = around(patch, rim.mean(0))
    for angle, ring in zip(np.deg2rad(EYE_ANGLES), patch.rings[2:], strict=True):
        circle = np.sin(angle) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        direction = np.column_stack([circle, np.full(len(ring), np.cos(angle))])
        points[:, ring] = centre[:, None] + radius[..., None] * direction.astype(points.dtype)
    points[:, patch.centre] = centre
    points[:, patch.centre, 2] += radius[:, 0]


def around(patch: Patch, rim: np.ndarray) -> np.ndarray:
    """Spread a ring's vertices evenly about the gaze, each near the direction of its lid vertex.

    Args:
        patch: The eye.
        rim: (n, 3) mm, the lid's edge seen from the ball's centre.

    Returns:
        (n,) radians.
    """
    at = np.unwrap(np.arctan2(rim[:, 1], rim[:, 0]))
    n = len(patch.rings[0])
    step = np.sign(at[-1] - at[0]) * 2 * np.pi / n * np.arange(n)
    return step + (at - step).mean()


def fill_mouth(points: np.ndarray, patch: Patch) -> None:
    """Draw the mouth's inner loop to its middle and back, behind the teeth: writes into `points` (n, N, 3) mm."""
    rim = points[:, patch.rings[0]]
    middle = np.abs(rim[..., 0]).mean(0) < 3
    centre = rim[:, middle].mean(1)
    for k, ring in enumerate(patch.rings[1:], start=1):
        t = k / len(patch.rings)
        points[:, ring] = (1 - t) * rim + t * centre[:, None]
        points[:, ring, 2] -= MOUTH_DEPTH * np.sqrt(t)
    points[:, patch.centre] = centre
    points[:, patch.centre, 2] -= MOUTH_DEPTH


def place_teeth(points: np.ndarray, teeth: np.ndarray, upper_lip: np.ndarray) -> None:
    """Hang the upper teeth and their gum behind the upper lip, a strip along the dental arch.

    They keep the size of real teeth whatever the mouth's width. Expressions leave them alone, as the upper jaw is
    part of the skull.

    Args:
        points: (n, N, 3) mm; those of the teeth are written.
        teeth: (rows, columns) vertex numbers.
        upper_lip: Vertex numbers of the lip's edge from corner to corner.
    """
    edge = points[:, upper_lip]
    middle = edge[:, len(upper_lip) // 2]
    along, shorter, bulge = teeth_columns()
    # From length along the parabola z = −a x² to x, by its own integral.
    fine = np.linspace(0, np.abs(along).max(), 400)
    length = np.concatenate([[0], np.cumsum(np.hypot(1, 2 * ARCH_DEPTH * fine[1:]) * np.diff(fine))])
    across = np.sign(along) * np.interp(np.abs(along), length, fine)
    line = GUM_LINE - 0.5 * shorter + 0.8 * (bulge - 0.5)  # the gum's edge is an arc over each tooth
    tip = GUM_LINE - TOOTH_LENGTH + shorter
    heights = [np.full_like(across, GUM_TOP), line, 0.45 * line + 0.55 * tip, tip]
    for row, height, depth in zip(teeth, heights, (0.2, 0.3, 1.0, 0.6), strict=True):
        points[:, row, 0] = middle[:, 0, None] + across
        points[:, row, 1] = middle[:, 1, None] + height
        points[:, row, 2] = middle[:, 2, None] - 9.5 - ARCH_DEPTH * across**2 + TOOTH_BULGE * depth * bulge


def teeth_columns() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay the columns of the strip on gaps and middles of teeth.

    Returns:
        Three arrays (columns,): length along the arch from the midline, mm; how much shorter the tooth is there
        than a central incisor, mm; and 0 on a gap, 1 on the middle of a tooth.
    """
    middles = (TOOTH_EDGES[:-1] + TOOTH_EDGES[1:]) / 2
    drop = np.array(TOOTH_DROP)
    between = (
        np.concatenate([[drop[0]], (drop[:-1] + drop[1:]) / 2, [drop[-1]]]) + 0.6
    )  # the corners are rounded
    half = np.empty(2 * len(drop) + 1), np.empty(2 * len(drop) + 1)
    half[0][0::2], half[0][1::2] = TOOTH_EDGES, middles
    half[1][0::2], half[1][1::2] = between, drop
    along = np.concatenate([-half[0][:0:-1], half[0]])
    shorter = np.concatenate([half[1][:0:-1], half[1]])
    return along, shorter, (np.arange(len(along)) % 2 != 0).astype(float)
