"""Write coloured triangle meshes: PLY, OBJ, which nearly all programs read, and binary glTF (.glb) for viewers."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
from torch import Tensor

from helpers.files import write_in_one_step
from helpers.mesh_normals import vertex_normals

_HEADER = """ply
format binary_little_endian 1.0
comment millimetres; x to the viewer's right, y up, z towards the viewer; colours sRGB
element vertex {vertices}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face {triangles}
property list uchar int vertex_indices
end_header
"""

Values = np.ndarray | Tensor

# glTF 2.0: numbers that name kinds of data.
GLTF_MAGIC, GLTF_VERSION = b"glTF", 2
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
UINT32, FLOAT32 = 5125, 5126
VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963
LINEAR, CLAMP = 9729, 33071


def write_ply(path: str | Path, vertices: Values, triangles: Values, colours: Values) -> None:
    """Write a mesh as binary PLY. The file appears in one step, complete or not at all.

    Args:
        path: The file.
        vertices: (V, 3) mm, array or tensor.
        triangles: (F, 3) indices.
        colours: (V, 3) sRGB, 0 to 1.

    Raises:
        ValueError: The shapes do not fit together, an index is out of range or a number is not finite.
    """
    vertices, triangles, colours = checked_mesh(vertices, triangles, colours)
    rows = np.empty(len(vertices), [("position", "<f4", 3), ("colour", "u1", 3)])
    rows["position"] = vertices
    rows["colour"] = np.clip(colours, 0, 1) * 255 + 0.5
    faces = np.empty(len(triangles), [("count", "u1"), ("vertices", "<i4", 3)])
    faces["count"] = 3
    faces["vertices"] = triangles
    header = _HEADER.format(vertices=len(vertices), triangles=len(triangles))
    write_in_one_step(path, lambda file: file.write(header.encode() + rows.tobytes() + faces.tobytes()))


def checked_mesh(
    vertices: Values, triangles: Values, colours: Values
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take a mesh as arrays (V, 3), (F, 3), (V, 3). Arguments and errors are those of `write_ply`."""
    vertices, triangles, colours = (_host(a) for a in (vertices, triangles, colours))
    if vertices.ndim != 2 or vertices.shape[1] != 3 or colours.shape != vertices.shape:
        raise ValueError(
            f"vertices and colours must both be (V, 3), got {vertices.shape} and {colours.shape}"
        )
    if triangles.ndim != 2 or triangles.shape[1] != 3 or triangles.dtype.kind not in "iu":
        raise ValueError(
            f"triangles must be integers of shape (F, 3), got {triangles.dtype} {triangles.shape}"
        )
    if triangles.size and not (0 <= triangles.min() and triangles.max() < len(vertices)):
        raise ValueError(f"triangles name vertices {triangles.min()} to {triangles.max()} of {len(vertices)}")
    if not (np.isfinite(vertices).all() and np.isfinite(colours).all()):
        raise ValueError("vertices and colours must be finite numbers")
    return vertices, triangles, colours


def _host(values: Values) -> np.ndarray:
    return np.asarray(values) if not isinstance(values, Tensor) else values.detach().cpu().numpy()


def write_obj(path: str | Path, vertices: Values, triangles: Values, colours: Values) -> None:
    """Write a mesh as OBJ text, in mm. Arguments and errors are those of `write_ply`.

    Each `v` line has the colour behind the point, which the format does not define but MeshLab, Blender and open3d
    read.
    """
    vertices, triangles, colours = checked_mesh(vertices, triangles, colours)
    rows = np.concatenate([vertices.astype(np.float32), np.clip(colours, 0, 1)], 1)
    # Nine digits bring every float32 back.
    lines = ["# millimetres; x to the viewer's right, y up, z towards the viewer; colours sRGB"]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g} {r:.5f} {g:.5f} {b:.5f}" for x, y, z, r, g, b in rows.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (triangles + 1).tolist()]
    write_in_one_step(path, lambda file: file.write(("\n".join(lines) + "\n").encode()))


def write_glb(path: str | Path, vertices: Values, triangles: Values, colours: Values) -> None:
    """Write a mesh as binary glTF 2.0 with smooth normals. Arguments and errors are those of `write_ply`.

    glTF counts in metres and wants linear colours. The positions stay in mm and their node scales them by 0.001;
    the colours are converted. Its axes are those of the model: y up, the face looks along z.
    """
    vertices, triangles, colours = checked_mesh(vertices, triangles, colours)
    positions = np.ascontiguousarray(vertices, np.float32)
    normals = vertex_normals(positions.astype(np.float64), triangles)
    normals[~normals.any(1)] = [0, 0, 1]  # glTF wants unit length of a vertex without area, too
    parts = {
        "POSITION": positions,
        "NORMAL": normals.astype(np.float32),
        "COLOR_0": _linear(np.clip(colours, 0, 1)).astype(np.float32),
    }
    skin = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7}, "doubleSided": True}
    _write_gltf(path, parts, triangles, {"materials": [skin]})


