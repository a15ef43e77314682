"""Shape error: zero for the same shape in another pose, known for known displacements."""

import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.evaluation import align_similarity, shape_rmse


def cloud(seed, n=60, batch=2):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, n, 3, generator=generator, dtype=torch.float64) * 40, generator


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_similarity_is_aligned_away(seed):
    target, generator = cloud(seed)
    rotation = roma.random_rotmat(2, dtype=torch.float64)
    moved = 1.3 * target @ rotation.transpose(1, 2) + torch.tensor([5.0, -70.0, 12.0], dtype=torch.float64)
    assert shape_rmse(moved, target).max() < 1e-9
    assert (align_similarity(moved, target) - target).abs().max() < 1e-8
    # A mirror image is another shape.
    assert shape_rmse(moved * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64), target).min() > 1.0


def test_rigid_alignment_keeps_the_size():
    target, _ = cloud(1)
    larger = 1.1 * target
    spread = (target - target.mean(1, keepdim=True)).square().sum(-1).mean(-1).sqrt()
    assert torch.allclose(shape_rmse(larger, target, scale=False), 0.1 * spread)
    assert shape_rmse(larger, target, scale=True).max() < 1e-9


def test_weights_leave_vertices_out():
    target, _ = cloud(2)
    spoiled = target.clone()
    spoiled[:, :10] += 30
    weights = torch.ones(1, 60, dtype=torch.float64)
    weights[:, :10] = 0
    assert shape_rmse(spoiled, target, weights).max() < 1e-9 < shape_rmse(spoiled, target).min()


def test_agrees_with_roma():
    target, generator = cloud(3)
    points = target + torch.randn(target.shape, generator=generator, dtype=torch.float64)
    R, t = roma.rigid_points_registration(points, target)
    expected = (points @ R.transpose(1, 2) + t[:, None] - target).square().sum(-1).mean(-1).sqrt()
    assert torch.allclose(shape_rmse(points, target, scale=False), expected)


def test_bad_shapes_are_refused():
    target, _ = cloud(4)
    with pytest.raises(ValueError, match="same N"):
        shape_rmse(target[:, :30], target)
    with pytest.raises(ValueError, match="three vertices"):
        shape_rmse(target, target, torch.zeros(1, 60))
