"""From rows to labels: one vector of coefficients per person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from helpers.errors import UserError
from helpers.files import write_in_one_step
from helpers.fitting import REASONS
from helpers.labelling.parquet import ROWS, WRITTEN, matrix, read_columns
from helpers.labelling.store import read_manifest, shard_files
from helpers.pooling import RULES, pool

LABELS = (
    "labels: make one with `python -m helpers pool DIR --out FILE`"  # what a file of them is, for messages
)
ROWS_AT_ONCE = 50_000  # pooling makes a few copies of what it is given


@dataclass(frozen=True)
class Labels:
    """Labels of P people.

    Attributes:
        person: P names, in order.
        coefficients: (P, K) float32, α and then β, in standard deviations.
        n_photos: (P,) photographs that count.
        n_excluded: (P,) photographs that do not.
        rule: how they were pooled.
        without: people of whom no photograph counts; they have no label.
    """

    person: list[str]
    coefficients: np.ndarray
    n_photos: np.ndarray
    n_excluded: np.ndarray
    rule: str
    without: tuple[str, ...] = ()


def pool_shards(
    folder: str | Path,
    rule: str = "confidence",
    *,
    by: str = "detector",
    also: Sequence[str] = (),
    partial: bool = False,
    there: Collection[str] | None = None,
) -> Labels:
    """Pool the rows of a folder by person.

    It needs memory for the coefficients of all rows, once (twice for "precision"), and for little besides.

    Args:
        folder: what `label` has written.
        rule: see `helpers.pooling.pool`; "precision" uses variances.
        by: whose confidence weighs, the "detector"'s (the paper) or the "fit"'s.
        also: reasons of doubtful fits that count all the same, such as "unconverged"; otherwise only good fits do.
        partial: pool what is there, of a run that is not finished.
        there: ids of the photographs that may count; None for all.

    Raises:
        UserError: for another rule, a folder without rows, and, unless `partial`, a run that is not finished. For the rule
            "precision" on rows of a joint fit, each of which knows what all photographs of its person tell.
    """
    if rule not in RULES:
        raise UserError(f"rule {rule!r}: one of {', '.join(RULES)} is expected")
    if by not in ("detector", "fit"):
        raise UserError(f"by {by!r}: detector or fit is expected")
    codes = _codes(also)
    if rule == "precision" and read_manifest(folder)[0].joint:
        raise UserError(
            f'{folder}: its rows come from joint fits, and "precision" would count every photograph once a row: '
            "pool by another rule, such as uniform"
        )
    files = _files(folder, partial)
    names, index, confidence, usable = _read_small(files, f"{by}_confidence", codes, there)
    # One array for all, filled file by file: no row is in memory twice.
    order = np.argsort(index, kind="stable")
    coefficients = _gather(files, ("alpha", "beta"), order)
    variances = _gather(files, ("variance_alpha", "variance_beta"), order) if rule == "precision" else None
    index, confidence, usable = index[order], confidence[order], usable[order]
    if rule in ("confidence", "ranking") and bool((confidence[usable] < 0).any()):
        raise UserError(f"{folder}: has negative confidences of the {by}; pool by another rule")
    pooled = np.empty((len(names), coefficients.shape[1]), np.float32)
    used, excluded = np.zeros(len(names), np.int32), np.zeros(len(names), np.int32)
    for rows in _cuts(index):
        some = pool(
            torch.from_numpy(coefficients[rows]),
            torch.from_numpy(index[rows]),
            rule,
            confidence=torch.from_numpy(confidence[rows]),
            ok=torch.from_numpy(usable[rows]),
            covariance=None if variances is None else torch.from_numpy(variances[rows]),
        )
        people = some.person.numpy()
        pooled[people], used[people], excluded[people] = (
            some.coefficients.numpy(),
            some.used.numpy(),
            some.excluded.numpy(),
        )
    has = used > 0
    return Labels(
        person=[str(name) for name in names[has]],
        coefficients=pooled[has],
        n_photos=used[has],
        n_excluded=excluded[has],
        rule=rule,
        without=tuple(str(name) for name in names[~has]),
    )


def write_labels(path: str | Path, labels: Labels) -> None:
    """Write labels as Parquet, with the columns person, coefficients, n_photos, n_excluded and rule."""
    K = labels.coefficients.shape[1]
    flat = pa.array(np.ascontiguousarray(labels.coefficients, np.float32).reshape(-1))
    table = pa.table(
        {
            "person": pa.array(labels.person, pa.string()),
            "coefficients": pa.FixedSizeListArray.from_arrays(flat, K),
            "n_photos": pa.array(labels.n_photos),
            "n_excluded": pa.array(labels.n_excluded),
            "rule": pa.array([labels.rule] * len(labels.person), pa.string()),
        }
    )
    write_in_one_step(path, lambda file: pq.write_table(table, file, **WRITTEN), durable=True)


def read_labels(path: str | Path) -> Labels:
    """Read what `write_labels` has written, or labels of other origin: `person` and `coefficients` are enough.

    Raises:
        UserError: for a file that is missing or holds no labels.
    """
    table = read_columns(
        path, ["person", "coefficients"], LABELS, optional=["n_photos", "n_excluded", "rule"]
    )

    def column(name: str, otherwise: Any) -> list:
        return table.column(name).to_pylist() if name in table.column_names else [otherwise] * len(table)

    rules = set(column("rule", ""))
    return Labels(
        person=table.column("person").to_pylist(),
        coefficients=matrix(table, "coefficients", path),
        n_photos=np.array(column("n_photos", 1)),
        n_excluded=np.array(column("n_excluded", 0)),
        rule=rules.pop() if len(rules) == 1 else "",
    )


def _codes(also: Sequence[str]) -> np.ndarray:
    known = {word: code for code, (word, _) in REASONS.items() if word}
    for word in also:
        if word not in known:
            raise UserError(f"reason {word!r}: one of {', '.join(known)} is expected")
    return np.array([0, *(known[word] for word in also)])


def _files(folder: str | Path, partial: bool) -> list[Path]:
    configuration, photographs = read_manifest(folder)
    files = list(shard_files(folder).values())
    wanted = -(-photographs // configuration.shard)
    if len(files) < wanted and not partial:
        raise UserError(
            f"{folder}: {len(files)} of {wanted} shards are there: finish the run of label, or pool a part with --partial"
        )
    if not files:
        raise UserError(f"{folder}: has no shards yet")
    return files


def _read_small(files: list[Path], confidence: str, codes: np.ndarray, there: Collection[str] | None):
    """Names of the people in order; and for each row the number of its person, its confidence, and whether it counts."""
    people, weights, usable = [], [], []
    for file in files:
        table = read_columns(file, ["person", confidence, "code", *([] if there is None else ["id"])], ROWS)
        people.append(table.column("person").combine_chunks().dictionary_encode())
        weights.append(matrix(table, confidence, file)[:, 0])
        usable.append(np.isin(table.column("code").to_numpy(), codes))
        if there is not None:
            usable[-1] &= np.array([name in there for name in table.column("id").to_pylist()], bool)
    together = pa.chunked_array(people).unify_dictionaries().combine_chunks()
    if isinstance(together, pa.ChunkedArray):
        together = together.chunk(0)
    names = np.array(together.dictionary.to_pylist(), dtype=object)
    rank = np.argsort(names.astype(str), kind="stable")
    place = np.empty_like(rank)
    place[rank] = np.arange(len(rank))
    index = place[together.indices.to_numpy(zero_copy_only=False)]
    return names[rank], index, np.concatenate(weights), np.concatenate(usable)


def _gather(files: list[Path], columns: tuple[str, str], order: np.ndarray) -> np.ndarray:
    """(N, K) both columns side by side, row `order[i]` of the files at place i."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    gathered, start = np.empty((len(order), 0), np.float32), 0
    for file in files:
        table = read_columns(file, columns, ROWS)
        rows = np.concatenate([matrix(table, name, file) for name in columns], 1)
        if not start:
            gathered = np.empty((len(order), rows.shape[1]), np.float32)
        gathered[place[start : start + len(rows)]] = rows
        start += len(rows)
    return gathered


def _cuts(index: np.ndarray):
    """Slices of about ROWS_AT_ONCE rows of the sorted `index` that part no person."""
    start = 0
    while start < len(index):
        stop = min(start + ROWS_AT_ONCE, len(index))
        if stop < len(index):
            first_of_the_last = int(np.searchsorted(index, index[stop]))
            stop = (
                first_of_the_last
                if first_of_the_last > start
                else int(np.searchsorted(index, index[stop], side="right"))
            )
        yield slice(start, stop)
        start = stop
