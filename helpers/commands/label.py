"""python -m helpers label: many photographs of many people become rows of coefficients."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.commands._model import add_model, load_model
from helpers.errors import UserError

if TYPE_CHECKING:  # slow to import
    from helpers.face_model import MorphableModel
    from helpers.labelling import CropSource

NAME = "label"
HELP = "fit every photograph of a collection, and go on where an earlier run was stopped"
DESCRIPTION = """Fit the face model to every photograph of SOURCE and write one row for each into DIR.

SOURCE is a folder with one folder a person (PERSON/PHOTO.jpg), a RecordIO file (NAME.rec, NAME.idx beside it), or
synthetic:PEOPLExPHOTOS, people that are rendered while they are labelled.

DIR gets manifest.json, shards of rows (shard-00000.parquet …) and quarantine.csv, the photographs without a fit and why.
Stopped in any way and started again with the same words, the run goes on: no row is lost and none is there twice.
With other settings it refuses, because rows of two settings must not be mixed.

With --joint the photographs of a person are fitted together, and their rows have the same shape and texture. A person is
never cut between batches, unless there are more than --batch photographs: those are fitted in even groups, which the last
line tells."""
PRESETS = ("fast", "released", "quick")
EPILOG = """A photograph that cannot be used is quarantined, and the run goes on.
Exit status: 0 every photograph has its row, 1 stopped before that (a full disk, say), 2 wrong arguments, 130 stopped by a signal."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("source", metavar="SOURCE", help="folder, NAME.rec, or synthetic:PEOPLExPHOTOS")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path, help="folder for the rows")
    add_model(parser)
    parser.add_argument(
        "--level",
        type=int,
        choices=(0, 1, 2),
        default=2,
        help="of the open model's mesh, coarse to fine (default: 2)",
    )
    parser.add_argument(
        "--size", type=_number(64, 1024), default=224, metavar="PX", help="side of the crop (default: 224)"
    )
    parser.add_argument(
        "--batch",
        type=_number(1),
        default=32,
        metavar="N",
        help="photographs in memory and fitted at once (default: 32)",
    )
    parser.add_argument(
        "--joint",
        action="store_true",
        help="find one shape and one texture for all photographs of a person (as fit --one-person)",
    )
    parser.add_argument(
        "--shard",
        type=_number(1),
        metavar="N",
        help="photographs a file; a stopped run loses less than one of them (default: a twentieth of the photographs in whole "
        "batches, at most 1000)",
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="fast",
        help="settings of the fit, which the manifest records. fast: the course's own (default); released: those of the "
        "fitter that the paper's authors released; quick: fewer steps and points, for trying out",
    )
    parser.add_argument(
        "--quick", action="store_const", const="quick", dest="preset", help="the same as --preset quick"
    )
    parser.add_argument(
        "--landmarks",
        metavar="DIR",
        type=Path,
        help="68 points of photographs, PERSON/PHOTO.json or .pts; it may be SOURCE itself. Where a photograph has no such "
        "file, the detector looks for its face",
    )
    parser.add_argument(
        "--workers",
        type=_number(0),
        metavar="N",
        help="worker processes; 0 is none besides this one (default: one a core or GPU)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="workers of this machine, or of a Ray cluster (default: local)",
    )


def run(args: argparse.Namespace) -> int:
    """Do the work of the command; returns the exit status."""
    from helpers.fitting import FitSettings
    from helpers.labelling import LabelOptions, label, quick_settings

    presets = {"fast": FitSettings, "released": FitSettings.released, "quick": quick_settings}
    try:
        if args.joint and args.preset == "released":
            raise UserError(
                "--joint does not go with --preset released, whose authors fit single photographs: leave one of them out"
            )
        options = LabelOptions(
            settings=presets[args.preset](),
            size=args.size,
            batch=args.batch,
            shard=args.shard,
            workers=args.workers,
            engine=args.engine,
            device=args.device,
            seed=args.seed,
            joint=args.joint,
        )
        model, source = _prepare(args)
    except UserError as error:
        print(f"helpers label: {error}", file=sys.stderr)
        return 2
    from helpers.labelling.left_out import left_out_of, left_out_table

    # A polite kill, as of a batch system, ends the run as Ctrl-C does: the workers with it.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        summary = label(source, args.out, options, model=model)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            f"stopped; {args.out} keeps the {_rows_in(args.out)} rows that it has: run the same command again to go on"
        ) from stop
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"{args.out}: {summary}")
    if summary.doubtful or summary.quarantined:
        print(left_out_table(left_out_of(args.out), "not pooled"))
    if summary.quarantined:
        print(f"{args.out / 'quarantine.csv'}: why {summary.quarantined} of them have no fit")
    return 0


def _rows_in(folder: Path) -> int:
    import pyarrow.parquet as parquet

    from helpers.labelling.store import shard_files

    if not folder.is_dir():
        return 0
    return sum(parquet.read_metadata(file).num_rows for file in shard_files(folder).values())


def _prepare(args: argparse.Namespace) -> tuple[MorphableModel, CropSource]:
    """The model and the source, and whatever can be wrong about them."""
    from helpers.labelling import open_source

    model = load_model(args, level=args.level)
    return model, open_source(
        args.source, model=model, size=args.size, seed=args.seed, landmarks=args.landmarks
    )


def _number(least: int, most: int = 10**9):
    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            limits = f"from {least} to {most}" if most < 10**9 else f"from {least}"
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number {limits} is expected")
        return int(text)

    return read
