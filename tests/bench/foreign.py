"""The fit on people that its model did not make: shape against the mean face's, and the tone of skin."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from helpers.datasets import ForeignPeople
from helpers.evaluation import Surface, outer_rmse, outer_surface, typology_angle
from helpers.face_model import MorphableModel
from helpers.fitting import FitModel, FitSettings, fit, fit_person
from helpers.regression import Network, load_network
from tests.bench.registry import bench, model

PEOPLE, PHOTOS, SEED, BATCH = 10, 6, 40, 12


class Photographs(NamedTuple):
    """Images (N, S, S, 3), landmarks (N, 68, 2) px and whom they show (N,)."""

    image: Tensor
    landmarks: Tensor
    person: Tensor


class ForeignFits(NamedTuple):
    """Errors over the outer surface, in parts of the mean face's: of single photographs (N,), of the mean of each person's
    fits (P,) and of the joint fit (P,); and the error of the tone (N,) degrees."""

    single: np.ndarray
    mean: np.ndarray
    joint: np.ndarray
    tone: np.ndarray


def photographs(people, batch: int = BATCH) -> Photographs:
    """All photographs of some people."""
    drawn = [(b.image, b.landmarks, b.person) for b in people.batches(batch)]
    return Photographs(*(torch.cat(column) for column in zip(*drawn, strict=True)))


def face(heads: MorphableModel, alpha: Tensor) -> Surface:
    """The neutral face of coefficients (K,)."""
    return Surface.of(heads.shape(alpha[None])[0], heads.triangles, heads.landmarks)


def tones(heads: MorphableModel, beta: Tensor) -> np.ndarray:
    """(N,) degrees, individual typology angle of the mean colour of the skin."""
    assert heads.masks is not None
    skin = heads.masks["skin"] > 0.5
    return typology_angle(heads.texture(beta)[:, skin].mean(1).numpy())


def measure(
    people: ForeignPeople,
    heads: MorphableModel,
    settings: FitSettings | None = None,
    network: Network | None = None,
) -> ForeignFits:
    """Fit all photographs of some people, alone and by person, and measure the errors; a network may guess first."""
    fit_model, shown = FitModel(heads), photographs(people)
    prior = None if network is None else network.prior(shown.image, landmarks=shown.landmarks)
    scans = [
        outer_surface(Surface.of(v, people.model.triangles, people.model.landmarks)) for v in people.neutral
    ]
    nobody = torch.zeros(len(heads.shape_std))
    base = np.array([outer_rmse(face(heads, nobody), scan) for scan in scans])
    fits = [
        fit(
            shown.image[some],
            shown.landmarks[some],
            fit_model,
            prior=None if prior is None else prior.of(some),
            settings=settings,
        )
        for some in torch.arange(len(shown.person)).split(BATCH)
    ]
    alpha, beta = torch.cat([f.alpha for f in fits]), torch.cat([f.beta for f in fits])
    together = torch.cat(
        [
            fit_person(
                shown.image[shown.person == p],
                shown.landmarks[shown.person == p],
                fit_model,
                prior=None if prior is None else prior.of(shown.person == p),
                settings=settings,
            ).alpha
            for p in range(people.people)
        ]
    )
    means = torch.stack([alpha[shown.person == p].mean(0) for p in range(people.people)])

    def errors(faces: Tensor, owner: Tensor) -> np.ndarray:
        pairs = zip(faces, owner.tolist(), strict=True)
        return np.array([outer_rmse(face(heads, a), scans[p]) / base[p] for a, p in pairs])

    everybody = torch.arange(people.people)
    true_tones = typology_angle(people.skin.numpy())
    return ForeignFits(
        single=errors(alpha, shown.person),
        mean=errors(means, everybody),
        joint=errors(together, everybody),
        tone=tones(heads, beta) - true_tones[shown.person],
    )


@cache
def foreign_fits() -> ForeignFits:
    return measure(ForeignPeople(model(1), PEOPLE, PHOTOS, seed=SEED), model(1))


def part(value: float) -> dict:
    return {"value": float(value), "unit": "of the mean face's", "peer": None, "ratio": None}


@bench
def foreign_fit_median_ratio() -> dict:
    """3DRMSE of single photographs over the mean face's, median: people of another population, drawn by ray casting."""
    return part(np.median(foreign_fits().single))


@cache
def guided_fits() -> ForeignFits:
    return measure(ForeignPeople(model(1), PEOPLE, PHOTOS, seed=SEED), model(1), network=load_network())


@bench
def foreign_guided_median_ratio() -> dict:
    """The same for fits whose prior is the network's prediction; peer: the face model's own prior."""
    guided, own = (float(np.median(f.single)) for f in (guided_fits(), foreign_fits()))
    return part(guided) | {"peer": own, "ratio": guided / own}


@bench
def foreign_guided_joint_ratio() -> dict:
    """The same for six photographs fitted together."""
    guided, own = (float(np.median(f.joint)) for f in (guided_fits(), foreign_fits()))
    return part(guided) | {"peer": own, "ratio": guided / own}


@bench
def foreign_detected_median_ratio() -> dict:
    """The same with the points of the installed detector; peer: with simulated ones."""
    people = ForeignPeople(model(1), PEOPLE, PHOTOS, seed=SEED, detector="auto")
    detected, simulated = (float(np.median(f.single)) for f in (measure(people, model(1)), foreign_fits()))
    return part(detected) | {"peer": simulated, "ratio": detected / simulated}


@bench
def foreign_fit_worse_than_mean() -> dict:
    """Share of the photographs whose fit is farther from the truth than the mean face."""
    return {
        "value": float((foreign_fits().single > 1).mean()),
        "unit": "of photos",
        "peer": None,
        "ratio": None,
    }


@bench
def foreign_mean_of_six_ratio() -> dict:
    """The same for the mean of the fits of six photographs of a person."""
    return part(np.median(foreign_fits().mean))


@bench
def foreign_joint_of_six_ratio() -> dict:
    """The same for six photographs fitted together; peer: the mean of their fits."""
    joint, mean = float(np.median(foreign_fits().joint)), float(np.median(foreign_fits().mean))
    return part(joint) | {"peer": mean, "ratio": joint / mean}


@bench
def foreign_tone_error() -> dict:
    """Mean absolute error of the skin's tone."""
    return {
        "value": float(np.abs(foreign_fits().tone).mean()),
        "unit": "° of ITA",
        "peer": None,
        "ratio": None,
    }
