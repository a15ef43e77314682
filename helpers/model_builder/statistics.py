"""Align the sampled faces and find their principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp


def kabsch(moving: np.ndarray, fixed: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Find the rotations that bring faces nearest to a fixed one.

    By numpy's SVD and not by `helpers.alignment`, whose rounding differs: so a rebuild gives the model that ships.

    Args:
        moving: (n, V, 3), centred.
        fixed: (V, 3), centred.
        weights: (V,).

    Returns:
        R (n, 3, 3), for moving @ R.
    """
    covariance = np.einsum("nvi,v,vj->nij", moving, weights, fixed, optimize=True)
    u, _, vt = np.linalg.svd(covariance)
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[:, None]  # a rotation, not a reflection
    return u @ vt


def procrustes(faces: np.ndarray, weights: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Align faces rigidly to their own mean; size is kept, because it belongs to a face.

    Args:
        faces: (n, V, 3) mm.
        weights: (V,), not negative, with a sum of 1.
        rounds: How often the mean is taken again.

    Returns:
        (n, V, 3) mm, with the weighted mean of each face at the origin.
    """
    faces = faces - np.einsum("nvi,v->ni", faces, weights)[:, None]
    for _ in range(rounds):
        faces = faces @ kabsch(faces, faces.mean(0), weights).astype(faces.dtype)
    return faces


@dataclass(frozen=True)
class Components:
    """What `principal_components` finds in n samples of C coordinates.

    Attributes:
        mean: (C,).
        modes: (C, K), each one standard deviation long.
        std: (K,).
        explained: (n,) cumulative fraction of the variance.
    """

    mean: np.ndarray
    modes: np.ndarray
    std: np.ndarray
    explained: np.ndarray


def principal_components(samples: np.ndarray, refine: sp.csr_matrix, k: int) -> Components:
    """Find the principal components of samples given on coarse vertices, as seen on the fine mesh.

    There are more coordinates than samples, so the Gram matrix of the samples is diagonalised instead of the
    covariance. Its inner product is the one of the refined mesh: there the modes come out orthogonal.

    Args:
        samples: (n, V, 3).
        refine: (fine V, V), from coarse to fine vertices.
        k: How many components to return.

    Returns:
        The components, on coarse vertices.
    """
    n = len(samples)
    mean = samples.mean(0)
    centred = samples - mean
    metric = (refine.T @ refine).tocsr().astype(np.float32)
    weighted = metric @ centred.transpose(1, 0, 2).reshape(centred.shape[1], -1)
    weighted = weighted.reshape(-1, n, 3).transpose(1, 0, 2).reshape(n, -1)
    flat = centred.reshape(n, -1)
    gram = (flat @ weighted.T).astype(np.float64)
    value, vector = np.linalg.eigh((gram + gram.T) / 2)
    value, vector = np.clip(value[::-1], 0, None), vector[:, ::-1]
    # The eigenvectors' sign is arbitrary; fix it so that a rebuild gives the same modes.
    vector = vector * np.sign(vector[np.abs(vector).argmax(0), np.arange(n)])
    modes = flat.T @ (vector[:, :k] / np.sqrt(n - 1)).astype(np.float32)
    return Components(mean.ravel(), modes, np.sqrt(value[:k] / (n - 1)), np.cumsum(value) / value.sum())


def orthonormalising_mix(modes: np.ndarray, refine: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Find the mix that makes rounded modes exactly orthonormal on the fine mesh.

    Rounding the stored numbers leaves cosines of about 1e-3 between the modes. The symmetric square root
    gives the orthonormal basis nearest to them, so no mode changes its meaning.

    Args:
        modes: (V·3, K), rounded.
        refine: (fine V, V).

    Returns:
        The matrix (K, K), and the standard deviations (K,).

    Source:
        P.-O. Löwdin, "On the non-orthogonality problem", 1950.
    """
    k = modes.shape[1]
    fine = refine @ modes.reshape(-1, 3 * k).astype(np.float64)
    fine = fine.reshape(-1, k)
    gram = fine.T @ fine
    std = np.sqrt(np.diag(gram))
    value, vector = np.linalg.eigh(gram / std[:, None] / std)
    mix = (vector / np.sqrt(value)) @ vector.T / std[:, None]
    order = np.argsort(-std, kind="stable")  # rounding may swap neighbours of nearly equal std
    return mix[:, order], std[order]


def expression_components(
    units: np.ndarray, names: list[str], refine: sp.csr_matrix, k: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the uncentred principal components of sampled combinations of units.

    Uncentred, so that zero stays the neutral face; the modes' lengths on the fine mesh are their std.

    Args:
        units: (U, V, 3) mm at full activation.
        names: The U names of the units.
        refine: (fine V, V).
        k: How many components to return.
        seed: Of the sampled activations.

    Returns:
        The mix (U, k) with modes = Σ mix · unit, their std (k,), and the explained fractions (U,).
    """
    metric = (refine.T @ refine).tocsr()
    flat = units.reshape(len(units), -1).astype(np.float64)
    weighted = np.stack([(metric @ unit).ravel() for unit in units.astype(np.float64)])
    activation = sample_activations(names, 4000, np.random.default_rng(seed))
    second_moment = activation.T @ activation / len(activation)
    root = np.linalg.cholesky(second_moment + 1e-9 * np.eye(len(names)))
    value, vector = np.linalg.eigh(root.T @ (flat @ weighted.T) @ root)
    value, vector = value[::-1], vector[:, ::-1]
    mix = root @ vector[:, :k]
    mix = mix * np.sign(mix[np.abs(mix).argmax(0), np.arange(k)])
    return mix, np.sqrt(value[:k]), np.cumsum(value) / value.sum()


def sample_activations(names: list[str], n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw activations (n, U) from 0 to 1: each unit is on in three of ten faces, left and right mostly together."""
    out = np.zeros((n, len(names)))
    pairs: dict[str, np.ndarray] = {}
    for j, name in enumerate(names):
        sideways = name in ("mouthLeft", "mouthRight", "jawLeft", "jawRight")
        pair = name if sideways else name.replace("Left", "").replace("Right", "")
        if pair not in pairs:
            pairs[pair] = (rng.random(n) < 0.3) * rng.beta(1.2, 2.0, n)
        value = pairs[pair]
        if pair != name:
            value = value * np.clip(1 + 0.35 * rng.normal(size=n), 0, 1.6)
            one_sided = (rng.random(n) < 0.12) & (value > 0)
            value = np.where(one_sided, rng.random(n) * 0.5, value)
        out[:, j] = np.clip(value, 0, 1)
    return out
