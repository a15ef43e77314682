"""Photographs on disk as a source: read, find the face, cut out the square."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from helpers.crop import crop_face, stack_crops
from helpers.errors import UserError
from helpers.labelling.sources import Loaded
from helpers.landmarks import Detection, detect, landmarks_for
from helpers.photo import Photo

Entry = tuple[str, str, Callable[[], "Photo | np.ndarray"]]


class PhotoSource:
    """A list of photographs: (id, person, a function that reads it).

    photos: a `PhotoFolder`, a `PhotoRecords`, or any such list.  kind: what to call it in the configuration.
    unreadable: (id, person, cause) of files that are known to be no photographs; they get rows too.
    """

    def __init__(self, photos: Iterable[Entry], kind: str, seed: int = 0, unreadable: Iterable[tuple[str, str, str]] = ()):
        self.photos = [*photos, *((name, person, _Unreadable(cause)) for name, person, cause in unreadable)]
        self.kind, self.seed = kind, seed
        if not self.photos:
            raise UserError(f"the {kind} holds no photographs: PERSON/PHOTO.jpg is expected")

    def __len__(self) -> int:
        return len(self.photos)

    def name(self, place: int) -> tuple[str, str]:
        return self.photos[place][:2]

    def describe(self) -> dict:
        """Ids and people, in order, and the seed of the detector. Where the photographs lie is not part of it."""
        digest = hashlib.sha256()
        for name, person, _ in self.photos:
            digest.update(f"{name}\0{person}\n".encode())
        return {"kind": self.kind, "photographs": len(self), "sha256": digest.hexdigest()[:16], "seed": self.seed}

    def load(self, places: Sequence[int], size: int) -> Loaded:
        index, crops, confidence, failed = [], [], [], {}
        for place in places:
            try:
                image, face = self._face(place)
                crops.append(crop_face(image, face.points, size))
            except _NoFace as error:
                failed[place] = ("no_face", str(error))
            except Exception as error:  # broken files raise many kinds, and none may stop the others
                failed[place] = ("unreadable", " ".join(str(error).split()) or type(error).__name__)
            else:
                index.append(place)
                confidence.append(face.confidence)
        return Loaded(index, stack_crops(crops) if crops else None, torch.tensor(confidence, dtype=torch.float32), failed)

    def _face(self, place: int) -> tuple[np.ndarray, Detection]:
        photo = self.photos[place][2]()
        if isinstance(photo, Photo):
            try:
                return photo.image, landmarks_for(photo, seed=self.seed)
            except UserError as error:
                raise _NoFace(str(error)) from error
        image = np.asarray(photo, np.float32)
        faces = detect(image, seed=self.seed)
        if not faces:
            raise _NoFace("no face found: the face must be upright, not in profile, and 40 px or more")
        return image, faces[0]


class _NoFace(Exception):
    pass


class _Unreadable:
    """Stands for a file of which it is known that it cannot be read."""

    def __init__(self, cause: str):
        self.cause = cause

    def __call__(self):
        raise UserError(self.cause)
