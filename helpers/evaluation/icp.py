"""Iterative closest points: move one surface onto another whose corresponding points are not known.

Guess the correspondences (the nearest places), solve for the motion, guess again (Besl and McKay 1992; with normals
Chen and Medioni 1992). Each round the squared sum can only fall, towards the nearest minimum, which need not be
the right one: the start decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.evaluation.surface import Nearest, Surface

DIRECTIONS = ("scan to model", "model to scan")
STEPS = ("plane", "point")
NEAREST = ("surface", "vertex")


@dataclass(frozen=True)
class Motion:
    """x → size · R x + t: rotation (3, 3), translation (3,) mm, and size 1 unless scale is free."""

    rotation: np.ndarray
    translation: np.ndarray
    size: float = 1.0

    @classmethod
    def none(cls) -> Motion:
        return cls(np.eye(3), np.zeros(3))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Moved points (N, 3)."""
        return self.size * points @ self.rotation.T + self.translation

    def back(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) moved the other way."""
        return (points - self.translation) @ self.rotation / self.size

    def degrees(self) -> float:
        """The angle of the rotation."""
        return float(np.degrees(np.arccos(np.clip((np.trace(self.rotation) - 1) / 2, -1, 1))))


@dataclass(frozen=True)
class IcpResult:
    """motion: of the model.  rms: (rounds + 1,) mm before each round and at the end, over the pairs that counted.
    converged: the last round hardly moved anything."""

    motion: Motion
    rms: np.ndarray
    converged: bool


def icp(
    model: Surface,
    scan: Surface,
    *,
    query: np.ndarray | None = None,
    direction: str = "scan to model",
    step: str = "plane",
    nearest: str = "surface",
    scale: bool = False,
    keep: float = 0.9,
    start: Motion | None = None,
    rounds: int = 60,
    tolerance: float = 2e-3,
    sample: int = 1500,
    finder: Nearest | None = None,
) -> IcpResult:
    """The motion that brings `model` onto `scan`.

    direction: "scan to model" finds for each point of the scan its nearest place on the model, "model to scan" the other
        way round. It is always the model that moves.
    query: numbers of the vertices that look for a partner (of the scan or of the model, by `direction`); None: all.
        The surface on which they look is whole, so that no partner is missing at the border of a crop.
    step: "point" makes the squared distances of the pairs least; "plane" those along the surface's normal, which lets
        pairs slide and needs far fewer rounds.
    nearest: the place on the "surface" (within triangles), or its nearest "vertex".
    scale: the size is free, too. From model to scan this invites a model that shrinks onto a part of the scan.
    keep: share of the pairs that count, the nearest ones; the others may be hair, or a hole of the scan.
    start: where the search begins.  sample: how many query points are used, spread evenly over their list.
    finder: search tree of the surface on which is looked, if there is one already.
    The search ends when the points move less than `tolerance` mm in a round, root mean square.

    Raises ValueError for unknown words and numbers out of range.
    """
    _check(direction, step, nearest, keep)
    to_model = direction == "scan to model"
    moving = scan if to_model else model
    points = moving.vertices if query is None else moving.vertices[query]
    if len(points) < 4:
        raise ValueError(f"an alignment needs at least four points, got {len(points)}")
    points = points[np.linspace(0, len(points) - 1, min(sample, len(points))).astype(int)]
    finder = finder or ground(model, scan, direction, nearest)
    motion, history = start or Motion.none(), []
    solve = _plane_step if step == "plane" else _point_step
    for _ in range(rounds):
        source, target, normal = _pairs(finder, points, motion, to_model, step == "plane")
        kept, rms = _nearest_share(motion(source), target, keep)
        history.append(rms)
        new = solve(source[kept], target[kept], normal if normal is None else normal[kept], motion, scale)
        moved = np.sqrt(np.mean(np.sum((new(source) - motion(source)) ** 2, 1)))
        motion = new
        if moved < tolerance:
            break
    source, target, _ = _pairs(finder, points, motion, to_model, False)
    history.append(_nearest_share(motion(source), target, keep)[1])
    return IcpResult(motion, np.array(history), bool(moved < tolerance))


def ground(model: Surface, scan: Surface, direction: str, nearest: str) -> Nearest:
    """The search tree of the surface on which partners are looked for."""
    surface = model if direction == "scan to model" else scan
    return Nearest(surface.vertices, surface.triangles, vertices_only=nearest == "vertex")


def partners(
    finder: Nearest, points: np.ndarray, motion: Motion, direction: str
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (N, 3) mm, in the scan's place and size, from query points to the nearest places, and their numbers (N,)."""
    if direction == "scan to model":
        found, number = finder(motion.back(points))
        return motion(found) - points, number
    moved = motion(points)
    found, number = finder(moved)
    return found - moved, number


