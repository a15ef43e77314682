"""The rules that every notebook of the course keeps, each a pure function.

A rule takes a notebook (nbformat 4) and returns its complaints, one line each; none means that it is kept.
`complaints(path)` asks them all. Cells are numbered from 1, text and code together, as a reader counts them.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from statistics import median

import nbformat

from helpers.course.execute import KEPT_CELL_METADATA, KERNEL, LANGUAGE

# Second-level headings of a notebook, in order. A heading may go on after a colon: "Theory: a face is a sum".
SKELETON = (
    "What you will be able to do",
    "Before you start",
    "Where we are",
    "Theory",
    "Build it",
    "Check it",
    "Explore it",
    "On a photograph",
    "Break it",
    "Exercises",
    "Summary",
    "Where this is in the paper and in helpers",
    "References",
    "Previous and next",
)
# The first notebook and the playground teach no step: these headings in this order, and others between them.
LOOSE_SKELETON = (
    "What you will be able to do",
    "Before you start",
    "Where we are",
    "Summary",
    "Previous and next",
)
LOOSE = ("00", "08")

MEDIAN_STATEMENTS, MOST_LINES, WIDEST = 6, 25, 110
MOST_BYTES = 1_000_000
MOST_SECONDS = 120
MAGICS = ("matplotlib", "time")
FORBIDDEN_TAGS = ("raises-exception", "nbval-raises-exception", "nbval-skip", "skip-execution")

# A path of one machine; a web address with /work/ in it is none.
MACHINE_PATH = re.compile(r"(?<![\w.\-/])/(?:home|root|work|tmp|Users|mnt|var)/|\b[A-Z]:\\\\?\w")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}|<[\w.]+ object at ")
PICTURES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif")
WIDGETS = "application/vnd.jupyter.widget"
MARKDOWN_PICTURE = re.compile(r"!\[([^\]]*)\]\(")
HTML_PICTURE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
HTML_ALT = re.compile(r"""\balt\s*=\s*(?:"\s*[^"\s]|'\s*[^'\s])""", re.IGNORECASE)


def complaints(path: str | Path) -> list[str]:
    """What is wrong with the notebook at `path`, by all rules."""
    path = Path(path)
    notebook = nbformat.read(path, as_version=4)
    found = [text for rule in RULES for text in rule(notebook)]
    found += skeleton(notebook, path.stem) + size(path.stat().st_size)
    return [f"{path.name}: {text}" for text in found]


def title(notebook) -> list[str]:
    """The first cell is text: a heading, and the question that the notebook answers."""
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        return ["cell 1 must be text and start with '# ' and the title"]
    if "?" not in first.source:
        return ["cell 1 must ask the question that the notebook answers"]
    return []


def skeleton(notebook, name: str) -> list[str]:
    """Second-level headings are those of the skeleton, in its order; `name` is the file's, "01_…"."""
    wanted = LOOSE_SKELETON if name.startswith(LOOSE) else SKELETON
    found = [_known(heading, wanted) for heading in headings(notebook)]
    if name.startswith(LOOSE):
        found = [heading for heading in found if heading in wanted]
    if found == list(wanted):
        return []
    missing = [heading for heading in wanted if heading not in found]
    strange = [heading for heading in found if heading not in wanted]
    repeated = sorted({heading for heading in found if found.count(heading) > 1})
    out = [f"heading missing: ## {heading}" for heading in missing]
    out += [f"heading not in the skeleton: ## {heading}" for heading in strange]
    out += [f"heading more than once: ## {heading}" for heading in repeated]
    return out or [f"headings must come in the order: {' · '.join(wanted)}"]


def headings(notebook) -> list[str]:
    """The texts of the second-level headings, without code marks."""
    lines = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"^```.*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            lines += [
                line[3:].replace("`", "").strip() for line in text.splitlines() if line.startswith("## ")
            ]
    return lines


def _known(heading: str, wanted) -> str:
    return next((start for start in wanted if heading == start or heading.startswith(start + ":")), heading)


def cell_lengths(notebook) -> list[str]:
    """Code cells have at most 6 statements by the median, and none has over 25 lines; empty lines do not count.

    A statement counts once, over however many lines it goes, so that wrapping a long line does not make a cell longer.
    """
    lengths = {
        n: sum(bool(line.strip()) for line in cell.source.splitlines()) for n, cell in code_cells(notebook)
    }
    out = [
        f"cell {n} has {length} lines, at most {MOST_LINES} are allowed"
        for n, length in lengths.items()
        if length > MOST_LINES
    ]
    statements = [_statements(cell.source) for _, cell in code_cells(notebook)]
    if statements and median(statements) > MEDIAN_STATEMENTS:
        out.append(
            f"code cells have {median(statements):g} statements by the median, at most {MEDIAN_STATEMENTS} are allowed"
        )
    return out