def write_textured_glb(
    path: str | Path, vertices: Values, triangles: Values, uv: Values, texture: Values
) -> None:
    """Write a mesh with a texture as binary glTF 2.0, to be shown as it is, without light (KHR_materials_unlit).

    Positions and axes are those of `write_glb`. The texture lies inside of the file, as PNG.

    Args:
        path: The file, which appears in one step.
        vertices: (V, 3) mm, array or tensor.
        triangles: (F, 3) indices.
        uv: (V, 2) of each vertex, from 0 to 1, to the right and down.
        texture: (H, W, 3) sRGB, 0 to 1.

    Raises:
        ValueError: The shapes do not fit together, an index is out of range or a number is not finite.
    """
    from PIL import Image

    vertices, triangles, _ = checked_mesh(vertices, triangles, vertices)
    uv, texture = _host(uv), _host(texture)
    if uv.shape != (len(vertices), 2) or not np.isfinite(uv).all():
        raise ValueError(f"uv must be finite numbers of shape ({len(vertices)}, 2), got {uv.shape}")
    if texture.ndim != 3 or texture.shape[2] != 3 or not np.isfinite(texture).all():
        raise ValueError(f"texture must be finite numbers of shape (H, W, 3), got {texture.shape}")
    picture = io.BytesIO()
    Image.fromarray((np.clip(texture, 0, 1) * 255 + 0.5).astype(np.uint8)).save(picture, "PNG")
    parts = {"POSITION": vertices.astype(np.float32), "TEXCOORD_0": uv.astype(np.float32)}
    paint = {
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0.0},
        "extensions": {"KHR_materials_unlit": {}},
        "doubleSided": True,
    }
    more = {
        "extensionsUsed": ["KHR_materials_unlit"],
        "materials": [paint],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": LINEAR, "minFilter": LINEAR, "wrapS": CLAMP, "wrapT": CLAMP}],
    }
    _write_gltf(path, parts, triangles, more, picture.getvalue())


def _write_gltf(
    path: str | Path, attributes: dict[str, np.ndarray], triangles: np.ndarray, more: dict, png: bytes = b""
) -> None:
    """Write one mesh with attributes (V, 2 or 3) float32 of its vertices, and what else the description has."""
    indices = triangles.reshape(-1).astype(np.uint32)
    views, content = [], b""
    arrays = [(array.tobytes(), {"target": VERTEX_BUFFER}) for array in attributes.values()]
    for data, role in [*arrays, (indices.tobytes(), {"target": INDEX_BUFFER}), (png, {})]:
        if data:
            views.append({"buffer": 0, "byteOffset": len(content), "byteLength": len(data), **role})
            content += data
    accessors = [
        {"bufferView": n, "componentType": FLOAT32, "count": len(array), "type": f"VEC{array.shape[1]}"}
        for n, array in enumerate(attributes.values())
    ]
    # The one accessor that must tell its bounds.
    position = attributes["POSITION"]
    accessors[0] |= {"min": position.min(0).tolist(), "max": position.max(0).tolist()}
    accessors.append(
        {"bufferView": len(arrays), "componentType": UINT32, "count": len(indices), "type": "SCALAR"}
    )
    numbers = {name: n for n, name in enumerate(attributes)}
    if png:
        more = more | {"images": [{"bufferView": len(views) - 1, "mimeType": "image/png"}]}
    description = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "face", "mesh": 0, "scale": [0.001, 0.001, 0.001]}],
        "meshes": [{"primitives": [{"attributes": numbers, "indices": len(arrays), "material": 0}]}],
        "buffers": [{"byteLength": len(content)}],
        "bufferViews": views,
        "accessors": accessors,
        **more,
    }
    write_in_one_step(path, lambda file: file.write(_container(description, content)))


def _container(description: dict, content: bytes) -> bytes:
    """Header and two chunks; each chunk's length is a multiple of four."""
    text = json.dumps(description, separators=(",", ":")).encode()
    chunks = [
        (JSON_CHUNK, text + b" " * (-len(text) % 4)),
        (BINARY_CHUNK, content + b"\0" * (-len(content) % 4)),
    ]
    body = b"".join(struct.pack("<I4s", len(data), kind) + data for kind, data in chunks)
    return struct.pack("<4sII", GLTF_MAGIC, GLTF_VERSION, 12 + len(body)) + body


def _linear(colours: np.ndarray) -> np.ndarray:
    """sRGB to linear light (IEC 61966-2-1)."""
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
