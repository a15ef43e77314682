"""The paper's claim, put to the test: `python -m tests.bench.claim`.

The paper trains its network on labels that are pooled over all photographs of a person, and reports errors of the network a little
below those of the pooled fits. Would a network that learns from single fits do worse? Here people are rendered, their photographs fitted,
and one network learns the shape, α, from each kind of label in turn: the linear layer on a face encoder, which has one solution, so
that no rate and no number of steps favours a label. A control learns from the fit of another photograph of the same person. Three draws of people take the place of three seeds. Every network is
measured on the same photographs of other people, whose shape is known, and so are the fits to those photographs.

Fits are kept in build/claim, and a run that was cut off goes on from there. Writes build/claim.json; notebook 06 reads what
`make claim ARGS="--out assets/network/claim.json"` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from helpers.datasets import ForeignPeople, Nuisances, SyntheticPeople
from helpers.evaluation import bootstrap_interval, shape_rmse
from helpers.evaluation.shape import align_similarity
from helpers.face_encoder import face_chips, points_in_chips
from helpers.face_model import MorphableModel, load
from helpers.files import write_in_one_step
from helpers.fitting import FitModel, fit, fit_person
from helpers.pooling import pool
from helpers.regression import asymmetric_euclidean_loss
from helpers.regression.encoder_training import untrained
from helpers.regression.least_squares import LinearMap
from helpers.regression.metrics import cosine, magnitude_ratio

BUILD = Path(__file__).resolve().parents[2] / "build"
SEEDS, TEST_SEED = (301, 302, 303), 300
TOGETHER = 4  # people whose photographs are fitted at once
KINDS = ("clean", "own", "foreign")
LABELS = ("single fits", "other photo's", "plain mean", "confidence", "precision", "joint fit", "truth")
LAMBDAS = (1.0, 3.0, 10.0)  # λ₂, what staying short costs, with λ₁ = 1
SHRINKS = (
    0.1,
    0.3,
    1.0,
    3.0,
    10.0,
    30.0,
    100.0,
)  # μ to choose among, for so few people larger ones than usual
HELD_OUT = 5  # every fifth person to learn from chooses the shrinkage instead
ROUNDS = 8
WEAK = 2.0  # mm², keeps the modes small that the nearest face of a foreign one hardly needs

Group = dict[str, Tensor]


def drawn(kind: str, heads: MorphableModel, people: int, photos: int, seed: int) -> SyntheticPeople:
    """People of a kind, photographed by the other renderer, as for the shipped network ("own"), or bald before plain grey ("clean")."""
    if kind == "foreign":
        return ForeignPeople(heads, people, photos, seed=seed)
    clean = replace(Nuisances(), background=0.0, occluders=0.0, colour=0.0, blur=0.0, noise=0.01)
    how = clean if kind == "clean" else Nuisances.photographs()
    return SyntheticPeople(heads, people, photos, seed=seed, size=224, framing="fit", nuisances=how)


def nearest(heads: MorphableModel, shapes: Tensor) -> Tensor:
    """(B, 99) α of the model's faces that are nearest to shapes (B, V, 3) mm."""
    assert heads.masks is not None
    skin = heads.masks["skin"] > 0.5
    modes = (heads.shape_basis * heads.shape_std)[skin].flatten(0, 1)
    system = modes.T @ modes + WEAK * torch.eye(modes.shape[1]).to(modes)
    alpha = shapes.new_zeros(len(shapes), modes.shape[1])
    for _ in range(ROUNDS):  # a size that the mean face would not have may be the nearest face's
        moved = align_similarity(shapes, heads.shape(alpha), skin.to(shapes)[None])
        off = (moved - heads.mean_shape)[:, skin].flatten(1)
        alpha = torch.linalg.solve(system, modes.T @ off.T).T
    return alpha