def _statements(source: str) -> int:
    """The logical lines of a cell: what Python reads as one line."""
    tree = _tree(source)
    if tree is None:
        return 0
    return sum(isinstance(node, (ast.stmt, ast.ExceptHandler)) for node in ast.walk(tree))


def line_lengths(notebook) -> list[str]:
    """No line of code is over 110 characters: GitHub and paper cut or wrap what is longer."""
    return [
        f"cell {n}: a line has {len(line)} characters, at most {WIDEST} are allowed: {line.strip()[:40]!r} …"
        for n, cell in code_cells(notebook)
        for line in cell.source.splitlines()
        if len(line) > WIDEST
    ]


def last_lines(notebook) -> list[str]:
    """No cell is empty, ends in a semicolon, or ends in a bare name, whose repr says little."""
    out = []
    for n, cell in code_cells(notebook):
        lines = [line.split("  #")[0].rstrip() for line in cell.source.splitlines() if line.strip()]
        if not lines:
            out.append(f"cell {n} is empty")
        elif lines[-1].endswith(";"):
            out.append(f"cell {n} ends in a semicolon: assign the value instead")
        else:
            last = (_tree(cell.source) or ast.Module([], [])).body[-1:]
            if last and isinstance(last[0], ast.Expr) and isinstance(last[0].value, ast.Name):
                out.append(
                    f"cell {n} ends in the bare name {last[0].value.id}: print what is to be seen of it"
                )
    return out


def magics(notebook) -> list[str]:
    """Only the allowed magics, no shell, no help. nbval passes a cell with an unknown magic without running it."""
    from IPython.core.inputtransformer2 import TransformerManager

    out = []
    for n, cell in code_cells(notebook):
        code = TransformerManager().transform_cell(cell.source)
        for kind, name in re.findall(r"get_ipython\(\)\.(\w+)\('([^']*)'", code):
            if kind not in ("run_line_magic", "run_cell_magic"):
                out.append(f"cell {n} calls the shell or another service of IPython: {kind}({name!r})")
            elif name not in MAGICS:
                out.append(f"cell {n} uses the magic {name}; allowed are {', '.join(MAGICS)}")
    return out


def valid_code(notebook) -> list[str]:
    """Every code cell is Python."""
    return [f"cell {n} is no Python" for n, cell in code_cells(notebook) if _tree(cell.source) is None]


def tags(notebook) -> list[str]:
    """Every cell is run and may not fail, and what nbval is told stands in tags, which no reader sees."""
    out = []
    for n, cell in code_cells(notebook):
        out += [
            f"cell {n} has the tag {tag}"
            for tag in cell.metadata.get("tags", [])
            if tag.lower() in FORBIDDEN_TAGS
        ]
        if re.search(r"#\s*(NBVAL|PYTEST)_\w", cell.source):
            out.append(
                f"cell {n} has a comment for nbval, which readers see; a tag, nbval-check-output, does the same"
            )
    return out


def executed_in_order(notebook) -> list[str]:
    """Code cells carry the numbers 1, 2, …, N: executed once each, from top to bottom."""
    counts = [cell.execution_count for _, cell in code_cells(notebook)]
    if counts == list(range(1, len(counts) + 1)):
        return []
    return [f"cells must be executed in order 1 to {len(counts)}, got {counts}: run `make notebooks`"]


def no_errors(notebook) -> list[str]:
    """No stored output is an error."""
    return [
        f"cell {n} stores the error {o.ename}: {o.evalue}"
        for n, o in outputs(notebook)
        if o.output_type == "error"
    ]


def no_residue(notebook) -> list[str]:
    """No progress bars and warnings: nothing from stderr, and no line written over another."""
    out = []
    for n, output in outputs(notebook):
        if output.output_type == "stream":
            if output.name == "stderr":
                out.append(f"cell {n} stores stderr: {output.text.strip()[:60]!r}")
            if "\r" in output.text.replace("\r\n", "\n") or "\x1b[" in output.text:
                out.append(f"cell {n} stores a line that overwrites itself, as progress bars do")
    return out


def no_widgets(notebook) -> list[str]:
    """No widget state and no widget views: they open blank where no kernel runs."""
    out = ["the notebook's metadata hold widget state"] if "widgets" in notebook.metadata else []
    for n, output in outputs(notebook):
        if any(kind.startswith(WIDGETS) for kind in output.get("data", {})):
            out.append(f"cell {n} stores a widget view")
    return out


