"""Errors of landmarks in the picture, as parts of the face's size."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.device import check_one_device

# What a distance in px is divided by. Figures under two of them cannot be compared.
NORMALISERS = ("outer eyes", "pupils", "box", "diagonal")
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)


def face_size(points: Tensor, normaliser: str = "outer eyes") -> Tensor:
    """The size of faces in a picture.

    Args:
        points: (B, 68, 2) px.
        normaliser: "outer eyes", between the outer corners of the eyes, the inter-ocular distance of 300-W; "pupils",
            between the means of the six points of each eye; "box", the root of width times height of the box around all
            points; "diagonal", of that box.

    Returns:
        (B,) px.

    Raises:
        ValueError: For an unknown normaliser.
    """
    if normaliser == "outer eyes":
        return (points[:, 36] - points[:, 45]).norm(dim=-1)
    if normaliser == "pupils":
        return (points[:, RIGHT_EYE].mean(1) - points[:, LEFT_EYE].mean(1)).norm(dim=-1)
    extent = points.amax(1) - points.amin(1)
    if normaliser == "box":
        return extent.prod(-1).sqrt()
    if normaliser == "diagonal":
        return extent.norm(dim=-1)
    raise ValueError(f"normaliser must be one of {', '.join(NORMALISERS)}, got {normaliser!r}")


def landmark_nme(
    estimate: Tensor, truth: Tensor, normaliser: str = "outer eyes", visible: Tensor | None = None
) -> Tensor:
    """The normalised mean error: the mean distance of 68 points as a part of the face's size.

    Args:
        estimate: (B, 68, 2) px.
        truth: (B, 68, 2) px; the size is the truth's.
        normaliser: See `face_size`.
        visible: (B, 68), 0 leaves a point out; None for all.

    Returns:
        (B,), 0.05 for 5 %.

    Raises:
        ValueError: For other shapes, and for a face without size.
    """
    if estimate.shape != truth.shape or truth.dim() != 3 or truth.shape[1:] != (68, 2):
        raise ValueError(
            f"landmarks must be (B, 68, 2) alike, got {tuple(estimate.shape)} and {tuple(truth.shape)}"
        )
    check_one_device(estimate=estimate, truth=truth)
    size = face_size(truth, normaliser)
    if bool((size <= 0).any()):
        raise ValueError(f"a face has no size by the normaliser {normaliser!r}")
    distance = (estimate - truth).norm(dim=-1)
    visible = torch.ones_like(distance) if visible is None else visible.to(distance)
    return (visible * distance).sum(-1) / visible.sum(-1) / size
