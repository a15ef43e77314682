"""The fit: seconds a photograph, and errors on faces whose shape is known."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import torch

from helpers.datasets import Nuisances, SyntheticPeople, known_faces
from helpers.evaluation import bootstrap_interval, shape_rmse
from helpers.fitting import FitModel, fit
from helpers.regression import load_network
from tests.bench.registry import bench, best, faster, model


@cache
def fitting_scene():
    fit_model = FitModel(model(2))
    return fit_model, known_faces(fit_model.model, 16, seed=20)


@bench
def fit_one_224() -> dict:
    fit_model, faces = fitting_scene()
    return faster(best(lambda: fit(faces.image[:1], faces.landmarks[:1], fit_model), 5), "s/photo")


@bench
def fit_batch_224() -> dict:
    fit_model, faces = fitting_scene()
    alone = best(lambda: fit(faces.image[:1], faces.landmarks[:1], fit_model), 3)
    together = best(lambda: fit(faces.image, faces.landmarks, fit_model), 2) / 16
    return faster(together, "s/photo", alone)


PEAK_OF = """
import sys
from helpers.datasets import known_faces
from helpers.face_model import load
from helpers.fitting import FitModel, fit
model = FitModel(load("open", level=2))
faces = [known_faces(model.model, 4, seed=20) for _ in range(4)]
import torch
image, points = (torch.cat([getattr(f, name) for f in faces]) for name in ("image", "landmarks"))
fit(image[: int(sys.argv[1])], points[: int(sys.argv[1])], model)
from tests.bench.registry import peak_mb
print(peak_mb())
"""


@bench
def fit_memory_photo() -> dict:
    """What one more photograph in a batch adds to the peak memory of a process: 16 against 6, in processes of their own."""
    six, sixteen = (
        float(
            subprocess.run(
                [sys.executable, "-c", PEAK_OF, str(n)], capture_output=True, text=True, check=True
            ).stdout
        )
        for n in (6, 16)
    )
    return {"value": (sixteen - six) / 10, "unit": "MB/photo", "peer": None, "ratio": None}


@cache
def fit_errors() -> tuple[torch.Tensor, torch.Tensor]:
    """RMS errors (16,) mm of the fit and of the mean face, visible surface, similarity alignment, neutral shape."""
    fit_model, faces = fitting_scene()
    alpha = fit(faces.image, faces.landmarks, fit_model).alpha
    fitted, mean = (fit_model.model.shape(a) for a in (alpha, torch.zeros_like(alpha)))
    return shape_rmse(fitted, faces.neutral, faces.visible), shape_rmse(mean, faces.neutral, faces.visible)


@bench
def fit_error_mean_mm() -> dict:
    fitted, mean = (float(e.mean()) for e in fit_errors())
    return {"value": fitted, "unit": "mm", "peer": mean, "ratio": fitted / mean}


@bench
def fit_error_known_focal_mm() -> dict:
    """The same with the true focal length and landmarks with 0.3 px of noise."""
    fit_model, _ = fitting_scene()
    faces = known_faces(fit_model.model, 16, seed=21, focal_spread=0.0, landmark_noise=0.3)
    alpha = fit(faces.image, faces.landmarks, fit_model).alpha
    fitted, mean = (
        float(shape_rmse(fit_model.model.shape(a), faces.neutral, faces.visible).mean())
        for a in (alpha, torch.zeros_like(alpha))
    )
    return {"value": fitted, "unit": "mm", "peer": mean, "ratio": fitted / mean}


@bench
def fit_error_worst_fraction() -> dict:
    fitted, mean = fit_errors()
    return {"value": float((fitted / mean).max()), "unit": "of the mean face's", "peer": None, "ratio": None}


def _with_and_without_guess(nuisances: Nuisances) -> dict:
    """Mean error in mm over 32 people of the model, fitted with the network's prior; peer: with the face model's. Paired, 95 %."""
    heads, network = model(1), load_network()
    people = SyntheticPeople(heads, 32, 1, seed=555, size=224, framing="fit", nuisances=nuisances)
    errors = []
    for shown in people.batches(16):
        prior = network.prior(shown.image, landmarks=shown.landmarks)
        fits = [fit(shown.image, shown.landmarks, FitModel(heads), prior=each) for each in (prior, None)]
        errors.append(
            torch.stack([shape_rmse(heads.shape(f.alpha), shown.neutral, shown.visible) for f in fits])
        )
    of_people = torch.cat(errors, 1)
    guided, alone = of_people.mean(1).tolist()
    mean, low, high = bootstrap_interval(of_people[0] - of_people[1])
    unit = f"mm, {mean:+.2f} ({low:+.2f} to {high:+.2f}) to the peer"
    return {"value": guided, "unit": unit, "peer": alone, "ratio": guided / alone}


@bench
def fit_guided_own() -> dict:
    """Fits from the network's guess, on ordinary renders of the model's own people."""
    return _with_and_without_guess(Nuisances())


@bench
def fit_guided_own_hard() -> dict:
    """The same on hard photographs of them."""
    return _with_and_without_guess(Nuisances.photographs())
