"""Bring the lengths of the drawn people to those that surveys report.

MakeHuman's sliders are artists' forms; how far apart people lie along them is not known. So the people are drawn first,
by hand-made ranges, and measured; then each one's sliders are moved as little as it takes to give the whole
population the means, the standard deviations and the correlations of the surveys, for each sex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from helpers.face_model.anthropometry import SEXES, Measure, Row, mixture
from helpers.model_builder.statistics import principal_components

ROUNDS = 8  # lengths are not quite linear
# How exactly a person's measures are to be met, as a share of their standard deviation. Not exactly: some depend on
# each other, as a face's height on those of its parts, and the surveys of the parts measured other people.
# Angles between points a few millimetres apart are measured less surely.
TOLERANCE, ANGLE_TOLERANCE = 0.1, 1.0
DIRECTIONS = 150  # in which people are moved


@dataclass(frozen=True)
class Target:
    """What the measures of one sex are to be.

    Attributes:
        mean: (K,) mm or degrees.
        covariance: (K, K).
    """

    mean: np.ndarray
    covariance: np.ndarray


def nearest_correlation(matrix: np.ndarray) -> np.ndarray:
    """Make a symmetric matrix with a unit diagonal positive definite, by clipping its eigenvalues."""
    value, vector = np.linalg.eigh(matrix)
    positive = (vector * np.clip(value, 1e-2, None)) @ vector.T
    scale = np.sqrt(np.diag(positive))
    return positive / scale[:, None] / scale


def target(
    own: np.ndarray, listed: list[Measure], rows: list[Row], published: dict[tuple[str, str], float], sex: str
) -> Target:
    """Set the target of one sex.

    Args:
        own: (K, K) correlations among the drawn people of this sex, which stay where none is published.
        listed: The K measures.
        rows: What the surveys report.
        published: Pairs of keys → r.
        sex: "M" or "F".
    """
    mixed = [mixture(rows, measure.key) for measure in listed]
    correlation = own.copy()
    place = {measure.key: k for k, measure in enumerate(listed)}
    for (a, b), r in published.items():
        if a in place and b in place:
            i, j = place[a], place[b]
            correlation[i, j] = correlation[j, i] = r
    sd = np.array([m.sd[sex] for m in mixed])
    return Target(np.array([m.mean[sex] for m in mixed]), nearest_correlation(correlation) * sd[:, None] * sd)


def transport(values: np.ndarray, wanted: Target) -> np.ndarray:
    """Move samples (n, K) to a mean and covariance by the linear map that moves them least.

    Source:
        M. Knott and C. S. Smith, "On the optimal mapping of distributions", 1984: the map between two Gaussians.
    """
    mean, covariance = values.mean(0), np.cov(values.T)
    root = _power(covariance, 0.5)
    inverse_root = _power(covariance, -0.5)
    matrix = inverse_root @ _power(root @ wanted.covariance @ root, 0.5) @ inverse_root
    return wanted.mean + (values - mean) @ matrix


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Raise a symmetric positive definite matrix to a power."""
    value, vector = np.linalg.eigh(matrix)
    return (vector * np.clip(value, 1e-12, None) ** exponent) @ vector.T


class Ruler:
    """Measures control meshes: the points lie on the refined surface, not on the control vertices.

    Args:
        refine: (V, N), from control to fine vertices.
        points: Name → fine vertex.
        listed: The measures.
    """

    def __init__(self, refine: sp.csr_matrix, points: dict[str, int], listed: list[Measure]):
        self.rows, self.names, self.listed = refine[list(points.values())], list(points), listed

    def places(self, faces: np.ndarray) -> np.ndarray:
        """Find the points of control meshes (n, N, 3) mm: (n, P, 3) mm."""
        return np.stack([(self.rows @ faces[..., axis].T).T for axis in range(3)], axis=-1)

    def measure(self, places: np.ndarray) -> np.ndarray:
        """Measure between points (..., P, 3) mm: (..., K) mm or degrees."""
        at = {name: places[..., i, :] for i, name in enumerate(self.names)}
        return np.stack([measure.of(at) for measure in self.listed], axis=-1)

    def slope(self, places: np.ndarray, step: float = 1e-3) -> np.ndarray:
        """Differentiate the measures by the coordinates of the points (n, P, 3) mm: (n, K, P, 3), by differences."""
        out = np.empty((*places.shape[:1], len(self.listed), *places.shape[1:]))
        for i in range(len(self.names)):
            for axis in range(3):
                shift = np.zeros(places.shape[1:])
                shift[i, axis] = step
                out[:, :, i, axis] = (self.measure(places + shift) - self.measure(places - shift)) / (
                    2 * step
                )
        return out


def calibrate(
    faces: np.ndarray,
    female: np.ndarray,
    refine: sp.csr_matrix,
    ruler: Ruler,
    rows: list[Row],
    published: dict[tuple[str, str], float],
) -> np.ndarray:
    """Change people as little as it takes for their measures to have the statistics of the surveys.

    "Little" is counted in standard deviations of the drawn people's own principal components: so a longer nose
    changes as the longer noses among the drawn people do.

    Args:
        faces: (n, N, 3) mm, the drawn people, aligned, on the control mesh.
        female: (n,) bool.
        refine: (V, N), from control to fine vertices.
        ruler: Measures control meshes.
        rows: What the surveys report.
        published: Published correlations.

    Returns:
        (n, N, 3) mm.
    """
    modes = principal_components(faces, refine, min(DIRECTIONS, len(faces) - 1)).modes.T
    fields = modes.reshape(-1, *faces.shape[1:])  # (F, N, 3), each one standard deviation long
    start, by_field = ruler.places(faces).astype(float), ruler.places(fields).astype(float)
    before = ruler.measure(start)
    aim, tolerance = np.empty_like(before), np.zeros(before.shape[1])
    for sex, mine in zip(SEXES, (~female, female), strict=True):
        wanted = target(np.corrcoef(before[mine].T), ruler.listed, rows, published, sex)
        aim[mine] = transport(before[mine], wanted)
        tolerance += np.diag(wanted.covariance) / len(SEXES)
    tolerance *= [(TOLERANCE if measure.unit == "mm" else ANGLE_TOLERANCE) ** 2 for measure in ruler.listed]

    # Gauss-Newton on |aim − measured|² / tolerance + |amount|² for each person, in the space of the K measures.
    amount = np.zeros((len(faces), len(fields)))
    for _ in range(ROUNDS):
        places = start + np.einsum("nf,fpc->npc", amount, by_field)
        slope = np.einsum("nkpc,fpc->nkf", ruler.slope(places), by_field)
        short = aim - ruler.measure(places) + np.einsum("nkf,nf->nk", slope, amount)
        gram = slope @ slope.transpose(0, 2, 1) + np.diag(tolerance)
        amount = np.einsum("nkf,nk->nf", slope, np.linalg.solve(gram, short[..., None])[..., 0])
    return faces + np.tensordot(amount.astype(np.float32), fields, axes=1)
