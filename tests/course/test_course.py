"""Links, tables and pages are those that the notebooks and the tables of `helpers.course` make."""

import re
import shutil
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers.course import links, pages, predictions, renew
from helpers.course.glossary import WORDS
from helpers.course.names import resolve
from helpers.course.notation import ALIKE, SEVERAL, SYMBOLS, letters
from helpers.course.paper import STEPS

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = sorted((ROOT / "notebooks" / "pages").glob("*.md"))


def test_nothing_generated_is_out_of_date():
    assert [str(path.relative_to(ROOT)) for path in renew.outdated(ROOT)] == [], (
        "run `python -m helpers.course`"
    )


def test_links_lead_both_ways():
    titles = {
        "00_a.ipynb": ("00 · A", "Why?"),
        "01_b.ipynb": ("01 · B", "How?"),
        "02_c.ipynb": ("02 · C", "When?"),
    }
    first, middle, last = (links.last_cell(name, titles) for name in titles)
    assert "Before" not in first and "- Next: [01 · B](01_b.ipynb), *How?*" in first
    assert (
        "- Before this: [00 · A](00_a.ipynb), *Why?*" in middle
        and "- Next: [02 · C](02_c.ipynb), *When?*" in middle
    )
    assert "- Before this: [01 · B](01_b.ipynb), *How?*" in last and "Next:" not in last
    assert [links.AFTER in cell for cell in (first, middle, last)] == [False, False, True]


def test_renew_writes_what_changed_and_then_nothing(tmp_path):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "README.md", tmp_path)
    for name in ("00_a", "01_b"):
        cells = [
            new_markdown_cell(f"# {name}\n\nWhy {name[3:]}?"),
            new_code_cell("1"),
            new_markdown_cell(links.HEADING),
        ]
        nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / f"{name}.ipynb")
    written = renew.renew(tmp_path)
    assert {path.name for path in written} >= {"00_a.ipynb", "01_b.ipynb", "README.md", "exercises.md"}
    stored = nbformat.read(tmp_path / "notebooks" / "00_a.ipynb", as_version=4)
    assert "[01_b](01_b.ipynb), *Why b?*" in stored.cells[-1].source
    assert renew.renew(tmp_path) == [] and renew.outdated(tmp_path) == {}
    bad = new_notebook(cells=[new_markdown_cell("# T\n\nWhat?"), new_markdown_cell("the end")])
    nbformat.write(bad, tmp_path / "notebooks" / "02_c.ipynb")
    with pytest.raises(ValueError, match="must begin with"):
        renew.renew(tmp_path)


def markdown_texts():
    for path in [ROOT / "README.md", *PAGES]:
        yield pytest.param(path, path.read_text("utf-8"), id=path.name)
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        yield pytest.param(
            path, "\n\n".join(c.source for c in cells if c.cell_type == "markdown"), id=path.name
        )


@pytest.mark.parametrize("path, text", list(markdown_texts()))
def test_links_to_files_lead_somewhere(path, text):
    plain = re.sub(r"^```.*?^```|`[^`\n]+`|\$[^$]+\$", "", text, flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", plain):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            assert there.exists(), f"{target} leads nowhere"
            if anchor and there.suffix == ".md":
                headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), flags=re.MULTILINE)
                assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, (
                    target
                )


def test_tables_escape_bars():
    assert pages.markdown_table(["a"], [["x | y"]]) == "| a |\n|---|\n| x \\| y |"


@cache
def notebooks_of_letters():
    """For each letter the notebooks in whose formulas or rows it stands."""
    where = {}
    for symbol in SYMBOLS:
        for letter in letters(symbol.symbol):
            where.setdefault(letter, set()).add(symbol.notebook)
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for letter in letters(re.sub(r"^```.*?^```|`[^`\n]+`", "", cell.source, flags=re.S | re.M)):
                    where.setdefault(letter, set()).add(path.name.split("_")[0])
    return {letter: found for letter, found in where.items() if len(found) > 1}


def test_letters_of_several_notebooks_are_explained():
    assert not set(SEVERAL) & set(ALIKE)
    assert set(SEVERAL) | set(ALIKE) == set(notebooks_of_letters())


