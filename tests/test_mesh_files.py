"""PLY and GLB files hold the mesh to the last bit, and open3d reads them."""

import io
import json
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.mesh_files import write_ply, write_textured_glb

VERTICES = np.array([[0, 0, 0], [100.25, 0, 0], [0, -80.5, 3], [1, 2, 55]], np.float32)
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3]])
COLOURS = np.array([[0, 0.5, 1], [1, 0, 0], [0.2, 0.4, 0.6], [1.5, -1, 0.999]], np.float32)


def parse(path):
    """Vertices, colours and triangles, by the header's own word."""
    data = path.read_bytes()
    head, body = data.split(b"end_header\n", 1)
    words = head.decode().split()
    n, f = (int(words[words.index(kind) + 1]) for kind in ("vertex", "face"))
    rows = np.frombuffer(body, [("p", "<f4", 3), ("c", "u1", 3)], n)
    faces = np.frombuffer(body, [("n", "u1"), ("v", "<i4", 3)], f, rows.nbytes)
    assert rows.nbytes + faces.nbytes == len(body) and (faces["n"] == 3).all()
    return rows["p"], rows["c"], faces["v"]


def test_bytes(tmp_path):
    write_ply(
        tmp_path / "a.ply", torch.tensor(VERTICES, requires_grad=True), torch.tensor(TRIANGLES), COLOURS
    )
    vertices, colours, triangles = parse(tmp_path / "a.ply")
    np.testing.assert_array_equal(vertices, VERTICES)
    np.testing.assert_array_equal(triangles, TRIANGLES)
    np.testing.assert_array_equal(colours, [[0, 128, 255], [255, 0, 0], [51, 102, 153], [255, 0, 255]])


def test_open3d_reads_it(tmp_path, open3d):
    write_ply(tmp_path / "a.ply", VERTICES, TRIANGLES, COLOURS)
    mesh = open3d.io.read_triangle_mesh(str(tmp_path / "a.ply"))
    np.testing.assert_allclose(np.asarray(mesh.vertices), VERTICES)
    np.testing.assert_array_equal(np.asarray(mesh.triangles), TRIANGLES)
    np.testing.assert_allclose(np.asarray(mesh.vertex_colors), np.clip(COLOURS, 0, 1), atol=0.5 / 255 + 1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 50), st.integers(0, 80), st.integers(0, 2**32 - 1))
def test_any_mesh_comes_back(tmp_path_factory, n, f, seed):
    rng = np.random.default_rng(seed)
    mesh = rng.normal(0, 100, (n, 3)).astype(np.float32), rng.integers(0, n, (f, 3)), rng.random((n, 3))
    path = tmp_path_factory.mktemp("mesh") / "a.ply"
    write_ply(path, *mesh)
    vertices, colours, triangles = parse(path)
    np.testing.assert_array_equal(vertices, mesh[0])
    np.testing.assert_array_equal(triangles, mesh[1])
    assert np.abs(colours / 255 - mesh[2]).max() <= 0.5 / 255 + 1e-6


def test_nonsense_is_refused_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.ply"
    write_ply(path, VERTICES, TRIANGLES, COLOURS)
    before = path.read_bytes()
    for wrong in (
        (VERTICES[:3], TRIANGLES, COLOURS[:3]),
        (VERTICES, TRIANGLES.astype(float), COLOURS),
        (VERTICES, TRIANGLES[:, :2], COLOURS),
        (VERTICES, TRIANGLES, COLOURS[:2]),
        (VERTICES * np.nan, TRIANGLES, COLOURS),
        (VERTICES, -TRIANGLES, COLOURS),
    ):
        with pytest.raises(ValueError):
            write_ply(path, *wrong)
    assert path.read_bytes() == before and [f.name for f in tmp_path.iterdir()] == ["a.ply"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    from helpers import files

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_ply(tmp_path / "a.ply", VERTICES, TRIANGLES, COLOURS)
    assert not list(tmp_path.iterdir())


def parsed_glb(path):
    """The description and a function that gives the bytes of a numbered view."""
    data = path.read_bytes()
    magic, version, length = struct.unpack("<4sII", data[:12])
    assert (magic, version, length) == (b"glTF", 2, len(data)) and length % 4 == 0
    size, kind = struct.unpack("<I4s", data[12:20])
    description, binary = json.loads(data[20 : 20 + size]), data[28 + size :]
    assert kind == b"JSON" and data[24 + size : 28 + size] == b"BIN\0"

    def view(number):
        place = description["bufferViews"][number]
        return binary[place["byteOffset"] :][: place["byteLength"]]

    return description, view


def test_a_textured_mesh_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    uv, texture = rng.random((4, 2)).astype(np.float32), rng.integers(0, 256, (8, 16, 3)) / 255
    write_textured_glb(tmp_path / "a.glb", torch.tensor(VERTICES), TRIANGLES, uv, torch.tensor(texture))
    description, view = parsed_glb(tmp_path / "a.glb")
    (primitive,) = description["meshes"][0]["primitives"]
    names, accessors = primitive["attributes"], description["accessors"]
    stored = {
        name: np.frombuffer(view(accessors[number]["bufferView"]), "<f4").reshape(4, -1)
        for name, number in names.items()
    }
    np.testing.assert_array_equal(stored["POSITION"], VERTICES)
    np.testing.assert_array_equal(stored["TEXCOORD_0"], uv)
    indices = np.frombuffer(view(accessors[primitive["indices"]]["bufferView"]), "<u4")
    np.testing.assert_array_equal(indices.reshape(-1, 3), TRIANGLES)
    assert description["nodes"][0]["scale"] == [0.001] * 3, "glTF counts in metres"
    (picture,) = description["images"]
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(view(picture["bufferView"])))), np.round(texture * 255)
    )
    assert "KHR_materials_unlit" in description["materials"][0]["extensions"]
    for wrong in ((uv[:3], texture), (uv * np.nan, texture), (uv, texture[..., 0]), (uv, texture * np.nan)):
        with pytest.raises(ValueError, match="uv|texture"):
            write_textured_glb(tmp_path / "b.glb", VERTICES, TRIANGLES, *wrong)
    assert not (tmp_path / "b.glb").exists()


def test_open3d_reads_a_textured_mesh(tmp_path, open3d):
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    write_textured_glb(tmp_path / "a.glb", VERTICES, TRIANGLES, uv, np.full((4, 4, 3), 0.5))
    mesh = open3d.io.read_triangle_mesh(str(tmp_path / "a.glb"))
    assert len(mesh.triangles) == len(TRIANGLES) and len(mesh.triangle_uvs) == 3 * len(TRIANGLES)
