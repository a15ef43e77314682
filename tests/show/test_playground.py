"""The playground without a browser: its page is driven by messages, as a browser sends them."""

import io
import json
import math
import re
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.assets import ASSETS
from helpers.camera import model_to_camera, project, rotation_from_vector
from helpers.errors import UserError
from helpers.landmarks import SPREAD_DOUBTFUL, Detection, stored_points
from helpers.lighting import sh_basis
from helpers.photo import Photo, default_photos, photo_of_bytes, read_photo
from helpers.show.playground import Playground
from helpers.show.playground import person as people
from helpers.show.playground.directions import head_lengths, lab, mouth_moves, skin_measures
from helpers.show.playground.download import KINDS, file_of
from helpers.show.playground.face import (
    PARTS,
    Face,
    harmonics_rotated,
    harmonics_turned,
    light_of_head,
    mixed,
)
from helpers.show.playground.look import Look
from helpers.show.playground.sentences import sentence
from helpers.show.playground.stills import guess_apart
from helpers.show.playground.widget import CHAINS, Page


@pytest.fixture(scope="module", autouse=True)
def no_detector():
    """Nobody searches a photograph, also where a detector is installed: the same tests everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.show.playground.person.detect", lambda image: [])
        yield


@pytest.fixture(scope="module")
def play():
    play = Playground()
    play.wait()
    return play


@pytest.fixture
def back(play):
    """Leaves the playground as it was."""
    kept = play.scene
    yield
    play.wait()
    play._history = []
    play._show(kept, look=True)


def png_of(size=(200, 160), value=0.5):
    buffer = io.BytesIO()
    Image.new("RGB", size, (int(255 * value),) * 3).save(buffer, "PNG")
    return buffer.getvalue()


def does(play, **message):
    """The page sends a message, and everything that it asks for is done."""
    play.page._handle_custom_msg(message, [])
    play.wait()


def look(play, **changes):
    does(play, do="look", look=replace(play.scene.look, **changes).for_page())


# What is computed


def test_a_light_that_went_round_lights_what_lies_there():
    # Order by order: a lamp from the viewer, carried 90° to the right, is one from the right; lifted, from above.
    light = torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(0))
    n = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(1)), dim=-1)
    x, y, z = n.unbind(-1)
    right = harmonics_turned(light, 90)
    above = harmonics_rotated(light, rotation_from_vector(torch.tensor([-math.pi / 2, 0.0, 0.0])))
    # The light at a normal is the old one at the normal before the turn: (x, y, z) was (−z, y, x), and (x, −z, y).
    assert torch.allclose(sh_basis(n) @ right[0], sh_basis(torch.stack([-z, y, x], -1)) @ light[0], atol=1e-5)
    assert torch.allclose(sh_basis(n) @ above[0], sh_basis(torch.stack([x, -z, y], -1)) @ light[0], atol=1e-5)
    lamp = torch.zeros(1, 9, 3)
    lamp[:, 3] = 1.0  # brightest for what looks at the viewer
    assert torch.allclose(harmonics_turned(lamp, 90)[0, 1:4, 0], torch.tensor([1.0, 0.0, 0.0]), atol=1e-5)


def test_faces_are_mixed(play):
    first, second = (person.face for person in play.people)
    for part, fields in zip(PARTS, ("alpha", "beta", "expression", "pose", "light"), strict=True):
        face = mixed({"A": first, "B": second}, {each: "B" if each == part else "A" for each in PARTS})
        for field in ("alpha", "beta", "expression", "pose", "light"):
            assert getattr(face, field) is getattr(second if field == fields else first, field)


def test_the_fit_is_that_of_the_command(play):
    from helpers.crop import crop_face
    from helpers.fitting import fit

    photo = read_photo(default_photos()["astronaut"])
    crop = crop_face(photo.image, stored_points("astronaut").points)
    prior = play.network.prior(photo, stored_points("astronaut"))
    result = fit(crop.image, crop.landmarks, play.fit_model, valid=crop.valid, prior=prior)
    assert torch.allclose(play.people[0].face.alpha, result.alpha, atol=1e-3)


# The named sliders


def changes(measured, mean, moved):
    return {name: float(measure(moved) - measure(mean)) for name, measure in measured.items()}


@pytest.mark.parametrize("share", [-1.0, 0.5, 1.0])
def test_a_named_slider_changes_its_measure_and_no_other(play, share):
    model, head = play.model, play.model.whole_head
    jaw, gap, smile, age, tone = play.directions

    def amount(direction):
        return share * (direction.high if share > 0 else -direction.low)

    wider = changes(head_lengths(), head.mean_shape, head.shape(amount(jaw) * jaw.step[None])[0])
    assert wider.pop("bigonial") == pytest.approx(amount(jaw), abs=0.1)
    assert max(map(abs, wider.values())) < 0.1, "mm, of all other lengths"
    for direction, name in ((gap, "gap"), (smile, "rise")):
        still = torch.zeros(1, len(jaw.step))
        moved = model.shape(still, amount(direction) * direction.step[None])[0]
        found = changes(mouth_moves(model), model.mean_shape, moved)
        assert found.pop(name) == pytest.approx(amount(direction), abs=0.01)
        assert max(map(abs, found.values())) < 0.01
    skin = skin_measures(model)
    older = changes(skin, model.mean_texture, model.texture(amount(age) * age.step[None])[0])
    assert older["lines"] == pytest.approx(amount(age), abs=0.02)
    assert max(abs(older[name]) for name in ("L*", "a*", "b*", "beard", "brows")) < 0.1
    # The lightness bends a little over its whole range.
    lighter = changes(skin, model.mean_texture, model.texture(amount(tone) * tone.step[None])[0])
    assert lighter["L*"] == pytest.approx(amount(tone), rel=0.06) and abs(lighter["lines"]) < 0.15


def test_colours_are_measured_as_scikit_image_does():
    from skimage.color import rgb2lab

    colours = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    colours[:5] *= 0.03
    assert torch.allclose(lab(colours), torch.from_numpy(rgb2lab(colours.numpy())).float(), atol=0.02)


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
    assert person.placed and re.match(r"wall(.png)?: no face found: drag the points", person.note)
    points = person.detection.points
    low, high = points.min(0), points.max(0)
    assert np.allclose((low + high) / 2, [199.5, 149.5], atol=0.01)
    assert (high - low).max() == pytest.approx(people.PLACED_SHARE * 300, abs=0.01)
    assert points[8, 1] > points[27, 1] and points[45, 0] > points[36, 0], "upright"


def test_points_that_are_none_are_refused(play):
    person = play.people[0]
    for points, why in (
        (np.zeros((67, 2)), "68 points"),
        (np.full((68, 2), np.nan), "finite"),
        (np.full((68, 2), -50.0), "outside"),
        (np.full((68, 2), 50.0), "less than 20 px"),
    ):
        with pytest.raises(UserError, match=why):
            people.moved(person, points)
    moved = people.moved(person, person.detection.points + 3)
    assert moved.result is None and moved.key == person.key and moved.found == person.found


def test_parts_become_one_file_and_lost_parts_none():
    heard = []
    page = Page(heard.append)

    def part(number, parts, data):
        message = {"do": "upload", "name": "a.png", "number": number, "parts": parts}
        page._handle_custom_msg(message, [memoryview(data)])

    part(0, 2, b"ab"), part(1, 2, b"cd")
    part(0, 3, b"xx"), part(2, 3, b"yy")  # the middle is missing
    part(0, 2, b"no"), part(0, 1, b"new")  # another file was chosen meanwhile
    assert [(each["name"], each["data"]) for each in heard] == [("a.png", b"abcd"), ("a.png", b"new")]


def test_chains_join_all_points_once():
    assert [k for first, last, _ in CHAINS for k in range(first, last)] == list(range(68))


# The page


def test_the_page_has_both_people_painted(play):
    page = play.page
    assert [each["name"] for each in page.people] == ["Eileen Collins", "Grace Hopper"]
    assert all(each["fitted"] for each in page.people) and page.chosen == page.people[0]["id"]
    for paint in page.paints.values():
        assert Image.open(io.BytesIO(paint)).size == (1024, 1024)
    assert Image.open(io.BytesIO(page.photo)).size == tuple(page.photo_size)
    assert page.verdict == "good" and page.progress == 0 and page.painted and not page.can_undo
    assert np.allclose(page.now["alpha"], play.people[0].face.alpha[0])
    assert [each["label"] for each in page.directions] == [each.label for each in play.directions]


def test_light_follows_the_head(play):
    # What a vertex receives by the page's light and the model's normal is what it received in the photograph.
    face = play.people[0].face
    n = torch.nn.functional.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    on_page = torch.tensor(play.page.now["light"]).view(9, 3)
    assert torch.allclose(
        sh_basis(n) @ on_page, sh_basis(n @ face.pose.rotation[0].T) @ face.light[0], atol=1e-4
    )


def test_the_basis_is_that_of_the_model(play):
    mesh, head = play.page.mesh, play.head
    alpha = torch.randn(1, 99, generator=torch.Generator().manual_seed(0))

    def part(name, kind):
        modes = np.frombuffer(mesh[name]["data"], kind).reshape(-1, 3 * head.n_vertices)
        return modes * np.frombuffer(mesh[f"{name}_scale"]["data"], np.float32)[:, None]

    mean = np.frombuffer(mesh["mean"]["data"], np.float32)
    shape = mean + alpha[0].numpy() @ part("shape", np.int16)
    assert np.abs(shape.reshape(-1, 3) - head.shape(alpha)[0].numpy()).max() < 0.005, "mm"
    colours = np.frombuffer(mesh["colours"]["data"], np.float32) + alpha[0].numpy() @ part("texture", np.int8)
    unclipped = head.mean_texture + torch.einsum("vck,k->vc", head.texture_basis, head.texture_std * alpha[0])
    assert np.abs(colours.reshape(-1, 3) - unclipped.numpy()).max() < 0.01


def test_sliders_make_the_face(play, back):
    fit = play.person.face
    look(play, named=(5.0, 0.0, 0.0, 0.0, 0.0))
    assert torch.allclose(play.face.alpha, fit.alpha + 5 * play.directions[0].step, atol=1e-5)
    look(play, edits={"alpha": {3: 1.5}, "expression": {}, "beta": {0: -1.0}})
    assert play.face.alpha[0, 3] == pytest.approx(
        float(fit.alpha[0, 3] + 5 * play.directions[0].step[3]) + 1.5
    )
    assert play.face.beta[0, 0] == pytest.approx(float(fit.beta[0, 0]) - 1)
    look(play, likeness=0.0, named=(0.0,) * 5, edits={"alpha": {}, "expression": {}, "beta": {}})
    assert not play.face.alpha.any() and torch.equal(play.face.expression, fit.expression)
    does(play, do="look", look={"named": "much"})
    assert play.page.verdict == "error" and "no numbers of sliders" in play.page.status
    does(play, do="look", look=Look(power=float("nan")).for_page())
    assert "not finite" in play.page.status and play.scene.look.power == 1


def test_people_are_mixed(play, back):
    first, second = play.people
    look(play, other=second.key, shape=1.0, light=1.0)
    assert torch.allclose(play.face.alpha, second.face.alpha) and torch.equal(play.face.beta, first.face.beta)
    assert torch.allclose(light_of_head(play.face), light_of_head(second.face), atol=1e-5)
    look(play, other=second.key, shape=0.5, skin=0.5, light=0.0)
    assert torch.allclose(play.face.beta, (first.face.beta + second.face.beta) / 2, atol=1e-6)
    look(play, other="nobody", shape=1.0, skin=0.0)
    assert torch.equal(play.face.alpha, first.face.alpha), "who is not there is not mixed in"


def test_changes_are_taken_back(play, back):
    first, second = play.people
    look(play, named=(5.0, 0.0, 0.0, 0.0, 0.0))
    look(play, named=(5.0, 9.0, 0.0, 0.0, 0.0))
    does(play, do="choose", id=second.key)
    assert play.person is second and play.page.chosen == second.key and play.scene.look == Look()
    does(play, do="undo")
    assert play.person is first and play.page.look["look"]["named"] == [5.0, 9.0, 0.0, 0.0, 0.0]
    does(play, do="undo")
    assert play.scene.look.named[1] == 0.0 and play.page.can_undo
    does(play, do="undo")
    assert play.scene.look == Look() and not play.page.can_undo
    does(play, do="undo")
    assert play.person is first


@pytest.mark.slow
def test_a_dragged_point_is_fitted_and_taken_back(play, back):
    before = play.person
    seen = []
    play.page.observe(lambda change: seen.append(change["new"]), "progress")
    does(play, do="points", points=(before.detection.points + [0.0, 5.0]).tolist())
    play.page.unobserve_all("progress")
    after = play.person
    assert len(seen) > 10 and seen[-1] == 0.0 and seen[:-1] == sorted(seen[:-1])
    assert after.key == before.key and after.result is not None and after.painted is not None
    down = (chin(play, after) - chin(play, before))[1]
    assert 1 < down < 7, "all points went 5 px down, and the face more or less with them"
    does(play, do="undo")
    assert play.person is before and np.allclose(play.page.points, before.detection.points, atol=0.01)


@pytest.mark.slow
def test_points_far_from_the_detectors_are_doubtful(play, back):
    does(play, do="points", points=(play.person.detection.points + [36.0, 0.0]).tolist())
    assert play.page.verdict == "doubtful"
    assert re.search(r"the points lie \d+ % of the distance between the eyes", play.page.status)
    does(play, do="find")
    assert play.page.verdict == "good"
    assert np.allclose(play.person.detection.points, stored_points("astronaut").points, atol=1e-3)


def test_a_fit_to_scattered_points_stays_doubtful(play, back):
    person = play.person
    scattered = replace(person, detection=replace(person.detection, spread=SPREAD_DOUBTFUL + 1.0))
    assert people.verdict(person)[0]
    good, words = people.verdict(scattered)
    assert not good and "points spread by 4.0 % of the distance between the eyes" in words


def chin(play, person):
    points = play.model.shape(person.face.alpha, person.face.expression)[:, play.model.landmarks]
    seen = project(model_to_camera(points, person.face.pose), person.face.camera)[..., :2]
    return person.crop.to_photo(seen)[0].mean(0).numpy()


@pytest.mark.slow
def test_uploads_are_fitted_at_once(play, back):
    before = play.person
    play.page._handle_custom_msg(
        {"do": "upload", "name": "letter.txt", "number": 0, "parts": 1}, [b"Dear Sir"]
    )
    play.wait()
    assert play.page.status.startswith("letter.txt: not an image") and play.person is before
    play.page._handle_custom_msg(
        {"do": "upload", "name": "wall.png", "number": 0, "parts": 1}, [png_of((300, 300))]
    )
    play.wait()
    assert play.person.name == "wall" and play.page.verdict == "doubtful" and not play.page.found
    assert "drag the points" in play.page.status and play.person.result is None
    sent = []
    play.page.send = lambda content, buffers=None: sent.append(content)
    does(play, do="file", kind="ply")
    del play.page.send
    assert sent[0]["name"] == "" and "not fitted yet" in sent[0]["said"]
    does(play, do="points", points=play.person.detection.points.tolist())
    assert play.person.result is not None and play.page.verdict == "doubtful", "a face on a wall"


@pytest.mark.slow
def test_another_face_of_a_group_is_fitted(play, back):
    photo = play.people[0].photo
    width = photo.size[1]
    two = Photo(np.concatenate([photo.image, photo.image], 1), Path("two.png"), "two")
    points = play.people[0].detection.points
    found = tuple(Detection.from_points(points + [k * width, 0], backend="dlib") for k in (0, 1))
    person = people.Person(two, found[0], found)
    play._show(replace(play.scene.having(person), chosen=person.key))
    assert len(play.page.faces) == 2
    does(play, do="face", number=1)
    assert play.page.status.endswith("2 faces: click another to have it.")
    assert play.person.key == person.key and play.person.detection is found[1]
    assert torch.allclose(play.person.face.alpha, play.people[0].face.alpha, atol=0.3)
    does(play, do="face", number=5)
    assert "there is no face 6" in play.page.status and play.person.detection is found[1]


def test_what_is_covered_is_drawn(play):
    person = play.people[0]
    assert people.covered_picture(person) == (b"", [])
    probability = torch.ones_like(person.result.face_probability)
    probability[:, 100:150, 100:150] = 0
    result = replace(person.result, face_probability=probability, covered=torch.tensor([0.2]))
    png, (x, y, width, height) = people.covered_picture(replace(person, result=result))
    alpha = np.asarray(Image.open(io.BytesIO(png)))[..., 3]
    assert alpha[100:150, 100:150].mean() > 50 and not alpha[:100].any()
    corners = person.crop.to_photo(torch.tensor([[[-0.5, -0.5], [223.5, 223.5]]]))[0].numpy()
    assert np.allclose([[x, y], [x + width, y + height]], corners, atol=1e-3)


def test_the_guess_is_measured_against_the_fit(play):
    person, model = play.people[0], play.coarse
    from helpers.face_model import FaceCoefficients

    fit = person.face
    same = guess_apart(person, FaceCoefficients(fit.alpha, fit.beta, fit.expression), model)
    assert same.distance.max() < 0.01 and same.cosine == pytest.approx(1.0, abs=1e-4)
    zero = FaceCoefficients(0 * fit.alpha, 0 * fit.beta, 0 * fit.expression)
    mean = guess_apart(person, zero, model)
    assert 0.5 < mean.mean < mean.distance.max() and mean.cosine == pytest.approx(0.0, abs=1e-6)


# Files for the reader


@pytest.mark.slow
def test_files_hold_the_face_of_the_sliders(play, back):
    look(play, edits={"alpha": {0: 3.0}, "expression": {}, "beta": {}})
    face = play.face
    name, data = play.file("npz")
    numbers = np.load(io.BytesIO(data))
    assert name == "astronaut.npz" and np.allclose(numbers["alpha"], face.alpha[0])
    assert {"expression", "light", "landmarks_photo", "energy", "fit_confidence"} <= set(numbers.files)
    vertices = play.model.shape(face.alpha, face.expression)[0]

    name, data = play.file("ply")
    body = data[data.index(b"end_header\n") + 11 :]
    rows = np.frombuffer(body, np.dtype([("p", "<f4", 3), ("c", "u1", 3)]), len(vertices))
    assert name == "astronaut.ply" and np.allclose(rows["p"], vertices.numpy(), atol=1e-4)

    name, data = play.file("glb")
    length = struct.unpack("<I", data[12:16])[0]
    content = json.loads(data[20 : 20 + length])
    assert name == "astronaut.glb" and content["accessors"][0]["count"] >= play.model.whole_head.n_vertices
    assert content["images"][0]["mimeType"] == "image/png"

    name, data = play.file("png")
    assert name == "astronaut.png" and Image.open(io.BytesIO(data)).width > 900
    with pytest.raises(UserError, match=", ".join(KINDS)):
        file_of("stl", play._shown(), play.model, play.coarse)


@pytest.mark.slow
def test_the_turntable_turns_to_both_sides_and_back(play):
    name, data = play.file("gif")
    film = Image.open(io.BytesIO(data))
    assert name == "astronaut.gif" and film.info["loop"] == 0 and film.n_frames > 24

    def frame(number):
        film.seek(number)
        return np.asarray(film.convert("RGB")).astype(int)

    left, middle, right = (frame(k) for k in (0, film.n_frames // 4, film.n_frames // 2))
    assert np.abs(left - right).mean() > 5 and np.abs(left - middle).mean() > 5
    assert np.abs(frame(1) - frame(film.n_frames - 1)).mean() < 1, "it goes round for ever"


def test_the_page_to_send_asks_nobody(play, back):
    name, data = play.file("html")
    page = data.decode()
    assert name == "astronaut.html" and len(data) < 4_000_000
    assert "http" not in page and not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert "%PACKED%" not in page and "Eileen Collins" in page and "class FaceView" in page


def test_paint_follows_the_tone(play, back):
    from helpers.show.playground.download import painted_as

    skin = play.coarse.masks["skin"].bool()
    before = painted_as(play._shown(), play.head)[1][0, : len(skin)][skin].mean()
    look(play, named=(0.0, 0.0, 0.0, 0.0, -15.0))
    after = painted_as(play._shown(), play.head)[1][0, : len(skin)][skin].mean()
    assert 0.5 < after / before < 0.9
    look(play, named=(0.0,) * 5, power=0.6)
    dim = painted_as(play._shown(), play.head)[1][0, : len(skin)][skin].mean()
    assert 0.6 < dim / before < 0.95


def test_paint_stays_where_nothing_is_changed(play, back):
    from helpers.show.playground.download import painted_as

    own = play.people[0].painted.colours
    outside = ~(play.head.masks["teeth"] + play.head.masks["mouth_interior"]).bool()
    same = painted_as(play._shown(), play.head)[1]
    # Beside the teeth colours are mixed.
    assert ((same - own)[:, outside].abs() < 0.02).float().mean() > 0.995
    # All of the other, in the other's light, is the other's paint.
    second = play.people[1]
    look(play, other=second.key, shape=1.0, expression=1.0, skin=1.0, light=1.0)
    theirs = painted_as(play._shown(), play.head)[1]
    assert ((theirs - second.painted.colours)[:, outside].abs() < 0.02).float().mean() > 0.995


def test_failures_are_sentences(play, back):
    for error, said in (
        (UserError("me.jpg: <b>is\nempty"), "me.jpg: <b>is empty"),
        (RuntimeError("no memory"), "That failed (RuntimeError): no memory"),
        (OSError("not there: /srv/someone/net.pt"), "That failed (OSError): not there: net.pt"),
        (OSError(f"not there: {ASSETS / 'net.pt'}"), "That failed (OSError): not there: assets/net.pt"),
        (OSError("C:\\Users\\me\\net.pt"), "That failed (OSError): net.pt"),
        (UserError("1/2 and/or http://a.b/c/d"), "1/2 and/or http://a.b/c/d"),
    ):
        assert sentence(error) == said
    does(play, do="choose", id="nobody")
    assert play.page.status == "this photograph is not here any more" and play.page.verdict == "error"
    does(play, do="dance")
    assert play.person.name == "astronaut"


def test_the_still_is_a_picture_and_the_page_replaces_it(play, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.show.playground.app.picture", lambda image, alt: shown.append((image, alt)))
    displayed = []
    monkeypatch.setattr("IPython.display.display", displayed.append)
    play.show(alt="a head", live=False)
    ((image, alt),) = shown
    assert alt == "a head" and image.dtype == np.uint8 and image.shape[1] > 800 and image.std() > 20
    play.show(alt="a head", live=True)
    assert displayed == [play.page] and len(shown) == 1


def test_the_mean_face_is_a_face(play):
    face = Face.mean(play.coarse)
    assert face.alpha.shape == (1, 99) and not face.alpha.any()
