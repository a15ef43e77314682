"""python -m tests.gpu.scenes DEVICE [SCENE …]: run scenes on the CPU and on a device.

One line of JSON for each: what was wrong ("" if nothing), how far the numbers are apart, the tolerance, and seconds.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

import torch

from helpers._warp import kernel_modules, wp
from helpers.device import can_compute
from tests.shadow.compare import Tolerance, compare
from tests.shadow.scenes import OF_THE_SHADOW, SCENES

NAMES = [name for name in SCENES if name not in OF_THE_SHADOW]
# No number below was fitted to a GPU. They leave room over what differs on a CPU with its vector instructions and without them
# (ATEN_CPU_CAPABILITY=default), which also sums in another order: 7e-6 in SUMS, 2e-5 in EDGES, 2e-4 in STEPS. Units are mm,
# standard deviations, px and sRGB from 0 to 1, and a tenth of one is the least that is taken for a tensor's largest number.
SUMS = Tolerance(1e-3, least=0.1)
# Where a pixel's centre lies on an edge, the last digit decides what it shows.
EDGES = Tolerance(1e-3, share=5e-3, least=0.1)
# A fit takes dozens of steps, each from what the last one left: a pixel that changes sides moves all that follows.
STEPS = Tolerance(2e-2, share=2e-2, least=0.1)
# The released fitter ends in another minimum if one digit at its start is another (α is off by 0.6 of the largest without vector
# instructions), so that only the size of the numbers can be compared.
WALK = Tolerance(10.0, share=0.5, least=0.1)
# bfloat16, which a GPU may take where the CPU takes float32, has 8 bits.
HALF = Tolerance(5e-2, share=2e-2, least=0.1)
TOLERANCES = {
    **dict.fromkeys(("rasters", "triangles_left_on_the_cpu", "renderings", "gradients_of_renderings"), EDGES),
    **dict.fromkeys(("synthetic_people", "foreign_people", "evaluation_of_shape"), EDGES),
    **dict.fromkeys((name for name in NAMES if "fit" in name or "label" in name), STEPS),
    **dict.fromkeys(("painting", "pictures", "playground"), STEPS),
    **dict.fromkeys(("training", "network", "face_encoder", "validation"), HALF),
    "fit_as_released": WALK,
}


def main(device: str, names: list[str]) -> int:
    """Run scenes, all if none is named; 1 if one went wrong."""
    seconds = compile_kernels(device)
    print(json.dumps({"compile": seconds}), flush=True)
    wrong = 0
    for name in names or NAMES:
        row = run(name, device)
        wrong += bool(row["fault"])
        print(json.dumps(row), flush=True)
        if not can_compute(device):
            print(json.dumps({"scene": name, "fault": f"after it {device} refuses every call"}), flush=True)
            return 1
    return int(wrong > 0)


def run(name: str, device: str) -> dict[str, Any]:
    """One scene on both."""
    tolerance, row = TOLERANCES.get(name, SUMS), {"scene": name, "fault": ""}
    try:
        expected, row["seconds_cpu"] = timed(name, "cpu")
        found, row["seconds"] = timed(name, device)
        comparison = compare(expected, found, tolerance)
        row |= {"fault": comparison.fault, "off": comparison.off}
    except Exception as error:  # whatever it is, the other scenes are still of interest
        row["fault"] = " ".join(f"{type(error).__name__}: {error}".split())[:400]
    return row | {"tolerance": tolerance.relative, "share": tolerance.share}


def timed(name: str, device: str) -> tuple[Any, float]:
    """What a scene gives, and its seconds."""
    start = time.perf_counter()
    result = SCENES[name](device)
    if device != "cpu":
        torch.cuda.synchronize()
    return result, round(time.perf_counter() - start, 3)


def compile_kernels(device: str) -> float:
    """Seconds to compile every kernel for the device, or to load it where that was done before."""
    start = time.perf_counter()
    for name in kernel_modules():
        wp.load_module(importlib.import_module(name), device=device)
    return round(time.perf_counter() - start, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
