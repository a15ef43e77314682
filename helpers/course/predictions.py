"""Fold the stored output that answers a prediction, until the reader runs the cell.

A cell of text with "Predict, then run" asks. What the code below it shows is the answer, up to the folded text that explains it. On
the site and in JupyterLab such output opens by a click, and in JupyterLab also when the cell is run; GitHub shows it always.
"""

from __future__ import annotations

from helpers.course.exercises import belongs

ASKS, EXPLAINS, PART = "**Predict, then run.**", "<details>", "## "
TAG, HIDDEN = "hide-output", "outputs_hidden"


def fold(notebook) -> None:
    """Mark the cells of code whose output answers a prediction, and no others.

    Args:
        notebook: nbformat 4; is changed.
    """
    asked = False
    for cell in notebook.cells:
        if belongs(cell):
            continue
        if cell.cell_type == "markdown":
            if ASKS in cell.source:
                asked = True
            elif cell.source.startswith((EXPLAINS, PART)):
                asked = False
        elif cell.cell_type == "code":
            _mark(cell.metadata, asked)


def _mark(metadata, hidden: bool) -> None:
    tags = [tag for tag in metadata.get("tags", []) if tag != TAG]
    jupyter = {name: value for name, value in metadata.get("jupyter", {}).items() if name != HIDDEN}
    if hidden:
        tags, jupyter = [*tags, TAG], {**jupyter, HIDDEN: True}
    for name, value in (("tags", tags), ("jupyter", jupyter)):
        if value:
            metadata[name] = value
        else:
            metadata.pop(name, None)
