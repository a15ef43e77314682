"""Prior term: how likely a face and its light are before the photograph is seen.

α, expression and β are independent standard normal numbers by the construction of the model, so their prior
is half the sum of their squares. Who knows more of a face, as a network does that has seen the photograph, gives a
`FacePrior` in their place. Light has a normal prior too: ordinary light comes from everywhere, is not strongly coloured,
and has the brightness at which people are photographed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians

import torch
from torch import Tensor

from helpers._roma import roma
from helpers.camera import Pose
from helpers.fitting.light_models import HARMONICS, FaceNormals
from helpers.fitting.parameters import FaceState, Layout
from helpers.fitting.settings import FitSettings


@dataclass(frozen=True)
class FacePrior:
    """What is known of B faces before they are fitted: α and β are normal about a mean of each.

    Attributes:
        mean: (B, n_shape + n_texture) α and β, in standard deviations of the face model.
        covariance: (n_shape + n_texture, n_shape + n_texture) about it, the same for all. The identity, about 0, is what the
            face model knows by itself.

    Raises:
        ValueError: Shapes that do not fit, numbers that are not finite, or no covariance.
    """

    mean: Tensor
    covariance: Tensor

    def __post_init__(self):
        K = self.covariance.shape[-1]
        if self.covariance.shape != (K, K) or self.mean.dim() != 2 or self.mean.shape[1] != K:
            raise ValueError(
                "a prior of faces needs a mean (B, K) and a covariance (K, K), "
                f"got {tuple(self.mean.shape)} and {tuple(self.covariance.shape)}"
            )
        if not bool(self.mean.isfinite().all()) or int(torch.linalg.cholesky_ex(self.covariance).info):
            raise ValueError("a prior of faces needs a finite mean and a positive definite covariance")

    def of(self, index: Tensor | slice) -> FacePrior:
        """That of some of the faces."""
        return replace(self, mean=self.mean[index])

    def to(self, device: str | torch.device) -> FacePrior:
        """The same on another device."""
        return FacePrior(self.mean.to(device), self.covariance.to(device))


@dataclass(frozen=True)
class Prior:
    """A quadratic ½ (x − mean)ᵀ Λ (x − mean), in blocks.

    Attributes:
        coefficients: (n_coefficients,) or (B, n_coefficients) diagonal precision, about 0; it is 0 where `known` is not.
        light: (B, n_light, n_light) precision.
        light_mean: (9, 3) or (B, 9, 3) harmonics, or (15,) of a lamp.
        zoom: precision of the logarithm of the focal length, mean 0.
        pose: (6,) diagonal precision of rotation and translation about `start`; None where the pose is free.
        start: B poses.
        known: (B, n_coefficients, n_coefficients) precision that is added to the diagonal one, about `mean`; None for none.
        mean: (B, n_coefficients).
    """

    coefficients: Tensor
    light: Tensor
    light_mean: Tensor
    zoom: float = 0.0
    pose: Tensor | None = None
    start: Pose | None = None
    known: Tensor | None = None
    mean: Tensor | None = None

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
            if self.known is not None:
                H[:, :n, :n] += self.known
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
        pull = self.coefficients * state.coefficients
        if self.known is not None:
            pull = pull + (self.known @ self._face_off(state)[..., None])[..., 0]
        return pull, off, self.light @ off

    def _face_off(self, state: FaceState) -> Tensor:
        """(B, n) how far the coefficients are from their mean."""
        return state.coefficients if self.mean is None else state.coefficients - self.mean

    def _energy(
        self, state: FaceState, pull: Tensor, off: Tensor, light_pull: Tensor
    ) -> tuple[Tensor, Tensor]:
        coefficients = 0.5 * torch.linalg.vecdot(pull, self._face_off(state))
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
    known: FacePrior | None = None,
) -> Prior:
    """The prior for a batch.

    Args:
        layout: of the parameters, with the model of light.
        settings: weights and standard deviations.
        grey: (B,) bool, photographs without colour, whose light must explain the tint.
        share: (B,) part of the prior of α and β that a photograph has. Those of one person share one prior: 1 / n for
            each of n. None means 1.
        start: B poses, about which the settings may hold the pose.
        known: of α and β, in place of the standard normal.
    """
    coefficients = torch.empty(layout.n_coefficients, device=grey.device)
    coefficients[layout.alpha] = settings.shape_weight
    coefficients[layout.expression] = settings.expression_weight
    coefficients[layout.beta] = settings.texture_weight
    precision = mean = None
    if known is not None:
        coefficients[layout.alpha] = coefficients[layout.beta] = 0.0
        precision, mean = _of_coefficients(known, layout, settings)
    if share is not None:
        coefficients = coefficients.repeat(len(share), 1)
        coefficients[:, layout.alpha] *= share[:, None]
        coefficients[:, layout.beta] *= share[:, None]
        precision = None if precision is None else precision * share[:, None, None]
    light, light_mean = layout.light_model.prior(settings, grey)
    pose = None
    if settings.pose_sigma is not None:
        turn, shift = settings.pose_sigma
        pose = torch.tensor([radians(turn)] * 3 + [shift] * 3, device=grey.device).square().reciprocal()
    return Prior(coefficients, light, light_mean, settings.focal_sigma**-2, pose, start, precision, mean)


def _of_coefficients(known: FacePrior, layout: Layout, settings: FitSettings) -> tuple[Tensor, Tensor]:
    """(1, n, n) precision and (B, n) mean of all coefficients, with zeros for the expression."""
    n, at = layout.n_coefficients, known.mean.device
    identity = torch.cat([torch.arange(n, device=at)[part] for part in (layout.alpha, layout.beta)])
    weight = known.mean.new_full((len(identity),), settings.texture_weight).sqrt()
    weight[: layout.n_shape] = settings.shape_weight**0.5
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(known.covariance.double())).to(known.mean)
    precision = known.mean.new_zeros(1, n, n)
    precision[:, identity[:, None], identity] = weight[:, None] * inverse * weight
    mean = known.mean.new_zeros(len(known.mean), n)
    mean[:, identity] = known.mean
    return precision, mean


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
