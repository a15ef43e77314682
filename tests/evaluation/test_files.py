"""Scans from files: what is written comes back, and what is broken is named."""

import json

import numpy as np
import pytest

from helpers.errors import UserError
from helpers.evaluation import find_scans, read_landmarks, read_surface
from helpers.evaluation.scans import NOW_SEVEN
from helpers.face_model import load
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
    with pytest.raises(UserError, match="is no face, and 200 mm if the unit is m: say in what unit"):
        read_surface(tmp_path / name)


def test_polygons_are_cut_and_clouds_stay_clouds(tmp_path):
    lines = ["v 0 0 0", "v 200 0 0", "v 200 200 0", "v 0 200 0", "vt 0 0", "f 1/1 2/1 3/1 4/1"]
    (tmp_path / "square.obj").write_text("\n".join(lines))
    assert read_surface(tmp_path / "square.obj").triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    (tmp_path / "cloud.obj").write_text("\n".join(lines[:4]) + "\n")
    assert read_surface(tmp_path / "cloud.obj").triangles is None


def test_a_cloud_of_points_as_ply(tmp_path, open3d):
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nend_header\n"
    (tmp_path / "c.ply").write_text(head + "0 0 0\n100 0 0\n0 100 0\n")
    read = read_surface(tmp_path / "c.ply")
    assert read.triangles is None and len(read.vertices) == 3


def test_landmarks_beside_a_mesh_are_found(tmp_path, open3d):
    write_ply(tmp_path / "scan.ply", CORNERS, TRIANGLES, GREY)
    points = np.linspace([20, 0, 0], [180, 0, 0], 7)  # along an edge
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
        ("a.obj", b"v 0 0 nan\nv 100 0 inf\n", "no point of three finite numbers"),
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


def head(vertices: int, faces: int, form: str = "binary_little_endian") -> bytes:
    lines = [
        f"ply\nformat {form} 1.0\nelement vertex {vertices}",
        *(f"property float {axis}" for axis in "xyz"),
    ]
    if faces:
        lines += [f"element face {faces}", "property list uchar int vertex_indices"]
    return "\n".join([*lines, "end_header\n"]).encode()


@pytest.fixture(scope="module")
def face():
    """The mean face in mm: vertices (V, 3), triangles (F, 3) and landmarks (68, 3)."""
    model = load("open", level=0)
    vertices = model.mean_shape.numpy().astype(float)
    return vertices, model.triangles.numpy(), vertices[model.landmarks.numpy()]


def as_obj(vertices, triangles) -> str:
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    return "\n".join(lines + [f"f {a} {b} {c}" for a, b, c in triangles + 1]) + "\n"


@pytest.mark.parametrize("form", ["binary_little_endian", "ascii", "obj"])
@pytest.mark.parametrize("part", [0.3, 0.5, 0.75, 0.97])
def test_a_file_that_is_cut_off_is_refused(tmp_path, open3d, face, form, part):
    vertices, triangles, _ = face
    if form == "obj":
        content = as_obj(vertices, triangles).encode()
    elif form == "ascii":
        rows = [" ".join(map(str, row)) for row in vertices] + [f"3 {a} {b} {c}" for a, b, c in triangles]
        content = head(len(vertices), len(triangles), form) + ("\n".join(rows) + "\n").encode()
    else:
        corners = np.empty(len(triangles), [("n", "u1"), ("corners", "<i4", 3)])
        corners["n"], corners["corners"] = 3, triangles
        content = head(len(vertices), len(triangles)) + vertices.astype("<f4").tobytes() + corners.tobytes()
    path = tmp_path / ("face.obj" if form == "obj" else "face.ply")
    path.write_bytes(content)
    whole = read_surface(path)
    np.testing.assert_allclose(whole.vertices, vertices, atol=1e-3)
    np.testing.assert_array_equal(whole.triangles, triangles)
    cut = content[: int(part * len(content))]
    path.write_bytes(cut.rstrip(b"\n"))
    with pytest.raises(UserError, match=r"face\.\w+: cut off: copy it again"):
        read_surface(path)


