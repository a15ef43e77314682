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


def test_a_default_fit_seldom_waits_for_the_gpu(rows):
    assert sum(rows["fit_by_default"]["waits"].values()) <= 35
