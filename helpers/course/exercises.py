"""The exercises of a notebook: solutions are written once, stubs, checks and folded solutions are made from them.

`notebooks/exercises/NN.py` holds the exercises of notebook NN, in the order of their places, in cells that begin with `# %%`:

    # %% exercise: Title (easy, 5 minutes) after "Heading"    then the task, as comment lines of Markdown
    # %% link                                optional: what it continues and what it serves, if it belongs to the chain
    # %% given                               optional: what the cells below need
    # %% solution                            a function; the lines between BEGIN and END SOLUTION are left out of the stub
    # %% check                               a function that compares by show.expect, and a call of show.check
    # %% hint                                optional, several: what to try first, as comment lines; each is folded by itself
    # %% why                                 optional: what to say below the solution, as comment lines
    # %% mistakes                            functions with a likely mistake each, for the tests: the check must notice them

An exercise stands at the end of the section of its heading (second or third level), since it trains what was told there. It needs
nothing from the notebook and gives nothing to it, so its names must be none of the notebook's. `put` writes exercises into a
notebook, and the list of them before the summary; `without_solutions` takes out what gives them away.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from helpers.course import ROOT

FOLDER = ROOT / "notebooks" / "exercises"
KINDS = ("given", "exercise", "link", "solution", "check", "hint", "why", "mistakes")
TEXTS = ("link", "why")
HEAD = re.compile(
    r'(?P<title>.+) \((?P<difficulty>easy|medium|hard), (?P<minutes>\d+) minutes\) after "(?P<after>.+)"'
)
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
HEADING = re.compile(r"^##{1,2} .+$", flags=re.MULTILINE)
STOP = "## Summary"
CELL = re.compile(r"exercises?(?:-|$)")  # how the ids of their cells begin
CHAIN = "pages/exercises.md#the-chain"
INTRODUCTION = """## Exercises

Each stands at the end of the part that it trains, and needs nothing from above: run its cells from its heading on, fill in the stub, and
run both again. The check tells what was expected and what it got."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        title: its heading.
        difficulty: easy, medium or hard.
        minutes: that it takes.
        after: the heading of the section at whose end it stands.
        task: Markdown.
        link: Markdown: its place in the chain, or "".
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
    after: str
    task: str
    link: str
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


def read(text: str, name: str = "exercises") -> list[Exercise]:
    """Read a file of exercises.

    Args:
        text: of the file.
        name: of the file, for messages.

    Returns:
        The exercises.

    Raises:
        ValueError: the text is no file of exercises; the message says what is wrong with it.
    """
    found, hints = [], []
    for kind, argument, body in _cells(text, name):
        if kind == "exercise":
            head = HEAD.fullmatch(argument)
            if head is None:
                raise ValueError(
                    f"{name}: {argument!r} must be like 'Title (easy, 5 minutes) after \"Heading\"', easy, medium or hard"
                )
            found.append({**head.groupdict(), "task": _markdown(body)})
            hints.append([])
        elif not found:
            raise ValueError(f"{name}: {kind} comes before the first exercise")
        elif kind == "hint":
            hints[-1].append(_markdown(body))
        elif kind in found[-1]:
            raise ValueError(f"{name}: {found[-1]['title']} has {kind} twice")
        else:
            found[-1][kind] = _markdown(body) if kind in TEXTS else body
    exercises = []
    for parts, its_hints in zip(found, hints, strict=True):
        missing = [kind for kind in ("solution", "check", "mistakes") if not parts.get(kind)]
        if missing or not parts["task"]:
            raise ValueError(f"{name}: {parts['title']} lacks {', '.join(missing) or 'its task'}")
        if BEGIN not in parts["solution"] or END not in parts["solution"]:
            raise ValueError(f"{name}: {parts['title']}: the solution lacks the lines {BEGIN} and {END}")
        minutes = int(parts.pop("minutes"))
        exercises.append(
            Exercise(**{"link": "", "given": "", "why": "", **parts}, minutes=minutes, hints=tuple(its_hints))
        )
    return exercises


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


