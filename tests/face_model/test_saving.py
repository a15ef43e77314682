"""Saved face models: nothing is lost, and the files are what other programs ask for."""

from __future__ import annotations

import json
import struct
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import UserError
from helpers.face_model import MorphableModel, crop, load, save
from helpers.face_model.scalismo_metadata import read_extras
from helpers.mesh_files import write_glb


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.h5"
    save(model, path, shape_noise=0.25, texture_noise=1e-4)
    return path


def test_eos_would_read_it(model, saved):
    """Name by name what eos's converter of the 2017 model takes, and what its formula makes of it."""
    with h5py.File(saved) as file:
        for part, mean, basis, std in (
            ("shape", model.mean_shape, model.shape_basis, model.shape_std),
            ("color", model.mean_texture, model.texture_basis, model.texture_std),
            ("expression", 0 * model.mean_shape, model.expression_basis, model.expression_std),
        ):
            read = {key: np.array(file[f"{part}/model/{key}"]) for key in ("mean", "pcaBasis", "pcaVariance")}
            assert all(array.dtype == np.float32 for array in read.values())
            np.testing.assert_array_equal(read["mean"], mean.numpy().ravel())
            assert read["pcaBasis"].shape == (3 * model.n_vertices, len(std))
            np.testing.assert_allclose(np.linalg.norm(read["pcaBasis"], axis=0), 1, atol=1e-4)
            alpha = np.linspace(-2, 2, len(std))
            face = read["mean"] + read["pcaBasis"] @ (np.sqrt(read["pcaVariance"]) * alpha)
            expected = mean + torch.einsum("vck,k->vc", basis, std * torch.tensor(alpha).float())
            np.testing.assert_allclose(face.reshape(-1, 3), expected, atol=2e-4)
        cells = np.array(file["shape/representer/cells"])
        np.testing.assert_array_equal(cells.transpose(), model.triangles)


def test_scalismo_would_read_it(model, saved):
    """What scalismo-faces looks for: attributes, versions, whole numbers, 3 × n arrays, a list of landmarks."""
    with h5py.File(saved) as file:
        assert (file["version/majorVersion"][()], file["version/minorVersion"][()]) == (0, 9)
        for part in ("shape", "color", "expression"):
            group = file[part]
            assert group["version/majorVersion"].dtype == group["version/minorVersion"].dtype == np.int32
            assert (group["version/majorVersion"][()], group["version/minorVersion"][()]) == (0, 9)
            representer = group["representer"]
            assert representer.attrs["name"] == f"gravis::Mesh{part.capitalize()}Representer"
            assert representer.attrs["datasetType"] == "POLYGON_MESH"
            assert (
                representer["points"].shape == (3, model.n_vertices)
                and representer["points"].dtype == np.float32
            )
            assert (
                representer["cells"].shape == (3, len(model.triangles))
                and representer["cells"].dtype == np.int32
            )
            np.testing.assert_array_equal(representer["points"][()].T, model.mean_shape)
            assert group["model/noiseVariance"].shape == (1,)
        noise = [float(file[f"{part}/model/noiseVariance"][0]) for part in ("shape", "color", "expression")]
        assert noise == pytest.approx([0.25, 1e-4, 0])
        assert set(file["catalog"]) == {
            "MorphableModel",
            "MorphableModel.shape",
            "MorphableModel.color",
            "MorphableModel.expression",
        }
        for entry in file["catalog"].values():
            where, kind = entry["modelPath"].asstr()[()], entry["modelType"].asstr()[()]
            assert where in file and kind.endswith("_MODEL")
        marks = json.loads(file["metadata/landmarks/json"].asstr()[()])
    assert len({mark["id"] for mark in marks}) == 68 and marks[30]["id"] == "ibug.31"
    places = np.array([mark["coordinates"] for mark in marks])
    np.testing.assert_allclose(places, model.mean_shape[model.landmarks], rtol=1e-7)


def read_back(path) -> MorphableModel:
    """A reader for the test: the plain formula of the layout, apart from the loaders."""
    with h5py.File(path) as file:

        def part(name):
            mean, basis, variance = (
                file[f"{name}/model/{k}"][()] for k in ("mean", "pcaBasis", "pcaVariance")
            )
            numbers = mean.reshape(-1, 3), basis.reshape(-1, 3, basis.shape[1]), np.sqrt(variance)
            return [torch.from_numpy(a) for a in numbers]

        bases = dict(zip(("expression_basis", "expression_std"), part("expression")[1:], strict=True))
        bases = bases if "expression" in file else {}
        triangles = torch.from_numpy(file["shape/representer/cells"][()].T.astype(np.int64))
        extras = {"name": "?", "licence": "?"} | read_extras(file)
        return MorphableModel(*part("shape"), *part("color"), triangles, **bases, **extras)


def assert_same(one: MorphableModel, two: MorphableModel) -> None:
    for field in fields(MorphableModel):
        if field.name == "rest":  # of the head, which no file format holds: see test_whole_head
            continue
        a, b = getattr(one, field.name), getattr(two, field.name)
        if isinstance(a, dict):
            assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a), field.name
        elif isinstance(a, torch.Tensor):
            assert a.dtype == b.dtype and torch.equal(a, b), field.name
        else:
            assert a == b, field.name


def test_every_bit_comes_back(model, saved):
    assert_same(model, read_back(saved))


def test_load_gives_the_saved_model_back(model, saved, tmp_path):
    once = load(saved)
    assert_same(model, once)
    save(once, tmp_path / "twice.h5")
    assert_same(once, load(tmp_path / "twice.h5"))


@settings(max_examples=200, deadline=None)
@given(st.floats(2.0**-40, 2.0**40, width=32))
def test_sigma_survives_being_stored_as_variance(sigma):
    sigma = np.float32(sigma)
    assert np.sqrt(np.square(sigma)) == sigma


