"""One face found in a photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

N_LANDMARKS = 68
OUTER_EYES = (36, 45)
# A face is reported from this confidence on; what the number means depends on the backend.
CONFIDENCE_NEEDED = 0.5
# Points that spread more than this, in % of the outer eye distance, deserve a look before they are used.
SPREAD_DOUBTFUL = 3.0


@dataclass(frozen=True)
class Detection:
    """A face with its 68 points in the order of 300-W (iBUG).

    Jaw 0–16, brows 17–26, nose 27–35, eyes 36–47, mouth 48–67; left and right as the viewer sees them.

    Attributes:
        box: (4,) x0, y0, x1, y1 px.
        points: (68, 2) px, pixel centres at integers.
        confidence: How sure the detector is that this is a face, 0 to 1.
        spread: How far the points move when the box is moved a little, % of the outer eye distance (0: unknown).
        backend: Who found it.
        faces: How many faces the photograph has.
    """

    box: np.ndarray
    points: np.ndarray
    confidence: float
    spread: float
    backend: str
    faces: int = 1

    @classmethod
    def from_points(
        cls, points: np.ndarray, confidence: float = 1.0, spread: float = 0.0, backend: str = "file"
    ) -> Detection:
        """Make a face that is known by its points (68, 2) px alone; the box is the one around them."""
        points = np.asarray(points, np.float32)
        return cls(np.concatenate([points.min(0), points.max(0)]), points, confidence, spread, backend)


def eye_distance(points: np.ndarray) -> float:
    """Measure between the outer corners of the eyes, in the unit of points (68, 2): the ruler of errors on a face."""
    return float(np.linalg.norm(points[OUTER_EYES[0]] - points[OUTER_EYES[1]]))


def without_repeats(faces: list[Detection]) -> list[Detection]:
    """Leave out faces that were found before: of two, the middle of one lies in the box of the other."""
    kept: list[Detection] = []
    for face in faces:
        if not any(_holds(face.box, other.box) or _holds(other.box, face.box) for other in kept):
            kept.append(face)
    return kept


def _holds(box: np.ndarray, other: np.ndarray) -> bool:
    middle = (other[:2] + other[2:]) / 2
    return bool(((box[:2] <= middle) & (middle <= box[2:])).all())


def largest_first(faces: list[Detection]) -> list[Detection]:
    """Sort faces by the width of their boxes, and note in each how many they are."""
    faces = sorted(faces, key=lambda face: face.box[0] - face.box[2])
    return [replace(face, faces=len(faces)) for face in faces]
