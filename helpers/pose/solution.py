"""What both solvers, the kernel and its twin in torch, hand back, and the settings that they share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.camera import Pose

FIRST_DAMPING = 1e-4
DAMPING_DOWN, DAMPING_UP = 0.1, 10.0
DAMPING_RANGE = (1e-9, 1e6)
# A step that promises to lower the error by less than this share is not worth its pass over the points: at
# 1e-5 it is about 4 % of the standard deviation of the pose itself.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
# Nor is one that moves the points by less than this, px RMS.
SMALLEST_MOVE = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclass(frozen=True)
class PoseSolution:
    """B poses with what the last pass over the points says of them.

    pose: B poses.  residual: (B, N) px.  weights: (B, N), robust factor included.  covariance: (B, 6, 6).
    code: (B,) int32, as in `checks`.  iterations: (B,) int32, steps that were tried.
    """

    pose: Pose
    residual: Tensor
    weights: Tensor
    covariance: Tensor
    code: Tensor
    iterations: Tensor

    def replaced(self, index: Tensor, part: PoseSolution) -> PoseSolution:
        """Faces `index` (K,) taken from `part`, a solution for those alone."""

        def put(old: Tensor, new: Tensor) -> Tensor:
            return old.index_copy(0, index, new)

        pose = Pose(
            put(self.pose.rotation_vector, part.pose.rotation_vector),
            put(self.pose.translation, part.pose.translation),
        )
        names = ("residual", "weights", "covariance", "code", "iterations")
        return PoseSolution(pose, *(put(getattr(self, name), getattr(part, name)) for name in names))
