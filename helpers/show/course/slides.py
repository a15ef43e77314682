"""Slides of a notebook by nbconvert, in build/slides: `python -m helpers.show.course.slides NOTEBOOK…`.

A slide for each heading, one for each picture, and folded answers on slides of their own. Code is shown where it is short or where
it is all that a step has. Exercises are left out.
"""

from __future__ import annotations

import sys
from pathlib import Path

OUT = Path(__file__).resolve().parents[3] / "build" / "slides"
LEFT_OUT = ("Exercises", "References", "Previous and next")
SHORT = 8  # lines of code that fit beside a picture


def main(paths: list[str]) -> int:
    """Write slides of each notebook; returns the exit status."""
    import nbformat
    from nbconvert import SlidesExporter

    from helpers.files import write_in_one_step

    if not paths:
        print("usage: python -m helpers.show.course.slides NOTEBOOK…", file=sys.stderr)
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    for path in map(Path, paths):
        if not path.is_file():
            print(f"{path}: there is no such notebook", file=sys.stderr)
            return 1
        notebook = nbformat.read(path, as_version=4)
        arrange(notebook)
        exporter = SlidesExporter()
        exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
        text, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})
        target = OUT / f"{path.stem}.slides.html"
        write_in_one_step(target, lambda file, text=text: file.write(text.encode()))
        print(target)
    return 0


def arrange(notebook) -> None:
    """Say of each cell what kind of slide it is, as nbconvert reads it; cut text at headings and before folded answers."""
    from nbformat.v4 import new_markdown_cell

    cells, skipping = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for text in _parts(cell.source):
                heading = text.lstrip("#").strip().partition("\n")[0] if text.startswith("#") else None
                if heading is not None and text.startswith(("# ", "## ")):
                    skipping = heading.startswith(LEFT_OUT)
                kind = "slide" if heading is not None else "subslide" if text.startswith("<details>") else "-"
                made = new_markdown_cell(text.replace("<details>", "<details open>"))
                cells.append(_as(made, "skip" if skipping else kind))
        else:
            picture = any({"image/png", "image/jpeg"} & set(output.get("data", {})) for output in cell.outputs)
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
        if not fenced and (line.startswith(("# ", "## ", "### ", "<details>"))) and any(each.strip() for each in parts[-1]):
            parts.append([])
        parts[-1].append(line)
        if not fenced and line.startswith("</details>"):
            parts.append([])
    return [joined for part in parts if (joined := "\n".join(part).strip())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
