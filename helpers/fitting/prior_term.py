"""Prior term: how likely a face and its light are before the photograph is seen.

α, expression and β are independent standard normal numbers by the construction of the model, so their prior
is half the sum of their squares. Light has a normal prior too: ordinary light comes from everywhere, is not
strongly coloured, and has the brightness at which people are photographed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians

import roma
import torch
from torch import Tensor

from helpers.camera import Pose
from helpers.fitting.light_models import HARMONICS, FaceNormals
from helpers.fitting.parameters import FaceState, Layout
from helpers.fitting.settings import FitSettings


@dataclass(frozen=True)
class Prior:
    """A quadratic ½ (x − mean)ᵀ Λ (x − mean), in blocks.

    Attributes:
        coefficients: (n_coefficients,) or (B, n_coefficients) diagonal precision, mean 0.
        light: (B, n_light, n_light) precision.
        light_mean: (9, 3) or (B, 9, 3) harmonics, or (15,) of a lamp.
        zoom: precision of the logarithm of the focal length, mean 0.
        pose: (6,) diagonal precision of rotation and translation about `start`; None where the pose is free.
        start: B poses.
    """

    coefficients: Tensor
    light: Tensor
    light_mean: Tensor
    zoom: float = 0.0
    pose: Tensor | None = None
    start: Pose | None = None

    def of_means(self, layout: Layout, free: Tensor) -> Prior:
        """The prior whose weights of α, expression and β are shared by those numbers of each that are free to move.

        Args:
            layout: of the parameters.
            free: indices of the parameters that may move.
        """
        moves = torch.zeros(layout.size, dtype=self.coefficients.dtype, device=free.device)
        moves[free] = 1
        parts = (moves[part] for part in (layout.alpha, layout.expression, layout.beta))
        share = torch.cat([part / part.sum().clamp(min=1) for part in parts])
        return replace(self, coefficients=self.coefficients * share)

    def energy(self, state: FaceState) -> tuple[Tensor, Tensor]:
        """(B,) energy of the coefficients, and (B,) of the light, the focal length and the pose."""
        return self._energy(state, *self._pulls(state))

    def add_to(self, H: Tensor | None, g: Tensor, state: FaceState, layout: Layout) -> tuple[Tensor, Tensor]:
        """Add precision and gradient to the normal equations, in place, and give `energy`.

        Args:
            H: (B, n, n), or None where the gradient alone is asked for.
            g: (B, n).
            state: of the B faces.
            layout: of the n parameters.
        """
        n = layout.n_coefficients
        pull, off, light_pull = self._pulls(state)
        g[:, :n] += pull
        g[:, layout.light] += light_pull[..., 0]
        if H is not None:
            H[:, :n, :n].diagonal(dim1=1, dim2=2).add_(self.coefficients)
            H[:, layout.light, layout.light] += self.light
        if state.zoom is not None:
            g[:, layout.zoom] += self.zoom * state.zoom[:, None]
            if H is not None:
                H[:, layout.zoom, layout.zoom] += self.zoom
        if self.pose is not None:
            # A turn along the axis of a rotation adds to its angle, one across it leaves the angle: the slope is exact.
            g[:, layout.pose] += self.pose * self._pose_off(state)
            if H is not None:
                H[:, layout.pose, layout.pose].diagonal(dim1=1, dim2=2).add_(self.pose)
        return self._energy(state, pull, off, light_pull)

    def _pulls(self, state: FaceState) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient by the coefficients (B, n), how far the light is from its mean and the gradient by it (B, n_light, 1)."""
        off = (state.light - self.light_mean).flatten(1)[..., None]
        return self.coefficients * state.coefficients, off, self.light @ off

    def _energy(
        self, state: FaceState, pull: Tensor, off: Tensor, light_pull: Tensor
    ) -> tuple[Tensor, Tensor]:
        coefficients = 0.5 * torch.linalg.vecdot(pull, state.coefficients)
        light = 0.5 * torch.linalg.vecdot(light_pull[..., 0], off[..., 0])
        if state.zoom is not None:
            light = light + 0.5 * self.zoom * state.zoom.square()
        if self.pose is not None:
            light = light + 0.5 * (self.pose * self._pose_off(state).square()).sum(-1)
        return coefficients, light

    def _pose_off(self, state: FaceState) -> Tensor:
        """(B, 6) rotation vector and translation that lead from the start to the pose."""
        start = state.pose if self.start is None else self.start
        turn = roma.rotmat_to_rotvec(state.pose.rotation @ start.rotation.transpose(1, 2))
        return torch.cat([turn, state.pose.translation - start.translation], -1)


def make_prior(
    layout: Layout,
    settings: FitSettings,
    grey: Tensor,
    share: Tensor | None = None,
    start: Pose | None = None,
) -> Prior:
    """The prior for a batch.

    Args:
        layout: of the parameters, with the model of light.
        settings: weights and standard deviations.
        grey: (B,) bool, photographs without colour, whose light must explain the tint.
        share: (B,) part of the prior of α and β that a photograph has. Those of one person share one prior: 1 / n for
            each of n. None means 1.
        start: B poses, about which the settings may hold the pose.
    """
    coefficients = torch.empty(layout.n_coefficients, device=grey.device)
    coefficients[layout.alpha] = settings.shape_weight
    coefficients[layout.expression] = settings.expression_weight
    coefficients[layout.beta] = settings.texture_weight
    if share is not None:
        coefficients = coefficients.repeat(len(share), 1)
        coefficients[:, layout.alpha] *= share[:, None]
        coefficients[:, layout.beta] *= share[:, None]
    light, mean = layout.light_model.prior(settings, grey)
    pose = None
    if settings.pose_sigma is not None:
        turn, shift = settings.pose_sigma
        pose = torch.tensor([radians(turn)] * 3 + [shift] * 3, device=grey.device).square().reciprocal()
    return Prior(coefficients, light, mean, settings.focal_sigma**-2, pose, start)


def exposed(prior: Prior, settings: FitSettings, grey: Tensor, light: Tensor, face: FaceNormals) -> Prior:
    """The same prior, but for a light of which the camera's exposure is known: `FitSettings.exposure`.

    Args:
        prior: of B photographs in the light of harmonics.
        settings: with the exposure.
        grey: (B,) bool, photographs without colour.
        light: (B, 9, 3) from where the search begins.
        face: the directions of a face.
    """
    precision, mean = HARMONICS.exposed_prior(settings, grey, light, face)
    return replace(prior, light=precision, light_mean=mean)
