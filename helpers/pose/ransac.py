"""Which points to trust, when some are plainly wrong: poses from many small sets of points, all at once.

Least median of squares (Rousseeuw 1984). A pose from six points that are all right puts the other right points
where they were seen; so the set whose *median* squared error is least is taken, and half of the points may be
wrong without any influence. The points near that pose are the inliers.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from helpers.camera import Pose
from helpers.pose.checks import GOOD, MIN_POINTS, usable
from helpers.pose.solution import Observations, Options
from helpers.pose.solver import solve, squared_errors

SETS = 200  # with four wrong points in ten, one set of six in twenty is clean: some ten are drawn
SET_ITERATIONS = 3
# For normal noise 1.4826 times the median of a distance along one axis is σ; here the distance has two.
MEDIAN_TO_SIGMA = 1 / 1.1774
INLIER_SIGMAS = 3.0
SMALLEST_SIGMA = 0.1  # px; exact points would otherwise leave no inliers but the six
FACES_AT_ONCE = 64  # few enough for a processor's cache


def consensus(seen: Observations, seed: int = 0) -> tuple[Observations, Pose]:
    """Find the outliers of each face. A face is drawn the same sets alone and in a batch.

    Returns:
        The observations with weight 0 for outliers, and the B poses of the best sets.

    Source:
        Least median of squares, Rousseeuw 1984.
    """
    parts = []
    for i in range(0, max(len(seen.points_2d), 1), FACES_AT_ONCE):
        parts.append(_consensus(seen.of(slice(i, i + FACES_AT_ONCE)), seed))
    kept, rotation, translation = (torch.cat(t) for t in zip(*parts, strict=True))
    return replace(seen, weights=kept), Pose(rotation, translation)


def _consensus(seen: Observations, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (B, N), rotation vectors and translations (B, 3)."""
    B, N, _ = seen.points_2d.shape
    if N < MIN_POINTS or B == 0:
        blank = torch.full_like(seen.points_2d[:, :1, 0].expand(B, 3), torch.nan)
        return seen.weights, blank, blank
    options = Options(SET_ITERATIONS)
    sets = _sets(seen, _draw(seen.weights, seed))
    S = len(sets.points_2d) // B
    poses = solve(sets, options).pose
    squared = squared_errors(seen, poses, S)
    best = _median(squared, seen.weights[:, None] > 0).min(-1)
    # The small-sample factor of Rousseeuw and Leroy: six points fit themselves.
    count = (seen.weights > 0).sum(-1)
    sigma = best.values.sqrt() * MEDIAN_TO_SIGMA * (1 + 5 / (count - MIN_POINTS).clamp_min(1))
    faces = torch.arange(B, device=sigma.device)
    inliers = _inliers(seen, squared[faces, best.indices], sigma)
    # Six points make a rough pose; that of its inliers is a good one, and separates the points better.
    index = faces * S + best.indices
    rough = Pose(poses.rotation_vector[index], poses.translation[index])
    start = solve(inliers, options, rough).pose
    squared = squared_errors(seen, start)[:, 0]
    inliers = _inliers(seen, squared, _median(squared, seen.weights > 0).sqrt() * MEDIAN_TO_SIGMA)
    # A face without a single good set keeps its weights and starts from POS.
    found = (torch.isfinite(best.values) & (usable(inliers) == GOOD))[:, None]
    return (
        torch.where(found, inliers.weights, seen.weights),
        torch.where(found, start.rotation_vector, torch.nan),
        torch.where(found, start.translation, torch.nan),
    )


def _sets(seen: Observations, chosen: Tensor) -> Observations:
    """Six points of each face, S times: B · S faces, from indices (B, S, 6)."""
    B, S, _ = chosen.shape
    faces = torch.arange(B, device=chosen.device)

    def pick(values: Tensor) -> Tensor:
        return values[faces[:, None, None], chosen].flatten(0, 1)

    camera = seen.of(faces.repeat_interleave(S)).camera
    return Observations(pick(seen.points_2d), pick(seen.points_3d), camera, pick(seen.weights))


def _inliers(seen: Observations, squared: Tensor, sigma: Tensor) -> Observations:
    """The observations with weight 0 where a point's squared error (B, N) px² is too large for σ (B,) px."""
    reach = INLIER_SIGMAS * sigma.clamp_min(SMALLEST_SIGMA)
    return replace(seen, weights=seen.weights * (squared <= reach[:, None] ** 2))


def _draw(weights: Tensor, seed: int) -> Tensor:
    """(B, S, 6) indices of points with a weight: the six smallest of N random numbers."""
    generator = torch.Generator().manual_seed(seed)
    N = weights.shape[1]
    order = torch.rand(SETS, N, generator=generator).to(weights.device)
    order = order + 2.0 * (weights <= 0)[:, None]
    return order.topk(MIN_POINTS, dim=-1, largest=False).indices


def _median(values: Tensor, counts: Tensor) -> Tensor:
    """Median along the last dimension of the values that count, infinity included."""
    # Half of the others go below all and half above, which leaves the median at the middle place.
    others = (~counts).long()
    below = others.cumsum(-1) <= (others.sum(-1, keepdim=True) + 1) // 2
    padded = torch.where(counts, values, torch.where(below, -1.0, torch.inf).to(values))
    return padded.kthvalue(values.shape[-1] // 2 + 1, dim=-1).values