def heading(number: int, exercise: Exercise) -> str:
    """The heading of an exercise in its notebook, without the marks of its level."""
    return f"Exercise {number}: {exercise.title}"


def anchor(heading: str) -> str:
    """The place of a heading in JupyterLab, for links within a notebook."""
    return quote(heading.replace(" ", "-"), safe=":")


def cells_of(number: int, exercise: Exercise) -> list:
    """The cells of one exercise, from its heading to its folded solution."""
    from nbformat.v4 import new_code_cell, new_markdown_cell

    start = f"exercise-{number}"
    task = f"### {heading(number, exercise)}\n\n*{exercise.difficulty.capitalize()}, {exercise.minutes} minutes.* "
    task += exercise.task
    if exercise.link:
        task += f"\n\n*In [the chain]({CHAIN}):* {exercise.link}"
    cells = [new_markdown_cell(task, id=start)]
    if exercise.given:
        cells.append(new_code_cell(exercise.given, id=f"{start}-given", metadata={"tags": ["given"]}))
    cells.append(new_code_cell(exercise.stub, id=f"{start}-stub", metadata={"tags": ["exercise"]}))
    cells.append(new_code_cell(exercise.check, id=f"{start}-check", metadata={"tags": ["check"]}))
    if exercise.hints:
        cells.append(new_markdown_cell(_folded(exercise.hints), id=f"{start}-hints"))
    answer = f"<details><summary>Solution</summary>\n\n```python\n{exercise.answer}\n```\n"
    answer += f"\n{exercise.why}\n</details>" if exercise.why else "</details>"
    cells.append(new_markdown_cell(answer, id=f"{start}-solution"))
    return cells


def _folded(hints) -> str:
    return "\n\n".join(
        f"<details><summary>Hint {n}</summary>\n\n{hint}\n</details>" for n, hint in enumerate(hints, 1)
    )


def listed(exercises: list[Exercise]) -> str:
    """The part "Exercises": where each is, how hard, how long. Links are as JupyterLab names headings."""
    rows = ["| | exercise | at the end of | difficulty | minutes |", "|---|---|---|---|---|"]
    for n, each in enumerate(exercises, 1):
        rows.append(
            f"| {n} | [{each.title}](#{anchor(heading(n, each))}) | {each.after} | {each.difficulty} | {each.minutes} |"
        )
    return "\n\n".join([INTRODUCTION, "\n".join(rows)])


def belongs(cell) -> bool:
    """Whether a cell of a notebook is of an exercise, or the list of them."""
    return CELL.match(cell.id) is not None


def put(notebook, exercises: list[Exercise]) -> None:
    """Write exercises into a notebook, in place of those that it has; outputs of code that stays as it was are kept.

    A check that is new is run with its stub, for its output. As exercises and the rest of the notebook share no name, the cells are
    numbered anew as if they had been executed in their new order.

    Args:
        notebook: is changed.
        exercises: in the order of their places.

    Raises:
        ValueError: the notebook lacks a heading, or the places are in another order.
    """
    from nbformat.v4 import new_markdown_cell, new_output

    stored = {cell.source: cell for cell in notebook.cells if belongs(cell) and cell.cell_type == "code"}
    own = [cell for cell in notebook.cells if not belongs(cell)]
    for each in exercises:
        _cut(own, _end_of(own, each.after))
    places = [_end_of(own, each.after) for each in exercises]
    if places != sorted(places):
        raise ValueError("exercises must come in the order of the sections at whose end they stand")
    last = next((n for n, cell in enumerate(own) if cell.source.startswith(STOP)), None)
    if last is None or places[-1:] > [last]:
        raise ValueError(f"a cell must begin with the heading {STOP}, after all exercises")
    added: dict[int, list] = {}
    for number, (each, place) in enumerate(zip(exercises, places, strict=True), 1):
        for cell in cells_of(number, each):
            if cell.source in stored:
                cell.outputs = stored[cell.source].outputs
            elif "check" in cell.metadata.get("tags", []):
                said = run(each.given, each.stub, each.check)[1]
                cell.outputs = [new_output("stream", name="stdout", text=said)]
            added.setdefault(place, []).append(cell)
    added.setdefault(last, []).append(new_markdown_cell(listed(exercises), id="exercises"))
    notebook.cells = [new for n, cell in enumerate(own) for new in (*added.get(n, ()), cell)]
    if all(cell.execution_count for cell in own if cell.cell_type == "code"):
        _number(notebook)


