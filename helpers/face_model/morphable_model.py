"""A 3D morphable model: a face as a mean plus weighted modes (Blanz and Vetter 1999; Tran et al. 2017).

    S = S̄ + E_S · diag(σ_S) · α     shape, mm
    T = T̄ + E_T · diag(σ_T) · β     texture, sRGB 0–1

α and β are in standard deviations: a priori each is drawn from N(0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class FaceCoefficients:
    """Faces as numbers, in standard deviations: alpha (B, Ks), beta (B, Kt), expression (B, Ke)."""

    alpha: Tensor
    beta: Tensor
    expression: Tensor

    def to(self, *args, **kwargs) -> FaceCoefficients:
        return FaceCoefficients(*(getattr(self, f.name).to(*args, **kwargs) for f in fields(self)))


@dataclass(frozen=True)
class MorphableModel:
    """Means, modes and semantics of a face model with V vertices and F triangles.

    mean_shape: (V, 3) mm.  shape_basis: (V, 3, Ks) columns of unit length.  shape_std: (Ks,) mm.
    mean_texture: (V, 3) sRGB 0–1.  texture_basis: (V, 3, Kt) columns of unit length.  texture_std: (Kt,).
    expression_basis: (V, 3, Ke) or None, expression_std: (Ke,): modes around the neutral face (zero = neutral).
    expression_units: (V, 3, U) mm at full activation, or None; expression_names: their U names.
    triangles: (F, 3) int64, anticlockwise seen from outside.  landmarks: (68,) int64 vertices, or None.
    masks: name → (V,) weights 0–1.
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

    @property
    def n_vertices(self) -> int:
        return len(self.mean_shape)

    def shape(self, alpha: Tensor, expression: Tensor | None = None) -> Tensor:
        """Vertices (B, V, 3) in mm of alpha (B, K ≤ Ks) and expression (B, K ≤ Ke); fewer mean zeros."""
        faces = _plus_modes(self.mean_shape.reshape(-1), self.shape_basis, self.shape_std, alpha, "alpha")
        if expression is not None:
            if self.expression_basis is None:
                raise ValueError(f"{self.name} has no expressions; leave `expression` out")
            faces = _plus_modes(faces, self.expression_basis, self.expression_std, expression, "expression")
        return faces.reshape(-1, *self.mean_shape.shape)

    def texture(self, beta: Tensor) -> Tensor:
        """Vertex colours (B, V, 3) of beta (B, K ≤ Kt), clipped to 0–1."""
        mean = self.mean_texture.reshape(-1)
        colours = _plus_modes(mean, self.texture_basis, self.texture_std, beta, "beta")
        return colours.reshape(-1, *self.mean_texture.shape).clamp(0, 1)

    def sample(
        self, n: int, generator: torch.Generator | None = None, expression_strength: float = 0.0
    ) -> FaceCoefficients:
        """`n` random people from the prior N(0, 1), with a neutral face unless `expression_strength` > 0."""
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        n_expressions = 0 if self.expression_std is None else len(self.expression_std)
        sizes = (len(self.shape_std), len(self.texture_std), n_expressions)
        # The generator fixes the device: drawn there, then moved, so that a seed gives the same people everywhere.
        device = "cpu" if generator is None else generator.device
        drawn = [torch.randn(n, k, generator=generator, device=device).to(self.shape_std) for k in sizes]
        return FaceCoefficients(drawn[0], drawn[1], drawn[2] * expression_strength)

    def to(self, *args, **kwargs) -> MorphableModel:
        """Move (and, given a floating dtype, convert) all tensors, as `torch.Tensor.to`."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {name: _to(value, *args, **kwargs) for name, value in moved.items()}
        return replace(self, **moved)


def _plus_modes(start: Tensor, basis: Tensor, std: Tensor, coefficients: Tensor, name: str) -> Tensor:
    """start (3·V,) or (B, 3·V) + basis (V, 3, K) · (std · coefficients) for coefficients (B, k ≤ K): (B, 3·V)."""
    if coefficients.ndim != 2 or coefficients.shape[1] > basis.shape[-1]:
        raise ValueError(f"{name} must be (B, at most {basis.shape[-1]}), got {tuple(coefficients.shape)}")
    k = coefficients.shape[1]
    # One product that starts from the mean instead of zero: the faces are written once.
    return torch.addmm(start, coefficients * std[:k], basis.flatten(0, 1)[:, :k].T)


def _to(value, *args, **kwargs):
    if isinstance(value, dict):
        return {key: _to(item, *args, **kwargs) for key, item in value.items()}
    if not isinstance(value, Tensor):
        return value
    if value.is_floating_point():
        return value.to(*args, **kwargs)
    # Vertex numbers stay integers when the model is converted to float64.
    return value.to(torch.empty(0, device=value.device).to(*args, **kwargs).device)
