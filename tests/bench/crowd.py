"""Recognition on enough people for its rates: `python -m tests.bench.crowd`.

Two crowds of people whom no network has met, two photographs of each. The model's own people in hard photographs come from
the same draws as the network's training; foreign people do not. Every photograph is described by the networks, by the face encoder's own
embedding, and by three controls: a random map of the embedding, and one layer on the encoder that learnt from few people, with
the right targets and with shuffled ones. Fits cost half a second each, so only the first people of a crowd are fitted. All
photographs of a crowd are compared with each other; intervals come from drawing people.

Descriptions are kept in build/crowd, and a run that was cut off goes on from there. Writes build/crowd.json; notebook 07 reads what
`make crowd ARGS="--out assets/network/crowd.json"` wrote.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from helpers.datasets import ForeignPeople, Nuisances, SyntheticPeople
from helpers.evaluation import AllPairs, Roc
from helpers.evaluation import compare_methods as comparison
from helpers.evaluation.bootstrap import bootstrap_people
from helpers.evaluation.tables import text_table
from helpers.face_encoder import face_chips, points_in_chips
from helpers.face_model import MorphableModel, load
from helpers.files import write_in_one_step
from helpers.fitting import FitModel, FitSettings
from helpers.regression import PeopleSource, load_network
from helpers.regression.least_squares import LinearMap
from tests.bench.claim import Samples, rounded

BUILD = Path(__file__).resolve().parents[2] / "build"
SEED, PHOTOS = 1_000_077, 2
PEOPLE = {"own": 500, "foreign": 250}
FITTED = {"own": 150, "foreign": 100}  # of these, the first
TOGETHER = 10  # people who are drawn and described at once
STORED = 6  # people whose scores are kept one by one, for whoever wants to compute them again
LEARN, LEARN_SEED, SHRINK = 384, 61, 0.1  # the few people of notebook 06, and μ
EMBEDDING = 128  # numbers, the first of the encoder's features
ABOVE = 2.0  # no cosine is; JSON has no ∞
FARS = {"tar": 0.01, "tar_low": 0.001}
GRID = np.union1d(np.linspace(0, 1, 51), np.geomspace(1e-4, 1, 81))  # of false accepts, where curves are kept
PAIRED = (  # who is compared with whom, on the same photographs
    ("network", "image only"),
    ("network", "embedding"),
    ("network", "random map"),
    ("network", "shuffled"),
    ("few people", "shuffled"),
    ("fit", "network"),
    ("fit", "landmarks only"),
)

Vectors = dict[str, Tensor]


def drawn(kind: str, heads: MorphableModel, people: int) -> SyntheticPeople:
    """A crowd of a kind, framed as notebook 07 frames its pictures; person p is the same in a crowd of any size."""
    if kind == "foreign":
        return ForeignPeople(heads, people, PHOTOS, seed=SEED, size=128)
    hard = Nuisances.photographs()
    return SyntheticPeople(heads, people, PHOTOS, seed=SEED, size=160, framing="fit", nuisances=hard)


class Describer:
    """What each method makes of photographs, apart from fits."""

    def __init__(self):
        self.network, self.image_only = load_network(), load_network(image_only=True)
        self.by_lot = torch.randn(EMBEDDING, 198, generator=torch.Generator().manual_seed(0))

    def features(self, image: Tensor, landmarks: Tensor) -> Tensor:
        """(N, F) that the linear layer reads, the encoder's embedding first."""
        with torch.inference_mode():
            return self.network.module.features(face_chips(image, landmarks), points_in_chips(landmarks))

    def __call__(self, pictures: comparison.Pictures) -> Vectors:
        """Vectors (N, K) by method, and "features", (N, F)."""
        features = self.features(pictures.image, pictures.landmarks)
        embedding, module = features[:, :EMBEDDING], self.network.module
        z = (embedding - module.mean[:EMBEDDING]) / module.deviation[:EMBEDDING]
        squares = pictures.squares(self.image_only.size)
        return {
            "network": comparison.predict_photographs(pictures, self.network)[0],
            "image only": comparison.predict_photographs(squares, self.image_only)[0],
            "embedding": embedding.clone(),
            "random map": z @ self.by_lot,
            "features": features.clone(),
        }


