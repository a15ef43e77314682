"""Where photographs come from: a folder, a RecordIO file, or rendered people. All give the same: crops with points."""

from __future__ import annotations

import re
from pathlib import Path

from helpers.datasets import PhotoFolder, PhotoRecords
from helpers.errors import UserError
from helpers.face_model import MorphableModel
from helpers.labelling.crop_source import CropSource
from helpers.labelling.photographs import PhotographSource
from helpers.labelling.synthetic import SyntheticSource
from helpers.landmarks import file_beside

SYNTHETIC = re.compile(r"synthetic:(\d+)x(\d+)")


def open_source(
    spec: str, *, model: MorphableModel, size: int = 224, seed: int = 0, landmarks: str | Path | None = None
) -> CropSource:
    """The source that `spec` names.

    Args:
        spec: a folder PERSON/PHOTO.jpg, a RecordIO file NAME.rec, or "synthetic:PEOPLExPHOTOS".
        model: the face model of synthetic people.
        size: px of their photographs.
        seed: of the detector, or of synthetic people.
        landmarks: a folder with the points of photographs, see `PhotographSource`.

    Raises:
        UserError: for anything else, for a source without photographs, and for landmarks that are of none of them.
    """
    match = SYNTHETIC.fullmatch(str(spec))
    if match:
        if landmarks is not None:
            raise UserError(f"--landmarks {landmarks}: {spec} has points of its own: leave the option out")
        people, photos = (int(number) for number in match.groups())
        if people < 1 or photos < 1:
            raise UserError(f"{spec}: at least one person and one photograph are needed")
        return SyntheticSource(model, people, photos, seed=seed, size=size)
    if str(spec).startswith("synthetic"):
        raise UserError(
            f"{spec}: rendered people are asked for as synthetic:PEOPLExPHOTOS, such as synthetic:100x5"
        )
    path = Path(spec)
    if not path.exists():
        raise UserError(
            f"{path}: no such folder or file: give PERSON/PHOTO.jpg, NAME.rec or synthetic:PEOPLExPHOTOS"
        )
    photos, kind = (PhotoFolder(path), "folder") if path.is_dir() else (PhotoRecords(path), "records")
    if landmarks is not None and not any(file_beside(landmarks, entry.id) for entry in photos):
        raise UserError(
            f"--landmarks {landmarks}: no point file of a photograph in it: {photos[0].id} would have its points in "
            f"{Path(photos[0].id).with_suffix('.json')} or .pts below that folder"
        )
    return PhotographSource(photos, kind, seed, landmarks=landmarks)
