"""Meshes and face models as the browser takes them: flat arrays in few bytes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.face_model import MorphableModel
from helpers.painting import Atlas
from helpers.show.figures import as_bytes
from helpers.show.on_cpu import on_cpu
from helpers.show.views import is_whole

VIEWER = (Path(__file__).parent / "viewer.js").read_text("utf-8")
INSIDE = ("mouth_interior", "teeth")
VIEWER_STYLE = (Path(__file__).parent / "viewer.css").read_text("utf-8")
LARGEST = {"i16": 32767, "i8": 127}
TYPES = {
    "f32": np.float32,
    "i16": np.int16,
    "i8": np.int8,
    "u8": np.uint8,
    "u16": np.uint16,
    "u32": np.uint32,
}
JPEG_QUALITY = 90
# Where heads turn, and the middle of the view: between the ears, a little below the eyes. mm, model axes.
PIVOT = (0.0, -8.0, -55.0)
FACE_HEIGHT, HEAD_HEIGHT = 230.0, 272.0  # mm, that the narrower side of the view shows


def packed_model(model: MorphableModel, atlas: Atlas | None = None) -> dict[str, Any]:
    """A face model with its basis, about 17 MB for the open model's middle mesh.

    Modes are whole numbers times a scale: of 16 bits for the shape, where rounding would show as ripples, of 8 for colours.

    Args:
        model: a face or a whole head, with expressions.
        atlas: of this model, if it is to be painted.

    Returns:
        Name to number, or to {"type", "data"}; see `unpacked` in viewer.js.
    """
    model = on_cpu(model)
    packed = packed_mesh(model.mean_shape, model.triangles, model.mean_texture, atlas, unpainted(model))
    packed["eyes"] = _array("u8", (mask(model, "eyes") * 255).round())
    assert model.expression_basis is not None and model.expression_std is not None
    for name, basis, std, kind in (
        ("shape", model.shape_basis, model.shape_std, "i16"),
        ("expression", model.expression_basis, model.expression_std, "i16"),
        ("texture", model.texture_basis, model.texture_std, "i8"),
    ):
        modes = (basis * std).flatten(0, 1).T
        scale = modes.abs().amax(1).clamp(min=1e-12) / LARGEST[kind]
        packed[name] = _array(kind, (modes / scale[:, None]).round())
        packed[f"{name}_scale"] = _array("f32", scale)
    return packed


def packed_mesh(
    vertices: Tensor,
    triangles: Tensor,
    colours: Tensor,
    atlas: Atlas | None = None,
    own: Tensor | None = None,
) -> dict[str, Any]:
    """A mesh with colours.

    Args:
        vertices: (V, 3) mm, model axes.
        triangles: (F, 3).
        colours: (V, 3) sRGB, 0 to 1.
        atlas: of this mesh, if it is to be painted.
        own: (V,) how far each vertex keeps its colour under the paint, 0 to 1; None is 0.

    Returns:
        As `packed_model`.
    """
    vertices, triangles, colours = on_cpu((vertices, triangles, colours))
    whole = is_whole(vertices)
    V = len(vertices)
    vertex, uv = torch.arange(V), torch.zeros(V, 2)
    if atlas is not None:
        vertex, uv, triangles = on_cpu((atlas.vertex, atlas.uv, atlas.triangles))
    return {
        "mean": _array("f32", vertices),
        "colours": _array("f32", colours),
        "own": _array("u8", torch.zeros(V) if own is None else (on_cpu(own) * 255).round()),
        "vertex": _indices(vertex),
        "uv": _array("f32", uv),
        "triangles": _indices(triangles),
        "eyes": _array("u8", torch.zeros(V)),
        "closed": whole,
        "pivot": list(PIVOT),
        "view": HEAD_HEIGHT if whole else FACE_HEIGHT,
    }


def unpainted(model: MorphableModel) -> Tensor:
    """(V,) 1 for teeth and the inside of the mouth, 0 else: which of them a photograph shows changes with every smile."""
    return mask(model, *INSIDE)


def mask(model: MorphableModel, *names: str) -> Tensor:
    """(V,) the largest of some masks, 0 to 1; 0 where the model has none of them."""
    none = torch.zeros(model.n_vertices)
    return torch.stack([(model.masks or {}).get(name, none) for name in names]).amax(0).clamp(0, 1)


def jpeg_of(image, quality: int = JPEG_QUALITY) -> bytes:
    """An image (H, W, 3) as JPEG: a photograph takes a tenth of the bytes of a PNG, and less time to pack."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(as_bytes(image)).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _indices(values: Tensor) -> dict[str, Any]:
    return _array("u16" if int(values.max()) < 2**16 else "u32", values)


def _array(kind: str, values: Tensor) -> dict[str, Any]:
    return {"type": kind, "data": np.ascontiguousarray(values.detach().numpy().astype(TYPES[kind])).tobytes()}
