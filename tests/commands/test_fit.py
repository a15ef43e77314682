"""`python -m helpers fit`: four files a photograph, one line a mistake."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.commands import fit as command
from helpers.errors import UserError
from helpers.face_model import load
from helpers.landmarks import dlib_backend, stored_points, write_points
from helpers.photo import crop_face, default_photos, read_photo
from helpers.regression import load_network, network_file

pytestmark = pytest.mark.slow

needs_dlib = pytest.mark.skipif(dlib_backend.missing() is not None, reason="dlib is not installed")
ASTRONAUT, HOPPER = (str(path) for path in default_photos().values())


def fit(*words):
    """Run the command in this process, with the two options that `python -m helpers` adds to every command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Both default photographs, fitted once for all tests."""
    out = tmp_path_factory.mktemp("fit") / "new" / "folder"
    assert fit(ASTRONAUT, HOPPER, "--out", out) == 0
    return out


def test_names_of_results():
    def names(*paths):
        return command.output_names([Path(p) for p in paths])

    assert names("a.jpg", "b.png") == ["a", "b"]
    assert names("a.jpg", "x/a.png", "a.jpg") == ["a", "a_2", "a_3"]
    assert names("a.jpg", "x/a.jpg", "a_2.jpg") == ["a", "a_3", "a_2"]
    assert names("me.jpg", "ME.jpg") == ["me", "ME_2"]


def test_four_files_a_photograph(fitted):
    stems = ("astronaut", "grace_hopper")
    assert sorted(f.name for f in fitted.iterdir()) == sorted(
        s + e for s in stems for e in (".glb", ".npz", ".ply", ".png")
    )


def test_numbers(fitted):
    numbers = np.load(fitted / "astronaut.npz")
    shapes = {
        "alpha": (99,),
        "beta": (99,),
        "expression": (30,),
        "rotation_vector": (3,),
        "translation": (3,),
        "focal": (),
        "principal_point": (2,),
        "light": (9, 3),
        "colour": (2, 3),
        "landmarks": (68, 2),
        "confidence": (),
        "fit_confidence": (),
        "landmark_error": (68,),
        "crop_scale": (),
        "crop_origin": (2,),
    }
    for name, shape in shapes.items():
        assert numbers[name].shape == shape and np.isfinite(numbers[name]).all(), name
    assert numbers["energy"].ndim == 1 and len(numbers["energy"]) > 10
    assert 0.5 <= numbers["confidence"] <= 1 and 800 < numbers["translation"][2] < 2000
    to_crop = (numbers["landmarks_photo"] - numbers["crop_origin"]) * numbers["crop_scale"]
    np.testing.assert_allclose(to_crop, numbers["landmarks"], atol=1e-3)


def test_the_numbers_are_the_mesh_and_lie_on_the_photograph(fitted):
    numbers = np.load(fitted / "grace_hopper.npz")
    model = load("open")

    def tensor(name):
        return torch.as_tensor(numbers[name], dtype=torch.float32)[None]

    vertices = model.shape(tensor("alpha"), tensor("expression"))
    data = (fitted / "grace_hopper.ply").read_bytes()
    head, body = data.split(b"end_header\n", 1)
    assert f"element vertex {model.n_vertices}".encode() in head
    stored = np.frombuffer(body, [("p", "<f4", 3), ("c", "u1", 3)], model.n_vertices)
    np.testing.assert_allclose(stored["p"], vertices[0], atol=1e-3)

    size = tuple(int(v) for v in numbers["image_size"])
    camera = Camera(tensor("focal"), tensor("principal_point"), size)
    pose = Pose(tensor("rotation_vector"), tensor("translation"))
    marks = project(model_to_camera(vertices[:, model.landmarks], pose), camera)[0, 17:, :2]
    apart = (marks - tensor("landmarks")[0, 17:]).norm(dim=-1).mean()
    assert apart < 4 and abs(apart - numbers["landmark_error"][17:].mean()) < 0.01


def test_the_model_s_own_colours_are_there_for_those_who_measure_them(fitted, tmp_path):
    assert fit(ASTRONAUT, "--out", tmp_path, "--paint", "model") == 0
    model, numbers = load("open"), np.load(tmp_path / "astronaut.npz")
    beta = torch.as_tensor(numbers["beta"])[None]
    ply, painted = ((folder / "astronaut.ply").read_bytes() for folder in (tmp_path, fitted))
    row = np.dtype([("p", "<f4", 3), ("c", "u1", 3)])
    rows, others = (
        np.frombuffer(data.split(b"end_header\n", 1)[1], row, model.n_vertices) for data in (ply, painted)
    )
    assert np.abs(rows["c"] / 255 - model.texture(beta)[0].numpy()).max() < 0.005
    assert (rows["p"] == others["p"]).all() and (rows["c"] != others["c"]).any()
    glb, textured = ((folder / "astronaut.glb").read_bytes() for folder in (tmp_path, fitted))
    assert b"COLOR_0" in glb and b"TEXCOORD_0" not in glb and b"KHR_materials_unlit" in textured
    # The strips differ in their last panel only.
    strip, other = (np.asarray(Image.open(folder / "astronaut.png")) for folder in (tmp_path, fitted))
    assert (strip[:, :-320] == other[:, :-320]).all() and (strip[:, -320:] != other[:, -320:]).any()


def test_strip(fitted):
    strip = np.asarray(Image.open(fitted / "astronaut.png")).astype(float) / 255
    photo = read_photo(ASTRONAUT)
    crop = crop_face(photo.image, stored_points("astronaut").points).image[0].numpy()
    size, step = 320, 320 + 6
    height = (len(strip) + 6) // 2  # of a row of three, with its titles and the gap to the next
    assert strip.shape[1:] == (3 * size + 2 * 6, 3) and size < height < size + 60
    ends = len(strip) - size - height, len(strip) - size
    panels = [strip[end:, i * step :][:size, :size] for end in ends for i in range(3)]
    crop = np.asarray(Image.fromarray((crop * 255 + 0.5).astype(np.uint8)).resize((size, size), 1)) / 255
    assert np.abs(panels[0] - crop).mean() < 0.01
    # The overlay leaves the picture's rim alone, changes the cheeks and stays near them in colour.
    assert np.abs(panels[2][:28] - crop[:28]).mean() < 0.01
    cheeks = np.s_[170:200, 115:200]
    change = np.abs(panels[2][cheeks] - crop[cheeks]).mean()
    assert 0.002 < change < 0.15
    # Faces alone stand on white, in the middle; the grey ones are grey and the painted one is not.
    for panel in panels[3:]:
        assert panel[:5].min() == 1 and panel[160, 160].max() < 1
    assert np.ptp(panels[3][160, 160]) < 0.05 < np.ptp(panels[5][160, 160])


@needs_dlib
def test_one_line_a_mistake_and_the_others_are_done(tmp_path, capsys):
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "wall.png")
    Image.new("RGB", (20, 20)).save(tmp_path / "tiny.png")
    (tmp_path / "page.jpg").write_text("<html></html>")
    bad = {
        "wall.png": "no face",
        "tiny.png": "20×20 px: too small",
        "page.jpg": "web page",
        "gone.jpg": "no such file",
    }
    out = tmp_path / "out"
    assert fit(*(tmp_path / name for name in bad), ASTRONAUT, "--out", out) == 1
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert len(lines) == len(bad)
    for line, (name, cause) in zip(lines, bad.items(), strict=True):
        assert line.startswith(f"{tmp_path / name}: ") and cause in line
    assert sorted(f.name for f in out.iterdir()) == [
        "astronaut.glb",
        "astronaut.npz",
        "astronaut.ply",
        "astronaut.png",
    ]
    assert printed.out.count("\n") == 1 and "astronaut.png" in printed.out


def write_two_faces(path):
    """A page with a small face on the left and a large one right of 140 px."""
    face = np.asarray(Image.open(ASTRONAUT).convert("RGB"))[30:230, 110:330]
    page = np.full((240, 380, 3), 255, np.uint8)
    page[20:120, 10:120], page[20:220, 140:360] = face[::2, ::2], face
    Image.fromarray(page).save(path)


@needs_dlib
def test_the_largest_of_several_faces_is_taken_and_said(tmp_path, capsys):
    write_two_faces(tmp_path / "two.png")
    out = tmp_path / "out"
    assert fit(tmp_path / "two.png", "--out", out, "--size", 96) == 0
    assert f"{tmp_path / 'two.png'}: 2 faces found, the largest is taken" in capsys.readouterr().err
    assert np.load(out / "two.npz")["landmarks_photo"][:, 0].min() > 140


@needs_dlib
def test_all_faces_of_a_photograph(tmp_path, capsys):
    """Each gets files of its own, the largest the first; what is wrong is told of the face."""
    write_two_faces(tmp_path / "we.png")
    out = tmp_path / "out"
    assert fit(tmp_path / "we.png", "--all-faces", "--out", out, "--size", 96) == 0
    names = [f"we_{number}{ending}" for number in (1, 2) for ending in (".glb", ".npz", ".ply", ".png")]
    assert sorted(f.name for f in out.iterdir()) == names
    points = [np.load(out / f"we_{number}.npz")["landmarks_photo"] for number in (1, 2)]
    assert points[0][:, 0].min() > 140 and points[1][:, 0].max() < 130
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"{tmp_path / 'we.png'}, face {number} of 2: ") and f"we_{number}.png" in line
    assert len(lines) == 2 and "largest" not in printed.err


def test_all_faces_refuses_what_makes_no_sense(tmp_path, capsys):
    write_points(tmp_path / "points.pts", stored_points("astronaut").points)
    for words, cause in (
        (("--landmarks", tmp_path / "points.pts"), "one face"),
        (("--one-person",), "does not go with --all-faces"),
    ):
        photos = (ASTRONAUT, HOPPER)[: 2 if "--one-person" in words else 1]
        assert fit(*photos, "--all-faces", "--out", tmp_path / "out", *words) == 2
        assert cause in capsys.readouterr().err
    shutil.copy(ASTRONAUT, tmp_path / "me_2.png")
    shutil.copy(ASTRONAUT, tmp_path / "me.jpg")
    photos = (tmp_path / "me.jpg", tmp_path / "me_2.png")
    assert fit(*photos, "--all-faces", "--out", tmp_path) == 2
    assert "would overwrite" in capsys.readouterr().err


def test_a_result_never_overwrites_what_it_is_made_from(tmp_path, capsys):
    photo = tmp_path / "me.png"
    photo.write_bytes(Path(ASTRONAUT).read_bytes())
    assert fit(photo, "--out", tmp_path) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert photo.read_bytes() == Path(ASTRONAUT).read_bytes() and list(tmp_path.iterdir()) == [photo]


def test_given_landmarks_are_used_and_names_do_not_collide(tmp_path):
    points = stored_points("astronaut").points
    write_points(tmp_path / "points.pts", points)
    assert fit(ASTRONAUT, "--out", tmp_path, "--landmarks", tmp_path / "points.pts", "--size", 96) == 0
    np.testing.assert_allclose(np.load(tmp_path / "astronaut.npz")["landmarks_photo"], points, atol=1e-3)


def test_wrong_arguments_give_one_line_and_2(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    for words, cause in (
        ((ASTRONAUT, "--out", tmp_path, "--model", tmp_path / "none.h5"), "none.h5"),
        ((ASTRONAUT, HOPPER, "--out", tmp_path, "--landmarks", file), "of one photograph, but 2"),
        ((ASTRONAUT, "--out", file), "cannot be made a folder"),
        ((ASTRONAUT, "--out", tmp_path, "--landmarks", tmp_path / "none.pts"), "no such landmark file"),
        (
            (ASTRONAUT, "--out", tmp_path / "new", "--prior", "network", "--preset", "released"),
            "--prior network does not go with --preset released",
        ),
    ):
        assert fit(*words) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and cause in lines[0]
    for words in ((), (ASTRONAUT,), (ASTRONAUT, "--out", tmp_path, "--size", "20")):
        with pytest.raises(SystemExit) as caught:
            fit(*words)
        assert caught.value.code == 2
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


def test_what_would_fail_at_the_end_is_said_at_the_start(tmp_path, capsys):
    (tmp_path / "closed").mkdir(mode=0o555)
    if os.access(tmp_path / "closed", os.W_OK):
        pytest.skip("this user may write anywhere")
    assert fit(ASTRONAUT, "--out", tmp_path / "closed") == 2
    assert "closed: no file can be written there" in capsys.readouterr().err


@pytest.mark.slow
def test_names_that_are_long_or_no_text(tmp_path):
    """A name as long as a file system takes, and one of bytes that are not UTF-8, in a UTF-8 terminal."""
    long, latin = os.fsencode(tmp_path) + b"/" + b"a" * 251 + b".png", os.fsencode(tmp_path) + b"/caf\xe9.png"
    for path in (long, latin):
        shutil.copy(ASTRONAUT, path)
    words = [sys.executable, "-m", "helpers", "fit", long, latin, "--out", tmp_path / "out", "--size", "96"]
    env = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(words, check=False, capture_output=True, env=env)
    assert done.returncode == 0 and rb"caf\udce9.png" in done.stdout
    assert len(os.listdir(os.fsencode(tmp_path / "out"))) == 8


def test_a_photograph_that_is_a_loop_of_links_is_one_line(tmp_path, capsys):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert fit(tmp_path / "loop.png", "--out", tmp_path / "out") == 1
    assert "loop.png: cannot be read: Too many levels" in capsys.readouterr().err


def test_full_disk_is_one_line(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "write_results", full)
    assert fit(ASTRONAUT, "--out", tmp_path) == 1
    assert capsys.readouterr().err.splitlines() == [f"{ASTRONAUT}: [Errno 28] No space left on device"]


def test_a_gpu_that_fails_ends_the_run_and_blames_no_other_photograph(tmp_path, capsys, monkeypatch):
    def illegal(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(command, "write_results", illegal)
    monkeypatch.setattr(command, "can_compute", lambda device: False)
    with pytest.raises(UserError, match=f"has failed.*from {HOPPER} on"):
        fit(HOPPER, ASTRONAUT, "--out", tmp_path, "--size", 96)
    assert HOPPER in (said := capsys.readouterr().err) and ASTRONAUT not in said


def test_from_the_command_line(tmp_path):
    words = [sys.executable, "-m", "helpers", "fit", str(tmp_path / "gone.jpg"), "--out", str(tmp_path)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    # Where there is no CUDA driver, Warp's compiled part may say so first, past every setting.
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Warp CUDA warning")]
    assert lines == [f"{tmp_path / 'gone.jpg'}: no such file"]


def stored(tmp_path):
    """The first default photograph's points as a file, so that no detector is needed."""
    path = tmp_path / "points.json"
    write_points(path, stored_points("astronaut").points)
    return path


