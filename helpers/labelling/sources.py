"""Where photographs come from: a folder, a RecordIO file, or rendered people. All give the same: crops with points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from helpers.crop import FaceCrop
from helpers.errors import UserError
from helpers.face_model import MorphableModel

SYNTHETIC = re.compile(r"synthetic:(\d+)x(\d+)")


@dataclass(frozen=True)
class Loaded:
    """The photographs of one batch that can be fitted, and why the others cannot.

    index: places in the source, one a crop.  crop: B faces, or None if there is none.
    confidence: (B,) of the detector.  failed: place → (one word, one sentence).
    """

    index: list[int]
    crop: FaceCrop | None
    confidence: Tensor
    failed: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self):
        if len(self.index) != (0 if self.crop is None else len(self.crop)) or len(self.confidence) != len(
            self.index
        ):
            raise ValueError(
                f"{len(self.index)} places, {self.confidence.shape} confidences and the crops do not match"
            )

    def only(self, places: list[int]) -> Loaded:
        """The same for some of `index`, in the order given."""
        rows = torch.tensor([self.index.index(place) for place in places], dtype=torch.long)
        crop = (
            FaceCrop(*(getattr(self.crop, name)[rows] for name in FaceCrop.__dataclass_fields__))
            if places
            else None
        )
        return Loaded(list(places), crop, self.confidence[rows])


class Source(Protocol):
    """A numbered list of photographs. It is sent to workers, so it must be picklable.

    `load` gives the same for the same places, whatever was loaded before, and raises for no photograph: a bad one is
    listed in `failed`.
    """

    def __len__(self) -> int: ...

    def name(self, place: int) -> tuple[str, str]:
        """(id of the photograph, person)."""

    def describe(self) -> dict:
        """What this source is, in plain values: part of the configuration."""

    def load(self, places: Sequence[int], size: int) -> Loaded: ...


def open_source(spec: str, *, model: MorphableModel, size: int = 224, seed: int = 0) -> Source:
    """The source that `spec` names: a folder PERSON/PHOTO.jpg, a RecordIO file NAME.rec, or "synthetic:PEOPLExPHOTOS".

    Raises UserError for anything else, and for a source without photographs.
    """
    match = SYNTHETIC.fullmatch(str(spec))
    if match:
        from helpers.labelling.synthetic import SyntheticSource

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
    from helpers.datasets import PhotoFolder, PhotoRecords
    from helpers.labelling.photographs import PhotographSource

    return (
        PhotographSource(PhotoFolder(path), "folder", seed)
        if path.is_dir()
        else PhotographSource(PhotoRecords(path), "records", seed)
    )
