"""The playground without a browser: its widgets are driven by their values and messages."""

import io
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.assets import ASSETS
from helpers.camera import Pose, model_to_camera, project
from helpers.errors import UserError
from helpers.face_model import FaceCoefficients
from helpers.fitting import FitModel
from helpers.landmarks import stored_points
from helpers.lighting import sh_basis
from helpers.photo import Photo, default_photos, photo_of_bytes, read_photo
from helpers.show.playground import Playground
from helpers.show.playground import person as people
from helpers.show.playground.change import ALONE, KINDS, STUDIO
from helpers.show.playground.download import Downloads, file_of
from helpers.show.playground.face import (
    PARTS,
    Face,
    between,
    harmonics_turned,
    mixed,
    relit,
    stretched,
    turned_by,
)
from helpers.show.playground.guess import NetworkGuess, available, guess
from helpers.show.playground.landmark_editor import CHAINS, LandmarkEditor
from helpers.show.playground.panel import Status
from helpers.show.playground.upload import PhotoUpload


@pytest.fixture(scope="module", autouse=True)
def no_detector():
    """The points are the stored ones, also where a detector is installed: the same tests everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.landmarks.any_backend", lambda: False)
        patch.setattr("helpers.landmarks.registry._FirstThatFinds.detect", lambda self, image, seed=0: [])
        yield


@pytest.fixture(scope="module")
def play():
    return Playground(size=128)


@pytest.fixture
def back(play):
    """Leaves the playground as it was."""
    kept = dict(play.people)
    yield
    for slot, person in kept.items():
        play.put(slot, person)
    play.choose.slot.value = play.change.slot.value = "A"
    play.choose.refresh()
    play.change.start()


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def png_of(size=(200, 160), value=0.5):
    buffer = io.BytesIO()
    Image.new("RGB", size, (int(255 * value),) * 3).save(buffer, "PNG")
    return buffer.getvalue()


# What is computed


def test_a_light_that_went_round_lights_what_lies_there():
    # Order by order: a lamp from the viewer, carried 90° to the right, is one from the right; lifted, from above.
    light = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(0))
    n = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    x, y, z = n.unbind(-1)
    right, above = harmonics_turned(light, 90, 0), harmonics_turned(light, 0, 90)
    # The light at a normal is the old one at the normal before the turn: (x, y, z) was (−z, y, x), and (x, −z, y).
    assert torch.allclose(sh_basis(n) @ right[0], sh_basis(torch.stack([-z, y, x], -1)) @ light[0], atol=1e-5)
    assert torch.allclose(sh_basis(n) @ above[0], sh_basis(torch.stack([x, -z, y], -1)) @ light[0], atol=1e-5)
    lamp = torch.zeros(1, 9, 3)
    lamp[:, 3] = 1.0  # brightest for what looks at the viewer
    assert torch.allclose(harmonics_turned(lamp, 90, 0)[0, 1:4, 0], torch.tensor([1.0, 0.0, 0.0]), atol=1e-5)
    assert torch.allclose(harmonics_turned(lamp, 0, 90)[0, 1:4, 0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-5)


def test_faces_are_mixed_stretched_turned_and_lit(play):
    first, second = play.people["A"].face, play.people["B"].face
    for part, fields in zip(PARTS, ("alpha", "beta", "expression", "pose", "light"), strict=True):
        face = mixed({"A": first, "B": second}, {each: "B" if each == part else "A" for each in PARTS})
        for field in ("alpha", "beta", "expression", "pose", "light"):
            assert getattr(face, field) is getattr(second if field == fields else first, field)
    assert torch.equal(stretched(first, 0.0).alpha, torch.zeros_like(first.alpha))
    halfway = between(first, second, 0.5)
    assert torch.allclose(halfway.alpha, (first.alpha + second.alpha) / 2, atol=1e-6)
    assert torch.allclose(halfway.expression, (first.expression + second.expression) / 2, atol=1e-6)
    assert halfway.light is first.light
    ahead = replace(first, pose=Pose(torch.zeros(1, 3), torch.zeros(1, 3)))
    angles = turned_by(ahead, 20.0, 10.0, 5.0).pose.yaw_pitch_roll()[0]
    assert torch.allclose(angles, torch.tensor([20.0, 10.0, 5.0]), atol=1e-3)
    lit = relit(first, directed=0.0, brightness=2.0).light
    assert torch.allclose(lit[:, 0], 2 * first.light[:, 0]) and (lit[:, 1:] == 0).all()


def test_a_face_stays_where_it_was_in_pictures_of_other_sizes(play):
    face = play.people["A"].face
    points = play.model.mean_shape[play.model.landmarks][None]
    small, large = (
        project(model_to_camera(points, face.pose), face.seen_at(size))[..., :2] for size in (224, 448)
    )
    # Edges of pixels scale, and lie half a pixel from the centres, which count from zero.
    assert torch.allclose((small + 0.5) * 2 - 0.5, large, atol=1e-3)


def test_the_fit_is_that_of_the_command(play):
    from helpers.crop import crop_face
    from helpers.fitting import fit

    photo = read_photo(default_photos()["astronaut"])
    crop = crop_face(photo.image, stored_points("astronaut").points)
    result = fit(crop.image, crop.landmarks, FitModel(play.model), valid=crop.valid)
    assert torch.allclose(play.people["A"].face.alpha, result.alpha, atol=1e-3)


# Files from the reader


def test_wrong_files_get_one_sentence(monkeypatch):
    wrong = {
        "letter.txt": b"Dear Sir",
        "empty.jpg": b"",
        "half.png": png_of()[:60],
        "page.jpg": b"<!DOCTYPE html><html>",
        "small.png": png_of((20, 20)),
    }
    for name, data in wrong.items():
        with pytest.raises(UserError) as told:
            people.from_upload(name, data)
        assert str(told.value).startswith(f"{name}: ") and "\n" not in str(told.value)
    monkeypatch.setattr(people, "LARGEST_FILE", 100)
    with pytest.raises(UserError, match=r"me.png: 0 MB: at most"):
        people.from_upload("C:\\Users\\me\\me.png", png_of())


def test_bytes_are_read_as_their_file_is():
    path = default_photos()["grace_hopper"]
    assert np.array_equal(photo_of_bytes(path.read_bytes(), "x.jpg").image, read_photo(path).image)


def test_large_photographs_become_smaller():
    photo = Photo(
        np.linspace(0, 1, 300 * 100 * 3, dtype=np.float32).reshape(300, 100, 3),
        default_photos()["astronaut"],
        "x",
    )
    small = people.smaller(photo, 150)
    assert small.image.shape == (150, 50, 3) and abs(small.image.mean() - 0.5) < 0.01
    assert people.smaller(photo, 300) is photo


def test_where_no_face_is_found_the_points_wait_in_the_middle():
    person = people.from_upload("wall.png", png_of((400, 300)))
    assert person.note.startswith("wall.png: ") or person.note.startswith("wall: ")
    assert "drag the points" in person.note
    points = person.detection.points
    low, high = points.min(0), points.max(0)
    assert np.allclose((low + high) / 2, [199.5, 149.5], atol=0.01)
    assert (high - low).max() == pytest.approx(people.PLACED_SHARE * 300, abs=0.01)
    assert points[8, 1] > points[27, 1] and points[45, 0] > points[36, 0], "upright"


def test_points_that_are_none_are_refused(play):
    person = play.people["A"]
    for points, why in (
        (np.zeros((67, 2)), "68 points"),
        (np.full((68, 2), np.nan), "finite"),
        (np.full((68, 2), -50.0), "outside"),
        (np.full((68, 2), 50.0), "less than 20 px"),
    ):
        with pytest.raises(UserError, match=why):
            people.moved(person, points)
    assert people.moved(person, person.detection.points + 3).result is None


def test_parts_become_one_file_and_lost_parts_none():
    files = []
    upload = PhotoUpload(lambda name, data: files.append((name, data)))

    def part(number, parts, data):
        upload._handle_custom_msg({"name": "a.png", "number": number, "parts": parts}, [memoryview(data)])

    part(0, 2, b"ab"), part(1, 2, b"cd")
    part(0, 3, b"xx"), part(2, 3, b"yy")  # the middle is missing
    part(0, 2, b"no"), part(0, 1, b"new")  # another file was chosen meanwhile
    assert files == [("a.png", b"abcd"), ("a.png", b"new")]


# The points


def test_chains_join_all_points_once():
    assert [k for first, last, _ in CHAINS for k in range(first, last)] == list(range(68))


@pytest.mark.parametrize("placed", [False, True])
def test_points_come_back_from_the_view(play, placed):
    person = play.people["B"]
    height, width = person.photo.size
    ramps = np.stack(
        np.broadcast_arrays(np.arange(width)[None] / width, np.arange(height)[:, None] / height, 0.5), -1
    )
    photo = replace(person.photo, image=ramps.astype(np.float32))
    person = replace(person, photo=photo, detection=people.placed(photo) if placed else person.detection)
    editor = LandmarkEditor()
    editor.show(person)
    assert np.allclose(editor.photo_points, person.detection.points, atol=0.01)
    shown = pixels(editor.picture) / 255
    assert list(shown.shape[1::-1]) == editor.size and max(editor.size) == 480
    # Red and green say where in the photograph a pixel of the view was.
    for (x, y), point in zip(np.array(editor.points), person.detection.points, strict=True):
        if 4 < x < shown.shape[1] - 5 and 4 < y < shown.shape[0] - 5:
            assert np.allclose(
                shown[round(y), round(x), :2] * [width, height], point, atol=6
            )  # a grey level is 2 px


def test_all_points_are_enlarged_and_turned(play):
    editor = LandmarkEditor()
    editor.show(play.people["A"])
    before = np.array(editor.points)
    editor.change(scale=2.0)
    assert np.allclose(np.ptp(np.array(editor.points), 0), 2 * np.ptp(before, 0))
    editor.change(scale=0.5)
    editor.change(degrees=90.0)  # clockwise: what was above the middle is right of it
    after, middle = np.array(editor.points), before.mean(0)
    assert np.allclose(after[:, 0] - middle[0], -(before[:, 1] - middle[1]))
    assert np.allclose(after[:, 1] - middle[1], before[:, 0] - middle[0])


# The panels


def middle_in_photo(play):
    """(2,) px: where the fitted face's landmarks are in the first photograph, on average."""
    person = play.people["A"]
    points = play.model.shape(person.face.alpha, person.face.expression)[:, play.model.landmarks]
    seen = project(model_to_camera(points, person.face.pose), person.face.camera)[..., :2]
    return person.crop.to_photo(seen)[0].mean(0).numpy()


