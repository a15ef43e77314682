"""The comparison that the whole course leads to: mean face, single fit, pooled fits, network, pooled network.

Every method estimates 198 coefficients from each photograph of known people. It is then judged twice: how far the shape
is from the true one, in mm, and how well its numbers tell the people apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from helpers.crop import authors_crop
from helpers.evaluation.bootstrap import bootstrap_interval
from helpers.evaluation.outer_surface import SIZE_FREE, outer_surface
from helpers.evaluation.protocol import Protocol, micc_rmse, scan_error
from helpers.evaluation.recognition import (
    AllPairs,
    Pairs,
    Verification,
    Whitening,
    auc_interval,
    enough_for,
    make_pairs,
    rank_one,
    represent,
    verify,
)
from helpers.evaluation.shape import shape_rmse
from helpers.evaluation.surface import Surface
from helpers.face_model import MorphableModel
from helpers.fitting import FitModel, FitSettings, fit
from helpers.landmarks import Detection
from helpers.pooling import pool
from helpers.progress import progress_bar

if TYPE_CHECKING:
    from helpers.datasets import SyntheticPeople
    from helpers.regression import Network

QUICK = replace(SIZE_FREE, tolerance=0.01)  # mm; half the rounds, and errors that differ by some 0.001 mm


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


@dataclass(frozen=True)
class Pictures:
    """Pictures of people, drawn once, so that every method sees the same ones.

    Attributes:
        image: (N, S, S, 3) sRGB, 0 to 1.
        landmarks: (N, 68, 2) px.
        confidence: (N,) of the detector.
        person: (N,) whom they show.
    """

    image: Tensor
    landmarks: Tensor
    confidence: Tensor
    person: Tensor

    @classmethod
    def draw(cls, people: SyntheticPeople, *, batch: int = 12, progress: bool = True) -> Pictures:
        """All pictures of some people."""
        starts = torch.arange(len(people)).split(batch)
        drawn = [
            people.batch(some) for some in progress_bar(starts, "pictures", unit="batch", shown=progress)
        ]
        return cls(*(torch.cat([getattr(b, name) for b in drawn]) for name in cls.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.image)

    def batch(self, indices: Tensor) -> Pictures:
        """Some of them, as `SyntheticPeople.batch` gives them."""
        return Pictures(*(getattr(self, name)[indices] for name in self.__dataclass_fields__))

    def squares(self, size: int) -> Pictures:
        """The same in the square of the authors' code, for a network that sees nothing but the image."""
        crops = [
            authors_crop(image.cpu().numpy(), Detection.from_points(points.cpu().numpy()), size)
            for image, points in zip(self.image, self.landmarks, strict=True)
        ]
        image, points = (
            torch.cat([getattr(crop, name) for crop in crops]) for name in ("image", "landmarks")
        )
        return Pictures(image.to(self.image), points.to(self.landmarks), self.confidence, self.person)


class Ruler:
    """Measures shapes against the heads of people, as a scanner would see them.

    Args:
        people: Whose heads are the truth, at rest.
        model: Whose shapes are measured.
        protocol: Of the alignment. With the size free, as a picture does not tell it.

    Attributes:
        unfinished: How many of the alignments so far did not come to rest.
    """

    def __init__(self, people: SyntheticPeople, model: MorphableModel, protocol: Protocol = QUICK):
        self.model, self.protocol = model.to("cpu"), protocol
        self._known: dict[tuple[bytes, int], float] = {}
        self.unfinished = 0
        self.scans = [
            outer_surface(Surface.of(head, people.model.triangles.cpu(), people.model.landmarks))
            for head in people.neutral.cpu()
        ]

    def __call__(self, alpha: Tensor, person: int) -> float:
        """3DRMSE in mm of the shape of coefficients (K,) against one person."""
        alpha = alpha.detach().cpu().float()
        known = (alpha.numpy().tobytes(), person)
        if known not in self._known:
            face = Surface.of(self.model.shape(alpha[None])[0], self.model.triangles, self.model.landmarks)
            error = scan_error(face, self.scans[person], self.protocol)
            self._known[known], self.unfinished = error.rmse, self.unfinished + (not error.converged)
        return self._known[known]


@dataclass(frozen=True)
class PersonErrors:
    """How far one method is off, by person: twice, over all pictures and over those that are kept.

    Attributes:
        name: Of the method.
        every: (P,) mm, the mean over all pictures of a person, or the error of the face pooled from all.
        kept: (P,) mm, the same of the kept ones alone; NaN for people of whom none is kept.
    """

    name: str
    every: np.ndarray
    kept: np.ndarray


