"""What each term of the fit buys, in mm, on rendered faces whose shape is known: `python -m tests.bench.study`.

Faces are drawn with another seed than those that the settings were tuned on (100 and 101), in random pose, light,
expression, with noise and an unknown focal length. Errors are RMS distances over the visible surface of the neutral
face after similarity alignment, told as a distribution. Writes build/study.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from helpers.datasets import known_faces
from helpers.evaluation import shape_rmse
from helpers.face_model import load
from helpers.files import write_in_one_step
from helpers.fitting import FitModel, FitSettings, fit

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "study.json"
SEED = 2000
BATCH = 8

BASE, RELEASED = FitSettings(), FitSettings.released()
SETTINGS = {
    "landmarks only": replace(BASE, dense=False),
    "+ pixels": BASE,
    "+ pixels, N_eff measured": replace(BASE, measured=("sigma", "n_effective")),
    "+ pixels, landmarks share no error": replace(BASE, landmark_shift_sigma=0.0),
    "+ pixels + edges (weight 20)": replace(BASE, edge_weight=20.0),
    "+ pixels + oriented edges (20)": replace(BASE, edge_weight=20.0, edge_form="oriented distance"),
    "+ pixels, no prior on α and β": replace(BASE, shape_weight=1e-3, texture_weight=1e-3),
    "+ pixels in a lamp's light": replace(BASE, light_model="lamp"),
    "the released fitter": RELEASED,
    "the released fitter without edges": replace(
        RELEASED, stages=tuple(stage._replace(edges=0.0) for stage in RELEASED.stages)
    ),
}


def disturbed(landmarks: torch.Tensor, how: str) -> torch.Tensor:
    """Landmarks (N, 68, 2) px that are worse than the detector's usual 1.2 px of noise."""
    generator = torch.Generator().manual_seed(1)
    if how == "noisy":  # 3 px in all
        return landmarks + torch.randn(landmarks.shape, generator=generator) * (3.0**2 - 1.2**2) ** 0.5
    if how == "shifted":
        return landmarks + torch.tensor([6.0, 0.0])
    if how == "5 % wrong":
        wrong = torch.rand(landmarks.shape[:2], generator=generator) < 0.05
        return landmarks + wrong[..., None] * torch.randn(landmarks.shape, generator=generator) * 20
    return landmarks


# Of the landmarks, and last of the light: faces lit by a lamp as in the released fitter, with the usual landmarks.
CONDITIONS = ("usual", "noisy", "shifted", "5 % wrong", "lamp light")


def errors(
    fit_model: FitModel, faces, landmarks: torch.Tensor, settings: FitSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) mm, and (N,) bool which fits were called good."""
    found, good = [], []
    for some in torch.arange(len(landmarks)).split(BATCH):
        result = fit(faces.image[some], landmarks[some], fit_model, settings=settings)
        found.append(
            shape_rmse(fit_model.model.shape(result.alpha), faces.neutral[some], faces.visible[some])
        )
        good.append(result.ok)
    return torch.cat(found), torch.cat(good)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.study", description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--level", type=int, default=1, help="level of detail that is fitted (default: 1)")
    parser.add_argument("--yaw", type=float, default=45.0, help="largest yaw in degrees (default: 45)")
    parser.add_argument("--conditions", nargs="*", default=CONDITIONS, choices=CONDITIONS)
    args = parser.parse_args(arguments)
    fit_model = FitModel(load("open", level=args.level))
    model = fit_model.model
    worlds = {
        lamp: known_faces(model, args.faces, seed=SEED, max_yaw=args.yaw, lamp=lamp) for lamp in (False, True)
    }
    faces = worlds[False]
    mean_face = shape_rmse(model.shape(torch.zeros(args.faces, 99)), faces.neutral, faces.visible)
    quantiles = torch.tensor([0.1, 0.5, 0.9])
    rows = []
    print(f"{args.faces} faces, yaw ±{args.yaw:g}°, level {args.level}; errors in mm")
    print(f"{'':34}  landmarks     mean    10 %  median    90 %   worst / mean face's  called good")
    jobs = [("mean face", None, "usual")] + [(n, s, c) for c in args.conditions for n, s in SETTINGS.items()]
    for name, settings, condition in tqdm(jobs, desc="study", leave=False):
        if settings is None:
            error, good = mean_face, torch.zeros_like(mean_face, dtype=torch.bool)
        else:
            faces = worlds[condition == "lamp light"]
            error, good = errors(fit_model, faces, disturbed(faces.landmarks, condition), settings)
        low, middle, high = error.quantile(quantiles).tolist()
        worst, share = float((error / mean_face).max()), float(good.float().mean())
        rows.append(
            {
                "fit": name,
                "landmarks": condition,
                "mean": float(error.mean()),
                "q10": low,
                "median": middle,
                "q90": high,
                "worst_fraction": worst,
                "called_good": share,
            }
        )
        tqdm.write(
            f"{name:34}  {condition:10} {error.mean():7.2f} {low:7.2f} {middle:7.2f} {high:7.2f}  {worst:15.2f}  {share:15.2f}"
        )
    OUTPUT.parent.mkdir(exist_ok=True)
    write_in_one_step(OUTPUT, lambda file: file.write(json.dumps(rows, indent=1).encode()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
