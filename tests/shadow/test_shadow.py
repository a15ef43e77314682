"""Every scene gives on the shadow of a GPU what it gives on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shadow import guard
from tests.shadow.scenes import SCENES

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(guard.why_not()), reason=guard.why_not())]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """What `python -m tests.shadow` writes of each scene. In a process of its own: torch must find the guard at its start."""
    library = guard.build(tmp_path_factory.mktemp("shadow"))
    command = [sys.executable, "-m", "tests.shadow", str(library)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    found = {row["scene"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == SCENES.keys(), done.stderr
    return found


@pytest.mark.parametrize("name", SCENES)
def test_the_gpu_gives_what_the_cpu_gives(rows, name):
    assert not rows[name]["fault"], rows[name]["fault"]


@pytest.fixture(scope="module")
def costs(tmp_path_factory):
    """What `python -m tests.shadow.costs` counts."""
    library = guard.build(tmp_path_factory.mktemp("costs"))
    command = [sys.executable, "-m", "tests.shadow.costs", str(library)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("work", "launches", "waits"),
    [
        ("fit", 8000, 14),
        ("an iteration on pixels", 150, 0),
        ("an iteration on landmarks", 110, 0),
        ("a training step", 500, 1),
        # Nothing goes from photograph to photograph.
        ("one more photograph", 0, 0),
        ("one more image with smooth silhouettes", 0, 0),
        ("one more pose of a turned face", 0, 0),
    ],
)
def test_a_gpu_gets_few_large_launches_and_is_seldom_waited_for(costs, work, launches, waits):
    assert costs[work]["launches"] <= launches
    assert costs[work]["waits"] <= waits
