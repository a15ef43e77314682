"""A map of the head: where hair, hats and collars lie on it, as rows from the crown down and turns about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d, pad

from helpers.errors import UserError
from helpers.face_model import MorphableModel

DOME = 24  # rows from the crown to the level of the centre; below it the map is a cylinder
ROWS = 56
TURNS = 96  # columns, from the back of the head through its left, the face and its right
STEP = 6.0  # mm between the rows of the cylinder
EQUATOR = 22  # the row from which hair hangs


@dataclass(frozen=True)
class HeadMap:
    """Points of a head model on rays from the middle of the cranium: ROWS × TURNS of them, the same on every person.

    A place on the map is (row, turn): row 0 is the crown, turn 0 rad the front, and a positive turn the person's left.

    Attributes:
        corners: (ROWS · TURNS, 3) int64, vertices of the triangle that a ray leaves the mean head through.
        weights: (ROWS · TURNS, 3) mm/mm, of these vertices.
        lowered: (ROWS · TURNS, 1) mm by which a point lies below that triangle, where the neck has ended.
        origin: (ROWS · TURNS, 3) mm, where the rays start.
        outward: (ROWS · TURNS, 3), unit vectors along the rays.
        hairline: (TURNS,) the row at which hair ends.
    """

    corners: Tensor
    weights: Tensor
    lowered: Tensor
    origin: Tensor
    outward: Tensor
    hairline: Tensor

    @classmethod
    def of(cls, model: MorphableModel) -> HeadMap:
        """Cast the rays through the mean of a whole head.

        Args:
            model: with the mask "hairline" and the rest of the head, as the open model has them.

        Raises:
            UserError: the model has no hairline.
        """
        if model.masks is None or "hairline" not in model.masks:
            raise UserError(f'{model.name}: no place for hair; load the open face model ("open")')
        head = model.whole_head
        assert head.masks is not None
        shape, hair = head.mean_shape.double().cpu(), head.masks["hairline"].double().cpu()
        scalp = shape[hair > 0.5]
        low, high = scalp.amin(0), scalp.amax(0)
        centre = torch.stack([shape.new_zeros(()), high[1] - 90, (low[2] + high[2]) / 2])
        origin, outward = _rays(centre)
        corners, weights, hit = _hits(shape, head.triangles.cpu(), origin, outward)
        # Below the end of the neck the last point is taken again, and lowered.
        last = torch.where(hit, torch.arange(ROWS)[:, None], 0).cummax(0).values
        lowered = STEP * (torch.arange(ROWS)[:, None] - last)
        take = last[..., None].expand(-1, -1, 3)
        corners, weights = corners.gather(0, take), weights.gather(0, take)
        hairy = ((hair[corners] * weights).sum(-1) > 0.5).cumprod(0).sum(0).double()
        return cls(
            corners=corners.flatten(0, 1),
            weights=weights.flatten(0, 1).float(),
            lowered=lowered.reshape(-1, 1).float(),
            origin=origin.flatten(0, 1).float(),
            outward=outward.flatten(0, 1).float(),
            hairline=_smooth_round(hairy - 0.5).float(),
        ).to(model.mean_shape.device)

    def to(self, device: torch.device) -> HeadMap:
        """Move all tensors."""
        return HeadMap(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def points(self, head: Tensor) -> Tensor:
        """The map's points (B, ROWS, TURNS, 3) mm on whole heads (B, V, 3) mm."""
        on_head = sum(head[:, self.corners[:, k]] * self.weights[:, k, None] for k in range(3))
        assert isinstance(on_head, Tensor)
        on_head = on_head - self.lowered * on_head.new_tensor([0.0, 1.0, 0.0])
        return on_head.view(len(head), ROWS, TURNS, 3)

    def hung(self, points: Tensor) -> Tensor:
        """The points (B, ROWS, TURNS, 3) mm moved out to where something hangs that lies on the head: over the ears, and
        straight down from the widest place."""
        outward = self.outward.view(ROWS, TURNS, 3)
        radius = ((points - self.origin.view(ROWS, TURNS, 3)) * outward).sum(-1)
        wide = pad(pad(radius[:, None], (3, 3, 0, 0), "circular"), (0, 0, 2, 2), "replicate")
        wide = max_pool2d(wide, (5, 7), stride=1)[:, 0]
        wide = _smooth_round(wide)
        hanging = torch.cat([wide[:, :EQUATOR], wide[:, EQUATOR:].cummax(1).values], 1)
        return points + outward * (torch.maximum(hanging, radius) - radius)[..., None]


