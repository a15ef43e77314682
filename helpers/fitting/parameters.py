"""What a fit solves for, and how a step of the solver changes it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.camera import Pose
from helpers.face_model import MorphableModel
from helpers.pose import turn


@dataclass(frozen=True)
class Layout:
    """Where each kind of parameter sits in a vector of `size` numbers: α, expression, β, pose (6), light (27)."""

    n_shape: int
    n_expression: int
    n_texture: int

    @property
    def n_geometry(self) -> int:
        return self.n_shape + self.n_expression

    @property
    def n_coefficients(self) -> int:
        return self.n_geometry + self.n_texture

    @property
    def size(self) -> int:
        return self.n_coefficients + 6 + 27

    @property
    def alpha(self) -> slice:
        return slice(0, self.n_shape)

    @property
    def expression(self) -> slice:
        return slice(self.n_shape, self.n_geometry)

    @property
    def beta(self) -> slice:
        return slice(self.n_geometry, self.n_coefficients)

    @property
    def pose(self) -> slice:
        return slice(self.n_coefficients, self.n_coefficients + 6)

    @property
    def light(self) -> slice:
        return slice(self.n_coefficients + 6, self.size)


@dataclass(frozen=True)
class FaceState:
    """One point of the search, for B photographs.

    coefficients: (B, n_shape + n_expression + n_texture), in standard deviations.
    pose: B poses.  light: (B, 9, 3).
    """

    coefficients: Tensor
    pose: Pose
    light: Tensor

    def moved(self, step: Tensor, layout: Layout) -> FaceState:
        """The state after a step (B, layout.size). Rotations compose; everything else adds."""
        return FaceState(
            self.coefficients + step[:, : layout.n_coefficients],
            turn(self.pose, step[:, layout.pose]),
            self.light + step[:, layout.light].reshape(-1, 9, 3),
        )


class FitModel:
    """A face model laid out for fitting: one contiguous row of all modes for each vertex.

    `basis` (V, 3, n_coefficients) holds shape and expression modes (mm per standard deviation) and texture
    modes (colour per standard deviation) side by side, so that a sampled vertex is read in one piece.
    """

    def __init__(self, model: MorphableModel):
        if model.landmarks is None:
            raise ValueError(f"the face model {model.name!r} has no 68 landmarks; a fit needs them")
        parts = [model.shape_basis * model.shape_std]
        n_expression = 0
        if model.expression_basis is not None:
            n_expression = model.expression_basis.shape[-1]
            parts.append(model.expression_basis * model.expression_std)
        parts.append(model.texture_basis * model.texture_std)
        self.model = model
        self.layout = Layout(model.shape_basis.shape[-1], n_expression, model.texture_basis.shape[-1])
        self.basis = torch.cat(parts, -1).contiguous()
        self.triangles = model.triangles
        self.masks = model.masks or {}
        # Without masks every vertex counts, hair and mouth or not.
        self.weight = self.masks.get("skin", torch.ones_like(model.mean_shape[:, 0]))

    @cached_property
    def triangle_weight(self) -> Tensor:
        """(F,) mean weight of a triangle's corners in the pixel term."""
        return self.weight[self.triangles].mean(-1)

    @cached_property
    def landmark_mean(self) -> Tensor:
        """(68, 3) mm, the landmark vertices of the mean face."""
        return self.model.mean_shape[self.model.landmarks]

    @cached_property
    def landmark_basis(self) -> Tensor:
        """(68, 3, n_geometry) mm per standard deviation."""
        return self.basis[self.model.landmarks][..., : self.layout.n_geometry]

    def geometry(self, coefficients: Tensor) -> Tensor:
        """Vertices (B, V, 3) mm of coefficients (B, n_coefficients)."""
        n = self.layout.n_geometry
        rows = self.basis.view(-1, self.layout.n_coefficients)[:, :n]
        return self.model.mean_shape + (coefficients[:, :n] @ rows.T).view(len(coefficients), -1, 3)

    def albedo(self, coefficients: Tensor) -> Tensor:
        """Vertex colours (B, V, 3), not clipped: the fit needs a slope outside the gamut too."""
        n = self.layout.n_geometry
        rows = self.basis.view(-1, self.layout.n_coefficients)[:, n:]
        return self.model.mean_texture + (coefficients[:, n:] @ rows.T).view(len(coefficients), -1, 3)

    def landmarks(self, coefficients: Tensor) -> Tensor:
        """The 68 landmark vertices (B, 68, 3) mm, without the rest of the mesh."""
        n = self.layout.n_geometry
        return self.landmark_mean + torch.einsum("vdk,bk->bvd", self.landmark_basis, coefficients[:, :n])
