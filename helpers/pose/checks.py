"""What a pose needs, and the code of a face that does not have it.

Wrong shapes are the caller's mistake and raise ValueError. Bad numbers are one face's misfortune: that face
gets a code, and the others of the batch go on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.camera import Camera, Pose, flip_axes
from helpers.device import check_one_device
from helpers.pose.solution import Observations

MIN_POINTS = 6
# Thickness of a cloud of points, as a ratio of variances: below this it counts as flat.
FLAT = 1e-4
FLAT_IMAGE = 1e-3
ONE_PLACE = 1e-4  # variance in px² or mm² below which all points count as one
# A face whose points miss by more than this share of their own spread is not the face of the model.
LARGE_RESIDUAL = 0.2
# Nor is one that fits only when more than this share of its weight is taken for wrong: with enough points to
# leave out, some pose fits anything.
LEFT_OUT = 0.7

GOOD, NOT_FINITE, TOO_FEW, ONE_POINT, LINE, PLANE, BEHIND, MIRRORED, AWAY, MISFIT, LOST = range(11)
# The numbers of `PoseEstimate.code`, in words. Short names first, sentences second.
REASONS = {
    GOOD: ("", "the pose is good"),
    NOT_FINITE: ("not_finite", "a point, a weight or the camera is not a finite number"),
    TOO_FEW: ("too_few", f"fewer than {MIN_POINTS} points have a weight above zero"),
    ONE_POINT: ("one_place", "all points lie in one place"),
    LINE: ("line", "the points lie in a line"),
    PLANE: ("plane", "points_3d lie in one plane, so depth is not known"),
    BEHIND: ("behind", "the face came to lie behind the camera"),
    MIRRORED: ("mirrored", "left and right of the labels are swapped"),
    AWAY: ("away", "the face would look away from the camera; are the labels mirrored?"),
    MISFIT: ("misfit", "the points do not fit the model in any pose"),
    LOST: ("lost", "the search left the range of numbers"),
}


def checked(points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor | None) -> Observations:
    """Points, camera and weights for B faces, of one dtype. Raises ValueError for shapes that do not fit."""
    if points_2d.dim() != 3 or points_2d.shape[-1] != 2:
        raise ValueError(f"points_2d must have shape (B, N, 2), got {tuple(points_2d.shape)}")
    B, N, _ = points_2d.shape
    if points_3d.dim() != 3 or points_3d.shape[1:] != (N, 3) or points_3d.shape[0] not in (1, B):
        raise ValueError(f"points_3d must have shape ({B} or 1, {N}, 3), got {tuple(points_3d.shape)}")
    if not points_2d.is_floating_point():
        raise ValueError(f"points_2d must be floats, got {points_2d.dtype}")
    principal = camera.principal_point
    check_one_device(points_2d=points_2d, points_3d=points_3d, camera=principal, weights=weights)
    if weights is None:
        weights = points_2d.new_ones(1, 1).expand(B, N)
    elif weights.shape not in ((B, N), (1, N)) or bool((weights < 0).any()):
        raise ValueError(f"weights must have shape ({B} or 1, {N}) and not be negative")
    if not camera.perspective:
        raise ValueError("a pose in six numbers needs a perspective camera; parallel rays do not show depth")
    if len(camera.focal) not in (1, B):
        raise ValueError(f"camera describes {len(camera.focal)} images, points_2d has {B}")
    camera = Camera(camera.focal.expand(B), camera.principal_point.expand(B, 2), camera.size)
    points_3d, weights = points_3d.to(points_2d).expand(B, N, 3), weights.to(points_2d).expand(B, N)
    return Observations(points_2d, points_3d, camera, weights)


def usable(seen: Observations) -> Tensor:
    """(B,) codes: GOOD, or why no pose can be found from these points."""
    points_2d, points_3d, camera, weights = seen.points_2d, seen.points_3d, seen.camera, seen.weights
    finite = torch.isfinite(points_2d).all(-1) & torch.isfinite(points_3d).all(-1) & torch.isfinite(weights)
    finite = finite.all(-1) & torch.isfinite(camera.focal) & torch.isfinite(camera.principal_point).all(-1)
    enough = (weights > 0).sum(-1) >= MIN_POINTS
    total = weights.sum(-1, keepdim=True)
    share = (weights / torch.where(total > 0, total, 1.0))[..., None]

    def scatter(points: Tensor) -> Tensor:
        centred = points - (share * points).sum(1, keepdim=True)
        return (share * centred).transpose(1, 2) @ centred

    # Trace, sum of principal 2 × 2 minors and determinant are λ₁ + λ₂ + λ₃, λ₁λ₂ + λ₁λ₃ + λ₂λ₃ and λ₁λ₂λ₃ of
    # the variances along the principal axes: they show flatness without an eigenvalue solver.
    C, D = scatter(points_3d), scatter(points_2d)
    trace, trace_2d = (S.diagonal(dim1=1, dim2=2).sum(-1) for S in (C, D))
    minors = (trace**2 - C.square().sum((1, 2))) / 2
    det = (C[:, 0] * torch.linalg.cross(C[:, 1], C[:, 2])).sum(-1)
    det_2d = D[:, 0, 0] * D[:, 1, 1] - D[:, 0, 1] * D[:, 1, 0]
    one_point = (trace < ONE_PLACE) | (trace_2d < ONE_PLACE)
    line = (minors < FLAT * trace**2) | (det_2d < FLAT_IMAGE * trace_2d**2)

    code = torch.zeros(len(points_2d), dtype=torch.int32, device=points_2d.device)
    # A later line overrules an earlier one.
    for wrong, why in (
        (det < FLAT * minors * trace, PLANE),
        (line, LINE),
        (one_point, ONE_POINT),
        (~enough, TOO_FEW),
        (~finite, NOT_FINITE),
    ):
        code = torch.where(wrong, why, code)
    return code


def plausible(pose: Pose, points_2d: Tensor, residual: Tensor, used: Tensor) -> Tensor:
    """Whether poses that were found can be right.

    Args:
        pose: B.
        points_2d: (B, N, 2) px.
        residual: (B, N) px.
        used: (B, N) weights in the end.

    Returns:
        (B,) codes: GOOD, or why not.
    """
    code = torch.where(faces_camera(pose), GOOD, AWAY)
    return torch.where(misfit(points_2d, residual, used), MISFIT, code).int()


def misfit(points_2d: Tensor, residual: Tensor, weights: Tensor) -> Tensor:
    """(B,) true where the residuals are a large share of the spread of the points."""
    share = (weights / weights.sum(-1, keepdim=True))[..., None]
    middle = (share * points_2d).sum(1, keepdim=True)
    spread = (share * (points_2d - middle).square()).sum((1, 2))
    # A point without weight may have no image at all, and 0 times infinity is not 0.
    squared = torch.where(weights > 0, residual.square(), 0.0)
    return (share[..., 0] * squared).sum(-1) > LARGE_RESIDUAL**2 * spread


def mostly_left_out(points_2d: Tensor, residual: Tensor, weights: Tensor, used: Tensor) -> Tensor:
    """(B,) true where outliers and robust weights left too little of the given weights (B, N), and all points
    together do not fit either."""
    few = used.sum(-1) < (1 - LEFT_OUT) * weights.sum(-1)
    return few & misfit(points_2d, residual, weights)


def faces_camera(pose: Pose) -> Tensor:
    """(B,) true where the face's z axis points to the camera's side.

    Swapped labels look like a face seen from within its head, for parallel rays cannot tell the two apart.
    """
    forward = flip_axes(pose.rotation[:, :, 2])
    return (forward * pose.translation).sum(-1) <= 0