def at(table: Tensor, row: Tensor, turn: Tensor) -> Tensor:
    """Look up a table (B, ROWS, TURNS, C) at places (B, n), −π ≤ turn ≤ π: (B, n, C), bilinear, round the head."""
    ring = torch.cat([table, table[:, :, :1]], 2).permute(0, 3, 1, 2)
    place = torch.stack([turn / math.pi, row / (ROWS - 1) * 2 - 1], -1).to(table)
    read = grid_sample(ring, place[:, None], padding_mode="border", align_corners=True)
    return read[:, :, 0].transpose(1, 2)


def direction(row: Tensor, turn: Tensor) -> Tensor:
    """The direction (..., 3) out of the head, a unit vector, at places of the map."""
    height = (1 - row / DOME).clamp(min=0) * (math.pi / 2)
    level = height.cos()
    return torch.stack([level * turn.sin(), height.sin(), level * turn.cos()], -1)


def round_head(values: Tensor, turn: Tensor) -> Tensor:
    """Look up values (B, TURNS) at turns (B, n): (B, n), linear."""
    column = (turn / (2 * math.pi) + 0.5) * TURNS
    left = column.floor()
    share = column - left
    a, b = (values.gather(1, (left.long() + k) % TURNS) for k in (0, 1))
    return a * (1 - share) + b * share


def rows_above(points: Tensor, level: Tensor) -> Tensor:
    """The row (B, TURNS) at which the map's points (B, ROWS, TURNS, 3) mm sink below a level (B, TURNS) mm."""
    y = points[..., 1]
    drop = (y[:, :-1] - y[:, 1:]).clamp(min=0.1)
    return ((y[:, :-1] - level[:, None]) / drop).clamp(0, 1).sum(1)


def _rays(centre: Tensor) -> tuple[Tensor, Tensor]:
    """Origins and directions (ROWS, TURNS, 3)."""
    row = torch.arange(ROWS, dtype=centre.dtype)[:, None]
    turn = (torch.arange(TURNS, dtype=centre.dtype)[None] / TURNS - 0.5) * 2 * math.pi
    outward = direction(*torch.broadcast_tensors(row, turn))
    sunk = (row - DOME).clamp(min=0) * STEP
    return centre - sunk[..., None] * centre.new_tensor([0.0, 1.0, 0.0]).expand_as(outward), outward


def _hits(shape: Tensor, triangles: Tensor, origin: Tensor, outward: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where rays (ROWS, TURNS, 3) leave a mesh last: corners and weights (ROWS, TURNS, 3), and whether they do."""
    corners = torch.zeros(ROWS, TURNS, 3, dtype=torch.long)
    weights = torch.zeros(ROWS, TURNS, 3, dtype=shape.dtype)
    hit = torch.zeros(ROWS, TURNS, dtype=torch.bool)
    a, b, c = (shape[triangles[:, k]] for k in range(3))
    for column in range(TURNS):
        # All rays of a column lie in one half-plane; few triangles cross it.
        ahead = outward[DOME, column]
        aside = torch.stack([ahead[2], ahead[1], -ahead[0]])
        sides = torch.stack([(p - origin[0, column]) @ aside for p in (a, b, c)])
        near = (sides.amin(0) <= 1e-9) & (sides.amax(0) >= -1e-9)
        near &= (torch.stack([a, b, c]) - origin[0, column]).matmul(ahead).amax(0) > -1e-9
        some = near.nonzero()[:, 0]
        start, to = origin[:, column, None], outward[:, column, None]
        ab, ac = (b - a)[some][None], (c - a)[some][None]
        across = torch.linalg.cross(to, ac)
        size = (ab * across).sum(-1)
        size = torch.where(size.abs() < 1e-12, 1e-12, size)
        away = start - a[some][None]
        u = (away * across).sum(-1) / size
        other = torch.linalg.cross(away, ab)
        v = (to * other).sum(-1) / size
        distance = (ac * other).sum(-1) / size
        inside = (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6) & (distance > 0)
        distance, best = torch.where(inside, distance, -1.0).max(1)
        rows = torch.arange(ROWS)
        corners[:, column] = triangles[some[best]]
        u, v = u[rows, best], v[rows, best]
        weights[:, column] = torch.stack([1 - u - v, u, v], -1)
        hit[:, column] = distance > 0
    return corners, weights, hit


def _smooth_round(values: Tensor) -> Tensor:
    """The mean of three neighbours along the last axis, which is a ring."""
    return (values.roll(1, -1) + values + values.roll(-1, -1)) / 3
