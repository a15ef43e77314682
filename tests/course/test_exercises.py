"""Every solution passes its check; every stub, and every likely mistake, fails it with a message that teaches."""

import ast
import contextlib
import io
import re
from pathlib import Path

import nbformat
import pytest
import torch
from IPython.core.inputtransformer2 import TransformerManager
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
        for number, exercise in enumerate(exercises.read(file.read_text("utf-8"), file.name), 1):
            yield pytest.param(exercise, id=f"{file.stem}-{number}-{exercise.name}")


@pytest.mark.parametrize("exercise", list(each_exercise()))
def test_solution_passes_and_stub_and_mistakes_fail(exercise):
    space = {}
    assert run(exercise.given, space) == ""
    assert run(exercise.stub, space) == "", "a stub runs as it is"
    unfilled = run(exercise.check, space)
    assert unfilled.startswith(f"{exercise.name}: not done yet: ") and TEACHES.search(unfilled), unfilled

    run(exercise.answer, space)
    assert run(exercise.check, space) == f"{exercise.name}: right"
    assert len(exercise.hints) >= 2, "hints are staged"

    before = set(space)
    run(exercise.mistakes, space)
    wrong = sorted(name for name in set(space) - before if not name.startswith("_"))
    assert wrong, "an exercise names a likely mistake"
    for name in wrong:
        space[exercise.name] = space[name]
        said = run(exercise.check, space)
        assert said.startswith(f"{name}: not right yet: ") and TEACHES.search(said), f"{name}: {said}"


def bound(sources):
    """The names that cells define at their top level; of imports with what they stand for."""
    names, waiting = {}, [ast.parse(TransformerManager().transform_cell(source)) for source in sources]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = getattr(node, "module", "")
            names |= {each.asname or each.name: (module, each.name) for each in node.names}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names[node.id] = node
        elif not isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            waiting += ast.iter_child_nodes(node)
    return names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercises_share_no_name_with_their_notebook(path):
    """Else a reader's answer, or the cells around it, would change what the notebook shows."""
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    of_exercises, own = (
        bound(c.source for c in code if exercises.belongs(c) is belongs) for belongs in (True, False)
    )
    assert not [name for name, what in of_exercises.items() if own.get(name, what) != what]


def test_names_of_a_cell():
    cell = "import a\nb, c = [d for d in e]\ndef f(g):\n    h = 1\nfor i in b:\n    j = lambda k: k\nwith a as l:\n    pass"
    assert set(bound([cell, "%matplotlib inline\nm = 1"])) == set("abcfijlm")
    once, again, other = (bound([f"from {module} import x"])["x"] for module in ("n", "n", "o"))
    assert once == again != other


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_holds_what_the_file_says(path):
    """The stubs, checks and solutions in a notebook are those of its file; `make notebooks` writes them."""
    notebook = nbformat.read(path, as_version=4)
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    if not exercises.file_of(path).exists():
        assert not tags & {"exercise", "check"}, (
            f"its exercises belong into exercises/{exercises.number_of(path)}.py"
        )
        return
    stored = [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells]
    exercises.renew(notebook, path)
    assert stored == [(cell.cell_type, cell.source, dict(cell.metadata)) for cell in notebook.cells], (
        "run `make notebooks`"
    )


def test_exercises_are_two_to_four_a_notebook():
    # The first and the playground teach no step.
    teaching = {exercises.number_of(path) for path in NOTEBOOKS} - {"00", "08"}
    assert {file.stem for file in FILES} == teaching
    for file in FILES:
        found = exercises.read(file.read_text("utf-8"), file.name)
        assert 2 <= len(found) <= 4, file.name
        assert len({exercise.name for exercise in found}) == len(found)


