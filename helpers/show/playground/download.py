"""The face as files: what a button sends to the reader's browser, in JupyterLab and in Voilà alike."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets

from helpers.errors import UserError
from helpers.fitting import FitResult
from helpers.fitting.numbers import fit_numbers
from helpers.mesh_files import write_glb, write_ply
from helpers.painting import PaintedFace, paint_fit
from helpers.painting.atlas import SIZE
from helpers.show.figures import png_bytes
from helpers.show.fit_strip import fit_strip
from helpers.show.on_cpu import on_cpu
from helpers.show.playground.face import Face
from helpers.show.playground.panel import plain
from helpers.show.playground.person import Person

KINDS = {
    "ply": "PLY: coloured mesh, mm",
    "glb": "GLB: mesh for viewers",
    "png": "PNG: the strip",
    "npz": "NPZ: the numbers",
}

SCRIPT = """
function render({ model, el }) {
  el.classList.add("face-download");
  const note = document.createElement("span");
  note.setAttribute("role", "status");
  for (const [kind, label] of Object.entries(model.get("kinds"))) {
    const button = document.createElement("button");
    button.className = "jupyter-button widget-button";
    button.dataset.kind = kind;
    button.textContent = label;
    button.onclick = () => { note.textContent = "making the file …"; model.send({ kind }); };
    el.append(button);
  }
  el.append(note);
  const take = (content, buffers) => {
    note.textContent = content.said;
    if (!content.name) return;
    const link = document.createElement("a");
    const url = URL.createObjectURL(new Blob(buffers, { type: "application/octet-stream" }));
    link.href = url;
    link.download = content.name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };
  model.on("msg:custom", take);
  return () => model.off("msg:custom", take);
}
export default { render };
"""
LOOK = """
.face-download { display: flex; gap: 8px; align-items: center; flex-wrap: wrap;
  color: var(--jp-ui-font-color1, #24292f); font-size: var(--jp-widgets-font-size, 13px); }
.face-download button { width: auto !important; padding: 0 12px !important; }
"""


def file_of(kind: str, face: Face, person: Person, model) -> tuple[str, bytes]:
    """The face as a file.

    An .npz holds what `helpers.fitting.numbers.fit_numbers` names; alpha, beta, expression, pose and light are the face's, all
    else is the fit's. Meshes and strip have the photograph's colours; with another texture than the fit's, the model's.

    Args:
        kind: one of `KINDS`.
        face: as it is now.
        person: whose it was, with a fit.
        model: the mesh comes in its fineness.

    Returns:
        The file's name and its content.

    Raises:
        UserError: there is no such kind, or the person has no fit.
    """
    if kind not in KINDS:
        raise UserError(f"{kind!r}: files are made as {', '.join(KINDS)}")
    result, model = as_result(face, person), on_cpu(model)
    assert person.crop is not None  # a fit was made on it
    head = model.whole_head
    painted = painted_as(face, person, head) if kind != "npz" else None
    if kind == "npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **fit_numbers(person.crop, result, person.detection))
        data = buffer.getvalue()
    elif kind == "png":
        data = png_bytes(fit_strip(person.crop, result, model, painted=painted))
    else:
        # The .ply has the model's mesh, for measuring; the .glb is for viewers, and there heads have a back.
        vertices = head.shape(face.alpha, face.expression if face.expression.shape[1] else None)
        colours = head.texture(face.beta) if painted is None else painted.colours
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"face.{kind}"
            if kind == "ply":
                V = model.n_vertices
                write_ply(path, vertices[0, :V], model.triangles, colours[0, :V])
            elif painted is None:
                write_glb(path, vertices[0], head.triangles, colours[0])
            else:
                painted.write_glb(path, vertices)
            data = path.read_bytes()
    return f"{person.name}.{kind}", data


def painted_as(face: Face, person: Person, head, size: int = SIZE) -> PaintedFace | None:
    """The head in the colours of the person's photograph; None if the face has another texture than the fit."""
    if person.crop is None or not torch.equal(face.beta, person.fit_result.beta):
        return None
    return paint_fit(person.photo.image, person.crop, person.fit_result, head, size=size)


def as_result(face: Face, person: Person) -> FitResult:
    """The person's `FitResult` with the numbers of `face` in it, seen by the camera of the fit.

    Raises:
        UserError: the person has no fit.
    """
    return replace(
        person.fit_result,
        alpha=face.alpha,
        beta=face.beta,
        expression=face.expression,
        pose=face.pose,
        light=face.light,
    )


class Downloads(anywidget.AnyWidget):
    """A button for each kind of file."""

    _esm, _css = SCRIPT, LOOK
    kinds = traitlets.Dict(KINDS).tag(sync=True)

    def __init__(self, make: Callable[[str], tuple[str, bytes]], **options):
        """Make the buttons.

        Args:
            make: gives name and content of a kind of file, or raises UserError with what to tell the reader.
            options: of the widget.
        """
        super().__init__(**options)
        self._make = make
        self.on_msg(self._answer)

    def _answer(self, _, content: dict, buffers) -> None:
        try:
            name, data = self._make(str(content.get("kind")))
        except UserError as error:
            self.send({"said": plain(str(error)), "name": ""})
            return
        except Exception as error:  # a full disk, say: the button must not wait for ever
            self.send(
                {"said": f"That failed ({type(error).__name__}): {plain(str(error))}"[:300], "name": ""}
            )
            return
        self.send(
            {
                "said": f"{name}, {max(1, round(len(data) / 1000)):,} kB, is with your browser's downloads",
                "name": name,
            },
            [data],
        )
