"""Every format of face models loads through one call, with the same numbers in the same units."""

from __future__ import annotations

import base64
import zlib
from dataclasses import fields, replace
from functools import cache

import h5py
import numpy as np
import pytest
import torch

from helpers import face_model
from helpers.errors import UserError
from helpers.face_model import formats
from helpers.face_model.formats import landmarks
from helpers.face_model.formats.assemble import GREY
from tests.face_model import model_files as files


@pytest.fixture(scope="session")
def face():
    """The open model at its coarsest, with few modes: what is written into every file."""
    model = face_model.load("open", level=0, n_shape=6, n_texture=5)
    return replace(
        model,
        expression_basis=model.expression_basis[..., :4],
        expression_std=model.expression_std[:4],
        expression_units=model.expression_units[..., :3],
        expression_names=model.expression_names[:3],
        masks=None,
    )


@pytest.fixture(scope="session")
def numbers(face):
    return files.Face(face)


def write(name: str, folder, numbers):
    """A file in the layout `name`, "FORMAT" or "FORMAT VARIANT"."""
    kind, _, variant = name.partition(" ")
    if kind == "bfm2009":
        return files.write_mat(
            folder / "01_MorphableModel.mat", files.bfm2009_arrays(numbers), variant or "5"
        )
    if kind == "face3d":
        return files.write_mat(folder / "BFM.mat", files.face3d_arrays(numbers), variant or "5", "model")
    if kind == "deep3d":
        return files.write_mat(folder / "BFM_model_front.mat", files.deep3d_arrays(numbers), variant or "5")
    if kind == "scalismo":
        version = (0, 8) if variant == "0.8" else (0, 9)
        # With one name only, the other points are not estimated, which takes a second.
        names = {f"ibug.{i + 1}": i for i in range(68)} if variant == "68" else {"center.nose.tip": 30}
        return files.write_scalismo(folder / "model2019_bfm.h5", numbers, version, names)
    if kind == "ict":
        return files.write_ict(folder / "FaceXModel", numbers)
    if kind == "flame":
        return files.write_flame(
            folder / "generic_model.pkl", files.flame_arrays(numbers), variant or "chumpy"
        )
    if kind == "gnm":
        return files.write_gnm(folder / "gnm_head.npz", files.gnm_arrays(numbers))
    version, _, expression = variant.partition(" ")
    path = folder / "sfm_shape_3448.bin"
    path.write_bytes(files.eos_bytes(numbers, int(version or 4), expression or "blendshapes"))
    return path


@pytest.fixture(scope="session")
def written(numbers, tmp_path_factory):
    """`written(name)`: the path of a file in that layout, made once."""
    return cache(lambda name: write(name, tmp_path_factory.mktemp("models"), numbers))


@pytest.fixture(scope="session")
def loaded(written):
    """`loaded(name)`: the model in it."""
    return cache(lambda name: face_model.load(written(name)))


BASEL = ["bfm2009 5", "bfm2009 5 compressed", "bfm2009 7.3"]
DERIVED = ["face3d 5", "face3d 7.3", "deep3d 5", "deep3d 7.3"]
SCALISMO = ["scalismo", "scalismo 0.8", "scalismo 68"]
EOS = ["eos 1", "eos 2", "eos 3 pca", "eos 4", "eos 4 pca"]
COLOURED = [*BASEL, *DERIVED, *SCALISMO, *EOS]
COLOURLESS = ["ict", "flame chumpy", "flame plain", "flame python2", "gnm"]
ALL = [*COLOURED, *COLOURLESS]
PCA_EXPRESSIONS = [*DERIVED, *SCALISMO, "eos 3 pca", "eos 4 pca", "flame chumpy", "gnm"]
POINTS_IN_FILE = [*DERIVED, "scalismo 68"]


def scaled(basis, std):
    """What the modes do, whatever share of it is in the columns: (3·V, K) mm."""
    return basis.double().flatten(0, 1) * std.double()