@pytest.mark.slow
def test_a_dragged_point_is_fitted(play, back):
    choose = play.choose
    before = middle_in_photo(play)
    choose.editor.points = (np.array(choose.editor.points) + [0.0, 12.0]).tolist()
    assert "points moved" in choose.status.said and play.people["A"].result is None
    seen = []
    choose.progress.observe(lambda change: seen.append(change["new"]), "value")
    choose.fit.click()
    assert seen[-1] == 1.0 and len(seen) > 10 and seen == sorted(seen)
    assert "astronaut: " in choose.status.said and "confidence" in choose.status.said
    down = (middle_in_photo(play) - before)[1] * choose.editor._scale
    assert 3 < down < 16, "all points went 12 px down, and the face more or less with them"
    choose.buttons["find again"].click()
    assert np.allclose(play.people["A"].detection.points, stored_points("astronaut").points, atol=1e-3)
    for name in ("larger", "smaller", "↺", "↻"):
        points = np.array(choose.editor.points)
        choose.buttons[name].click()
        assert not np.allclose(points, choose.editor.points)


@pytest.mark.slow
def test_uploads_go_into_the_chosen_slot(play, back):
    choose = play.choose
    choose.slot.value = "B"
    first = play.people["A"]
    choose.upload._handle_custom_msg({"name": "letter.txt", "number": 0, "parts": 1}, [b"Dear Sir"])
    assert (
        choose.status.said.startswith("letter.txt: not an image") and play.people["B"].name == "grace_hopper"
    )
    choose.upload._handle_custom_msg({"name": "wall.png", "number": 0, "parts": 1}, [png_of((300, 300))])
    assert play.people["B"].name == "wall" and play.people["A"] is first
    assert "drag the points" in choose.status.said and choose.photograph.value == ""
    assert "not fitted yet" in play.swap.status.said, "the panels that need both say what is missing"
    choose.fit.click()
    assert "doubtful" in choose.status.said
    choose.photograph.value = "astronaut"
    assert play.people["B"].name == "astronaut" and play.people["B"].result is None


