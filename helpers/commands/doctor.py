"""python -m helpers doctor: what is there, and what to do about each thing that is not."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from helpers.errors import UserError

NAME = "doctor"
HELP = "say what is installed, and what to do about what is not"
NEEDS_DEVICE = False  # it must also run where torch is missing

ROOT = Path(__file__).resolve().parents[2]
PYTHON_RANGE = (3, 10), (3, 14)  # from, and below
REPAIR = "run `make setup`, or `pip install -e .` in an environment of your own"
# What open3d is linked to and a bare Debian or Ubuntu, as in a container, lacks.
SYSTEM_LIBRARIES = (
    "`apt install libegl1 libgl1 libx11-6 libusb-1.0-0`, or your system's packages of these libraries"
)
SPACE_NEEDED_GB = 1.0  # for compiled kernels and results
# Distribution: its module. These are only imported; torch, torchvision, Warp and open3d are asked for more.
PACKAGES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "h5py": "h5py",
    "roma": "roma",
    "scikit-image": "skimage",
    "matplotlib": "matplotlib",
    "pyarrow": "pyarrow",
    "tqdm": "tqdm",
}
NOTEBOOK_PARTS = ("jupyterlab", "ipywidgets", "anywidget")


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        thing: what was looked at.
        ok: whether it is as the course needs it.
        found: what is there.
        advice: what to do; empty where nothing is to be done.
        required: whether one of the notebooks, or a command without options, cannot run without it.
    """

    thing: str
    ok: bool
    found: str
    advice: str = ""
    required: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes beside the options of all commands."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the findings; 0 if the course can run here, 1 if something it needs is missing."""
    findings, todo = [], checks(args.device)
    for thing, check in todo.items():
        findings.append(examine(thing, check))
        if not args.json:  # at once, as some checks take seconds
            print(line(findings[-1], max(map(len, todo))), flush=True)
    print(json.dumps([asdict(f) for f in findings], indent=2) if args.json else advice(findings))
    return 0 if can_run(findings) else 1


def can_run(findings: list[Finding]) -> bool:
    """Whether everything is there that all notebooks need."""
    return all(finding.ok or not finding.required for finding in findings)


def checks(device: str = "auto") -> dict[str, Callable[[], Finding]]:
    """What is looked at, in order.

    Args:
        device: as the user named it, see `helpers.device.resolve`.
    """
    return {
        "Python": python,
        "torch": lambda: torch(device),
        "torchvision": torchvision,
        "Warp": lambda: warp(device),
        "packages": packages,
        "notebooks": notebooks,
        "open3d": open3d,
        "detector": detector,
        "open face model": open_face_model,
        "other face models": other_face_models,
        "disk": disk,
    }


def examine(thing: str, check: Callable[[], Finding]) -> Finding:
    """What `check` finds. A broken install can raise anything at all: that too is a finding."""
    try:
        return check()
    except Exception as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        return Finding(thing, False, cause, REPAIR)


def line(finding: Finding, width: int) -> str:
    """The finding as a row of the table."""
    return f"{finding.thing:{width}}  {'ok' if finding.ok else 'missing':7}  {finding.found}"


def advice(findings: list[Finding]) -> str:
    """What to do about the findings, and whether the course can run."""
    lines = [
        f"\n{f.thing}{'' if f.required else ' (the course runs without)'}: {f.advice}"
        for f in findings
        if f.advice
    ]
    verdict = "The course can run here." if can_run(findings) else "The course cannot run here yet."
    return "\n".join([*lines, "", verdict])


def python() -> Finding:
    """Its version is one that every package of the course has been built for."""
    low, below = PYTHON_RANGE
    version = ".".join(map(str, sys.version_info[:3]))
    if low <= sys.version_info[:2] < below:
        return Finding("Python", True, f"{version}, {sys.executable}")
    wanted = f"{low[0]}.{low[1]} to {below[0]}.{below[1] - 1}"
    return Finding("Python", False, version, f"install Python {wanted}, then `make setup PYTHON=python3.11`")


def torch(device: str) -> Finding:
    """It imports, and can compute on `device`."""
    import torch

    from helpers.device import resolve

    if torch.cuda.is_available():
        gpus = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        cuda = f"CUDA {torch.version.cuda}: {gpus}"
    elif torch.version.cuda:
        cuda = f"built for CUDA {torch.version.cuda}, no GPU found: computes on the CPU"
    else:
        cuda = "CPU only"
    found = f"{torch.__version__}, {cuda}, {torch.get_num_threads()} thread(s)"
    try:
        resolve(device)
    except UserError as error:
        return Finding("torch", False, found, str(error))
    return Finding("torch", True, found)


def torchvision() -> Finding:
    """The large networks are torchvision's, and notebook 06 builds two of them."""
    from helpers._torchvision import torchvision as load

    try:
        return Finding("torchvision", True, load().__version__)
    except UserError as error:
        return Finding("torchvision", False, str(error), f"{REPAIR}; without it notebook 06 cannot run")


