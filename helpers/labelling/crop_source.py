"""What the factory asks of a source of photographs: crops with points, by their place in the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from helpers.crop import FaceCrop


@dataclass(frozen=True)
class Loaded:
    """The photographs of one batch that can be fitted, and why the others cannot.

    Attributes:
        index: places in the source, one per crop.
        crop: B faces, or None if there is none.
        confidence: (B,) of the detector.
        failed: place → (one word, one sentence).
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

    @property
    def faces(self) -> FaceCrop:
        """`crop`, of which there must be at least one. Raises ValueError if there is none."""
        if self.crop is None:
            raise ValueError("none of these photographs can be fitted")
        return self.crop

    def only(self, places: list[int]) -> Loaded:
        """The same for some of `index`, in the order given."""
        rows = torch.tensor([self.index.index(place) for place in places], dtype=torch.long)
        crop = None
        if places:
            crop = FaceCrop(*(getattr(self.faces, name)[rows] for name in FaceCrop.__dataclass_fields__))
        return Loaded(list(places), crop, self.confidence[rows])


class CropSource(Protocol):
    """A numbered list of photographs. It is sent to workers, so it must be picklable."""

    def __len__(self) -> int: ...

    def name(self, place: int) -> tuple[str, str]:
        """(id of the photograph, person)."""

    def describe(self) -> dict:
        """What this source is, in plain values: part of the configuration."""

    def load(self, places: Sequence[int], size: int) -> Loaded:
        """The photographs of these places.

        It gives the same for the same places, whatever was loaded before, and raises for no photograph: a bad one is
        listed in `Loaded.failed`.

        Args:
            places: in the list, 0 to len − 1.
            size: px of the crop's side.
        """
        ...
