"""3DRMSE: how far a reconstructed face is from a scan, in mm, and everything that has to be said with the number.

The protocol that the paper names for the MICC scans: crop the scan to 95 mm about the tip of the nose, align by rigid
ICP, take the root mean square distance. Several choices are left open by these words. Each is an attribute of `Protocol`,
because two numbers can only be compared if all of them agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.errors import UserError
from helpers.evaluation.icp import IcpSettings, Motion, best_motion, icp, partner_distances, search_tree
from helpers.evaluation.surface import Nearest, Surface
from helpers.face_model.morphable_model import NOSE_TIP
from helpers.pose.points68 import MIRRORED
from helpers.progress import progress_bar

RADIUS = 95.0  # mm


@dataclass(frozen=True)
class Protocol(IcpSettings):
    """What is measured, and how the surfaces are aligned before.

    The error is the root mean square over the query points: they count alike, however dense they lie. `keep` leaves
    pairs out of the alignment only, never out of the error. The other attributes are those of `IcpSettings`.

    Attributes:
        radius: mm about the scan's nose tip; only points within it count.
        start_by_landmarks: False starts from the tips of the noses alone: then both surfaces must already look the same way.
    """

    radius: float = RADIUS
    start_by_landmarks: bool = True


MICC = Protocol()
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
        median: mm, of the distances.
        distance: (N,) mm of each query point.
        query: (N,) their vertex numbers, of the scan or, under "model to scan", of the model.
        motion: Of the model onto the scan.
        rounds: Of ICP.
        converged: Whether ICP came to rest; if not, the numbers are those of an alignment that is not finished.
    """

    rmse: float
    mean: float
    median: float
    distance: np.ndarray
    query: np.ndarray
    motion: Motion
    rounds: int
    converged: bool


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
    start = initial_motion(model, scan, protocol.scale, protocol.start_by_landmarks)
    nose = scan.landmarks[NOSE_TIP]
    if not np.isfinite(nose).all():
        nose = Nearest(scan.vertices, scan.triangles)(start(model.nose[None]))[0][0]
    looking = scan.vertices if protocol.to_model else start(model.vertices)
    query = np.flatnonzero(np.linalg.norm(looking - nose, axis=1) <= protocol.radius)
    if len(query) < 100:
        raise UserError(
            f"{scan.name or 'scan'}: only {len(query)} points lie within {protocol.radius:g} mm of the nose tip; "
            "are the units mm and the landmarks those of this scan?"
        )
    finder = search_tree(model, scan, protocol)
    found = icp(model, scan, protocol, query=query, start=start, finder=finder)
    points = (scan if protocol.to_model else model).vertices[query]
    distance = partner_distances(finder, points, found.motion, protocol)
    return ScanError(
        float(np.sqrt(np.mean(distance**2))),
        float(distance.mean()),
        float(np.median(distance)),
        distance,
        query,
        found.motion,
        len(found.rms) - 1,
        found.converged,
    )


def micc_rmse(model: Surface, scan: Surface) -> float:
    """3DRMSE in mm by the protocol `MICC`."""
    return scan_error(model, scan, MICC).rmse


def initial_motion(model: Surface, scan: Surface, scale: bool = False, by_landmarks: bool = True) -> Motion:
    """Where ICP starts: the landmarks that both know, or, if they are fewer than three, the tips of the noses.

    Args:
        model: The face.
        scan: Its scan.
        scale: Whether the size is free.
        by_landmarks: False for the tips of the noses in any case.

    Raises:
        UserError: Where that needs a nose tip that is not known, and where the landmarks of one of both have left and right
            exchanged.
    """
    both = np.isfinite(model.landmarks).all(1) & np.isfinite(scan.landmarks).all(1)
    if by_landmarks and both.sum() >= 3:
        motion, off = _laid_on(model.landmarks, scan.landmarks, scale)
        if (
            both.sum() >= 7
            and _laid_on(model.landmarks, scan.landmarks[list(MIRRORED)], scale)[1] < 0.5 * off
        ):
            raise UserError(
                f"{scan.name or 'scan'}: its landmarks fit those of {model.name or 'the face'} only with left and right exchanged: "
                "in one of both files they are on the wrong side; left is the viewer's left"
            )
        return motion
    return Motion(np.eye(3), scan.nose - model.nose)


def _laid_on(landmarks: np.ndarray, target: np.ndarray, scale: bool) -> tuple[Motion, float]:
    """The best motion between the points that both know, and how far it leaves them apart, mm, root mean square."""
    both = np.isfinite(landmarks).all(1) & np.isfinite(target).all(1)
    motion = best_motion(landmarks[both], target[both], scale)
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
