"""What a crew reports."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from helpers.labelling.labeller import Batch


@dataclass(frozen=True)
class Done:
    """A worker has answered.

    Attributes:
        worker: its number.
        batch: that it had.
        rows: one for each photograph of the batch.
    """

    worker: int
    batch: Batch
    rows: pa.Table


@dataclass(frozen=True)
class Died:
    """A worker is gone; the crew has called for another one in its place.

    Attributes:
        worker: its number.
        batches: that it had, none of them answered.
        cause: in a few words.
    """

    worker: int
    batches: list[Batch]
    cause: str


Event = Done | Died