def test_sliders_change_the_face(play, back):
    change = play.change
    fitted = play.people["A"].face
    assert torch.equal(change.face.alpha, fitted.alpha) and torch.equal(change.face.light, fitted.light)
    told = []
    change.watch(told.append)
    for slider, value, field in (
        (change.modes["shape α"][2], 2.0, "alpha"),
        (change.modes["texture β"][0], -2.0, "beta"),
        (change.modes["expression"][1], -1.5, "expression"),
        (change.likeness, 0.5, "alpha"),
        (change.pose["yaw °"], 20, "pose"),
        (change.light["brightness ×"], 0.5, "light"),
    ):
        before, picture, count = change.face, pixels(change.image.value), len(told)
        slider.value = value
        assert len(told) == count + 1, "one picture for one move"
        assert np.abs(pixels(change.image.value) - picture).max() > 8
        old, new = getattr(before, field), getattr(change.face, field)
        old, new = (each.rotation_vector if field == "pose" else each for each in (old, new))
        assert not torch.allclose(old, new)
    assert change.face.alpha[0, 2] == pytest.approx(1.0) and change.numbers["shape α"][0, 2] == 2.0
    for where in (ALONE, STUDIO):
        change.where.value = where
        assert (pixels(change.image.value)[:4, :4] > 240).all(), "by itself on white paper"
    change.reset.click()
    assert torch.equal(change.face.alpha, fitted.alpha) and change.pose["yaw °"].value == 0


