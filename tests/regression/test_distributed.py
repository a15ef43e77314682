"""Two processes that train one network."""

import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from helpers.regression import train
from tests.regression.pictures import FEW, HELD_OUT, TRAINING

WORKER = """
import os, sys, time, torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from helpers.regression import train
from helpers.regression.distributed import team
from tests.regression.pictures import FEW, HELD_OUT, TRAINING
from dataclasses import replace
with team("cpu") as ours:
    clock = lambda: time.perf_counter() * (1 if ours.leads else {faster})
    settings = replace(FEW, optimiser="sgd", rate=1e-3, minutes={minutes})
    result = train(TRAINING, HELD_OUT, settings, {out!r}, team=ours, clock=clock)
    if ours.leads:
        print("losses", *result.losses)
        print("held out", *(row["loss"] for row in result.log))
        print("ended", result.ended)
"""


def train_by_two(out, minutes=0.0, faster=1.0) -> dict[str, list[str]]:
    """Two processes train one network, the clock of the second running `faster`: the lines that the first prints, by their first word."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    code = WORKER.format(root=root, out=str(out), minutes=minutes, faster=faster)
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**environment, "RANK": str(r), "LOCAL_RANK": str(r)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    try:
        outputs = [p.communicate(timeout=180) for p in processes]
    finally:
        for p in processes:
            p.kill()  # nothing to one that has ended
    assert all(p.returncode == 0 for p in processes), outputs
    assert not outputs[1][0]  # only the first process talks
    return {words[0]: words[1:] for words in (line.split(" ") for line in outputs[0][0].splitlines())}


@pytest.mark.slow
def test_two_processes_train_like_one(tmp_path, one_thread):
    """The group normalisation of `small` looks at one picture at a time, so sharing a batch changes nothing but rounding."""
    alone = train(TRAINING, HELD_OUT, replace(FEW, optimiser="sgd", rate=1e-3), tmp_path / "one")
    said = train_by_two(tmp_path / "two")
    assert [float(x) for x in said["losses"]] == pytest.approx(alone.losses, rel=1e-3)
    assert [float(x) for x in said["held"][1:]] == pytest.approx([row["loss"] for row in alone.log], rel=1e-3)


@pytest.mark.slow
def test_two_processes_end_at_the_same_step_though_their_clocks_differ(tmp_path):
    """If each went by its own clock, the second would leave at once, and the first would wait for it for ever."""
    said = train_by_two(tmp_path / "two", minutes=10, faster=1e8)
    assert len(said["losses"]) == 1 and said["ended"] == ["10", "minutes", "are", "over"]
