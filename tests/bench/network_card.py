"""The table of the network's model card: `python -m tests.bench.network_card [FILE]`.

Held-out synthetic people whose shape is known, with ordinary and with hard photographs. Errors are RMS distances over the
visible skin of the neutral face after similarity alignment. Recognition is by the cosine of all 198 numbers.
FILE: a network that `helpers train` wrote; by default the one of the course.
"""

from __future__ import annotations

import argparse
import sys

import torch
from tqdm.auto import tqdm

from helpers.datasets import Nuisances, SyntheticPeople
from helpers.evaluation import shape_rmse
from helpers.evaluation.compare_methods import identify, spread
from helpers.evaluation.recognition import roc
from helpers.face_model import load
from helpers.regression import load_network
from helpers.regression.metrics import cosine, magnitude_ratio, shape_spread

SEED, PEOPLE, PHOTOS = 10**6, 60, 4
LEADING = 10  # modes
AT_ONCE = 60


def measure(network, model, nuisances: Nuisances, people: int, bar) -> dict[str, str]:
    """Rows of the table: name to figure."""
    source = SyntheticPeople(model, people, PHOTOS, seed=SEED, size=network.size, nuisances=nuisances)
    found = {"alpha": [], "beta": [], "error": [], "mean": []}
    for part in torch.arange(len(source)).split(AT_ONCE):
        batch = source.batch(part)
        guess = network.predict(batch.image, landmarks=batch.landmarks)
        found["alpha"].append(guess.alpha)
        found["beta"].append(guess.beta)
        for name, alpha in (("error", guess.alpha), ("mean", torch.zeros_like(guess.alpha))):
            found[name].append(shape_rmse(model.shape(alpha), batch.neutral, batch.visible))
        bar.update(len(part))
    alpha, beta, error, mean = (torch.cat(found[name]) for name in found)
    true_alpha, true_beta = (
        getattr(source.coefficients, name).repeat_interleave(PHOTOS, 0) for name in ("alpha", "beta")
    )

    def both(guess, true):
        return f"{magnitude_ratio(guess, true).mean():.2f}, {cosine(guess, true).mean():.2f}"

    person = torch.arange(people).repeat_interleave(PHOTOS)
    within, between = shape_spread(alpha, person, model.shape_std, model.n_vertices)
    truly = shape_spread(true_alpha, person, model.shape_std, model.n_vertices)[1]
    vectors = torch.cat([alpha, beta], -1)
    same, different = spread(vectors, person)
    curve = roc(torch.cat([same, different]), torch.arange(len(same) + len(different)) < len(same))
    return {
        "mean face": f"{mean.mean():.2f} mm",
        "network": f"{error.mean():.2f} mm",
        "better than the mean face": f"{100 * (error < mean).float().mean():.0f} %",
        "‖α‖ and cosine, all modes": both(alpha, true_alpha),
        f"‖α‖ and cosine, first {LEADING} modes": both(alpha[:, :LEADING], true_alpha[:, :LEADING]),
        "‖β‖ and cosine, all modes": both(beta, true_beta),
        "spread within a person / between people": f"{within:.2f} / {between:.2f} mm",
        "spread between people, truly": f"{truly:.2f} mm",
        "cosine within a person / between people": f"{same.mean():.2f} / {different.mean():.2f}",
        "area under the ROC, all pairs": f"{curve.auc:.3f}",
        "equal error rate": f"{100 * curve.eer:.1f} %",
        "known again among all people (rank one)": f"{100 * identify(vectors, person):.0f} %",
    }


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Measure a network on held-out synthetic people, as its model card tells it."
    )
    parser.add_argument(
        "network", nargs="?", metavar="FILE", help="network.pt (default: the one of the course)"
    )
    parser.add_argument(
        "--people",
        type=int,
        default=PEOPLE,
        help=f"held-out people, {PHOTOS} photographs each (default: {PEOPLE})",
    )
    args = parser.parse_args(words)
    network, model = load_network(args.network), load("open", level=1)
    kinds = {"ordinary": Nuisances(), "hard": Nuisances.photographs()}
    with tqdm(total=len(kinds) * args.people * PHOTOS, unit="photo", file=sys.stderr) as bar:
        columns = {
            name: measure(network, model, nuisances, args.people, bar) for name, nuisances in kinds.items()
        }
    width = max(map(len, columns["hard"]))
    print(" " * width, *(f"{name:>14}" for name in columns))
    for row in columns["hard"]:
        print(f"{row:<{width}}", *(f"{column[row]:>14}" for column in columns.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
