"""Chooses the solver, the kernel or its twin in torch, and hands the kernel its arrays."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from helpers._warp import fill, launch, vectors, wp
from helpers.camera import Pose
from helpers.pose import kernels, reference
from helpers.pose.solution import SMALLEST_MOVE, TOLERANCE, Observations, Options, PoseSolution

LEAST_FACES = 32  # for another thread of a CPU to be worth waking


def solve(seen: Observations, options: Options, start: Pose | None = None) -> PoseSolution:
    """Refine B poses, as `helpers.pose.reference.levenberg_marquardt` describes it."""
    values = [seen.points_2d, seen.points_3d, seen.camera.focal, seen.camera.principal_point, seen.weights]
    if start is not None:
        values += [start.rotation_vector, start.translation]
    wants_gradient = torch.is_grad_enabled() and any(value.requires_grad for value in values)
    if seen.points_2d.dtype == torch.float32 and not wants_gradient:
        return levenberg_marquardt(seen, options, start)
    return reference.levenberg_marquardt(seen, options, start)


def levenberg_marquardt(seen: Observations, options: Options, start: Pose | None = None) -> PoseSolution:
    """The same in the kernel, float32 only: one thread per face."""
    B, N, _ = seen.points_2d.shape
    device = seen.points_2d.device

    def blank(*shape: int) -> Tensor:
        return torch.full(shape, torch.nan, device=device)

    given = blank(0, 6) if start is None else torch.cat([start.rotation_vector, start.translation], -1)
    settings = fill(
        kernels.Options,
        iterations=options.iterations,
        robust=0.0 if options.robust_px is None else options.robust_px**-2,
        noise=0.0 if options.noise_px is None else options.noise_px,
        tolerance=TOLERANCE[torch.float32],
        smallest=SMALLEST_MOVE[torch.float32] ** 2,
    )
    pose, residual, covariance = blank(B, 6), blank(B, N), blank(B, 6, 6)
    used = torch.zeros(B, N, device=device)
    code, steps = (torch.zeros(B, dtype=torch.int32, device=device) for _ in range(2))
    answer = fill(
        kernels.Answer,
        pose=wp.from_torch(pose),
        residual=wp.from_torch(residual),
        used=wp.from_torch(used),
        covariance=wp.from_torch(covariance),
        code=wp.from_torch(code),
        steps=wp.from_torch(steps),
    )
    inputs = [_arrays(seen), _array(given.float()), settings]
    launch(kernels.pose_kernel, B, inputs, [answer], pose, least=LEAST_FACES)
    return PoseSolution(Pose(pose[:, :3], pose[:, 3:]), residual, used, covariance, code, steps)


def squared_errors(seen: Observations, pose: Pose, sets: int = 1) -> Tensor:
    """(B, sets, N) px² of each face's points at its `sets` poses (B · sets of them); infinite behind the camera."""
    if seen.points_2d.dtype != torch.float32:
        return reference.squared_errors(seen, pose, sets)
    B, N, _ = seen.points_2d.shape
    poses = torch.cat([pose.rotation_vector, pose.translation], -1).float()
    error = seen.points_2d.new_empty(B * sets, N)
    inputs = [_arrays(seen), _array(poses), sets]
    launch(kernels.error_kernel, B * sets, inputs, [wp.from_torch(error)], error, least=LEAST_FACES)
    return error.view(B, sets, N)


def _arrays(seen: Observations) -> Any:
    camera = seen.camera.pinhole.float()
    return fill(
        kernels.Observations,
        points_2d=_array(seen.points_2d),
        points_3d=_array(_first_if_shared(seen.points_3d)),
        weights=_array(_first_if_shared(seen.weights)),
        cameras=vectors(camera),
    )


def _array(values: Tensor) -> wp.array:
    return wp.from_torch(values.detach().contiguous(), requires_grad=False)


def _first_if_shared(values: Tensor) -> Tensor:
    """The first row alone where all faces share it, so that it is not copied for each."""
    return values[:1] if len(values) > 1 and values.stride(0) == 0 else values
