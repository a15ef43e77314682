"""What rows depend on, as one fingerprint: rows of two configurations must never be mixed in one folder."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace

import torch

from helpers.errors import UserError
from helpers.face_model import MorphableModel
from helpers.fitting import FitSettings
from helpers.fitting.settings import Level

FORMAT = 1  # of the rows; a change of their columns or of how they come about makes another one


@dataclass(frozen=True)
class LabelOptions:
    """How `label` works.

    Attributes:
        settings: of the fit; None for the default ones.
        size: px of the crop's side.
        batch: photographs fitted together.
        shard: photographs per file; None for what the folder has already, else a twentieth of them in whole batches, and at
            most 1000: what a stopped run loses is less than a file.
        workers: how many, see `helpers.labelling.workers.make_crew`; they change no row.
        engine: "local" or "ray", see `helpers.labelling.workers.make_crew`; it changes no row.
        device: where workers compute.
        seed: of all random numbers.
        start: of local processes, see `helpers.labelling.workers.local.LocalCrew`; it changes no row.
        joint: fit the photographs of a person together, by `helpers.fitting.fit_person`, as far as they go into one batch.

    Raises:
        UserError: for a batch or shard of less than one photograph, and a joint fit in batches of one.
    """

    settings: FitSettings | None = None
    size: int = 224
    batch: int = 32
    shard: int | None = None
    workers: int | None = None
    engine: str = "local"
    device: str = "cpu"
    seed: int = 0
    start: str = "spawn"
    joint: bool = False

    def __post_init__(self):
        if self.joint and self.batch < 2:
            raise UserError(f"batch {self.batch}: a joint fit takes several photographs at once, at least 2")
        for name in ("batch", "shard"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} {value}: at least 1 is expected")

    @property
    def fit_settings(self) -> FitSettings:
        """The settings of the fit, with the seed of the run."""
        return replace(self.settings or FitSettings(), seed=self.seed)


@dataclass(frozen=True)
class Configuration:
    """Everything that decides what is in the rows. How many workers there are, and where, is not part of it.

    Attributes:
        source: what it is, as `CropSource.describe` returns it.
        model: what it is, as `describe_model` returns it.
        size: px of the crop's side.
        batch: photographs fitted together.
        shard: photographs per file.
        settings: of the fit, as plain values.
        format: of the rows.
        device: the kind that computes, "cpu" or "cuda": their rows differ in the last digits.
        joint: whether the photographs of a person share one shape and one texture.
    """

    source: dict
    model: dict
    size: int
    batch: int
    shard: int
    settings: dict
    format: int = FORMAT
    device: str = "cpu"  # the kind of manifests that do not name one
    joint: bool = False

    @classmethod
    def of(cls, source: dict, model: MorphableModel, options: LabelOptions, shard: int) -> Configuration:
        """The configuration of a run.

        Args:
            source: what `CropSource.describe` returns.
            model: the face model.
            options: of `label`.
            shard: photographs per file.
        """
        return cls(
            source=_plain(source),
            model=describe_model(model),
            size=options.size,
            batch=options.batch,
            shard=shard,
            settings=_plain(asdict(options.fit_settings)),
            device=options.device.partition(":")[0],
            joint=options.joint,
        )

    def fingerprint(self) -> str:
        """A short name that another configuration does not have."""
        values = asdict(self)
        # So the shards of earlier versions keep their fingerprint.
        if self.device == "cpu":
            del values["device"]
        if not self.joint:
            del values["joint"]
        text = json.dumps(values, sort_keys=True, ensure_ascii=True)
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
    for name, mask in sorted((model.masks or {}).items()):
        digest.update(name.encode() + mask.detach().cpu().contiguous().numpy().tobytes())
    return {"name": model.name, "vertices": model.n_vertices, "sha256": digest.hexdigest()[:16]}


def _plain(values: dict) -> dict:
    """By way of JSON, so that what was read from a file compares equal with what was not."""
    return json.loads(json.dumps(values))


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"