@pytest.mark.parametrize("name", ALL)
def test_shape_in_millimetres(name, face, loaded):
    model, k = loaded(name), 3 if name == "ict" else 6
    assert len(model.shape_std) == (99 if name.startswith("flame") else k)
    assert torch.allclose(model.mean_shape, face.mean_shape, atol=2e-4)
    assert torch.allclose(
        scaled(model.shape_basis, model.shape_std)[:, :k],
        scaled(face.shape_basis, face.shape_std)[:, :k],
        atol=2e-4,
    )
    assert torch.allclose(model.shape_basis.double().square().sum((0, 1)), torch.ones(1).double(), atol=1e-4)
    assert model.mean_shape.dtype == model.shape_basis.dtype == model.shape_std.dtype == torch.float32
    assert torch.equal(sorted_corners(model.triangles), sorted_corners(face.triangles)), (
        "as many, turned outwards"
    )
    assert model.name and model.licence


def sorted_corners(triangles):
    """Triangles in one order, each from its lowest corner on: the direction round stays."""
    first = triangles.argmin(1, keepdim=True)
    turned = triangles.gather(1, (first + torch.arange(3)) % 3)
    return turned[np.lexsort(turned.numpy().T[::-1])]


@pytest.mark.parametrize("name", COLOURED)
def test_colours_from_0_to_1(name, face, loaded):
    model = loaded(name)
    assert torch.allclose(model.mean_texture, face.mean_texture, atol=1e-5)
    expected = scaled(face.texture_basis, face.texture_std)
    assert torch.allclose(scaled(model.texture_basis, model.texture_std), expected, atol=1e-5)


@pytest.mark.parametrize("name", COLOURLESS)
def test_a_model_without_colours_is_grey(name, loaded):
    model = loaded(name)
    people = model.sample(2)
    assert people.beta.shape == (2, 0) and model.texture_basis.shape == (model.n_vertices, 3, 0)
    assert torch.equal(model.texture(people.beta), torch.full((2, model.n_vertices, 3), GREY))
    assert model.shape(people.alpha, people.expression).shape == (2, model.n_vertices, 3)


@pytest.mark.parametrize("name", PCA_EXPRESSIONS)
def test_expression_modes_about_the_neutral_face(name, face, loaded):
    model = loaded(name)
    expected = scaled(face.expression_basis, face.expression_std)
    assert torch.allclose(scaled(model.expression_basis, model.expression_std), expected, atol=2e-4)
    neutral = model.shape(torch.zeros(1, 1), torch.zeros(1, 1))[0]
    assert torch.allclose(neutral, face.mean_shape, atol=2e-4)


@pytest.mark.parametrize("name", ["ict", "eos 2", "eos 4"])
def test_expression_units_with_their_names(name, face, loaded):
    model = loaded(name)
    assert torch.allclose(model.expression_units, face.expression_units, atol=2e-4)
    assert model.expression_names == face.expression_names
    assert torch.allclose(
        scaled(model.expression_basis, model.expression_std),
        face.expression_units.double().flatten(0, 1),
        atol=2e-4,
    )


def test_colours_and_expressions_of_a_cropped_model(face, numbers, tmp_path):
    """Columns that are a part of longer ones are scaled to unit length, with σ changed to match."""
    path = files.write_scalismo(tmp_path / "cropped.h5", numbers, names={})
    share = torch.tensor([0.9, 0.5, 0.99, 0.7])
    with h5py.File(path, "r+") as file:
        file["expression/model/pcaBasis"][()] *= share.numpy()
    model = face_model.load(path)
    assert torch.allclose(model.expression_basis, face.expression_basis, atol=1e-6)
    assert torch.allclose(model.expression_std, face.expression_std * share)


def test_a_model_of_eos_may_have_no_expressions(face, numbers, tmp_path):
    path = tmp_path / "shape.bin"
    path.write_bytes(files.eos_bytes(numbers, expression=None, colour=False))
    model = face_model.load(path)
    assert model.expression_basis is None and len(model.texture_std) == 0
    assert torch.allclose(model.mean_shape, face.mean_shape)


@pytest.mark.parametrize("name", ALL)
def test_landmarks_are_those_of_the_file_or_none(name, face, loaded):
    model = loaded(name)
    if name in POINTS_IN_FILE:
        assert torch.equal(model.landmarks, face.landmarks)
    else:
        assert model.landmarks is None, "a mesh with another number of vertices has none of the lists"


