"""Generalised Procrustes alignment: bring many heads of one topology into one frame (Gower 1975).

Every head is moved onto the mean of all, the mean is taken again, and so on until it rests. The loop reads the
heads twice a round and copies none of them, so a population that just fits in memory can be aligned.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.alignment import nearest_rotation
from helpers.errors import UserError

METHODS = ("rigid", "similarity", "none")


@dataclass(frozen=True)
class Alignment:
    """How N heads move: aligned = scale · (head − centre) @ rotation + origin.

    Attributes:
        rotation: (N, 3, 3) float64.
        scale: (N,) float64.
        centre: (N, 3) float64, mm.
        origin: (3,) float64, mm.
        mean: (V, 3) float64, mm, of the aligned heads.
        rounds: How many it took.
    """

    rotation: Tensor
    scale: Tensor
    centre: Tensor
    origin: Tensor
    mean: Tensor
    rounds: int

    def apply(self, heads: Tensor, vertices: slice = slice(None)) -> Tensor:
        """Move the heads.

        Args:
            heads: (N, V, 3) mm, those that were aligned.
            vertices: Which of their vertices to return.

        Returns:
            The aligned heads (N, V, 3) mm, or only those vertices of them.
        """
        linear = (self.scale[:, None, None] * self.rotation).to(heads)
        shift = (self.origin - (self.centre[:, None] @ (self.scale[:, None, None] * self.rotation))).to(heads)
        return torch.baddbmm(shift.expand(-1, len(heads[0, vertices]), -1), heads[:, vertices], linear)


def align(
    heads: Tensor,
    method: str = "rigid",
    *,
    weights: Tensor | None = None,
    reference: Tensor | None = None,
    tolerance: float = 1e-4,
    most_rounds: int = 30,
) -> Alignment:
    """Align heads to their own mean.

    Args:
        heads: (N, V, 3) mm, floats.
        method: "rigid" moves and turns, and leaves each head its size; "similarity" also gives all heads one size,
            the mean of their sizes; "none" takes them as they are.
        weights: (V,), not negative; vertices with 0 follow and do not pull. None is 1 for each.
        reference: (V, 3) mm, in whose frame the mean ends; None is the first head.
        tolerance: The loop ends when the mean moves less than this, mm (root mean square).
        most_rounds: It ends after so many rounds in any case.

    Returns:
        How each head moves.

    Raises:
        UserError: Wrong arguments.

    Source:
        J. C. Gower, "Generalized Procrustes analysis", Psychometrika 1975.
    """
    _check(heads, method)
    weights, reference = _checked_weights(weights, heads), _checked_reference(reference, heads)
    N, V, _ = heads.shape
    flat = heads.reshape(N, 3 * V)
    if method == "none":
        one = torch.eye(3, dtype=torch.float64, device=heads.device).expand(N, 3, 3)
        nothing = weights.new_zeros(N, 3)
        return Alignment(one, one[:, 0, 0], nothing, nothing[0], _mean(flat, nothing, one), 0)

    centre, squared = _centres(flat, weights), None
    if method == "similarity":
        squared = _squared_sizes(heads, centre, weights)
        size = squared.sqrt().mean()
    goal = reference.double() - weights @ reference.double()
    rounds, moved = 0, float("inf")
    while moved >= tolerance and rounds < most_rounds:
        rounds += 1
        rotation, scale = _best_moves(flat, goal, weights, squared)
        mean = _mean(flat, centre, scale[:, None, None] * rotation)
        if (
            method == "similarity"
        ):  # a mean of turned heads is smaller than they are, and would shrink each round
            factor = size / (weights @ mean.square().sum(1)).sqrt()
            mean, scale = mean * factor, scale * factor
        moved = float(((mean - goal).square().sum(1) @ weights).sqrt())
        goal = mean
    # Bring the mean itself back onto the reference, so that the frame is one that the caller knows.
    origin = weights @ reference.double()
    last, _ = _rotations((weights[:, None] * mean).T @ (reference.double() - origin))
    return Alignment(rotation @ last, scale, centre, origin, mean @ last + origin, rounds)


def align_onto(
    heads: Tensor, target: Tensor, method: str = "rigid", *, weights: Tensor | None = None
) -> Tensor:
    """Move each head onto one target by itself.

    Args:
        heads: (N, V, 3) mm.
        target: (V, 3) mm.
        method: As in `align`.
        weights: As in `align`.

    Returns:
        The moved heads (N, V, 3) mm.

    Raises:
        UserError: Wrong arguments.
    """
    _check(heads, method)
    weights, target = _checked_weights(weights, heads), _checked_reference(target, heads)
    if method == "none":
        return heads
    flat, origin = heads.reshape(len(heads), -1), weights @ target.double()
    centre = _centres(flat, weights)
    squared = _squared_sizes(heads, centre, weights) if method == "similarity" else None
    rotation, scale = _best_moves(flat, target.double() - origin, weights, squared)
    return Alignment(rotation, scale, centre, origin, target, 1).apply(heads)


def _best_moves(flat: Tensor, goal: Tensor, weights: Tensor, squared: Tensor | None) -> tuple[Tensor, Tensor]:
    """Rotations (N, 3, 3) and scales (N,) that bring each head nearest to the centred `goal` (V, 3).

    squared: the heads' squared sizes, or None to leave the scale at 1. The products Σ w·xᵢ·gⱼ of all heads at once are one matrix product with a table (3V, 9).
    """
    V = len(goal)
    weighted = weights[:, None] * goal
    table = goal.new_zeros(V, 3, 3, 3)  # vertex, coordinate of the head, i, j
    for i in range(3):
        table[:, i, i] = weighted
    # The goal is centred: a shift of the head adds nothing to these sums.
    products = (flat @ table.view(3 * V, 9).to(flat)).double().view(-1, 3, 3)
    rotation, trace = _rotations(products)
    return rotation, torch.ones_like(trace) if squared is None else trace / squared


def _centres(flat: Tensor, weights: Tensor) -> Tensor:
    """(N, 3) weighted means of the vertices."""
    axes = torch.eye(3, dtype=weights.dtype, device=weights.device)
    return (flat @ torch.kron(weights[:, None], axes).to(flat)).double()


def _squared_sizes(heads: Tensor, centre: Tensor, weights: Tensor) -> Tensor:
    """(N,) weighted mean squared distance from the centre, mm²; a few heads at a time, to copy few."""
    parts = [
        (part - middle[:, None].to(part)).square().sum(-1) @ weights.to(part)
        for part, middle in zip(heads.split(32), centre.split(32), strict=True)
    ]
    return torch.cat(parts).double()


def _rotations(products: Tensor) -> tuple[Tensor, Tensor]:
    """Best rotations for sums (..., 3, 3) of xᵢ·gⱼ, as x @ rotation ≈ g, and the traces that give the scales."""
    rotation, trace = nearest_rotation(products.mT)  # which takes and gives columns
    return rotation.mT, trace


def _mean(flat: Tensor, centre: Tensor, linear: Tensor) -> Tensor:
    """(V, 3) mean over the heads of (head − centre) @ linear, float64, again as one product."""
    N, V = len(flat), flat.shape[1] // 3
    every = (flat.T @ (linear.reshape(N, 9) / N).to(flat)).double().view(V, 3, 3, 3)
    return torch.einsum("viij->vj", every) - (centre[:, None] @ linear).mean((0, 1))


def _check(heads: Tensor, method: str) -> None:
    if method not in METHODS:
        raise UserError(f"method={method!r}: heads are aligned by {', '.join(map(repr, METHODS))}")
    if heads.ndim != 3 or heads.shape[2] != 3 or not heads.is_floating_point() or len(heads) == 0:
        raise UserError(f"heads must be (N, V, 3) floats, got {heads.dtype} {tuple(heads.shape)}")


def _checked_weights(weights: Tensor | None, heads: Tensor) -> Tensor:
    """(V,) float64 that add up to 1."""
    V = heads.shape[1]
    weights = heads.new_ones(V) if weights is None else torch.as_tensor(weights, device=heads.device)
    if weights.shape != (V,) or not bool((weights >= 0).all()) or int((weights > 0).sum()) < 3:
        raise UserError(f"weights must be ({V},), not negative, and above zero for three vertices or more")
    weights = weights.double()
    return weights / weights.sum()


def _checked_reference(reference: Tensor | None, heads: Tensor) -> Tensor:
    reference = heads[0] if reference is None else reference
    if reference.shape != heads.shape[1:]:
        raise UserError(
            f"the reference must be {tuple(heads.shape[1:])} like a head, got {tuple(reference.shape)}"
        )
    return reference
