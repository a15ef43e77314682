"""Do the coefficients tell people apart? Verification by pairs, and identification among many.

A comparison gives a score, here the cosine of two vectors. Verification asks whether two photographs show the same person,
by a threshold on the score; identification asks which of the people enrolled is the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.evaluation.bootstrap import Interval, bootstrap_people

REPRESENTATIONS = ("plain", "signed root", "whitened")
FALSE_ACCEPTS = 30  # that a rate must be expected to rest on, "the rule of 30"


@dataclass(frozen=True)
class Whitening:
    """x → (x − mean) @ matrix.

    Attributes:
        mean: (K,).
        matrix: (K, k).
    """

    mean: Tensor
    matrix: Tensor

    @classmethod
    def of(cls, vectors: Tensor, person: Tensor | None = None, shrink: float = 0.1) -> Whitening:
        """Learn a whitening from other people than those that are to be told apart.

        Args:
            vectors: (N, K).
            person: (N,) whole numbers: directions are scaled by how much one person's photographs differ along them, so
                that what varies with the photograph counts little. None: by how much all vectors differ.
            shrink: This share of the covariance is replaced by its mean variance in every direction, since few vectors do
                not determine 198 variances.

        Raises:
            ValueError: If there are no vectors, or those of each person are all alike.
        """
        mean = vectors.mean(0)
        centred = vectors - mean
        if person is not None:
            people, index = person.to(vectors.device).unique(return_inverse=True)
            sums = vectors.new_zeros(len(people), vectors.shape[1]).index_add_(0, index, vectors)
            centred = vectors - (sums / torch.bincount(index)[:, None])[index]
        covariance = centred.T.double() @ centred.double() / len(vectors)
        level = covariance.diagonal().mean()
        if not level > 0:
            raise ValueError(
                "a whitening is learnt from photographs of other people that differ: there are none"
            )
        covariance = (1 - shrink) * covariance + shrink * level * torch.eye(len(covariance)).to(covariance)
        values, axes = torch.linalg.eigh(covariance)
        matrix = axes / values.clamp(min=1e-12 * float(level) + 1e-300).sqrt()
        return cls(mean, matrix.to(vectors))

    def __call__(self, vectors: Tensor) -> Tensor:
        """(N, k) of vectors (N, K)."""
        return (vectors - self.mean) @ self.matrix


def represent(vectors: Tensor, kind: str = "plain", whitening: Whitening | None = None) -> Tensor:
    """Turn coefficients into unit vectors whose products are scores.

    A vector of zeros, the mean face, stays zero, and is equally unlike everybody.

    Args:
        vectors: (N, K) coefficients.
        kind: "plain" takes them as they are; "signed root" sign(x) √|x| of each number, which tames single large ones;
            "whitened" what `whitening` makes of them.
        whitening: Learned from other people; only "whitened" needs it.

    Returns:
        (N, K).

    Raises:
        ValueError: For an unknown kind, and "whitened" without a whitening.
    """
    if kind not in REPRESENTATIONS:
        raise ValueError(f"kind must be one of {', '.join(REPRESENTATIONS)}, got {kind!r}")
    if kind == "signed root":
        vectors = vectors.sign() * vectors.abs().sqrt()
    if kind == "whitened":
        if whitening is None:
            raise ValueError('"whitened" needs a Whitening, made of other people')
        vectors = whitening(vectors)
    return normalize(vectors, dim=-1)


@dataclass(frozen=True)
class Roc:
    """A receiver operating characteristic.

    Attributes:
        threshold: (T,) falling, from +∞: a pair counts as one person when its score is at least that.
        false_accept: (T,) share of the pairs of two people that are taken for one.
        true_accept: (T,) share of the pairs of one person that are.
    """

    threshold: Tensor
    false_accept: Tensor
    true_accept: Tensor

    @property
    def auc(self) -> float:
        """Area under the curve: the chance that a pair of one person scores above one of two people (ties count half)."""
        return float(torch.trapezoid(self.true_accept, self.false_accept))

    @property
    def eer(self) -> float:
        """The rate at which as many pairs of two people are accepted as pairs of one person are refused."""
        above = 1 - self.true_accept - self.false_accept  # falls from 1 to −1
        k = int((above <= 0).nonzero()[0])
        if k == 0:
            return float(self.false_accept[0])
        share = above[k - 1] / (above[k - 1] - above[k])
        return float(self.false_accept[k - 1] + share * (self.false_accept[k] - self.false_accept[k - 1]))

    def true_accept_at(self, false_accept: float) -> float:
        """TAR at FAR: the largest share of right accepts at which at most `false_accept` of the others are accepted."""
        return float(self.true_accept[self.false_accept <= false_accept + 1e-12].max())


def roc(score: Tensor, same: Tensor) -> Roc:
    """The curve of the scores of pairs.

    Args:
        score: (N,), finite.
        same: (N,) bool, whether the pair is of one person.

    Raises:
        ValueError: For other shapes, and unless both kinds of pairs are there.
    """
    same = same.bool()
    if score.shape != same.shape or score.dim() != 1 or not bool(torch.isfinite(score).all()):
        raise ValueError(
            f"score and same must be finite and (N,) alike, got {tuple(score.shape)}, {tuple(same.shape)}"
        )
    if not bool(same.any()) or bool(same.all()):
        raise ValueError("a ROC needs pairs of one person and pairs of two people")
    order = score.argsort(descending=True)
    score, same = score[order].double(), same[order]
    # Pairs with one score are accepted together: only the last of them is a point of the curve.
    last = torch.ones_like(same)
    last[:-1] = score[1:] != score[:-1]
    start = torch.zeros(1, dtype=torch.float64, device=score.device)
    true = torch.cat([start, (same.double().cumsum(0) / same.sum())[last]])
    false = torch.cat([start, ((~same).double().cumsum(0) / (~same).sum())[last]])
    return Roc(torch.cat([start + torch.inf, score[last]]), false, true)


def tar_at_far(score: Tensor, same: Tensor, false_accept: float) -> float:
    """`Roc.true_accept_at`, straight from scores."""
    return roc(score, same).true_accept_at(false_accept)


@dataclass(frozen=True)
class Verification:
    """How well pairs were told apart.

    Attributes:
        fold_accuracy: (folds,) share of right answers.
        threshold: (folds,), each found on the other folds.
        curve: Of all pairs.
    """

    fold_accuracy: Tensor
    threshold: Tensor
    curve: Roc

    @property
    def accuracy(self) -> float:
        """The mean of the folds."""
        return float(self.fold_accuracy.mean())

    @property
    def std(self) -> float:
        """The standard deviation (n − 1) of the folds."""
        return float(self.fold_accuracy.std())

    @property
    def standard_error(self) -> float:
        """std / √folds, which the LFW protocol reports behind its ±."""
        return self.std / len(self.fold_accuracy) ** 0.5


def verify(score: Tensor, same: Tensor, fold: Tensor) -> Verification:
    """Verification by the protocol of LFW.

    For each fold the threshold is the one with the best accuracy on the other folds; the fold itself is only tested on.

    Args:
        score: (N,) of pairs, on any device.
        same: (N,) bool, whether the pair is of one person.
        fold: (N,) whole numbers, which group of people the pair is of.

    Raises:
        ValueError: For fewer than two folds, and where the pairs are of one kind.
    """
    same, fold = same.to(score.device), fold.to(score.device)
    folds = fold.unique()
    if len(folds) < 2:
        raise ValueError("the protocol needs at least two folds")
    accuracy, thresholds = [], []
    for k in folds:
        rest = fold != k
        threshold = best_threshold(score[rest], same[rest])
        accuracy.append(((score[~rest] >= threshold) == same[~rest]).double().mean())
        thresholds.append(threshold)
    return Verification(torch.stack(accuracy), torch.stack(thresholds), roc(score, same))


def best_threshold(score: Tensor, same: Tensor) -> Tensor:
    """() the threshold with the most right answers for scores (N,) of pairs, same (N,) bool.

    It lies half-way between the two scores that it parts.
    """
    order = score.argsort(descending=True)
    s, y = score[order].double(), same[order].bool()
    # Right answers after accepting the first k.
    right = torch.cat([(~y).sum()[None], (~y).sum() + (2 * y.long() - 1).cumsum(0)])
    edge = torch.cat([s[:1] + 1, (s[1:] + s[:-1]) / 2, s[-1:] - 1])
    allowed = torch.ones_like(edge, dtype=torch.bool)
    allowed[1:-1] = s[1:] < s[:-1]  # equal scores cannot be parted
    return edge[torch.where(allowed, right, -1).argmax()]


def rank_one(gallery: Tensor, gallery_person: Tensor, probe: Tensor, probe_person: Tensor) -> float:
    """Share of the probes whose highest score among the gallery belongs to their own person.

    Probes whose person is not in the gallery are left out.

    Args:
        gallery: (N, K) unit vectors, those of `represent`.
        gallery_person: (N,) whole numbers.
        probe: (M, K) unit vectors.
        probe_person: (M,) whole numbers.

    Raises:
        ValueError: If no probe is left.
    """
    known = torch.isin(probe_person, gallery_person)
    if not bool(known.any()):
        raise ValueError("no probe's person is in the gallery")
    nearest = (probe[known] @ gallery.T).argmax(1)
    return float((gallery_person[nearest] == probe_person[known]).double().mean())


@dataclass(frozen=True)
class Pairs:
    """Pairs of photographs to compare.

    Attributes:
        first: (N,) numbers of photographs.
        second: (N,) numbers of photographs.
        same: (N,) bool, whether they are of one person.
        fold: (N,) which group of people they are of.
    """

    first: Tensor
    second: Tensor
    same: Tensor
    fold: Tensor

    def score(self, vectors: Tensor) -> Tensor:
        """(N,) cosines of unit vectors (photographs, K), those of `represent`."""
        return (vectors[self.first] * vectors[self.second]).sum(-1)


def make_pairs(person: Tensor, folds: int = 10, per_fold: int = 300, seed: int = 0) -> Pairs:
    """Draw pairs of a labelled set in the manner of LFW: groups of people, no person in two of them.

    Each group has as many pairs of one person as of two people. Where it has too few of either kind, both are cut to the
    lesser number.

    Args:
        person: (N,) whole numbers, whom each photograph shows.
        folds: How many groups.
        per_fold: Pairs of each kind in a group, at most.
        seed: Of the draw.

    Raises:
        ValueError: If a group would have no pair of either kind.
    """
    generator = torch.Generator().manual_seed(seed)
    person = person.cpu()
    people = person.unique()
    people = people[torch.randperm(len(people), generator=generator)]
    firsts, seconds, sames, where = [], [], [], []
    for k, group in enumerate(people.tensor_split(folds)):
        photos = torch.isin(person, group).nonzero()[:, 0]
        a, b = torch.combinations(photos).T if len(photos) > 1 else (photos[:0], photos[:0])
        same = person[a] == person[b]
        count = min(per_fold, int(same.sum()), int((~same).sum()))
        if count < 1:
            several = int((torch.bincount(person) > 1).sum())
            most = min(len(people) // 2, several)
            told = (
                f"take fewer folds, at most {most}, and more people with two photographs"
                if most > 1
                else "four people with two photographs each are needed"
            )
            raise ValueError(
                f"{len(people)} people, {several} of them with two photographs or more, make {folds} groups without pairs of "
                f"both kinds: {told}"
            )
        for kind in (same, ~same):
            rows = kind.nonzero()[:, 0]
            rows = rows[torch.randperm(len(rows), generator=generator)[:count]]
            firsts.append(a[rows])
            seconds.append(b[rows])
            sames.append(same[rows])
            where.append(torch.full((count,), k))
    return Pairs(*(torch.cat(parts) for parts in (firsts, seconds, sames, where)))


def enough_for(far: float, first: Tensor, second: Tensor) -> bool:
    """Whether a share `far` of false accepts can be told: the rule of 30, counted in pairs of people.

    Two people give one pair of people, however many photographs they have: those are alike in all their pairs. At a FAR of
    1 % it takes 3,000, which LFW's list has, or 78 people of whom all are compared with all.

    Args:
        far: The rate, 0 to 1.
        first: (N,) person of one photograph of each pair.
        second: (N,) person of the other; pairs of one person do not count.

    Source:
        G. R. Doddington et al., "The NIST speaker recognition evaluation", Speech Communication 31, 2000.
    """
    two = torch.stack([torch.minimum(first, second), torch.maximum(first, second)], 1)[first != second]
    return far * len(two.unique(dim=0)) >= FALSE_ACCEPTS


@dataclass(frozen=True)
class AllPairs:
    """Every pair of the photographs of P people.

    Attributes:
        score: (M,) cosines.
        first: (M,) number of the person of one photograph, 0 to P − 1.
        second: (M,) of the other's.
        people: P.
    """

    score: Tensor
    first: Tensor
    second: Tensor
    people: int

    @classmethod
    def of(cls, vectors: Tensor, person: Tensor, kind: str = "plain") -> AllPairs:
        """The pairs of vectors (N, K) of people (N,), scored under a `kind` of `represent`."""
        names, number = person.to(vectors.device).unique(return_inverse=True)
        units = represent(vectors, kind)
        a, b = torch.triu_indices(len(units), len(units), 1, device=units.device)
        return cls((units @ units.T)[a, b], number[a], number[b], len(names))

    @property
    def same(self) -> Tensor:
        """(M,) whether a pair is of one person."""
        return self.first == self.second

    @property
    def roc(self) -> Roc:
        """The curve of all pairs."""
        return roc(self.score, self.same)

    def true_accept_at(self, far: float) -> float:
        """TAR at FAR, or NaN where there are too few people for it: see `enough_for`."""
        return self.roc.true_accept_at(far) if enough_for(far, self.first, self.second) else float("nan")

    def auc(self, counts: np.ndarray | None = None) -> float:
        """Area under the ROC, where person p is there counts[p] times; NaN where one kind of pair is missing.

        A person who is drawn twice is not compared with herself as if she were two.
        """
        starts, first, second, same = self._sorted
        if counts is None:
            counts = np.ones(self.people)
        weight = np.where(same, counts[first], counts[first] * counts[second]).astype(float)
        of_one, of_two = (np.add.reduceat(weight * kind, starts) for kind in (same, ~same))
        if not of_one.sum() > 0 or not of_two.sum() > 0:
            return float("nan")
        below = np.cumsum(of_two) - of_two / 2  # ties count half
        return float(of_one @ below / (of_one.sum() * of_two.sum()))

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, ...]:
        """Where each new score begins in the order of scores, and people and kind of the pairs in that order."""
        score = self.score.cpu().numpy()
        order = np.argsort(score, kind="stable")
        starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
        first, second = (each.cpu().numpy()[order] for each in (self.first, self.second))
        return starts, first, second, first == second


def auc_interval(pairs: AllPairs, against: AllPairs | None = None, draws: int = 500) -> Interval:
    """Area under the ROC of all pairs, with the interval of a bootstrap over people.

    Args:
        pairs: Of one method.
        against: Of another on the same photographs: the difference of the areas.
        draws: Of the people.

    Raises:
        ValueError: If the two are not of the same people.
    """
    if against is not None and (
        not torch.equal(pairs.first, against.first) or not torch.equal(pairs.second, against.second)
    ):
        raise ValueError("two methods can be compared on the same photographs of the same people only")

    def figure(counts: np.ndarray) -> float:
        return pairs.auc(counts) - (0.0 if against is None else against.auc(counts))

    return bootstrap_people(figure, pairs.people, draws=draws)
