"""A face as one page, to be sent to somebody: it turns without a network and without Python."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from helpers.painting import PaintedFace
from helpers.show.viewer.packing import VIEWER, jpeg_of, packed_mesh

PAGE = Path(__file__).parent / "standalone.html"


def standalone_page(
    vertices: Tensor, colours: Tensor, light: Tensor, painted: PaintedFace, own: Tensor, title: str
) -> bytes:
    """One painted head as a page of HTML, about 3 MB.

    Args:
        vertices: (V, 3) mm, model axes.
        colours: (V, 3) sRGB, the model's own.
        light: (9, 3) harmonics of the photograph's light, model axes.
        painted: one face, laid out by the atlas of this mesh.
        own: (V,) how far each vertex keeps its own colour under the paint, as `unpainted` has it.
        title: whose face it is.
    """
    atlas = painted.atlas
    mesh = packed_mesh(vertices, atlas.triangles, colours, atlas, own)
    packed = {
        "mesh": {name: _as_text(value) for name, value in mesh.items()},
        "light": light.flatten().tolist(),
        "paint": base64.b64encode(jpeg_of(painted.texture[0])).decode(),
    }
    page = PAGE.read_text("utf-8")
    for mark, text in (
        ("%VIEWER%", VIEWER),
        ("%PACKED%", json.dumps(packed)),
        ("%TITLE%", html.escape(title)),
    ):
        page = page.replace(mark, text)
    return page.encode()


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {"type": value["type"], "data": base64.b64encode(value["data"]).decode()}
    return value