def test_every_mode_can_be_reached(play, back):
    change = play.change
    first = change.first["shape α"]
    first.value = first.options[-1][1]
    assert change.modes["shape α"][0].description == "α 91, σ"
    assert change.modes["shape α"][9].disabled and not change.modes["shape α"][8].disabled
    assert change.modes["shape α"][3].value == pytest.approx(
        float(play.people["A"].face.alpha[0, 93]), abs=0.051
    )
    change.modes["shape α"][3].value = 1.5
    assert change.face.alpha[0, 93] == 1.5 and torch.equal(
        change.face.alpha[0, :90], play.people["A"].face.alpha[0, :90]
    )
    first.value = 0


def test_what_a_browser_rounds_is_no_move(play, back):
    change, fitted = play.change, play.people["A"].face
    change.reset.click()
    drawn = change.image.value
    for kind, sliders in change.modes.items():
        for one in sliders:  # a browser sends its rounded numbers back
            one.value = round(one.value, 1)
        assert torch.equal(change.numbers[kind], getattr(fitted, KINDS[kind]))
    assert change.image.value == drawn
    change.modes["shape α"][0].value += 0.1
    assert change.face.alpha[0, 0] != fitted.alpha[0, 0]


def test_updates_are_counted(play, back):
    drawn = []
    play.change.image.observe(drawn.append, "value")
    for kind in ("shape α", "yaw °"):
        play.change.updates_per_second(4, kind)
    play.change.image.unobserve(drawn.append, "value")
    assert len(drawn) >= 2 * 4


def test_a_person_without_a_fit_is_no_accident(play, back):
    play.put("A", people.moved(play.people["A"], play.people["A"].detection.points + 2))
    assert "press Fit" in play.change.status.said
    play.change.likeness.value = 1.5
    downloads = play.files.downloads
    sent = []
    downloads.send = lambda content, buffers=None: sent.append(content)
    downloads._handle_custom_msg({"kind": "ply"}, [])
    assert sent[0]["name"] == "" and "press Fit" in sent[0]["said"]


def test_the_mesh_follows(play, back):
    before = np.array(play.live.plot.objects[0].vertices)
    play.change.modes["shape α"][0].value = 4.0
    after = np.array(play.live.plot.objects[0].vertices)
    assert (
        np.allclose(after, play.sketch.vertices(play.change.face)[0].numpy())
        and np.abs(after - before).max() > 1
    )
    play.live.follow.value = False
    play.change.modes["shape α"][0].value = -4.0
    assert np.array_equal(np.array(play.live.plot.objects[0].vertices), after)
    play.live.follow.value = True
    assert not np.array_equal(np.array(play.live.plot.objects[0].vertices), after)