def fits(pictures: comparison.Pictures, model: FitModel) -> Vectors:
    """(N, 198) of the fit and of its landmarks alone, one photograph at a time."""
    points = FitSettings(dense=False)
    return {
        "fit": comparison.fit_photographs(pictures, model, progress=False)[0],
        "landmarks only": comparison.fit_photographs(pictures, model, settings=points, progress=False)[0],
    }


def kept(file: Path, compute: Callable[[], Vectors]) -> Vectors:
    """What `file` holds; where it is missing, it is computed and written first."""
    if not file.exists():
        found = compute()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_in_one_step(file, lambda stream: torch.save(found, stream))
    return torch.load(file, weights_only=True)


def gather(name: str, count: int, compute: Callable[[Tensor], Vectors], folder: Path) -> Vectors:
    """What `compute` makes of the numbers 0 to `count` − 1, some at a time, from `folder` as far as it is there."""
    parts = []
    for some in tqdm(torch.arange(count).split(TOGETHER), desc=name, leave=False):
        file = folder / f"{name}-{int(some[0]):04d}-{int(some[-1]):04d}.pt"
        parts.append(kept(file, partial(compute, some)))
    return {key: torch.cat([part[key] for part in parts]) for key in (parts[0] if parts else ())}


def photographs(crowd: SyntheticPeople, people: Tensor) -> comparison.Pictures:
    """All photographs of some people (P,) of a crowd, person by person."""
    batch = crowd.batch((people[:, None] * PHOTOS + torch.arange(PHOTOS)).flatten())
    names = comparison.Pictures.__dataclass_fields__
    return comparison.Pictures(*(getattr(batch, name) for name in names))


def few_people(describe: Describer, folder: Path) -> dict[str, LinearMap]:
    """The layer as notebook 06 learns it from few people, and the same with its targets shuffled."""
    source = PeopleSource(LEARN, seed=LEARN_SEED, size=describe.network.size)

    def samples(some: Tensor) -> Vectors:
        image, points, target = source.with_points(some)
        return {"features": describe.features(image, points).clone(), "target": target}

    found = gather("to learn from", LEARN, samples, folder)
    layer, target = Samples(found["features"]), found["target"]
    order = torch.randperm(LEARN, generator=torch.Generator().manual_seed(0))
    return {"few people": layer.squares(target, SHRINK), "shuffled": layer.squares(target[order], SHRINK)}


class Area:
    """Area under the ROC of all pairs by how often each person is drawn, computed once for each draw.

    A method stands in several paired differences, and all of them draw the same people.
    """

    def __init__(self, pairs: AllPairs):
        self.pairs, self._known = pairs, {}

    def __call__(self, counts: np.ndarray) -> float:
        key = counts.astype(np.int64).tobytes()
        if key not in self._known:
            self._known[key] = self.pairs.auc(counts)
        return self._known[key]


def curve(roc: Roc) -> dict[str, list[float]]:
    """The points of a curve at the shares of false accepts of `GRID`, or next below them: fields of a `Roc`."""
    at = torch.searchsorted(roc.false_accept, torch.from_numpy(GRID) + 1e-12, right=True) - 1
    some = at.unique()
    return {
        "threshold": roc.threshold[some].clamp(max=ABOVE).tolist(),
        "false_accept": roc.false_accept[some].tolist(),
        "true_accept": roc.true_accept[some].tolist(),
    }


def scores(vectors: Tensor) -> Tensor:
    """(M,) cosines of all pairs of photographs (N, K), in the order of `AllPairs`."""
    return AllPairs.of(vectors, torch.arange(len(vectors))).score


