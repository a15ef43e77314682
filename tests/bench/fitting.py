"""The fit: seconds a photograph, and errors on faces whose shape is known."""

from __future__ import annotations

from functools import cache

import torch

from helpers.datasets import known_faces
from helpers.evaluation import shape_rmse
from helpers.fitting import FitModel, fit

from .registry import bench, best, faster, model


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
        float(shape_rmse(fit_model.model.shape(a), faces.neutral, faces.visible).mean()) for a in (alpha, torch.zeros_like(alpha))
    )
    return {"value": fitted, "unit": "mm", "peer": mean, "ratio": fitted / mean}


@bench
def fit_error_worst_fraction() -> dict:
    fitted, mean = fit_errors()
    return {"value": float((fitted / mean).max()), "unit": "of the mean face's", "peer": None, "ratio": None}
