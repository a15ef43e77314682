"""Photographs of labelled people as a source: the paper's way, every picture of a person with the same pooled target.

`python -m helpers label` fits every photograph of a folder and writes rows; `pool` makes one label a person of them. The crop
is the authors' square about the landmarks. The rows hold the fitted face, pose and camera, so the 68 points follow from them:
no detector has to look again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.crop import authors_crop
from helpers.errors import UserError
from helpers.progress import progress_bar

POSE_COLUMNS = (
    "alpha",
    "expression",
    "rotation_vector",
    "translation",
    "focal",
    "principal_point",
    "crop_scale",
    "crop_origin",
)


@dataclass(frozen=True)
class LabelledPhoto:
    """One photograph: its name, whom it shows, how to read it, and its points (68, 2) in px."""

    id: str
    person: str
    load: object
    points: np.ndarray

    def crop(self, size: int) -> Tensor:
        """(S, S, 3): the authors' square."""
        return authors_crop(self.load(), SimpleNamespace(points=self.points), size).image[0]


@dataclass
class FolderSource:
    """Labelled photographs.  entries: `LabelledPhoto`s.  targets: (N, K), one row each.  size: px of the crops."""

    entries: list[LabelledPhoto]
    targets: Tensor
    size: int
    endless: bool = False

    def __len__(self) -> int:
        return len(self.entries)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        images = torch.stack([self.entries[int(i)].crop(self.size) for i in indices])
        return images, self.targets[indices]

    @property
    def people(self) -> set[str]:
        return {entry.person for entry in self.entries}


def read_folder(
    photos,
    labels: str | Path,
    rows: str | Path | None,
    size: int,
    held_out: int,
    seed: int = 0,
    model=None,
    *,
    talks: bool = True,
) -> tuple[FolderSource, FolderSource]:
    """Photographs to train on, and those of `held_out` other people to validate on.

    photos: a folder with one folder a person, a RecordIO file NAME.rec, or any collection of `PhotoEntry`s.
    labels: the Parquet file that `pool` wrote.
    rows: the folder (or one file) that `label` wrote; with None faces are looked for in every photograph, once, here.
    model: the face model of labels and rows, by default the open one.  talks: whether a progress bar is shown.
    Photographs of people without a label, and those without a face or a usable fit, are left out.

    Which people are held out follows from the seed and their names alone. Raises UserError for files that do not fit together.
    """
    model = _open_model() if model is None else model
    entries = _entries(photos)
    persons, targets = read_labels(labels)
    if targets.shape[1] != len(model.shape_std) + len(model.texture_std):
        raise UserError(
            f"{labels}: {targets.shape[1]} numbers a person, {model.name} has {len(model.shape_std)} of shape and "
            f"{len(model.texture_std)} of texture: name the --model that the rows were fitted with"
        )
    place = {person: number for number, person in enumerate(persons)}
    known = [e for e in entries if e.person in place]
    points = _looked_for(known, talks) if rows is None else landmarks_of_rows(rows, model)
    usable = [e for e in known if e.id in points]
    people = sorted({e.person for e in usable})
    if not people:
        raise UserError(f"{labels}: no label is of a person in {photos}: make both from the same folder")
    if not 1 <= held_out < len(people):
        raise UserError(
            f"--held-out {held_out}: there are {len(people)} labelled people; keep some to train on, and hold out at least 1"
        )
    order = torch.randperm(len(people), generator=torch.Generator().manual_seed(seed))
    aside = {people[i] for i in order[:held_out].tolist()}

    def part(chosen) -> FolderSource:
        found = [LabelledPhoto(e.id, e.person, e.load, points[e.id]) for e in usable if chosen(e.person)]
        return FolderSource(found, targets[[place[e.person] for e in found]], size)

    return part(lambda person: person not in aside), part(lambda person: person in aside)


def _entries(photos):
    if not isinstance(photos, str | Path):
        return list(photos)
    from helpers.datasets import PhotoFolder, PhotoRecords

    return list(PhotoRecords(photos) if Path(photos).suffix == ".rec" else PhotoFolder(photos))


