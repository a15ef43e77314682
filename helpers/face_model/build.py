"""Build a morphable model from a population of heads: align, take the mean, find the principal components.

There are far fewer heads (N) than coordinates (3·V). The N × N table of their inner products, the Gram matrix, has
the same non-zero eigenvalues as the 3·V × 3·V covariance (Turk and Pentland 1991 used this for pictures of faces);
for 2000 heads of 53,000 vertices it takes 32 MB instead of 200 GB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.face_model.alignment import Alignment, align
from helpers.face_model.morphable_model import GREY, MorphableModel

CHUNK = 1024  # vertices at a time
NEGLIGIBLE = 4  # times the rounding of the largest variance: below it, a mode is rounding


@dataclass(frozen=True)
class Spread:
    """How a population varies.

    Attributes:
        variance: (R,) float64, of every mode it has, the largest first, mm² (or colour²).
        kept: How many of them are in the model.
        noise_variance: What the others leave at a coordinate, on average.
    """

    variance: Tensor
    kept: int
    noise_variance: float

    @property
    def explained(self) -> Tensor:
        """(R,) share of the whole variance that the first 1, 2, … R modes hold."""
        return self.variance.cumsum(0) / self.variance.sum()


@dataclass(frozen=True)
class BuiltModel:
    """What `build_model` returns.

    Attributes:
        model: The face model.
        shape: How the shapes vary.
        texture: How the colours vary, or None where there were none.
        alignment: How the heads moved.
    """

    model: MorphableModel
    shape: Spread
    texture: Spread | None
    alignment: Alignment


def build_model(
    meshes: Tensor,
    triangles: Tensor,
    *,
    textures: Tensor | None = None,
    n_modes: int = 99,
    align_by: str = "rigid",
    weights: Tensor | None = None,
    reference: Tensor | None = None,
    landmarks: Tensor | None = None,
    masks: dict[str, Tensor] | None = None,
    name: str = "Model built from a population of heads",
    licence: str = "that of the heads it was built from",
) -> BuiltModel:
    """Build a model of shape, and of texture if given, from N heads that share one topology.

    The modes are the eigenvectors of the sample covariance (divided by N − 1), σ the roots of its eigenvalues.
    The noise variance is the maximum-likelihood one of probabilistic PCA, the mean of the left-out eigenvalues over
    all left-out directions. float64 meshes are handled in float64 throughout; for float32 ones products are summed
    in float64 over blocks of vertices.

    Args:
        meshes: (N, V, 3) mm, floats; they are read in place and not changed.
        triangles: (F, 3).
        textures: (N, V, 3) sRGB 0–1, or None for a grey model without texture modes.
        n_modes: At most this many modes; N heads have at most N − 1.
        align_by: Method of `align`.
        weights: (V,), see `align`.
        reference: (V, 3) mm, see `align`.
        landmarks: (68,) vertices, passed on to the model.
        masks: Name → (V,) weights, passed on to the model.
        name: Passed on to the model.
        licence: Passed on to the model.

    Returns:
        The model, and how the population varies and moved.

    Raises:
        UserError: Wrong shapes, numbers that are not finite, or heads that are all the same.

    Source:
        M. E. Tipping and C. M. Bishop, "Probabilistic principal component analysis", JRSS B 1999.
    """
    moves = align(meshes, align_by, weights=weights, reference=reference)
    N, V, _ = meshes.shape
    if N < 2:
        raise UserError("a model needs two heads or more, got one")
    if textures is not None and textures.shape != meshes.shape:
        raise UserError(f"textures must be {tuple(meshes.shape)} like meshes, got {tuple(textures.shape)}")
    if not isinstance(n_modes, int) or n_modes < 1:
        raise UserError(f"n_modes={n_modes!r}: a model has at least one mode")
    if not bool(moves.mean.isfinite().all()):
        raise UserError("meshes hold numbers that are not finite; leave such heads out")

    def shapes(part: slice) -> Tensor:
        return moves.apply(meshes, part) - moves.mean[part].to(meshes)

    shape_basis, shape_std, shape = _components(shapes, N, V, n_modes)
    mean_texture = torch.full_like(meshes[0], GREY)
    texture_basis, texture_std, texture = meshes.new_zeros(V, 3, 0), meshes.new_zeros(0), None
    if textures is not None:
        mean_texture = textures.mean(0)
        texture_basis, texture_std, texture = _components(
            lambda part: textures[:, part] - mean_texture[part], N, V, n_modes
        )
    model = MorphableModel(
        moves.mean.to(meshes),
        shape_basis,
        shape_std,
        mean_texture,
        texture_basis,
        texture_std,
        triangles,
        name,
        licence,
        landmarks=landmarks,
        masks=masks,
    )
    return BuiltModel(model, shape, texture, moves)


def _components(
    centred: Callable[[slice], Tensor], N: int, V: int, n_modes: int
) -> tuple[Tensor, Tensor, Spread]:
    """Basis (V, 3, K), σ (K,) and spread of N samples; `centred` gives them (N, C, 3) for a slice of vertices."""
    parts = [slice(start, min(start + CHUNK, V)) for start in range(0, V, CHUNK)]
    gram, total = torch.zeros((), dtype=torch.float64), 0.0
    for part in parts:
        block = centred(part).reshape(N, -1)
        gram = gram.to(block.device) + (block @ block.T).double()
        total += float(block.double().square().sum()) / (N - 1)
    if not bool(gram.isfinite().all()):
        raise UserError("the heads hold numbers that are not finite; leave such heads out")
    value, vector = torch.linalg.eigh(gram)
    value, vector = value.flip(0).clamp(min=0) / (N - 1), vector.flip(1)
    rank = int((value > NEGLIGIBLE * torch.finfo(block.dtype).eps * value[0]).sum())
    if rank == 0:
        raise UserError("all heads are the same: there is nothing that varies")
    K = min(n_modes, rank)
    # The sign of an eigenvector is arbitrary; its largest entry is made positive.
    vector = vector[:, :K]
    vector = vector * vector.gather(0, vector.abs().argmax(0, keepdim=True)).sign()
    # Xᵀv has the length √((N − 1)·variance).
    weight = vector / ((N - 1) * value[:K]).sqrt()
    basis = torch.cat(
        [torch.einsum("nvc,nk->vck", block := centred(part), weight.to(block)) for part in parts]
    )
    # The small eigenvalues drown in rounding; what the large ones leave of the exact sum does not.
    noise = max(0.0, total - float(value[:K].sum())) / max(1, 3 * V - K)
    return _orthonormal(basis), value[:K].sqrt().to(basis), Spread(value[:rank], K, noise)


def _orthonormal(basis: Tensor) -> Tensor:
    """The orthonormal columns nearest to those of (V, 3, K), which rounding has tilted a little (Löwdin 1950)."""
    overlap = basis.new_zeros((), dtype=torch.float64)
    for part in basis.split(CHUNK):
        flat = part.reshape(-1, basis.shape[-1]).double()
        overlap = overlap + flat.T @ flat
    value, vector = torch.linalg.eigh(overlap)
    return basis @ ((vector / value.sqrt()) @ vector.T).to(basis)