@pytest.mark.parametrize("name", ALL)
def test_recognised_without_reading_it(name, written):
    titles = {
        "bfm2009": "Basel Face Model 2009",
        "face3d": "face3d",
        "deep3d": "Deep3D",
        "scalismo": "scalismo",
        "ict": "ICT-FaceKit",
        "flame": "FLAME",
        "gnm": "GNM",
        "eos": "eos",
    }
    assert titles[name.split(" ")[0]] in formats.recognise(written(name))


@pytest.mark.parametrize(
    "name", ["bfm2009 5", "bfm2009 7.3", "scalismo", "deep3d 5", "flame plain", "gnm", "eos 4", "ict"]
)
def test_as_many_modes_as_wanted_if_there_are(name, written):
    few, all_of_them = face_model.load(written(name), n_shape=2, n_texture=3), face_model.load(written(name))
    assert len(few.shape_std) == 2 and few.shape_basis.shape == (few.n_vertices, 3, 2)
    assert torch.equal(few.shape_std, all_of_them.shape_std[:2])
    assert torch.equal(few.shape_basis, all_of_them.shape_basis[..., :2])
    assert torch.equal(few.texture_std, all_of_them.texture_std[:3])


@pytest.mark.parametrize(
    "wrong", [{"n_shape": 0}, {"n_texture": 2.5}, {"part": "face"}, {"device": "toaster"}]
)
def test_wrong_arguments(wrong, written):
    with pytest.raises(UserError, match=next(iter(wrong))):
        face_model.load(written("bfm2009 5"), **wrong)


@pytest.mark.parametrize(
    "name", ["open", "bfm2009 5", "face3d 5", "deep3d 5", "scalismo", "ict", "flame plain", "eos 4"]
)
def test_saved_and_loaded_again_it_is_the_same_model(name, face, loaded, tmp_path):
    model = face if name == "open" else loaded(name)
    face_model.save(model, tmp_path / "saved.h5")
    again = face_model.load(tmp_path / "saved.h5")
    for f in fields(model):
        if f.name == "rest":  # of the head, which no file format holds: see test_whole_head
            continue
        one, other = getattr(model, f.name), getattr(again, f.name)
        same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
        assert same, f.name


def test_found_by_name(numbers, tmp_path, monkeypatch):
    (tmp_path / "basel").mkdir()
    write("bfm2009", tmp_path / "basel", numbers)
    write("ict", tmp_path, numbers)
    monkeypatch.setenv("FACE_MODELS", str(tmp_path))
    assert face_model.load("bfm2009", n_shape=2).shape_std.shape == (2,)
    assert face_model.load("ict").licence == "MIT"
    monkeypatch.delenv("FACE_MODELS")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(UserError, match="01_MorphableModel.mat.*faces.dmi.unibas.ch"):
        face_model.load("bfm2009")


def test_every_model_has_a_way_to_it():
    sources = face_model.how_to_get()
    assert len({s.name for s in sources}) == len(sources) == 13
    for source in sources:
        assert (
            source.page.startswith("https://")
            and source.licence
            and source.files
            and source.page in source.way
        )
    assert sorted(name for reader in formats.FORMATS for name in reader.NAMES) == sorted(
        s.name for s in sources
    )


# The real numbers of vertices: a face, and points that no triangle uses.


def padded(face, count):
    extra = count - face.n_vertices

    def pad(values):
        return torch.cat([values, values[:1].expand(extra, *values.shape[1:])])

    return replace(
        face,
        mean_shape=pad(face.mean_shape),
        shape_basis=pad(face.shape_basis),
        mean_texture=pad(face.mean_texture),
        texture_basis=pad(face.texture_basis),
        expression_basis=pad(face.expression_basis),
        expression_units=pad(face.expression_units),
    )


