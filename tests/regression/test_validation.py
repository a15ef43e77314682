"""What a run asks of its network between the steps."""

from dataclasses import replace

import pytest
import torch

from helpers.errors import UserError
from helpers.regression import TensorSource, build_network
from helpers.regression.metrics import importance_of
from helpers.regression.validation import ShapeScale, WeightedLoss, spread_on
from tests.regression.pictures import FEW


def test_importance_multiplies_each_modes_part():
    scale = ShapeScale(torch.tensor([4.0, 1.0]), 10, torch.tensor([3.0, 1.0]))
    weights = importance_of(scale.std, scale.texture_std, 1.0)
    assert torch.allclose(weights, torch.tensor([1.6, 0.4, 1.5, 0.5]))
    loss = WeightedLoss(replace(FEW, loss="asymmetric", emphasis=1.0), scale)
    guess, target = torch.zeros(1, 4), torch.tensor([[1.0, -1.0, 1.0, 2.0]])
    assert float(loss(guess, target)) == pytest.approx(3 * (1.6 + 0.4 + 1.5 + 4 * 0.5))
    assert torch.equal(importance_of(scale.std, scale.texture_std, 0.0), torch.ones(4))
    with pytest.raises(UserError, match="emphasis"):
        WeightedLoss(replace(FEW, emphasis=1.0), None)


def test_spread_is_that_of_the_errors_over_all_pictures():
    network = build_network("small", outputs=3).eval()
    images = torch.rand(5, 32, 32, 3)
    off = torch.tensor([[1.0, 0.0, -2.0]]) * torch.tensor([1.0, -1, 1, -1, 1])[:, None]
    with torch.no_grad():
        source = TensorSource(images, network(images) + off)
    assert torch.allclose(spread_on(source, network, at_once=2), torch.tensor([1.0, 0.0, 2.0]), atol=1e-5)
