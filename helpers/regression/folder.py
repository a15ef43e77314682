"""Photographs of labelled people as a source: the paper's way, every picture of a person with the same pooled target.

`python -m helpers label` fits every photograph of a folder and writes rows; `pool` makes one label per person of them. The crop
is the authors' square about the landmarks. The rows hold the fitted face, pose and camera, so the 68 points follow from them:
no detector has to look again.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.crop import FaceCrop, authors_crop
from helpers.datasets import PhotoEntry, PhotoFolder, PhotoRecords
from helpers.errors import UserError
from helpers.face_model import MorphableModel, load
from helpers.labelling.labels import read_labels
from helpers.labelling.left_out import grouped, left_out_table
from helpers.labelling.parquet import matrix, read_columns
from helpers.landmarks import Detection, landmarks_for
from helpers.photo import Photo
from helpers.progress import progress_bar

MOST_HELD_OUT = 400  # people
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
    """One photograph.

    Attributes:
        id: Its name.
        person: Whom it shows.
        load: Reads it.
        points: (68, 2) px.
    """

    id: str
    person: str
    load: Callable[[], Photo]
    points: np.ndarray

    def crop(self, size: int) -> FaceCrop:
        """The authors' square at `size` px per side."""
        return authors_crop(self.load(), Detection.from_points(self.points), size)


@dataclass
class FolderSource:
    """Labelled photographs.

    Attributes:
        entries: N photographs.
        targets: (N, K), a row for each.
        size: Of the crops, px.
        endless: See `LabelledSource`.
    """

    entries: list[LabelledPhoto]
    targets: Tensor
    size: int
    endless: bool = False

    def __len__(self) -> int:
        return len(self.entries)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, S, S, 3) sRGB, 0 to 1, and targets (B, K)."""
        image, _, target = self.with_points(indices)
        return image, target

    def with_points(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `batch`, with the points (B, 68, 2) px of the crops between the two."""
        crops = [self.entries[int(i)].crop(self.size) for i in indices]
        image, points = (
            torch.cat([getattr(crop, name) for crop in crops]) for name in ("image", "landmarks")
        )
        return image, points, self.targets[indices]

    @property
    def people(self) -> set[str]:
        """Whom the photographs show."""
        return {entry.person for entry in self.entries}


