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