@pytest.mark.parametrize("letter", SEVERAL)
def test_a_letter_is_explained_for_each_notebook_where_it_stands(letter):
    if not SEVERAL[letter].startswith("always "):
        named = set(re.findall(r"\b\d\db?\b", SEVERAL[letter]))
        assert notebooks_of_letters()[letter] <= named


def test_letters_of_a_symbol():
    assert letters(r"$\gamma_i = [\alpha_i, \beta_i]$") == {r"\gamma", r"\alpha", r"\beta"}
    assert letters(r"$\lVert\gamma_p\rVert / \lVert\gamma\rVert$") == {r"\gamma"}
    assert letters(r"$$\textstyle\sum_{\text{a}} RX \mathrm{diag}(\sigma_\perp) \tfrac12$$ and b") == {
        "R",
        "X",
        r"\sigma",
    }
    assert letters(r"$N_\text{eff}$") == {"N"} and letters("$d, d^*$") == {"d"} and letters("3DRMSE") == set()


@pytest.mark.parametrize("symbol", SYMBOLS, ids=lambda symbol: symbol.code)
def test_symbols_have_names_that_exist(symbol):
    resolve(f"helpers.{symbol.code}")
    assert symbol.meaning and symbol.shape and symbol.unit


def test_names_that_do_not_exist_are_refused():
    from helpers.camera import Pose
    from helpers.pose import estimate_pose

    assert (
        resolve("helpers.camera.Pose") is Pose
        and resolve("helpers.pose.estimate_pose(points_2d)") is estimate_pose
    )
    for name in (
        "helpers.nothing",
        "helpers.camera.Pose.angle",
        "helpers.pose.estimate_pose(angle)",
        "nowhere.at_all",
    ):
        with pytest.raises(LookupError):
            resolve(name)


def notebook_texts(number):
    """The texts of the notebook with this number, or None while there is no such notebook."""
    found = next((ROOT / "notebooks").glob(f"{number}_*.ipynb"), None)
    return found and [
        cell.source for cell in nbformat.read(found, as_version=4).cells if cell.cell_type == "markdown"
    ]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.what)
def test_steps_of_the_paper_lead_to_notebook_functions_and_tests(step):
    texts = notebook_texts(step.notebook)
    if texts is not None:
        headings = re.findall(r"^##+ (.+)$", "\n".join(texts), flags=re.MULTILINE)
        assert any(heading.startswith(step.heading) for heading in headings), (
            f"notebook {step.notebook} has no heading {step.heading}"
        )
    for name in step.functions:
        resolve(f"helpers.{name}")
    for name in step.tests:
        file, _, test = name.partition("::")
        source = (ROOT / "tests" / f"{file}.py").read_text("utf-8")
        assert test == "*" or f"def {test}(" in source, name


@pytest.mark.parametrize("word", WORDS)
def test_words_stand_in_their_notebook(word):
    meaning, number, *as_written = WORDS[word]
    texts = notebook_texts(number)
    assert meaning.endswith(".")
    assert texts is None or (as_written or [word])[0].lower() in "\n".join(texts).lower()


def test_output_that_answers_a_prediction_is_folded():
    asks, explains = (
        "Now.\n\n**Predict, then run.** How far?",
        "<details><summary>What to see</summary>\n\nFar.\n</details>",
    )
    notebook = new_notebook(
        cells=[
            new_code_cell("a = 1"),
            new_markdown_cell(asks),
            new_code_cell("b = 2"),
            new_markdown_cell("On the way:"),
            new_code_cell("print(b)", metadata={"tags": ["given"]}),
            new_markdown_cell(explains),
            new_code_cell("print(a)"),
            new_markdown_cell(asks),
            new_code_cell("c = 3"),
            new_markdown_cell("## Check it"),
            new_code_cell(
                "print(c)", metadata={"tags": ["hide-output"], "jupyter": {"outputs_hidden": True}}
            ),
        ]
    )
    for _ in range(2):  # the second time nothing changes
        predictions.fold(notebook)
        folded = {cell.source for cell in notebook.cells if cell.metadata.get("jupyter")}
        assert folded == {"b = 2", "print(b)", "c = 3"}
        assert notebook.cells[4].metadata == {
            "tags": ["given", "hide-output"],
            "jupyter": {"outputs_hidden": True},
        }
        assert notebook.cells[0].metadata == {} and notebook.cells[-1].metadata == {}
