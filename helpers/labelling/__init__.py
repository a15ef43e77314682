"""The label factory: many photographs of many people become rows of coefficients, one per photograph.

    source → batches → workers (detect, crop, fit) → rows → shards on disk → `pool_shards` → one label per person

`label` runs it, and goes on where an earlier run was stopped. Batches are the unit of work and are the same however many
workers there are, so one process, several, or a Ray cluster write the same rows, on GPUs but for the last digits. Only the
process that calls `label` writes.
"""

from helpers.labelling.configuration import Configuration, LabelOptions, quick_settings
from helpers.labelling.crop_source import CropSource, Loaded
from helpers.labelling.factory import Summary, label
from helpers.labelling.labels import pool_shards, read_labels
from helpers.labelling.rows import read_rows
from helpers.labelling.sources import open_source
from helpers.labelling.store import Store

__all__ = [
    "Configuration",
    "LabelOptions",
    "Loaded",
    "CropSource",
    "Store",
    "Summary",
    "label",
    "open_source",
    "pool_shards",
    "quick_settings",
    "read_labels",
    "read_rows",
]
