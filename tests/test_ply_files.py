"""PLY files of every kind, against Open3D's reader, which is trusted with sound files only."""

import numpy as np
import pytest

from helpers.ply_files import IncompletePly, read_ply

VERTICES = np.random.default_rng(0).uniform(-90, 90, (7, 3)).round(2)
POLYGONS = [(0, 1, 2), (2, 3, 4, 5), (1, 2, 6), (0, 3, 6, 5)]
HEAD = """ply
format {form} 1.0
comment of many properties, as MeshLab writes them
obj_info none
element camera 1
property list uchar float view
property float zoom
element vertex 7
property double x
property float nx
property double y
property double z
property uchar red
element face {faces}
property list uchar int vertex_indices
property uchar flags
property list uchar float texcoord
element edge 1
property int vertex1
property int vertex2
end_header
"""


def ply(form, polygons=POLYGONS):
    """The bytes of a file with a camera, colours, flags, texture coordinates and an edge beside the mesh."""
    head = HEAD.format(form=form, faces=len(polygons)).encode()
    if form == "ascii":
        rows = ["2 0.5 0.25 1.5", *(f"{x} 0.5 {y} {z} 200" for x, y, z in VERTICES)]
        rows += [" ".join(map(str, (len(p), *p, 1, 2, 0.5, 0.25))) for p in polygons]
        return head + "\n".join([*rows, "0 1"]).encode() + b"\n"
    order = "<" if "little" in form else ">"

    def values(kind, *numbers):
        return np.array(numbers, order + kind).tobytes()

    body = values("u1", 2) + values("f4", 0.5, 0.25, 1.5)
    for x, y, z in VERTICES:
        body += values("f8", x) + values("f4", 0.5) + values("f8", y, z) + values("u1", 200)
    for p in polygons:
        body += values("u1", len(p)) + values("i4", *p) + values("u1", 1, 2) + values("f4", 0.5, 0.25)
    return head + body + values("i4", 0, 1)


@pytest.mark.parametrize("polygons", [POLYGONS, POLYGONS[::2], []], ids=["mixed", "triangles", "none"])
@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_every_form_holds_the_mesh(form, polygons):
    for content in (
        ply(form, polygons),
        ply(form, polygons).replace(b"\n", b"\r\n") if form == "ascii" else b"",
    ):
        if content:
            vertices, found = read_ply(content)
            np.testing.assert_array_equal(vertices, VERTICES)
            assert sorted(tuple(p) for rows in found for p in rows.tolist()) == sorted(polygons)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_open3d_reads_the_same(tmp_path, open3d, form):
    (tmp_path / "a.ply").write_bytes(ply(form, POLYGONS[::2]))
    mesh = open3d.io.read_triangle_mesh(str(tmp_path / "a.ply"))
    vertices, (triangles,) = read_ply((tmp_path / "a.ply").read_bytes())
    np.testing.assert_array_equal(vertices, np.asarray(mesh.vertices))
    np.testing.assert_array_equal(triangles, np.asarray(mesh.triangles))


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_what_is_no_whole_file_is_refused(form):
    content = ply(form)
    for end in range(len(content) - 2, content.index(b"end_header") + 12, -1):
        with pytest.raises(IncompletePly):
            read_ply(content[:end].rstrip() if form == "ascii" else content[:end])
        if form == "ascii":
            break  # a number that lost its last digit is a number
    for bad, words in (
        (content.replace(b"property double x", b"property double w"), "vertex has no x"),
        (content.replace(b"vertex 7", b"vertex many"), "header is damaged"),
        (content.replace(b"double", b"triple"), "header is damaged"),
        (content.replace(b"format", b"formal"), "names no format"),
        (content.replace(b"edge 1", b"edge 0"), "follow those that its header names"),
        (content.replace(b"element vertex", b"element vortex"), "no vertices"),
        (b"solid", "no header"),
    ):
        with pytest.raises(ValueError, match=words):
            read_ply(bad)
    if form == "ascii":
        with pytest.raises(ValueError, match="not whole"):
            read_ply(content.replace(b"3 0 1 2", b"3 0 1.5 2"))
        with pytest.raises(ValueError, match="list of length -3"):
            read_ply(content.replace(b"3 0 1 2", b"-3 0 1 2"))