def _open_model():
    from helpers.face_model import load

    return load("open", level=0)


def _looked_for(entries, talks: bool) -> dict[str, np.ndarray]:
    """Photograph's name to the points (68, 2) px of its face. Those that cannot be read, or show no face, are left out."""
    from helpers.landmarks import landmarks_for

    found, without = {}, []
    for entry in progress_bar(entries, "looking for faces", unit="photo", shown=talks):
        try:
            found[entry.id] = landmarks_for(entry.load()).points
        except UserError as error:
            without.append(str(error))
    if without and not found:
        raise UserError(f"no photograph can be used; the first: {without[0]}")
    if without and talks:
        print(
            f"{len(without)} of {len(entries)} photographs are left out; the first: {without[0]}",
            file=sys.stderr,
        )
    return found


def read_labels(path: str | Path) -> tuple[list[str], Tensor]:
    """Names of the people, and their coefficients (P, K)."""
    table = _read_table(path, ["person", "coefficients"], "labels: make one with `python -m helpers pool`")
    targets = _matrix(table, "coefficients", path)
    if not torch.isfinite(targets).all():
        raise UserError(f"{path}: has coefficients that are not numbers: pool again")
    return table.column("person").to_pylist(), targets


def landmarks_of_rows(path: str | Path, model=None) -> dict[str, np.ndarray]:
    """Photograph's name to its 68 points (68, 2) px, where the fitted face has them. Failed fits are left out."""
    path = Path(path)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: holds no rows: make them with `python -m helpers label`")
    model = _open_model() if model is None else model
    found: dict[str, np.ndarray] = {}
    for file in files:
        table = _read_table(file, ["id", *POSE_COLUMNS], "rows: make them with `python -m helpers label`")
        numbers = [_matrix(table, name, file) for name in POSE_COLUMNS]
        expressions = 0 if model.expression_std is None else len(model.expression_std)
        for what, column, most in (
            ("shape", numbers[0], len(model.shape_std)),
            ("expression", numbers[1], expressions),
        ):
            if column.shape[1] > most:
                raise UserError(
                    f"{file}: {column.shape[1]} modes of {what}, {model.name} has {most}: name the --model of the rows"
                )
        points = _points(*numbers, model)
        for name, row in zip(table.column("id").to_pylist(), points.numpy(), strict=True):
            if np.isfinite(row).all():
                found[name] = row
    return found


def _points(alpha, expression, rotation, translation, focal, principal_point, scale, origin, model) -> Tensor:
    """(N, 68, 2) px of the photographs."""
    chosen = model.landmarks
    mean = model.mean_shape[chosen].reshape(-1)
    vertices = (
        mean
        + (alpha * model.shape_std[: alpha.shape[1]])
        @ model.shape_basis[chosen, :, : alpha.shape[1]].flatten(0, 1).T
    )
    if expression.shape[1]:
        count = expression.shape[1]
        vertices = (
            vertices
            + (expression * model.expression_std[:count])
            @ model.expression_basis[chosen, :, :count].flatten(0, 1).T
        )
    camera = Camera(focal[:, 0], principal_point, (1, 1))
    in_crop = project(
        model_to_camera(vertices.view(-1, len(chosen), 3), Pose(rotation, translation)), camera
    )[..., :2]
    return in_crop / scale[:, :, None] + origin[:, None]


def _read_table(path: str | Path, columns: list[str], what: str):
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=columns)
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise KeyError(missing[0])
        return table
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file of {what}") from error
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: is no file of {what} ({str(error).splitlines()[0]})") from error


def _matrix(table, name: str, path: str | Path) -> Tensor:
    """A column of numbers, or of lists of equal length, as (N, K) float32."""
    try:
        return torch.from_numpy(np.array(table.column(name).to_pylist(), np.float32).reshape(len(table), -1))
    except ValueError as error:
        raise UserError(f"{path}: column {name}: numbers, or lists of one length, are expected") from error
