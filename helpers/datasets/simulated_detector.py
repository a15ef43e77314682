"""A simulated landmark detector: the true points plus noise, and a confidence that knows the noise roughly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.crop import FaceCrop
from helpers.datasets.conditions import Conditions
from helpers.landmarks.detection import SPREAD_DOUBTFUL

# Turned, hidden, blurred and noisy faces are harder to find points in. Chosen by hand to be of the size that
# detectors show; only their order matters here.
HARDER_BY_YAW, HARDER_BY_HIDDEN, HARDER_BY_BLUR, HARDER_BY_NOISE = 1.5, 3.0, 0.5, 10.0
HIDDEN_POINT = 2.0  # a hidden point's own noise grows by this much more
HARD_YAW = 45.0  # degrees at which HARDER_BY_YAW counts once
# Where neighbours err together: how far that reaches, in outer eye distances, and that jaw and brows, which have no corners,
# err by more.
REACH = 0.45
ERRS_BY = (*[1.8] * 17, *[1.3] * 10, *[1.0] * 41)


@dataclass(frozen=True)
class SimulatedDetections:
    """B detections.

    Attributes:
        landmarks: (B, 68, 2) px.
        confidence: (B,) 0 to 1.
        noise: (B,) px, the standard deviation of the landmarks' noise.
    """

    landmarks: Tensor
    confidence: Tensor
    noise: Tensor

    def in_crop(self, crop: FaceCrop) -> SimulatedDetections:
        """The same in a crop of the photographs."""
        return SimulatedDetections(crop.to_crop(self.landmarks), self.confidence, self.noise * crop.scale)


def detect(
    truth: Tensor,
    outer_eyes: Tensor,
    yaw: Tensor,
    hidden: Tensor,
    noise: float,
    conditions: Conditions,
    share: float = 0.0,
) -> SimulatedDetections:
    """Simulate the detection of B faces.

    Args:
        truth: (B, 68, 2) px, the true projections.
        outer_eyes: (B,) px between the outer corners of the eyes, if the faces were frontal.
        yaw: (B,) degrees.
        hidden: (B, 68) bool, points that an occluder hides.
        noise: px, standard deviation on an easy photograph.
        conditions: of the photographs.
        share: of the noise's variance that neighbouring points have in common. Above 0 jaw and brows err by more than other points.
    """
    hidden = hidden.to(truth)
    harder = (
        1
        + HARDER_BY_YAW * (yaw / HARD_YAW) ** 2
        + HARDER_BY_HIDDEN * hidden.mean(1)
        + HARDER_BY_BLUR * conditions.blur
        + HARDER_BY_NOISE * conditions.noise
    )
    sigma = noise * harder
    point_noise = conditions.point_noise
    if share:
        point_noise = _together(point_noise, truth / outer_eyes[:, None, None], share)
    error = point_noise * (sigma[:, None] * (1 + HIDDEN_POINT * hidden))[..., None]
    # In % of the outer eye distance, as a detector's spread; known only roughly.
    spread = 100 * sigma / outer_eyes * conditions.confidence_error
    return SimulatedDetections(truth + error, 1 / (1 + (spread / SPREAD_DOUBTFUL) ** 2), sigma)


def _together(noise: Tensor, places: Tensor, share: float) -> Tensor:
    """White noise (B, 68, 2) made such that points near each other err alike.

    It becomes Gaussian processes over the places, with a squared exponential covariance.

    Args:
        noise: Standard normal numbers.
        places: (B, 68, 2) of the points, in outer eye distances.
        share: Of the variance, which is that of the processes.
    """
    near = torch.exp(-0.5 * (torch.cdist(places, places) / REACH).square())
    itself = torch.eye(places.shape[1], device=places.device)
    root = torch.linalg.cholesky(share * near + (1 - share + 1e-4) * itself)
    return noise.new_tensor(ERRS_BY)[:, None] * (root @ noise)
