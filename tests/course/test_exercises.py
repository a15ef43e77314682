"""Every solution passes its check; every stub, and every likely mistake, fails it with a message that teaches."""

import contextlib
import io
import re
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.course import exercises
from helpers.show import exercise_checks

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "notebooks" / "exercises").glob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TEACHES = re.compile(r"expected .+, got .+", re.DOTALL)


def run(code, space):
    """Run code as a cell does, and return what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "cell", "exec"), space)
    return out.getvalue().strip()


def each_exercise():
    for file in FILES:
        shared, found = exercises.read(file.read_text("utf-8"), file.name)
        for number, exercise in enumerate(found, 1):
            yield pytest.param(shared, exercise, id=f"{file.stem}-{number}-{exercise.name}")


@pytest.mark.parametrize("shared, exercise", list(each_exercise()))
def test_solution_passes_and_stub_and_mistakes_fail(shared, exercise):
    space = {}
    for code in (shared, exercise.given):
        assert run(code, space) == ""
    assert run(exercise.stub, space) == "", "a stub runs as it is"
    unfilled = run(exercise.check, space)
    assert unfilled.startswith(f"{exercise.name}: not done yet: ") and TEACHES.search(unfilled), unfilled

    run(exercise.answer, space)
    assert run(exercise.check, space) == f"{exercise.name}: right"

    before = set(space)
    run(exercise.mistakes, space)
    wrong = sorted(name for name in set(space) - before if not name.startswith("_"))
    assert wrong, "an exercise names a likely mistake"
    for name in wrong:
        space[exercise.name] = space[name]
        said = run(exercise.check, space)
        assert said.startswith(f"{name}: not right yet: ") and TEACHES.search(said), f"{name}: {said}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_holds_what_the_file_says(path):
    """The stubs, checks and solutions in a notebook are those of its file; `make notebooks` writes them."""
    notebook = nbformat.read(path, as_version=4)
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    if not exercises.file_of(path).exists():
        assert not tags & {"exercise", "check"}, f"its exercises belong into exercises/{path.stem[:2]}.py"
        return
    stored = [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]
    exercises.renew(notebook, path)
    assert stored == [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells], (
        "run `make notebooks`"
    )


def test_exercises_are_two_to_four_a_notebook():
    teaching = {path.stem[:2] for path in NOTEBOOKS} - {
        "00",
        "08",
    }  # the first and the playground teach no step
    assert {file.stem for file in FILES} == teaching
    for file in FILES:
        _, found = exercises.read(file.read_text("utf-8"), file.name)
        assert 2 <= len(found) <= 4, file.name
        assert len({exercise.name for exercise in found}) == len(found)


TEXT = '''# A file.

# %% given
import torch

# %% exercise: Twice (easy, 5 minutes)
# Return `x` twice.
#
# That is all.

# %% solution
def twice(x):
    """Two of x."""
    ### BEGIN SOLUTION a number
    return 2 * x
    ### END SOLUTION

# %% check
print(twice(1))

# %% hint
# Is there a sum?
#
# Or a product?

# %% hint
# `x + x`.

# %% why
# Because.

# %% mistakes
def thrice(x):
    return 3 * x
'''


def test_reading():
    shared, (exercise,) = exercises.read(TEXT)
    assert shared == "import torch"
    assert (exercise.name, exercise.title, exercise.difficulty, exercise.minutes) == (
        "twice",
        "Twice",
        "easy",
        5,
    )
    assert exercise.hints == ("Is there a sum?\n\nOr a product?", "`x + x`.")
    assert exercise.task == "Return `x` twice.\n\nThat is all." and exercise.why == "Because."
    assert exercise.stub == 'def twice(x):\n    """Two of x."""\n    return None  # your code: a number'
    assert exercise.answer == 'def twice(x):\n    """Two of x."""\n    return 2 * x'


@pytest.mark.parametrize(
    "change, said",
    [
        (("(easy, 5 minutes)", "(simple, 5 minutes)"), "must be like"),
        (("# %% mistakes", "# %% errors"), "no such cell"),
        (("### BEGIN SOLUTION a number", ""), "lacks the lines"),
        (("# %% check\nprint(twice(1))", ""), "lacks check"),
        (("# Return `x` twice.\n#\n# That is all.", ""), "lacks its task"),
        (("# %% why", "# %% check"), "has check twice"),
        (("# %% given", "# %% check"), "comes before the first exercise"),
    ],
)
def test_a_file_with_a_mistake_is_refused(change, said):
    assert change[0] in TEXT
    with pytest.raises(ValueError, match=said):
        exercises.read(TEXT.replace(*change))


def test_put_replaces_the_part_and_keeps_outputs_and_neighbours():
    kept = new_code_cell("print(twice(1))", execution_count=7, outputs=[new_output("stream", text="2")])
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# T"),
            new_markdown_cell("last words\n\n## Exercises\n\nold"),
            kept,
            new_code_cell("gone"),
            new_markdown_cell("old end\n\n## Summary\n\nso"),
            new_code_cell("x = 1"),
        ]
    )
    exercises.put(notebook, exercises.section(TEXT))
    sources = [cell.source for cell in notebook.cells]
    assert (
        sources[:2] == ["# T", "last words"]
        and sources[2].startswith("## Exercises")
        and sources[-2:] == ["## Summary\n\nso", "x = 1"]
    )
    assert "gone" not in sources and not any("old" in source for source in sources)
    check = next(cell for cell in notebook.cells if cell.source == "print(twice(1))")
    assert check.execution_count == 7 and check.outputs[0].text == "2" and check.metadata.tags == ["check"]
    assert sources[-4].count("<summary>Hint</summary>") == 2 and sources[-4].endswith("`x + x`.\n</details>")
    assert "return 2 * x" in sources[-3] and "BEGIN" not in "".join(sources)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    once = list(sources)
    exercises.put(notebook, exercises.section(TEXT))
    assert once == [cell.source for cell in notebook.cells]
    with pytest.raises(ValueError, match="## Exercises"):
        exercises.put(new_notebook(cells=[new_markdown_cell("# T")]), [])


@pytest.mark.parametrize(
    "got, expected, within, said",
    [
        (3, 3, 0, None),
        (3.0001, 3, 1e-3, None),
        (3.1, 3, 1e-3, "expected 3, got 3.1"),
        (True, True, 0, None),
        (False, True, 0, "expected True, got False"),
        (None, True, 0, "expected True, got None"),
        ("a", "b", 0, "expected 'b', got 'a'"),
        ("a", 1, 0, "which is a str and no number"),
        (torch.ones(3), torch.ones(3), 0, None),
        (torch.ones(3), torch.tensor([1.0, 1, 2]), 0.5, r"farthest apart at \[2\]: 2 and 1"),
        (torch.ones(2), torch.ones(3), 0, r"shapes \(3,\) and \(2,\)"),
        (torch.tensor([1.0, float("nan")]), torch.ones(2), 1, r"at \[1\]: 1 and nan"),
        (float("nan"), 1.0, 1, "expected 1, got nan"),
        (float("inf"), float("inf"), 1, None),
        (torch.tensor([True, False]), torch.tensor([True, True]), 0, r"1 of 2 differ: \[1\]"),
        (torch.arange(20) < 10, torch.arange(20) < 9, 0, r"1 of 20 differ: \[9\]"),
        (torch.ones(20, dtype=torch.bool), torch.zeros(20, dtype=torch.bool), 0, r"20 of 20 .*\[5\], …"),
        (torch.tensor(True), torch.tensor(False), 0, "the answer must be False"),
        (torch.tensor([1, 1]), torch.tensor([True, True]), 0, "must be bool, it is int64"),
        ((1.0, torch.ones(2)), (1.0, torch.ones(2)), 0, None),
        ((1.0, torch.ones(2)), (1.0, torch.zeros(2)), 0, "part 1"),
        (1.0, (1.0, torch.zeros(2)), 0, "2 things were to be returned"),
        (torch.arange(10), torch.zeros(10), 0.5, r"expected \[0, 0, 0, 0, 0, 0, …\] of shape \(10,\)"),
    ],
)
def test_expect(got, expected, within, said):
    if said is None:
        exercise_checks.expect(got, expected, "it", within=within)
        return
    with pytest.raises(exercise_checks.NotRight, match=said):
        exercise_checks.expect(got, expected, "it", within=within)


def test_expect_below():
    exercise_checks.expect_below(0.5, 1, "error")
    for got, said in ((1.0, "less than 1 mm, got 1 mm"), (float("nan"), "got nan"), (None, "got None")):
        with pytest.raises(exercise_checks.NotRight, match=said):
            exercise_checks.expect_below(got, 1.0, "error", "mm")


def test_what_a_reader_raises_becomes_a_sentence(capsys):
    def mine(x):
        y = x
        return y.no_such_thing

    def none(x):
        return None

    exercise_checks.check(lambda f: f(1), mine)
    exercise_checks.check(lambda f: f(1) + 1, none)
    exercise_checks.check(lambda f: exercise_checks.expect(f(1), 1, "one"), lambda x: x)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "mine: not right yet: expected an answer, got AttributeError in line 3 of mine: "
    )
    assert lines[1].startswith(
        "none: not right yet: expected an answer, got TypeError from what none returned"
    )
    assert lines[2] == "<lambda>: right"