def read_folder(
    photos: str | Path | Iterable[PhotoEntry],
    labels: str | Path,
    rows: str | Path | None,
    size: int,
    held_out: int | None = None,
    seed: int = 0,
    model: MorphableModel | None = None,
    *,
    talks: bool = True,
    find: Callable[[Photo], Detection] = landmarks_for,
) -> tuple[FolderSource, FolderSource]:
    """Photographs to train on, and those of other people to validate on.

    Photographs of people without a label, and those without a face or a usable fit, are left out, which is told on standard
    error. Which people are held out follows from the seed and their names alone.

    Args:
        photos: A folder with one folder per person, a RecordIO file NAME.rec, or any collection of `PhotoEntry`s.
        labels: The Parquet file that `pool` wrote.
        rows: The folder (or one file) that `label` wrote; with None faces are looked for in every photograph, once, here.
        size: Of the crops, px.
        held_out: How many people to validate on; None for a fifth of them, at least 1 and at most `MOST_HELD_OUT`.
        seed: Of the choice of these people.
        model: The face model of labels and rows; None for the open one.
        talks: Whether a progress bar is shown, and told what is used and what is left out.
        find: Finds the face where no rows are given; a UserError leaves the photograph out.

    Returns:
        Both parts.

    Raises:
        UserError: For files that do not fit together.
    """
    model = load("open", level=0, device="cpu") if model is None else model
    entries = photo_entries(photos)
    pooled = read_labels(labels)
    persons, targets = pooled.person, torch.tensor(pooled.coefficients)
    if not bool(torch.isfinite(targets).all()):
        raise UserError(f"{labels}: has coefficients that are not numbers: pool again")
    if targets.shape[1] != len(model.shape_std) + len(model.texture_std):
        raise UserError(
            f"{labels}: {targets.shape[1]} numbers a person, {model.name} has {len(model.shape_std)} of shape and "
            f"{len(model.texture_std)} of texture: name the --model that the rows were fitted with"
        )
    place = {person: number for number, person in enumerate(persons)}
    known = [e for e in entries if e.person in place]
    points = _looked_for(known, find, talks) if rows is None else landmarks_of_rows(rows, model)
    usable = [e for e in known if e.id in points]
    people = sorted({e.person for e in usable})
    if not people:
        raise UserError(f"{labels}: no label is of a person in {photos}: make both from the same folder")
    if held_out is None:
        held_out = min(MOST_HELD_OUT, max(1, len(people) // 5))
    if not 1 <= held_out < len(people):
        raise UserError(
            f"--held-out {held_out}: there are {len(people)} labelled people; keep some to train on, and hold out at least 1"
        )
    order = torch.randperm(len(people), generator=torch.Generator().manual_seed(seed))
    aside = {people[i] for i in order[:held_out].tolist()}

    def part(chosen: Callable[[str], bool]) -> FolderSource:
        found = [LabelledPhoto(e.id, e.person, e.load, points[e.id]) for e in usable if chosen(e.person)]
        return FolderSource(found, targets[[place[e.person] for e in found]], size)

    learnt, validated = part(lambda person: person not in aside), part(lambda person: person in aside)
    if talks:
        groups = [
            *grouped(
                "no label",
                "pool gave their person no label",
                [(e.id, e.person) for e in entries if e.person not in place],
            ),
            *grouped(
                "no points",
                "no face was found" if rows is None else f"{rows} has no fit of them",
                [(e.id, e.person) for e in known if e.id not in points],
            ),
        ]
        for part_of, what in ((learnt, "to learn from"), (validated, "held out to validate on")):
            print(f"{len(part_of)} photographs of {len(part_of.people)} people {what}", file=sys.stderr)
        if groups:
            print(left_out_table(groups), file=sys.stderr)
    return learnt, validated


def photo_entries(photos: str | Path | Iterable[PhotoEntry]) -> list[PhotoEntry]:
    """The photographs of a folder, a RecordIO file or another collection. Raises UserError where there are none."""
    if not isinstance(photos, str | Path):
        return list(photos)
    return list(PhotoRecords(photos) if Path(photos).suffix == ".rec" else PhotoFolder(photos))


def _looked_for(
    entries: list[PhotoEntry], find: Callable[[Photo], Detection], talks: bool
) -> dict[str, np.ndarray]:
    """Photograph's name to the points (68, 2) px of its face. Those that cannot be read, or show no face, are left out."""
    found, without = {}, []
    for entry in progress_bar(entries, "looking for faces", unit="photo", shown=talks):
        try:
            found[entry.id] = find(entry.load()).points
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


def landmarks_of_rows(path: str | Path, model: MorphableModel | None = None) -> dict[str, np.ndarray]:
    """Landmarks of photographs, where their fitted faces have them. Failed fits are left out.

    Args:
        path: The folder (or one file) that `label` wrote.
        model: The face model that was fitted; None for the open one.

    Returns:
        Photograph's name to (68, 2) px.

    Raises:
        UserError: For a path without rows, and for rows of another face model.
    """
    path = Path(path)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: holds no rows: make them with `python -m helpers label`")
    model = load("open", level=0, device="cpu") if model is None else model
    found: dict[str, np.ndarray] = {}
    for file in files:
        table = read_columns(file, ["id", *POSE_COLUMNS], "rows: make them with `python -m helpers label`")
        numbers = [torch.from_numpy(matrix(table, name, file)) for name in POSE_COLUMNS]
        expressions = 0 if model.expression_std is None else len(model.expression_std)
        for what, column, most in (
            ("shape", numbers[0], len(model.shape_std)),
            ("expression", numbers[1], expressions),
        ):
            if column.shape[1] > most:
                raise UserError(
                    f"{file}: {column.shape[1]} modes of {what}, {model.name} has {most}: name the --model of the rows"
                )
        points = _points(model, *numbers)
        for name, row in zip(table.column("id").to_pylist(), points.numpy(), strict=True):
            if np.isfinite(row).all():
                found[name] = row
    return found


def _points(
    model: MorphableModel,
    alpha: Tensor,
    expression: Tensor,
    rotation: Tensor,
    translation: Tensor,
    focal: Tensor,
    principal_point: Tensor,
    scale: Tensor,
    origin: Tensor,
) -> Tensor:
    """(N, 68, 2) px of the photographs."""
    chosen = model.landmarks
    points = model.mean_shape[chosen].expand(len(alpha), -1, -1)
    for numbers, basis, std in (
        (alpha, model.shape_basis, model.shape_std),
        (expression, model.expression_basis, model.expression_std),
    ):
        count = numbers.shape[1]
        if count and basis is not None and std is not None:
            points = points + torch.einsum("nk,vck->nvc", numbers * std[:count], basis[chosen, :, :count])
    camera = Camera(focal[:, 0], principal_point, (1, 1))
    in_crop = project(model_to_camera(points, Pose(rotation, translation)), camera)[..., :2]
    return in_crop / scale[:, :, None] + origin[:, None]