class Factory:
    """Renders people, fits their photographs and computes the encoder's features, a few people at a time."""

    def __init__(self, kind: str, people: SyntheticPeople, heads: MorphableModel, together: bool):
        self.kind, self.people, self.together = kind, people, together
        self.heads, self.fit_model, self.network = heads, FitModel(heads), untrained(1)

    def part(self, k: int) -> Group:
        """Part k: photographs (N, …), and of each person what is known or pooled (P, …)."""
        people, F = self.people, self.people.photos
        some = torch.arange(people.people)[k * TOGETHER : (k + 1) * TOGETHER]
        shown = people.batch((some[:, None] * F + torch.arange(F)).flatten())
        given = shown.image, shown.landmarks, self.fit_model
        alone = fit(*given)
        neutral = shown.neutral[::F, : self.heads.n_vertices]
        with torch.inference_mode():
            chips = face_chips(shown.image, shown.landmarks)
            features = self.network.features(chips, points_in_chips(shown.landmarks)).clone()
        own = self.kind != "foreign"
        return {
            "person": shown.person,
            "features": features,
            "alpha": alone.alpha,
            "covariance": alone.covariance[:, :99, :99].clone(),
            "confidence": shown.confidence,
            "ok": alone.ok,
            "neutral": neutral.clone(),
            "truth": shown.coefficients.alpha[::F].clone() if own else nearest(self.heads, neutral),
            "joint": fit_person(*given, person=shown.person).alpha
            if self.together
            else alone.alpha[::F].clone(),
        }


def gather(kind: str, heads: MorphableModel, people: int, photos: int, seed: int) -> Group:
    """A group of people, from build/claim as far as it is there."""
    folder = BUILD / "claim" / f"{kind}-{seed}-{people}x{photos}"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{k:03d}.pt" for k in range(-(-people // TOGETHER))]
    missing = [k for k, file in enumerate(files) if not file.exists()]
    if missing:
        factory = Factory(kind, drawn(kind, heads, people, photos, seed), heads, seed != TEST_SEED)
        for k in tqdm(missing, desc=f"{kind} people, seed {seed}", leave=False):
            part = factory.part(k)
            write_in_one_step(files[k], lambda file, part=part: torch.save(part, file))
    found = [torch.load(file, weights_only=True) for file in files]
    return {name: torch.cat([part[name] for part in found]) for name in found[0]}


class Judge:
    """Millimetres over the skin, after the best alignment with free size: of faces (N, 99) whose people's true shapes are known."""

    def __init__(self, heads: MorphableModel):
        assert heads.masks is not None
        self.skin = heads.masks["skin"] > 0.5
        self.mean = heads.mean_shape[self.skin]
        self.modes = (heads.shape_basis * heads.shape_std)[self.skin]

    def __call__(self, alpha: Tensor, neutral: Tensor, person: Tensor) -> Tensor:
        """(N,) mm, for coefficients (N, 99), true shapes (P, V, 3) mm and whom the faces show (N,)."""
        faces = self.mean + (self.modes @ alpha.T).permute(2, 0, 1)
        return shape_rmse(faces, neutral[:, self.skin][person])

    def by_person(self, alpha: Tensor, group: Group) -> Tensor:
        """(P,) mm, of the photographs of a group: the mean over those of each person."""
        off = self(alpha, group["neutral"], group["person"])
        P = len(group["neutral"])
        counts = torch.bincount(group["person"], minlength=P)
        return torch.zeros(P).index_add_(0, group["person"], off) / counts


