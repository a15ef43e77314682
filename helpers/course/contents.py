"""The README's table of notebooks, made from the notebooks themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path

START, END = "<!-- notebooks: written by `make notebooks` -->", "<!-- end of notebooks -->"


def with_table(text: str, rows: str) -> str:
    """The README's text with other rows between the marks.

    Args:
        text: of the README.
        rows: as `table` makes them.

    Raises:
        ValueError: a mark is missing.
    """
    if START not in text or END not in text.split(START, 1)[1]:
        raise ValueError(f"README.md must have the lines {START} and {END}")
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{START}\n{rows}\n{END}{after}"


def table(folder: Path) -> str:
    """A row for each notebook: title, the question it answers, what it needs first, the seconds of a run."""
    lines = ["| notebook | the question it answers | read first | seconds |", "|---|---|---|---|"]
    for path in sorted(folder.glob("*.ipynb")):
        notebook = json.loads(path.read_text("utf-8"))
        title, question = title_and_question("".join(notebook["cells"][0]["source"]))
        course = notebook["metadata"].get("course", {})
        link = f"[{title}](notebooks/{path.name})"
        lines.append(
            f"| {link} | {question} | {course.get('needs', 'nothing')} | {course.get('seconds', '')} |"
        )
    return "\n".join(lines)


def title_and_question(first_cell: str) -> tuple[str, str]:
    """The heading of a notebook's first cell, and the first sentence in it that is a question."""
    title, _, rest = first_cell.partition("\n")
    asked = re.search(r"(?:^|(?<=[.!?:]\s))[^.!?:]*\?", re.sub(r"[*_>]", "", " ".join(rest.split())))
    return title.lstrip("# ").strip(), asked.group().strip() if asked else ""
