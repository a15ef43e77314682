"""Coloured triangle meshes as PLY files, which MeshLab, Blender and open3d read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.files import write_in_one_step

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


def write_ply(path: str | Path, vertices, triangles, colours) -> None:
    """Write a mesh: vertices (V, 3) mm, triangles (F, 3) indices, colours (V, 3) sRGB from 0 to 1.

    Arrays or tensors. The file appears in one step, complete or not at all. Raises ValueError if the shapes do
    not fit together, an index is out of range or a number is not finite.
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


def checked_mesh(vertices, triangles, colours) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as arrays (V, 3), (F, 3), (V, 3). Raises ValueError as `write_ply` says."""
    vertices, triangles, colours = (np.asarray(_host(a)) for a in (vertices, triangles, colours))
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


def _host(values):
    return values.detach().cpu() if hasattr(values, "detach") else values
