"""Photographs on disk as a source: read, find the face, cut out the square."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from helpers.crop import FaceCrop, crop_face, stack_crops
from helpers.datasets import PhotoEntry
from helpers.datasets.photo_source import printable
from helpers.errors import UserError
from helpers.labelling.crop_source import Loaded
from helpers.labelling.labeller import one_line
from helpers.landmarks import Detection, file_beside, landmarks_for


def fit_square(image: np.ndarray, face: Detection, size: int) -> FaceCrop:
    """What the fit looks at."""
    return crop_face(image, face.points, size, device="cpu")


class PhotographSource:
    """The photographs of a collection. Files that it lists as unreadable get rows too, after the others: none is lost.

    Args:
        photos: a `helpers.datasets.PhotoFolder` or `PhotoRecords`, or any sequence of `PhotoEntry`.
        kind: what to call it in the configuration.
        seed: of the detector.
        cut: makes the crop of an image, a face and a size in px.
        landmarks: a folder with the points of photographs, as `helpers.landmarks.file_beside` finds them; the detector looks
            at the others.
    """

    def __init__(
        self,
        photos: Sequence[PhotoEntry],
        kind: str,
        seed: int = 0,
        *,
        cut: Callable[[np.ndarray, Detection, int], FaceCrop] = fit_square,
        landmarks: str | Path | None = None,
    ):
        self.photos, self.kind, self.seed, self.cut, self.landmarks = photos, kind, seed, cut, landmarks
        self.unreadable = list(getattr(photos, "unreadable", ()))

    def __len__(self) -> int:
        return len(self.photos) + len(self.unreadable)

    def name(self, place: int) -> tuple[str, str]:
        """(id of the photograph, person)."""
        if place < len(self.photos):
            entry = self.photos[place]
            return entry.id, entry.person
        name = self.unreadable[place - len(self.photos)].id
        return name, name.rpartition("/")[0]

    def describe(self) -> dict:
        """Ids and people, in order, the seed of the detector, and the points that are given. Where they lie is not part of it."""
        digest = hashlib.sha256()
        for place in range(len(self)):
            digest.update(printable("\0".join(self.name(place))).encode() + b"\n")
        about = {
            "kind": self.kind,
            "photographs": len(self),
            "sha256": digest.hexdigest()[:16],
            "seed": self.seed,
        }
        return about if self.landmarks is None else {**about, "landmarks": self._given_points()}

    def _given_points(self) -> dict:
        digest, files = hashlib.sha256(), 0
        for entry in self.photos:
            if (file := self._landmark_file(entry)) is not None:
                digest.update(f"{entry.id}\n".encode() + file.read_bytes())
                files += 1
        return {"files": files, "sha256": digest.hexdigest()[:16]}

    def _landmark_file(self, entry: PhotoEntry) -> Path | None:
        return None if self.landmarks is None else file_beside(self.landmarks, entry.id)

    def load(self, places: Sequence[int], size: int) -> Loaded:
        """Crops of these photographs, and why others have none: see `CropSource.load`."""
        index, crops, confidence, failed = [], [], [], {}
        for place in places:
            try:
                image, face = self._face(place)
                crops.append(self.cut(image, face, size))
            except _NoFace as error:
                failed[place] = ("no_face", one_line(error))
            except Exception as error:  # broken files raise many kinds, and none may stop the others
                failed[place] = ("unreadable", one_line(error))
            else:
                index.append(place)
                confidence.append(face.confidence)
        return Loaded(
            index,
            stack_crops(crops) if crops else None,
            torch.tensor(confidence, dtype=torch.float32),
            failed,
        )

    def _face(self, place: int) -> tuple[np.ndarray, Detection]:
        if place >= len(self.photos):
            raise UserError(self.unreadable[place - len(self.photos)].reason)
        entry = self.photos[place]
        photo, file = entry.load(), self._landmark_file(entry)
        try:
            return photo.image, landmarks_for(photo, file, seed=self.seed)
        except UserError as error:
            raise _NoFace(str(error)) from error


class _NoFace(Exception):
    pass
