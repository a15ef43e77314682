"""The 68 points of meshes where only some are published: how well the others are estimated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import face_model
from helpers.face_model.formats import landmarks
from helpers.face_model.formats.landmark_transfer import complete
from tests.face_model import model_files as files

PARTS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}
KNOWN = {
    "as Basel names them": sorted(landmarks.NAMED.values()),
    "as in the Basel Face Model 2017": sorted(landmarks.BFM_2017),
}


@pytest.fixture(scope="module")
def model():
    return face_model.load("open", level=1, n_texture=1)


def stranger(model, seed: int):
    """A head that the open model does not have, and where its 68 points are: a random one, bent by waves of 2 mm, of
    another size, moved, with its vertices in another order."""
    rng = np.random.default_rng(seed)
    person = model.sample(1, torch.Generator().manual_seed(seed))
    vertices = model.shape(person.alpha)[0].double().numpy()
    vertices = vertices + 2 * np.sin(
        vertices @ (rng.normal(0, 1, (3, 3)) * 2 * np.pi / 120) + rng.uniform(0, 6, 3)
    )
    vertices = vertices * rng.uniform(0.95, 1.05) + rng.normal(0, 5, 3)
    order = rng.permutation(len(vertices))
    number = np.argsort(order)
    return vertices[order], number[model.triangles.numpy()], number[model.landmarks.numpy()]


@pytest.mark.parametrize("which", KNOWN)
@pytest.mark.slow
def test_the_rest_is_estimated(model, which):
    errors = []
    for seed in (1, 2, 3):
        vertices, triangles, truth = stranger(model, seed)
        known = {i: int(truth[i]) for i in KNOWN[which]}
        found = complete(known, vertices, triangles)
        assert all(found[i] == vertex for i, vertex in known.items())
        errors.append(np.linalg.norm(vertices[found] - vertices[truth], axis=1))
    mean = {part: np.mean(errors, 0)[rows].mean() for part, rows in PARTS.items()}
    assert mean["eyes"] < 2.5 and mean["nose"] < 3 and mean["mouth"] < 2.5 and mean["brows"] < 4.5, mean
    # Neighbours on the jaw are about 17 mm apart.
    assert mean["jaw"] < 9, mean


@pytest.mark.slow
def test_triangles_may_be_either_way_round(model):
    vertices, triangles, truth = stranger(model, 5)
    known = {i: int(truth[i]) for i in KNOWN["as Basel names them"]}
    assert (complete(known, vertices, triangles) == complete(known, vertices, triangles[:, ::-1])).all()


@pytest.mark.slow
def test_too_little_or_nonsense_gives_none(model):
    vertices, triangles, truth = stranger(model, 4)
    known = {i: int(truth[i]) for i in KNOWN["as Basel names them"]}
    assert complete({}, vertices, triangles) is None
    assert complete(dict(list(known.items())[:7]), vertices, triangles) is None
    assert complete(known, vertices * [1, -1, 1], triangles) is None, "upside down"
    shuffled = dict(
        zip(known, np.random.default_rng(0).permutation(list(known.values())).tolist(), strict=True)
    )
    assert complete(shuffled, vertices, triangles) is None


def test_a_file_of_basel_gets_68_points(tmp_path):
    """The names in the file are enough; saved by `save`, the estimate is kept."""
    face = face_model.load("open", level=0, n_shape=2, n_texture=2)
    names = dict(landmarks.NAMED)
    model = face_model.load(
        files.write_scalismo(tmp_path / "model2019_bfm.h5", files.Face(face), names=names)
    )
    error = (model.mean_shape[model.landmarks] - face.mean_shape[face.landmarks]).norm(dim=1)
    # At level 0 the edges beside the jaw are up to 17 mm long, and a point can only be a vertex.
    assert (error[list(names.values())] == 0).all() and error.max() < 20 and error.mean() < 3, error
    face_model.save(model, tmp_path / "saved.h5")
    assert torch.equal(face_model.load(tmp_path / "saved.h5").landmarks, model.landmarks)
    few = dict(list(names.items())[:5])
    assert (
        face_model.load(files.write_scalismo(tmp_path / "few.h5", files.Face(face), names=few)).landmarks
        is None
    )


def test_the_surrey_model_gets_68_points(tmp_path):
    """At its real number of vertices: the list says which vertex is which point, the jaw but for the chin is estimated."""
    face = face_model.load("open", level=0, n_shape=2, n_texture=2)
    # The open model has more vertices; drop some that no point needs, and put the points where the list says.
    spare = np.setdiff1d(np.arange(face.n_vertices), face.landmarks.numpy())[3448 - face.n_vertices :]
    keep = np.setdiff1d(np.arange(face.n_vertices), spare)
    face = face_model.crop(face, vertices=keep)
    order = np.arange(3448)
    for point, vertex in landmarks.SURREY.items():
        here = np.flatnonzero(order == int(face.landmarks[point]))[0]
        order[[here, vertex]] = order[[vertex, here]]
    number = torch.from_numpy(np.argsort(order))
    moved = replace(
        face,
        mean_shape=face.mean_shape[order],
        shape_basis=face.shape_basis[order],
        mean_texture=face.mean_texture[order],
        texture_basis=face.texture_basis[order],
        triangles=number[face.triangles],
        landmarks=number[face.landmarks],
        expression_basis=face.expression_basis[order],
        expression_units=face.expression_units[order],
    )
    path = tmp_path / "sfm_shape_3448.bin"
    path.write_bytes(files.eos_bytes(files.Face(moved), expression=None, colour=False))
    model = face_model.load(path)
    assert model.name == "Surrey Face Model"
    assert all(model.landmarks[i] == vertex for i, vertex in landmarks.SURREY.items())
    jaw = (model.mean_shape[model.landmarks] - moved.mean_shape[moved.landmarks]).norm(dim=1)[:17]
    assert jaw.mean() < 9, jaw


@pytest.mark.parametrize(("known", "count"), [(landmarks.BFM_2017, 53149), (landmarks.SURREY, 3448)])
def test_partial_lists(known, count):
    assert (
        set(known) <= set(range(68))
        and len(set(known.values())) == len(known)
        and max(known.values()) < count
    )
