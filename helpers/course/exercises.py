"""The exercises of a notebook: solutions are written once, stubs, checks and folded solutions are made from them.

`notebooks/exercises/NN.py` holds the exercises of notebook NN, in cells that begin with `# %%`:

    # %% given                               what the cells below need; also within an exercise, before its solution
    # %% exercise: Title (easy, 5 minutes)   then the task, as comment lines of Markdown
    # %% solution                            a function; the lines between BEGIN and END SOLUTION are left out of the stub
    # %% check                               a function that compares by show.expect, and a call of show.check
    # %% hint                                optional, several: what to try first, as comment lines; each is folded by itself
    # %% why                                 optional: what to say below the solution, as comment lines
    # %% mistakes                            functions with a likely mistake each, for the tests: the check must notice them

`section(text)` makes the cells of the notebook's part "Exercises"; `put(notebook, cells)` puts them in their place.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from helpers.course import ROOT

FOLDER = ROOT / "notebooks" / "exercises"
KINDS = ("given", "exercise", "solution", "check", "hint", "why", "mistakes")
HEAD = re.compile(r"(?P<title>.+) \((?P<difficulty>easy|medium|hard), (?P<minutes>\d+) minutes\)")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
START, STOP = "## Exercises", "## Summary"
INTRODUCTION = """## Exercises

Fill in a stub and run the cell below it: it says what was expected and what it got. The cells from here on need nothing
from above, so you can begin here."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        title: its heading.
        difficulty: easy, medium or hard.
        minutes: that it takes.
        task: Markdown.
        given: code that the solution needs, or "".
        solution: code, with the marks around what is to be found.
        check: code.
        why: Markdown, to be read below the solution, or "".
        mistakes: code of likely ones.
        hints: Markdown, from the vague to the plain.
    """

    title: str
    difficulty: str
    minutes: int
    task: str
    given: str
    solution: str
    check: str
    why: str
    mistakes: str
    hints: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The function that the reader writes."""
        return next(node.name for node in ast.parse(self.solution).body if isinstance(node, ast.FunctionDef))

    @property
    def stub(self) -> str:
        """The solution without what is to be found."""
        lines, inside = [], False
        for line in self.solution.splitlines():
            if line.strip().startswith(BEGIN):
                inside = True
                hint = line.strip()[len(BEGIN) :].strip()
                lines.append(
                    line[: len(line) - len(line.lstrip())]
                    + "return None  # your code"
                    + (f": {hint}" if hint else "")
                )
            elif line.strip() == END:
                inside = False
            elif not inside:
                lines.append(line)
        return "\n".join(lines)

    @property
    def answer(self) -> str:
        """The solution without the marks, for reading."""
        return "\n".join(
            line for line in self.solution.splitlines() if not line.strip().startswith((BEGIN, END))
        )


def read(text: str, name: str = "exercises") -> tuple[str, list[Exercise]]:
    """Read a file of exercises.

    Args:
        text: of the file.
        name: of the file, for messages.

    Returns:
        The code that all exercises need, and the exercises.

    Raises:
        ValueError: the text is no file of exercises; the message says what is wrong with it.
    """
    shared, found, cells = "", [], _cells(text, name)
    hints: list[list[str]] = []
    for kind, argument, body in cells:
        if kind == "exercise":
            head = HEAD.fullmatch(argument)
            if head is None:
                raise ValueError(
                    f"{name}: {argument!r} must be like 'Title (easy, 5 minutes)', easy, medium or hard"
                )
            found.append({**head.groupdict(), "task": _markdown(body)})
            hints.append([])
        elif not found:
            if kind != "given":
                raise ValueError(f"{name}: {kind} comes before the first exercise")
            shared = body
        elif kind == "hint":
            hints[-1].append(_markdown(body))
        elif kind in found[-1]:
            raise ValueError(f"{name}: {found[-1]['title']} has {kind} twice")
        else:
            found[-1][kind] = _markdown(body) if kind == "why" else body
    exercises = []
    for parts, its_hints in zip(found, hints, strict=True):
        missing = [kind for kind in ("solution", "check", "mistakes") if not parts.get(kind)]
        if missing or not parts["task"]:
            raise ValueError(f"{name}: {parts['title']} lacks {', '.join(missing) or 'its task'}")
        if BEGIN not in parts["solution"] or END not in parts["solution"]:
            raise ValueError(f"{name}: {parts['title']}: the solution lacks the lines {BEGIN} and {END}")
        minutes = int(parts.pop("minutes"))
        exercises.append(
            Exercise(**{"given": "", "why": "", **parts}, minutes=minutes, hints=tuple(its_hints))
        )
    return shared, exercises


