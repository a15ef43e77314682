"""python -m helpers pool: the rows of all photographs become one label per person."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "pool"
HELP = "pool the rows that label has written, one label a person"
NEEDS_DEVICE = False
DESCRIPTION = """Pool the coefficients of each person's photographs and write them as Parquet: person, coefficients (α, then β),
n_photos that count, n_excluded that do not, rule. People of whom no photograph counts get no label."""
RULES = ("confidence", "uniform", "ranking", "robust", "median", "precision")


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


def run(args: argparse.Namespace) -> int:
    """Do the work of the command; returns the exit status."""
    from helpers.errors import UserError
    from helpers.labelling.labels import pool_shards, write_labels

    labels = pool_shards(args.folder, args.rule, by=args.by, also=args.also, partial=args.partial)
    try:
        write_labels(args.out, labels)
    except OSError as error:
        raise UserError(f"--out {args.out}: cannot be written: {error.strerror}") from error
    used, excluded = int(labels.n_photos.sum()), int(labels.n_excluded.sum())
    print(
        f"{args.out}: {len(labels.person)} people from {used} photographs, {excluded} more excluded; rule {labels.rule}"
    )
    if labels.without:
        some = ", ".join(labels.without[:3]) + (" …" if len(labels.without) > 3 else "")
        print(f"{len(labels.without)} people without a usable photograph, and so without a label: {some}")
    return 0
