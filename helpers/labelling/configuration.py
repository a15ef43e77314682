"""What rows depend on, as one fingerprint: rows of two configurations must never be mixed in one folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields

import torch

from helpers.face_model import MorphableModel
from helpers.fitting import FitSettings
from helpers.fitting.settings import Level

FORMAT = 1  # of the rows; a change of their columns or of how they come about makes another one


@dataclass(frozen=True)
class Configuration:
    """Everything that decides what the rows say. How many workers there are, where and on what device, is not part of it.

    source, model: what they are, as `CropSource.describe` and `describe_model` say.  size: px of the crop's side.
    batch: photographs fitted together.  shard: photographs a file.  settings: of the fit, as plain values.
    """

    source: dict
    model: dict
    size: int
    batch: int
    shard: int
    settings: dict
    format: int = FORMAT

    @classmethod
    def of(
        cls, source: dict, model: MorphableModel, *, size: int, batch: int, shard: int, settings: FitSettings
    ):
        # By way of JSON, so that what was read from a file compares equal with what was not.
        plain = json.loads(json.dumps(asdict(settings)))
        return cls(json.loads(json.dumps(source)), describe_model(model), size, batch, shard, plain)

    def fingerprint(self) -> str:
        """A short name that another configuration does not have."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def differences(self, other: Configuration) -> list[str]:
        """What differs, as "name: this value, that value", for a message."""
        found = []
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(mine, dict) and isinstance(theirs, dict):
                for key in sorted(mine.keys() | theirs.keys()):
                    if mine.get(key) != theirs.get(key):
                        found.append(
                            f"{field.name} {key}: {_short(mine.get(key))}, not {_short(theirs.get(key))}"
                        )
            elif mine != theirs:
                found.append(f"{field.name}: {_short(mine)}, not {_short(theirs)}")
        return found


def quick_settings() -> FitSettings:
    """A fraction of the default fit's cost, for trying out: two levels of the search for four, and fewer points."""
    return FitSettings(
        schedule=(Level(2.0, 4, 300), Level(0.0, 4, 600)), landmark_iterations=5, noise_from_level=1
    )


def describe_model(model: MorphableModel) -> dict:
    """Name, size and a checksum of all numbers that a fit reads."""
    digest = hashlib.sha256()
    names = (
        "mean_shape",
        "shape_basis",
        "shape_std",
        "mean_texture",
        "texture_basis",
        "texture_std",
        "expression_basis",
        "expression_std",
        "triangles",
        "landmarks",
    )
    for name in names:
        value = getattr(model, name)
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    for name in sorted(model.masks or {}):
        digest.update(name.encode() + model.masks[name].detach().cpu().contiguous().numpy().tobytes())
    return {"name": model.name, "vertices": model.n_vertices, "sha256": digest.hexdigest()[:16]}


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"