def no_machine_paths(notebook) -> list[str]:
    """Neither text nor code nor outputs name a folder of one machine."""
    out = []
    for n, cell in enumerate(notebook.cells, 1):
        texts = [cell.source, *(text for output in cell.get("outputs", []) for text in _texts(output))]
        for text in texts:
            match = MACHINE_PATH.search(text)
            if match:
                out.append(
                    f"cell {n} names a path of one machine: {text[match.start() : match.start() + 40]!r}"
                )
    return out


def no_addresses(notebook) -> list[str]:
    """No output shows an object's address: it is another one each time, and says nothing."""
    return [
        f"cell {n} shows an object's address"
        for n, o in outputs(notebook)
        if any(ADDRESS.search(t) for t in _texts(o))
    ]


def alt_texts(notebook) -> list[str]:
    """Every picture is described: outputs by metadata {"image/png": {"alt": …}}, text and HTML by their own alt."""
    out = []
    for n, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown":
            out += [
                f"cell {n}: a picture lacks alt text"
                for alt in MARKDOWN_PICTURE.findall(cell.source)
                if not alt.strip()
            ]
            out += _html_without_alt(n, cell.source)
    for n, output in outputs(notebook):
        for kind in PICTURES:
            about = output.get("metadata", {}).get(kind, {})
            if kind in output.get("data", {}) and not str(about.get("alt", "")).strip():
                out.append(
                    f"cell {n}: the {kind} it shows lacks alt text: show it by helpers.show.picture(…, alt=…)"
                )
        out += _html_without_alt(n, output.get("data", {}).get("text/html", ""))
    return out


def _html_without_alt(n: int, html: str) -> list[str]:
    return [
        f"cell {n}: {tag[:40]} lacks alt text"
        for tag in HTML_PICTURE.findall(html)
        if not HTML_ALT.search(tag)
    ]


def plain_metadata(notebook) -> list[str]:
    """Metadata are the same on every machine: one kernel name, no versions, no times, no state of the editor."""
    out = []
    if notebook.metadata.get("kernelspec") != KERNEL or notebook.metadata.get("language_info") != LANGUAGE:
        out.append("kernelspec and language_info must be as `make notebooks` writes them")
    for n, cell in enumerate(notebook.cells, 1):
        extra = set(cell.metadata) - set(KEPT_CELL_METADATA)
        if extra:
            out.append(f"cell {n} has the metadata {', '.join(sorted(extra))}: run `make notebooks`")
    return out


def course_metadata(notebook) -> list[str]:
    """metadata.course says what is needed first and how long a run took, for the README's table."""
    course = notebook.metadata.get("course", {})
    out = (
        []
        if isinstance(course.get("needs"), str)
        else ['metadata.course.needs must say what comes first, or "nothing"']
    )
    seconds = course.get("seconds")
    if not isinstance(seconds, int):
        out.append("metadata.course.seconds is missing: run `make notebooks`")
    elif seconds > MOST_SECONDS:
        out.append(f"it takes {seconds} s, at most {MOST_SECONDS} are allowed")
    return out


def size(count: int) -> list[str]:
    """At most 1 MB, so that the page opens quickly and the repository stays small."""
    return (
        [f"it has {count / 1e6:.2f} MB, at most {MOST_BYTES / 1e6:.0f} is allowed"]
        if count > MOST_BYTES
        else []
    )


RULES = (
    title,
    cell_lengths,
    line_lengths,
    last_lines,
    magics,
    valid_code,
    tags,
    executed_in_order,
    no_errors,
    no_residue,
    no_widgets,
    no_machine_paths,
    no_addresses,
    alt_texts,
    plain_metadata,
    course_metadata,
)


def code_cells(notebook):
    """(number, cell) of each code cell."""
    return [(n, cell) for n, cell in enumerate(notebook.cells, 1) if cell.cell_type == "code"]


def outputs(notebook):
    """(number of the cell, output) of each stored output."""
    return [(n, output) for n, cell in code_cells(notebook) for output in cell.outputs]


def _texts(output) -> list[str]:
    """What an output says in words; pictures, which are base64, left out."""
    data = output.get("data", {})
    texts = [
        value if isinstance(value, str) else json.dumps(value)
        for kind, value in data.items()
        if kind not in PICTURES
    ]
    texts += [json.dumps(output.metadata, ensure_ascii=False)] if output.get("metadata") else []
    return [*texts, output.get("text", ""), output.get("evalue", ""), *output.get("traceback", [])]


def _tree(source: str) -> ast.Module | None:
    """The code of a cell, magics resolved; None if it is no Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return None
