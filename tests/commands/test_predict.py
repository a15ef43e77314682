"""`python -m helpers predict`: the files of `fit`, with the network's numbers in them."""

import argparse

import numpy as np
import pytest
import torch

from helpers.commands import predict as command
from helpers.crop import crop_face
from helpers.datasets import known_faces
from helpers.errors import UserError
from helpers.evaluation import shape_rmse
from helpers.face_model import FaceCoefficients, load
from helpers.fitting.held_fit import held_fit
from helpers.landmarks import stored_points, write_points
from helpers.photo import default_photos, read_photo
from helpers.regression import build_network, load_network, save_network

PHOTOS = default_photos()


def predict(*words):
    """Run the command in this process, with the two options that `python -m helpers` adds to every command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file of an untrained network: what is tested is the way of its numbers."""
    torch.manual_seed(0)
    module = build_network("small", 198)
    module.backbone.fc.weight.data *= 30
    path = tmp_path_factory.mktemp("network") / "network.pt"
    save_network(path, module.eval(), "small", 64, {}, torch.full((198,), 0.5))
    return path


@pytest.fixture
def points(tmp_path):
    write_points(
        tmp_path / "points.json", stored_points("astronaut").points, size=read_photo(PHOTOS["astronaut"]).size
    )
    return tmp_path / "points.json"


@pytest.mark.slow
def test_the_files_of_fit_with_the_networks_numbers(network, points, tmp_path, capsys):
    out = tmp_path / "out"
    assert predict(PHOTOS["astronaut"], "--out", out, "--network", network, "--landmarks", points) == 0
    assert sorted(f.name for f in out.iterdir()) == [
        "astronaut.glb",
        "astronaut.npz",
        "astronaut.ply",
        "astronaut.png",
    ]
    line = capsys.readouterr().out
    assert "guessed in" in line and "astronaut.png" in line
    numbers = np.load(out / "astronaut.npz")
    photo, loaded = read_photo(PHOTOS["astronaut"]), load_network(network)
    guess = loaded.predict(photo, stored_points("astronaut"))
    np.testing.assert_allclose(numbers["alpha"], guess.alpha[0], atol=1e-3)
    np.testing.assert_allclose(numbers["beta"], guess.beta[0], atol=1e-3)
    assert np.abs(numbers["alpha"]).max() > 0.05  # not the mean face
    np.testing.assert_allclose(numbers["standard_deviations"][:99], 0.5)
    assert 800 < numbers["translation"][2] < 2500 and numbers["landmark_error"].mean() < 8
    # The mesh is the guessed person with the expression that was found.
    model = load("open")
    vertices = model.shape(
        torch.from_numpy(numbers["alpha"])[None], torch.from_numpy(numbers["expression"])[None]
    )[0]
    from helpers.mesh_files import write_ply

    colours = model.texture(torch.from_numpy(numbers["beta"])[None])[0]
    write_ply(tmp_path / "again.ply", vertices, model.triangles, colours)
    assert (tmp_path / "again.ply").stat().st_size == (out / "astronaut.ply").stat().st_size


@pytest.mark.slow
def test_a_held_fit_moves_nothing_but_pose_expression_and_light():
    """With the true person given, it finds the true pose within two degrees, and mostly the light."""
    model = load("open", level=1)
    light_off = []
    for seed in (4, 5, 6):
        faces = known_faces(model, 1, seed=seed, focal_spread=0.0)
        crop = crop_face(faces.image[0].numpy(), faces.landmarks[0].numpy())
        c = faces.coefficients
        guess = FaceCoefficients(c.alpha, c.beta, 0 * c.expression)
        result = held_fit(crop, guess, model, torch.full((198,), 0.3))
        assert torch.equal(result.alpha, c.alpha) and torch.equal(result.beta, c.beta)
        assert (result.pose.yaw_pitch_roll() - faces.pose.yaw_pitch_roll()).abs().max() < 2.0
        light_off.append(float((result.light[0, 0] - faces.light[0, 0]).abs().max()))
    assert sorted(light_off)[1] < 0.1
    assert result.covariance.shape == (1, 228, 228)
    deviation = result.covariance[0].diagonal().sqrt()
    assert torch.allclose(deviation[:99], torch.tensor(0.3)) and torch.allclose(
        deviation[129:], torch.tensor(0.3)
    )
    assert 0 < deviation[99:129].max() <= 1.01
    with_expression = model.shape(result.alpha, result.expression)
    neutral = shape_rmse(faces.neutral, faces.vertices, faces.visible)
    assert shape_rmse(with_expression, faces.vertices, faces.visible) < 0.6 * neutral
    with pytest.raises(ValueError, match="one face"):
        held_fit(crop, FaceCoefficients(c.alpha.repeat(2, 1), c.beta.repeat(2, 1), c.expression), model)


@pytest.mark.slow
def test_what_is_wrong_is_said(network, tmp_path, capsys):
    out = tmp_path / "out"
    assert predict(PHOTOS["astronaut"], "--out", out, "--network", tmp_path / "no.pt") == 2
    assert "no such network" in capsys.readouterr().err
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    assert predict(tmp_path / "broken.jpg", "--out", out, "--network", network) == 1
    assert "broken.jpg" in capsys.readouterr().err
    module = build_network("small", 20)
    save_network(tmp_path / "few.pt", module.eval(), "small", 64)
    assert predict(PHOTOS["astronaut"], "--out", out, "--network", tmp_path / "few.pt") == 2
    assert "20 numbers" in capsys.readouterr().err
    with pytest.raises(UserError):
        load_network(tmp_path / "no.pt")
