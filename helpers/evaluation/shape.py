"""Shape error between two meshes of the same topology, after the best alignment."""

from __future__ import annotations

from torch import Tensor

from helpers.alignment import align_points


def align_similarity(
    points: Tensor, target: Tensor, weights: Tensor | None = None, scale: bool = True
) -> Tensor:
    """Move points onto their targets by the best rotation, translation and size, in the sense of least squares.

    One photograph cannot tell a large face from a near one, which is why size is usually aligned away.

    Args:
        points: (B, N, 3) mm.
        target: (B or 1, N, 3) mm.
        weights: (B or 1, N), not negative; None for 1 each.
        scale: Whether the size is free.

    Returns:
        (B, N, 3) mm, the moved points.
    """
    R, t, s = align_points(points, target, weights, scale)
    return s[:, None, None] * (points @ R.mT) + t[:, None]


def shape_rmse(points: Tensor, target: Tensor, weights: Tensor | None = None, scale: bool = True) -> Tensor:
    """Root mean square distance of corresponding vertices after `align_similarity`.

    Args:
        points: (B, N, 3) mm, the estimate.
        target: (B or 1, N, 3) mm, the truth.
        weights: (B or 1, N), for instance 1 for vertices that the photograph shows and 0 for the others.
        scale: Whether the size is free.

    Returns:
        (B,) mm.

    Raises:
        ValueError: When the shapes differ or a face has fewer than three vertices with weight.
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
