"""Three ways to a pose without iterating from a guess: POS, DLT and EPnP, each for a whole batch.

Each returns B poses. A face from whose points no pose can be found (`checks.usable`) gets NaN, and the others are
untouched.
"""

from __future__ import annotations

from collections.abc import Iterator

import roma
import torch
from torch import Tensor

from helpers.camera import Camera, Pose, flip_axes
from helpers.pose.checks import GOOD, checked, usable
from helpers.pose.solution import Observations

GAUSS_NEWTON_STEPS = 5


def scaled_orthographic_pose(
    points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor | None = None
) -> Pose:
    """Closed-form start (POS): as if all rays were parallel.

    About their weighted means, the points are related by [x y z] Mᵀ = [u −v], solved in least squares. The
    rows of M (2 × 3) are two rows of the rotation times the scale f / t_z; the nearest pair of orthonormal
    vectors is the rotation.

    Args:
        points_2d: (B, N, 2) px.
        points_3d: (B or 1, N, 3) mm, model axes.
        camera: B or 1.
        weights: (B or 1, N), or None for 1 each.

    Returns:
        B poses, NaN where none can be found.

    Raises:
        ValueError: Shapes do not fit, or a weight is negative.

    Source:
        DeMenthon and Davis 1995.
    """
    seen = checked(points_2d, points_3d, camera, weights)
    return _known(pos(seen), usable(seen))


def pos(seen: Observations) -> Pose:
    """`scaled_orthographic_pose` without its checks; bad points give numbers without meaning."""
    points_3d, camera, weights = seen.points_3d, seen.camera, seen.weights
    # Image coordinates with y up, as in the model, so that the rotation comes out in model axes.
    image = (seen.points_2d - camera.principal_point[:, None]) * seen.points_2d.new_tensor([1.0, -1.0])
    share = (weights / weights.sum(-1, keepdim=True))[..., None]
    middle, image_middle = (share * points_3d).sum(1), (share * image).sum(1)
    x, u = points_3d - middle[:, None], image - image_middle[:, None]
    weighted = (share * x).transpose(1, 2)
    # The normal equations are 3 × 3 and, about the mean, well conditioned; a QR of 68 rows takes far longer.
    M = torch.linalg.solve_ex(weighted @ x, weighted @ u)[0].transpose(1, 2)  # (B, 2, 3)
    # Nearest orthonormal rows: (M Mᵀ)^(−½) M, and the root of a 2 × 2 matrix G is (G + √det G · 1) / τ.
    G = M @ M.transpose(1, 2)
    root_det = (G[:, 0, 0] * G[:, 1, 1] - G[:, 0, 1] ** 2).clamp_min(1e-30).sqrt()
    tau = (G[:, 0, 0] + G[:, 1, 1] + 2 * root_det).sqrt()
    root = (G + root_det[:, None, None] * torch.eye(2).to(G)) / tau[:, None, None]
    first, second = torch.linalg.solve_ex(root, M)[0].unbind(1)
    rotation = torch.stack([first, second, torch.linalg.cross(first, second)], 1)
    scale = tau / 2  # px per mm: the mean of the two singular values of M
    # Where the model's origin goes: the middle of the image points less the turned middle of the model points.
    turned = (rotation @ middle[..., None])[..., 0]
    across = image_middle / scale[:, None] - turned[:, :2]
    depth = camera.focal / scale + turned[:, 2]
    translation = torch.stack([across[:, 0], -across[:, 1], depth], -1)
    return Pose(roma.rotmat_to_rotvec(rotation), translation)