def with_landmarks_at(face, count, places, n_triangles=None):
    """The face with its 68 points moved to the vertex numbers `places` of a mesh with `count` vertices, and some
    triangles twice to have so many."""
    model = padded(face, count)
    order = np.arange(count)
    for mine, wanted in zip(face.landmarks.tolist(), places, strict=True):
        i, j = np.flatnonzero(order == mine)[0], wanted
        order[[i, j]] = order[[j, i]]
    number = torch.empty(count, dtype=torch.int64)
    number[torch.from_numpy(order)] = torch.arange(count)
    return replace(
        model,
        mean_shape=model.mean_shape[order],
        shape_basis=model.shape_basis[order],
        mean_texture=model.mean_texture[order],
        texture_basis=model.texture_basis[order],
        expression_basis=model.expression_basis[order],
        expression_units=model.expression_units[order],
        triangles=number[
            model.triangles[torch.arange(n_triangles or len(model.triangles)) % len(model.triangles)]
        ],
        landmarks=torch.tensor(places),
    )


def unit_columns(model):
    """Padding made the columns longer; what is promised to be of unit length must be."""

    def unit(basis):
        return basis / basis.square().sum((0, 1)).sqrt()

    return replace(model, shape_basis=unit(model.shape_basis), texture_basis=unit(model.texture_basis))


def test_the_genuine_bfm_2009_has_its_landmarks(face, tmp_path):
    model = unit_columns(with_landmarks_at(face, 53490, landmarks.BFM_2009, 106466))
    loaded = face_model.load(write("bfm2009", tmp_path, files.Face(model)))
    assert torch.allclose(loaded.mean_shape[loaded.landmarks], face.mean_shape[face.landmarks], atol=1e-3)
    # The same file with x and z swapped, or mirrored, is refused: the points are not where they are on a face.
    for swapped in (model.mean_shape[:, [2, 1, 0]], model.mean_shape * torch.tensor([-1.0, 1, 1])):
        with pytest.raises(UserError, match="axes"):
            face_model.load(write("bfm2009", tmp_path, files.Face(replace(model, mean_shape=swapped))))


@pytest.mark.slow
def test_the_genuine_ict_has_parts_and_landmarks(face, tmp_path):
    model = with_landmarks_at(face, 26719, landmarks.ICT)
    numbers = files.Face(model)
    folder = files.write_ict(tmp_path / "FaceXModel", numbers, n_shape=2, n_units=1)
    for part, count in ((None, 9409), ("narrow", 6706), ("face", 9409), ("head", 26719)):
        loaded = face_model.load(folder, part=part)
        assert loaded.n_vertices == count and loaded.triangles.max() < count
        assert torch.equal(loaded.landmarks, torch.tensor(landmarks.ICT))
        assert torch.allclose(loaded.mean_shape, model.mean_shape[:count], atol=2e-4)
    with pytest.raises(UserError, match="narrow, face, head"):
        face_model.load(folder, part="nose")
    assert face_model.load(tmp_path).n_vertices == 9409, "the folder around FaceXModel will do"


def test_flame_has_its_landmarks(face, tmp_path):
    model = with_landmarks_at(face, 5023, landmarks.FLAME, 9976)
    path = files.write_flame(tmp_path / "flame2023.pkl", files.flame_arrays(files.Face(model)))
    loaded = face_model.load(path)
    assert torch.allclose(loaded.mean_shape[loaded.landmarks], face.mean_shape[face.landmarks], atol=1e-3)


@pytest.mark.parametrize("name", ["BFM_2009", "ICT", "FLAME"])
def test_landmark_lists_are_lists_of_68(name):
    numbers = getattr(landmarks, name)
    limit = {"BFM_2009": 53490, "ICT": 6706, "FLAME": 5023}[name]
    assert len(numbers) == len(set(numbers)) == 68 and 0 <= min(numbers) and max(numbers) < limit


def test_bfm_2009_landmarks_agree_with_another_list():
    """eos' ibug_to_bfm.txt, marked independently: the same vertex, or one of those beside it in the same row."""
    eos = {30: 8319, 33: 8334, 51: 8344, 57: 8374, 62: 8354, 66: 8366}
    assert all(abs(landmarks.BFM_2009[i] - vertex) <= 4 for i, vertex in eos.items())
    assert sum(landmarks.BFM_2009[i] == vertex for i, vertex in eos.items()) >= 3


