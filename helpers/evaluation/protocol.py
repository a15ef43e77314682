"""3DRMSE: how far a reconstructed face is from a scan, in mm, and everything that has to be said with the number.

The protocol that the paper names for the MICC scans: crop the scan to 95 mm about the tip of the nose, align by rigid
ICP, take the root mean square distance. Several choices are left open by these words. Each is an attribute of `Protocol`,
because two numbers can only be compared if all of them agree.

Two protocols are named after data sets, `MICC` and `NOW`. REALY's measures each part of the face by itself, see
`helpers.evaluation.realy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.errors import UserError
from helpers.evaluation.icp import (
    IcpResult,
    IcpSettings,
    Motion,
    best_motion,
    icp,
    partner_distances,
    search_tree,
)
from helpers.evaluation.scans import NOW_SEVEN
from helpers.evaluation.surface import Nearest, Surface
from helpers.face_model.morphable_model import NOSE_TIP
from helpers.pose.points68 import MIRRORED
from helpers.progress import progress_bar

RADIUS = 95.0  # mm
LANDMARKS_APART = 16.0  # mm; 100 pairs of people of the open model leave 7 on average, and 11 at most
SAME_SIZE = (
    0.7,
    1.4,
)  # of landmarks, where the size is not free; those of grown people are within a tenth or so


@dataclass(frozen=True)
class Protocol(IcpSettings):
    """What is measured, and how the surfaces are aligned before.

    The error is the root mean square over the query points: they count alike, however dense they lie. `keep` leaves
    pairs out of the alignment only, never out of the error. The other attributes are those of `IcpSettings`.

    Attributes:
        radius: mm about the scan's nose tip; only points within it count. None for the crop of the NoW data, see `now_crop`.
        start_points: Which of the 68 landmarks start the alignment, and must be known; None for all that both surfaces know.
            With the tip of the nose alone both must already look the same way.
    """

    radius: float | None = RADIUS
    start_points: tuple[int, ...] | None = None


# As the paper states it: 95 mm about the nose tip, rigid ICP, root mean square. Direction, kind of step and the trimmed tenth of
# the pairs are not stated, and are ours.
MICC = Protocol()
# As the NoW challenge computes it: a similarity of seven landmarks, then rotation, shift and size that make the squared distances
# of all cropped scan vertices from the mesh least; the challenge reports median, mean and standard deviation of these distances.
# Ours: ICP, which takes turns between partners and motion, in place of their dogleg on both; at most 10 000 of the vertices in
# the alignment, while the distances are over all; and a mirrored face is refused, where their landmark alignment lets it pass.
NOW = Protocol(
    step="point", scale=True, keep=1.0, rounds=300, sample=10_000, radius=None, start_points=NOW_SEVEN
)
# The same faces give other numbers under each of these. All are in use.
PROTOCOLS = {
    "95 mm, scan to model": MICC,
    "… point steps": Protocol(step="point"),
    "… nearest vertex": Protocol(nearest="vertex", step="point"),
    "… model to scan": Protocol(direction="model to scan"),
    "… scale free": Protocol(scale=True),
    "… crop of 60 mm": Protocol(radius=60.0),
    "… crop of 120 mm": Protocol(radius=120.0),
    "… half of the pairs": Protocol(keep=0.5),
}


@dataclass(frozen=True)
class ScanError:
    """One face against its scan.

    Attributes:
        rmse: mm, root mean square of the distances.
        mean: mm, of the distances.
        std: mm, of the distances.
        median: mm, of the distances.
        distance: (N,) mm of each query point.
        query: (N,) their vertex numbers, of the scan or, under "model to scan", of the model.
        motion: Of the model onto the scan.
        rounds: Of ICP.
        converged: Whether ICP came to rest; if not, the numbers are those of an alignment that is not finished.
    """

    rmse: float
    mean: float
    std: float
    median: float
    distance: np.ndarray
    query: np.ndarray
    motion: Motion
    rounds: int
    converged: bool

    @classmethod
    def of(cls, distance: np.ndarray, query: np.ndarray, found: IcpResult) -> ScanError:
        """Of distances (N,) mm at the vertices `query` (N,), after an alignment."""
        return cls(
            float(np.sqrt(np.mean(distance**2))),
            float(distance.mean()),
            float(distance.std()),
            float(np.median(distance)),
            distance,
            query,
            found.motion,
            len(found.rms) - 1,
            found.converged,
        )


def scan_error(model: Surface, scan: Surface, protocol: Protocol = MICC) -> ScanError:
    """Measure a face against a scan.

    Where the scan's nose tip is not among its landmarks, it is taken from the model's after the start.

    Args:
        model: The face.
        scan: Its scan.
        protocol: What is measured, and how.

    Raises:
        UserError: If neither landmarks nor nose tips can start the alignment, or fewer than 100 points lie within the radius.
    """
    start = initial_motion(model, scan, protocol.scale, protocol.start_points)
    if protocol.radius is None:
        centre, radius = now_crop(scan)
    else:
        centre, radius = scan.landmarks[NOSE_TIP], protocol.radius
        if not np.isfinite(centre).all():
            centre = Nearest(scan.vertices, scan.triangles)(start(model.nose[None]))[0][0]
    looking = scan.vertices if protocol.to_model else start(model.vertices)
    query = np.flatnonzero(np.linalg.norm(looking - centre, axis=1) <= radius)
    if len(query) < 100:
        raise UserError(
            f"{scan.name or 'scan'}: only {len(query)} points lie within {radius:g} mm of the nose; "
            "are the units mm and the landmarks those of this scan?"
        )
    finder = search_tree(model, scan, protocol)
    found = icp(model, scan, protocol, query=query, start=start, finder=finder)
    points = (scan if protocol.to_model else model).vertices[query]
    distance = partner_distances(finder, points, found.motion, protocol)
    return ScanError.of(distance, query, found)


def micc_rmse(model: Surface, scan: Surface) -> float:
    """3DRMSE in mm by the protocol `MICC`."""
    return scan_error(model, scan, MICC).rmse


def now_crop(scan: Surface) -> tuple[np.ndarray, float]:
    """The ball within which the NoW challenge measures, from the seven landmarks of its scans.

    Args:
        scan: With the outer corners of the eyes, the inner ones and the base of the nose.

    Returns:
        Its middle (3,) mm, on the way from the base of the nose up to between the inner corners of the eyes after three tenths;
        and its radius in mm, 0.7 times the sum of this way and of the distance between the outer corners.

    Raises:
        UserError: If one of these landmarks is not known.

    Source:
        S. Sanyal et al., "Learning to regress 3D face shape and expression from an image without 3D supervision", 2019, and
        the evaluation code of the challenge.
    """
    right, inner_right, inner_left, left, base = scan.known(NOW_SEVEN[:5])
    up = (inner_right + inner_left) / 2 - base
    return base + 0.3 * up, float(0.7 * (np.linalg.norm(right - left) + np.linalg.norm(up)))


def initial_motion(
    model: Surface, scan: Surface, scale: bool = False, start_points: tuple[int, ...] | None = None
) -> Motion:
    """Where ICP starts: the landmarks that both know, or, if they are fewer than three, the tips of the noses.

    Args:
        model: The face.
        scan: Its scan.
        scale: Whether the size is free.
        start_points: Which of the 68 are taken; None for all that both know.

    Raises:
        UserError: Where a landmark is needed that is not known, and where seven landmarks or more of both cannot be those of two
            faces: left and right are exchanged, the order differs, or the unit, if the size is not free.
    """
    both = np.isfinite(model.landmarks).all(1) & np.isfinite(scan.landmarks).all(1)
    if both.sum() >= 7:
        _check_landmarks(model, scan, scale)
    if start_points is None:
        start_points = tuple(np.flatnonzero(both)) if both.sum() >= 3 else (NOSE_TIP,)
    source, target = model.known(start_points), scan.known(start_points)
    if len(start_points) < 3:
        return Motion(np.eye(3), target[0] - source[0])
    return best_motion(source, target, scale)


def _check_landmarks(model: Surface, scan: Surface, scale: bool) -> None:
    """Raises UserError where landmarks of both have left and right exchanged, another order, or another unit."""
    motion, off = _laid_on(model.landmarks, scan.landmarks)
    names = f"{scan.name or 'scan'}: its landmarks", f"those of {model.name or 'the face'}"
    if _laid_on(model.landmarks, scan.landmarks[list(MIRRORED)])[1] < 0.5 * off:
        raise UserError(
            f"{names[0]} fit {names[1]} only with left and right exchanged: in one of both files they are on the wrong side; "
            "left is the viewer's left"
        )
    if off > LANDMARKS_APART:
        raise UserError(
            f"{names[0]} do not lie as {names[1]}: {off:.0f} mm apart at best (root mean square): look at their order"
        )
    if not scale and not SAME_SIZE[0] <= motion.size <= SAME_SIZE[1]:
        raise UserError(
            f"{names[0]} are {motion.size:.3g} times as large as {names[1]}: say in what units both are, or free the size"
        )


def _laid_on(landmarks: np.ndarray, target: np.ndarray) -> tuple[Motion, float]:
    """The best motion, size free, between the points that both know, and how far it leaves them apart, mm, root mean square."""
    both = np.isfinite(landmarks).all(1) & np.isfinite(target).all(1)
    motion = best_motion(landmarks[both], target[both], scale=True)
    return motion, float(np.sqrt(np.mean(np.sum((motion(landmarks[both]) - target[both]) ** 2, 1))))


def compare_protocols(
    pairs: Sequence[tuple[Surface, Surface]],
    protocols: dict[str, Protocol] = PROTOCOLS,
    *,
    progress: bool = True,
) -> list[dict[str, str | float]]:
    """Measure the same faces under each protocol.

    Args:
        pairs: Faces and their scans.
        protocols: By their names.
        progress: Whether a bar is shown.

    Returns:
        A row of a table for each: "protocol", "mean", "std", "worst" (mm, over the pairs), "size" (the mean factor by which the
        models were scaled), "rounds", and "unfinished", how many of the alignments did not come to rest.
    """
    todo = [(protocol, *pair) for protocol in protocols.values() for pair in pairs]
    measured = [
        scan_error(model, scan, protocol)
        for protocol, model, scan in progress_bar(todo, "protocols", unit="face", shown=progress)
    ]
    rows = []
    for k, name in enumerate(protocols):
        errors = measured[k * len(pairs) : (k + 1) * len(pairs)]
        rmse = np.array([error.rmse for error in errors])
        rows.append(
            {
                "protocol": name,
                "mean": float(rmse.mean()),
                "std": float(rmse.std()),
                "worst": float(rmse.max()),
                "size": float(np.mean([error.motion.size for error in errors])),
                "rounds": float(np.mean([error.rounds for error in errors])),
                "unfinished": sum(not error.converged for error in errors),
            }
        )
    return rows


def error_map(model: Surface, scan: Surface, motion: Motion) -> np.ndarray:
    """(V,) mm from each vertex of the moved model to the nearest place on the scan."""
    moved = motion(model.vertices)
    return np.linalg.norm(Nearest(scan.vertices, scan.triangles)(moved)[0] - moved, axis=1)
