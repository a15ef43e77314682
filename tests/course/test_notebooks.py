"""The stored notebooks keep the rules; each rule is shown to notice what it is there for."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.course import contents, execute
from tests.course import notebook_rules as rules

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PNG = {"image/png": "iVBORw0KGgo="}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    nbformat.validate(nbformat.read(path, as_version=4))
    found = rules.complaints(path)
    assert not found, "\n".join(found)


def notebook(*code, text="# A title\nWhat is asked?", outputs=(), **metadata):
    """A notebook with a first text cell and code cells; `outputs` are those of the last one."""
    cells = [new_code_cell(source, execution_count=n) for n, source in enumerate(code or ["x = 1"], 1)]
    cells[-1].outputs = list(outputs)
    metadata = {"kernelspec": execute.KERNEL, "language_info": execute.LANGUAGE, **metadata}
    return new_notebook(cells=[new_markdown_cell(text), *cells], metadata=metadata)


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def shown(data, **metadata):
    return new_output("display_data", data=data, metadata=metadata)


COURSE = {"needs": "nothing", "seconds": 20}
LONG = "\n".join(f"x{i} = {i}" for i in range(26))
ERROR = new_output("error", ename="ValueError", evalue="no", traceback=[])
WIDGET = shown({"application/vnd.jupyter.widget-view+json": {"model_id": "1"}})
TAGGED = new_notebook(cells=[new_code_cell("x = 1", metadata={"tags": ["raises-exception"]})])
SKIPPED = notebook()
SKIPPED.cells[1].execution_count = 2
TIMED = notebook()
TIMED.cells[1].metadata["execution"] = {"iopub.execute_input": "2026"}

BAD = {
    "no title": (rules.title, notebook(text="A text?")),
    "no question": (rules.title, notebook(text="# A title\nA text.")),
    "empty": (rules.title, new_notebook()),
    "long cell": (rules.cell_lengths, notebook(LONG)),
    "long on average": (rules.cell_lengths, notebook("a = 1\n" * 7)),
    "wide line": (rules.line_lengths, notebook("x = 1  # " + "w" * 110)),
    "semicolon": (rules.last_lines, notebook("f(x);")),
    "semicolon before comment": (rules.last_lines, notebook("f(x);  # quiet")),
    "bare name": (rules.last_lines, notebook("x = 1\nx")),
    "bare name, comment": (rules.last_lines, notebook("x = 1\nx  # see")),
    "empty cell": (rules.last_lines, notebook("\n")),
    "unknown magic": (rules.magics, notebook("%%nonsense\nassert False")),
    "line magic": (rules.magics, notebook("x = %pwd")),
    "shell": (rules.magics, notebook("!ls")),
    "shell, assigned": (rules.magics, notebook("x = !ls")),
    "help": (rules.magics, notebook("print?")),
    "no Python": (rules.valid_code, notebook("x = = 1")),
    "tag": (rules.tags, TAGGED),
    "not checked": (rules.tags, notebook("# NBVAL_SKIP\nx = 1")),
    "order": (rules.executed_in_order, SKIPPED),
    "not executed": (rules.executed_in_order, new_notebook(cells=[new_code_cell("x = 1")])),
    "error": (rules.no_errors, notebook(outputs=[ERROR])),
    "stderr": (rules.no_residue, notebook(outputs=[stream("careful", "stderr")])),
    "progress bar": (rules.no_residue, notebook(outputs=[stream("10 %\r20 %")])),
    "colour codes": (rules.no_residue, notebook(outputs=[stream("\x1b[1A")])),
    "widget view": (rules.no_widgets, notebook(outputs=[WIDGET])),
    "widget state": (rules.no_widgets, notebook(widgets={})),
    "path in code": (rules.no_machine_paths, notebook("open('/home/me/a.png')")),
    "path in output": (rules.no_machine_paths, notebook(outputs=[stream("saved /tmp/a.png")])),
    "path in data": (rules.no_machine_paths, notebook(outputs=[shown({"text/html": "<b>/work/a</b>"})])),
    "path in text": (rules.no_machine_paths, notebook(text="See `/root/x`")),
    "Windows path": (rules.no_machine_paths, notebook(outputs=[stream(r"C:\Users\me")])),
    "address": (rules.no_addresses, notebook(outputs=[shown({"text/plain": "<Axes at 0x7f3a12345678>"})])),
    "object": (rules.no_addresses, notebook(outputs=[stream("<helpers.camera.Pose object at 0x1>")])),
    "picture": (rules.alt_texts, notebook(outputs=[shown(PNG)])),
    "picture, empty alt": (rules.alt_texts, notebook(outputs=[shown(PNG, **{"image/png": {"alt": " "}})])),
    "HTML picture": (rules.alt_texts, notebook(outputs=[shown({"text/html": "<p><img src='a.png'></p>"})])),
    "HTML picture, empty alt": (
        rules.alt_texts,
        notebook(outputs=[shown({"text/html": '<IMG alt="" src="a">'})]),
    ),
    "picture in text": (rules.alt_texts, notebook(text="![](a.png)")),
    "HTML picture in text": (rules.alt_texts, notebook(text='<img src="a.png">')),
    "kernel": (rules.plain_metadata, notebook(kernelspec={"name": "mine", "display_name": "Mine"})),
    "version": (rules.plain_metadata, notebook(language_info={"name": "python", "version": "3.11.7"})),
    "times": (rules.plain_metadata, TIMED),
    "no course": (rules.course_metadata, notebook()),
    "slow": (rules.course_metadata, notebook(course={"needs": "nothing", "seconds": 130})),
}


@pytest.mark.parametrize("case", BAD)
def test_rule_notices(case):
    rule, bad = BAD[case]
    assert rule(bad)


def test_every_rule_is_shown_to_notice():
    assert {rule for rule, _ in BAD.values()} == set(rules.RULES)


def test_rules_let_good_notebooks_be(tmp_path):
    text = (
        "# A title\nWhat is *asked*?\n\n![a face](a.png) <img src='b.png' alt='a nose'> https://a.org/work/b"
    )
    good = notebook(
        "%matplotlib inline\nx = 1",
        "%%time\nx.real",
        'print("100 %!")',
        text=text,
        course=COURSE,
        outputs=[
            stream("100 %!\n"),
            shown({**PNG, "text/plain": "a face"}, **{"image/png": {"alt": "a face"}}),
            shown({"text/html": '<img alt="a face" src="data:,">'}),
        ],
    )
    good.cells.append(new_markdown_cell("\n\n".join(f"## {heading}" for heading in rules.LOOSE_SKELETON)))
    nbformat.write(good, tmp_path / "00_good.ipynb")
    assert rules.complaints(tmp_path / "00_good.ipynb") == []
    found = rules.complaints(shutil.copy(tmp_path / "00_good.ipynb", tmp_path / "01_good.ipynb"))
    assert [text for text in found if "heading missing: ## Theory" in text], (
        "other notebooks are held to more"
    )


def with_headings(names):
    return notebook(text="# T?\n" + "\n".join(f"## {name}" for name in names))


@pytest.mark.parametrize("name", ["00_start", "01_model", "08_playground"])
def test_skeleton(name):
    wanted = list(rules.LOOSE_SKELETON if name.startswith(rules.LOOSE) else rules.SKELETON)
    assert rules.skeleton(with_headings(wanted), name) == []
    assert rules.skeleton(with_headings([f"{heading}: more" for heading in wanted]), name) == []
    assert rules.skeleton(with_headings(wanted[:-1]), name) == [f"heading missing: ## {wanted[-1]}"]
    assert rules.skeleton(with_headings(wanted[::-1]), name)
    assert rules.skeleton(with_headings([*wanted, wanted[0]]), name)
    strange = rules.skeleton(with_headings(["Interlude", *wanted]), name)
    assert bool(strange) == (not name.startswith(rules.LOOSE))


def test_skeleton_reads_no_code_as_headings():
    assert rules.headings(notebook(text="# T\n```\n## not this\n```\n## `this`")) == ["this"]


def test_a_wrapped_statement_counts_once():
    wrapped = "f(\n" + "    1,\n" * 9 + ")"
    assert rules.cell_lengths(notebook(wrapped)) == [] and rules.cell_lengths(notebook(*[wrapped] * 3)) == []
    assert rules.cell_lengths(notebook("if a:\n    b = 1\n    c = 1\nelse:\n" + "    d = 1\n" * 4))


def test_size():
    assert rules.size(1_000_001) and not rules.size(1_000_000)


@pytest.mark.slow
def test_store_leaves_out_what_belongs_to_the_run(tmp_path):
    path = tmp_path / "00_small.ipynb"
    code = [
        "import os\nfrom ipywidgets import IntSlider\nfrom tqdm.auto import tqdm",
        "print(sum(tqdm(range(3))), os.getcwd() == os.path.dirname(os.path.abspath('x')))",
        "IntSlider()",
    ]
    small = notebook(*code, widgets={"state": 1}, course={"needs": "01"})
    small.cells[1].metadata["execution"] = {"iopub": "2026"}
    nbformat.write(small, path)
    execute.store(path)
    first = path.read_bytes()
    execute.store(path)
    assert path.read_bytes() == first, "the same twice"
    stored = nbformat.read(path, as_version=4)
    for rule in (
        rules.executed_in_order,
        rules.no_widgets,
        rules.no_residue,
        rules.plain_metadata,
        rules.course_metadata,
    ):
        assert rule(stored) == []
    assert stored.metadata.course.needs == "01"
    assert stored.cells[2].outputs[0].text == "3 True\n"


def test_failed_notebooks_are_not_stored(tmp_path, capsys):
    path = tmp_path / "00_bad.ipynb"
    nbformat.write(notebook("1 / 0"), path)
    before = path.read_bytes()
    assert execute.main([str(path)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.slow
def test_cells_after_a_failed_one_are_skipped(tmp_path):
    shutil.copy(ROOT / "notebooks" / "conftest.py", tmp_path)
    nbformat.write(notebook("x = 1", "assert x == 2", "y = x", "z = y"), tmp_path / "bad.ipynb")
    nbformat.write(notebook("x = 1", "y = x"), tmp_path / "good.ipynb")
    options = [
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:dash",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", ".", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "1 failed, 3 passed, 2 skipped" in done.stdout, done.stdout


def test_readme_lists_the_notebooks():
    text = (ROOT / "README.md").read_text("utf-8")
    assert contents.with_table(text, contents.table(ROOT / "notebooks")) == text, "run `make notebooks`"


@pytest.mark.parametrize(
    "minutes, words", [(1, "5 min"), (33, "35 min"), (58, "1 h"), (94, "1 h 30 min"), (118, "2 h")]
)
def test_spans_of_time(minutes, words):
    assert contents.span(minutes) == words


def test_the_promised_time_is_that_of_a_reader(tmp_path):
    words = "- **Time**: about a day; at most. Take breaks.\n\n" + "word " * 4000
    one = notebook(*["x = 1"] * 20, text=words, course=COURSE)
    of_exercise = new_code_cell("y = 2", id="exercise-1-stub")
    one.cells += [of_exercise] * 100
    assert contents.reading_minutes(one) == pytest.approx(4000 / 200 + 20 * 1.5, abs=0.1)
    contents.renew_time(one, tmp_path / "01_a.ipynb")
    line = one.cells[0].source.splitlines()[0]
    promised = "- **Time**: about 50 min to read and try; the cells alone take 20 s on two CPU cores."
    assert line == f"{promised} Take breaks."
    contents.renew_time(one, tmp_path / "01_a.ipynb")
    assert one.cells[0].source.splitlines()[0] == line


def test_table_of_notebooks(tmp_path):
    text = "# 03 · Pose\n\n**Where is the face looking?** By six numbers."
    nbformat.write(notebook(text=text, course=COURSE), tmp_path / "03_pose.ipynb")
    row = contents.table(tmp_path).splitlines()[-1]
    link = "[03 · Pose](notebooks/03_pose.ipynb)"
    assert row == f"| {link} | Where is the face looking? | nothing | 5 min | – | 20 s |"
    renewed = contents.with_table(f"a\n{contents.START}\nold\n{contents.END}\nb", row)
    assert renewed == f"a\n{contents.START}\n{row}\n{contents.END}\nb"
    with pytest.raises(ValueError, match="must have the lines"):
        contents.with_table("a", row)
