"""Poses from 68 points against OpenCV."""

from __future__ import annotations

import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.pose import estimate_pose

from .registry import bench, best, faster, model


def pose_against_opencv(flag: str) -> dict:
    """µs a face for 10 000 faces with 1 px of noise, against OpenCV one face after the other."""
    import cv2
    import numpy as np

    n, points = 10_000, model(0).mean_shape[model(0).landmarks][None]
    generator = torch.Generator().manual_seed(1)
    rotation = torch.randn(n, 3, generator=generator) * torch.tensor([0.2, 0.4, 0.15])
    camera = Camera.default(224, batch=n)
    pose = Pose(rotation, torch.tensor([[0.0, 0.0, 1000.0]]).repeat(n, 1))
    pixels = project(model_to_camera(points, pose), camera)[..., :2]
    pixels = pixels + torch.randn(pixels.shape, generator=generator)
    ours = best(lambda: estimate_pose(pixels, points, camera, iterations=6), 3)
    matrix = np.array([[1000, 0, 111.5], [0, 1000, 111.5], [0, 0, 1]])
    corners, some = points[0].double().numpy() * [1, -1, -1], pixels[:500].double().numpy()

    def opencv():
        for observed in some:
            cv2.solvePnP(corners, observed, matrix, None, flags=getattr(cv2, flag))

    return faster(1e6 * ours / n, "µs/face", 1e6 * best(opencv, 3) / len(some))


@bench
def pose_10k_vs_cv2_iterative() -> dict:
    return pose_against_opencv("SOLVEPNP_ITERATIVE")


@bench
def pose_10k_vs_cv2_sqpnp() -> dict:
    return pose_against_opencv("SOLVEPNP_SQPNP")
