"""Changes of a picture that leave its label true."""

import pytest
import torch

from helpers.face_model import load
from helpers.regression import Augmentation, augment
from tests.regression.pictures import TRAINING


def test_augmentation_follows_its_seed_and_can_be_off():
    image = TRAINING.batch(torch.arange(6))[0]

    def changed(seed, strength=None):
        return augment(image, torch.Generator().manual_seed(seed), strength)

    assert torch.equal(changed(1), changed(1)) and not torch.equal(changed(1), changed(2))
    assert changed(1).shape == image.shape and 0 <= changed(1).min() and changed(1).max() <= 1
    assert torch.allclose(changed(1, Augmentation.none()), image, atol=1e-6)


def test_each_change_does_what_it_says():
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0.2, 0.8, 64).expand(8, 64, 64)[..., None].repeat(1, 1, 1, 3)
    none = dict.fromkeys(Augmentation.__dataclass_fields__, 0.0)

    def only(**one):
        return augment(ramp, generator, Augmentation(**{**none, **one}))

    moved = only(shift=0.1)[:, 32, 20:44, 0] - ramp[:, 32, 20:44, 0]  # in the middle a shift is a constant
    assert moved.abs().max() > 0.01 and moved.std(1).max() < 2e-3
    assert moved.abs().max() <= 0.1 * 0.6 * 64 / 63 + 1e-3
    grey = only(grey=1.0, colour=0.5)
    assert torch.allclose(grey[..., 0], grey[..., 2], atol=1e-6)
    noise = only(noise=0.05) - ramp
    assert 0 < noise.std() < 0.05
    covered = only(erase=1.0, erase_side=0.5) != ramp
    share = covered.any(-1).float().mean((1, 2))
    assert share.max() <= 0.5**2 + 0.05 and share.max() > 0.01
    stripes = torch.zeros(4, 64, 64, 3)
    stripes[:, :, ::2] = 1
    soft = augment(stripes, generator, Augmentation(**{**none, "blur": 3.0}))
    assert (soft.std((1, 2, 3)) < stripes.std((1, 2, 3))).all() and float(soft.mean()) == pytest.approx(
        0.5, abs=0.02
    )


def test_a_mirrored_face_has_other_numbers():
    """Why augmentation does not mirror: fitted with the same modes, the mirrored head of a person is another person."""
    model = load("open", level=0)
    alpha = torch.zeros(1, 99)
    alpha[0] = torch.randn(99, generator=torch.Generator().manual_seed(0))
    head = model.shape(alpha)[0]
    mirrored = head * torch.tensor([-1.0, 1.0, 1.0])
    # Vertex i's partner is the one nearest to its mirror image in the mean face.
    mean = model.mean_shape
    partner = torch.cdist(mean * torch.tensor([-1.0, 1.0, 1.0]), mean).argmin(1)
    again = torch.empty_like(mirrored)
    again[partner] = mirrored
    basis = (model.shape_basis * model.shape_std).flatten(0, 1)
    same = torch.linalg.lstsq(basis, (head - mean).flatten()[:, None]).solution[:, 0]
    other = torch.linalg.lstsq(basis, (again - mean).flatten()[:, None]).solution[:, 0]
    assert torch.nn.functional.cosine_similarity(same, alpha[0], dim=0) > 0.99
    assert torch.nn.functional.cosine_similarity(other, alpha[0], dim=0) < 0.9
