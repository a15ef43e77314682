"""Files that are not what they seem: one clear error each time, and never a wrong model without a word."""

from __future__ import annotations

import os
import pickle
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import face_model
from helpers.errors import UserError
from helpers.face_model import formats
from helpers.face_model.formats import pickles, sniff
from tests.face_model import model_files as files

NOSE = {"center.nose.tip": 30}  # too few points of the 68 for an estimate of the others, which takes a second
ENDINGS = [".mat", ".h5", ".pkl", ".npz", ".bin"]
ONE_BY_ONE = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def small():
    """A face of few points: a bent grid with a nose and 68 points on it, 4 shapes, 2 colours, 2 expressions."""
    y, x = np.meshgrid(np.linspace(90, -90, 23), np.linspace(-70, 70, 21), indexing="ij")
    z = 60 * np.cos(x / 75) * np.cos(y / 120) + 25 * np.exp(-(x**2 + (y + 10) ** 2) / 300)
    mean = np.stack([x, y, z], -1).reshape(-1, 3)
    corner = np.arange(mean.shape[0]).reshape(23, 21)
    a, b, c, d = corner[:-1, :-1], corner[1:, :-1], corner[1:, 1:], corner[:-1, 1:]
    triangles = np.stack([a, b, c, a, c, d], -1).reshape(-1, 3)
    rng = np.random.default_rng(1)

    def modes(k):
        return torch.from_numpy(np.linalg.qr(rng.normal(size=(mean.size, k)))[0].reshape(-1, 3, k)).float()

    return face_model.MorphableModel(
        mean_shape=torch.from_numpy(mean).float(),
        shape_basis=modes(4),
        shape_std=torch.tensor([40.0, 20.0, 9.0, 5.0]),
        mean_texture=torch.full((len(mean), 3), 0.5),
        texture_basis=modes(2),
        texture_std=torch.tensor([3.0, 1.0]),
        triangles=torch.from_numpy(triangles),
        name="grid",
        licence="none",
        landmarks=points_of_a_face(corner),
        expression_basis=modes(2),
        expression_std=torch.tensor([9.0, 4.0]),
        expression_units=modes(2) * 5,
        expression_names=("smile", "frown"),
    )


def points_of_a_face(corner) -> torch.Tensor:
    """68 different vertices of the grid that lie as the points of a face do."""
    jaw = [(8 + min(i, 16 - i), 2 + i) for i in range(17)]
    brows = [(5, 4 + i) for i in range(5)] + [(5, 12 + i) for i in range(5)]
    nose = [(9, 10), (10, 10), (11, 10), (12, 10)] + [(13, 8 + i) for i in range(5)]
    eyes = [
        (7, 4),
        (6, 5),
        (6, 6),
        (7, 7),
        (8, 6),
        (8, 5),
        (7, 13),
        (6, 14),
        (6, 15),
        (7, 16),
        (8, 15),
        (8, 14),
    ]
    mouth = (
        [(15, 7 + i) for i in range(7)]
        + [(14, 7 + i) for i in range(7)]
        + [(14, 14), (15, 14), (14, 6), (15, 6), (14, 5), (15, 5)]
    )
    return torch.tensor([int(corner[at]) for at in jaw + brows + nose + eyes + mouth])


@pytest.fixture(scope="module")
def numbers(small):
    return files.Face(small)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


def same(one, other) -> bool:
    for f in fields(one):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if isinstance(a, torch.Tensor) and (
            not isinstance(b, torch.Tensor) or a.shape != b.shape or not torch.allclose(a, b)
        ):
            return False
        if a is None and b is not None:
            return False
    return True


def refused(path) -> str:
    """The one line that a user reads about a file that cannot be loaded."""
    with pytest.raises(UserError) as error:
        face_model.load(path)
    message = str(error.value)
    assert message.startswith(str(path)) and "\n" not in message
    return message


def refused_or_same(path, genuine) -> None:
    try:
        model = face_model.load(path)
    except UserError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:
        assert same(genuine, model)


def sound(model) -> None:
    """A loaded model keeps every promise of its class, whatever was in the file."""
    for f in fields(model):
        value = getattr(model, f.name)
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            assert value.isfinite().all(), f.name
    for basis, std in ((model.shape_basis, model.shape_std), (model.texture_basis, model.texture_std)):
        length = basis.double().square().sum((0, 1)).sqrt()
        assert (std > 0).all() and ((length - 1).abs() < 0.011).all()
    assert 0 <= model.triangles.min() and model.triangles.max() < model.n_vertices
    width = model.mean_shape[:, 0].max() - model.mean_shape[:, 0].min()
    assert 60 <= width <= 400


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (files.LFS_POINTER, "Git LFS pointer"),
        (files.WEB_PAGE, "web page"),
        (b"   \n<html><body>404</body></html>", "web page"),
        (files.zipped(b"something"), "zip archive"),
        (b"hello\n", "text file"),
        (bytes(range(7, 200)), "no kind of file"),
    ],
)
def test_what_is_no_model_at_all(ending, content, words, tmp_path):
    path = tmp_path / f"model{ending}"
    path.write_bytes(content)
    message = refused(path)
    assert words in message and "expected" in message and "https://" in message


