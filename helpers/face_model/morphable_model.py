"""A 3D morphable model: a face as a mean plus weighted modes (Blanz and Vetter 1999; Tran et al. 2017).

    S = S̄ + E_S · diag(σ_S) · α     shape, mm
    T = T̄ + E_T · diag(σ_T) · β     texture, sRGB 0–1

α and β are in standard deviations: a priori each is drawn from N(0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from helpers.device import check_one_device
from helpers.face_model.whole_head import RestOfHead, with_rest

GREY = 0.7  # the colour of a model that has none, sRGB
NOSE_TIP = 30  # of the 68 points


@dataclass(frozen=True)
class FaceCoefficients:
    """B faces as numbers, in standard deviations.

    Attributes:
        alpha: (B, Ks), of shape.
        beta: (B, Kt), of texture.
        expression: (B, Ke).
    """

    alpha: Tensor
    beta: Tensor
    expression: Tensor

    def to(self, *args: Any, **kwargs: Any) -> FaceCoefficients:
        """Move or convert all tensors, as `torch.Tensor.to`."""
        return FaceCoefficients(*(getattr(self, f.name).to(*args, **kwargs) for f in fields(self)))


@dataclass(frozen=True)
class MorphableModel:
    """Means, modes and semantics of a face model with V vertices and F triangles.

    Attributes:
        mean_shape: (V, 3) mm.
        shape_basis: (V, 3, Ks), columns of unit length.
        shape_std: (Ks,) mm.
        mean_texture: (V, 3) sRGB 0–1.
        texture_basis: (V, 3, Kt), columns of unit length.
        texture_std: (Kt,).
        triangles: (F, 3) int64, anticlockwise seen from outside.
        name: What the model is called.
        licence: Under which it may be used.
        landmarks: (68,) int64 vertices, or None.
        masks: Name → (V,) weights 0–1.
        expression_basis: (V, 3, Ke), modes around the neutral face (zero = neutral), or None.
        expression_std: (Ke,), or None.
        expression_units: (V, 3, U) mm at full activation, or None.
        expression_names: The U names of the units.
        rest: The rest of the head, for pictures, or None.
    """

    mean_shape: Tensor
    shape_basis: Tensor
    shape_std: Tensor
    mean_texture: Tensor
    texture_basis: Tensor
    texture_std: Tensor
    triangles: Tensor
    name: str
    licence: str
    landmarks: Tensor | None = None
    masks: dict[str, Tensor] | None = None
    expression_basis: Tensor | None = None
    expression_std: Tensor | None = None
    expression_units: Tensor | None = None
    expression_names: tuple[str, ...] = ()
    rest: RestOfHead | None = None

    @property
    def n_vertices(self) -> int:
        """V."""
        return len(self.mean_shape)

    @cached_property
    def whole_head(self) -> MorphableModel:
        """The model with cranium, nape and neck behind the face, for pictures; itself if it has none.

        The first V vertices are the same, and coefficients mean the same faces.
        """
        return with_rest(self)

    def shape(self, alpha: Tensor, expression: Tensor | None = None) -> Tensor:
        """Compute the vertices of faces.

        Args:
            alpha: (B, K ≤ Ks), in standard deviations; fewer mean zeros.
            expression: (B, K ≤ Ke), in standard deviations, or None for neutral faces.

        Returns:
            Vertices (B, V, 3) mm.

        Raises:
            ValueError: Too many coefficients, or expressions of a model that has none.
        """
        faces = _plus_modes(self.mean_shape.reshape(-1), self.shape_basis, self.shape_std, alpha, "alpha")
        if expression is not None:
            if self.expression_basis is None or self.expression_std is None:
                raise ValueError(f"{self.name} has no expressions; leave `expression` out")
            faces = _plus_modes(faces, self.expression_basis, self.expression_std, expression, "expression")
        return faces.reshape(-1, *self.mean_shape.shape)

    def texture(self, beta: Tensor) -> Tensor:
        """Compute the vertex colours of faces.

        Args:
            beta: (B, K ≤ Kt), in standard deviations; fewer mean zeros.

        Returns:
            Colours (B, V, 3), sRGB clipped to 0–1.

        Raises:
            ValueError: Too many coefficients.
        """
        mean = self.mean_texture.reshape(-1)
        colours = _plus_modes(mean, self.texture_basis, self.texture_std, beta, "beta")
        return colours.reshape(-1, *self.mean_texture.shape).clamp(0, 1)

    def sample(
        self, n: int, generator: torch.Generator | None = None, expression_strength: float = 0.0
    ) -> FaceCoefficients:
        """Draw random people from the prior N(0, 1).

        Args:
            n: How many, 1 or more.
            generator: Of the random numbers; the same seed gives the same people on every device.
            expression_strength: Standard deviation of the expression coefficients; 0 is a neutral face.

        Returns:
            The coefficients of `n` faces.

        Raises:
            ValueError: `n` is below 1.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        n_expressions = 0 if self.expression_std is None else len(self.expression_std)
        sizes = (len(self.shape_std), len(self.texture_std), n_expressions)
        # The generator fixes the device: drawn there, then moved, so that a seed gives the same people everywhere.
        device = "cpu" if generator is None else generator.device
        drawn = [torch.randn(n, k, generator=generator, device=device).to(self.shape_std) for k in sizes]
        return FaceCoefficients(drawn[0], drawn[1], drawn[2] * expression_strength)

    def to(self, *args: Any, **kwargs: Any) -> MorphableModel:
        """Move (and, given a floating dtype, convert) all tensors, as `torch.Tensor.to`."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {name: _to(value, *args, **kwargs) for name, value in moved.items()}
        return replace(self, **moved)


def _plus_modes(start: Tensor, basis: Tensor, std: Tensor, coefficients: Tensor, name: str) -> Tensor:
    """start (3·V,) or (B, 3·V) + basis (V, 3, K) · (std · coefficients) for coefficients (B, k ≤ K): (B, 3·V)."""
    if coefficients.ndim != 2 or coefficients.shape[1] > basis.shape[-1]:
        raise ValueError(f"{name} must be (B, at most {basis.shape[-1]}), got {tuple(coefficients.shape)}")
    check_one_device(**{name: coefficients, "the model": start})
    k = coefficients.shape[1]
    # One product that starts from the mean instead of zero: the faces are written once.
    return torch.addmm(start, coefficients * std[:k], basis.flatten(0, 1)[:, :k].T)


def _to(value, *args, **kwargs):
    if isinstance(value, dict):
        return {key: _to(item, *args, **kwargs) for key, item in value.items()}
    if isinstance(value, RestOfHead):
        return value.to(*args, **kwargs)
    if not isinstance(value, Tensor):
        return value
    if value.is_floating_point():
        return value.to(*args, **kwargs)
    # Vertex numbers stay integers when the model is converted to float64.
    return value.to(torch.empty(0, device=value.device).to(*args, **kwargs).device)
