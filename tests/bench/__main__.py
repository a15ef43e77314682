"""The command behind `make bench`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tqdm.auto import tqdm

from helpers.files import write_in_one_step
from tests.bench import BENCHES
from tests.bench import __doc__ as ABOUT

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "bench.json"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=ABOUT.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(BENCHES)}"
    )
    names = parser.parse_args(arguments).names or list(BENCHES)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    rows = [{"name": name, **BENCHES[name]()} for name in tqdm(names, desc="bench", leave=False)]
    OUTPUT.parent.mkdir(exist_ok=True)
    write_in_one_step(OUTPUT, lambda file: file.write(json.dumps(rows, indent=1).encode()))
    width = max(len(row["name"]) for row in rows)
    print(f"{'':{width}}  {'ours':>9}  {'peer':>9}  {'ratio':>6}")
    for row in rows:
        peer, ratio = ("" if row[k] is None else f"{row[k]:.3g}" for k in ("peer", "ratio"))
        print(f"{row['name']:{width}}  {row['value']:9.3g}  {peer:>9}  {ratio:>6}  {row['unit']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
