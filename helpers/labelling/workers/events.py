"""What a crew reports."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from helpers.labelling.labeller import Batch


@dataclass(frozen=True)
class Done:
    """A worker has answered."""

    worker: int
    batch: Batch
    rows: pa.Table


@dataclass(frozen=True)
class Died:
    """A worker is gone, with the batches that it had; the crew has called for another one in its place."""

    worker: int
    batches: list[Batch]
    cause: str


Event = Done | Died