def measure(
    name: str,
    alpha: Tensor,
    person: Tensor,
    kept: Tensor,
    ruler: Callable[[Tensor, int], float],
    *,
    pooled: bool = False,
    confidence: Tensor | None = None,
    progress: bool = True,
) -> PersonErrors:
    """Measure one method on N pictures of P people.

    `kept` is one rule for all methods: a comparison in which one method leaves out what is hard and another does not
    compares the rules, not the methods.

    Args:
        name: Of the method.
        alpha: (N, K) of the pictures.
        person: (N,) whom they show, 0 to P − 1.
        kept: (N,) bool.
        ruler: The error in mm of coefficients (K,) of a person, such as a `Ruler`.
        pooled: Whether the face of a person is pooled from her pictures, and not each picture's measured.
        confidence: (N,) by which pictures count when they are pooled; None for all alike.
        progress: Whether a bar is shown.
    """
    people = int(person.max()) + 1
    alpha, person, kept = alpha.cpu(), person.cpu(), kept.cpu()
    if pooled:
        rule = "uniform" if confidence is None else "confidence"
        weigh = None if confidence is None else confidence.cpu()
        faces = [
            pool(alpha, person, rule, confidence=weigh, ok=ok).coefficients
            for ok in (torch.ones_like(kept), kept)
        ]
        todo = [(face[p], p) for face in faces for p in range(people)]
        errors = _measured(name, todo, ruler, progress).reshape(2, people)
        return PersonErrors(name, *errors)
    errors = _measured(name, list(zip(alpha, person.tolist(), strict=True)), ruler, progress)
    who, keep = person.numpy(), kept.numpy()
    means = [_means(errors[rows], who[rows], people) for rows in (np.ones_like(keep), keep)]
    return PersonErrors(name, *means)


def _measured(name: str, todo: list[tuple[Tensor, int]], ruler, progress: bool) -> np.ndarray:
    with progress_bar(todo, f"3DRMSE, {name}", unit="face", leave=False, shown=progress) as bar:
        return np.array([ruler(a, p) if bool(a.isfinite().all()) else np.nan for a, p in bar])


def _means(values: np.ndarray, person: np.ndarray, people: int) -> np.ndarray:
    """(P,) means by person, NaN without a value."""
    count = np.bincount(person, minlength=people)
    total = np.bincount(person, values, minlength=people)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def error_rows(errors: Sequence[PersonErrors], against: str) -> list[dict[str, str | float]]:
    """A table of methods, like for like: the same pictures, one rule of rejection for all, and paired intervals.

    Args:
        errors: Of the methods; "mean face" must be among them.
        against: The name of the method that all are compared with.

    Returns:
        A row for each. "every" and "kept": mm, means over the people that have a kept picture (so both are of the same people);
        "every_part", "kept_part": the means of the errors in parts of the mean face's. "difference", "low", "high": mm, on
        kept pictures, less those of `against`, with the interval of a bootstrap over people. "people": how many.
    """
    named = {each.name: each for each in errors}
    has = np.isfinite(np.stack([each.kept for each in errors])).all(0)
    base, other, rows = named["mean face"], named[against], []
    for each in errors:
        row = {"method": each.name, "people": float(has.sum())}
        for what in ("every", "kept"):
            mm = getattr(each, what)[has]
            row |= {what: float(mm.mean()), f"{what}_part": float((mm / getattr(base, what)[has]).mean())}
        if each.name != against and has.sum() > 1:
            found = bootstrap_interval(each.kept[has] - other.kept[has])
            row |= {"difference": found.mean, "low": found.low, "high": found.high}
        rows.append(row)
    return rows


def auc_rows(methods: Sequence[Method], far: float = 0.01) -> list[dict[str, str | float]]:
    """Recognition by all pairs, with the interval of a bootstrap over people.

    Args:
        methods: Their templates are compared.
        far: The false accept rate at which "tar" is taken.

    Returns:
        A row for each: "people", "one" and "two" (pairs of one person, of two), "auc", "low", "high", "tar" (NaN unless there
        are `enough_for` it), and the mean cosines "within" and "between" people.
    """
    rows = []
    for method in methods:
        pairs = AllPairs.of(method.templates, method.template_owner)
        area, same = auc_interval(pairs), pairs.same
        rows.append(
            {
                "method": method.name,
                "people": pairs.people,
                "one": int(same.sum()),
                "two": int((~same).sum()),
                "within": float(pairs.score[same].mean()),
                "between": float(pairs.score[~same].mean()),
                "auc": area.mean,
                "low": area.low,
                "high": area.high,
                "tar": pairs.true_accept_at(far),
            }
        )
    return rows


def fit_photographs(
    people: SyntheticPeople | Pictures,
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
    people: SyntheticPeople | Pictures, network: Network, *, batch: int = 64
) -> tuple[Tensor, Tensor]:
    """Predict every photograph of some people.

    Args:
        people: With framing "network"; a network that looks at the points takes any.
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
        A row for each kind: "accuracy", "standard_error", "auc", "eer", "tar" (NaN where the pairs are too few for it, see
        `enough_for`), "rank_one"; and the verifications by kind, for their curves. Where nothing can be learnt to whiten by, that
        row has only NaN, and a "note" that tells why.
    """
    rows, results = [], {}
    numbers = ("accuracy", "standard_error", "auc", "eer", "tar", "rank_one")
    who = person.to(pairs.first.device)
    told = enough_for(far, who[pairs.first], who[pairs.second])
    for kind in kinds:
        try:
            results[kind] = result = recognise(vectors, person, kind, pairs=pairs)
        except ValueError as error:
            if kind != "whitened":
                raise
            rows.append(
                {"method": name, "kind": kind, **dict.fromkeys(numbers, float("nan")), "note": str(error)}
            )
            continue
        curve = result.curve
        rows.append(
            {
                "method": name,
                "kind": kind,
                "accuracy": result.accuracy,
                "standard_error": result.standard_error,
                "auc": curve.auc,
                "eer": curve.eer,
                "tar": curve.true_accept_at(far) if told else float("nan"),
                "rank_one": float("nan") if kind == "whitened" else identify(vectors, person, kind),
                "note": "",
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
