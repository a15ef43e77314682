"""What can be measured on photographs of one's own people, whose true faces nobody knows: how well photographs agree.

A method that is right gives one face for all photographs of a person, and other faces for other people. The reverse does
not hold: numbers may be steady and wrong. So nothing here is an error in millimetres.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from helpers.crop import FaceCrop, authors_crop
from helpers.errors import UserError
from helpers.evaluation.bootstrap import Interval
from helpers.evaluation.recognition import AllPairs, auc_interval, represent
from helpers.evaluation.skin_tone import typology_angle
from helpers.face_model import MorphableModel
from helpers.fitting import FitModel, fit
from helpers.labelling.photographs import PhotographSource
from helpers.landmarks import Detection
from helpers.progress import progress_bar
from helpers.regression import Network

MOST_PAIRED = (
    1000  # photographs of which all pairs are compared, half a million; of more, people are drawn by lot
)


@dataclass(frozen=True)
class Dropped:
    """A photograph that does not count, and why, in a word and in a sentence."""

    id: str
    person: str
    reason: str
    explanation: str


@dataclass(frozen=True)
class OwnPhotographs:
    """Coefficients of the photographs that could be used, and why the others could not.

    Attributes:
        alpha: (N, Ks).
        beta: (N, Kt).
        place: (N,) in the source.
        names: Of the N photographs.
        people: (N,) whose they are.
        dropped: The others.
    """

    alpha: Tensor
    beta: Tensor
    place: Tensor
    names: list[str]
    people: list[str]
    dropped: list[Dropped]


@dataclass(frozen=True)
class Agreement:
    """How well the photographs of each person agree, over the people with two or more.

    Attributes:
        people: (P,) names.
        count: (P,) photographs of each that count.
        cosine: (P,) mean cosine of the pairs of photographs of each.
        apart: (P,) mm, by how much the shapes of each deviate from their mean.
        tone: (P,) degrees, standard deviation of the skin's individual typology angle.
        within: mm, the same as `apart` over all.
        between: mm, by how much the people themselves deviate from their mean; what `within` adds to it is taken off.
        share: Of the variance of shapes, how much lies between people: 1 if photographs agree, 0 if people are as good as drawn
            by lot (the intraclass correlation).
        cosine_within: Mean over all pairs of one person.
        cosine_between: Mean over all pairs of two.
        tone_within: Degrees, over all.
        tone_between: Degrees, between people.
        pairs: Of the photographs of all people, or of so many that `MOST_PAIRED` photographs are not exceeded.
        area: Under their ROC, with an interval over people.
    """

    people: list[str]
    count: np.ndarray
    cosine: np.ndarray
    apart: np.ndarray
    tone: np.ndarray
    within: float
    between: float
    share: float
    cosine_within: float
    cosine_between: float
    tone_within: float
    tone_between: float
    pairs: AllPairs
    area: Interval

    @property
    def least(self) -> int:
        """Number of the person whose photographs agree least."""
        return int(self.cosine.argmin())


def network_square(image: np.ndarray, face: Detection, size: int) -> FaceCrop:
    """What a network looks at."""
    return authors_crop(image, face, size, device="cpu")


def read_photographs(
    source: PhotographSource,
    find: Callable[[FaceCrop], tuple[Tensor, Tensor, list[tuple[str, str]]]],
    *,
    size: int = 224,
    batch: int = 16,
    progress: bool = True,
) -> OwnPhotographs:
    """Find the coefficients of every photograph of a collection.

    Args:
        source: The photographs.
        find: Of B crops: alpha, beta, and for each crop why it does not count, in a word and in a sentence, or two empty ones.
            `by_fit` and `by_network` make such functions.
        size: px, of the crops.
        batch: Photographs at a time.
        progress: Whether a bar is shown.

    Raises:
        UserError: If no photograph is left, with the reason of the first.
    """
    alphas, betas, places, dropped = [], [], [], []
    starts = range(0, len(source), batch)
    for start in progress_bar(starts, "photographs", unit="batch", shown=progress):
        loaded = source.load(range(start, min(start + batch, len(source))), size)
        dropped += [Dropped(*source.name(place), *why) for place, why in loaded.failed.items()]
        if not loaded.index:
            continue
        alpha, beta, why = find(loaded.faces)
        good = [k for k, (reason, _) in enumerate(why) if not reason]
        dropped += [Dropped(*source.name(loaded.index[k]), *why[k]) for k in range(len(why)) if k not in good]
        alphas.append(alpha[good].cpu())
        betas.append(beta[good].cpu())
        places += [loaded.index[k] for k in good]
    if not places:
        first = dropped[0]
        raise UserError(
            f"none of the {len(dropped)} photographs can be used; {first.id}: {first.explanation}"
        )
    names, people = zip(*(source.name(place) for place in places), strict=True)
    return OwnPhotographs(
        torch.cat(alphas), torch.cat(betas), torch.tensor(places), list(names), list(people), dropped
    )


def by_fit(model: MorphableModel):
    """The `find` of `read_photographs` that fits the face model; what the fit doubts does not count."""
    fit_model = FitModel(model)

    def find(crop: FaceCrop) -> tuple[Tensor, Tensor, list[tuple[str, str]]]:
        crop = crop.to(model.mean_shape.device)
        found = fit(crop.image, crop.landmarks, fit_model, valid=crop.valid)
        why = [
            (str(reason), "" if ok else found.explain(k))
            for k, (reason, ok) in enumerate(zip(found.reason, found.ok.tolist(), strict=True))
        ]
        return found.alpha, found.beta, why

    return find


def by_network(network: Network):
    """The `find` of `read_photographs` that asks a network, which doubts nothing."""

    def find(crop: FaceCrop) -> tuple[Tensor, Tensor, list[tuple[str, str]]]:
        said = network.predict(crop.image, landmarks=crop.landmarks)
        return said.alpha, said.beta, [("", "")] * len(said.alpha)

    return find


def agreement(photographs: OwnPhotographs, model: MorphableModel) -> Agreement:
    """Measure how well photographs of one person agree, and how far people lie apart.

    Args:
        photographs: Of two or more people with two or more photographs each; others do not count.
        model: Whose coefficients they are.

    Raises:
        UserError: If there are no such two people.
    """
    counts = Counter(photographs.people)
    people = sorted(name for name, count in counts.items() if count > 1)
    if len(counts) < 2:
        raise UserError(
            f"all usable photographs are of one person ({next(iter(counts))}): how far people lie apart takes two or more"
        )
    if len(people) < 2:
        raise UserError(
            f"{len(people)} of {len(counts)} people has two usable photographs: whether photographs agree takes two people with "
            "two or more each"
        )
    rows = [k for k, name in enumerate(photographs.people) if name in set(people)]
    person = np.array([people.index(photographs.people[k]) for k in rows])
    alpha, beta = (part[rows].to(model.mean_shape) for part in (photographs.alpha, photographs.beta))
    shape = (
        alpha * model.shape_std
    ).double().cpu().numpy() / model.n_vertices**0.5  # distances are mm per vertex
    skin = model.masks["skin"] > 0.5 if model.masks else slice(None)
    tone = typology_angle(model.texture(beta)[:, skin].mean(1).cpu().numpy())[:, None]
    within, between, apart = _variances(shape, person)
    tone_within, tone_between, tones = _variances(tone, person)
    vectors = torch.cat([alpha, beta], 1).double().cpu()
    number, n = torch.from_numpy(person), np.bincount(person)
    of_each = np.stack([represent(vectors[person == p]).sum(0).numpy() for p in range(len(people))])
    # Σ u·u' over all pairs is (‖Σ u‖² − n) / 2.
    one = (np.square(of_each).sum(1) - n) / 2
    all_pairs, one_pairs = (n.sum() * (n.sum() - 1)) / 2, n * (n - 1) / 2
    both = (np.square(of_each.sum(0)).sum() - n.sum()) / 2
    some = _some_people(number)
    pairs = AllPairs.of(vectors[some], number[some])
    return Agreement(
        people=people,
        count=n,
        cosine=one / one_pairs,
        apart=apart**0.5,
        tone=tones**0.5,
        within=within**0.5,
        between=between**0.5,
        share=between / (between + within) if within + between > 0 else float("nan"),
        cosine_within=float(one.sum() / one_pairs.sum()),
        cosine_between=float((both - one.sum()) / (all_pairs - one_pairs.sum())),
        tone_within=tone_within**0.5,
        tone_between=tone_between**0.5,
        pairs=pairs,
        area=auc_interval(pairs),
    )


def _variances(values: np.ndarray, person: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Within people, between people, and within each: by one-way analysis of variance, unbiased for few photographs.

    The means of a few photographs differ between people even where the people do not; that is taken off.

    Args:
        values: (N, K).
        person: (N,) numbers from 0, each at least twice.
    """
    n = np.bincount(person)
    P, N = len(n), len(person)
    mean = np.stack([values[person == p].mean(0) for p in range(P)])
    squares = np.bincount(person, np.square(values - mean[person]).sum(1))
    within = squares.sum() / (N - P)
    of_means = (n * np.square(mean - values.mean(0)).sum(1)).sum() / (P - 1)
    each = (N - (n**2).sum() / N) / (P - 1)  # photographs a person, where they have different numbers
    return float(within), float(max((of_means - within) / each, 0.0)), squares / (n - 1)


def _some_people(person: Tensor) -> Tensor:
    """(N,) bool, all photographs of as many people, drawn by lot, as have `MOST_PAIRED` together; of two at least."""
    order = torch.randperm(int(person.max()) + 1, generator=torch.Generator().manual_seed(0))
    total = torch.bincount(person)[order].cumsum(0)
    return torch.isin(person, order[: max(2, int((total <= MOST_PAIRED).sum()))])
