"""Where the face is in a photograph: 68 points, by a detector, from a file, or stored.

`detect` finds faces, by dlib unless told otherwise; `registry` lists who else can. `read_points` and
`write_points` keep points in files, `stored_points` knows the two default photographs, `SimulatedDetector` stands
in where the truth must be known, and `landmarks_for` chooses among them for one photograph.
"""

from __future__ import annotations

from pathlib import Path

from helpers.errors import UserError
from helpers.landmarks.detection import (
    CONFIDENCE_NEEDED,
    N_LANDMARKS,
    SPREAD_DOUBTFUL,
    Detection,
    eye_distance,
)
from helpers.landmarks.dlib_backend import smallest_face
from helpers.landmarks.files import FileDetector, file_beside, read_detection, read_points, write_points
from helpers.landmarks.registry import Detector, any_backend, detect, detect_all, detector, missing_backends
from helpers.landmarks.simulated import SimulatedDetector
from helpers.landmarks.stored import stored_name, stored_points
from helpers.photo import Photo

__all__ = [
    "CONFIDENCE_NEEDED",
    "N_LANDMARKS",
    "SPREAD_DOUBTFUL",
    "Detection",
    "Detector",
    "FileDetector",
    "SimulatedDetector",
    "all_faces_of",
    "detect",
    "detect_all",
    "detector",
    "eye_distance",
    "file_beside",
    "landmarks_for",
    "missing_backends",
    "read_detection",
    "read_points",
    "stored_points",
    "write_points",
]


def landmarks_for(
    photo: Photo, file: str | Path | None = None, backend: str | Detector = "auto", seed: int = 0
) -> Detection:
    """Find the face to fit in a photograph, the largest if there are several (`.faces` is their number).

    The points come from `file` if one is given; else, for a default photograph where no detector is installed,
    from the stored ones; else from the detector.

    Args:
        photo: The photograph.
        file: Landmark file, .json or .pts, or None.
        backend: A detector, or the name of one, see `detect`.
        seed: Of the detector's random numbers.

    Returns:
        The face.

    Raises:
        UserError: There is no face, or the file's points are not of this photograph.
    """
    if file is not None:
        return FileDetector(file).detect(photo.image)[0]
    stored = _stored(photo) if backend == "auto" else None
    return stored or _required(detect(photo.image, backend, seed), photo)[0]


def all_faces_of(photo: Photo, seed: int = 0) -> list[Detection]:
    """Find every face in a photograph, see `detect_all`.

    Args:
        photo: The photograph.
        seed: Of the detectors' random numbers.

    Returns:
        The faces, the largest first.

    Raises:
        UserError: There is no face.
    """
    stored = _stored(photo)
    return [stored] if stored else _required(detect_all(photo.image, seed), photo)


def _stored(photo: Photo) -> Detection | None:
    """The stored points of a default photograph, where no detector is installed."""
    name = None if any_backend() else stored_name(photo.path)
    return None if name is None else stored_points(name)


def _required(faces: list[Detection], photo: Photo) -> list[Detection]:
    if not faces:
        raise UserError(
            f"{photo.path}: no face found: the face must be upright, not in profile, and "
            f"{smallest_face(*photo.size)} px wide or more"
        )
    return faces
