"""Chooses who solves: the kernel, or its twin in torch; and hands the kernel its arrays."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers._warp import launch_options, pool, wp
from helpers.camera import Camera, Pose
from helpers.pose import reference
from helpers.pose.kernels import error_kernel, pose_kernel
from helpers.pose.solution import SMALLEST_MOVE, TOLERANCE, PoseSolution

CPU_THREADS = 2
FACES_FOR_THREADS = 64  # fewer are done before a second thread wakes


def solve(
    points_2d: Tensor,
    points_3d: Tensor,
    camera: Camera,
    weights: Tensor,
    start: Pose | None,
    iterations: int,
    robust_px: float | None,
    noise_px: float | None,
) -> PoseSolution:
    """Refine B poses, as `helpers.pose.reference.levenberg_marquardt` says."""
    values = [points_2d, points_3d, camera.focal, camera.principal_point, weights]
    if start is not None:
        values += [start.rotation_vector, start.translation]
    wants_gradient = torch.is_grad_enabled() and any(value.requires_grad for value in values)
    chosen = reference.levenberg_marquardt
    if points_2d.dtype == torch.float32 and not wants_gradient:
        chosen = levenberg_marquardt
    return chosen(points_2d, points_3d, camera, weights, start, iterations, robust_px, noise_px)


def levenberg_marquardt(
    points_2d: Tensor,
    points_3d: Tensor,
    camera: Camera,
    weights: Tensor,
    start: Pose | None,
    iterations: int,
    robust_px: float | None,
    noise_px: float | None,
) -> PoseSolution:
    """The same in the kernel, float32 only: one thread a face on a GPU, two threads on a CPU."""
    B, N, _ = points_2d.shape
    device = points_2d.device

    def blank(*shape: int) -> Tensor:
        return torch.full(shape, torch.nan, device=device)

    cameras = torch.cat([camera.focal[:, None], camera.principal_point], -1).float()
    given = blank(0, 6)
    if start is not None:
        given = torch.cat([start.rotation_vector, start.translation], -1).float()
    pose, residual, covariance = blank(B, 6), blank(B, N), blank(B, 6, 6)
    used = torch.zeros(B, N, device=device)
    code, steps = (torch.zeros(B, dtype=torch.int32, device=device) for _ in range(2))
    inputs = [points_2d, _rows(points_3d), _rows(weights), cameras, given]
    numbers = [
        iterations,
        0.0 if robust_px is None else robust_px**-2,
        0.0 if noise_px is None else noise_px,
        TOLERANCE[torch.float32],
        SMALLEST_MOVE[torch.float32] ** 2,
    ]
    arrays = [wp.from_torch(t.detach().contiguous(), requires_grad=False) for t in inputs]
    outputs = [wp.from_torch(t) for t in (pose, residual, used, covariance, code, steps)]
    _launch(pose_kernel, B, arrays + numbers, outputs, points_2d)
    return PoseSolution(Pose(pose[:, :3], pose[:, 3:]), residual, used, covariance, code, steps)


def squared_errors(points_2d: Tensor, points_3d: Tensor, camera: Camera, pose: Pose, sets: int = 1) -> Tensor:
    """(B, sets, N) px² of each face's points at its `sets` poses (B · sets of them); infinite behind the camera."""
    if points_2d.dtype != torch.float32:
        return reference.squared_errors(points_2d, points_3d, camera, pose, sets)
    B, N, _ = points_2d.shape
    cameras = torch.cat([camera.focal[:, None], camera.principal_point], -1).float()
    poses = torch.cat([pose.rotation_vector, pose.translation], -1).float()
    error = points_2d.new_empty(B * sets, N)
    inputs = [points_2d, _rows(points_3d), cameras, poses]
    arrays = [wp.from_torch(t.detach().contiguous(), requires_grad=False) for t in inputs]
    _launch(error_kernel, B * sets, [*arrays, sets], [wp.from_torch(error)], points_2d)
    return error.view(B, sets, N)


def _launch(kernel, count: int, inputs: list, outputs: list, like: Tensor) -> None:
    """Run `count` threads of a kernel whose last input is the number of its first thread."""
    options = launch_options(like)

    def launch(first: int, last: int) -> None:
        wp.launch(kernel, last - first, [*inputs, first], outputs, **options)

    if like.device.type == "cpu" and count >= FACES_FOR_THREADS:
        edges = [count * i // CPU_THREADS for i in range(CPU_THREADS + 1)]
        list(pool(CPU_THREADS).map(launch, edges[:-1], edges[1:]))
    elif count > 0:
        launch(0, count)


def _rows(values: Tensor) -> Tensor:
    """The first row alone where all faces share it, so that it is not copied for each."""
    return values[:1] if len(values) > 1 and values.stride(0) == 0 else values
