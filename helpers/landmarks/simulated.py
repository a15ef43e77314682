"""A simulated detector: the true projections of a known face, plus noise. It looks at no image.

It is for experiments where the truth must be known: how wrong does a pose get when the points are off by 2 px?
Everything that comes from it is marked: its detections have the backend "simulated".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from helpers.camera import Camera, Pose

from helpers.landmarks.detection import N_LANDMARKS, SPREAD_DOUBTFUL, Detection, eye_distance

OUTLIER_REACH = 0.5  # gross errors go up to this share of the box around the points, along each axis


class SimulatedDetector:
    """Finds one known face, with Gaussian noise on its points.

    The confidence of its detections reports the noise: see `confidence_of`. Their spread is the noise in % of
    the outer eye distance. Neither knows of the outliers, as no detector does.

    Args:
        truth: (68, 2) px, where the points are.
        noise_px: Standard deviation along each axis, px: one number or (68,).
        outliers: Share of the points, 0 to 1, that land somewhere else altogether.

    Raises:
        ValueError: An argument of another shape or out of range.
    """

    def __init__(self, truth: np.ndarray, noise_px: float | np.ndarray = 1.0, outliers: float = 0.0):
        self.truth = np.array(truth, np.float64)
        self.noise_px = np.broadcast_to(np.asarray(noise_px, np.float64), (N_LANDMARKS,)).copy()
        self.outliers = outliers
        if self.truth.shape != (N_LANDMARKS, 2) or not np.isfinite(self.truth).all():
            raise ValueError(
                f"truth must be finite numbers of shape ({N_LANDMARKS}, 2), got {self.truth.shape}"
            )
        if not (np.isfinite(self.noise_px).all() and (self.noise_px >= 0).all() and 0 <= outliers <= 1):
            raise ValueError(f"noise_px must be 0 or more and outliers 0 to 1, got {noise_px} and {outliers}")

    @classmethod
    def of_face(cls, points_3d: Tensor, pose: Pose, camera: Camera, **noise: Any) -> SimulatedDetector:
        """Make the detector of a face in space.

        Args:
            points_3d: (68, 3) or (1, 68, 3) mm, in model axes.
            pose: Its pose (one).
            camera: Its camera (one).
            **noise: `noise_px` and `outliers`.

        Returns:
            The detector, whose truth is the projection of the points.

        Raises:
            ValueError: More than one face, or one that is not in front of the camera.
        """
        from helpers.camera import model_to_camera, project

        points_3d = points_3d if points_3d.dim() == 3 else points_3d[None]
        truth = project(model_to_camera(points_3d, pose), camera)
        if len(truth) != 1 or not bool((truth[..., 2] > 0).all()):
            raise ValueError(f"needs one face, in front of the camera; got {len(truth)}")
        return cls(truth[0, :, :2].detach().cpu().numpy(), **noise)

    def detect(self, image: np.ndarray | None = None, seed: int = 0) -> list[Detection]:
        """Return the one face it knows. The image is not looked at; the same seed gives the same noise."""
        rng = np.random.default_rng(seed)
        points = self.truth + rng.normal(size=(N_LANDMARKS, 2)) * self.noise_px[:, None]
        low, high = self.truth.min(0), self.truth.max(0)
        wrong = rng.permutation(N_LANDMARKS)[: round(self.outliers * N_LANDMARKS)]
        points[wrong] += rng.uniform(-1, 1, (len(wrong), 2)) * OUTLIER_REACH * (high - low).max()
        spread = float(self.noise_px.mean() / eye_distance(self.truth) * 100)
        box = np.array([*low, *high], np.float32)
        return [Detection(box, points.astype(np.float32), confidence_of(spread), spread, "simulated")]


def confidence_of(spread: float) -> float:
    """Compute 1 / (1 + (spread / 3 %)²).

    1 without noise, ½ at 3 %, where a detection is called doubtful. For larger noise it falls as 1 / variance,
    which is the best weight that a mean of noisy values can have.

    Args:
        spread: The noise, in % of the outer eye distance.

    Returns:
        The confidence, 0 to 1.
    """
    return 1 / (1 + (spread / SPREAD_DOUBTFUL) ** 2)


def noise_of(confidence: float, eyes_px: float) -> float:
    """Invert `confidence_of`.

    Args:
        confidence: Above 0, at most 1.
        eyes_px: The outer eye distance, px.

    Returns:
        The noise that the confidence reports: standard deviation along each axis, px.

    Raises:
        ValueError: The confidence is out of range.
    """
    if not 0 < confidence <= 1:
        raise ValueError(f"confidence must be above 0 and at most 1, got {confidence}")
    return SPREAD_DOUBTFUL / 100 * eyes_px * (1 / confidence - 1) ** 0.5
