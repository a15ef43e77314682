"""Errors of tone and shape by the tone of skin, on rendered people: `python -m tests.bench.tone`.

Foreign people are the same faces in the same light in each of six tones, so that what differs is the tone alone. Of the
model's own people, with hair and clothes, each has one tone, and classes differ by chance in their faces, too. Tones are
individual typology angles (ITA) in degrees, classes those of Chardon et al. (1991). Shape is 3DRMSE in mm over the outer
surface, one photograph at a time. Writes build/tone.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from helpers.datasets import ForeignPeople, Nuisances, SyntheticPeople
from helpers.evaluation import SKIN_TYPES, Surface, outer_rmse, outer_surface, skin_type, typology_angle
from helpers.face_model import MorphableModel, load
from helpers.files import write_in_one_step
from helpers.fitting import FitModel, fit
from tests.bench.foreign import BATCH, face, photographs, tones

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "tone.json"
SEED = 60
MIDDLES = {
    "very light": 58.0,
    "light": 48.0,
    "intermediate": 34.0,
    "tan": 19.0,
    "brown": -10.0,
    "dark": -40.0,
}
BAR = 1.25  # largest error of shape of a class, in parts of the smallest


def errors(people: SyntheticPeople, true: np.ndarray, heads: MorphableModel) -> list[dict]:
    """Tone and shape of every photograph, whose people have the true tones (P,) degrees: a row for each."""
    fit_model, shown = FitModel(heads), photographs(people)
    fits = [
        fit(shown.image[some], shown.landmarks[some], fit_model)
        for some in torch.arange(len(shown.person)).split(BATCH)
    ]
    found = np.concatenate([tones(heads, f.beta) for f in fits])
    neutral = (
        people.neutral if isinstance(people, ForeignPeople) else people.model.shape(people.coefficients.alpha)
    )
    scans = [outer_surface(Surface.of(v, people.model.triangles, people.model.landmarks)) for v in neutral]
    alpha = torch.cat([f.alpha for f in fits])
    return [
        {
            "person": p,
            "class": skin_type(true[p]),
            "tone": float(t - true[p]),
            "shape": outer_rmse(face(heads, a), scans[p]),
        }
        for a, t, p in zip(alpha, found, shown.person.tolist(), strict=True)
    ]


def table(rows: list[dict]) -> tuple[list[dict], float]:
    """Means by class, and the largest mean error of shape over the smallest."""
    out = []
    for name in SKIN_TYPES:
        some = [row for row in rows if row["class"] == name]
        if some:
            tone, shape = (np.array([row[key] for row in some]) for key in ("tone", "shape"))
            out.append(
                {
                    "class": name,
                    "people": len({row["person"] for row in some}),
                    "photographs": len(some),
                    "tone_error": float(np.abs(tone).mean()),
                    "tone_bias": float(tone.mean()),
                    "shape_mm": float(shape.mean()),
                }
            )
    shapes = [row["shape_mm"] for row in out]
    return out, max(shapes) / min(shapes)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tone", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--people", type=int, default=12, help="foreign people, each in six tones (default: 12)"
    )
    parser.add_argument("--photos", type=int, default=2, help="photographs of each (default: 2)")
    parser.add_argument("--own", type=int, default=96, help="people of the model itself (default: 96)")
    args = parser.parse_args(arguments)
    heads = load("open", level=1)
    own = SyntheticPeople(
        heads,
        args.own,
        1,
        seed=SEED,
        size=224,
        framing="fit",
        nuisances=Nuisances(wardrobe=1.0, occluders=0.0),
    )
    jobs = {"own": [own]} if args.own else {}
    if args.people:
        jobs["foreign"] = [
            ForeignPeople(heads, args.people, args.photos, seed=SEED, tone=tone) for tone in MIDDLES.values()
        ]
    results = {}
    with tqdm(total=sum(map(len, jobs.values())), desc="tone", leave=False) as bar:
        for name, groups in jobs.items():
            rows = []
            for people in groups:
                own_tones = tones(heads, people.coefficients.beta)
                true = typology_angle(people.skin.numpy()) if isinstance(people, ForeignPeople) else own_tones
                rows += errors(people, true, heads)
                bar.update()
            results[name] = table(rows)
    print(
        f"{'people':8}  {'skin':12}  {'people':>6}  {'photos':>6}  {'tone, °':>8}  {'bias, °':>8}  {'shape, mm':>9}"
    )
    for name, (rows, ratio) in results.items():
        for row in rows:
            print(
                f"{name:8}  {row['class']:12}  {row['people']:6}  {row['photographs']:6}  {row['tone_error']:8.1f}  "
                f"{row['tone_bias']:+8.1f}  {row['shape_mm']:9.2f}"
            )
        print(f"{name:8}  shape, worst class / best: {ratio:.2f} (bar: {BAR})")
    OUTPUT.parent.mkdir(exist_ok=True)
    out = {name: {"classes": rows, "worst_over_best": ratio} for name, (rows, ratio) in results.items()}
    write_in_one_step(OUTPUT, lambda file: file.write(json.dumps(out, indent=1).encode()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
