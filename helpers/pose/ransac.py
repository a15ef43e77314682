"""Which points to trust, when some are plainly wrong: poses from many small sets of points, all at once.

Least median of squares (Rousseeuw 1984). A pose from six points that are all right puts the other right points
where they were seen; so the set whose *median* squared error is least is taken, and half of the points may be
wrong without being heard. The points near that pose are the inliers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.camera import Camera, Pose
from helpers.pose.checks import GOOD, MIN_POINTS, usable
from helpers.pose.solver import solve, squared_errors

SETS = 200  # with four wrong points in ten, one set of six in twenty is clean: some ten are drawn
SET_ITERATIONS = 3
# For normal noise 1.4826 times the median of a distance along one axis is σ; here the distance has two.
MEDIAN_TO_SIGMA = 1 / 1.1774
INLIER_SIGMAS = 3.0
SMALLEST_SIGMA = 0.1  # px; exact points would otherwise leave no inliers but the six
FACES_AT_ONCE = 64  # few enough for a processor's cache


def consensus(
    points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor, seed: int = 0
) -> tuple[Tensor, Pose]:
    """Weights (B, N) with 0 for outliers, and the B poses of the best sets.

    points_2d: (B, N, 2) px.  points_3d: (B, N, 3) mm.  A face is drawn the same sets alone and in a batch.
    """
    parts = []
    for i in range(0, max(len(points_2d), 1), FACES_AT_ONCE):
        part = slice(i, i + FACES_AT_ONCE)
        some = Camera(camera.focal[part], camera.principal_point[part], camera.size)
        parts.append(_consensus(points_2d[part], points_3d[part], some, weights[part], seed))
    kept, rotation, translation = (torch.cat(t) for t in zip(*parts, strict=True))
    return kept, Pose(rotation, translation)


def _consensus(points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor, seed: int):
    B, N, _ = points_2d.shape
    if N < MIN_POINTS or B == 0:
        blank = torch.full_like(points_2d[:, :1, 0].expand(B, 3), torch.nan)
        return weights, blank, blank
    chosen = _draw(weights, seed)  # (B, S, 6)
    S = chosen.shape[1]

    def pick(values: Tensor) -> Tensor:
        return values[torch.arange(B, device=values.device)[:, None, None], chosen].flatten(0, 1)

    repeated = Camera(
        camera.focal.repeat_interleave(S), camera.principal_point.repeat_interleave(S, 0), camera.size
    )
    sets = solve(pick(points_2d), pick(points_3d), repeated, pick(weights), None, SET_ITERATIONS, None, None)
    squared = squared_errors(points_2d, points_3d, camera, sets.pose, S)
    count = (weights > 0).sum(-1)  # (B,)
    best = _median(squared, weights[:, None] > 0).min(-1)
    index = torch.arange(B, device=points_2d.device) * S + best.indices
    # The small-sample factor of Rousseeuw and Leroy: six points fit themselves.
    sigma = best.values.sqrt() * MEDIAN_TO_SIGMA * (1 + 5 / (count - MIN_POINTS).clamp_min(1))
    reach = INLIER_SIGMAS * sigma.clamp_min(SMALLEST_SIGMA)
    inlier = squared[torch.arange(B, device=points_2d.device), best.indices] <= reach[:, None] ** 2
    # Six points make a rough pose, its inliers a good one, which knows better who belongs to it.
    rough = Pose(sets.pose.rotation_vector[index], sets.pose.translation[index])
    start = solve(points_2d, points_3d, camera, weights * inlier, rough, SET_ITERATIONS, None, None).pose
    squared = squared_errors(points_2d, points_3d, camera, start, 1)[:, 0]
    sigma = _median(squared, weights > 0).sqrt() * MEDIAN_TO_SIGMA
    inlier = squared <= (INLIER_SIGMAS * sigma.clamp_min(SMALLEST_SIGMA))[:, None] ** 2
    # A face without a single good set keeps its weights and starts from POS.
    found = torch.isfinite(best.values) & (usable(points_2d, points_3d, camera, weights * inlier) == GOOD)
    kept = torch.where(found[:, None], weights * inlier, weights)
    lost = ~found[:, None]
    return (
        kept,
        torch.where(lost, torch.nan, start.rotation_vector),
        torch.where(lost, torch.nan, start.translation),
    )


def _draw(weights: Tensor, seed: int) -> Tensor:
    """(B, S, 6) indices of points with a weight: the six smallest of N random numbers."""
    generator = torch.Generator().manual_seed(seed)
    N = weights.shape[1]
    order = torch.rand(SETS, N, generator=generator).to(weights.device)
    order = order + 2.0 * (weights <= 0)[:, None]
    return order.topk(MIN_POINTS, dim=-1, largest=False).indices


def _median(values: Tensor, counts: Tensor) -> Tensor:
    """Median along the last dimension of the values that count, infinity among them."""
    # Half of the others go below all and half above, which leaves the median at the middle place.
    others = (~counts).long()
    below = others.cumsum(-1) <= (others.sum(-1, keepdim=True) + 1) // 2
    padded = torch.where(counts, values, torch.where(below, -1.0, torch.inf).to(values))
    return padded.kthvalue(values.shape[-1] // 2 + 1, dim=-1).values
