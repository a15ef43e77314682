"""Shape error between two meshes of the same topology, after the best alignment."""

from __future__ import annotations

import torch
from torch import Tensor


def align_similarity(
    points: Tensor, target: Tensor, weights: Tensor | None = None, scale: bool = True
) -> Tensor:
    """Move points (B, N, 3) onto target (B or 1, N, 3) by the best rotation, translation and (if `scale`) size.

    weights: (B or 1, N), not negative; None means 1. Least squares in closed form (Umeyama 1991). One
    photograph cannot tell a large face from a near one, which is why size is usually aligned away.
    """
    B, N, _ = points.shape
    weights = points.new_ones(1, N) if weights is None else weights
    w = (weights / weights.sum(-1, keepdim=True)).expand(B, N)[..., None]
    target = target.expand(B, N, 3)
    centre, target_centre = (w * points).sum(1, keepdim=True), (w * target).sum(1, keepdim=True)
    a, b = points - centre, target - target_centre
    U, S, Vh = torch.linalg.svd((w * a).transpose(1, 2) @ b)
    # The nearest orthogonal matrix may be a mirror; the sign keeps it a rotation.
    sign = torch.ones_like(S)
    sign[:, 2] = torch.linalg.det(U @ Vh).sign()
    rotation = U @ (sign[..., None] * Vh)
    size = (S * sign).sum(-1) / (w * a.square()).sum((1, 2)) if scale else torch.ones_like(S[:, 0])
    return size[:, None, None] * (a @ rotation) + target_centre


def shape_rmse(points: Tensor, target: Tensor, weights: Tensor | None = None, scale: bool = True) -> Tensor:
    """(B,) mm: root mean square distance of corresponding vertices after `align_similarity`.

    points: (B, N, 3) mm, the estimate.  target: (B or 1, N, 3) mm, the truth.  weights: (B or 1, N), for
    instance 1 for vertices that the photograph shows and 0 for the others.

    Raises ValueError when the shapes differ or a face has fewer than three vertices with weight.
    """
    if points.dim() != 3 or points.shape[1:] != target.shape[1:] or points.shape[-1] != 3:
        raise ValueError(
            f"points and target must be (B, N, 3) with the same N, got {tuple(points.shape)}, {tuple(target.shape)}"
        )
    if weights is None:
        weights = points.new_ones(1, points.shape[1])
    if int((weights > 0).sum(-1).min()) < 3:
        raise ValueError("an alignment needs at least three vertices with a weight above zero")
    squared = (align_similarity(points, target, weights, scale) - target).square().sum(-1)
    return ((weights * squared).sum(-1) / weights.sum(-1)).sqrt()
