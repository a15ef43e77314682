"""Poses from 68 points against OpenCV: µs a face, and the error of the pose."""

from __future__ import annotations

from functools import cache

import roma
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.pose import estimate_pose
from tests.bench.registry import bench, best, faster, model

FACES, FACES_OF_PEER = 10_000, 500
FLIP = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)


@cache
def scene() -> tuple[torch.Tensor, torch.Tensor, Camera, Pose]:
    """Points (B, 68, 2) px with 1 px of noise, points (1, 68, 3) mm, cameras and true poses of 10 000 faces."""
    points = model(0).mean_shape[model(0).landmarks][None]
    generator = torch.Generator().manual_seed(1)
    rotation = torch.randn(FACES, 3, generator=generator) * torch.tensor([0.2, 0.4, 0.15])
    camera = Camera.default(224, batch=FACES)
    pose = Pose(rotation, torch.tensor([[0.0, 0.0, 1000.0]]).repeat(FACES, 1))
    pixels = project(model_to_camera(points, pose), camera)[..., :2]
    return pixels + torch.randn(pixels.shape, generator=generator), points, camera, pose


def opencv(flag: str) -> list:
    """Rotation vectors and translations that OpenCV finds, one face after the other."""
    import cv2
    import numpy as np

    pixels, points, _, _ = scene()
    matrix = np.array([[1000, 0, 111.5], [0, 1000, 111.5], [0, 0, 1]])
    corners = (points[0].double() * FLIP).numpy()
    some = pixels[:FACES_OF_PEER].double().numpy()
    return [cv2.solvePnP(corners, seen, matrix, None, flags=getattr(cv2, flag))[1:] for seen in some]


def pose_against_opencv(flag: str) -> dict:
    """µs a face, start, checks and covariance included."""
    pixels, points, camera, _ = scene()
    ours = best(lambda: estimate_pose(pixels, points, camera), 5) / FACES
    return faster(1e6 * ours, "µs/face", 1e6 * best(lambda: opencv(flag), 3) / FACES_OF_PEER)


@bench
def pose_10k_vs_cv2_iterative() -> dict:
    return pose_against_opencv("SOLVEPNP_ITERATIVE")


@bench
def pose_10k_vs_cv2_sqpnp() -> dict:
    return pose_against_opencv("SOLVEPNP_SQPNP")


@bench
def pose_accuracy_vs_cv2_iterative() -> dict:
    """Mean error of the rotation, degrees; the ratio is ours over OpenCV's."""
    pixels, points, camera, truth = scene()
    rotation = truth.rotation[:FACES_OF_PEER].double()

    def mean_error(found: torch.Tensor) -> float:
        return float(torch.rad2deg(roma.rotmat_geodesic_distance(found, rotation)).mean())

    vectors = torch.stack([torch.from_numpy(vector[:, 0]) for vector, _ in opencv("SOLVEPNP_ITERATIVE")])
    # OpenCV's points carry the flip, so its rotation is F R F.
    peer = mean_error(FLIP[:, None] * roma.rotvec_to_rotmat(vectors) * FLIP)
    ours = mean_error(estimate_pose(pixels, points, camera).pose.rotation[:FACES_OF_PEER].double())
    return {"value": ours, "unit": "degrees", "peer": peer, "ratio": ours / peer}
