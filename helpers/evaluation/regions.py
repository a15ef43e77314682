"""Errors by part of the face, and of its normals."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.face_model import MorphableModel
from helpers.face_model.morphable_model import NOSE_TIP
from helpers.rendering import vertex_normals

# The 68 points by part, and how far from them, in mm, the part reaches. Of the jaw only the middle stands for the chin.
GROUPS = {
    "eyes": (range(36, 48), 14.0),
    "brows": (range(17, 27), 9.0),
    "nose": (range(27, 36), 16.0),
    "mouth": (range(48, 68), 14.0),
    "chin": (range(6, 11), 18.0),
}


def face_regions(model: MorphableModel, radius: float = 95.0) -> dict[str, Tensor]:
    """Cut a face into parts.

    A vertex belongs to the group of its nearest landmark, if that is within the group's reach (see `GROUPS`); else to the
    forehead if it lies above the brows, and to the cheeks if not. What is not skin of the face by the model's mask "skin"
    (ears, neck, the inside of the mouth) is left out.

    Args:
        model: The face model, with landmarks.
        radius: mm about the nose tip.

    Returns:
        Name to (V,) weights 0 or 1, no vertex in two parts.

    Raises:
        ValueError: For a model without landmarks.
    """
    if model.landmarks is None:
        raise ValueError(f"{model.name} has no landmarks, so its parts cannot be told")
    points, marks = model.mean_shape, model.mean_shape[model.landmarks]
    face = (points - marks[NOSE_TIP]).norm(dim=-1) <= radius
    if model.masks and "skin" in model.masks:
        face &= model.masks["skin"] > 0.5
    distance = torch.stack([torch.cdist(points, marks[list(group)]).amin(-1) for group, _ in GROUPS.values()])
    reach = torch.tensor([limit for _, limit in GROUPS.values()]).to(points)
    nearest = distance.argmin(0)
    near = distance.amin(0) <= reach[nearest]
    above = points[:, 1] > marks[17:27, 1].mean()
    regions = {name: face & near & (nearest == k) for k, name in enumerate(GROUPS)}
    regions |= {"forehead": face & ~near & above, "cheeks": face & ~near & ~above}
    return {name: inside.to(points) for name, inside in regions.items()}


def per_region(squared: Tensor, regions: dict[str, Tensor]) -> dict[str, Tensor]:
    """Root mean squares by part.

    Args:
        squared: (B, V) mm², squared distances.
        regions: Name to (V,) weights, as of `face_regions`.

    Returns:
        Name to (B,) mm; NaN for a part without vertices.
    """
    return {name: ((squared * w).sum(-1) / w.sum()).sqrt() for name, w in regions.items()}


def normal_error(points: Tensor, target: Tensor, triangles: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean angle between the normals of corresponding vertices.

    Args:
        points: (B, V, 3) mm.
        target: (B or 1, V, 3) mm, turned the same way (see `align_similarity`); size does not matter.
        triangles: (F, 3).
        weights: (B or 1, V), not negative; None for 1 each.

    Returns:
        (B,) degrees.
    """
    a, b = vertex_normals(points, triangles), vertex_normals(target, triangles)
    # The arc cosine is blunt near 0; the arc tangent is not.
    angle = torch.atan2(torch.linalg.cross(a, b.expand_as(a)).norm(dim=-1), (a * b).sum(-1))
    weights = torch.ones_like(angle) if weights is None else weights.expand_as(angle)
    return torch.rad2deg((weights * angle).sum(-1) / weights.sum(-1))