def test_a_mask_hides_what_is_in_front_of_a_face(tmp_path):
    """A bar is painted over eyes, nose and mouth. With a mask over it, given or found, the fit has the whole face's skin."""
    whole = Image.open(ASTRONAUT).convert("RGB")
    points = stored_points("astronaut").points
    (left, top), (right, bottom) = points[29:].min(0), points[29:].max(0)
    box = [int(v) for v in (left, top, right, bottom)]
    covered, mask = whole.copy(), Image.new("L", whole.size, 255)
    covered.paste((90, 90, 160), box)
    mask.paste(0, box)
    covered.save(tmp_path / "covered.png")
    mask.save(tmp_path / "mask.png")
    landmarks, found = stored(tmp_path), {}
    for name, words in {
        "whole": [ASTRONAUT],
        "bare": [tmp_path / "covered.png"],
        "masked": [tmp_path / "covered.png", "--mask", tmp_path / "mask.png"],
    }.items():
        assert fit(*words, "--out", tmp_path / name, "--landmarks", landmarks) == 0
        (file,) = (tmp_path / name).glob("*.npz")
        found[name] = np.load(file)
    model = load("open")

    def albedo(name):
        return model.texture(torch.from_numpy(found[name]["beta"])[None])

    skin = model.masks["skin"][:, None]
    off = {
        name: float(((albedo(name) - albedo("whole")) * skin).square().mean()) for name in ("bare", "masked")
    }
    # A fit that looks at the bar has 0.02; one that does not listen to --mask has the same twice.
    assert max(off.values()) < 0.005 and off["masked"] != off["bare"], off


