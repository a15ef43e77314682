"""Labelled coefficients: which photograph, which person, which 198 numbers. From Parquet, NPZ or a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.evaluation.recognition import Pairs


@dataclass(frozen=True)
class Labelled:
    """vectors: (N, K) coefficients, α then β.  person: (N,) numbers from 0.  people: their names.  names: of the photographs,
    without ending."""

    vectors: Tensor
    person: Tensor
    people: list[str]
    names: list[str]


def read_labelled(path: str | Path) -> Labelled:
    """Coefficients with their people.

    A Parquet file, or a folder of Parquet files, with the columns `person` and `coefficients`, or `alpha` and `beta`, and
    optionally `id`; rows whose column `ok` is false, or with numbers that are not finite, are left out. Or a folder of
    the .npz files that `fit` and `predict` write: the person is the folder that a file lies in (PERSON/PHOTO.npz), or
    else its name up to the last underscore (PERSON_0001.npz).

    Raises UserError for a path without such files, for files that cannot be read, and for fewer than two people.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    tables = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if path.is_file() and path.suffix.lower() != ".parquet":
        raise UserError(f"{path}: a Parquet file or a folder is expected")
    rows = [row for table in tables for row in _parquet_rows(table)]
    if not tables:
        rows = [_npz_row(file, path) for file in sorted(path.rglob("*.npz"))]
    if not rows:
        raise UserError(f"{path}: no labelled coefficients: .parquet files of `label`, or .npz files of `fit`, are expected")
    sizes = {len(vector) for _, _, vector in rows}
    if len(sizes) > 1:
        raise UserError(f"{path}: vectors of {' and '.join(map(str, sorted(sizes)))} coefficients cannot be compared")
    rows = [row for row in rows if np.isfinite(row[2]).all()]
    people = sorted({person for _, person, _ in rows})
    if len(people) < 2:
        raise UserError(f"{path}: {len(people)} person in it; telling people apart needs two or more")
    number = {name: k for k, name in enumerate(people)}
    return Labelled(
        torch.from_numpy(np.stack([vector for *_, vector in rows]).astype(np.float32)),
        torch.tensor([number[person] for _, person, _ in rows]), people, [name for name, *_ in rows],
    )  # fmt: skip


def read_pairs(path: str | Path, labelled: Labelled) -> Pairs:
    """The pairs of a file in the layout of LFW's `pairs.txt`, as numbers of photographs of `labelled`.

    First line: number of folds and of pairs of each kind in a fold. Then for each fold its pairs of one person, "NAME a b",
    and its pairs of two people, "NAME a OTHER b", divided by tabs or spaces. The photograph a of NAME is called
    NAME_000a, as in LFW.

    Raises UserError, with the line, for a file in another layout and for photographs without coefficients.
    """
    path = Path(path)
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no readable list of pairs") from error
    try:
        folds, count = (int(word) for word in (lines[0] if len(lines[0]) == 2 else ["1", lines[0][0]]))
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}: line 1 must hold the numbers of folds and pairs, as LFW's pairs.txt does") from error
    if len(lines) != 1 + 2 * folds * count:
        raise UserError(f"{path}: {folds} folds of 2 × {count} pairs are announced, but {len(lines) - 1} lines follow")
    place = {name: k for k, name in enumerate(labelled.names)}
    first, second, same = [], [], []
    for number, words in enumerate(lines[1:], 2):
        if len(words) not in (3, 4) or not all(word.isdecimal() for word in (words[1], words[-1])):
            raise UserError(f"{path}: line {number}: expected 'NAME a b' or 'NAME a OTHER b'")
        names = [f"{words[0]}_{int(words[1]):04d}", f"{words[-2] if len(words) == 4 else words[0]}_{int(words[-1]):04d}"]
        for name in names:
            if name not in place:
                raise UserError(f"{path}: line {number}: there are no coefficients of the photograph {name}")
        first.append(place[names[0]])
        second.append(place[names[1]])
        same.append(len(words) == 3)
    fold = torch.arange(folds).repeat_interleave(2 * count)
    return Pairs(torch.tensor(first), torch.tensor(second), torch.tensor(same), fold)


def _parquet_rows(path: Path) -> list[tuple[str, str, np.ndarray]]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{path}: no readable Parquet file: {' '.join(str(error).split())[:120]}") from error
    columns = set(table.column_names)
    halves = ["coefficients"] if "coefficients" in columns else ["alpha", "beta"]
    if "person" not in columns or not set(halves) <= columns:
        raise UserError(f"{path}: the columns person and coefficients (or alpha and beta) are expected, got {', '.join(sorted(columns))}")
    kept = ["person", *halves, *(name for name in ("id", "ok") if name in columns)]
    rows = table.select(kept).to_pylist()
    out = []
    for number, row in enumerate(rows):
        if not row.get("ok", True) or any(row[half] is None for half in halves):
            continue
        vector = np.concatenate([np.asarray(row[half], np.float64) for half in halves])
        out.append((Path(str(row.get("id", f"{path.stem}_{number}"))).stem, str(row["person"]), vector))
    return out


def _npz_row(path: Path, root: Path) -> tuple[str, str, np.ndarray]:
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as file:
            vector = np.concatenate([file["alpha"], file["beta"]]).astype(np.float64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: no readable result of `fit`: {' '.join(str(error).split())}") from error
    if path.parent != root:
        return path.stem, path.parent.name, vector
    person, _, number = path.stem.rpartition("_")
    return path.stem, person if person and number.isdecimal() else path.stem, vector