TEXT = '''# A file.

# %% exercise: Twice (easy, 5 minutes) after "Build: it"
# Return `x` twice.
#
# That is all.

# %% link
# the first.

# %% given
import math

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
    (exercise,) = exercises.read(TEXT)
    assert (exercise.given, exercise.link, exercise.after) == ("import math", "the first.", "Build: it")
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
        (("# A file.", "# %% given"), "comes before the first exercise"),
        ((' after "Build: it"', ""), "must be like"),
    ],
)
def test_a_file_with_a_mistake_is_refused(change, said):
    assert change[0] in TEXT
    with pytest.raises(ValueError, match=said):
        exercises.read(TEXT.replace(*change))


def a_notebook():
    kept = new_code_cell("print(twice(1))", id="exercise-9-check", execution_count=7)
    kept.outputs = [new_output("stream", text="2")]
    shown = new_output("execute_result", data={"text/plain": "1"}, execution_count=2)
    return new_notebook(
        cells=[
            new_markdown_cell("# T"),
            new_markdown_cell("## Build: it\n\n### A"),
            new_code_cell("1", execution_count=2, outputs=[shown]),
            new_markdown_cell("### B"),
            new_code_cell("x = 1", execution_count=3),
            new_markdown_cell("old", id="exercises"),
            kept,
            new_code_cell("gone", id="exercise-9-stub"),
            new_markdown_cell("## Summary\n\nso"),
        ]
    )


def test_put_places_an_exercise_behind_its_section_and_keeps_outputs():
    notebook = a_notebook()
    exercises.put(notebook, exercises.read(TEXT))
    heads = [cell.source.partition("\n")[0] for cell in notebook.cells]
    solved = heads.index("### B")
    assert heads[:4] == ["# T", "## Build: it", "1", "### Exercise 1: Twice"]
    assert heads[solved:] == ["### B", "x = 1", "## Exercises", "## Summary"]
    assert "gone" not in heads and "old" not in heads
    check = next(cell for cell in notebook.cells if cell.source == "print(twice(1))")
    assert check.outputs[0].text == "2" and check.metadata.tags == ["check"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4, 5] == list(range(1, len(code) + 1))
    assert code[0].outputs[0].execution_count == 1
    task, hints, answer = (
        next(c.source for c in notebook.cells if c.id == f"exercise-1{of}")
        for of in ("", "-hints", "-solution")
    )
    assert "*Easy, 5 minutes.* Return `x` twice." in task and task.endswith(":* the first.")
    assert "<summary>Hint 1</summary>" in hints and hints.endswith("`x + x`.\n</details>")
    assert "return 2 * x" in answer and not any("BEGIN" in cell.source for cell in notebook.cells)
    assert "| 1 | [Twice](#Exercise-1:-Twice) | Build: it | easy | 5 |" in notebook.cells[-2].source
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    once = [dict(cell) for cell in notebook.cells]
    exercises.put(notebook, exercises.read(TEXT))
    assert once == [dict(cell) for cell in notebook.cells]


def test_put_runs_a_check_that_is_new():
    notebook = a_notebook()
    exercises.put(
        notebook, exercises.read(TEXT.replace("print(twice(1))", "print('got', twice(3), math.pi > 3)"))
    )
    (check,) = (cell for cell in notebook.cells if cell.id == "exercise-1-check")
    assert check.outputs[0].text == "got None True\n"


def test_places_that_are_not_there_are_refused():
    second = TEXT.partition("\n")[2].replace("Build: it", "B").replace("twice", "again")
    both = exercises.read(TEXT + second)
    notebook = a_notebook()
    exercises.put(notebook, both)
    assert sum(cell.id.endswith("-stub") for cell in notebook.cells) == 2
    with pytest.raises(ValueError, match="in the order of the sections"):
        exercises.put(a_notebook(), both[::-1])
    with pytest.raises(ValueError, match="no heading 'Nowhere'"):
        exercises.put(a_notebook(), exercises.read(TEXT.replace("Build: it", "Nowhere")))
    notebook.cells[-1].source = "so"
    with pytest.raises(ValueError, match="## Summary"):
        exercises.put(notebook, both)
    cut = a_notebook()
    cut.cells[3].source = "On.\n\n### B"
    exercises.put(cut, exercises.read(TEXT.replace("Build: it", "A")))
    heads = [cell.source.partition("\n")[0] for cell in cut.cells]
    assert heads.index("On.") + 1 == heads.index("### Exercise 1: Twice") and "### B" in heads


def test_a_solution_is_found_by_its_name(tmp_path):
    (tmp_path / "01.py").write_text(TEXT)
    assert exercises.solution_of("01", "twice", tmp_path)(4) == 8
    with pytest.raises(LookupError, match="notebook 01 has no exercise thrice"):
        exercises.solution_of("01", "thrice", tmp_path)


def test_a_handout_has_no_solutions(tmp_path, capsys):
    from helpers.course import handout

    notebook = a_notebook()
    exercises.put(notebook, exercises.read(TEXT))
    exercises.without_solutions(notebook)
    everything = "\n".join(cell.source for cell in notebook.cells)
    assert "return 2 * x" not in everything and "x + x" not in everything and "Because." not in everything
    assert "Is there a sum?" in everything and "your code" in everything and "print(twice(1))" in everything

    assert handout.main([str(tmp_path / "out")]) == 0
    written = sorted((tmp_path / "out").glob("*.ipynb"))
    assert [path.name for path in written] == [path.name for path in NOTEBOOKS]
    assert (
        not (tmp_path / "out" / "exercises").exists()
        and (tmp_path / "out" / "pages" / "exercises.md").exists()
    )
    for path in written:
        nbformat.validate(nbformat.read(path, as_version=4))
        assert "<summary>Solution</summary>" not in path.read_text("utf-8")
    assert handout.main([str(tmp_path / "out")]) == 1 and "is there already" in capsys.readouterr().err


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