def test_masks_that_do_not_fit(tmp_path, capsys):
    Image.new("L", (100, 80), 255).save(tmp_path / "small.png")
    landmarks = stored(tmp_path)
    assert (
        fit(ASTRONAUT, "--out", tmp_path / "o", "--landmarks", landmarks, "--mask", tmp_path / "small.png")
        == 1
    )
    assert "small.png: is 100 × 80 px, the photograph is 512 × 512" in capsys.readouterr().err
    assert fit(ASTRONAUT, "--out", tmp_path / "o", "--mask", tmp_path / "none.png") == 2
    assert "--mask" in capsys.readouterr().err
    assert fit(ASTRONAUT, HOPPER, "--out", tmp_path / "o", "--mask", tmp_path / "small.png") == 2
    assert "one photograph" in capsys.readouterr().err


def test_the_network_is_the_prior_unless_it_is_left_out(fitted, tmp_path, monkeypatch, capsys):
    assert fit(ASTRONAUT, "--out", tmp_path / "model", "--prior", "model") == 0
    photo, found = read_photo(ASTRONAUT), stored_points("astronaut")
    guess = load_network().prior(photo, found).mean[0, :99].numpy()
    default, alone = (np.load(folder / "astronaut.npz")["alpha"] for folder in (fitted, tmp_path / "model"))
    assert np.linalg.norm(default - guess) < 0.8 * np.linalg.norm(alone - guess)
    # Where the encoder is not installed the default is the model's prior, and asking for the network is an error.
    monkeypatch.setattr(network_file, "model_file", lambda name: None)
    assert fit(ASTRONAUT, "--out", tmp_path / "without") == 0
    without = np.load(tmp_path / "without" / "astronaut.npz")["alpha"]
    np.testing.assert_allclose(without, alone, atol=1e-5)


