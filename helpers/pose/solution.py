"""What both solvers, the kernel and its twin in torch, are given and hand back, and the settings that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from helpers.camera import Camera, Pose

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

FIRST_DAMPING = 1e-4
DAMPING_DOWN, DAMPING_UP = 0.1, 10.0
DAMPING_RANGE = (1e-9, 1e6)
# A step that promises to lower the error by less than this share is not worth its pass over the points: at
# 1e-5 it is about 4 % of the standard deviation of the pose itself.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
# Nor is one that moves the points by less than this, px RMS.
SMALLEST_MOVE = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclass(frozen=True)
class Observations:
    """N points of each of B faces, in the image and on the model.

    Attributes:
        points_2d: (B, N, 2) px.
        points_3d: (B, N, 3) mm, model axes.
        camera: B.
        weights: (B, N), one over the variance of each point up to a common factor; 0 does not count.
    """

    points_2d: Tensor
    points_3d: Tensor
    camera: Camera
    weights: Tensor

    def of(self, index: Tensor | slice) -> Observations:
        """Those of some of the faces."""
        camera = Camera(self.camera.focal[index], self.camera.principal_point[index], self.camera.size)
        return Observations(self.points_2d[index], self.points_3d[index], camera, self.weights[index])


@dataclass(frozen=True)
class Options:
    """Settings of the search.

    Attributes:
        iterations: Steps to try at most.
        robust_px: Width of Cauchy's function; None is plain least squares.
        noise_px: Standard deviation of a point's u and v where the weight is 1; None estimates it from the residuals.
    """

    iterations: int = 10
    robust_px: float | None = None
    noise_px: float | None = None


@dataclass(frozen=True)
class PoseSolution:
    """B poses with what the last pass over the points found.

    Attributes:
        pose: B poses.
        residual: (B, N) px.
        weights: (B, N), robust factor included.
        covariance: (B, 6, 6).
        code: (B,) int32, as in `helpers.pose.checks`.
        iterations: (B,) int32, steps that were tried.
    """

    pose: Pose
    residual: Tensor
    weights: Tensor
    covariance: Tensor
    code: Tensor
    iterations: Tensor

    def replaced(self, index: Tensor, part: PoseSolution) -> PoseSolution:
        """Faces `index` (K,) taken from `part`, a solution for those alone."""
        return merge(lambda old, new: old.index_copy(0, index, new), self, part)


def merge(function: Callable[[Tensor, Tensor], Tensor], one: T, other: T) -> T:
    """A dataclass like two others, whose tensors are function(tensor of one, tensor of the other)."""

    def merged(a: Any, b: Any) -> Any:
        return function(a, b) if isinstance(a, Tensor) else merge(function, a, b)

    return replace(one, **{f.name: merged(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)})


def choose(condition: Tensor, one: T, other: T) -> T:
    """For each face the entry of one dataclass where the condition (B,) holds, else that of another."""

    def chosen(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(condition.view(-1, *[1] * (a.dim() - 1)), a, b)

    return merge(chosen, one, other)
