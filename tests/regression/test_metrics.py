"""Measures that mean something besides the loss."""

import pytest
import torch

from helpers.regression.metrics import cosine, magnitude_ratio, shape_rms, shape_spread


def test_measures():
    target = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    assert torch.allclose(magnitude_ratio(0.5 * target, target), torch.tensor(0.5))
    assert torch.allclose(
        cosine(torch.tensor([[4.0, -3.0], [2.0, 0.0]]), target), torch.tensor([0.0, 1.0]), atol=1e-6
    )
    # Against vertices that are really made: two modes of unit length, perpendicular, over 3 vertices.
    basis = torch.linalg.qr(torch.randn(9, 2, generator=torch.Generator().manual_seed(0)))[0]
    std, other = torch.tensor([5.0, 2.0]), torch.zeros(2, 2)
    moved = ((target - other) * std) @ basis.T
    assert torch.allclose(
        shape_rms(other, target, std, 3), moved.view(2, 3, 3).square().sum(-1).mean(-1).sqrt()
    )


def test_spread_is_that_of_the_vertices_within_people_and_between():
    generator = torch.Generator().manual_seed(3)
    alpha, std = torch.randn(7, 2, generator=generator), torch.tensor([5.0, 2.0])
    person = torch.tensor([4, 9, 4, 9, 9, 4, 0])  # any names, in any order, not equally often
    within, between = shape_spread(alpha, person, std, 3)
    shape = (alpha * std) @ torch.linalg.qr(torch.randn(9, 2, generator=generator))[0].T
    means = torch.stack([shape[person == p].mean(0) for p in person.tolist()])
    rms = [
        (difference.square().sum(-1).mean() / 3).sqrt()
        for difference in (shape - means, means - shape.mean(0))
    ]
    assert (within, between) == pytest.approx([float(r) for r in rms], rel=1e-5)
    assert shape_spread(alpha[:1].repeat(4, 1), torch.arange(4) // 2, std, 3) == pytest.approx(
        (0, 0), abs=1e-6
    )
