"""The README's table of notebooks, made from the notebooks themselves, and the time that each promises.

A reader takes a minute for 200 words and a minute and a half for a code cell, its output included; an exercise takes what it says.
"""

from __future__ import annotations

import re
from pathlib import Path

from helpers.course.exercises import belongs, of_notebook

WORDS_A_MINUTE, MINUTES_A_CELL = 200, 1.5
TIME = re.compile(r"^- \*\*Time\*\*: about [^.\n]*\.", flags=re.MULTILINE)
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
    """A row for each notebook: title, the question it answers, what it needs first, and how long it takes."""
    import nbformat

    head = ("notebook", "the question it answers", "read first", "to read and try", "exercises", "a run")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for path in sorted(folder.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        title, question = title_and_question(notebook.cells[0].source)
        course, exercises = (
            notebook.metadata.get("course", {}),
            sum(each.minutes for each in of_notebook(path)),
        )
        link = f"[{title}](notebooks/{path.name})"
        lines.append(
            f"| {link} | {question} | {course.get('needs', 'nothing')} | {span(reading_minutes(notebook))} "
            f"| {span(exercises) if exercises else '–'} | {course.get('seconds', '–')} s |"
        )
    return "\n".join(lines)


def title_and_question(first_cell: str) -> tuple[str, str]:
    """The heading of a notebook's first cell, and the first sentence in it that is a question."""
    title, _, rest = first_cell.partition("\n")
    asked = re.search(r"(?:^|(?<=[.!?:]\s))[^.!?:]*\?", re.sub(r"[*_>]", "", " ".join(rest.split())))
    return title.lstrip("# ").strip(), asked.group().strip() if asked else ""


def reading_minutes(notebook) -> float:
    """How long a reader is at a notebook, its exercises left out: words and code cells, with their outputs."""
    own = [cell for cell in notebook.cells if not belongs(cell)]
    text = "\n".join(TIME.sub("", cell.source) for cell in own if cell.cell_type == "markdown")
    cells = sum(cell.cell_type == "code" for cell in own)
    return len(text.split()) / WORDS_A_MINUTE + MINUTES_A_CELL * cells


def span(minutes: float) -> str:
    """Minutes in words: to five minutes below an hour, to a quarter of an hour above."""
    if minutes < 57.5:
        return f"{max(5, 5 * round(minutes / 5))} min"
    quarters = round(minutes / 15)
    rest = 15 * (quarters % 4)
    return f"{quarters // 4} h" + (f" {rest} min" if rest else "")


def renew_time(notebook, path: Path) -> None:
    """Write how long the notebook at `path` takes where it promises it: in a line that begins "- **Time**: about"."""
    exercises = sum(each.minutes for each in of_notebook(path))
    promise = f"- **Time**: about {span(reading_minutes(notebook))} to read and try"
    promise += f", and {span(exercises)} for the exercises" if exercises else ""
    seconds = notebook.metadata.get("course", {}).get("seconds")
    promise += f"; the cells alone take {seconds} s on two CPU cores." if seconds else "."
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = TIME.sub(lambda _: promise, cell.source)