def test_the_released_fitters_settings_write_its_light(tmp_path):
    assert fit(ASTRONAUT, "--out", tmp_path, "--landmarks", stored(tmp_path), "--preset", "released") == 0
    numbers = np.load(tmp_path / "astronaut.npz")
    assert numbers["light"].shape == (15,) and np.abs(numbers["alpha"]).max() <= 4
    assert np.array_equal(numbers["colour"], [numbers["light"][9:12], numbers["light"][12:15]])


@needs_dlib
def test_photographs_of_one_person_get_one_face(tmp_path, capsys):
    """A photograph, its mirror image and one without a face: one shape for the two, one line for the third."""
    Image.open(ASTRONAUT).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        tmp_path / "mirror.png"
    )
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "wall.png")
    out = tmp_path / "out"
    words = [
        ASTRONAUT,
        tmp_path / "wall.png",
        tmp_path / "mirror.png",
        "--out",
        out,
        "--one-person",
        "--size",
        96,
    ]
    assert fit(*words) == 1
    printed = capsys.readouterr()
    assert (
        printed.out.startswith("2 photographs fitted together: confidence 0.")
        and printed.out.count("\n") == 3
    )
    assert printed.err.splitlines()[0].startswith(f"{tmp_path / 'wall.png'}: ") and "no face" in printed.err
    assert len(list(out.iterdir())) == 8
    one, other = np.load(out / "astronaut.npz"), np.load(out / "mirror.npz")
    for name in ("alpha", "beta"):
        assert np.array_equal(one[name], other[name]) and np.abs(one[name]).max() > 0.1
    for name in ("expression", "rotation_vector", "light"):
        assert not np.array_equal(one[name], other[name])
    # Of a face and its mirror image the one shape that explains both is nearly symmetric.
    model = load("open")
    shape = model.shape(torch.from_numpy(one["alpha"])[None])[0, model.landmarks]
    eyes, nose = shape[36:48, 0].mean(), shape[27:31, 0].mean()
    assert abs(eyes - nose) < 1.5  # mm


def test_one_person_refuses_what_makes_no_sense(tmp_path, capsys):
    for words, cause in (
        ((ASTRONAUT,), "only one is named"),
        ((ASTRONAUT, HOPPER, "--preset", "released"), "--preset released"),
        ((ASTRONAUT, HOPPER, "--landmarks", stored(tmp_path)), "of one photograph, but 2"),
        ((ASTRONAUT, HOPPER, "--mask", HOPPER), "--mask is for one photograph, but 2"),
    ):
        assert fit(*words, "--out", tmp_path / "out", "--one-person") == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and cause in lines[0]
    assert not (tmp_path / "out").exists()
    assert fit(tmp_path / "a.png", tmp_path / "b.png", "--out", tmp_path / "out", "--one-person") == 1
    assert [line.split(": ")[-1] for line in capsys.readouterr().err.splitlines()] == ["no such file"] * 2
