"""The page on one's own scans: its script and its commands give the numbers that it states."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.__main__ import main

PAGE = Path(__file__).parents[2] / "notebooks" / "pages" / "own_scans.md"


@pytest.mark.slow
def test_the_page_gives_its_numbers(tmp_path, monkeypatch, capsys, open3d):
    text = PAGE.read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    script = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    subprocess.run([sys.executable, "-c", script], check=True, env=None)
    commands = re.findall(r"^python -m helpers (evaluate .*)$", text, re.MULTILINE)
    assert len(commands) == 4
    assert main(commands[0].split()) == 1
    said = capsys.readouterr().err
    assert said.startswith(re.search(r"^(helpers evaluate: .*) …$", text, re.MULTILINE)[1])
    rows = {}
    for command in commands[1:]:
        assert main(command.split()) == 0
        with open("measured/scans.csv", newline="") as file:
            rows[command.split()[-1]] = next(csv.DictReader(file))
    assert f"{float(rows['micc']['rmse']):.2f}" == "0.94" and "0.94 mm, the price of 5 %" in text
    assert float(rows["now"]["mean"]) < 0.005 and f"{float(rows['now']['size']):.3f}" == "0.952"
    assert all(float(rows["realy"][part]) < 0.005 for part in ("nose", "mouth", "forehead", "cheek"))
