"""The motion of corresponding points: known motions are found, in both kinds of array."""

import numpy as np
import pytest
import roma
import torch

from helpers.alignment import align_points, nearest_rotation


def cloud(batch: int = 3, n: int = 40):
    generator = torch.Generator().manual_seed(0)
    points = 40 * torch.randn(batch, n, 3, generator=generator, dtype=torch.float64)
    turn = roma.rotvec_to_rotmat(torch.randn(batch, 3, generator=generator, dtype=torch.float64))
    shift = 100 * torch.randn(batch, 3, generator=generator, dtype=torch.float64)
    return points, turn, shift


@pytest.mark.parametrize("size", [1.0, 1.4])
def test_a_known_motion_is_found(size):
    points, turn, shift = cloud()
    target = size * points @ turn.mT + shift[:, None]
    R, t, s = align_points(points, target, scale=size != 1)
    assert torch.allclose(R, turn) and torch.allclose(t, shift)
    assert torch.allclose(s, torch.full_like(s, size))
    one = align_points(points[0].numpy(), target[0].numpy(), scale=size != 1)
    for array, tensor in zip(one, (R, t, s), strict=True):
        assert isinstance(array, np.ndarray) and np.allclose(array, tensor[0].numpy())


def test_points_without_weight_do_not_pull():
    points, turn, shift = cloud()
    target = points @ turn.mT + shift[:, None]
    target[:, :7] += 50
    weights = torch.ones(1, points.shape[1])
    weights[:, :7] = 0
    assert torch.allclose(align_points(points, target, weights)[0], turn)


def test_one_target_serves_a_batch():
    points, turn, shift = cloud()
    moved = (points[:1] - shift[:, None]) @ turn  # R x + t brings each back onto the first
    R, t, _ = align_points(moved, points[:1])
    assert torch.allclose(R, turn) and torch.allclose(t, shift)


def test_a_mirror_image_is_turned_not_mirrored():
    points, *_ = cloud()
    for found in (align_points(points, -points)[0], nearest_rotation(-points.mT @ points)[0]):
        assert torch.allclose(torch.linalg.det(found), torch.ones(3, dtype=torch.float64))


def test_sums_of_products_are_enough():
    points, turn, _ = cloud()
    centred = points - points.mean(1, keepdim=True)
    target = 1.3 * centred @ turn.mT
    R, trace = nearest_rotation(target.mT @ centred)
    assert torch.allclose(R, turn)
    assert torch.allclose(trace / centred.square().sum((1, 2)), torch.full((3,), 1.3, dtype=torch.float64))
