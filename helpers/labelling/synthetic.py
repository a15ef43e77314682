"""Rendered people as a source: the truth is known, and the detector simulated."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from helpers.crop import FaceCrop
from helpers.datasets import SyntheticPeople
from helpers.face_model import MorphableModel
from helpers.labelling.configuration import describe_model
from helpers.labelling.crop_source import Loaded

DRAWING = 2  # how people are drawn from a seed; a change makes another number, and so another configuration


class SyntheticSource:
    """`photos` photographs of each of `people` people, drawn when they are asked for.

    Args:
        model: the face model.
        people: how many.
        photos: photographs per person.
        seed: see `helpers.datasets.SyntheticPeople`.
        size: px.
    """

    def __init__(self, model: MorphableModel, people: int, photos: int, *, seed: int = 0, size: int = 224):
        self.people = SyntheticPeople(model, people, photos, seed=seed, size=size, framing="fit")
        self.photos_each, self.size = photos, size
        self.about = {
            "kind": "synthetic",
            "drawing": DRAWING,
            "people": people,
            "photographs": photos,
            "seed": seed,
            "of": describe_model(model),
        }

    def __len__(self) -> int:
        return len(self.people)

    def name(self, place: int) -> tuple[str, str]:
        """(id of the photograph, person)."""
        person, photo = divmod(place, self.photos_each)
        return f"{person:06d}/{photo:04d}", f"{person:06d}"

    def describe(self) -> dict:
        """How many people and photographs, their seed and their model."""
        return self.about

    def load(self, places: Sequence[int], size: int) -> Loaded:
        """Draw these photographs: see `CropSource.load`. Raises ValueError for another size than they are drawn at."""
        if size != self.size:
            raise ValueError(f"the photographs are drawn at {self.size} px, asked for are {size}")
        drawn = self.people.batch(torch.tensor(list(places)))
        B = len(places)
        crop = FaceCrop(
            drawn.image, torch.ones(drawn.image.shape[:3]), drawn.landmarks, torch.ones(B), torch.zeros(B, 2)
        )
        return Loaded(list(places), crop, drawn.confidence)