def test_a_file_with_the_name_of_a_model_is_compared_with_that_one(tmp_path):
    for name, page in (
        ("01_MorphableModel.mat", "unibas.ch/bfm/ "),
        ("model2019_face12.h5", "bfm2019.html"),
        ("BFM.mat", "face3d"),
    ):
        (tmp_path / name).write_bytes(files.LFS_POINTER)
        message = refused(tmp_path / name)
        assert page in message and message.count("MATLAB file with") <= 1 and "Deep3D" not in message


def test_folders_and_absent_files(tmp_path):
    assert "folder" in refused(tmp_path) and "no such" in refused(tmp_path / "nothing.mat")
    (tmp_path / "generic_neutral_mesh.obj").write_text("v 0 0 0\n")
    assert "folder" in refused(tmp_path)


def test_what_is_no_file_is_said_before_it_is_opened(tmp_path):
    for ending in ENDINGS:
        loop, pipe = tmp_path / f"loop{ending}", tmp_path / f"pipe{ending}"
        loop.symlink_to(loop)
        assert "Too many levels" in refused(loop)
        if hasattr(os, "mkfifo"):
            os.mkfifo(pipe)
            assert "is a pipe" in refused(pipe) and formats.recognise(pipe) is None


def test_other_npz_files(tmp_path):
    np.savez(tmp_path / "other.npz", numbers=np.arange(5))
    assert "an .npz file without a face model" in refused(tmp_path / "other.npz")


def test_an_unreadable_file(tmp_path, monkeypatch):
    def fail(*_):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "model.h5"
    path.write_bytes(b"x")
    monkeypatch.setattr(sniff, "open", fail, raising=False)
    assert "not readable (Permission denied)" in refused(path)


# Arrays: each may be missing, turned, cut, of another type, or have numbers that cannot be.

ARRAYS = {
    "bfm2009": (files.bfm2009_arrays, ["shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl"]),
    "face3d": (
        files.face3d_arrays,
        ["shapeMU", "shapePC", "shapeEV", "texPC", "expMU", "expPC", "expEV", "tri", "kpt_ind"],
    ),
    "deep3d": (
        files.deep3d_arrays,
        ["meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints"],
    ),
    "gnm": (
        files.gnm_arrays,
        ["template_vertex_positions", "vertex_identity_basis", "expression_basis", "triangles"],
    ),
    "flame": (files.flame_arrays, ["v_template", "shapedirs", "f"]),
    "scalismo": (
        None,
        [
            "shape/model/mean",
            "shape/model/pcaBasis",
            "shape/model/pcaVariance",
            "color/model/mean",
            "color/model/pcaBasis",
            "color/model/pcaVariance",
            "expression/model/mean",
            "expression/model/mean",
            "expression/model/pcaBasis",
            "expression/model/pcaVariance",
            "shape/representer/cells",
        ],
    ),
}


def write_arrays(kind, arrays, folder):
    if kind == "gnm":
        return files.write_gnm(folder / "gnm.npz", arrays)
    if kind == "flame":
        return files.write_flame(folder / "flame.pkl", arrays, "plain")
    return files.write_mat(folder / f"{kind}.mat", arrays, "5", "model" if kind == "face3d" else None)


def transposed(a):
    return np.ascontiguousarray(a.T)


