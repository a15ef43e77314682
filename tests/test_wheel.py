"""A wheel holds all that the library reads: it works from another folder, without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("setuptools", minversion="77")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PROGRAM = """
import helpers
from helpers.assets import ASSETS
from helpers.face_model import load
from helpers.landmarks import stored_points
from helpers.regression import load_network
print(helpers.__file__)
print(ASSETS)
assert load("open", level=0).n_vertices > 3000
assert stored_points("astronaut").points.shape == (68, 2)
assert load_network().size >= 64
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which a wheel was unpacked; it was built from a copy, so that the checkout stays as it is."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("helpers", "assets"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    words = ["-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels"]
    built = subprocess.run(
        [sys.executable, *words],
        cwd=source,
        capture_output=True,
        text=True,
        env=os.environ | {"PIP_NO_INDEX": "1"},
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (source / "wheels").glob("helpers-*.whl")
    assert wheel.stat().st_size < 25e6
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out)
    return out


def run_elsewhere(installed, *words):
    return subprocess.run(
        [sys.executable, *words],
        cwd=installed.parent,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )


def test_what_a_wheel_holds(installed):
    for file in (
        "py.typed",
        "show/viewer/viewer.js",
        "show/playground/app.css",
        "show/viewer/standalone.html",
        "show/viewer/on_page.js",
    ):
        assert (installed / "helpers" / file).is_file()
    carried = sorted(path.name for path in (installed / "helpers" / "_assets").rglob("*.*"))
    assert carried == [
        "LICENCE.md",
        "MODEL_CARD.md",
        "astronaut.json",
        "correlations.csv",
        "encoder.pt",
        "grace_hopper.json",
        "measures.csv",
        "network.pt",
        "open_face_model.npz",
        "sources.csv",
        "surveys.csv",
    ]
    outside = {path.name for path in installed.iterdir()} - {"helpers"}
    assert all(name.endswith(".dist-info") for name in outside)


def test_model_network_and_points_come_with_it(installed):
    done = run_elsewhere(installed, "-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    module, assets = done.stdout.split()
    assert Path(module).is_relative_to(installed) and Path(assets) == installed / "helpers" / "_assets"


def test_the_command_line_comes_with_it(installed):
    done = run_elsewhere(installed, "-m", "helpers", "doctor", "--help")
    assert done.returncode == 0 and "usage: python -m helpers doctor" in done.stdout


def test_the_surveys_come_with_it(installed):
    done = run_elsewhere(installed, "-m", "helpers.face_model.anthropometry")
    assert done.returncode == 0 and "nose_width" in done.stdout, done.stderr
