"""Iterative closest points: move one surface onto another whose corresponding points are not known.

Guess the correspondences (the nearest places), solve for the motion, guess again (Besl and McKay 1992; with normals
Chen and Medioni 1992). Each round the squared sum can only fall, towards the nearest minimum, which need not be
the right one: the start decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from helpers.alignment import align_points
from helpers.evaluation.surface import Nearest, Surface

DIRECTIONS = ("scan to model", "model to scan")
STEPS = ("plane", "point")
NEAREST = ("surface", "vertex")


@dataclass(frozen=True)
class Motion:
    """x → size · R x + t.

    Attributes:
        rotation: R (3, 3).
        translation: t (3,) mm.
        size: 1 unless scale is free.
    """

    rotation: np.ndarray
    translation: np.ndarray
    size: float = 1.0

    @classmethod
    def none(cls) -> Motion:
        """The motion that leaves everything where it is."""
        return cls(np.eye(3), np.zeros(3))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Moved points (N, 3)."""
        return self.size * points @ self.rotation.T + self.translation

    def back(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) moved the other way."""
        return (points - self.translation) @ self.rotation / self.size

    def after(self, first: Motion) -> Motion:
        """The motion that does `first`, then this."""
        return Motion(
            self.rotation @ first.rotation, self(first.translation[None])[0], self.size * first.size
        )

    def degrees(self) -> float:
        """The angle of the rotation."""
        return float(np.degrees(Rotation.from_matrix(self.rotation).magnitude()))


@dataclass(frozen=True)
class IcpSettings:
    """How ICP searches.

    Attributes:
        direction: "scan to model" finds for each point of the scan its nearest place on the model, "model to scan" the
            other way round. It is always the model that moves.
        step: "point" minimises the squared distances of the pairs; "plane" those along the surface's normal, which lets
            pairs slide and needs far fewer rounds.
        nearest: The place on the "surface" (within triangles), or its nearest "vertex".
        scale: Whether the size is free, too. From model to scan this invites a model that shrinks onto a part of the scan.
        keep: Share of the pairs that count, the nearest ones; the others may be hair, or a hole of the scan.
        rounds: At most.
        tolerance: mm; the search ends when the points move less in a round, root mean square.
        sample: How many query points are used, spread evenly over their list.

    Raises:
        ValueError: For unknown words and a share out of range.
    """

    direction: str = "scan to model"
    step: str = "plane"
    nearest: str = "surface"
    scale: bool = False
    keep: float = 0.9
    rounds: int = 60
    tolerance: float = 2e-3
    sample: int = 1500

    def __post_init__(self):
        for name, known in (("direction", DIRECTIONS), ("step", STEPS), ("nearest", NEAREST)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be above 0 and at most 1, got {self.keep}")

    @property
    def to_model(self) -> bool:
        """Whether partners are looked for on the model."""
        return self.direction == "scan to model"


@dataclass(frozen=True)
class IcpResult:
    """What ICP found.

    Attributes:
        motion: Of the model.
        rms: (rounds + 1,) mm before each round and at the end, over the pairs that counted.
        converged: Whether the last round moved less than the tolerance.
    """

    motion: Motion
    rms: np.ndarray
    converged: bool


def icp(
    model: Surface,
    scan: Surface,
    settings: IcpSettings | None = None,
    *,
    query: np.ndarray | None = None,
    start: Motion | None = None,
    finder: Nearest | None = None,
    held: tuple[np.ndarray, np.ndarray] | None = None,
) -> IcpResult:
    """Find the motion that brings a model onto a scan.

    Args:
        model: The surface that moves.
        scan: The surface that it is brought onto.
        settings: How to search; a `Protocol` is one, too. None for the defaults.
        query: Numbers of the vertices that look for a partner (of the scan or of the model, by the direction); None for
            all. The surface on which they look is whole, so that no partner is missing at the border of a crop.
        start: Where the search begins; None for where the model stands.
        finder: Search tree of the surface on which partners are looked for, if there is one already.
        held: Pairs that are known, such as landmarks: places on the model (K, 3) mm and on the scan (K, 3) mm. Each counts in
            a step of kind "point" as a pair that was found, and not in `rms`.

    Returns:
        The motion, and how the search went.

    Raises:
        ValueError: For fewer than four query points, and for pairs that are held with steps of kind "plane".
    """
    s = settings or IcpSettings()
    points = (scan if s.to_model else model).vertices
    points = points if query is None else points[query]
    if len(points) < 4:
        raise ValueError(f"an alignment needs at least four points, got {len(points)}")
    if held is not None and s.step != "point":
        raise ValueError('pairs can be held by steps of kind "point" only')
    points = points[np.linspace(0, len(points) - 1, min(s.sample, len(points))).astype(int)]
    finder = finder or search_tree(model, scan, s)
    motion, history, converged = start or Motion.none(), [], False
    for _ in range(s.rounds):
        source, target, number = _pairs(finder, points, motion, s)
        kept, rms = _nearest_share(motion(source), target, s.keep)
        history.append(rms)
        if s.step == "plane":
            normal = finder.normals(number[kept])
            normal = normal @ motion.rotation.T if s.to_model else normal
            new = plane_step(source[kept], target[kept], normal, motion, s.scale)
        else:
            pairs = source[kept], target[kept]
            pairs = (
                pairs if held is None else tuple(np.vstack(both) for both in zip(pairs, held, strict=True))
            )
            new = best_motion(*pairs, s.scale)
        moved = np.sqrt(np.mean(np.sum((new(source) - motion(source)) ** 2, 1)))
        motion = new
        if moved < s.tolerance:
            converged = True
            break
    source, target, _ = _pairs(finder, points, motion, s)
    history.append(_nearest_share(motion(source), target, s.keep)[1])
    return IcpResult(motion, np.array(history), converged)


def search_tree(model: Surface, scan: Surface, settings: IcpSettings) -> Nearest:
    """The search tree of the surface on which partners are looked for."""
    surface = model if settings.to_model else scan
    return Nearest(surface.vertices, surface.triangles, vertices_only=settings.nearest == "vertex")


def partner_distances(
    finder: Nearest, points: np.ndarray, motion: Motion, settings: IcpSettings
) -> np.ndarray:
    """Distances from query points (N, 3) mm to the nearest places: (N,) mm, in the scan's place and size."""
    source, target, _ = _pairs(finder, points, motion, settings)
    return np.linalg.norm(motion(source) - target, axis=1)


