"""The command behind `make gpu`."""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tqdm.auto import tqdm

from helpers.commands import doctor
from helpers.device import resolve
from helpers.errors import UserError
from helpers.files import write_in_one_step
from tests.gpu import __doc__ as ABOUT

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build" / "gpu.json"
LIMITS = {
    "scenes": 140.0,
    "tests": 60.0,
    "sanitizer": 40.0,
    "bench": 100.0,
}  # seconds: below six minutes in all
QUICK_SCENES = ("model_and_its_faces", "rasters")
WATCHED = "triangles_left_on_the_cpu"  # the small scene that compute-sanitizer watches: raster, interpolation, antialiasing


@dataclass
class Part:
    """What one part of the run gave.

    Attributes:
        rows: one for each scene, test or time.
        fault: why it ended early or could not run; empty where it did.
        seconds: that it took.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    fault: str = ""
    seconds: float = 0.0

    @property
    def wrong(self) -> bool:
        return bool(self.fault or any(row.get("fault") for row in self.rows))


def main(arguments: list[str]) -> int:
    """Run all parts; 0 if all is well, 1 if something is not, 2 where there is no such device."""
    parser = argparse.ArgumentParser(
        prog="make gpu", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try the command (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="two scenes, and times at batches of 1 and 2")
    parser.add_argument(
        "--out", type=Path, default=OUTPUT, help="the file to write (default: build/gpu.json)"
    )
    args = parser.parse_args(arguments)
    try:
        device = resolve(args.device)
    except UserError as error:
        print(f"make gpu: {error}", file=sys.stderr)
        return 2
    begun = time.perf_counter()
    result = {"machine": machine(device), "doctor": examined(device)}
    todo = parts(device, args.quick)
    for name in (bar := tqdm(todo, "parts", leave=False)):
        bar.set_postfix_str(name)
        result[name] = todo[name]()
    result["seconds"] = round(time.perf_counter() - begun, 1)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1, default=asdict)
    write_in_one_step(args.out, lambda file: file.write(text.encode()))
    print(table(result))
    print(f"written to {args.out}; CONTRIBUTING.md says how to send it in")
    return int(any(result[name].wrong for name in todo))


def machine(device: str) -> dict[str, Any]:
    """The card, its driver, and the versions of what computes."""
    import torch

    from helpers._warp import wp

    found: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    }
    found |= {"device": device, "card": platform.processor() or platform.machine()}
    if device != "cpu":
        card = torch.cuda.get_device_properties(torch.device(device))
        found |= {"card": card.name, "memory_gb": round(card.total_memory / 2**30, 1)}
        found |= {"capability": f"{card.major}.{card.minor}", "driver": driver()}
    found |= {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda}
    return found | {"warp": wp.config.version, "helpers": importlib.metadata.version("helpers")}


def driver() -> str:
    """The version of NVIDIA's driver, where its tool is there."""
    if shutil.which("nvidia-smi") is None:
        return "unknown: no nvidia-smi"
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=False).stdout.split("\n")[
        0
    ]


def examined(device: str) -> list[dict[str, Any]]:
    """What `python -m helpers doctor` finds, without the user's own folder."""
    todo = doctor.checks(device)
    findings = [doctor.examine(name, check) for name, check in tqdm(todo.items(), "doctor", leave=False)]
    home = str(Path.home())
    return [
        {k: v.replace(home, "~") if isinstance(v, str) else v for k, v in asdict(f).items()} for f in findings
    ]


# --- the parts: each in a process of its own, since an illegal address would spoil the GPU for all that follows ------------


def parts(device: str, is_quick: bool) -> dict[str, Callable[[], Part]]:
    """What is run, in order."""
    scenes = QUICK_SCENES if is_quick else ()
    todo = {"scenes": lambda: lines_of("scenes", ["tests.gpu.scenes", device, *scenes])}
    if device != "cpu":
        todo |= {"tests": tests, "sanitizer": lambda: sanitizer(device)}
    options = ["--quick"] if is_quick else []
    return todo | {
        "bench": lambda: lines_of("bench", ["tests.gpu.bench", device, str(LIMITS["bench"] - 10), *options])
    }