def dlt_pose(points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor | None = None) -> Pose:
    """Direct linear transform, with coordinates normalised.

    The 3 × 4 matrix P = [R t] sends (x, y, z, 1) to a ray: two linear equations per point, in twelve unknowns.
    The solution is the direction in which they change least. Only afterwards is P made a rotation, so all
    twelve numbers follow the noise; this is the simplest start and the worst.

    Args:
        points_2d: (B, N, 2) px.
        points_3d: (B or 1, N, 3) mm, model axes.
        camera: B or 1.
        weights: (B or 1, N), or None for 1 each.

    Returns:
        B poses, NaN where none can be found.

    Raises:
        ValueError: Shapes do not fit, or a weight is negative.

    Source:
        Abdel-Aziz and Karara 1971; Hartley 1997 for the normalisation.
    """
    seen = checked(points_2d, points_3d, camera, weights)
    code = usable(seen)
    rays, x, w = _in_double(seen, code)
    share = (w / w.sum(-1, keepdim=True))[..., None]

    def normalised(p: Tensor):
        middle = (share * p).sum(1, keepdim=True)
        size = (share * (p - middle).square()).sum((1, 2)).sqrt()[:, None, None]
        return (p - middle) / size, middle, size

    (a, a_middle, a_size), (b, b_middle, b_size) = normalised(rays), normalised(x)
    homogeneous = torch.cat([b, torch.ones_like(b[..., :1])], -1)  # (B, N, 4)
    o = torch.zeros_like(homogeneous)
    rows_u = torch.cat([homogeneous, o, -a[..., :1] * homogeneous], -1)
    rows_v = torch.cat([o, homogeneous, -a[..., 1:] * homogeneous], -1)
    A = torch.cat([rows_u, rows_v], 1) * torch.cat([w, w], 1).sqrt()[..., None]
    P = torch.linalg.eigh(A.transpose(1, 2) @ A)[1][..., 0].view(-1, 3, 4)
    # Undo both normalisations: P = S⁻¹ P' T.
    P = torch.cat([P[:, :2] * a_size + a_middle.transpose(1, 2) * P[:, 2:], P[:, 2:]], 1)
    M = P[..., :3] / b_size
    t = P[..., 3:] - M @ b_middle.transpose(1, 2)
    sign = torch.sign(torch.linalg.det(M))[:, None, None]  # P is known up to a factor; a rotation has det +1
    scale = torch.linalg.svdvals(M).mean(-1)[:, None, None] * sign
    R = roma.special_procrustes(M * sign)
    return _known(_model_pose(R, (t / scale)[..., 0], points_2d.dtype), code)


def epnp_pose(points_2d: Tensor, points_3d: Tensor, camera: Camera, weights: Tensor | None = None) -> Pose:
    """EPnP: four control points instead of N.

    Every point is a fixed mixture of four control points (their middle, and one along each principal axis). Where
    those lie in camera axes is then twelve unknowns, linear in the image points. The answer is a mixture β of
    the four vectors that satisfy the equations best, and the six known distances between the control points
    settle β: first from linear equations, with one, two or three of the vectors, then by Gauss-Newton. The
    mixture that projects best wins.

    Args:
        points_2d: (B, N, 2) px.
        points_3d: (B or 1, N, 3) mm, model axes.
        camera: B or 1.
        weights: (B or 1, N), or None for 1 each.

    Returns:
        B poses, NaN where none can be found.

    Raises:
        ValueError: Shapes do not fit, or a weight is negative.

    Source:
        Lepetit, Moreno-Noguer and Fua 2009.
    """
    seen = checked(points_2d, points_3d, camera, weights)
    code = usable(seen)
    rays, x, w = _in_double(seen, code)
    share = (w / w.sum(-1, keepdim=True))[..., None]
    middle = (share * x).sum(1, keepdim=True)
    variance, axes = torch.linalg.eigh((share * (x - middle)).transpose(1, 2) @ (x - middle))
    arms = axes.transpose(1, 2) * variance.clamp_min(1e-12).sqrt()[..., None]  # (B, 3, 3), one a row
    control = torch.cat([middle, middle + arms], 1)  # (B, 4, 3)
    along = torch.linalg.solve(arms.transpose(1, 2), (x - middle).transpose(1, 2)).transpose(1, 2)
    mixture = torch.cat([1 - along.sum(-1, keepdim=True), along], -1)  # (B, N, 4)

    # u · z = x and v · z = y for each point, written in the 4 × 3 coordinates of the control points.
    o = torch.zeros_like(mixture)
    rows_u = torch.stack([mixture, o, -rays[..., :1] * mixture], -1).flatten(2)
    rows_v = torch.stack([o, mixture, -rays[..., 1:] * mixture], -1).flatten(2)
    A = torch.cat([rows_u, rows_v], 1) * torch.cat([w, w], 1).sqrt()[..., None]
    vectors = torch.linalg.eigh(A.transpose(1, 2) @ A)[1][..., :4]  # (B, 12, 4), the smallest first
    vectors = vectors.transpose(1, 2).reshape(-1, 4, 4, 3)  # vector, control point, xyz

    pairs = torch.tensor([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)], device=x.device).T
    between = vectors[:, :, pairs[0]] - vectors[:, :, pairs[1]]  # (B, 4, 6, 3)
    products = torch.einsum("bipd,bjpd->bpij", between, between)  # (B, 6, 4, 4)
    distance = (control[:, pairs[0]] - control[:, pairs[1]]).square().sum(-1)  # (B, 6)

    best_error = torch.full_like(x[:, 0, 0], torch.inf)
    R, t = torch.full_like(axes, torch.nan), torch.full_like(x[:, 0], torch.nan)
    for beta in _first_betas(products, distance):
        beta = _refine_betas(beta, products, distance)
        points = mixture @ torch.einsum("bi,bicd->bcd", beta, vectors)
        points = points * torch.sign((share * points).sum(1)[:, None, 2:])  # in front of the camera
        found_R, found_t = roma.rigid_points_registration(x, points, weights=share[..., 0])
        moved = x @ found_R.transpose(1, 2) + found_t[:, None]
        error = (share * (moved[..., :2] / moved[..., 2:] - rays).square()).sum((1, 2))
        better = error < best_error
        R, t = torch.where(better[:, None, None], found_R, R), torch.where(better[:, None], found_t, t)
        best_error = torch.where(better, error, best_error)
    return _known(_model_pose(R, t, points_2d.dtype), code)