def best_motion(source: np.ndarray, target: np.ndarray, scale: bool = False) -> Motion:
    """The motion of source (N, 3) onto target (N, 3), pairs known, in closed form (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    U, S, Vt = np.linalg.svd(b.T @ a)
    # The nearest orthogonal matrix may be a mirror; the sign keeps it a rotation.
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt))])
    rotation = (U * sign) @ Vt
    size = float((S * sign).sum() / np.square(a).sum()) if scale else 1.0
    return Motion(rotation, target.mean(0) - size * rotation @ source.mean(0), size)


def _pairs(finder: Nearest, points, motion: Motion, to_model: bool, with_normals: bool):
    """Places on the unmoved model (N, 3), their partners on the scan (N, 3), and normals (N, 3) at the moved ones."""
    if to_model:
        # Looking back from the scan spares a new search tree each round.
        found, number = finder(motion.back(points))
        source, target = found, points
    else:
        found, number = finder(motion(points))
        source, target = points, found
    if not with_normals:
        return source, target, None
    normal = finder.normals(number)
    return source, target, normal @ motion.rotation.T if to_model else normal


def _nearest_share(moved: np.ndarray, target: np.ndarray, keep: float) -> tuple[np.ndarray, float]:
    distance = np.linalg.norm(moved - target, axis=1)
    count = max(4, int(np.ceil(keep * len(distance))))
    kept = np.argsort(distance, kind="stable")[:count]
    return kept, float(np.sqrt(np.mean(distance[kept] ** 2)))


def _point_step(source, target, _, motion: Motion, scale: bool) -> Motion:
    return best_motion(source, target, scale)


def _plane_step(source, target, normal, motion: Motion, scale: bool) -> Motion:
    """A small further turn, shift and growth that make Σ (n · (x − target))² least, to first order."""
    x = motion(source)
    centre = x.mean(0)
    arm = x - centre
    rows = [np.cross(arm, normal), normal] + ([np.sum(arm * normal, 1, keepdims=True)] if scale else [])
    J, r = np.hstack(rows), np.sum(normal * (x - target), 1)
    H = J.T @ J
    # A plane does not say how far it slid, nor a sphere how it turned: there the smallest step is taken.
    H += 1e-9 * np.trace(H) * np.eye(len(H))
    turn, shift, growth = np.split(-np.linalg.solve(H, J.T @ r), [3, 6])
    size = float(np.exp(growth[0])) if scale else 1.0
    R = _rotation(turn)
    return Motion(
        R @ motion.rotation, size * R @ (motion.translation - centre) + centre + shift, size * motion.size
    )


def _rotation(vector: np.ndarray) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.from_rotvec(vector).as_matrix()


def _check(direction: str, step: str, nearest: str, keep: float) -> None:
    for value, known, name in (
        (direction, DIRECTIONS, "direction"),
        (step, STEPS, "step"),
        (nearest, NEAREST, "nearest"),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be above 0 and at most 1, got {keep}")
