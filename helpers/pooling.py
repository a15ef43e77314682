"""Pooling: what all photographs of one person agree on (Tran et al. 2017).

    γ = Σ_i w_i γ_i,   w_i ≥ 0,   Σ_i w_i = 1   over the photographs of a person,

with γ_i = [α_i, β_i] the coefficients that a fit found for photograph i. As shape and texture are linear in γ, the
face of the average is the average of the faces. In the paper w_i is the confidence of the landmark detector.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.device import check_one_device
from helpers.fitting import FitSettings

RULES = ("confidence", "uniform", "ranking", "robust", "median", "precision")
WEISZFELD_STEPS = 30
NEAREST = 1e-3  # of a person's usual distance from the middle, below which a photograph gains no more weight


@dataclass(frozen=True)
class Pooled:
    """One vector for each person.

    Attributes:
        person: (P,) the labels, in increasing order.
        coefficients: (P, K); NaN for a person without a usable fit.
        weights: (N,) of each photograph within its person; they sum to 1, and are 0 for excluded photographs. NaN under
            the rules "median" and "precision", which weigh each coefficient on its own.
        used: (P,) number of photographs that counted.
        excluded: (P,) number of those that did not.
    """

    person: Tensor
    coefficients: Tensor
    weights: Tensor
    used: Tensor
    excluded: Tensor


def pool(
    coefficients: Tensor,
    person: Tensor,
    rule: str = "confidence",
    *,
    confidence: Tensor | None = None,
    covariance: Tensor | None = None,
    ok: Tensor | None = None,
    correlation: float = FitSettings.photo_correlation,
) -> Pooled:
    """Pool the coefficients of N photographs by person.

    The rules, by which the weight w_i of photograph i among the n of its person is chosen:

    - "confidence": w_i ∝ confidence_i: the detector's (the paper), or the fit's own.
    - "uniform": w_i = 1 / n.
    - "ranking": the better half of a person's photographs by confidence, rounded up, count alike. With
      `normal_agreement` as confidence it stands for the quality ranking of Piotraschke and Blanz (2016).
    - "robust": the geometric median: Σ_i ‖γ − γ_i‖ is least, so one bad fit in three does not count.
    - "median": each coefficient's own median.
    - "precision": the product of the fits' posteriors: a coefficient that a photograph does not show is taken from
      another one. See `product_of_posteriors`.

    A confidence that is missing (NaN) counts as 0. Where all of a person's are 0, they count alike: something is
    known of that person. A person with one photograph keeps its coefficients (under "precision" too).

    Args:
        coefficients: (N, K); those that are not finite never count.
        person: (N,) whole numbers in any order.
        rule: one of `RULES`.
        confidence: (N,) not negative; the rules "confidence" and "ranking" need it.
        covariance: (N, K, K) of the fits, or its diagonal (N, K); the rule "precision" needs it.
        ok: (N,) bool, False for fits that must not count.
        correlation: of the errors that a person's photographs share, 0 to 1, under the rule "precision"; by default that
            of the joint fit.

    Raises:
        ValueError: shapes that do not fit together, negative confidences, covariances that are none, a correlation out of
            range or an unknown rule.
    """
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation must lie between 0 and 1, got {correlation}")
    confidence, usable = _checked(coefficients, person, rule, confidence, covariance, ok)
    people, index = person.unique(return_inverse=True)
    P = len(people)
    used = torch.zeros(P, dtype=torch.long, device=index.device).index_add_(0, index, usable.long())
    total = torch.bincount(index, minlength=P)
    clean = torch.where(usable[:, None], coefficients, 0.0)
    weights = torch.full_like(confidence, torch.nan)
    if rule == "median":
        pooled = _medians(coefficients, index, usable, P)
    elif rule == "precision" and covariance is not None:
        pooled = product_of_posteriors(clean, covariance, index, usable, P, correlation)
    else:
        raw = torch.where(usable, confidence, 0.0)
        if rule == "ranking":
            raw = _better_half(raw, index, usable, used)
        weights = _shares(raw, index, usable, P)
        if rule == "robust":
            weights = _weiszfeld(clean, index, usable, P)
        pooled = _sum(weights[:, None] * clean, index, P)
    pooled = torch.where((used > 0)[:, None], pooled, torch.nan)
    return Pooled(people, pooled, weights, used, total - used)


def product_of_posteriors(
    mean: Tensor, covariance: Tensor, index: Tensor, usable: Tensor, P: int, correlation: float = 0.0
) -> Tensor:
    """The mode of the product of normal posteriors with one prior N(0, I) among them.

    Each posterior has precision Λ_i = L_i + I, with L_i the information of its photograph and I that of the prior. All
    n photographs together have Σ L_i, and the prior is there once: Λ = Σ Λ_i − (n − 1) I. The mean solves
    Λ γ = Σ Λ_i γ_i. Adding the Λ_i as they are would count the prior n times, and draw everybody towards the mean face.

    That holds if the photographs err independently. What the model lacks, it lacks in all of them: with the correlation ρ
    between their errors n photographs are worth n / κ, κ = 1 + ρ (n − 1), as in `helpers.fitting.fit_person`. Then
    (Σ L_i / κ + I) γ = Σ Λ_i γ_i / κ.

    Args:
        mean: (N, K) coefficients of the photographs.
        covariance: (N, K, K), or (N, K) for its diagonal.
        index: (N,) number of each photograph's person, from 0 to P − 1.
        usable: (N,) bool.
        P: number of people.
        correlation: ρ, 0 to 1.

    Returns:
        (P, K) coefficients.

    Raises:
        ValueError: A covariance (N, K, K) that is used is not positive definite.
    """
    n = _sum(usable.to(mean), index, P)
    κ = 1 + correlation * (n - 1).clamp(min=0)
    if covariance.dim() == 2:
        # A fit never knows less than the prior; rounding must not make it so.
        Λ = torch.where(usable[:, None], 1 / covariance.clamp(min=1e-8, max=1.0), 0.0)
        information = _sum(Λ, index, P) - n[:, None]
        return _sum(Λ * mean, index, P) / (information + κ[:, None]).clamp(min=1.0)
    identity = torch.eye(mean.shape[1], dtype=mean.dtype, device=mean.device)
    factor, failed = torch.linalg.cholesky_ex(torch.where(usable[:, None, None], covariance, identity))
    if bool(failed.any()):
        rows = failed.nonzero()[:3, 0].tolist()
        raise ValueError(f"covariances must be positive definite; those of the photographs {rows} are not")
    Λ = torch.where(usable[:, None, None], torch.cholesky_inverse(factor), 0.0)
    right = torch.where(usable[:, None], torch.cholesky_solve(mean[..., None], factor)[..., 0], 0.0)
    whole = _sum(Λ, index, P) + (κ - n)[:, None, None] * identity
    return torch.cholesky_solve(_sum(right, index, P)[..., None], torch.linalg.cholesky(whole))[..., 0]


def normal_agreement(normals: Tensor, index: Tensor, P: int) -> Tensor:
    """Mean cosine between the normals of each fit and those of its person's average.

    A fit that went wrong has a surface unlike the person's other ones.

    Args:
        normals: (N, V, 3) unit normals of the fits.
        index: (N,) number of each photograph's person, from 0 to P − 1.
        P: number of people.

    Returns:
        (N,) from 0 to 1. Negative values are set to 0, so that the result can serve as a confidence.
    """
    middle = torch.nn.functional.normalize(_sum(normals, index, P), dim=-1)
    return (normals * middle[index]).sum(-1).mean(-1).clamp(min=0)


def _checked(
    coefficients: Tensor,
    person: Tensor,
    rule: str,
    confidence: Tensor | None,
    covariance: Tensor | None,
    ok: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Confidence (N,) of the rule, and which photographs (N,) can be used."""
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if coefficients.dim() != 2 or not coefficients.is_floating_point():
        raise ValueError(
            f"coefficients must be floating-point numbers (N, K), got {tuple(coefficients.shape)} {coefficients.dtype}"
        )
    N, K = coefficients.shape
    if person.shape != (N,) or person.is_floating_point():
        raise ValueError(f"person must be whole numbers ({N},), got {tuple(person.shape)} {person.dtype}")
    if rule in ("confidence", "ranking") and confidence is None:
        raise ValueError(f'rule "{rule}" needs confidence ({N},)')
    if rule == "precision" and covariance is None:
        raise ValueError(f'rule "precision" needs covariance ({N}, {K}, {K}) or ({N}, {K})')
    if covariance is not None and covariance.shape not in ((N, K, K), (N, K)):
        raise ValueError(f"covariance must be ({N}, {K}, {K}) or ({N}, {K}), got {tuple(covariance.shape)}")
    if ok is not None and (ok.shape != (N,) or ok.dtype != torch.bool):
        raise ValueError(f"ok must be bool ({N},), got {tuple(ok.shape)} {ok.dtype}")
    if confidence is not None and confidence.shape != (N,):
        raise ValueError(f"confidence must be ({N},), got {tuple(confidence.shape)}")
    check_one_device(
        coefficients=coefficients, person=person, confidence=confidence, covariance=covariance, ok=ok
    )
    if confidence is None or rule in ("uniform", "robust"):
        confidence = coefficients.new_ones(N)
    confidence = torch.nan_to_num(confidence.to(coefficients), nan=0.0)
    if bool((confidence < 0).any()) or bool(torch.isinf(confidence).any()):
        raise ValueError("confidence must be finite and not negative")
    usable = torch.isfinite(coefficients).all(1)
    if covariance is not None:
        usable &= torch.isfinite(covariance.flatten(1)).all(1)
    return confidence, usable if ok is None else usable & ok