def _cells(text: str, name: str) -> list[tuple[str, str, str]]:
    """(kind, what follows it, body) of each cell."""
    out = []
    for part in re.split(r"^# %% ", text, flags=re.MULTILINE)[1:]:
        first, _, body = part.partition("\n")
        kind, _, argument = first.partition(":")
        if kind.strip() not in KINDS:
            raise ValueError(f"{name}: no such cell: {first!r}; there are {', '.join(KINDS)}")
        out.append((kind.strip(), argument.strip(), body.strip("\n")))
    return out


def _markdown(comments: str) -> str:
    return "\n".join(re.sub(r"^# ?", "", line) for line in comments.splitlines()).strip()


def section(text: str, name: str = "exercises") -> list:
    """The cells of a notebook's part "Exercises", from its heading to before the summary; arguments as for `read`."""
    from nbformat.v4 import new_code_cell, new_markdown_cell

    shared, exercises = read(text, name)
    cells = [new_markdown_cell(INTRODUCTION, id="exercises")]
    if shared:
        cells.append(new_code_cell(shared, id="exercises-given", metadata={"tags": ["given"]}))
    for n, each in enumerate(exercises, 1):
        task = (
            f"### {n} · {each.title}\n\n*{each.difficulty.capitalize()}, {each.minutes} minutes.* {each.task}"
        )
        cells.append(new_markdown_cell(task, id=f"exercise-{n}"))
        if each.given:
            cells.append(new_code_cell(each.given, id=f"exercise-{n}-given", metadata={"tags": ["given"]}))
        cells.append(new_code_cell(each.stub, id=f"exercise-{n}-stub", metadata={"tags": ["exercise"]}))
        cells.append(new_code_cell(each.check, id=f"exercise-{n}-check", metadata={"tags": ["check"]}))
        if each.hints:
            hints = [f"<details><summary>Hint</summary>\n\n{hint}\n</details>" for hint in each.hints]
            cells.append(new_markdown_cell("\n\n".join(hints), id=f"exercise-{n}-hints"))
        folded = f"<details><summary>Solution</summary>\n\n```python\n{each.answer}\n```\n"
        folded += f"\n{each.why}\n</details>" if each.why else "</details>"
        cells.append(new_markdown_cell(folded, id=f"exercise-{n}-solution"))
    return cells


def put(notebook, cells: list) -> None:
    """Replace a notebook's part "Exercises"; outputs of code that stays as it was are kept.

    Args:
        notebook: is changed.
        cells: of the new part, as `section` makes them.

    Raises:
        ValueError: the notebook lacks the headings between which the part stands.
    """
    from nbformat.v4 import new_markdown_cell

    before, inside, after = [], [], []
    part = before
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and part is not after:
            text, mark, rest = _split(cell.source, START if part is before else STOP)
            if mark:
                if text:
                    # A cell that also holds what comes before the heading is cut in two.
                    part.append(new_markdown_cell(text, id=cell.id))
                    cell = new_markdown_cell(mark + rest, id=f"{cell.id}-2"[-64:])
                part = inside if part is before else after
        part.append(cell)
    if part is not after:
        raise ValueError(f"the notebook must have the headings {START} and, after it, {STOP}")
    outputs = {cell.source: cell for cell in inside if cell.cell_type == "code"}
    for cell in cells:
        if cell.cell_type == "code" and cell.source in outputs:
            cell.outputs, cell.execution_count = (
                outputs[cell.source].outputs,
                outputs[cell.source].execution_count,
            )
    notebook.cells = [*before, *cells, *after]


def _split(text: str, heading: str) -> tuple[str, str, str]:
    """The text before a heading's line, the heading, and the rest; ("text", "", "") where it has none."""
    found = re.search(rf"^{re.escape(heading)}\b", text, flags=re.MULTILINE)
    if found is None:
        return text, "", ""
    return text[: found.start()].strip(), heading, text[found.end() :]


def file_of(notebook: Path, folder: Path | None = None) -> Path:
    """Where the exercises of a notebook are: exercises/NN.py beside it."""
    return (folder or notebook.parent / "exercises") / f"{notebook.stem[:2]}.py"


def renew(notebook, path: Path) -> None:
    """Write the exercises of the notebook at `path` into it, if it has any."""
    file = file_of(path)
    if file.exists():
        put(notebook, section(file.read_text("utf-8"), f"exercises/{file.name}"))
