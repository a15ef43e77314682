"""Links from each notebook to the one before and the one after."""

from __future__ import annotations

from pathlib import Path

from helpers.course.contents import title_and_question

HEADING = "## Previous and next"
AFTER = "- After the course: [what came after the paper](pages/after.md)"
PAGES = (
    "[symbols](pages/notation.md) · [words](pages/glossary.md) · [where it is in the paper](pages/paper.md)"
)


def renew_links(notebook, path: Path, titles: dict[str, tuple[str, str]]) -> None:
    """Write the last cell's links.

    Args:
        notebook: is changed.
        path: of the notebook.
        titles: title and question by the file's name, as `titles_in` finds them.

    Raises:
        ValueError: the last cell does not begin with the heading.
    """
    cell = notebook.cells[-1]
    if cell.cell_type != "markdown" or not cell.source.startswith(HEADING):
        raise ValueError(f"{path.name}: its last cell must begin with {HEADING}")
    cell.source = last_cell(path.name, titles)


def last_cell(name: str, titles: dict[str, tuple[str, str]]) -> str:
    """The text of the last cell of the notebook `name`."""
    order = sorted(titles)
    place = order.index(name)
    lines = []
    if place > 0:
        lines.append(f"- Before this: {_link(order[place - 1], titles)}")
    if place + 1 < len(order):
        lines.append(f"- Next: {_link(order[place + 1], titles)}")
    else:
        lines.append(AFTER)
    lines.append(f"- To look things up: {PAGES}")
    return f"{HEADING}\n\n" + "\n".join(lines)


def titles_in(folder: Path) -> dict[str, tuple[str, str]]:
    """Title and question of each notebook in a folder, by file name."""
    import json

    found = {}
    for path in sorted(folder.glob("*.ipynb")):
        first = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
        found[path.name] = title_and_question(first)
    return found


def _link(name: str, titles: dict[str, tuple[str, str]]) -> str:
    title, question = titles[name]
    return f"[{title}]({name}), *{question}*"
