"""python -m tests.shadow.mutations [--count N] [--seed S]: do the scenes notice a tensor that was left on the CPU?

Each mutant is a copy of the project from which one `device=` or one `.to(…)` is taken, at a place drawn at random. It is run
until a scene goes wrong. What no scene noticed is listed: code that no scene runs, or that does not need it.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.shadow import guard

ROOT = Path(__file__).parents[2]
# What computes.
ROOMS = (
    *(
        "camera.py",
        "crop.py",
        "pooling.py",
        "datasets",
        "evaluation",
        "face_encoder",
        "face_model",
        "fitting",
    ),
    *("labelling", "lighting", "painting", "pose", "rasterizer", "regression", "rendering"),
)


@dataclass(frozen=True)
class Place:
    """Bytes of a file that a mutant lacks."""

    file: Path
    first: int
    last: int

    def __str__(self) -> str:
        source = self.file.read_bytes()
        line = source.count(b"\n", 0, self.first) + 1
        gone = " ".join(source[self.first : self.last].decode().split())
        return f"{self.file.relative_to(ROOT)}:{line} without {gone!r}"


def places(file: Path) -> Iterator[Place]:
    """All that may be taken out of a file."""
    source = file.read_bytes()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        for keyword in node.keywords:
            if keyword.arg == "device":
                first = starts[keyword.lineno - 1] + keyword.col_offset
                value = keyword.value
                last = starts[(value.end_lineno or 0) - 1] + (value.end_col_offset or 0)
                rest = source[last:]
                comma = rest.lstrip().startswith(b",")
                yield Place(file, first, last + (rest.index(b",") + 1 if comma else 0))
        if isinstance(node.func, ast.Attribute) and node.func.attr == "to" and node.args:
            given = ast.unparse(node.args[0])
            if "dtype" not in given and not given.startswith("torch."):
                first = starts[(node.func.end_lineno or 0) - 1] + (node.func.end_col_offset or 0) - len(".to")
                yield Place(file, first, starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0))


def noticed(place: Place, library: Path) -> str:
    """The scene that notices that the place is gone, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for entry in ROOT.iterdir():
            if entry.name in ("helpers", "tests"):
                shutil.copytree(entry, copy / entry.name, ignore=shutil.ignore_patterns("__pycache__"))
            elif not entry.name.startswith("."):
                (copy / entry.name).symlink_to(entry)
        source = place.file.read_bytes()
        mutant = source[: place.first] + source[place.last :]
        (copy / place.file.relative_to(ROOT)).write_bytes(mutant)
        command = [sys.executable, "-m", "tests.shadow", str(library)]
        environment = os.environ | {"PYTHONPATH": folder}
        with subprocess.Popen(
            command, cwd=copy, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as run:
            assert run.stdout is not None
            for row in map(json.loads, run.stdout):
                if row["fault"]:
                    run.kill()
                    return row["scene"]
            return f"nothing, but it ended with {run.returncode}" if run.wait() else ""


def main() -> None:
    """Draw places, and count those whose loss is noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=8, help="how many mutants, a minute each at most")
    parser.add_argument("--seed", type=int, default=0, help="of the places")
    args = parser.parse_args()
    files = [
        file
        for room in ROOMS
        for file in sorted((ROOT / "helpers").glob(f"{room}/**/*.py")) or [ROOT / "helpers" / room]
    ]
    every = [place for file in files for place in places(file)]
    drawn = random.Random(args.seed).sample(every, args.count)
    hits = 0
    with tempfile.TemporaryDirectory() as folder:
        library = guard.build(Path(folder))
        for place in drawn:
            scene = noticed(place, library)
            hits += bool(scene)
            print(f"{'noticed by ' + scene if scene else 'NOT NOTICED':40} {place}", flush=True)
    print(f"{hits} of {len(drawn)} noticed; there are {len(every)} such places")


if __name__ == "__main__":
    main()