def test_parts_are_swapped(play, back):
    swap = play.swap
    plain = pixels(swap.image.value)
    swap.quick["swap light"].click()
    assert {part: control.value for part, control in swap.sources.items()} == dict(
        zip(PARTS, "AAAAB", strict=True)
    )
    lit = pixels(swap.image.value)
    assert np.abs(lit - plain).max() > 20 and np.abs(lit - plain)[:10].max() < 8, (
        "the face changes, the background stays"
    )
    swap.quick["swap identity"].click()
    assert {part: control.value for part, control in swap.sources.items()} == dict(
        zip(PARTS, "BBAAA", strict=True)
    )
    swap.quick["back"].click()
    assert np.array_equal(pixels(swap.image.value), plain)
    swap.sources["pose"].value = "B"
    assert np.abs(pixels(swap.image.value) - plain)[:10].max() > 20, "another photograph"
    swap.sources["pose"].value = "A"


def test_one_person_becomes_another(play):
    morph = play.morph
    ends = [play.people[slot].face for slot in "AB"]
    for share, end in zip((0.0, 1.0), ends, strict=True):
        expected = play.sketch.alone(replace(end, expression=torch.zeros_like(end.expression)))
        assert torch.allclose(morph.at(share), expected, atol=1e-5)
    morph.share.value = 0.0
    at_first = pixels(morph.image.value)
    for control, value in (
        (morph.share, 1.0),
        (morph.ends[1], "mean"),
        (morph.ends[1], "2"),
        (morph.yaw, 30.0),
    ):
        before = pixels(morph.image.value)
        control.value = value
        assert np.abs(pixels(morph.image.value) - before).max() > 20
    morph.share.value, morph.yaw.value, morph.ends[1].value = 0.0, 0.0, "B"
    assert np.array_equal(pixels(morph.image.value), at_first)
    morph.expression.value = True
    assert np.abs(pixels(morph.image.value) - at_first).max() > 20
    morph.expression.value = False


class Oracle:
    """Stands for a network: it says the fit's own numbers, or the mean face."""

    def __init__(self, face, mean=False):
        self.face, self.mean = face, mean

    def predict(self, photo, detection):
        factor = 0.0 if self.mean else 1.0
        return FaceCoefficients(self.face.alpha * factor, self.face.beta * factor, torch.zeros(1, 30))


def test_a_guess_is_measured_against_the_fit(play):
    person, model = play.people["A"], play.sketch.model
    same = guess(person, Oracle(person.face), model)
    assert same.apart.max() < 0.01 and same.cosine == pytest.approx(1.0, abs=1e-4)
    mean = guess(person, Oracle(person.face, mean=True), model)
    assert 0.5 < mean.mean_apart < mean.apart.max() and mean.cosine == pytest.approx(0.0, abs=1e-6)


def test_the_guess_is_shown_or_its_absence_told(play, tmp_path):
    network, missing = available(tmp_path / "none.pt")
    assert network is None and missing.endswith(".") and "\n" not in missing
    assert str(tmp_path) not in missing and "none.pt" in missing, (
        "a file's name, not where it lies on this computer"
    )
    panel = NetworkGuess(play, tmp_path / "none.pt")
    assert panel.status.said == missing and panel.box is panel.status.widget
    assert panel.still().shape[2] == 3
    panel.network = Oracle(play.people["A"].face)
    panel.draw()
    assert "0.0 mm apart" in panel.status.said
    assert all(len(image.value) > 1000 for image in panel.images)
    assert panel.still().shape[1] > 6 * 140
    before = play.people["A"]
    play.put("A", people.moved(before, before.detection.points))
    assert "not fitted yet" in panel.status.said and len(panel.images[2].value) < 1000, (
        "no guess of another photograph stays"
    )
    play.put("A", before)
    assert "0.0 mm apart" in panel.status.said


# Files for the reader


