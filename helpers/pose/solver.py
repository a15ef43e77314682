"""Chooses who solves: the kernel, or its twin in torch."""

from __future__ import annotations

from torch import Tensor

from helpers.camera import Camera, Pose
from helpers.pose import reference
from helpers.pose.solution import Solution


def solve(
    points_2d: Tensor,
    points_3d: Tensor,
    camera: Camera,
    weights: Tensor,
    start: Pose | None,
    iterations: int,
    robust_px: float | None,
    noise_px: float | None,
) -> Solution:
    """Refine B poses, as `helpers.pose.reference.levenberg_marquardt` says."""
    return reference.levenberg_marquardt(
        points_2d, points_3d, camera, weights, start, iterations, robust_px, noise_px
    )