def test_obj_files_of_many_programs_are_read_alike(tmp_path, face):
    vertices, triangles, _ = face
    plain, count = as_obj(vertices, triangles), len(vertices)
    lines = plain.splitlines()
    relative = lines[:count] + [f"f {a} {b} {c}" for a, b, c in triangles - count]
    several = []  # each part counts back from its own end
    for half in np.array_split(triangles, 2):
        used, corners = np.unique(half, return_inverse=True)
        corners = corners.reshape(half.shape) - len(used)
        several += [lines[i] for i in used] + [f"f {a} {b} {c}" for a, b, c in corners]
    forms = {
        "plain": plain,
        "relative": "\n".join(relative) + "\n",
        "relative, in two parts": "\n".join(several) + "\n",
        "with a byte order mark": "\ufeff" + plain,
        "continued": plain.replace(" ", " \\\n "),
        "indented": "".join(f"\t {line}\n" for line in lines),
        "of Windows": plain.replace("\n", "\r\n"),
        "colours, normals, textures": "\n".join(
            [*(f"{line} 0.5 0.5 0.5" for line in lines[:count]), "vn 0 0 1", "vt 0 0"]
            + ["f " + " ".join(f"{i}/1/1" for i in line.split()[1:]) for line in lines[count:]]
        ),
    }
    expected = np.sort(vertices[triangles].mean(1), 0)
    for name, text in forms.items():
        (tmp_path / "a.obj").write_text(text, encoding="utf-8")
        found = read_surface(tmp_path / "a.obj")
        centres = np.sort(found.vertices[found.triangles].mean(1), 0)
        np.testing.assert_allclose(centres, expected, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("away", "wrong", "words"),
    [
        (0, np.full((1, 3), np.nan), "1 of 3545 points are left out: 1 not finite"),
        (1600, np.zeros((50, 3)), r"50 of 3594 points are left out: 50 at exactly \(0, 0, 0\)"),
        (0, np.array([[0, 0, 3000.0]]), "1 of 3545 points are left out: 1 far from all others"),
    ],
)
def test_what_a_scanner_did_not_see_is_left_out_and_counted(tmp_path, open3d, face, away, wrong, words):
    vertices = face[0] + [0, 0, away]
    points = np.concatenate([vertices, wrong])
    (tmp_path / "scan.ply").write_bytes(head(len(points), 0) + points.astype("<f4").tobytes())
    with pytest.warns(UserWarning, match=rf"scan\.ply: {words}"):
        found = read_surface(tmp_path / "scan.ply")
    np.testing.assert_allclose(found.vertices, vertices, atol=1e-3)


def test_triangles_at_a_hole_go_with_it(tmp_path, face):
    vertices, triangles, _ = face
    holed = vertices.copy()
    holed[5] = np.nan
    (tmp_path / "a.obj").write_text(as_obj(holed, triangles))
    notes = []
    found = read_surface(tmp_path / "a.obj", note=notes.append)
    kept = triangles[(triangles != 5).all(1)]
    np.testing.assert_allclose(found.vertices[found.triangles], vertices[kept])
    assert len(notes) == 1


def test_landmarks_must_lie_on_their_mesh(tmp_path, open3d, face):
    vertices, triangles, landmarks = face
    (tmp_path / "scan.obj").write_text(as_obj(vertices, triangles))
    for wrong, words in (
        (landmarks / 1000, "the landmarks lie within 0.1.* mm, which is no face: .* the unit of scan.obj"),
        (landmarks + [0, 0, 60], "mm off scan.obj: they must be of this mesh"),
        (landmarks[30:31] / 1000, "mm off scan.obj"),
    ):
        np.savetxt(tmp_path / "scan.txt", wrong)
        with pytest.raises(UserError, match=rf"scan\.txt: .*{words}"):
            read_surface(tmp_path / "scan.obj")
    np.savetxt(tmp_path / "scan.txt", landmarks + [3.0, 0, 0])
    assert np.isfinite(read_surface(tmp_path / "scan.obj").landmarks).all()


def test_other_files_of_the_meshs_name_are_passed_over(tmp_path, face):
    vertices, triangles, landmarks = face
    (tmp_path / "scan.obj").write_text(as_obj(vertices, triangles))
    (tmp_path / "scan.txt").write_text("scanned 2014-03-01\n")
    (tmp_path / "scan.json").write_text(json.dumps(landmarks[:, :2].tolist()))  # of a photograph
    assert np.isnan(read_surface(tmp_path / "scan.obj").landmarks).all()
    np.save(tmp_path / "scan_landmarks.npy", landmarks)
    np.testing.assert_allclose(read_surface(tmp_path / "scan.obj").landmarks, landmarks)


def test_meshes_of_one_name_are_called_by_their_folders(tmp_path):
    for place in ("anna/mesh.ply", "bert/mesh.ply", "bert/mesh.obj", "carl/left/mesh.ply", "dora.ply"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text("")
    found = find_scans(tmp_path)
    assert list(found) == ["anna", "bert", "carl/left", "dora"]
    (tmp_path / "anna.ply").write_text("")
    with pytest.raises(UserError, match="would be called anna"):
        find_scans(tmp_path)