# Written by eos 1.5.0 itself, in C++, from a rough face of 7 points; base64 of zlib of the file.
EOS_FILES = {
    "shape": (
        "eNpjYWBgEAViRgYYUHCCMxl4DgH5DhAaLHcQyHZCsGHggyMDQwGQvwBIK4DYjjA2yGwmIN4peXpfZO6yvQp6W2wLWU7abTfWsas8YLz30vt4Wz"
        "fGILvK6/v3cs6323e6cdbu5b9v7G3rF7SdM/HAvqZnjrZueQZ2dcv096ltn7hnwQ4ee6X/dnaCojF7jzjv3zf16rq9Zaun7fXbYrVvlaa0/aHm"
        "pL0uajL7unZJ7Pv6snKP8t0TNm8F5tul7Gje+0D6iO2KyDm2Chk2dh8Xfdz7cJGx3eFafrvEpiSbW/dO72OvULJjgoeFAND9DQ5sCE8ysAIxC5"
        "QNotmgYkxQPkwvC5RmhrKZoWphehkZUAEyn5GRHUXugj2EfmBPHz4DAwDfRm4e"
    ),
    "blend": (
        "eNq1UYtLk1EU/5zT4RKmqJT4GlqCWWkNJWz3fGray4gyRDQfy0y0yAwhXaH4QClrrlVW+EjRUvOxEIV96e7VlqGxIstiajWVJNHKHiQGGvWp+6"
        "Z/gB04/H6/e+49957f5VMU5cSmBcWFONRMKVsdq4OXcan2mOWhK5yL7yEUlcHqGhbFizyE44u9eWw+ctaTmDP1WLytA53jPwONZAvIeyT49bdE"
        "tMciEuSGbmxTDUSfX97VMD+Ei5X2qFLVQwo+haA96f6QW+9HvDUqbQ1jS3v+BbB3isO9u7tJ2Vs1Pt98Cx/qCCJNPi60rjAJh3m7kpLODWR2Sq"
        "71+tAv/WpXDclMIR5z6UWNMZVInCqFH7U/8HitBJ7kiOB4QZJ0xKgngmxP4Jm9sGPfnxdsvTIkZcUm38QX0dq0xjNp7izfhJYmbmnay1/l9Yvn"
        "B8Gj6DQw7kUwfuEmCA11IJG0Q5xSB0WfX4F67zgY6r4Du5V2VAtonzgRjYTr6UjGnU5J8aYvOm6jlboA+l4Gohn3cJrtR3NeWykZHJbZuqt1QA"
        "XFw2I0fG0zbjv2E/3cvwMnbwWU4yeCRMsmIhfsI2qrQWLY6QBZxlHi5nYJGXn3Id3tBoofUUFDVjnOyVaDZYwr/Jk8RjT1kdoUqhe9jM6A/oVw"
        "IuzTI0X0JvLQQdTd738HVa3rRomyWJjKGsAb22SgY652fUtwJtKqVlKRlUO6Zsswb0ZDwo1NSBYVa/ZaaPBCbErX2uulAs/UhMMkf+4LPF1UmA"
        "n2BsWRUtKon0NHHwTh4p58CHh6Kkiwz43o+grR78AD6LrtJqh0Z6Ty1iA82lJB4t8NAhlfQCPaLxDXHE/mIiJgflqkDet8Q8y3bOdu+ZgoJBND"
        "vuSK7C5RJlzGvybmkFHQSRrmC6B9JBDN3s5Fdi3+4DM0Iw0dnEYuChvaUVMDirRSLIuaRH7WeZDnoSBe732J02EhoBIJNg/DOXQiNS1dsEqnn8"
        "08ueiWgFodA/QyjtH/W6/1T/4DSoM8Aw=="
    ),
    "pca": (
        "eNqtUm1Ik1EUftuHoyVMUSnRzaElmKXSSMJ2z6umZhlRhoimbZlJH2RGkK1YTEUpa65VVqSmaKn5sZCEvenunS1DY0UfFrNVK0mKPk1JDCzqnW"
        "066K8PPJzn3Hvu4dyHw6MoKoDlAsoNaeKspLwtbB7/L87c3WF14px243sCRRWxeQMbpU6d4NbO3hyWtwOtJOtAM5ZGdaNDvPtglK0AVZ8MPx1T"
        "oJQF6aCymfHCeiDWkiu9LdPDuELni2r1faT0fQJKKYyBE83RJNyoNzUw3nToHwDfgBzcv85Mqp8b8JH2i3hzdxxpiwiiLWV5OCk8mFT2LCGTH1"
        "WmsNeD8q8+9ZDPlOG3Qf2oNasWSffIYbxxHI80yuCuWgQ7S/PkdoeVCI6GAmfWCx92fk2819wnKT5Lnks7o5frjOPK3W95rsh1aa6rlufh9cMH"
        "myCkfD8wknIYOXYBhLYmkMluQY7OAuWfn4Bh/QjYmr4DW0r7GwR0RI6IRsLFdDojoQsKwunj/lG0zrKavlaEaEaSTLP9aLfXfB2Dkw53ru18rI"
        "eKF1L04uxy3LV9Ak1sWIXzVwJSR4tAwW0jKkEqMfCHiG2NHxQ73hCx+CRycK5Dofg8yrXroaX4ClYfNQA3Kxh+f9hOjM3ppgKqHz3KLILBX8lE"
        "OGBF2sxl5KafyDwYcxnVLTIjhTIbPhY/xku7lGBhzvSO7Qgk8rpOUlOsJr2T1ZjzzUiSHW1ImZE967XQFoZYyufb6xl4LDc933QbHhqkx0x8OG"
        "i3VpFW6xTadiMOV/SVwOp7++IEqWJiGShDP2M3onPey6BWwshVnXH4TUcNyX05BGTkF7KbvkBOey6ZSkuD6U8iU1LPM/JOISSjw5HktPIq0e04"
        "hX+MTiGHoIe0TJfCLXssmrx0Avl0xEDE8Dd54tAnFKRdSPsbG0C7tworMz6gaC8NaEK0JOxVJAnYIgRUKcNzy61h59fAvBvO8WjgxK49ewsFHn"
        "nhwcO7+dT/+AsRwjI6"
    ),
}
FIRST = {
    "shape": [-0.39668062, -0.08126325, 0.0879786],
    "colour": [-0.09011654, 0.00529328, 0.2847952],
    "expression": [-0.07085253, 0.16235626, -0.27796593],
}


