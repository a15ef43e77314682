"""Bring the lengths of the drawn people to those that surveys report.

How far apart people lie along MakeHuman's sliders is not known. So the people are drawn first, by hand-made ranges, and
measured; then each is changed as little as it takes to give the whole population the means, the standard deviations
and the correlations of the surveys, for each sex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from helpers.face_model.anthropometry import SEXES, Measure, Row, mixture
from helpers.model_builder.statistics import principal_components

ROUNDS, AIMS = 5, 3  # steps for lengths that are not quite linear, and corrections of the aim
AIM_LIMITS = 0.7, 1.4  # of the standard deviation that is wanted
DIRECTIONS = 150  # in which people are moved


@dataclass(frozen=True)
class Target:
    """What the measures of one sex are to be.

    Attributes:
        mean: (K,) mm or degrees.
        sd: (K,) standard deviations, mm or degrees.
        correlation: (K, K).
    """

    mean: np.ndarray
    sd: np.ndarray
    correlation: np.ndarray

    def corrected(self, wanted: Target, reached: np.ndarray) -> Target:
        """Aim at other standard deviations where those of the measures (n, K) that were reached fall short."""
        sd = self.sd * wanted.sd / reached.std(0)
        low, high = (limit * wanted.sd for limit in AIM_LIMITS)
        return Target(self.mean, np.clip(sd, low, high), self.correlation)


def nearest_correlation(matrix: np.ndarray) -> np.ndarray:
    """Make a symmetric matrix with a unit diagonal positive definite, by clipping its eigenvalues."""
    value, vector = np.linalg.eigh(matrix)
    positive = (vector * np.clip(value, 1e-2, None)) @ vector.T
    scale = np.sqrt(np.diag(positive))
    return positive / scale[:, None] / scale


def target(
    drawn: np.ndarray,
    listed: list[Measure],
    rows: list[Row],
    published: dict[tuple[str, str], float],
    sex: str,
) -> Target:
    """Set the target of one sex.

    Args:
        drawn: (n, K) measures of the drawn people of this sex. Their correlations stay where none is published.
            The spreads of their angles stay where those of the surveys, which include errors of measurement, are wider.
        listed: The K measures.
        rows: What the surveys report.
        published: Pairs of keys → r.
        sex: "M" or "F".
    """
    mixed = [mixture(rows, measure) for measure in listed]
    correlation = np.corrcoef(drawn.T)
    place = {measure.key: k for k, measure in enumerate(listed)}
    for (a, b), r in published.items():
        if a in place and b in place:
            i, j = place[a], place[b]
            correlation[i, j] = correlation[j, i] = r
    mean, sd = (np.array([getattr(m, name)[sex] for m in mixed]) for name in ("mean", "sd"))
    angle = np.array([measure.unit != "mm" for measure in listed])
    sd[angle] = np.minimum(sd, drawn.std(0))[angle]
    return Target(mean, sd, nearest_correlation(correlation))


def transport(values: np.ndarray, wanted: Target) -> np.ndarray:
    """Move samples (n, K) to a mean and covariance by the linear map that moves them least.

    Source:
        M. Knott and C. S. Smith, "On the optimal mapping of distributions", 1984: the map between two Gaussians.
    """
    mean, covariance = values.mean(0), np.cov(values.T)
    root = _power(covariance, 0.5)
    inverse_root = _power(covariance, -0.5)
    to = wanted.correlation * wanted.sd[:, None] * wanted.sd
    matrix = inverse_root @ _power(root @ to @ root, 0.5) @ inverse_root
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
    more: np.ndarray,
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
        more: (G, N, 3) mm, fields that may be used beside the components, at the same price as one of them.
        refine: (V, N), from control to fine vertices.
        ruler: Measures control meshes.
        rows: What the surveys report.
        published: Published correlations.

    Returns:
        (n, N, 3) mm.
    """
    modes = principal_components(faces, refine, min(DIRECTIONS, len(faces) - 1)).modes.T
    fields = np.concatenate([modes.reshape(-1, *faces.shape[1:]), more])  # (F, N, 3)
    start, by_field = ruler.places(faces).astype(float), ruler.places(fields).astype(float)
    before = ruler.measure(start)
    sexes = {sex: mine for sex, mine in zip(SEXES, (~female, female), strict=True)}
    wanted = {sex: target(before[mine], ruler.listed, rows, published, sex) for sex, mine in sexes.items()}
    share = np.array([measure.tolerance or 0.0 for measure in ruler.listed])
    tolerance = (share * np.mean([w.sd for w in wanted.values()], axis=0)) ** 2
    aimed, amount = wanted, np.zeros((len(faces), len(fields)))
    for _ in range(AIMS):
        aim = np.empty_like(before)
        for sex, mine in sexes.items():
            aim[mine] = transport(before[mine], aimed[sex])
        amount, reached = _approach(aim, tolerance, amount, start, by_field, ruler)
        aimed = {sex: aimed[sex].corrected(wanted[sex], reached[mine]) for sex, mine in sexes.items()}
    return faces + np.tensordot(amount.astype(np.float32), fields, axes=1)


def _approach(
    aim: np.ndarray,
    tolerance: np.ndarray,
    amount: np.ndarray,
    start: np.ndarray,
    by_field: np.ndarray,
    ruler: Ruler,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise Σ (aim − measured)² / tolerance + |amount|² for each person, by Gauss-Newton.

    Args:
        aim: (n, K) mm or degrees.
        tolerance: (K,) variances.
        amount: (n, F) of each field to begin with.
        start: (n, P, 3) mm, the points before.
        by_field: (F, P, 3) mm, how each field moves them.
        ruler: The measures.

    Returns:
        The amounts (n, F), and what is measured then, (n, K).
    """

    def places() -> np.ndarray:
        return start + np.einsum("nf,fpc->npc", amount, by_field)

    for _ in range(ROUNDS):
        at = places()
        slope = np.einsum("nkpc,fpc->nkf", ruler.slope(at), by_field, optimize=True)
        short = aim - ruler.measure(at) + np.einsum("nkf,nf->nk", slope, amount)
        gram = slope @ slope.transpose(0, 2, 1) + np.diag(tolerance)  # in the space of the K measures: K < F
        amount = np.einsum("nkf,nk->nf", slope, np.linalg.solve(gram, short[..., None])[..., 0])
    return amount, ruler.measure(places())