def _sum(values: Tensor, index: Tensor, P: int) -> Tensor:
    """Sums over the rows of each person: (N, …) to (P, …)."""
    return values.new_zeros(P, *values.shape[1:]).index_add_(0, index, values)


def _shares(raw: Tensor, index: Tensor, usable: Tensor, P: int) -> Tensor:
    """(N,) weights in proportion to `raw` that sum to 1 for each person; alike where all are 0."""
    nothing = _sum(raw, index, P)[index] <= 0
    raw = torch.where(nothing & usable, 1.0, raw)
    return raw / _sum(raw, index, P)[index].clamp(min=torch.finfo(raw.dtype).tiny)


def _places(value: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The order by person and then by falling value, and each photograph's place (N,) within its person, from 0."""
    order = value.argsort(descending=True, stable=True)
    order = order[index[order].argsort(stable=True)]
    start = torch.bincount(index).cumsum(0).roll(1)
    start[0] = 0
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device) - start[index[order]]
    return order, place


def _better_half(confidence: Tensor, index: Tensor, usable: Tensor, used: Tensor) -> Tensor:
    _, place = _places(torch.where(usable, confidence, -1.0), index)
    return ((place < (used[index] + 1) // 2) & usable).to(confidence)


def _medians(coefficients: Tensor, index: Tensor, usable: Tensor, P: int) -> Tensor:
    """(P, K) medians; of an even number, the mean of the middle two. People are sorted, not looped over."""
    rows = usable.nonzero()[:, 0]
    if not len(rows):
        return coefficients.new_zeros(P, coefficients.shape[1])
    values, owner = coefficients[rows], index[rows]
    order = values.argsort(0)
    owners = owner[order]
    by_person = torch.argsort(owners, dim=0, stable=True)
    values = values.gather(0, order.gather(0, by_person))  # sorted by person, then by value, in each column
    count = torch.bincount(owner, minlength=P)
    start = (count.cumsum(0) - count)[:, None]
    last = len(rows) - 1
    low = (start + (count[:, None] - 1).clamp(min=0) // 2).clamp(max=last).expand(-1, values.shape[1])
    high = (start + count[:, None] // 2).clamp(max=last).expand(-1, values.shape[1])
    return (values.gather(0, low) + values.gather(0, high)) / 2


def _weiszfeld(coefficients: Tensor, index: Tensor, usable: Tensor, P: int) -> Tensor:
    """(N,) weights of the geometric median, by Weiszfeld's iteration: each photograph counts by 1 / its distance."""
    weights = _shares(usable.to(coefficients), index, usable, P)

    def distance() -> Tensor:
        middle = _sum(weights[:, None] * coefficients, index, P)
        return (coefficients - middle[index]).norm(dim=-1)

    # A photograph at the median itself would count without end; a small share of the usual distance bounds it.
    least = NEAREST * _sum(weights * distance(), index, P)[index] + 1e-12
    for _ in range(WEISZFELD_STEPS):
        weights = _shares(torch.where(usable, 1 / (distance() + least), 0.0), index, usable, P)
    return weights