@pytest.mark.parametrize("kind", EOS_FILES)
def test_files_that_eos_itself_has_written(kind, tmp_path):
    path = tmp_path / "rough.bin"
    path.write_bytes(zlib.decompress(base64.b64decode(EOS_FILES[kind])))
    model = face_model.load(path)
    corners = [
        [0, 40, 0],
        [0, -35, 2.5],
        [-35, 0, -10],
        [35, 0, -10],
        [0, 0, 30],
        [-15, 20, 10],
        [15, 20, 10],
    ]
    assert torch.equal(model.mean_shape, torch.tensor(corners, dtype=torch.float32))
    assert model.shape_std.tolist() == [3.0, 2.0] and model.name == "rough"
    # The first numbers of the columns that were given to eos.
    assert torch.allclose(model.shape_basis[0, :, 0], torch.tensor(FIRST["shape"]), atol=1e-6)
    assert sorted_corners(model.triangles).tolist()[0] == [0, 4, 6] and model.triangles.shape == (6, 3)
    if kind == "shape":
        assert len(model.texture_std) == 0 and model.expression_basis is None
        return
    assert torch.allclose(model.mean_texture.flatten(), torch.linspace(0.2, 0.8, 21))
    assert torch.allclose(model.texture_std, torch.tensor([0.2, 0.1]))
    assert torch.allclose(model.texture_basis[0, :, 0], torch.tensor(FIRST["colour"]), atol=1e-6)
    assert torch.allclose(model.expression_basis[0, :, 0], torch.tensor(FIRST["expression"]), atol=1e-6)
    assert model.expression_names == (("b0", "b1") if kind == "blend" else ())
    assert torch.allclose(model.expression_std, torch.tensor([1.0, 1.0 if kind == "blend" else 0.5]))
