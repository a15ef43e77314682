"""What a fit returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from helpers.camera import Camera, Pose
from helpers.fitting.confidence import COVERED, REASONS, UNFINISHED
from helpers.fitting.light_models import light_model_of
from helpers.fitting.parameters import FaceState, FitModel
from helpers.reasons import Explained
from helpers.rendering import Rendering, render


@dataclass(frozen=True)
class FitResult(Explained):
    """The fitted faces of B photographs.

    Attributes:
        alpha: (B, 99) shape, in standard deviations.
        beta: (B, 99) texture, in standard deviations.
        expression: (B, 30) in standard deviations.
        covariance: (B, 228, 228) of α, expression and β, in this order: see `helpers.fitting.uncertainty`.
        pose: B poses.
        camera: the camera of the crop, with the focal length that was found if it was sought.
        light: (B, 9, 3) spherical harmonics, or (B, 15) in the released fitter's light: see `helpers.fitting.lamp`.
        energy: (B, T) total energy before each iteration, by the level of blur in force.
        energy_terms: name to (B, T): "landmarks", "pixels", "edges", "coefficients", and "light" with all other priors.
        residual: (B, H, W, 3) photograph − model.
        pixel_weight: (B, H, W) how far each pixel was to be trusted in the end, from 0 (not seen, not skin, not
            photograph) to 1.
        face_probability: (B, H, W) that a pixel of the fitted face shows it, and not hair, glasses or a hand in front of
            it; 1 beside the face. See `helpers.fitting.face_mask`.
        covered: (B,) share of the face that something hides, 0 to 1.
        landmarks: (B, 68, 2) px, the given points.
        landmark_error: (B, 68) px, distance to the model's points.
        landmark_weight: (B, 68) how far each point counted in the end, 0 (hidden side of the jaw) to 1.
        confidence: (B,) from about 0 to 1; see `helpers.fitting.confidence.fit_confidence`.
        code: (B,) int32, 0 for a good fit; `reason` and `explain` have the words.
        promised: (B,) what one more step would have gained, as a part of the energy.
        precision: (B,) N_eff / σ² of the pixels in the end.
        iterations_landmarks: how many of the T iterations saw landmarks only.
        iterations_skin: how many at the end moved skin and light only, under another prior of light.
    """

    REASONS = REASONS

    alpha: Tensor
    beta: Tensor
    expression: Tensor
    covariance: Tensor
    pose: Pose
    camera: Camera
    light: Tensor
    energy: Tensor
    energy_terms: dict[str, Tensor]
    residual: Tensor
    pixel_weight: Tensor
    face_probability: Tensor
    covered: Tensor
    landmarks: Tensor
    landmark_error: Tensor
    landmark_weight: Tensor
    confidence: Tensor
    code: Tensor
    promised: Tensor
    precision: Tensor
    iterations_landmarks: int
    iterations_skin: int

    def to(self, device: torch.device | str) -> FitResult:
        """The same on another device."""
        return _each_tensor(lambda same: same[0].to(device), [self])

    def only(self, face: int) -> FitResult:
        """One of the B faces, as a batch of one."""
        return _each_tensor(lambda same: same[0][face : face + 1], [self])

    @staticmethod
    def joined(results: Sequence[FitResult]) -> FitResult:
        """The faces of several batches, at least one, that were fitted with the same settings, as one batch."""
        return _each_tensor(torch.cat, results) if len(results) > 1 else results[0]

    def explain(self, face: int = 0) -> str:
        """One sentence about one face."""
        sentence = super().explain(face)
        if int(self.code[face]) == COVERED:
            sentence = f"at least {100 * float(self.covered[face]):.0f} % of the face is covered: {sentence}"
        return sentence

    @property
    def converged(self) -> Tensor:
        """(B,) bool: one more step would hardly lower the energy."""
        return self.promised < UNFINISHED


def _each_tensor(change: Callable[[list[Tensor]], Tensor], values: Sequence) -> Any:
    """The first of some values of one structure, with `change` of what they have in its place for each tensor."""
    first = values[0]
    if isinstance(first, Tensor):
        return change(list(values))
    if isinstance(first, dict):
        return {name: _each_tensor(change, [value[name] for value in values]) for name in first}
    if is_dataclass(first) and not isinstance(first, type):
        parts = {f.name: [getattr(value, f.name) for value in values] for f in fields(first)}
        return replace(first, **{name: _each_tensor(change, part) for name, part in parts.items()})
    return first


def render_state(fit_model: FitModel, state: FaceState, camera: Camera, supersample: int = 1) -> Rendering:
    """Draw the faces of a state in the state's light.

    Args:
        fit_model: the face model.
        state: of B faces.
        camera: of the images, before the zoom of the state.
        supersample: draw at this many times the size along each side and average.
    """
    lit = light_model_of(state.light).for_rendering(state.light)
    with torch.no_grad():
        return render(
            fit_model.geometry(state.coefficients),
            fit_model.triangles,
            fit_model.albedo(state.coefficients).clamp(0, 1),
            Pose(state.pose.rotation_vector, state.pose.translation),
            state.zoomed(camera),
            light=lit.light,
            supersample=supersample,
            colour=lit.colour,
            shadows=lit.shadows,
        )