def _first_betas(products: Tensor, distance: Tensor) -> Iterator[Tensor]:
    """Mixtures (B, 4) of one, two and three vectors, from equations linear in the products β_i β_j."""
    for used in (1, 2, 3):
        i, j = torch.triu_indices(used, used, device=products.device)
        double = torch.where(i == j, 1.0, 2.0).to(products)
        equations = products[:, :, i, j] * double  # (B, 6, number of products)
        normal = equations.transpose(1, 2) @ equations
        normal = normal + 1e-12 * _mean_diagonal(normal) * torch.eye(len(i)).to(normal)
        solved = torch.linalg.solve_ex(normal, equations.transpose(1, 2) @ distance[..., None])[0][..., 0]
        solved = torch.nan_to_num(solved)
        # The row of β_0 β_j gives all of them but for their common sign, which does not matter.
        first = solved[:, 0].abs().clamp_min(1e-12).sqrt()
        sign = torch.where(solved[:, 0] < 0, -1.0, 1.0).to(solved)
        beta = torch.zeros_like(products[:, 0, 0])
        beta[:, 0] = first
        if used > 1:
            beta[:, 1:used] = (sign[:, None] * solved[:, 1:used]) / first[:, None]
        yield beta


def _refine_betas(beta: Tensor, products: Tensor, distance: Tensor) -> Tensor:
    """Gauss-Newton on the six distances: Σ_ij β_i β_j products_ij = distance."""
    for _ in range(GAUSS_NEWTON_STEPS):
        slope = 2 * torch.einsum("bpij,bj->bpi", products, beta)
        error = distance - 0.5 * torch.einsum("bpi,bi->bp", slope, beta)
        normal = slope.transpose(1, 2) @ slope
        normal = normal + (1e-9 * _mean_diagonal(normal) + 1e-300) * torch.eye(4).to(normal)
        step = torch.linalg.solve_ex(normal, slope.transpose(1, 2) @ error[..., None])[0][..., 0]
        beta = beta + torch.nan_to_num(step)
    return beta


def _mean_diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None]


def _in_double(seen: Observations, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rays (B, N, 2), points in camera axes (B, N, 3) and weights in double precision.

    Squaring a matrix squares its condition, which single precision does not bear. Faces without a pose are
    replaced by a harmless one, because a decomposition of NaN stops the whole batch.
    """
    good = (code == GOOD)[:, None, None]
    centre, focal = seen.camera.principal_point[:, None], seen.camera.focal[:, None, None]
    rays = (seen.points_2d - centre).double() / focal.double()
    x = flip_axes(seen.points_3d.double())
    generator = torch.Generator().manual_seed(0)
    stand_in = torch.rand(1, x.shape[1], 3, generator=generator, dtype=torch.float64).to(x.device) - 0.5
    rays = torch.where(good, rays, stand_in[..., :2] / (stand_in[..., 2:] + 10))
    x = torch.where(good, x, stand_in)
    return rays, x, torch.where(good[..., 0], seen.weights.double(), 1.0)


def _model_pose(R: Tensor, t: Tensor, dtype: torch.dtype) -> Pose:
    """From a rotation that expects points with the flip already applied: F R F is the rotation in model axes."""
    in_model = flip_axes(flip_axes(R).transpose(1, 2)).transpose(1, 2)
    return Pose(roma.rotmat_to_rotvec(in_model).to(dtype), t.to(dtype))


def _known(pose: Pose, code: Tensor) -> Pose:
    good = (code == GOOD)[:, None]
    return Pose(*(torch.where(good, part, torch.nan) for part in (pose.rotation_vector, pose.translation)))
