"""The viewer as a widget."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets
from torch import Tensor

from helpers.face_model import MorphableModel
from helpers.painting import PaintedFace
from helpers.show.viewer.packing import VIEWER, VIEWER_STYLE, jpeg_of, packed_mesh, packed_model

HERE = Path(__file__).parent
MODES = ("photograph", "model", "clay", "plain", "studio")


class FaceViewer(anywidget.AnyWidget):
    """A face that turns by itself until it is touched: drag turns it, Ctrl and the wheel bring it closer.

    Attributes:
        mesh: from `packed_model` or `packed_mesh`.
        mode: one of `MODES`: its paint, the model's colours in a light, clay, colours as they are, or in studio light.
        coefficients: "alpha", "expression" and "beta" to lists of numbers; what is left out is 0.
        paint: the texture as JPEG, laid out by the atlas of the mesh.
        about: what is to be seen, in words.
        height: px on the page.
        wanted: names of landmarks that the reader is to click on, one after the other; with none a click does nothing.
        picked: where the reader has clicked, points [x, y, z] of the mesh, mm.
        said: is shown when all are picked.
    """

    _esm = VIEWER + (HERE / "widget.js").read_text("utf-8")
    _css = VIEWER_STYLE
    mesh = traitlets.Dict().tag(sync=True)
    mode = traitlets.Enum(MODES, "studio").tag(sync=True)
    coefficients = traitlets.Dict().tag(sync=True)
    paint = traitlets.Bytes(b"").tag(sync=True)
    about = traitlets.Unicode("a face").tag(sync=True)
    height = traitlets.Int(420).tag(sync=True)
    wanted = traitlets.List(traitlets.Unicode()).tag(sync=True)
    picked = traitlets.List().tag(sync=True)
    said = traitlets.Unicode("").tag(sync=True)

    @classmethod
    def of_mesh(
        cls, vertices: Tensor, triangles: Tensor, colours: Tensor, *, lit: bool = True, **options
    ) -> FaceViewer:
        """A mesh.

        Args:
            vertices: (V, 3) mm, model axes.
            triangles: (F, 3).
            colours: (V, 3) sRGB, 0 to 1.
            lit: False for colours that have their light in them.
            options: of the widget.
        """
        mode = "studio" if lit else "plain"
        return cls(mesh=packed_mesh(vertices, triangles, colours), mode=mode, **options)

    @classmethod
    def of_model(cls, model: MorphableModel, painted: PaintedFace | None = None, **options) -> FaceViewer:
        """A face model with its basis: its faces follow `coefficients` without another mesh being sent.

        Args:
            model: a face or a whole head.
            painted: one face in the colours of its photograph.
            options: of the widget.
        """
        if painted is None:
            return cls(mesh=packed_model(model), **{"mode": "studio", **options})
        paint = jpeg_of(painted.texture[0])
        return cls(mesh=packed_model(model, painted.atlas), paint=paint, **{"mode": "photograph", **options})
