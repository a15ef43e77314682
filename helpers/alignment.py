"""Rigid and similarity alignment of corresponding points, in closed form, for numpy and for torch."""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
from torch import Tensor

from helpers._roma import roma
from helpers.device import check_one_device


@overload
def align_points(
    points: Tensor, target: Tensor, weights: Tensor | None = None, scale: bool = False
) -> tuple[Tensor, Tensor, Tensor]: ...
@overload
def align_points(
    points: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None, scale: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
def align_points(points, target, weights=None, scale=False):
    """Find the motion x → s · R x + t that brings points onto their targets.

    It minimises Σ wᵢ ‖s · R xᵢ + t − yᵢ‖² over proper rotations: never a mirror image. Moved points are
    `s * points @ R.T + t` for one set of points.

    Args:
        points: (..., N, 3), tensors or arrays.
        target: (..., N, 3), the corresponding points; batch dimensions broadcast.
        weights: (..., N), not negative, with a sum above 0; None for 1 each.
        scale: Whether the size s is free. With False it is 1.

    Returns:
        R (..., 3, 3), t (..., 3) and s (...), of the kind that was given: tensors for tensors, arrays for arrays.

    Source:
        S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.

    >>> x = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> R, t, s = align_points(x, 2 * x + [0, 0, 5], scale=True)
    >>> bool(np.allclose(s * x @ R.T + t, 2 * x + [0, 0, 5]))
    True
    """
    if isinstance(points, Tensor):
        check_one_device(points=points, target=target, weights=weights)
        return _register(points, target, weights, scale)
    given = (torch.from_numpy(np.ascontiguousarray(a)) for a in (points, target))
    weights = None if weights is None else torch.from_numpy(np.ascontiguousarray(weights))
    R, t, s = _register(*given, weights, scale)
    return R.numpy(), t.numpy(), s.numpy()


def _register(
    points: Tensor, target: Tensor, weights: Tensor | None, scale: bool
) -> tuple[Tensor, Tensor, Tensor]:
    batch = torch.broadcast_shapes(points.shape, target.shape)
    points, target = points.expand(batch), target.expand(batch)
    if weights is not None:
        weights = weights.to(points).expand(batch[:-1])
    if scale:
        return roma.rigid_points_registration(points, target, weights, compute_scaling=True)
    R, t = roma.rigid_points_registration(points, target, weights)
    return R, t, torch.ones_like(R[..., 0, 0])


def nearest_rotation(products: Tensor) -> tuple[Tensor, Tensor]:
    """Find the rotations that maximise Σ wᵢ yᵢ · R xᵢ, from the sums of products alone.

    For callers that have the sums already. With X = Σ wᵢ ‖xᵢ‖² the best size is the returned trace / X.

    Args:
        products: (..., 3, 3), M = Σ wᵢ yᵢ xᵢᵀ of centred points xᵢ and targets yᵢ.

    Returns:
        R (..., 3, 3), proper rotations with R x ≈ y, and trace(Rᵀ M) (...).
    """
    R = roma.special_procrustes(products)
    return R, (R * products).sum((-2, -1))