def best_motion(source: np.ndarray, target: np.ndarray, scale: bool = False) -> Motion:
    """The motion of points onto their known partners, in the sense of least squares.

    Args:
        source: (N, 3) mm.
        target: (N, 3) mm.
        scale: Whether the size is free.

    Source:
        S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    R, t, s = align_points(source, target, scale=scale)
    return Motion(R, t, float(s))


def plane_step(
    source: np.ndarray, target: np.ndarray, normal: np.ndarray, motion: Motion, scale: bool = False
) -> Motion:
    """A small further turn, shift and growth that minimise Σ (n · (x − y))², to first order.

    Args:
        source: (N, 3) mm, on the unmoved model; `motion` gives x.
        target: y (N, 3) mm, the partners on the scan.
        normal: n (N, 3), unit normals at the moved places.
        motion: Of the model so far.
        scale: Whether it may grow.

    Returns:
        The motion with the step added.

    Source:
        Y. Chen and G. Medioni, "Object modelling by registration of multiple range images", 1992.
    """
    x = motion(source)
    centre = x.mean(0)
    arm = x - centre
    rows = [np.cross(arm, normal), normal] + ([np.sum(arm * normal, 1, keepdims=True)] if scale else [])
    J, r = np.hstack(rows), np.sum(normal * (x - target), 1)
    H = J.T @ J
    # A plane does not tell how far it slid, nor a sphere how it turned: there the smallest step is taken.
    H += 1e-9 * np.trace(H) * np.eye(len(H))
    turn, shift, growth = np.split(-np.linalg.solve(H, J.T @ r), [3, 6])
    size = float(np.exp(growth[0])) if scale else 1.0
    R = Rotation.from_rotvec(turn).as_matrix()
    translation = size * R @ (motion.translation - centre) + centre + shift
    return Motion(R @ motion.rotation, translation, size * motion.size)


def _pairs(
    finder: Nearest, points: np.ndarray, motion: Motion, settings: IcpSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places on the unmoved model (N, 3), their partners on the scan (N, 3), and the number (N,) of each found place."""
    if settings.to_model:
        # Looking back from the scan spares a new search tree each round.
        found, number = finder(motion.back(points))
        return found, points, number
    found, number = finder(motion(points))
    return points, found, number


def _nearest_share(moved: np.ndarray, target: np.ndarray, keep: float) -> tuple[np.ndarray, float]:
    distance = np.linalg.norm(moved - target, axis=1)
    count = max(4, int(np.ceil(keep * len(distance))))
    kept = np.argsort(distance, kind="stable")[:count]
    return kept, float(np.sqrt(np.mean(distance[kept] ** 2)))