def test_same_model_same_bytes(model, saved, tmp_path):
    save(model, tmp_path / "again.h5", shape_noise=0.25, texture_noise=1e-4)
    assert (tmp_path / "again.h5").read_bytes() == saved.read_bytes()


def test_a_model_without_extras(model, tmp_path):
    bare = replace(
        model.to(torch.float64),
        landmarks=None,
        masks=None,
        expression_basis=None,
        expression_std=None,
        expression_units=None,
        expression_names=(),
    )
    save(bare, tmp_path / "bare.H5")
    with h5py.File(tmp_path / "bare.H5") as file:
        assert "expression" not in file and "landmarks" not in file["metadata"]
        assert read_extras(file) == {"name": model.name, "licence": model.licence}
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        assert read_extras(file) == {}


def parse_glb(path):
    """By the specification's page on the container, with struct alone: JSON, and the arrays of each accessor."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<III", data)
    assert (magic, version, length) == (0x46546C67, 2, len(data))
    json_length, json_kind = struct.unpack_from("<II", data, 12)
    assert json_kind == 0x4E4F534A and json_length % 4 == 0
    about = json.loads(data[20 : 20 + json_length])
    binary_length, binary_kind = struct.unpack_from("<II", data, 20 + json_length)
    start = 28 + json_length
    assert binary_kind == 0x004E4942 and binary_length % 4 == 0 and start + binary_length == len(data)
    arrays = []
    for accessor in about["accessors"]:
        view = about["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
        wide = {"VEC3": 3, "SCALAR": 1}[accessor["type"]]
        count = accessor["count"] * wide
        assert view["byteOffset"] % 4 == 0 and view["byteLength"] == 4 * count
        array = np.frombuffer(data, kind, count, start + view["byteOffset"])
        arrays.append(array.reshape(-1, wide))
    return about, arrays


def test_glb_is_valid(model, tmp_path):
    save(model, tmp_path / "face.glb")
    about, arrays = parse_glb(tmp_path / "face.glb")
    (primitive,) = about["meshes"][0]["primitives"]
    attribute = {name: arrays[index] for name, index in primitive["attributes"].items()}
    np.testing.assert_array_equal(attribute["POSITION"], model.mean_shape)
    np.testing.assert_array_equal(arrays[primitive["indices"]].reshape(-1, 3), model.triangles)
    bounds = about["accessors"][primitive["attributes"]["POSITION"]]
    np.testing.assert_array_equal(bounds["min"], attribute["POSITION"].min(0))
    np.testing.assert_array_equal(bounds["max"], attribute["POSITION"].max(0))
    assert about["nodes"][0]["scale"] == [0.001] * 3  # glTF counts in metres
    np.testing.assert_allclose(np.linalg.norm(attribute["NORMAL"], axis=1), 1, atol=1e-5)
    assert attribute["NORMAL"][model.landmarks[30], 2] > 0.8  # the tip of the nose looks at the viewer
    from skimage.color import rgb2xyz  # an independent way to linear light

    to_xyz = np.array(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    linear = rgb2xyz(model.mean_texture.numpy()) @ np.linalg.inv(to_xyz).T
    np.testing.assert_allclose(attribute["COLOR_0"], linear, atol=2e-6)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_open3d_reads_the_mean_face(model, tmp_path, open3d, suffix):
    save(model, tmp_path / f"face{suffix}")
    mesh = open3d.io.read_triangle_mesh(str(tmp_path / f"face{suffix}"))
    scale = 0.001 if suffix == ".glb" else 1.0
    # It numbers the vertices of some formats anew, so corners are compared.
    triangles = np.asarray(mesh.triangles)
    corners = scale * model.mean_shape[model.triangles].numpy()
    np.testing.assert_allclose(np.asarray(mesh.vertices)[triangles], corners, rtol=1e-6, atol=1e-7)
    colours = model.mean_texture[model.triangles].numpy()
    if suffix == ".glb":
        colours = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(np.asarray(mesh.vertex_colors)[triangles], colours, atol=0.5 / 255 + 1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 20), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_any_mesh_makes_a_valid_glb(tmp_path_factory, n, f, seed):
    rng = np.random.default_rng(seed)
    vertices, triangles = rng.normal(0, 100, (n, 3)).astype(np.float32), rng.integers(0, n, (f, 3))
    path = tmp_path_factory.mktemp("glb") / "a.glb"
    write_glb(path, vertices, triangles, rng.random((n, 3)))
    _, (positions, normals, _, indices) = parse_glb(path)
    np.testing.assert_array_equal(positions, vertices)
    np.testing.assert_array_equal(indices.reshape(-1, 3), triangles)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_wrong_places_are_refused_in_one_line(model, tmp_path):
    for path, words in (
        (tmp_path / "face.stl", [".h5", ".ply", ".obj", ".glb", "face.stl"]),
        (tmp_path / "face", [".h5"]),
        (tmp_path / "nowhere" / "face.h5", ["nowhere", "folder"]),
    ):
        with pytest.raises(UserError) as error:
            save(model, path)
        assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)
    assert not list(tmp_path.iterdir())


def test_a_crop_that_lost_modes_is_not_saved_as_a_file_that_nobody_can_read(model, tmp_path):
    scrap = crop(model, vertices=model.masks["teeth"] > 0.99)  # no expression moves them
    lost = int((scrap.expression_std == 0).sum())
    assert lost > 0
    with pytest.raises(UserError, match=f"{lost} of the model's .* expression modes move nothing"):
        save(scrap, tmp_path / "scrap.h5")
    assert not list(tmp_path.iterdir())
    save(scrap, tmp_path / "scrap.ply")  # the mean face needs no modes
