"""Pose from landmarks, from start to finish."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from helpers.camera import Camera, Pose
from helpers.pose.checks import AWAY, BEHIND, GOOD, MIRRORED, MISFIT, REASONS, checked, mostly_left_out
from helpers.pose.closed_form import dlt_pose, epnp_pose
from helpers.pose.points68 import MIRRORED as MIRRORED_68
from helpers.pose.points68 import slide_far_jaw, visible_landmarks
from helpers.pose.ransac import consensus
from helpers.pose.solution import Observations, Options, PoseSolution
from helpers.pose.solver import solve
from helpers.reasons import Explained

FAR_SIDE_ROUNDS = 2


@dataclass(frozen=True)
class PoseEstimate(Explained):
    """B poses, how well they fit, how well they are known, and whether to trust them.

    Attributes:
        pose: B poses; NaN where none can be found, and kept for inspection where one was found but cannot be right.
        residual: (B, N) px, distance of each projected point from its observation.
        covariance: (B, 6, 6) of a small rotation ω (radians, applied after the pose, model axes) and of the
            translation (mm), in this order.
        used: (B, N) the weights that counted in the end: those given, times 0 for points left out (outliers, far
            jaw), times the robust factor.
        code: (B,) int32, 0 where the pose is good; `reason` has its name.
        iterations: (B,) int32, steps that were tried.
        points_3d: (B, N, 3) mm, the model points in the end (far jaw points may have slid).
    """

    REASONS = REASONS

    pose: Pose
    residual: Tensor
    covariance: Tensor
    used: Tensor
    code: Tensor
    iterations: Tensor
    points_3d: Tensor


def estimate_pose(
    points_2d: Tensor,
    points_3d: Tensor,
    camera: Camera,
    weights: Tensor | None = None,
    *,
    start: str | Pose = "pos",
    iterations: int = 10,
    robust_px: float | None = None,
    far_side: str | None = None,
    contour: Tensor | None = None,
    ransac: bool = False,
    noise_px: float | None = None,
    seed: int = 0,
) -> PoseEstimate:
    """Six degrees of freedom per face: a closed-form start, then Levenberg-Marquardt on the true projection.

    float32 without gradients runs in a kernel, everything else in torch (`helpers.pose.reference`). A face whose pose
    cannot be found, or cannot be right, gets a code and a reason, and does not disturb the others.

    Args:
        points_2d: (B, N, 2) px.
        points_3d: (B or 1, N, 3) mm, model axes, not all in one plane.
        camera: B or 1.
        weights: (B or 1, N), one over the variance of each point up to a common factor (a detector's confidence
            will do), 0 for points to leave out; at least six must count. None means 1 for all.
        start: "pos", "epnp", "dlt", or a Pose of B faces.
        iterations: Steps to try at most.
        robust_px: Residuals beyond this count less and less (Cauchy); None means plain least squares.
        far_side: For 68 points. "drop" leaves out the far half of the jaw of faces turned by more than 18°, "slide"
            moves its points to the outline among `contour`.
        contour: (B or 1, 17, C, 3) mm, candidates for each jaw point.
        ransac: Find the outliers first, from poses of many small sets of points, and leave them out. For points that
            are plainly wrong, up to about four in ten. It takes the place of `start`.
        noise_px: Standard deviation of a point's u and v where the weight is 1, for the covariance; None estimates
            it from the residuals.
        seed: Draws the sets of `ransac`.

    Returns:
        The poses, with residuals, covariances and codes.

    Raises:
        ValueError: Shapes do not fit, a weight is negative, or an option does not exist.

    >>> import torch
    >>> from helpers.camera import model_to_camera, project
    >>> points = 50 * torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0))
    >>> pose = Pose(torch.tensor([[0.0, 0.3, 0.0]]), torch.tensor([[10.0, 0.0, 900.0]]))
    >>> camera = Camera.default(224)
    >>> found = estimate_pose(project(model_to_camera(points, pose), camera)[..., :2], points, camera)
    >>> found.ok.tolist(), found.pose.yaw_pitch_roll()[0, 0].round()
    ([True], tensor(17.))
    """
    seen = given = checked(points_2d, points_3d, camera, weights)
    _check_options(start, far_side, contour, points_2d)
    options = Options(iterations, robust_px, noise_px)
    if ransac:
        seen, start = consensus(seen, seed)
    solution = solve(seen, options, _first_pose(start, seen))
    points_3d = seen.points_3d
    if far_side is not None:
        solution, points_3d = _without_far_jaw(
            solution, seen, contour if far_side == "slide" else None, options
        )
    if ransac or robust_px is not None:
        left_out = mostly_left_out(points_2d, solution.residual, given.weights, solution.weights)
        code = torch.where(left_out & (solution.code == GOOD), MISFIT, solution.code)
        solution = replace(solution, code=code)
    code = _with_mirrored(solution, replace(given, points_3d=points_3d), options)
    return PoseEstimate(
        solution.pose,
        solution.residual,
        solution.covariance,
        solution.weights,
        code,
        solution.iterations,
        points_3d,
    )


def _check_options(
    start: str | Pose, far_side: str | None, contour: Tensor | None, points_2d: Tensor
) -> None:
    B, N, _ = points_2d.shape
    if not isinstance(start, Pose) and start not in ("pos", "epnp", "dlt"):
        raise ValueError(f'start must be "pos", "epnp", "dlt" or a Pose, got {start!r}')
    if isinstance(start, Pose) and start.translation.shape != (B, 3):
        raise ValueError(f"start must hold {B} poses, got {tuple(start.translation.shape)}")
    if far_side not in (None, "drop", "slide"):
        raise ValueError(f'far_side must be "drop", "slide" or None, got {far_side!r}')
    if far_side is not None and N != 68:
        raise ValueError(f"far_side knows the jaw of 68 points, got {N}")
    if far_side == "slide" and contour is None:
        raise ValueError('far_side="slide" needs contour, the places that each jaw point may slide to')
    if contour is None:
        return
    if contour.dim() != 4 or contour.shape[1::2] != (17, 3) or len(contour) not in (1, B):
        raise ValueError(f"contour must have shape ({B} or 1, 17, C, 3), got {tuple(contour.shape)}")


def _first_pose(start: str | Pose, seen: Observations) -> Pose | None:
    """None leaves the start, POS, to the solver."""
    if isinstance(start, Pose):
        return start.to(seen.points_2d)
    if start == "pos":
        return None
    # Where the start fails for want of good points, the solver's own check finds it.
    closed_form = epnp_pose if start == "epnp" else dlt_pose
    return closed_form(seen.points_2d, seen.points_3d, seen.camera, seen.weights)


def _without_far_jaw(
    solution: PoseSolution, seen: Observations, contour: Tensor | None, options: Options
) -> tuple[PoseSolution, Tensor]:
    """Solve again where the yaw that was found hides a side of the jaw; twice, since that changes the yaw.

    Returns the solution, and the model points (B, N, 3), slid along the contour if there is one.
    """
    for _ in range(FAR_SIDE_ROUNDS):
        hidden = visible_landmarks(solution.pose) == 0
        turned = hidden.any(-1).nonzero()[:, 0]
        if len(turned) == 0:
            break
        some = seen.of(turned)
        pose = Pose(solution.pose.rotation_vector[turned], solution.pose.translation[turned])
        if contour is None:
            some = replace(some, weights=some.weights * ~hidden[turned])
        else:
            candidates = contour.to(some.points_3d).expand(len(hidden), -1, -1, -1)[turned]
            slid = slide_far_jaw(some.points_3d, candidates, pose, some.camera)
            some = replace(some, points_3d=slid)
            seen = replace(seen, points_3d=seen.points_3d.index_copy(0, turned, slid))
        solution = solution.replaced(turned, solve(some, options, pose))
    return solution, seen.points_3d


def _with_mirrored(solution: PoseSolution, seen: Observations, options: Options) -> Tensor:
    """Codes (B,) of the solution, where doubtful poses of 68 points are MIRRORED if swapped labels fit better."""
    code = solution.code
    doubtful = ((code == AWAY) | (code == MISFIT) | (code == BEHIND)).nonzero()[:, 0]
    if seen.points_2d.shape[1] != 68 or len(doubtful) == 0:
        return code
    some = seen.of(doubtful)
    order = torch.tensor(MIRRORED_68, device=code.device)
    swapped = replace(some, points_2d=some.points_2d[:, order], weights=some.weights[:, order])
    other = solve(swapped, options)
    before = _mean_square(solution.residual[doubtful], solution.weights[doubtful])
    after = _mean_square(other.residual, other.weights)
    better = (other.code == GOOD) & ~(before < after)  # behind the camera there is no `before`
    return code.index_copy(0, doubtful, torch.where(better, MIRRORED, code[doubtful]))


def _mean_square(residual: Tensor, used: Tensor) -> Tensor:
    return (used * residual.square()).sum(-1) / used.sum(-1)
