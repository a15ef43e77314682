"""Points of the two default photographs, stored so that the course needs no detector."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from helpers.assets import ASSETS
from helpers.errors import UserError
from helpers.landmarks.detection import Detection
from helpers.landmarks.files import read_detection
from helpers.photo import default_photos

FOLDER = ASSETS / "photographs"
RENEW = "python -m helpers.course.store_landmarks"


def fingerprint(path: str | Path) -> str:
    """Compute the SHA-256 of a photograph's file: stored points hold for exactly this picture."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def stored_points(name: str) -> Detection:
    """Read the stored points of a default photograph, found by dlib once and looked at by eye.

    Args:
        name: "astronaut" or "grace_hopper".

    Returns:
        The face.

    Raises:
        ValueError: There is no default photograph of this name.
        UserError: The installed package brings another picture than the one the points were found in.
    """
    photos = default_photos()
    if name not in photos:
        raise ValueError(f"stored points are there for {', '.join(photos)}, not for {name!r}")
    file = FOLDER / f"{name}.json"
    found = read_detection(file)
    if _stored_fingerprint(file) != fingerprint(photos[name]):
        raise UserError(f"{file}: belongs to another version of {photos[name]}: renew it with {RENEW}")
    return found


def stored_name(path: str | Path) -> str | None:
    """Tell of which default photograph the file `path` is a copy: its name, or None."""
    if not Path(path).is_file():
        return None
    mark = fingerprint(path)
    return next(
        (file.stem for file in sorted(FOLDER.glob("*.json")) if _stored_fingerprint(file) == mark), None
    )


def _stored_fingerprint(file: Path) -> str | None:
    return json.loads(file.read_text(encoding="utf-8")).get("photograph_sha256")
