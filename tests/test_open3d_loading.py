"""Open3D is loaded quietly, and its absence is said in one line."""

import subprocess
import sys

import pytest

from helpers import _open3d
from helpers.errors import UserError


@pytest.mark.slow
def test_it_loads_without_a_word(open3d):
    code = "from helpers._open3d import open3d; assert open3d().__name__ == 'open3d'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_missed_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    monkeypatch.setattr(_open3d, "open3d", _open3d.open3d.__wrapped__)  # not the one kept for other tests
    with pytest.raises(UserError, match="pip install open3d") as error:
        _open3d.open3d()
    assert "\n" not in str(error.value)


def test_a_missing_system_library_is_said_in_one_line(monkeypatch, tmp_path):
    (tmp_path / "open3d.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "open3d", raising=False)
    with pytest.raises(UserError, match="system library is missing: libGL.so.1.*apt install libegl1"):
        _open3d.open3d.__wrapped__()
