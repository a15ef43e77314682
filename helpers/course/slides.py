"""Slides of a notebook by nbconvert, in build/slides: `python -m helpers.course.slides NOTEBOOK…`.

A slide for each heading, one for each picture, and folded answers on slides of their own. Long code beside a picture is left out,
and so are exercises. nbconvert's pages fetch reveal.js and MathJax from other hosts; these have both beside them, from the packages
of the extra `site`, and open without a network.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from helpers.course import ROOT
from helpers.course.exercises import belongs
from helpers.course.site import mathjax

OUT = ROOT / "build" / "slides"
LEFT_OUT = ("References", "Previous and next")
SHORT = 8  # lines of code that fit beside a picture
REVEAL = "sphinx-revealjs"  # the package that brings reveal.js
# What nbconvert's page fetches from outside or does with it, and what stands there instead.
REPLACED = (
    (r'<script src="https://[^"]*(?:jquery|require)[^"]*"></script>', ""),
    (r'<script type="module">\s*import mermaid .*?</script>', ""),
    (
        r"<!-- Load mathjax -->.*?<!-- End of mathjax configuration -->",
        """<script>window.MathJax = {tex: {inlineMath: [["$", "$"]]}, options: {enableMenu: false}}</script>
<script defer src="mathjax/tex-svg-full.js"></script>
<style>.reveal .slides > section > section { max-height: 740px; overflow-y: auto; }</style>""",
    ),
    (
        r"<script>\s*require\(.*?</script>(?=\s*</html>)",
        """<script src="reveal.js/dist/reveal.js"></script>
<script src="reveal.js/plugin/notes/notes.js"></script>
<script>Reveal.initialize({hash: true, width: 1120, height: 760, plugins: [RevealNotes]})</script>""",
    ),
)


def main(paths: list[str]) -> int:
    """Write slides of each notebook.

    Args:
        paths: of notebooks.

    Returns:
        The exit status.
    """
    import nbformat
    from nbconvert import SlidesExporter

    from helpers.files import write_in_one_step

    if not paths:
        print("usage: python -m helpers.course.slides NOTEBOOK…", file=sys.stderr)
        return 2
    try:
        bring(OUT)
    except ModuleNotFoundError as error:
        print(f"{error.name} is missing: .venv/bin/pip install -e .[site]", file=sys.stderr)
        return 1
    for path in map(Path, paths):
        if not path.is_file():
            print(f"{path}: there is no such notebook", file=sys.stderr)
            return 1
        notebook = nbformat.read(path, as_version=4)
        arrange(notebook)
        exporter = SlidesExporter()
        exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
        exporter.reveal_url_prefix = "reveal.js"
        text = offline(exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})[0])
        target = OUT / f"{path.stem}.slides.html"
        write_in_one_step(target, lambda file, text=text: file.write(text.encode()))
        print(target)
    return 0


def bring(folder: Path) -> None:
    """Put reveal.js and MathJax into a folder.

    Raises:
        ModuleNotFoundError: the extra `site` is not installed.
    """
    from importlib.metadata import files

    initial = next(file for file in files(REVEAL) or () if file.as_posix().endswith("dist/reveal.js"))
    shutil.copytree(Path(initial.locate()).parents[1], folder / "reveal.js", dirs_exist_ok=True)
    (folder / "mathjax").mkdir(exist_ok=True)
    shutil.copy(mathjax(), folder / "mathjax")


def offline(text: str) -> str:
    """nbconvert's page of slides, with what `bring` has brought in the place of what it fetches from other hosts.

    Raises:
        ValueError: the page is not as nbconvert is known to make it.
    """
    for pattern, instead in REPLACED:
        text, count = re.subn(pattern, lambda _, instead=instead: instead, text, flags=re.DOTALL)
        if not count:
            raise ValueError(f"this nbconvert makes other slides than are known here: no {pattern}")
    return text


def arrange(notebook) -> None:
    """Say of each cell what kind of slide it is, as nbconvert reads it; cut text at headings and before folded answers."""
    from nbformat.v4 import new_markdown_cell

    cells, skipping = [], False
    for cell in notebook.cells:
        if belongs(cell):
            cells.append(_as(cell, "skip"))
        elif cell.cell_type == "markdown":
            for text in _parts(cell.source):
                heading = text.lstrip("#").strip().partition("\n")[0] if text.startswith("#") else None
                if heading is not None and text.startswith(("# ", "## ")):
                    skipping = heading.startswith(LEFT_OUT)
                kind = "slide" if heading is not None else "subslide" if text.startswith("<details>") else "-"
                made = new_markdown_cell(text.replace("<details>", "<details open>"))
                cells.append(_as(made, "skip" if skipping else kind))
        else:
            picture = any(
                {"image/png", "image/jpeg"} & set(output.get("data", {})) for output in cell.outputs
            )
            long = sum(bool(line.strip()) for line in cell.source.splitlines()) > SHORT
            if picture and long:
                cell.source = ""  # the picture is what the slide is for
            cells.append(_as(cell, "skip" if skipping else "subslide" if picture else "-"))
    notebook.cells = cells


def _as(cell, kind: str):
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def _parts(text: str) -> list[str]:
    """A text, cut before each heading and each folded answer; not within code."""
    parts, fenced = [[]], False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        if (
            not fenced
            and (line.startswith(("# ", "## ", "### ", "<details>")))
            and any(each.strip() and not each.startswith("#") for each in parts[-1])
        ):
            parts.append([])
        parts[-1].append(line)
        if not fenced and line.startswith("</details>"):
            parts.append([])
    return [joined for part in parts if (joined := "\n".join(part).strip())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