def compare(vectors: Vectors, draws: int = 200) -> dict:
    """Areas, rates and curves by method, and paired differences: those that include a fit on the fitted people only."""

    @cache
    def area(name: str, photographs: int) -> Area:
        person = torch.arange(photographs) // PHOTOS
        return Area(AllPairs.of(vectors[name][:photographs], person))

    methods, differences = [], []
    for name, rows in tqdm(vectors.items(), desc="intervals", leave=False):
        figure = area(name, len(rows))
        pairs = figure.pairs
        methods.append(
            {
                "method": name,
                "people": pairs.people,
                "one": int(pairs.same.sum()),
                "two": int((~pairs.same).sum()),
                "within": float(pairs.score[pairs.same].mean()),
                "between": float(pairs.score[~pairs.same].mean()),
                **interval(figure, pairs.people, draws),
                **{key: none_for_nan(pairs.true_accept_at(far)) for key, far in FARS.items()},
                "curve": curve(pairs.roc),
                "first": scores(rows[: STORED * PHOTOS]).tolist(),
            }
        )
    paired = [pair for pair in PAIRED if vectors.keys() >= set(pair)]
    for name, other in tqdm(paired, desc="differences", leave=False):
        photographs = min(len(vectors[name]), len(vectors[other]))
        a, b = area(name, photographs), area(other, photographs)
        people = a.pairs.people
        found = interval(lambda counts, a=a, b=b: a(counts) - b(counts), people, draws)
        differences.append({"method": name, "against": other, "people": people, **found})
    return {"methods": methods, "differences": differences}


def interval(figure: Callable[[np.ndarray], float], people: int, draws: int) -> dict[str, float]:
    """A figure of an area, with its interval, as a part of a row."""
    return dict(zip(("auc", "low", "high"), bootstrap_people(figure, people, draws=draws), strict=True))


def none_for_nan(value: float) -> float | None:
    """A value for JSON, which has no NaN."""
    return None if np.isnan(value) else value


COLUMNS = {
    "method": ("", ""),
    "people": ("people", "d"),
    "two": ("pairs of two", "d"),
    "within": ("cos same", ".2f"),
    "between": ("different", ".2f"),
    "auc": ("AUC", ".4f"),
    "low": ("95 % from", ".4f"),
    "high": ("to", ".4f"),
    **{key: (f"TAR at {100 * far:g} %", ".3f") for key, far in FARS.items()},
}
PAIRED_COLUMNS = {
    "method": ("", ""),
    "against": ("less", ""),
    "people": ("people", "d"),
    "auc": ("AUC", "+.4f"),
    "low": ("95 % from", "+.4f"),
    "high": ("to", "+.4f"),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.crowd", description=__doc__.splitlines()[0])
    for kind in PEOPLE:
        parser.add_argument(
            f"--{kind}", type=int, default=PEOPLE[kind], help=f"{kind} people (default: {PEOPLE[kind]})"
        )
        parser.add_argument(
            f"--fitted-{kind}",
            type=int,
            default=FITTED[kind],
            help=f"of them are fitted, too (default: {FITTED[kind]})",
        )
    parser.add_argument(
        "--out", type=Path, default=BUILD / "crowd.json", help="results (default: build/crowd.json)"
    )
    args = parser.parse_args(arguments)
    folder, heads, describe = BUILD / "crowd", load("open", level=1), Describer()
    layers, model, crowds, found = few_people(describe, folder), FitModel(heads), {}, {}
    for kind in PEOPLE:
        people = getattr(args, kind)
        crowds[kind] = drawn(kind, heads, people)
        found[kind] = gather(
            kind, people, lambda some, k=kind: describe(photographs(crowds[k], some)), folder
        )
        features = found[kind].pop("features")
        found[kind] |= {name: layer(features) for name, layer in layers.items()}
    for kind in PEOPLE:
        fitted = min(getattr(args, kind), getattr(args, f"fitted_{kind}"))
        found[kind] |= gather(
            f"{kind} fits", fitted, lambda some, k=kind: fits(photographs(crowds[k], some), model), folder
        )
    results = {}
    for kind, vectors in found.items():
        results[kind] = compare(vectors)
        print(
            f"\n{kind} people, {PHOTOS} photographs each\n{text_table(results[kind]['methods'], COLUMNS)}\n"
        )
        print(text_table(results[kind]["differences"], PAIRED_COLUMNS))
    about = {
        "seed": SEED,
        "photos": PHOTOS,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    results = {"about": about, "crowds": results}
    write_in_one_step(args.out, lambda file: file.write(json.dumps(rounded(results, 6)).encode()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
