"""The comparison that the whole course leads to: mean face, single fit, pooled fits, network, pooled network.

Every method says for each photograph of known people which 198 numbers it shows. It is then judged twice: how far the shape
is from the true one, in mm, and how well its numbers tell the people apart.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from helpers.pooling import pool
from helpers.progress import progress_bar


@dataclass(frozen=True)
class Method:
    """What one method says of N photographs of P people.

    faces: (M, 198), α then β, each a face to be measured in mm, and owner (M,) whose it is, from 0 to P − 1. One a photograph,
    or one a person for a pooled method.
    templates: (T, 198) and template_owner (T,): what is compared in recognition. For a pooled method each person has two,
    from the first half of the photographs and from the second, which share none.
    """

    name: str
    faces: Tensor
    owner: Tensor
    templates: Tensor
    template_owner: Tensor


def single(name: str, vectors: Tensor, person: Tensor) -> Method:
    """A method that gives vectors (N, 198) for N photographs of person (N,)."""
    return Method(name, vectors, person, vectors, person)


def pooled(
    name: str, vectors: Tensor, person: Tensor, confidence: Tensor | None = None, ok: Tensor | None = None
) -> Method:
    """The same, pooled by person: by confidence (N,), or alike where there is none. ok: (N,) bool, False leaves one out."""
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
    people, model, *, batch: int = 16, settings=None, progress: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Fit every photograph of a `SyntheticPeople` with framing "fit": vectors (N, 198), the detector's confidence (N,), and
    whether each fit can be believed (N,). progress: with a bar."""
    from helpers.fitting import FitModel, fit

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


def predict_photographs(people, network, *, batch: int = 64) -> tuple[Tensor, Tensor]:
    """Let a network see every photograph of a `SyntheticPeople` with framing "network": vectors (N, 198), confidence (N,)."""
    vectors, confidence = [], []
    for start in range(0, len(people), batch):
        photos = people.batch(torch.arange(start, min(start + batch, len(people))))
        with torch.no_grad():
            found = network.predict(photos.image)
        vectors.append(torch.cat([found.alpha, found.beta], -1))
        confidence.append(photos.confidence)
    return torch.cat(vectors), torch.cat(confidence)


def shape_table(
    model: MorphableModel, alpha: Tensor, methods: list[Method], *, icp: bool = True, progress: bool = True
) -> list[dict]:
    """How far each method is from the true shapes of alpha (P, Ks): a row each.

    rigid, similarity: mm over the vertices of the face that the model's mask "skin" names (all, if it has none), after
    the best alignment of corresponding vertices without and with scale: mean over the faces, and rigid_std.
    icp, icp_std: 3DRMSE by the protocol `MICC`, for the first face of each person; NaN unless asked for.
    cosine: of α with the true α.  length: ‖α‖ / ‖true α‖.  progress: with a bar.
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
    """Verification of photographs or templates (N, K) of person (N,), by the protocol of LFW.

    kind: one of `REPRESENTATIONS`. "whitened" learns its whitening anew for each fold, from the people of the others.
    pairs: given ones, or they are drawn by `make_pairs`.
    """
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
    """Rank one: the first vector of each person is enrolled, all others ask who they are. "whitened" is not offered, as
    nobody is left to learn it from."""
    first = torch.zeros(len(person), dtype=torch.bool)
    for p in person.unique():
        first[(person == p).nonzero()[0]] = True
    units = represent(vectors, kind)
    return rank_one(units[first], person[first], units[~first], person[~first])


def recognition_rows(
    name: str,
    vectors: Tensor,
    person: Tensor,
    pairs: Pairs,
    kinds=("plain", "signed root", "whitened"),
    far: float = 0.01,
) -> tuple[list[dict], dict[str, Verification]]:
    """A row for each kind of representation of vectors (N, K) of person (N,): accuracy, standard_error, auc, eer, tar (at
    `far`), rank_one; and the verifications by kind, for their curves."""
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
    methods: list[Method], kinds=("plain",), *, folds: int = 10, far: float = 0.01, seed: int = 0
) -> tuple[list[dict], dict[str, Verification]]:
    """`recognition_rows` of each method's templates; the verifications by "METHOD, KIND"."""
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
    """Cosines of all pairs of one person, and of all pairs of two people, each as one list."""
    units = represent(vectors)
    a, b = torch.triu_indices(len(person), len(person), 1)
    cosine = (units[a] * units[b]).sum(-1)
    same = person[a] == person[b]
    return cosine[same], cosine[~same]
