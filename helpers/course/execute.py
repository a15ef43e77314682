"""Execute notebooks from top to bottom and store what they show: `make notebooks`.

Before a notebook is executed its exercises are written into it, and at the end everything else that is generated: the links
between notebooks, the pages, and the README's table and picture.

What differs between two runs or two machines is left out, so that a stored notebook changes only when its
content does: times, versions, widget state, which opens blank anyway, and progress bars.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path

from helpers.show.mesh import STATIC

CELL_SECONDS = 120
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {"name": "python"}
KEPT_CELL_METADATA = ("tags", "jupyter", "slideshow")
WIDGETS = "application/vnd.jupyter.widget"


def main(paths: list[str]) -> int:
    """Execute and store each notebook, then renew what is made from them; the first failure ends it.

    Args:
        paths: of notebooks.

    Returns:
        The exit status.
    """
    from nbclient.exceptions import CellExecutionError

    from helpers.course.cover import main as draw_cover
    from helpers.course.renew import renew

    # No live views while executing, and no progress bars.
    os.environ.update({STATIC: "1", "TQDM_DISABLE": "1"})
    for path in map(Path, paths):
        try:
            seconds = store(path)
        except CellExecutionError as error:
            print(f"{path}: a cell failed, nothing is stored\n{error}", file=sys.stderr)
            return 1
        print(f"{path}: {seconds:.0f} s, {path.stat().st_size / 1e6:.2f} MB")
    renew()
    return draw_cover()


def store(path: Path) -> float:
    """Execute the notebook at `path` in its own folder and write it back.

    Returns:
        The seconds it took.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails; nothing is written.
    """
    import nbformat
    from nbclient import NotebookClient

    from helpers.course.exercises import renew as renew_exercises
    from helpers.files import write_in_one_step

    notebook = nbformat.read(path, as_version=4)
    renew_exercises(notebook, path)
    start = time.perf_counter()
    NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name=KERNEL["name"],
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    seconds = time.perf_counter() - start
    clean(notebook)
    # To full tens: a number that changes with every run would change the file with every run.
    course = notebook.metadata.setdefault("course", {"needs": "nothing"})
    course["seconds"] = 10 * math.ceil(seconds / 10)
    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    write_in_one_step(path, lambda file: file.write(text.encode()))
    return seconds


def clean(notebook) -> None:
    """Take out of an executed notebook what belongs to this run or this machine."""
    course = notebook.metadata.get("course")
    notebook.metadata = type(notebook.metadata)(kernelspec=dict(KERNEL), language_info=dict(LANGUAGE))
    if course is not None:
        notebook.metadata.course = course
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells, 1):
        cell.setdefault("id", f"cell-{number:02d}")
        for name in set(cell.metadata) - set(KEPT_CELL_METADATA):
            del cell.metadata[name]
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _of_a_widget(output)]


def _of_a_widget(output) -> bool:
    return any(kind.startswith(WIDGETS) for kind in output.get("data", {}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
