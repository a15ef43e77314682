"""Scans from files: what is written comes back, and what is broken is named."""

import json

import numpy as np
import pytest

from helpers.errors import UserError
from helpers.evaluation import find_scans, read_landmarks, read_surface
from helpers.evaluation.scans import NOW_SEVEN
from helpers.mesh_files import write_obj, write_ply

CORNERS = np.array([[0, 0, 0], [200, 0, 0], [0, 180, 0], [0, 0, 120.0]])
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
GREY = np.full((4, 3), 0.5)


@pytest.mark.parametrize(("name", "write"), [("a.ply", write_ply), ("a.obj", write_obj)])
def test_a_mesh_comes_back(tmp_path, open3d, name, write):
    write(tmp_path / name, CORNERS, TRIANGLES, GREY)
    read = read_surface(tmp_path / name)
    np.testing.assert_allclose(read.vertices, CORNERS, atol=1e-4)
    np.testing.assert_array_equal(read.triangles, TRIANGLES)
    assert read.name == "a" and np.isnan(read.landmarks).all()
    # A mesh in metres, said to be in metres, is the same.
    write(tmp_path / name, CORNERS / 1000, TRIANGLES, GREY)
    np.testing.assert_allclose(read_surface(tmp_path / name, unit="m").vertices, CORNERS, atol=1e-4)
    with pytest.raises(UserError, match="is no face: say in what unit"):
        read_surface(tmp_path / name)


def test_polygons_are_cut_and_clouds_stay_clouds(tmp_path):
    lines = ["v 0 0 0", "v 200 0 0", "v 200 200 0", "v 0 200 0", "vt 0 0", "f 1/1 2/1 3/1 4/1"]
    (tmp_path / "square.obj").write_text("\n".join(lines))
    assert read_surface(tmp_path / "square.obj").triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    (tmp_path / "cloud.obj").write_text("\n".join(lines[:4]))
    assert read_surface(tmp_path / "cloud.obj").triangles is None


def test_a_cloud_of_points_as_ply(tmp_path, open3d):
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    (tmp_path / "c.ply").write_text(head + "0 0 0\n100 0 0\n0 100 0\n")
    read = read_surface(tmp_path / "c.ply")
    assert read.triangles is None and len(read.vertices) == 3


def test_landmarks_beside_a_mesh_are_found(tmp_path, open3d):
    write_ply(tmp_path / "scan.ply", CORNERS, TRIANGLES, GREY)
    points = np.arange(21.0).reshape(7, 3)
    rows = "".join(
        f'<point x="{x}" y="{y}" z="{z}" active="1" name="{k}"/>' for k, (x, y, z) in enumerate(points)
    )
    (tmp_path / "scan_picked_points.pp").write_text(
        f"<!DOCTYPE PickedPoints><PickedPoints>{rows}</PickedPoints>"
    )
    read = read_surface(tmp_path / "scan.ply")
    np.testing.assert_allclose(read.landmarks[list(NOW_SEVEN)], points)
    assert np.isfinite(read.landmarks).all(1).sum() == 7


def test_landmarks_in_every_form(tmp_path):
    points = np.random.default_rng(0).normal(size=(68, 3)) * 50
    np.save(tmp_path / "a.npy", points)
    (tmp_path / "a.json").write_text(json.dumps({"points": points.tolist()}))
    (tmp_path / "b.json").write_text(json.dumps(points[17:].tolist()))
    np.savetxt(tmp_path / "a.txt", points)
    np.savetxt(tmp_path / "nose.txt", points[30:31], delimiter=",")
    for name in ("a.npy", "a.json", "a.txt"):
        np.testing.assert_allclose(read_landmarks(tmp_path / name), points, atol=1e-9)
    assert np.isnan(read_landmarks(tmp_path / "b.json")[:17]).all()
    np.testing.assert_allclose(read_landmarks(tmp_path / "b.json")[17:], points[17:])
    np.testing.assert_allclose(read_landmarks(tmp_path / "nose.txt")[30], points[30])


def test_scans_of_a_folder_and_of_the_micc_layout(tmp_path):
    for place in (
        "subject_01/Model/frontal1/obj/2.obj",
        "subject_01/Model/frontal2/obj/1.obj",
        "subject_02/Model/side/obj/3.obj",
    ):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("v 0 0 0")
    found = find_scans(tmp_path)
    assert list(found) == ["subject_01", "subject_02"]
    assert found["subject_01"].name == "2.obj" and found["subject_02"].name == "3.obj"
    assert list(find_scans(tmp_path / "subject_01")) == ["1", "2"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no mesh"):
        find_scans(tmp_path / "empty")
    with pytest.raises(UserError, match="no such folder"):
        find_scans(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.stl", b"", "expected to end in"),
        ("a.obj", b"no mesh at all", "no readable OBJ"),
        ("a.obj", b"v 0 0 0\nv 100 0 0\nf 1 2 9\n", "triangles name vertices"),
        ("a.obj", b"v 0 0 nan\nv 100 0 0\n", "must be finite"),
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 5\n", "no readable PLY"),
    ],
)
def test_broken_meshes_are_named(tmp_path, open3d, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as raised:
        read_surface(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pp", b"<PickedPoints>", "no readable landmarks"),
        ("a.pp", b'<P><point x="1" y="2"/></P>', "no readable landmarks"),
        ("a.npy", b"pickle", "no readable landmarks"),
        ("a.json", b'{"dots": []}', "no readable landmarks"),
        ("a.json", b"[[1, 2, 3], [4, 5, 6]]", "expected 68, 51, 7 or 1"),
        ("a.txt", b"1 2\n", "three numbers"),
        ("a.txt", b"1 2 nan\n", "not finite"),
        ("a.csv", b"", "ends in"),
    ],
)
def test_broken_landmarks_are_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_landmarks(tmp_path / name)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match="no such mesh"):
        read_surface(tmp_path / "a.obj")
    with pytest.raises(UserError, match="no such landmark file"):
        read_landmarks(tmp_path / "a.pp")
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 200 0 0\n")
    with pytest.raises(UserError, match="unit"):
        read_surface(tmp_path / "a.obj", unit="inch")
