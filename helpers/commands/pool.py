"""python -m helpers pool: the rows of all photographs become one label per person."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.datasets import PhotoEntry
    from helpers.labelling.labels import Labels
    from helpers.labelling.strangers import Strangers
    from helpers.photo import Photo

NAME = "pool"
HELP = "pool the rows that label has written, one label a person"
NEEDS_DEVICE = False
DESCRIPTION = """Pool the coefficients of each person's photographs and write them as Parquet: person, coefficients (α, then β),
n_photos that count, n_excluded that do not, rule. People of whom no photograph counts get no label. What does not count is
listed, with the reason.

With --photos SOURCE only photographs count that are still there: move wrong ones out of the folder, and pool again.
--strangers DIR helps to find those that do not look like their person: strangers.csv lists all photographs, the strangest
first, and strangers.png shows the first ones beside others of the same name. They count until they are moved."""
RULES = ("confidence", "uniform", "ranking", "robust", "median", "precision")
ON_SHEET, PRINTED = 12, 5  # photographs that do not look like their person


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="DIR", type=Path, help="what `label` has written")
    parser.add_argument("--out", required=True, metavar="FILE", type=Path, help="such as labels.parquet")
    parser.add_argument(
        "--rule",
        choices=RULES,
        default="confidence",
        help="how photographs weigh (default: confidence, the paper's)",
    )
    parser.add_argument(
        "--by",
        choices=("detector", "fit"),
        default="detector",
        help="whose confidence (default: the detector's)",
    )
    parser.add_argument(
        "--also",
        nargs="+",
        default=[],
        metavar="REASON",
        help="doubtful fits that count all the same, such as unconverged",
    )
    parser.add_argument(
        "--partial", action="store_true", help="pool what is there of a run that is not finished"
    )
    parser.add_argument(
        "--photos", metavar="SOURCE", type=Path, help="what was labelled: only what is still there counts"
    )
    parser.add_argument(
        "--strangers",
        metavar="DIR",
        type=Path,
        help="folder for a list and a sheet of photographs that do not look like their person; needs --photos",
    )


def run(args: argparse.Namespace) -> int:
    """Do the work of the command; returns the exit status."""
    from helpers.errors import UserError
    from helpers.labelling.labels import pool_shards, write_labels
    from helpers.regression.folder import photo_entries

    if args.strangers is not None and args.photos is None:
        print(
            "helpers pool: --strangers looks at the photographs: name what was labelled by --photos",
            file=sys.stderr,
        )
        return 2
    entries = None if args.photos is None else photo_entries(args.photos)
    there = None if entries is None else {entry.id for entry in entries}
    how = {"by": args.by, "also": args.also, "partial": args.partial, "there": there}
    labels = pool_shards(args.folder, args.rule, **how)
    try:
        write_labels(args.out, labels)
    except OSError as error:
        raise UserError(f"--out {args.out}: cannot be written: {error.strerror}") from error
    _tell(args, labels, there)
    if args.strangers is not None and entries is not None:
        _find_strangers(args, entries)
    return 0


def _tell(args: argparse.Namespace, labels: Labels, there: set[str] | None) -> None:
    """Print what was pooled, and what was not."""
    from helpers.labelling.left_out import left_out_of, left_out_table

    used = int(labels.n_photos.sum())
    groups = left_out_of(args.folder, args.also, there)
    excluded = sum(group.photographs for group in groups)
    print(
        f"{args.out}: {len(labels.person)} people from {used} photographs, {excluded} more excluded; rule {labels.rule}"
    )
    if groups:
        print(left_out_table(groups))
    if labels.without:
        some = ", ".join(labels.without[:3]) + (" …" if len(labels.without) > 3 else "")
        print(f"{len(labels.without)} people without a usable photograph, and so without a label: {some}")
        if any(group.reason == "unconverged" for group in groups):
            print("fits that are unconverged only, as quick ones often are, count with --also unconverged")


def _find_strangers(args: argparse.Namespace, entries: list[PhotoEntry]) -> None:
    """Write and print which photographs do not look like their person."""
    from helpers.files import make_folder
    from helpers.labelling.strangers import Compared, find_strangers

    make_folder(args.strangers)
    loaders = {entry.id: entry.load for entry in entries}
    found = find_strangers(args.folder, loaders.keys())
    listed, sheet = found.compared, args.strangers / "strangers.png"
    with open(args.strangers / "strangers.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Compared._fields)
        writer.writerows([f"{v:.3f}" if isinstance(v, float) else v for v in row] for row in listed)
    _draw(sheet, found, loaders)
    print(
        "least like their person, by the cosine between fitted coefficients (with the person's others, with anybody):"
    )
    for row in listed[:PRINTED]:
        print(f"  {row.id}: {row.own:.2f}, {row.rest:.2f}; with {row.nearest} {row.other:.2f}")
    print(
        f"{sheet}: look at them. Some photograph always comes first: a face half covered or badly fitted does, too, and of a "
        "person's two photographs nothing tells which is the wrong one"
    )
    single = len(found.squares) - len(listed)
    if single:
        print(f"{single} photographs are their person's only one, and cannot be compared")


def _draw(file: Path, found: Strangers, loaders: dict[str, Callable[[], Photo]]) -> None:
    """Write the sheet: the first ones, each beside others of its person and one of the person that it is most like."""
    from helpers.files import write_in_one_step
    from helpers.show.figures import png_bytes
    from helpers.show.strangers import OTHERS, contact_sheet

    of_person, rows = found.of_person, []
    for each in found.compared[:ON_SHEET]:
        own = [name for name in of_person[each.person] if name != each.id][:OTHERS]
        other = next(iter(of_person.get(each.nearest, ())), None)
        shown = [
            None if name is None else (loaders[name], found.squares[name]) for name in (each.id, *own, other)
        ]
        rows.append((each, shown))
    sheet = contact_sheet(rows)
    write_in_one_step(file, lambda target: target.write(png_bytes(sheet)))
