"""`make gpu` runs: here on the CPU, and small. No test looks at a time."""

import json

import numpy as np
import pytest
import torch

from helpers.commands import doctor
from tests.gpu import __main__ as command
from tests.gpu import bench
from tests.gpu.scenes import NAMES, TOLERANCES
from tests.shadow.compare import Tolerance, compare


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_ends_with_one_line(capsys):
    assert command.main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "--device cuda: " in said.err


@pytest.mark.slow
def test_the_whole_command_on_the_cpu(tmp_path, capsys, monkeypatch):
    few = {name: check for name, check in doctor.checks("cpu").items() if name in ("torch", "Warp")}
    monkeypatch.setattr(doctor, "checks", lambda device: few)
    out = tmp_path / "new" / "gpu.json"
    assert command.main(["--device", "cpu", "--quick", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["machine"]["torch"] == torch.__version__ and found["machine"]["device"] == "cpu"
    assert [row["scene"] for row in found["scenes"]["rows"][1:]] == list(command.QUICK_SCENES)
    assert all(row["off"] == 0 for row in found["scenes"]["rows"][1:])
    rows = found["bench"]["rows"]
    assert [(row["name"], row["batch"]) for row in rows] == [
        (name, n) for name in bench.WORKS for n in (1, 2)
    ]
    assert all(row["per_second"] == pytest.approx(1e3 * row["batch"] / row["ms"]) for row in rows)
    assert "2 of 2 good" in capsys.readouterr().out


def test_what_goes_wrong_is_told(monkeypatch):
    part = command.lines_of("scenes", ["tests.gpu.no_such_module"])
    assert part.wrong and "no_such_module" in part.fault
    monkeypatch.setitem(command.LIMITS, "scenes", 0.01)
    assert command.lines_of("scenes", ["tests.gpu.scenes", "cpu"]).fault == "stopped after 0 s"


def test_a_work_that_does_not_fit_into_memory_is_left_out(monkeypatch):
    def greedy(device, batch, scale):
        if batch > 1:
            raise torch.OutOfMemoryError
        return lambda: None

    monkeypatch.setitem(bench.WORKS, "greedy", greedy)
    rows = list(bench.measure("greedy", "cpu", bench.quick(), 1.0))
    assert rows[0]["runs"] >= 1 and rows[1:] == [
        {"name": "greedy", "batch": 2, "skipped": "does not fit into memory"}
    ]


def test_tolerances_name_scenes():
    assert set(TOLERANCES) <= set(NAMES)


def test_a_tolerance_is_of_the_largest_number_and_lets_a_share_go():
    a = {"x": torch.arange(101.0), "who": np.arange(100)}
    b = {"x": torch.arange(101.0), "who": np.arange(100)}
    b["x"][3] += 1.0
    b["who"][7] = -1
    assert compare(a, b, Tolerance(0.02, 0.01)).fault == ""
    assert (
        compare(a, b, Tolerance(0.005, 0.01)).fault == "" and compare(a, b, Tolerance(0.005, 0.01)).off == 0
    )
    assert compare(a, b, Tolerance(0.005)).fault.startswith("result['x']: 1 of 101 differ, by up to 0.01")
    assert compare(a, b, Tolerance(0.02)).fault.startswith("result['who']: 1 of 100")
    assert compare(a, b, Tolerance(0.02)).off == pytest.approx(0.01)


def test_what_is_not_a_number_must_be_so_on_both():
    nan, one = torch.tensor([torch.nan, torch.inf]), torch.tensor([1.0, torch.inf])
    assert not compare(nan, nan.clone()).fault and compare(nan, one).fault and compare(one, nan).fault
