"""Progress bars appear where a person looks on, and nowhere else."""

import io
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "shown", "seen"),
    [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)],
)
def test_a_bar_is_drawn_in_a_terminal_and_not_in_a_file(stream, shown, seen, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    assert sum(progress_bar(range(4), "counting", shown=shown)) == 6
    with progress_bar(what="by hand", total=2, shown=shown) as bar:
        bar.update(2)
    said = sys.stderr.getvalue()
    assert (
        ("counting" in said and "by hand" in said and "4/4" in said and "2/2" in said) if seen else said == ""
    )


@pytest.mark.parametrize("shown", [True, False])
def test_a_bar_is_drawn_in_a_notebook(shown, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    cell = nbformat.v4.new_code_cell(
        f"from helpers.progress import progress_bar\nprint(sum(progress_bar(range(4), shown={shown})))"
    )
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    assert [o.text for o in outputs if o.output_type == "stream"] == ["6\n"]
    assert any("application/vnd.jupyter.widget-view+json" in o.get("data", {}) for o in outputs) == shown