def labels(group: Group) -> dict[str, Tensor]:
    """What each photograph (N,) is labelled with, (N, 99) by kind of label; NaN where none of its person's fits counts."""
    alpha, person, ok = group["alpha"], group["person"], group["ok"]
    rules = {
        "plain mean": {"rule": "uniform"},
        "confidence": {"rule": "confidence", "confidence": group["confidence"]},
        "precision": {"rule": "precision", "covariance": group["covariance"]},
    }
    pooled = {name: pool(alpha, person, ok=ok, **how).coefficients[person] for name, how in rules.items()}
    own = {
        "single fits": alpha,
        "other photo's": another(alpha, ok, len(person) // len(group["neutral"])),
        **pooled,
    }
    return own | {"joint fit": group["joint"][person], "truth": group["truth"][person]}


def another(alpha: Tensor, ok: Tensor, photos: int) -> Tensor:
    """(N, 99) for each photograph the fit (N, 99) of the next one of its person that counts (N,); NaN where there is none.

    A control: as far from the truth as the single fits are, and not made from the picture that the network sees.
    """
    counting = torch.where(ok[:, None], alpha, torch.nan).view(-1, photos, alpha.shape[1])
    found = torch.full_like(counting, torch.nan)
    for step in range(1, photos):
        found = torch.where(found.isnan(), counting.roll(-step, 1), found)
    return found.flatten(0, 1)


class Samples:
    """Standardised features of some photographs, in the space that they span: z = x Vᵀ with x (N, N).

    Weights W (99, F) that minimise a loss and μ ‖W‖² lie in that space, W = A Vᵀ, and ‖W‖ = ‖A‖. So only A (99, N) is searched,
    and the solution is that of `helpers.regression.least_squares`.

    Args:
        features: (N, F).
    """

    def __init__(self, features: Tensor):
        features = features.double()
        self.mean, self.deviation = features.mean(0), features.std(0, correction=0).clamp(min=1e-6)
        left, size, self.V = torch.linalg.svd((features - self.mean) / self.deviation, full_matrices=False)
        self.x = left * size
        self.share = size.square() / len(features)

    def squares(self, targets: Tensor, shrink: float) -> LinearMap:
        """Ridge regression for targets (N, 99)."""
        wanted = targets.double()
        A = ((wanted - wanted.mean(0)).T @ self.x) / len(wanted) / (self.share + shrink)
        return self._map(A, wanted.mean(0), shrink)

    def asymmetric(self, targets: Tensor, shrink: float, under: float) -> LinearMap:
        """The same under the asymmetric loss with λ₁ = 1 and λ₂ = `under`."""
        wanted = targets.double()
        A = torch.zeros(targets.shape[1], len(self.share), dtype=torch.float64, requires_grad=True)
        b = wanted.mean(0).requires_grad_()
        search = torch.optim.LBFGS([A, b], max_iter=200, history_size=20, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            search.zero_grad()
            value = (
                asymmetric_euclidean_loss(self.x @ A.T + b, wanted, 1.0, under) + shrink * A.square().sum()
            )
            value.backward()
            return value

        # ty: torch's stub wants a closure of float
        search.step(loss)  # ty: ignore[invalid-argument-type]
        return self._map(A.detach(), b.detach(), shrink)

    def _map(self, A: Tensor, bias: Tensor, shrink: float) -> LinearMap:
        parts = (self.mean, self.deviation, A @ self.V, bias)
        return LinearMap(*(part.float() for part in parts), shrink)


class Learner:
    """The linear layer from one group's photographs: for any labels of theirs.

    Args:
        features: (N, F).
        person: (N,) whom they show. Every fifth person's labels choose the shrinkage; then all are learnt from.
        sigma: (99,) mm, of the modes: the shrinkage is the best in mm.
    """

    def __init__(self, features: Tensor, person: Tensor, sigma: Tensor):
        self.sigma = sigma
        self.apart = person % HELD_OUT == HELD_OUT - 1
        self.features = features
        self.most, self.all = Samples(features[~self.apart]), Samples(features)

    def shrink(self, targets: Tensor) -> float:
        """μ that is best for the labels (N, 99) of the people held out."""
        rest, apart = targets[~self.apart], targets[self.apart]
        maps = [self.most.squares(rest, shrink) for shrink in SHRINKS]
        given = self.features[self.apart]
        errors = [float((self.sigma * (found(given) - apart)).square().mean()) for found in maps]
        return SHRINKS[errors.index(min(errors))]

    def __call__(self, targets: Tensor) -> LinearMap:
        """By least squares, for targets (N, 99)."""
        return self.all.squares(targets, self.shrink(targets))


def usable(group: Group) -> Tensor:
    """(N,) bool, the photographs that have every kind of label and a fit that is not doubtful."""
    return group["ok"] & torch.stack([targets.isfinite().all(1) for targets in labels(group).values()]).all(0)


def all_labels(groups: list[Group]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Features, people and labels of the usable photographs of some groups, whose people are all different."""
    fine = [usable(group) for group in groups]
    pairs = list(zip(groups, fine, strict=True))
    given = [labels(group) for group in groups]
    first = np.cumsum([0] + [len(group["neutral"]) for group in groups])
    features = torch.cat([group["features"][keep] for group, keep in pairs])
    person = torch.cat(
        [group["person"][keep] + int(k) for k, (group, keep) in zip(first, pairs, strict=False)]
    )
    return (
        features,
        person,
        {
            name: torch.cat([own[name][keep] for own, keep in zip(given, fine, strict=True)])
            for name in LABELS
        },
    )


def compare(test: Group, groups: list[Group], heads: MorphableModel) -> dict:
    """Errors of the labels, of networks that learnt from them, of the mean face and of the fits, all in mm."""
    judge = Judge(heads)
    P, true = len(groups[0]["neutral"]), test["truth"][test["person"]]
    out: dict = {
        "test_people": len(test["neutral"]),
        "test_photos": len(test["person"]) // len(test["neutral"]),
        "people": P,
        "photos": len(groups[0]["person"]) // P,
        "seeds": len(groups),
        "left_out": sum(int((~usable(group)).sum()) for group in groups),
        "mean face": judge.by_person(torch.zeros_like(test["alpha"]), test).tolist(),
        "fit": judge.by_person(test["alpha"], test).tolist(),
        "labels": {name: {"label": [], "network": []} for name in LABELS},
        "losses": {str(under): {"network": [], "length": [], "cosine": []} for under in LAMBDAS},
    }
    for group in groups:
        features, person, given = all_labels([group])
        learner = Learner(features, person, heads.shape_std)
        for name, targets in given.items():
            row = out["labels"][name]
            row["label"].append(float(judge(targets, group["neutral"], person).mean()))
            row["network"].append(judge.by_person(learner(targets)(test["features"]), test).tolist())
        targets = given["plain mean"]
        shrink = learner.shrink(targets)
        for under in LAMBDAS:
            answer, row = (
                learner.all.asymmetric(targets, shrink, under)(test["features"]),
                out["losses"][str(under)],
            )
            row["network"].append(judge.by_person(answer, test).tolist())
            row["length"].append(float(magnitude_ratio(answer, true).mean()))
            row["cosine"].append(float(cosine(answer, true).mean()))

    features, person, given = all_labels(groups)
    learner = Learner(features, person, heads.shape_std)
    for name, targets in given.items():
        row = out["labels"][name]
        row["together"] = judge.by_person(learner(targets)(test["features"]), test).tolist()
        row["shrink"] = learner.shrink(targets)
    return out


def rounded(value, decimals: int = 4):
    """The same numbers to some decimals, for a short file."""
    if isinstance(value, dict):
        return {name: rounded(item, decimals) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item, decimals) for item in value]
    return round(value, decimals) if isinstance(value, float) else value


def difference(first: list, second: list) -> str:
    """Mean paired difference in mm over the test people, with its interval; each (P,) or (seeds, P)."""
    a, b = (np.asarray(x) if np.ndim(x) == 1 else np.mean(x, 0) for x in (first, second))
    found = bootstrap_interval(a - b)
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def show(kind: str, found: dict) -> None:
    """Print the tables of one kind of people."""
    by_label, fits = found["labels"], found["fit"]
    print(
        f"\n{kind} people: {found['seeds']} × {found['people']} people with {found['photos']} photographs each "
        f"({found['left_out']} left out, whose fit is doubtful); measured on {found['test_people']} others with "
        f"{found['test_photos']} each.\nmean face {np.mean(found['mean face']):.3f} mm, fits {np.mean(fits):.3f} mm; differences in mm "
        "with 95 % intervals over the people"
    )
    print(f"{'learnt from':14}{'label':>7}{'network':>9}  {'by seed':22}{'− from single fits':28}− fits")
    for name, row in by_label.items():
        by_seed = [float(np.mean(off)) for off in row["network"]]
        print(
            f"{name:14}{np.mean(row['label']):7.3f}{np.mean(by_seed):9.3f}  {', '.join(f'{x:.3f}' for x in by_seed):22}"
            f"{difference(row['network'], by_label['single fits']['network']):28}{difference(row['network'], fits)}"
        )
    print("\nall draws together: μ, and − from single fits")
    for name, row in by_label.items():
        print(
            f"{name:14}{row['shrink']:5g}  {difference(row['together'], by_label['single fits']['together'])}"
        )
    print("\nplain means, asymmetric loss: mm, length, cosine, − λ₂ = 1")
    for under, row in found["losses"].items():
        print(
            f"λ₂ = {under:5}{np.mean(row['network']):7.3f}  {np.mean(row['length']):.2f}  {np.mean(row['cosine']):.2f}  "
            f"{difference(row['network'], found['losses'][str(LAMBDAS[0])]['network'])}"
        )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.claim", description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=80, help="to learn from, of each seed (default: 80)")
    parser.add_argument("--photos", type=int, default=4, help="photographs of each (default: 4)")
    parser.add_argument("--test", type=int, default=80, help="people to measure on (default: 80)")
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument(
        "--out", type=Path, default=BUILD / "claim.json", help="results (default: build/claim.json)"
    )
    args = parser.parse_args(arguments)
    heads = load("open", level=1)
    results = {}
    for kind in args.kinds:
        test = gather(kind, heads, args.test, 2, TEST_SEED)
        groups = [gather(kind, heads, args.people, args.photos, seed) for seed in SEEDS]
        results[kind] = compare(test, groups, heads)
        show(kind, results[kind])
    write_in_one_step(args.out, lambda file: file.write(json.dumps(rounded(results)).encode()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
