"""Geometry that the cropped skin does not have: eyeballs, mouth floor, upper teeth."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

EYE_RINGS = 6
MOUTH_RINGS = 4
TEETH_ROWS, TEETH_COLUMNS = 4, 13
EYEBALL = 0.86  # of MakeHuman's helper ball, which is larger than the eye that shows
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


def fill_eye(points: np.ndarray, patch: Patch, ball: np.ndarray) -> None:
    """Place an eye patch on a sphere behind the lids.

    The sphere is moved in depth so that the middle of the lid edge lies just outside it.

    Args:
        points: (n, N, 3) mm; those of the patch are written.
        patch: The eye.
        ball: (n, 72, 3) mm, MakeHuman's helper eye.
    """
    centre = ball.mean(1)
    radius = EYEBALL * np.linalg.norm(ball - centre[:, None], axis=2).mean(1)[:, None]

    def sphere_depth(x, y, r=radius):
        return np.sqrt(np.maximum(r**2 - x**2 - y**2, 4.0))

    rim = points[:, patch.rings[0]] - centre[:, None]
    middle = np.abs(rim[..., 0]) < 6.5
    shift = (rim[..., 2] - sphere_depth(rim[..., 0], rim[..., 1], radius + LID_THICKNESS)) * middle
    centre[:, 2] += shift.sum(1) / middle.sum(1)
    rim = points[:, patch.rings[0]] - centre[:, None]
    gap = rim[..., 2] - sphere_depth(rim[..., 0], rim[..., 1])  # how far the lid edge stands off the sphere
    for k, ring in enumerate(patch.rings[1:], start=1):
        t = k / len(patch.rings)
        x, y = (1 - t) * rim[..., 0], (1 - t) * rim[..., 1]
        z = sphere_depth(x, y) + max(0, 1 - 1.6 * t) ** 2 * gap
        points[:, ring] = np.stack([x, y, z], axis=-1) + centre[:, None]
    points[:, patch.centre] = centre
    points[:, patch.centre, 2] += radius[:, 0]


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
    """Hang a curved strip behind the upper lip.

    It keeps the size of real teeth whatever the mouth's width. Expressions leave it alone, as the upper jaw is
    part of the skull.

    Args:
        points: (n, N, 3) mm; those of the teeth are written.
        teeth: (rows, columns) vertex numbers.
        upper_lip: Vertex numbers of the lip's edge from corner to corner.
    """
    edge = points[:, upper_lip]
    middle = edge[:, len(upper_lip) // 2]
    across = np.linspace(-19, 19, TEETH_COLUMNS)
    drop = np.linspace(4.0, -5.5, TEETH_ROWS)
    for row, dy in zip(teeth, drop, strict=True):
        points[:, row, 0] = middle[:, 0, None] + across
        points[:, row, 1] = middle[:, 1, None] + dy + 0.004 * across**2
        points[:, row, 2] = middle[:, 2, None] - 9.0 - 0.036 * across**2
