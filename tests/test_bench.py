"""The benches run, and their figures are what they say. No test looks at a time."""

import json

import pytest

from tests.bench import BENCHES, faster
from tests.bench import __main__ as command


def test_a_bench_writes_its_row(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "OUTPUT", tmp_path / "build" / "bench.json")
    monkeypatch.setitem(BENCHES, "half", lambda: faster(2.0, "ms", 4.0))
    monkeypatch.setitem(BENCHES, "alone", lambda: faster(3.0, "images/s"))
    assert command.main(["half", "alone"]) == 0
    rows = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert rows[0] == {"name": "half", "value": 2.0, "unit": "ms", "peer": 4.0, "ratio": 2.0}
    assert rows[1]["peer"] is None and rows[1]["ratio"] is None
    assert "half" in capsys.readouterr().out


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["raster_1"])
    assert stopped.value.code == 2 and "raster_224_b1_vs_open3d" in capsys.readouterr().err


@pytest.mark.slow
def test_the_peak_of_memory_is_ones_own_and_can_be_reset():
    """A child does not inherit it from a parent that held more, and after a reset what was freed is forgotten."""
    import subprocess
    import sys

    import numpy as np

    from tests.bench.registry import peak_mb

    before = peak_mb(reset=True)
    block = np.ones(400 * 2**17)  # 400 MB
    high = peak_mb()
    del block
    assert high > before + 350 and peak_mb() > high - 5  # the kernel counts in batches
    child = subprocess.run(
        [sys.executable, "-c", "from tests.bench.registry import peak_mb; print(peak_mb())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(child.stdout) < high
    assert peak_mb(reset=True) < high - 350