def lines_of(name: str, words: list[str]) -> Part:
    """The rows that a module writes, one in a line of JSON."""
    begun, part = time.perf_counter(), Part()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=said, text=True
        )
        limit = threading.Timer(LIMITS[name], process.kill)
        limit.start()
        with process, tqdm(desc=name, unit="row", leave=False) as bar:
            assert process.stdout is not None
            for line in json_lines(process.stdout):
                part.rows.append(line)
                bar.update()
        in_time = limit.is_alive()
        limit.cancel()
        said.seek(0)
        last = said.read().strip().splitlines()[-1:]
    if not in_time:
        part.fault = f"stopped after {LIMITS[name]:.0f} s"
    elif process.returncode and not any(row.get("fault") for row in part.rows):
        part.fault = f"ended with status {process.returncode}: {' '.join(last)}"
    part.seconds = round(time.perf_counter() - begun, 1)
    return part


def json_lines(lines: Iterator[str] | Any) -> Iterator[dict[str, Any]]:
    """Of all lines those that are JSON: a library may write others."""
    for line in lines:
        if line.startswith("{"):
            yield json.loads(line)


def tests() -> Part:
    """The tests that are marked `gpu`."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-m", "pytest", "-m", "gpu", "-q", "-p", "no:randomly", f"--junitxml={report}", "tests"]
        fault = finished([sys.executable, *words], "tests")
        cases = ElementTree.parse(report).iter("testcase") if report.exists() else ()
        rows = [test_row(case) for case in cases]
    fault = "" if rows and fault.startswith("ended") else fault
    return Part(rows, fault, round(time.perf_counter() - begun, 1))


def test_row(case: ElementTree.Element) -> dict[str, Any]:
    """What pytest's report has of one test."""
    fault = "".join(f"{each.tag}: {each.get('message')}" for each in case)[:400]
    return {"test": case.get("name"), "fault": fault, "seconds": float(case.get("time", 0))}


def sanitizer(device: str) -> Part:
    """NVIDIA's memory checker, on one small scene."""
    begun = time.perf_counter()
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return Part([{"sanitizer": "not installed"}])
    command = [tool, "--tool", "memcheck", "--error-exitcode", "9"]
    fault = finished([*command, sys.executable, "-m", "tests.gpu.scenes", device, WATCHED], "sanitizer")
    row = {"sanitizer": WATCHED, "fault": fault}
    if fault.startswith("stopped"):  # tenfold slower than without it: no verdict, and no fault of the course
        row = {"sanitizer": f"{WATCHED}: {fault}"}
    return Part([row], "", round(time.perf_counter() - begun, 1))


def finished(command: list[str], name: str) -> str:
    """Run a command within its limit: why it failed, or nothing."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LIMITS[name], check=False
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {LIMITS[name]:.0f} s"
    last = (done.stdout + done.stderr).strip().splitlines()[-1:]
    return f"ended with status {done.returncode}: {' '.join(last)}" if done.returncode else ""


# --- what is printed -------------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> str:
    """All of it, for people."""
    lines = [f"{name:12} {value}" for name, value in result["machine"].items()]
    bad = [f for f in result["doctor"] if f["required"] and not f["ok"]]
    lines += [
        f"doctor       {'all is there' if not bad else ', '.join(f['thing'] for f in bad) + ': missing'}"
    ]
    for name in ("scenes", "tests", "sanitizer"):
        if name in result:
            lines += ["", *part_lines(name, result[name])]
    bench = result["bench"]
    lines += ["", f"{'time':16} {'batch':>5} {'ms':>10} {'a second':>10} {'peak MB':>9}"]
    for row in bench.rows:
        if "ms" in row:
            peak = "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
            lines.append(
                f"{row['name']:16} {row['batch']:5} {row['ms']:10.2f} {row['per_second']:10.1f} {peak:>9}"
            )
        else:
            why = row.get("fault") or row["skipped"]
            lines.append(f"{row['name']:16} {row.get('batch', ''):>5} {why}")
    lines += [f"bench        {bench.fault}"] if bench.fault else []
    return "\n".join([*lines, "", f"{result['seconds']:.0f} s in all"])


def part_lines(name: str, part: Part) -> list[str]:
    """How many rows are good, and each that is not."""
    rows = [row for row in part.rows if "compile" not in row]
    wrong = [row for row in rows if row.get("fault")]
    compiled = [f", kernels ready after {row['compile']:.1f} s" for row in part.rows if "compile" in row]
    text = (
        f"{name:12} {len(rows) - len(wrong)} of {len(rows)} good in {part.seconds:.0f} s{''.join(compiled)}"
    )
    if part.fault:
        text += f"; {part.fault}"
    return [text, *(f"  {next(iter(row.values()))}: {row['fault']}" for row in wrong)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
