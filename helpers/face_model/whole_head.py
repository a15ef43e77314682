"""The rest of the head: cranium, nape and neck behind the face, for pictures.

The face model ends at the hairline, behind the ears and under the chin, where a fit has nothing more to look at. Its
`rest` follows from the same coefficients, so that a turned face has a back.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from helpers.face_model.morphable_model import MorphableModel


@dataclass(frozen=True)
class RestOfHead:
    """R vertices behind the V of the face.

    Attributes:
        mean_shape: (R, 3) mm.
        shape_modes: (R, 3, Ks) mm per standard deviation of the face's coefficients.
        mean_texture: (R, 3) sRGB 0–1.
        texture_modes: (R, 3, Kt) per standard deviation.
        expression_modes: (R, 3, Ke) mm per standard deviation.
        expression_units: (R, 3, U) mm at full activation.
        triangles: (F, 3) int64; numbers below V are the face's vertices.
        masks: Name → (R,) weights 0–1, for each of the face's masks.
    """

    mean_shape: Tensor
    shape_modes: Tensor
    mean_texture: Tensor
    texture_modes: Tensor
    expression_modes: Tensor
    expression_units: Tensor
    triangles: Tensor
    masks: dict[str, Tensor]

    def to(self, *args: Any, **kwargs: Any) -> RestOfHead:
        """Move (and, given a floating dtype, convert) all tensors, as `torch.Tensor.to`."""
        device = torch.empty(0, device=self.triangles.device).to(*args, **kwargs).device
        moved = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("triangles", "masks")}
        return RestOfHead(
            **{name: value.to(*args, **kwargs) for name, value in moved.items()},
            triangles=self.triangles.to(device),
            masks={name: mask.to(*args, **kwargs) for name, mask in self.masks.items()},
        )


def with_rest(model: MorphableModel) -> MorphableModel:
    """Join a face model and the rest of its head: the same coefficients, V + R vertices.

    The first V vertices, with their masks, and the landmarks are the face's. Columns of the bases are unit vectors again, with
    σ changed to match; they are no longer at right angles.

    Returns:
        The whole head; the model itself if it has no `rest`.
    """
    rest = model.rest
    if rest is None:
        return model

    def joined(basis: Tensor, std: Tensor, modes: Tensor) -> tuple[Tensor, Tensor]:
        # A model may have been cut to its first modes.
        both = torch.cat([basis * std, modes[..., : len(std)]])
        length = both.flatten(0, 1).norm(dim=0)
        return both / torch.where(length > 0, length, 1), length

    shape_basis, shape_std = joined(model.shape_basis, model.shape_std, rest.shape_modes)
    texture_basis, texture_std = joined(model.texture_basis, model.texture_std, rest.texture_modes)
    changed: dict[str, Any] = {}
    if model.expression_basis is not None and model.expression_std is not None:
        basis, std = joined(model.expression_basis, model.expression_std, rest.expression_modes)
        changed |= {"expression_basis": basis, "expression_std": std}
    if model.expression_units is not None:
        changed["expression_units"] = torch.cat([model.expression_units, rest.expression_units])
    if model.masks is not None:
        changed["masks"] = {name: torch.cat([mask, rest.masks[name]]) for name, mask in model.masks.items()}
    return replace(
        model,
        mean_shape=torch.cat([model.mean_shape, rest.mean_shape]),
        shape_basis=shape_basis,
        shape_std=shape_std,
        mean_texture=torch.cat([model.mean_texture, rest.mean_texture]),
        texture_basis=texture_basis,
        texture_std=texture_std,
        triangles=torch.cat([model.triangles, rest.triangles]),
        rest=None,
        **changed,
    )
