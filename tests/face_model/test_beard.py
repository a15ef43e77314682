"""The beard's layer: opacity by part, on a face of four vertices."""

import pytest
import torch

from helpers.errors import UserError
from helpers.face_model import beard_layer, load
from helpers.face_model.beard import PARTS


class Face:
    name = "four vertices"
    masks = dict(zip(PARTS, torch.tensor([[1.0, 0.5, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 0]]), strict=True))


def test_each_part_covers_by_its_density():
    skin, hair = torch.full((2, 4, 3), 0.8), torch.tensor([[0.1, 0.1, 0.1], [0.5, 0.4, 0.3]])
    density = torch.tensor([[1.0, 0, 0.5], [0, 0, 0]])
    drawn = beard_layer(Face, skin, hair, density)
    assert torch.allclose(drawn[0, :, 0], torch.tensor([0.1, 0.45, 0.45, 0.8]))
    assert torch.equal(drawn[1], skin[1])


def test_overlapping_parts_do_not_add_up():
    drawn = beard_layer(Face, torch.ones(1, 4, 3), torch.zeros(1, 3), torch.ones(1, 3))
    assert torch.allclose(drawn[0, 1], torch.tensor(0.5))


def test_a_model_without_the_masks_is_named():
    bald = load("open", level=0, n_shape=1, n_texture=1)
    bald.masks.pop("moustache", None)
    with pytest.raises(UserError, match="no place for a beard"):
        beard_layer(bald, bald.mean_texture[None], torch.zeros(1, 3), torch.ones(1, 3))