@pytest.mark.slow
def test_files_hold_the_face_of_the_sliders(play, back):
    play.change.modes["shape α"][0].value = 3.0
    play.change.pose["yaw °"].value = 10
    face = play.change.face
    name, data = play.files.make("npz")
    numbers = np.load(io.BytesIO(data))
    assert name == "astronaut.npz" and numbers["alpha"][0] == 3.0
    assert np.allclose(numbers["rotation_vector"], face.pose.rotation_vector[0])
    assert {"expression", "light", "landmarks_photo", "energy", "fit_confidence"} <= set(numbers.files)
    vertices = play.model.shape(
        torch.from_numpy(numbers["alpha"])[None], torch.from_numpy(numbers["expression"])[None]
    )[0]

    name, data = play.files.make("ply")
    body = data[data.index(b"end_header\n") + 11 :]
    rows = np.frombuffer(body, np.dtype([("p", "<f4", 3), ("c", "u1", 3)]), len(vertices))
    assert name == "astronaut.ply" and np.allclose(rows["p"], vertices.numpy(), atol=1e-4)

    name, data = play.files.make("glb")
    length = struct.unpack("<I", data[12:16])[0]
    content = json.loads(data[20 : 20 + length])
    assert name == "astronaut.glb" and content["accessors"][0]["count"] >= play.model.whole_head.n_vertices
    assert content["images"][0]["mimeType"] == "image/png", (
        "the photograph's colours, for the texture is the fit's"
    )
    other = replace(play.people["A"].face, beta=face.beta + 1)
    assert b"COLOR_0" in file_of("glb", other, play.people["A"], play.model)[1]

    name, data = play.files.make("png")
    assert name == "astronaut.png" and Image.open(io.BytesIO(data)).width > 1000
    with pytest.raises(UserError, match="ply, glb, png, npz"):
        file_of("stl", face, play.people["A"], play.model)


def test_buttons_send_files(play):
    sent = []
    downloads = Downloads(lambda kind: (f"me.{kind}", b"12345"))
    downloads.send = lambda content, buffers=None: sent.append((content, buffers))
    downloads._handle_custom_msg({"kind": "npz"}, [])
    downloads._make = lambda kind: Path("/srv/someone/full.npz").read_bytes()
    downloads._handle_custom_msg({"kind": "npz"}, [])
    said, buffers = sent.pop()
    assert (
        buffers is None and said["name"] == "" and "full.npz" in said["said"] and "/srv" not in said["said"]
    )
    assert sent == [
        ({"said": "me.npz, 1 kB, is with your browser's downloads", "name": "me.npz"}, [b"12345"])
    ]


def test_failures_are_sentences():
    status = Status()
    for error, said in (
        (UserError("me.jpg: <b>is\nempty"), "me.jpg: <b>is empty"),
        (RuntimeError("no memory"), "RuntimeError): no memory"),
    ):
        with status.sentences():
            raise error
        assert said in status.said and "\n" not in status.said
    assert "<b>" not in status.widget.value, "a file's name is no HTML"
    for path, shown in (
        ("/srv/someone/net.pt", "net.pt"),
        ("C:\\Users\\me\\net.pt", "net.pt"),
        (str(ASSETS / "net.pt"), "assets/net.pt"),
        ("1/2 and/or http://a.b/c/d", "1/2 and/or http://a.b/c/d"),
    ):
        with status.sentences():
            raise OSError(f"not there: {path}: look '{path}'")
        assert f": {shown}: look '{shown}'" in status.said


@pytest.mark.slow
def test_stills_are_pictures(play):
    for panel in (play.choose, play.change, play.live, play.swap, play.morph, play.files):
        still = panel.still()
        assert still.dtype == np.uint8 and still.shape[2] == 3 and still.shape[1] > 500 and still.std() > 20


def test_stills_are_left_out_in_voila(play, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.show.playground.panel.picture", lambda image, alt: shown.append(alt))
    play.morph.show(alt="six faces", live=False)
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")
    play.morph.show(alt="again", live=False)
    assert shown == ["six faces"]


def test_the_mean_face_is_a_face(play):
    face = Face.mean(play.sketch.model)
    assert face.alpha.shape == (1, 99) and not face.alpha.any()
