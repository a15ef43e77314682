"""Turn the eyes: two angles for each, beside shape and expression.

An eye of the open model is a ball behind the lids. The part with iris and pupil turns as a whole about the ball's
centre; from there outwards each vertex turns by less, down to nothing behind the lids, so nothing tears.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.face_model.morphable_model import MorphableModel

MOVED = "gaze"  # the mask: by how much of the angle a vertex turns
LIMIT = 0.52  # rad, 30°; beyond it the white would fold behind the iris
TINY = 1e-18  # so that the derivative at the straight gaze is a number


def look(model: MorphableModel, vertices: Tensor, angles: Tensor) -> Tensor:
    """Turn the eyes of faces.

    Args:
        model: With the mask "gaze", as the open model has it.
        vertices: (B, V, 3) mm, in the model's own axes, of any shape and expression.
        angles: (B, 2, 2) rad: the subject's right eye and left eye, each to the viewer's right and up. They are
            clipped to `LIMIT`. Zero is straight ahead.

    Returns:
        (B, V, 3) mm; only vertices of the eyes differ.

    Raises:
        UserError: The model has no eyes that turn.
        ValueError: `angles` is not (B, 2, 2).
    """
    if tuple(angles.shape) != (len(vertices), 2, 2):
        raise ValueError(f"angles must be ({len(vertices)}, 2, 2), got {tuple(angles.shape)}")
    if model.masks is None or MOVED not in model.masks:
        raise UserError(f'{model.name}: no eyes that turn; load the open face model ("open")')
    moved, x = model.masks[MOVED], model.mean_shape[:, 0]
    turned = vertices.clone()
    for side, at in enumerate((x < 0, x > 0)):
        eye = ((moved > 0) & at).nonzero()[:, 0]
        share, points = moved[eye], vertices[:, eye]
        centre, _ = fit_spheres(points)
        right, up = angles[:, side].unbind(-1)
        size = (right**2 + up**2 + TINY).sqrt()
        axis = torch.stack([-up, right, torch.zeros_like(up)], -1) / size[:, None]
        by = size.clamp(max=LIMIT)[:, None] * share.to(size)  # (B, n)
        turned[:, eye] = centre[:, None] + _rotate(points - centre[:, None], axis[:, None], by[..., None])
    return turned


def fit_spheres(points: Tensor) -> tuple[Tensor, Tensor]:
    """Fit a sphere to each set of points by algebraic least squares, |p|² = 2 p·c + (r² − |c|²).

    Args:
        points: (B, n, 3) mm, n of 4 or more, not on one plane.

    Returns:
        Centres (B, 3) and radii (B,), mm.
    """
    middle = points.mean(1, keepdim=True)
    p = (points - middle).double()  # squares of lengths lose half the digits
    unknown = torch.cat([2 * p, torch.ones_like(p[..., :1])], -1)
    right = (p * p).sum(-1, keepdim=True)
    found = torch.linalg.solve(unknown.mT @ unknown, unknown.mT @ right)[..., 0]
    centre, rest = found[:, :3], found[:, 3]
    radius = (rest + (centre * centre).sum(-1)).clamp(min=0).sqrt()
    return centre.to(points) + middle[:, 0], radius.to(points)


def _rotate(points: Tensor, axis: Tensor, angle: Tensor) -> Tensor:
    """Rodrigues' formula, each point (B, n, 3) by its own angle (B, n, 1) about the axis (B, 1, 3)."""
    cos, sin = angle.cos(), angle.sin()
    across = torch.linalg.cross(axis.expand_as(points), points)
    along = (axis * points).sum(-1, keepdim=True)
    return points * cos + across * sin + axis * along * (1 - cos)