def with_number(value):
    def change(a):
        a = a.astype(np.float64)
        a.flat[a.size // 2] = value
        return a

    return change


CHANGES = {
    "missing": None,
    "turned": transposed,
    "cut": lambda a: a[: max(1, len(a) - 3)],
    "one too many": lambda a: np.concatenate([a, a[:1]]),
    "flat": lambda a: a.reshape(-1)[: a.size // 2],
    "empty": lambda a: a[:0],
    "not a number": with_number(np.nan),
    "infinite": with_number(np.inf),
    "enormous": with_number(1e30),
    "zero": lambda a: np.zeros_like(a),
    "negative": lambda a: -np.abs(a.astype(np.float64)) - 1,
    "complex": lambda a: a.astype(np.complex128) + 1j,
    "text": lambda a: np.array("numbers"),
    "in metres": lambda a: a.astype(np.float64) / 1e6,
}


@pytest.mark.parametrize("kind", ["bfm2009", "face3d", "deep3d", "gnm", "flame"])
def test_changed_arrays(kind, numbers, folder):
    make, names = ARRAYS[kind]
    arrays = make(numbers)
    genuine = face_model.load(write_arrays(kind, arrays, folder))
    for name in names:
        for what, change in CHANGES.items():
            changed = dict(arrays)
            if change is None:
                del changed[name]
            else:
                changed[name] = change(arrays[name])
            check_changed(kind, name, what, write_arrays(kind, changed, folder), genuine)


def check_changed(kind, name, what, path, genuine) -> None:
    """A change is refused; or it was none, as a list that lies as a row instead of a column; or it is a change of
    plain numbers within what is possible, which no reader can know."""
    try:
        model = face_model.load(path)
    except UserError as error:
        assert "https://" in str(error) and str(path) in str(error), (kind, name, what)
        return
    sound(model)
    numbers_only = what in ("zero", "negative", "in metres", "enormous")
    # A mesh with other triangles is a mesh; `test_the_number_of_triangles` is about the known ones.
    numbers_only |= name in ("tl", "tri", "triangles", "f", "shape/representer/cells") and what in (
        "cut",
        "one too many",
    )
    assert numbers_only or same(genuine, model), (kind, name, what)
    if what in ("zero", "negative") and name in ("shapeEV", "texEV", "expEV", "idBase", "texBase"):
        assert what == "negative" and name in ("idBase", "texBase"), (kind, name, what)
    assert not (
        what == "in metres" and name in ("shapeMU", "meanshape", "template_vertex_positions", "v_template")
    )


@pytest.mark.parametrize("name", ARRAYS["scalismo"][1])
def test_changed_datasets(name, numbers, folder):
    path = files.write_scalismo(folder / "model.h5", numbers, names=NOSE)
    genuine = face_model.load(path)
    for what, change in CHANGES.items():
        if what == "text":
            continue
        files.write_scalismo(path, numbers, names=NOSE)
        with h5py.File(path, "r+") as file:
            values = file[name][()]
            del file[name]
            if change is not None:
                file[name] = change(values)
        check_changed("scalismo", name, what, path, genuine)


def test_each_kind_of_change_says_what_is_wrong(numbers, folder):
    arrays = files.bfm2009_arrays(numbers)

    def message(**changes):
        return refused(files.write_mat(folder / "said.mat", {**arrays, **changes}))

    assert "transposed" in message(shapePC=arrays["shapePC"].T)
    assert "not finite" in message(shapeMU=with_number(np.nan)(arrays["shapeMU"]))
    assert "zero or negative" in message(texEV=-arrays["texEV"])
    assert "mm wide" in message(shapeMU=arrays["shapeMU"] / 1000)
    assert "vertices" in message(texMU=arrays["texMU"][:-3], texPC=arrays["texPC"][:-3])
    assert "triangles name vertices" in message(tl=arrays["tl"] + 1)
    assert "deviations" in message(shapeEV=arrays["shapeEV"][:-1])
    assert "nobody looks like that" in message(shapeEV=arrays["shapeEV"] * 1e3)
    assert "mean colours go from 128 to 128, expected 0 to 1" in message(texMU=arrays["texMU"] * 256)
    assert "lengths" in message(shapePC=arrays["shapePC"] * 2)
    assert "faces.dmi.unibas.ch" in message(tl=arrays["tl"][:, :2])
    gnm = {**files.gnm_arrays(numbers), "version": np.array("2.1")}
    assert "version 2.1" in refused(files.write_gnm(folder / "old.npz", gnm))


def test_no_number_that_is_not_finite_is_loaded(numbers, folder):
    """Arrays that only some readers have, or that a reader leaves out."""
    for value in (np.nan, np.inf):
        for name in (
            "expression/model/mean",
            "metadata/masks/skin",
            "metadata/expression_units/displacements",
        ):
            path = files.write_scalismo(folder / "finite.h5", numbers, names=NOSE)
            with h5py.File(path, "r+") as file:
                count = len(file["shape/model/mean"]) // 3
                if name not in file:
                    file[name] = np.ones(count) if "masks" in name else np.ones((3 * count, 2), np.float32)
                    file.require_dataset("metadata/expression_units/names", (2,), h5py.string_dtype())[:] = (
                        "a"
                    )
                    if "masks" in name:
                        del file["metadata/expression_units"]
                file[name][...] = with_number(value)(file[name][()])
            assert "not finite" in refused(path), name
        arrays = files.face3d_arrays(numbers)
        for name in ("expMU", "expPC", "expEV"):
            changed = {**arrays, name: with_number(value)(arrays[name])}
            assert "not finite" in refused(files.write_mat(folder / "finite.mat", changed, "5", "model")), (
                name
            )


def test_the_number_of_triangles(small, folder):
    """Where the number of vertices is that of a genuine file, so must be that of triangles."""
    extra = 53490 - small.n_vertices

    def pad(values):
        return torch.cat([values, values[:1].expand(extra, *values.shape[1:])])

    big = replace(
        small,
        **{
            key: pad(getattr(small, key))
            for key in (
                "mean_shape",
                "shape_basis",
                "mean_texture",
                "texture_basis",
                "expression_basis",
                "expression_units",
            )
        },
    )
    arrays = files.bfm2009_arrays(files.Face(big))
    for name in ("shapePC", "texPC"):
        arrays[name] /= np.linalg.norm(arrays[name], axis=0)
    path = files.write_mat(folder / "big.mat", arrays)
    assert f"{len(small.triangles)} triangles, expected 106466" in refused(path)


def test_columns_of_another_version(numbers, folder):
    """A scalismo file of an old version holds columns times σ; one that says a new version with such columns is
    refused."""
    path = files.write_scalismo(folder / "old.h5", numbers, version=(0, 8))
    with h5py.File(path, "r+") as file:
        for part in ("shape", "color", "expression"):
            file[f"{part}/version/minorVersion"][()] = 9
    assert "lengths" in refused(path)


# Bytes: a truncated file, and files with some bytes changed.


def bytes_of(kind, numbers, folder):
    path = folder / f"bytes.{dict(mat='mat', mat73='mat', h5='h5', npz='npz', pkl='pkl', bin='bin')[kind]}"
    if kind in ("mat", "mat73"):
        files.write_mat(path, files.bfm2009_arrays(numbers), "5 compressed" if kind == "mat" else "7.3")
    elif kind == "h5":
        files.write_scalismo(path, numbers, names=NOSE)
    elif kind == "npz":
        files.write_gnm(path, files.gnm_arrays(numbers))
    elif kind == "pkl":
        files.write_flame(path, files.flame_arrays(numbers), "python2")
    else:
        path.write_bytes(files.eos_bytes(numbers))
    return path, path.read_bytes()


KINDS = ["mat", "mat73", "h5", "npz", "pkl", "bin"]
CHECKSUMMED = {"mat", "npz"}


@pytest.fixture(scope="module", params=KINDS)
def stored(request, numbers, folder):
    path, content = bytes_of(request.param, numbers, folder)
    return request.param, path, content, face_model.load(path)


@ONE_BY_ONE
@given(st.floats(0, 1, exclude_max=True))
def test_truncated(stored, share):
    _, path, content, genuine = stored
    path.write_bytes(content[: int(share * len(content))])
    refused_or_same(path, genuine)


@settings(ONE_BY_ONE, max_examples=120)
@given(st.data())
@pytest.mark.slow
def test_changed_bytes(stored, data):
    """Half of the changes fall on the first kilobyte, where structure lies. Formats with checksums notice any."""
    kind, path, content, genuine = stored
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        limit = data.draw(st.sampled_from([1024, len(content)]))
        changed[data.draw(st.integers(0, min(limit, len(content)) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    if kind in CHECKSUMMED:
        refused_or_same(path, genuine)
        return
    try:
        model = face_model.load(path)
    except UserError as error:
        assert "\n" not in str(error) and str(path) in str(error)
    else:
        sound(model)


# Pickles: nothing in them is run.


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_plain_pickles_of_every_protocol(numbers, tmp_path):
    """FLAME without chumpy, as many rewrite it, with fields that are not read."""
    arrays = files.flame_arrays(numbers)
    genuine = face_model.load(files.write_flame(tmp_path / "flame.pkl", arrays, "plain"))
    more = {
        "nothing": np.empty((0, 3)),
        "matrix": np.matrix(np.eye(3)),
        "sparse": sp.csc_matrix((5, 9)),
        "sparse array": sp.csc_array((5, 9)),
        "columns first": np.asfortranarray(np.ones((4, 5))),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "flame.pkl").write_bytes(pickle.dumps({**arrays, **more}, protocol))
        assert same(genuine, face_model.load(tmp_path / "flame.pkl")), protocol
    read = pickles.read_pickle(tmp_path / "flame.pkl")
    assert np.array_equal(read["columns first"], np.ones((4, 5))) and read["nothing"].shape == (0, 3)


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_with_code_in_it_runs_nothing(protocol, numbers, tmp_path):
    trace = tmp_path / "trace"
    attacks = {
        "os": Malicious(os.system, f"touch {trace}"),
        "open": Malicious(open, str(trace), "w"),
        "eval": Malicious(eval, f"open({str(trace)!r}, 'w')"),
        "getattr": Malicious(getattr, [], "append"),
        "load": Malicious(np.load, str(trace)),
    }
    arrays = files.flame_arrays(numbers)
    for name, attack in attacks.items():
        for content in (attack, {**arrays, "extra": attack}, {**arrays, "v_template": attack}):
            path = tmp_path / f"{name}.pkl"
            path.write_bytes(pickle.dumps(content, protocol))
            message = refused(path)
            assert "nothing was run" in message and "flame.is.tue.mpg.de" in message
            assert not trace.exists()


def test_a_pickle_changes_nothing_in_the_reader(tmp_path):
    before = pickles._encode.__defaults__
    path = tmp_path / "generic_model.pkl"
    # BUILD on the function that stands for _codecs.encode: set its __defaults__ to ("utf8",).
    path.write_bytes(b"\x80\x02c_codecs\nencode\n(N}U\x0c__defaults__(U\x04utf8tstb}.")
    assert "nothing was run" in refused(path)
    assert pickles._encode.__defaults__ == before


def test_a_pickle_that_wants_much_memory_is_refused(tmp_path):
    path = tmp_path / "memory.pkl"
    for content in (
        b"\x80\x02r\xff\xff\xff\xffN.",  # puts something at place 4 billion of a list
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc",  # announces 8 exabytes
        b"\x80\x02}(U\x01fcnumpy.core.multiarray\n_reconstruct\nN\x85R(J\x01\x00\x00\x00J\xff\xff\xff\x7f\x85NNNtbu.",
    ):
        path.write_bytes(content)
        refused(path)


def test_a_model_of_another_pickle(tmp_path):
    path = tmp_path / "list.pkl"
    path.write_bytes(pickle.dumps([1, 2, 3]))
    assert "dictionary" in refused(path)
    path.write_bytes(pickle.dumps({"v_template": "text", "f": 3}))
    assert "v_template, shapedirs, f is missing" in refused(path)


# ICT-FaceKit is a folder of many files.


def test_damaged_ict(numbers, tmp_path):
    folder = files.write_ict(tmp_path / "FaceXModel", numbers, n_units=2)
    mesh = (folder / "identity001.obj").read_text()

    def refused_with(name, text):
        kept = (folder / name).read_text()
        (folder / name).unlink()
        if text is not None:
            (folder / name).write_text(text)
        message = refused(folder)
        (folder / name).write_text(kept)
        return message

    lines = mesh.splitlines()
    assert "identity001.obj is missing" in refused_with("identity001.obj", None)
    assert "smile.obj is missing" in refused_with("smile.obj", None)
    assert "vertices" in refused_with("identity001.obj", "\n".join(lines[:100]))
    assert "three numbers" in refused_with("identity001.obj", "")
    assert "not finite" in refused_with("identity001.obj", mesh.replace(lines[2], "v nan 0 0", 1))
    assert "damaged" in refused_with("identity001.obj", mesh.replace(lines[2], "v x 0 0", 1))
    assert "three numbers" in refused_with("identity001.obj", files.LFS_POINTER.decode())
    assert "zero everywhere" in refused_with(
        "identity001.obj", (folder / "generic_neutral_mesh.obj").read_text()
    )
    assert "not there" in refused_with("generic_neutral_mesh.obj", mesh + "f 1 2 99999\n")
    assert "fewer than three" in refused_with("generic_neutral_mesh.obj", mesh + "f 1 2\n")
    assert "list of expressions" in refused_with("vertex_indices.json", "{}")
    assert "list of expressions" in refused_with(
        "vertex_indices.json", '{"expressions": ["../../etc/passwd"]}'
    )
    assert "damaged" in refused_with("vertex_indices.json", '{"expressions": ')
    face_model.load(folder)


def test_the_grid_is_a_face(small, folder, numbers):
    """The oracle of this file: what is written from the grid loads as the grid."""
    path = files.write_mat(folder / "grid.mat", files.face3d_arrays(numbers), "5", "model")
    model = face_model.load(path)
    assert torch.allclose(model.mean_shape, small.mean_shape, atol=1e-4) and torch.equal(
        model.landmarks, small.landmarks
    )
    assert not same(model, replace(model, mean_shape=model.mean_shape + 0.1))