def warp(device: str) -> Finding:
    """Warp's kernels run where torch's tensors are: a GPU that torch uses is of no use if Warp's CUDA does not suit the driver."""
    import torch
    import warp

    from helpers import _warp  # noqa: F401 (keeps Warp from greeting)

    warp.init()
    devices = ", ".join(f"{device.alias} ({device.name})" for device in warp.get_devices())
    found = f"{warp.__version__}, devices: {devices}"
    if device != "cpu" and torch.cuda.is_available() and not warp.get_cuda_device_count():
        advice = "update NVIDIA's driver, which is older than Warp's CUDA needs, or compute with --device cpu"
        return Finding("Warp", False, f"{found}: no GPU, though torch has one", advice)
    return Finding("Warp", True, found)


def packages() -> Finding:
    """What the computations import beside torch and Warp."""
    return _importable("packages", PACKAGES)


def notebooks() -> Finding:
    """What opens notebooks and shows live figures in them."""
    return _importable("notebooks", {name: name for name in NOTEBOOK_PARTS})


def open3d() -> Finding:
    """Distances to a surface are open3d's: notebook 07 and `evaluate` on scans need it. The other notebooks do without."""
    from helpers._open3d import open3d as load

    try:
        return Finding("open3d", True, load().__version__)
    except (UserError, ImportError, OSError) as error:
        cause = " ".join(str(error).split())
        repair = SYSTEM_LIBRARIES if ".so" in cause else REPAIR
        return Finding(
            "open3d", False, cause, f"{repair}; without it notebook 07 and `evaluate` on scans cannot run"
        )


def detector() -> Finding:
    """Something that finds landmarks; two photographs have theirs stored, and the course uses these."""
    from helpers.landmarks import missing_backends

    absent = missing_backends()
    there = [name for name, cause in absent.items() if cause is None]
    if there:
        return Finding("detector", True, ", ".join(there), required=False)
    advice = (
        "; ".join(cause for cause in absent.values() if cause)
        + ". Until then give points with --landmarks; two photographs have theirs stored."
    )
    return Finding("detector", False, "none", advice, required=False)


def open_face_model() -> Finding:
    """The face model that the course is about."""
    from helpers.face_model.open_model import ASSET

    if ASSET.is_file():
        return Finding("open face model", True, f"{_shown(ASSET)}, {ASSET.stat().st_size / 1e6:.1f} MB")
    return Finding(
        "open face model",
        False,
        f"{_shown(ASSET)} is not there",
        f"`git checkout {_shown(ASSET)}`, or `make model`",
    )


def other_face_models() -> Finding:
    """Models of others that the user may have, most of them lent on request. Being without is no fault."""
    from helpers.face_model import find, how_to_get, model_folders

    named = {source: find(source) for source in how_to_get()}
    there = {path: f"{source.name}: " for source, path in named.items() if path is not None}
    others = {path: "" for folder in model_folders() for path in _models_in(folder) if path not in there}
    lines = [
        name + _shown(path) + _kind(path) for path, name in (there | others).items() if name or _kind(path)
    ]
    found = ", ".join(lines) or "none in " + ", ".join(map(_shown, model_folders()))
    absent = [f"  {s.name:16}  {s.files[0]}: {s.way}" for s, path in named.items() if path is None]
    advice = (
        "\n".join([f"put what you get into {_shown(Path.home() / 'face_models')}", *absent]) if absent else ""
    )
    return Finding("other face models", True, found, advice, required=False)


def _kind(path: Path) -> str:
    """In brackets what model a file is, or what it is instead if it has a model's name; its numbers are not read."""
    from helpers.face_model.formats import recognise
    from helpers.face_model.formats.sniff import looks_like
    from helpers.face_model.sources import SOURCES

    kind = recognise(path)
    known = any(name.rstrip("/") == path.name for source in SOURCES for name in source.files)
    return f" ({kind})" if kind else f" ({looks_like(path)})" if known else ""


def disk() -> Finding:
    """Room for compiled kernels and results."""
    free = shutil.disk_usage(ROOT).free / 1e9
    if free >= SPACE_NEEDED_GB:
        return Finding("disk", True, f"{free:.1f} GB free")
    return Finding(
        "disk", False, f"{free:.2f} GB free", f"make {SPACE_NEEDED_GB:.0f} GB of room on the disk of {ROOT}"
    )


def _importable(thing: str, modules: dict[str, str]) -> Finding:
    """Whether each module (values) imports; named and dated by its distribution (keys)."""
    found, broken = [], []
    for distribution, module in modules.items():
        try:
            importlib.import_module(module)
            found.append(f"{distribution} {importlib.metadata.version(distribution)}")
        except Exception as error:
            broken.append(f"{distribution} ({' '.join(str(error).split())})")
    return Finding(thing, not broken, ", ".join(broken or found), REPAIR if broken else "")


def _models_in(folder: Path) -> list[Path]:
    """What may be model files in a folder and the folders in it; none if it cannot be read."""
    from helpers.face_model.formats import ENDINGS

    try:
        return sorted(p for p in [*folder.glob("*"), *folder.glob("*/*")] if p.suffix.lower() in ENDINGS)
    except OSError:
        return []


def _shown(path: Path) -> str:
    """A path as short as it can be said: from the repository's root, or from the user's home."""
    for base, prefix in ((ROOT, ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return str(path)
