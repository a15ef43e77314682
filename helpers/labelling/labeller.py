"""The work on one batch: load, fit, make rows. Every worker has one of these, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import torch

from helpers.datasets.photo_source import printable
from helpers.device import can_compute
from helpers.errors import UserError
from helpers.face_model import MorphableModel
from helpers.fitting import FitModel, FitResult, FitSettings, fit, fit_person
from helpers.fitting.light_models import LIGHT_MODELS
from helpers.labelling.crop_source import CropSource, Loaded
from helpers.labelling.rows import fitted_rows, quarantined_rows, row_schema


@dataclass(frozen=True)
class Batch:
    """Photographs that are fitted together.

    Attributes:
        shard: number of the shard that the rows belong to.
        number: which part of it.
        places: in the source, in order.
        poison: places that must not be tried again → (one word, one sentence).
        probe: only to see whether a worker survives it; the rows are thrown away.
    """

    shard: int
    number: int
    places: tuple[int, ...]
    poison: dict[int, tuple[str, str]] = field(default_factory=dict)
    probe: bool = False


@dataclass(frozen=True)
class Job:
    """What every worker is given at its start.

    Attributes:
        source: the photographs.
        model: the face model, on the CPU.
        settings: of the fit.
        size: px of the crop's side.
        device: where the worker computes.
        joint: fit the photographs of a person together.
    """

    source: CropSource
    model: MorphableModel
    settings: FitSettings
    size: int
    device: str = "cpu"
    joint: bool = False


class DeviceLost(UserError):
    """The GPU has failed, and no call of this process can use it any more: the worker must end."""


class Labeller:
    """Turns batches into rows.

    The rows of a batch depend on the batch alone. A photograph that makes the fit raise is quarantined, and the others
    of its batch are fitted without it.

    Args:
        job: what to do.
    """

    def __init__(self, job: Job):
        self.job = job
        self.model = FitModel(job.model.to(job.device))
        layout = self.model.layout
        light = LIGHT_MODELS[job.settings.light_model].n_light
        self.schema = row_schema(layout.n_shape, layout.n_texture, layout.n_expression, light)

    def load(self, batch: Batch) -> Loaded:
        """The part that the CPU does: read, detect, crop. May run while an earlier batch is being fitted."""
        places = [place for place in batch.places if place not in batch.poison]
        if not places:
            return Loaded([], None, torch.zeros(0))
        try:
            return self.job.source.load(places, self.job.size)
        except Exception as error:
            self._refuse_what_is_no_photographs_fault(error, len(places))
            return self._load_one_by_one(places)

    def rows(self, batch: Batch, loaded: Loaded) -> pa.Table:
        """One row for each of the batch's photographs, in order."""
        failed = {**loaded.failed, **batch.poison}
        good, result = self._fit(loaded, failed) if loaded.index else (loaded, None)
        name = self.job.source.name
        tables = []
        if result is not None:
            tables.append(fitted_rows(good, result, [name(place) for place in good.index]))
        if failed:
            tables.append(quarantined_rows(failed, [name(place) for place in failed], self.schema))
        return pa.concat_tables(
            [table.select(self.schema.names).cast(self.schema) for table in tables]
        ).sort_by("index")

    def label(self, batch: Batch) -> pa.Table:
        """Load and fit a batch: one row for each of its photographs, in order."""
        return self.rows(batch, self.load(batch))

    def _load_one_by_one(self, places: list[int]) -> Loaded:
        """For a source that raises, though it should not: each photograph that makes it raise is quarantined."""
        good, failed = [], {}
        for place in places:
            try:
                self.job.source.load([place], self.job.size)
                good.append(place)
            except Exception as error:
                self._refuse_what_is_no_photographs_fault(error, 1)
                failed[place] = ("unreadable", one_line(error))
        loaded = self.job.source.load(good, self.job.size) if good else Loaded([], None, torch.zeros(0))
        return Loaded(loaded.index, loaded.crop, loaded.confidence, {**loaded.failed, **failed})

    def _fit(self, loaded: Loaded, failed: dict) -> tuple[Loaded, FitResult | None]:
        """The fit of all that can be fitted; `failed` takes up the others."""
        try:
            return loaded, self._fit_together(loaded)
        except Exception as error:
            self._refuse_what_is_no_photographs_fault(error, len(loaded.index))
            for place in loaded.index:
                try:
                    self._fit_together(loaded.only([place]))
                except Exception as its_error:
                    self._refuse_what_is_no_photographs_fault(its_error, 1)
                    failed[place] = ("error", one_line(its_error))
            rest = [place for place in loaded.index if place not in failed]
            if len(rest) == len(loaded.index):
                raise UserError(
                    f"a batch of {len(rest)} cannot be fitted, though each of its photographs can: {one_line(error)}"
                ) from error
        good = loaded.only(rest)
        return good, self._fit_together(good) if rest else None

    def _fit_together(self, loaded: Loaded) -> FitResult:
        crop, settings = loaded.faces.to(self.job.device), self.job.settings
        if not self.job.joint:
            return fit(crop.image, crop.landmarks, self.model, valid=crop.valid, settings=settings)
        people = [self.job.source.name(place)[1] for place in loaded.index]
        person = torch.tensor([people.index(name) for name in people], device=crop.image.device)
        return fit_person(
            crop.image, crop.landmarks, self.model, person=person, valid=crop.valid, settings=settings
        ).photographs

    def _refuse_what_is_no_photographs_fault(self, error: Exception, count: int) -> None:
        if isinstance(error, DeviceLost):
            raise error
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            raise UserError(
                f"the memory is full with {count} photographs at once: take a smaller --batch, in a new folder"
            ) from error
        if not can_compute(self.job.device):
            raise DeviceLost(
                f"{self.job.device}: has failed and needs a new process ({one_line(error)}): run the same command again"
            ) from error


def one_line(error: BaseException) -> str:
    """An error in one line, never empty."""
    return printable(" ".join(str(error).split()) or type(error).__name__)
