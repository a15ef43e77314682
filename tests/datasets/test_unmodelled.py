"""What a model cannot make: random fields of the wanted strength, smooth, and of the person."""

import torch

from helpers.datasets import Nuisances, SyntheticPeople
from helpers.datasets.random_streams import RandomStreams
from helpers.datasets.unmodelled import shape_offsets, skin_offsets
from helpers.face_model import load


def streams(n, seed=0):
    return RandomStreams(seed, range(n))


def test_fields_have_their_strength_and_are_smooth():
    places = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) * 150
    offsets = shape_offsets(streams(200), places, 1.5)
    per_person = offsets.square().mean((1, 2)).sqrt()
    assert 1.2 < float(per_person.mean()) < 1.8 and float(per_person.std()) > 0.3
    near = shape_offsets(streams(200), places + torch.tensor([1.0, 0.0, 0.0]), 1.5)
    assert float((near - offsets).square().mean().sqrt()) < 0.25
    skin = skin_offsets(streams(200), places, 0.02)
    assert 0.015 < float(skin.square().mean().sqrt()) < 0.028
    assert float((skin - skin.mean(-1, keepdim=True)).square().mean().sqrt()) < 0.01  # little tint


def test_they_belong_to_the_person_and_leave_the_coefficients():
    model = load("open", level=0)
    plain = SyntheticPeople(model, 3, 2, seed=1, size=48, nuisances=Nuisances.none())
    unlike = SyntheticPeople(
        model, 3, 2, seed=1, size=48, nuisances=Nuisances(**{**vars(Nuisances.none()), "unlike_shape": 1.0})
    )
    a, b = plain.batch(torch.arange(6)), unlike.batch(torch.arange(6))
    assert torch.equal(a.coefficients.alpha, b.coefficients.alpha)
    offset = b.neutral - a.neutral
    assert torch.allclose(offset[0], offset[1], atol=1e-4)
    assert float((offset[0] - offset[2]).square().mean().sqrt()) > 0.3
    assert torch.allclose(unlike.batch(torch.tensor([4])).neutral, b.neutral[4:5], atol=1e-4)
