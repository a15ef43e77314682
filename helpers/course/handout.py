"""The notebooks without solutions, for a class: `python -m helpers.course.handout FOLDER`.

Stubs, checks and the first hints stay. The folder also gets the pages that the notebooks link to.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from helpers.course import ROOT

USAGE = "usage: python -m helpers.course.handout FOLDER\n\nWrite all notebooks without solutions into a new folder."


def main(arguments: list[str]) -> int:
    """Write the notebooks, and the pages beside them, into a new folder.

    Args:
        arguments: the folder.

    Returns:
        The exit status.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(USAGE, file=sys.stdout if arguments[:1] in (["-h"], ["--help"]) else sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    folder = Path(arguments[0])
    if folder.exists():
        print(f"{folder} is there already: name a new folder", file=sys.stderr)
        return 1
    shutil.copytree(ROOT / "notebooks" / "pages", folder / "pages")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        (folder / path.name).write_text(stripped(path), "utf-8")
    print(f"{folder}: {len(list(folder.glob('*.ipynb')))} notebooks without solutions")
    return 0


def stripped(path: Path) -> str:
    """The text of a notebook without its solutions."""
    import nbformat

    from helpers.course.exercises import without_solutions

    notebook = nbformat.read(path, as_version=4)
    without_solutions(notebook)
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
