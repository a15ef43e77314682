"""Labelled coefficients: which photograph, which person, which 198 numbers. From Parquet, NPZ or a folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.evaluation.recognition import Pairs
from helpers.labelling.parquet import matrix, read_columns


@dataclass(frozen=True)
class Labelled:
    """Coefficients of photographs of known people.

    Attributes:
        vectors: (N, K), α then β.
        person: (N,) numbers from 0.
        people: Their names.
        names: Of the photographs, without ending.
    """

    vectors: Tensor
    person: Tensor
    people: list[str]
    names: list[str]


def read_labelled(path: str | Path) -> Labelled:
    """Read coefficients with their people.

    A Parquet file, or a folder of them, with the columns `person` and `coefficients`, or `alpha` and `beta`, and
    optionally `id`, as `label` and `pool` write them; in a folder of `label` its shards are read. Or a folder of
    the .npz files that `fit` and `predict` write: the person is the folder that a file lies in (PERSON/PHOTO.npz), or
    else its name up to the last underscore (PERSON_0001.npz). Rows without a person, and rows with numbers that are not
    finite (photographs that could not be fitted), are left out; doubtful fits are not.

    Args:
        path: The file or folder.

    Raises:
        UserError: For a path without such files, for files that cannot be read, and for fewer than two people.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or folder")
    if path.is_file() and path.suffix.lower() != ".parquet":
        raise UserError(f"{path}: a Parquet file or a folder is expected")
    tables = (
        [path] if path.is_file() else sorted(path.rglob("shard-*.parquet")) or sorted(path.rglob("*.parquet"))
    )
    parts = [_parquet(table) for table in tables] or [
        _npz(file, path) for file in sorted(path.rglob("*.npz"))
    ]
    if not parts:
        raise UserError(
            f"{path}: no labelled coefficients: .parquet files of `label`, or .npz files of `fit`, are expected"
        )
    sizes = {vectors.shape[1] for *_, vectors in parts}
    if len(sizes) > 1:
        raise UserError(
            f"{path}: vectors of {' and '.join(map(str, sorted(sizes)))} coefficients cannot be compared"
        )
    vectors = np.concatenate([part[2] for part in parts])
    names, persons = ([text for part in parts for text in part[k]] for k in (0, 1))
    good = np.isfinite(vectors).all(1) & np.array([bool(person) for person in persons], bool)
    people, person = np.unique(
        np.array([p for p, keep in zip(persons, good, strict=True) if keep], str), return_inverse=True
    )
    if len(people) < 2:
        raise UserError(f"{path}: {len(people)} person in it; telling people apart needs two or more")
    return Labelled(
        torch.from_numpy(vectors[good]),
        torch.from_numpy(person.astype(np.int64)),
        people.tolist(),
        [name for name, keep in zip(names, good, strict=True) if keep],
    )


def read_pairs(path: str | Path, labelled: Labelled) -> Pairs:
    """Read pairs in the layout of LFW's `pairs.txt`.

    First line: number of folds and of pairs of each kind in a fold. Then for each fold its pairs of one person, "NAME a b",
    and its pairs of two people, "NAME a OTHER b", divided by tabs or spaces. The photograph a of NAME is called
    NAME_000a, as in LFW.

    Args:
        path: The file.
        labelled: The photographs.

    Returns:
        The pairs, as numbers of photographs of `labelled`.

    Raises:
        UserError: With the line, for a file in another layout and for photographs without coefficients.
    """
    path = Path(path)
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no readable list of pairs") from error
    try:
        folds, count = (int(word) for word in (lines[0] if len(lines[0]) == 2 else ["1", lines[0][0]]))
    except (ValueError, IndexError) as error:
        raise UserError(
            f"{path}: line 1 must hold the numbers of folds and pairs, as LFW's pairs.txt does"
        ) from error
    if len(lines) != 1 + 2 * folds * count:
        raise UserError(
            f"{path}: {folds} folds of 2 × {count} pairs are announced, but {len(lines) - 1} lines follow"
        )
    place = {name: k for k, name in enumerate(labelled.names)}
    first, second, same = [], [], []
    for number, words in enumerate(lines[1:], 2):
        if len(words) not in (3, 4) or not all(word.isdecimal() for word in (words[1], words[-1])):
            raise UserError(f"{path}: line {number}: expected 'NAME a b' or 'NAME a OTHER b'")
        names = [
            f"{words[0]}_{int(words[1]):04d}",
            f"{words[-2] if len(words) == 4 else words[0]}_{int(words[-1]):04d}",
        ]
        for name in names:
            if name not in place:
                raise UserError(f"{path}: line {number}: there are no coefficients of the photograph {name}")
        first.append(place[names[0]])
        second.append(place[names[1]])
        same.append(len(words) == 3)
    fold = torch.arange(folds).repeat_interleave(2 * count)
    return Pairs(torch.tensor(first), torch.tensor(second), torch.tensor(same), fold)


def _parquet(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """Names of photographs, people ("" where unknown) and vectors (N, K) float32 of one file."""
    what = "labelled coefficients: the columns person and coefficients (or alpha and beta) are expected"
    table = read_columns(path, ["person"], what, optional=("id", "coefficients", "alpha", "beta"))
    columns = set(table.column_names)
    halves = ["coefficients"] if "coefficients" in columns else ["alpha", "beta"]
    if not set(halves) <= columns:
        raise UserError(f"{path}: is no file of {what}")
    vectors = np.concatenate([matrix(table, half, path) for half in halves], 1)
    people = ["" if p is None else str(p) for p in table.column("person").to_pylist()]
    if "id" not in columns:
        return [f"{path.stem}_{n}" for n in range(len(people))], people, vectors
    return [Path(str(name)).stem for name in table.column("id").to_pylist()], people, vectors


def _npz(path: Path, root: Path) -> tuple[list[str], list[str], np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            vector = np.concatenate([file["alpha"], file["beta"]]).astype(np.float32)
    except Exception as error:  # damaged files raise many kinds
        raise UserError(f"{path}: no readable result of `fit`: {' '.join(str(error).split())}") from error
    person, _, number = path.stem.rpartition("_")
    if path.parent != root:
        person = path.parent.name
    elif not (person and number.isdecimal()):
        person = path.stem
    return [path.stem], [person], vector[None]
