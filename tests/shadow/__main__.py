"""python -m tests.shadow GUARD [SCENE …]: run scenes on the CPU and on the shadow of a GPU.

One line of JSON for each: its name, what was wrong ("" if nothing), seconds, and how often the host waited, by cause.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.shadow import guard


def main(library: str, names: list[str]) -> int:
    """Run scenes, all if none is named; 1 if one went wrong."""
    guard.load(Path(library))
    from tests.shadow import device
    from tests.shadow.compare import compare

    device.install()
    from tests.shadow.scenes import SCENES

    wrong = 0
    for name in names or SCENES:
        start, fault, waits = time.perf_counter(), "", Counter()
        try:
            expected = SCENES[name]("cpu")
            device.WAITS.clear()
            found = SCENES[name]("cuda")
            waits = device.WAITS.copy()
            fault = compare(expected, found).fault
        except Exception as error:
            fault = (
                f"{type(error).__name__}: {error}\n{''.join(traceback.format_tb(error.__traceback__)[-6:])}"
            )
        wrong += bool(fault)
        print(json.dumps(_row(name, fault, time.perf_counter() - start, waits)), flush=True)
    return int(wrong > 0)


def _row(name: str, fault: str, seconds: float, waits: Counter) -> dict[str, Any]:
    lines = {f"{why} at {line}": count for (why, line), count in waits.most_common()}
    return {"scene": name, "fault": fault, "seconds": round(seconds, 2), "waits": lines}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
