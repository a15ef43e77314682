"""A painted head as one page, to be sent to somebody, or as a script for a page of a site: it turns without a network and
without Python."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from helpers.painting import PaintedFace
from helpers.show.viewer.packing import JPEG_QUALITY, VIEWER, jpeg_of, packed_mesh

HERE = Path(__file__).parent


def standalone_page(
    vertices: Tensor, colours: Tensor, light: Tensor, painted: PaintedFace, own: Tensor, title: str
) -> bytes:
    """One painted head as a page of HTML, about 1 MB for the open model's middle mesh.

    Args:
        vertices: (V, 3) mm, model axes.
        colours: (V, 3) sRGB, the model's own.
        light: (9, 3) harmonics of the photograph's light, model axes.
        painted: one face, laid out by the atlas of this mesh.
        own: (V,) how far each vertex keeps its own colour under the paint, as `unpainted` has it.
        title: whose face it is.
    """
    page = (HERE / "standalone.html").read_text("utf-8")
    for mark, text in (
        ("%VIEWER%", VIEWER),
        ("%PACKED%", packed_head(vertices, colours, light, painted, own)),
        ("%TITLE%", html.escape(title)),
    ):
        page = page.replace(mark, text)
    return page.encode()


def page_script(
    vertices: Tensor, colours: Tensor, light: Tensor, painted: PaintedFace, own: Tensor, quality: int = 75
) -> bytes:
    """A script for a page with a picture and a caption in an element of class `turning-head`: it puts the head in the picture's
    place where the browser has WebGL 2.

    Args:
        vertices: and all others as for `standalone_page`.
        colours: sRGB.
        light: of the photograph.
        painted: one face.
        own: of each vertex.
        quality: of the paint's JPEG.
    """
    head = packed_head(vertices, colours, light, painted, own, quality)
    script = (HERE / "on_page.js").read_text("utf-8").replace("%PACKED%", head)
    # Names of a classic script are the whole page's; these stay inside.
    return f"(() => {{\n{VIEWER}{script}}})();\n".encode()


def packed_head(
    vertices: Tensor,
    colours: Tensor,
    light: Tensor,
    painted: PaintedFace,
    own: Tensor,
    quality: int = JPEG_QUALITY,
) -> str:
    """JSON for `showHead` of viewer.js; arguments as for `page_script`."""
    atlas = painted.atlas
    mesh = packed_mesh(vertices, atlas.triangles, colours, atlas, own)
    return json.dumps(
        {
            "mesh": {name: _as_text(value) for name, value in mesh.items()},
            "light": light.flatten().tolist(),
            "paint": base64.b64encode(jpeg_of(painted.texture[0], quality)).decode(),
        }
    )


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {"type": value["type"], "data": base64.b64encode(value["data"]).decode()}
    return value
