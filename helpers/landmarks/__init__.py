"""Where the face is in a photograph: 68 points, by a detector, from a file, or stored.

`detect` finds faces, `read_points` and `write_points` keep points in files, `stored_points` knows the two
default photographs, and `landmarks_for` chooses among them for one photograph.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..photo import Photo
from .detection import CONFIDENCE_NEEDED, N_LANDMARKS, SPREAD_DOUBTFUL, Detection, detect, missing_backends
from .files import read_detection, read_points, write_points
from .stored import stored_name, stored_points

__all__ = [
    "CONFIDENCE_NEEDED", "N_LANDMARKS", "SPREAD_DOUBTFUL", "Detection", "detect", "landmarks_for",
    "missing_backends", "read_detection", "read_points", "stored_points", "write_points",
]  # fmt: skip


def landmarks_for(
    photo: Photo, file: str | Path | None = None, backend: str = "auto", seed: int = 0
) -> Detection:
    """The face to fit in a photograph, the largest if there are several (`.faces` says how many).

    The points come from `file` if one is given; else, for a default photograph where no detector is installed,
    from the stored ones; else from the detector. Raises UserError if there is no face, or the file's points
    are not of this photograph.
    """
    if file is not None:
        face = read_detection(file)
        height, width = photo.size
        inside = ((face.points >= -0.5) & (face.points <= [width - 0.5, height - 0.5])).all(1).mean()
        if inside < 0.5:
            raise UserError(f"{file}: most points lie outside of {photo.path} ({width}×{height} px)")
        if (face.points.max(0) - face.points.min(0)).min() < 1:
            raise UserError(f"{file}: the points do not span a face")
        return face
    if backend == "auto" and all(missing_backends().values()):
        name = stored_name(photo.path)
        if name is not None:
            return stored_points(name)
    faces = detect(photo.image, backend, seed)
    if not faces:
        raise UserError(
            f"{photo.path}: no face found: the face must be upright, not in profile, and 40 px or more"
        )
    return faces[0]
