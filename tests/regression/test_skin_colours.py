"""Colours of the skin: read where they are told to be read."""

import math

import torch

from helpers.face_encoder.chips import CHIP_SIDE
from helpers.lighting import srgb_to_linear
from helpers.regression.skin_colours import DARKEST, N_COLOURS, PLACES, skin_colours


def test_places_move_with_the_face():
    for place in PLACES:
        assert math.isclose(sum(place.values()), 1)


def test_a_plain_chip_has_its_colour_everywhere():
    colour = torch.tensor([0.7, 0.5, 0.4])
    points = CHIP_SIDE * torch.rand(2, 68, 2, generator=torch.Generator().manual_seed(0))
    found = skin_colours(colour.expand(2, CHIP_SIDE, CHIP_SIDE, 3), points)
    expected = (srgb_to_linear(colour) + DARKEST).log().repeat(len(PLACES))
    assert found.shape == (2, N_COLOURS)
    # Squares at the edge reach past it, where the mean counts black.
    inside = skin_colours(colour.expand(2, CHIP_SIDE, CHIP_SIDE, 3), torch.full((2, 68, 2), 75.0))
    torch.testing.assert_close(inside, expected.expand(2, -1))
    assert (found <= expected + 1e-5).all()


def test_a_place_has_the_mean_light_of_its_square():
    points = torch.full((1, 68, 2), 75.0)
    ramp = torch.linspace(0.5, 0.9, CHIP_SIDE)[None, None, :, None].expand(1, CHIP_SIDE, CHIP_SIDE, 3)
    one = skin_colours(ramp, points)
    assert torch.allclose(
        one, (srgb_to_linear(ramp)[0, 0, 71:80, 0].mean() + DARKEST).log().expand_as(one), atol=1e-4
    )