def _end_of(cells: list, title: str) -> int:
    """The place behind a section: of the first cell after its heading that has one of second or third level."""
    heads = [HEADING.findall(cell.source) if cell.cell_type == "markdown" else [] for cell in cells]
    start = next((n for n, found in enumerate(heads) if {f"## {title}", f"### {title}"} & set(found)), None)
    if start is None:
        raise ValueError(f"no heading {title!r}, at the end of whose section an exercise is to stand")
    return next((n for n in range(start + 1, len(cells)) if heads[n]), len(cells))


def _cut(cells: list, place: int) -> None:
    """Cut a cell in two that also holds what comes before its first heading."""
    from nbformat.v4 import new_markdown_cell

    if place == len(cells):
        return
    text, name = cells[place].source, cells[place].id
    before = HEADING.split(text, maxsplit=1)[0]
    if before.strip():
        parts = {name: before.strip(), f"{name}-2"[-64:]: text[len(before) :]}
        cells[place : place + 1] = [new_markdown_cell(part, id=its_id) for its_id, part in parts.items()]


def _number(notebook) -> None:
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count


def run(*cells: str) -> tuple[dict, str]:
    """Execute code as the cells of a notebook do.

    Args:
        cells: code.

    Returns:
        The names that it defines with their values, and what it prints.
    """
    space: dict = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for code in cells:
            exec(compile(code, "<exercise>", "exec"), space)
    return space, printed.getvalue()


@cache
def solution_of(number: str, name: str, folder: Path = FOLDER) -> Callable:
    """The solution of an exercise, for those that build on it.

    Args:
        number: of the notebook: "02".
        name: of the function.
        folder: with the files of exercises.

    Raises:
        LookupError: no exercise of the notebook has the name.
    """
    for each in read((folder / f"{number}.py").read_text("utf-8"), f"{number}.py"):
        if each.name == name:
            return run(each.given, each.answer)[0][name]
    raise LookupError(f"notebook {number} has no exercise {name}")


def without_solutions(notebook) -> None:
    """Take the solutions out of a notebook, and of several hints the last, which is nearly one."""
    kept = []
    for cell in notebook.cells:
        if belongs(cell) and cell.id.endswith("-hints"):
            hints = cell.source.split("\n\n<details>")
            cell.source = "\n\n<details>".join(hints[: max(1, len(hints) - 1)])
        if not (belongs(cell) and cell.id.endswith("-solution")):
            kept.append(cell)
    notebook.cells = kept


def number_of(notebook: Path) -> str:
    """The number that the name of a notebook begins with: "02", or "02b"."""
    return notebook.stem.partition("_")[0]


def file_of(notebook: Path) -> Path:
    """Where the exercises of a notebook are: exercises/NN.py beside it."""
    return notebook.parent / "exercises" / f"{number_of(notebook)}.py"


def of_notebook(path: Path) -> list[Exercise]:
    """The exercises of the notebook at `path`; none if it has no file of them."""
    file = file_of(path)
    return read(file.read_text("utf-8"), f"exercises/{file.name}") if file.exists() else []


def renew(notebook, path: Path) -> None:
    """Write the exercises of the notebook at `path` into it, if it has any."""
    if file_of(path).exists():
        put(notebook, of_notebook(path))
