"""The comparison that the whole course leads to: mean face, single fit, pooled fits, network, pooled network.

Every method estimates 198 coefficients from each photograph of known people. It is then judged twice: how far the shape
is from the true one, in mm, and how well its numbers tell the people apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from helpers.evaluation.protocol import micc_rmse
from helpers.evaluation.recognition import (
    Pairs,
    Verification,
    Whitening,
    make_pairs,
    rank_one,
    represent,
    verify,
)
from helpers.evaluation.shape import shape_rmse
from helpers.evaluation.surface import Surface
from helpers.face_model import MorphableModel
from helpers.fitting import FitModel, FitSettings, fit
from helpers.pooling import pool
from helpers.progress import progress_bar

if TYPE_CHECKING:
    from helpers.datasets import SyntheticPeople
    from helpers.regression import Network


@dataclass(frozen=True)
class Method:
    """What one method makes of N photographs of P people.

    Attributes:
        name: Of the method.
        faces: (M, 198), α then β, each a face to be measured in mm: one per photograph, or one per person for a pooled method.
        owner: (M,) whose face it is, from 0 to P − 1.
        templates: (T, 198), what is compared in recognition. For a pooled method each person has two, from the first half of
            the photographs and from the second, which share none.
        template_owner: (T,) whose template it is.
    """

    name: str
    faces: Tensor
    owner: Tensor
    templates: Tensor
    template_owner: Tensor


def single(name: str, vectors: Tensor, person: Tensor) -> Method:
    """A method that gives vectors (N, 198) for N photographs, which show the people `person` (N,)."""
    return Method(name, vectors, person, vectors, person)


def pooled(
    name: str, vectors: Tensor, person: Tensor, confidence: Tensor | None = None, ok: Tensor | None = None
) -> Method:
    """A method whose vectors are pooled by person.

    Args:
        name: Of the method.
        vectors: (N, 198) of photographs.
        person: (N,) whom they show.
        confidence: (N,) by which they count; None for all alike.
        ok: (N,) bool, False leaves a photograph out.
    """
    rule = "uniform" if confidence is None else "confidence"
    people, index = person.unique(return_inverse=True)
    whole = pool(vectors, index, rule, confidence=confidence, ok=ok)
    half = 2 * index + second_half(index)
    parts = pool(vectors, half, rule, confidence=confidence, ok=ok)
    whole_fine, part_fine = (torch.isfinite(p.coefficients).all(1) for p in (whole, parts))
    return Method(
        name,
        whole.coefficients[whole_fine],
        people[whole.person[whole_fine]],
        parts.coefficients[part_fine],
        people[parts.person[part_fine] // 2],
    )


def second_half(index: Tensor) -> Tensor:
    """(N,) 1 for the later half of each person's photographs, in the order in which they come; a lone one is in the first."""
    out = torch.zeros_like(index)
    for person in index.unique():
        rows = (index == person).nonzero()[:, 0]
        out[rows[(len(rows) + 1) // 2 :]] = 1
    return out


def fit_photographs(
    people: SyntheticPeople,
    model: MorphableModel | FitModel,
    *,
    batch: int = 16,
    settings: FitSettings | None = None,
    progress: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit every photograph of some people.

    Args:
        people: With framing "fit".
        model: The face model.
        batch: Photographs per fit.
        settings: Of the fit; None for its defaults.
        progress: Whether a bar is shown.

    Returns:
        vectors: (N, 198), α then β.
        confidence: (N,) of the detector.
        ok: (N,) bool, whether each fit can be trusted.
    """
    model = model if isinstance(model, FitModel) else FitModel(model)
    vectors, confidence, ok = [], [], []
    with progress_bar(what="fits", total=len(people), unit="photo", shown=progress) as bar:
        for start in range(0, len(people), batch):
            photos = people.batch(torch.arange(start, min(start + batch, len(people))))
            found = fit(photos.image, photos.landmarks, model, settings=settings)
            vectors.append(torch.cat([found.alpha, found.beta], -1))
            confidence.append(photos.confidence)
            ok.append(found.ok)
            bar.update(len(found.ok))
    return torch.cat(vectors), torch.cat(confidence), torch.cat(ok)


def predict_photographs(
    people: SyntheticPeople, network: Network, *, batch: int = 64
) -> tuple[Tensor, Tensor]:
    """Predict every photograph of some people.

    Args:
        people: With framing "network".
        network: A trained one.
        batch: Photographs at a time.

    Returns:
        vectors: (N, 198), α then β.
        confidence: (N,) of the detector.
    """
    vectors, confidence = [], []
    for start in range(0, len(people), batch):
        photos = people.batch(torch.arange(start, min(start + batch, len(people))))
        with torch.no_grad():
            found = network.predict(photos.image, landmarks=photos.landmarks)
        vectors.append(torch.cat([found.alpha, found.beta], -1))
        confidence.append(photos.confidence)
    return torch.cat(vectors), torch.cat(confidence)


def shape_table(
    model: MorphableModel, alpha: Tensor, methods: list[Method], *, icp: bool = True, progress: bool = True
) -> list[dict[str, str | float]]:
    """How far each method is from the true shapes.

    Args:
        model: The face model.
        alpha: (P, Ks), the truth.
        methods: To compare.
        icp: Whether 3DRMSE is measured, too.
        progress: Whether a bar is shown.

    Returns:
        A row for each method. "rigid", "similarity": mm over the vertices of the face that the model's mask "skin" names
        (all, if it has none), after the best alignment of corresponding vertices without and with scale, mean over the
        faces; "rigid_std". "icp", "icp_std": 3DRMSE by the protocol `MICC`, for the first face of each person, or NaN.
        "cosine": of α with the true α. "length": ‖α‖ / ‖true α‖.
    """
    weights = (
        None if not model.masks or "skin" not in model.masks else (model.masks["skin"] > 0.5).to(alpha)[None]
    )
    truth = model.shape(alpha)
    K, rows = alpha.shape[1], []
    for method in methods:
        own, true = method.faces[:, :K], alpha[method.owner]
        shapes = model.shape(own)
        rigid = shape_rmse(shapes, truth[method.owner], weights, scale=False)
        similar = shape_rmse(shapes, truth[method.owner], weights)
        by_icp = np.array([torch.nan])
        if icp:
            firsts = [int((method.owner == p).nonzero()[0]) for p in method.owner.unique()]
            by_icp = np.array(
                [
                    micc_rmse(
                        *(
                            Surface.of(s, model.triangles, model.landmarks)
                            for s in (shapes[f], truth[method.owner[f]])
                        )
                    )
                    for f in progress_bar(
                        firsts, f"3DRMSE, {method.name}", unit="face", leave=False, shown=progress
                    )
                ]
            )
        rows.append(
            {
                "method": method.name,
                "rigid": float(rigid.mean()),
                "rigid_std": float(rigid.std()),
                "similarity": float(similar.mean()),
                "icp": float(by_icp.mean()),
                "icp_std": float(by_icp.std()),
                "cosine": float(cosine_similarity(own, true).mean()),
                "length": float((own.norm(dim=-1) / true.norm(dim=-1)).mean()),
            }
        )
    return rows


def recognise(
    vectors: Tensor,
    person: Tensor,
    kind: str = "plain",
    *,
    folds: int = 10,
    pairs: Pairs | None = None,
    seed: int = 0,
) -> Verification:
    """Verification of photographs or templates, by the protocol of LFW.

    Args:
        vectors: (N, K).
        person: (N,) whose they are.
        kind: One of `REPRESENTATIONS`. "whitened" learns its whitening anew for each fold, from the people of the others.
        folds: Of the pairs that are drawn.
        pairs: To compare; None draws them by `make_pairs`.
        seed: Of the draw.
    """
    person = person.to(vectors.device)
    pairs = make_pairs(person, folds, seed=seed) if pairs is None else pairs
    score = vectors.new_zeros(len(pairs.first))
    if kind != "whitened":
        return verify(pairs.score(represent(vectors, kind)), pairs.same, pairs.fold)
    for k in pairs.fold.unique():
        here = pairs.fold == k
        tested = person[torch.cat([pairs.first[here], pairs.second[here]])].unique()
        others = ~torch.isin(person, tested)
        white = Whitening.of(vectors[others], person[others])
        score[here] = pairs.score(represent(vectors, kind, white))[here]
    return verify(score, pairs.same, pairs.fold)


def identify(vectors: Tensor, person: Tensor, kind: str = "plain") -> float:
    """Rank one: the first vector of each person is enrolled, all others are looked for among those.

    Args:
        vectors: (N, K), on any device.
        person: (N,) whose they are.
        kind: One of `REPRESENTATIONS` but "whitened", as nobody is left to learn it from.
    """
    person = person.to(vectors.device)
    first = torch.zeros(len(person), dtype=torch.bool, device=vectors.device)
    for p in person.unique():
        first[(person == p).nonzero()[0]] = True
    units = represent(vectors, kind)
    return rank_one(units[first], person[first], units[~first], person[~first])


def recognition_rows(
    name: str,
    vectors: Tensor,
    person: Tensor,
    pairs: Pairs,
    kinds: Sequence[str] = ("plain", "signed root", "whitened"),
    far: float = 0.01,
) -> tuple[list[dict[str, str | float]], dict[str, Verification]]:
    """Verification and identification under several representations.

    Args:
        name: Of the method.
        vectors: (N, K).
        person: (N,) whose they are.
        pairs: To compare.
        kinds: Of `REPRESENTATIONS`.
        far: The false accept rate at which "tar" is taken.

    Returns:
        A row for each kind: "accuracy", "standard_error", "auc", "eer", "tar", "rank_one"; and the verifications by kind,
        for their curves.
    """
    rows, results = [], {}
    for kind in kinds:
        results[kind] = result = recognise(vectors, person, kind, pairs=pairs)
        curve = result.curve
        rows.append(
            {
                "method": name,
                "kind": kind,
                "accuracy": result.accuracy,
                "standard_error": result.standard_error,
                "auc": curve.auc,
                "eer": curve.eer,
                "tar": curve.true_accept_at(far),
                "rank_one": float("nan") if kind == "whitened" else identify(vectors, person, kind),
            }
        )
    return rows, results


def recognition_table(
    methods: list[Method],
    kinds: Sequence[str] = ("plain",),
    *,
    folds: int = 10,
    far: float = 0.01,
    seed: int = 0,
) -> tuple[list[dict[str, str | float]], dict[str, Verification]]:
    """`recognition_rows` of each method's templates, with pairs of their own; the verifications by "METHOD, KIND"."""
    rows, results = [], {}
    for method in methods:
        pairs = make_pairs(method.template_owner, folds, seed=seed)
        its_rows, its_results = recognition_rows(
            method.name, method.templates, method.template_owner, pairs, kinds, far
        )
        rows += its_rows
        results |= {f"{method.name}, {kind}": result for kind, result in its_results.items()}
    return rows, results


def spread(vectors: Tensor, person: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines of all pairs of one person, and of all pairs of two people.

    Args:
        vectors: (N, K).
        person: (N,) whose they are.

    Returns:
        Two lists of numbers, (pairs of one person,) and (pairs of two people,).
    """
    units = represent(vectors)
    a, b = torch.triu_indices(len(person), len(person), 1)
    cosine = (units[a] * units[b]).sum(-1)
    same = person[a] == person[b]
    return cosine[same], cosine[~same]
