"""The two models of light that a fit may use, behind one interface; `FitSettings.light_model` names one of them.

"harmonics" are 27 numbers, light from everywhere; "lamp" is the released fitter's light, 15 numbers
(`helpers.fitting.lamp`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache, lru_cache
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from helpers.fitting.harmonics import look_in_harmonics
from helpers.fitting.lamp import look_in_lamplight
from helpers.fitting.settings import Exposure, FitSettings
from helpers.fitting.surface import Look, Surface
from helpers.lighting import ColourTransform, PhongLight, gamma_encode
from helpers.lighting.colour import DARKEST, GAMMA
from helpers.lighting.lamp_vector import (
    AMBIENT,
    CONTRAST,
    DIFFUSE,
    DIRECTION,
    GAIN,
    N_LAMP,
    OFFSET,
    unpack_lamp,
)

LEAST_SLOPE = 0.1  # of a white face by even light; it is about 0.5 in any light that shows a face


class RenderLight(NamedTuple):
    """What `helpers.rendering.render` takes: its arguments of the same names."""

    light: Tensor | PhongLight
    colour: ColourTransform | None
    shadows: bool


class FaceNormals(NamedTuple):
    """The directions of a face's skin, seen from the front.

    Attributes:
        harmonics: (V, 9) at the normals.
        share: (V,) how much of the skin in the picture has each, 1 in all.
    """

    harmonics: Tensor
    share: Tensor

    def white(self, light: Tensor) -> tuple[Tensor, Tensor]:
        """Colour (B, 3) that a white face has on average in light (B, 9, 3), and its slope (B, 9, 3) by that light."""
        received = self.harmonics @ light  # (B, V, 3)
        shown = gamma_encode(received)
        slope = torch.where(received < DARKEST, 0, shown / (GAMMA * received)) * self.share[:, None]
        return (shown * self.share[:, None]).sum(1), self.harmonics.T @ slope


class LightModel(ABC):
    """What the rest of the fit needs of a model of light. `light` is always a tensor for B faces.

    Attributes:
        n_light: how many numbers it has.
    """

    n_light: int

    @abstractmethod
    def prior(self, settings: FitSettings, grey: Tensor) -> tuple[Tensor, Tensor]:
        """A normal prior, whose mean is also where a search begins.

        Args:
            settings: of the fit.
            grey: (B,) bool, photographs without colour.

        Returns:
            (B, n_light, n_light) precision, and the mean in the shape of one face's light.
        """

    @abstractmethod
    def look(self, surface: Surface, image: Tensor, settings: FitSettings) -> Look:
        """Compare the lit surface with the photographs (with slopes, (B, H, W, 9))."""

    def within(self, light: Tensor) -> Tensor:
        """The nearest light that there can be."""
        return light

    def towards(self, light: Tensor) -> Tensor | None:
        """(B, 3) unit vectors to the lamp, viewer axes; None for light that casts no shadows."""
        return None

    def for_rendering(self, light: Tensor) -> RenderLight:
        """The same light in the terms of the renderer."""
        return RenderLight(light, None, False)

    def gain_and_offset(self, light: Tensor) -> Tensor:
        """(B, 2, 3) gain and offset of the colours; 1 and 0 where the light itself has the photograph's tint."""
        return torch.stack([light.new_ones(len(light), 3), light.new_zeros(len(light), 3)], 1)


class HarmonicLight(LightModel):
    """Spherical harmonics (B, 9, 3), which carry the photograph's tint too."""

    n_light = 27
    ORDER = (0, 1, 1, 1, 2, 2, 2, 2, 2)  # of each of the nine harmonics

    def prior(self, settings: FitSettings, grey: Tensor) -> tuple[Tensor, Tensor]:
        """As `LightModel.prior`; the light of a grey photograph must explain its tint, so its colour is freer."""
        common = self._by_order(settings.light_sigma, grey)
        colour = torch.where(
            grey[:, None, None],
            self._by_order(settings.grey_colour_sigma, grey),
            self._by_order(settings.light_colour_sigma, grey),
        )
        return self._blocks(common, colour), self._mean(settings.light_mean, grey)

    def exposed_prior(
        self, settings: FitSettings, grey: Tensor, light: Tensor, face: FaceNormals
    ) -> tuple[Tensor, Tensor]:
        """The prior of `FitSettings.exposure`, normal about a light.

        With w(L) the colour of a white face (`FaceNormals.white`) and h its slope by the harmonics at the light L₀, the
        precision 1 / σ² of w is added along h to that of the single harmonics. The mean is the even light that the
        line through w(L₀) takes for well exposed.

        Args:
            settings: with the exposure.
            grey: (B,) bool, photographs without colour.
            light: (B, 9, 3) L₀, well exposed.
            face: the directions of a face.

        Returns:
            (B, 27, 27) precision, and the mean (B, 9, 3).
        """
        exposure = settings.exposure
        white, slope = face.white(light)  # (B, 3), (B, 9, 3)
        mean = torch.zeros_like(light)
        mean[:, 0] = (exposure.mean - white + (slope * light).sum(1)) / slope[:, 0].clamp(min=LEAST_SLOPE)
        colour = torch.where(
            grey[:, None, None],
            self._by_order(settings.grey_colour_sigma, grey),
            self._by_order(exposure.light_colour_sigma, grey),
        )
        share = torch.full((3, 3), 1 / 3, device=light.device)
        differ = torch.eye(3, device=light.device) - share
        # A grey photograph's tint is free.
        known = torch.where(grey, 0.0, exposure.colour_sigma**-2)[:, None, None]
        along = torch.einsum("bkc,bcd,bld->bkcld", slope, share / exposure.sigma**2 + known * differ, slope)
        precision = self._blocks(self._by_order(exposure.light_sigma, grey), colour)
        return precision + along.reshape(-1, 27, 27), mean

    def as_exposed(self, light: Tensor, exposure: Exposure, face: FaceNormals) -> Tensor:
        """The light (B, 9, 3) made so bright that a white face has the colour that the camera's exposure gives it.

        From there albedo, which is multiplied with it, is found in one linear step; from a light far darker a step
        would overshoot.
        """
        white = face.white(light)[0].mean(-1)
        return light * ((exposure.mean / white) ** GAMMA)[:, None, None]

    def _by_order(self, sigma: tuple[float, float, float], like: Tensor) -> Tensor:
        """(9, 9) precision of independent harmonics with the standard deviations σ by order."""
        return _precision_by_order(tuple(sigma[order] for order in self.ORDER), like.device)

    def _mean(self, constant: float, like: Tensor) -> Tensor:
        mean = torch.zeros(9, 3, device=like.device)
        mean[0] = constant
        return mean

    def _blocks(self, common: Tensor, colour: Tensor) -> Tensor:
        """(B, 27, 27) from the precision (9, 9) of what the channels share, and (B, 9, 9) of how they differ."""
        # Two projections of the three channels that add to identity.
        share = torch.full((3, 3), 1 / 3, device=colour.device)
        differ = torch.eye(3, device=colour.device) - share
        whole = torch.einsum("kl,cd->kcld", common, share) + torch.einsum("bkl,cd->bkcld", colour, differ)
        return whole.reshape(-1, 27, 27)

    def look(self, surface: Surface, image: Tensor, settings: FitSettings) -> Look:
        """As `LightModel.look`, in a kernel."""
        return look_in_harmonics(surface, image, settings)


class LampLight(LightModel):
    """The released fitter's lamp and colours (B, 15): see `helpers.lighting.lamp_vector`."""

    n_light = N_LAMP
    # Of ambient (3), diffuse (3), direction (2), contrast, gain (3) and offset (3), as in the released code.
    LOWEST = (*[0.0] * 6, *[-inf] * 2, 0.0, *[0.3] * 3, *[-inf] * 3)
    HIGHEST = (*[1.0] * 6, *[inf] * 2, 1.0, *[3.0] * 3, *[inf] * 3)

    def prior(self, settings: FitSettings, grey: Tensor) -> tuple[Tensor, Tensor]:
        """As `LightModel.prior`. A grey photograph has no contrast of colours, so that may go to 0."""
        mean, sigma = torch.zeros(2, N_LAMP, device=grey.device)
        parts = AMBIENT, DIFFUSE, DIRECTION, CONTRAST, GAIN, OFFSET
        for part, (middle, spread) in zip(parts, settings.lamp_prior, strict=True):
            mean[part], sigma[part] = middle, spread
        precision = sigma.square().reciprocal().repeat(len(grey), 1)
        precision[:, CONTRAST] = torch.where(grey[:, None], 1.0, precision[:, CONTRAST])
        return torch.diag_embed(precision), mean

    def within(self, light: Tensor) -> Tensor:
        """Within the limits of what a lamp and a camera can be."""
        low, high = _lamp_limits(light.dtype, light.device)
        return light.clamp(low, high)

    def towards(self, light: Tensor) -> Tensor:
        """(B, 3) unit vectors to the lamp, viewer axes."""
        return unpack_lamp(light)[0].towards()

    def look(self, surface: Surface, image: Tensor, settings: FitSettings) -> Look:
        """As `LightModel.look`."""
        return look_in_lamplight(surface, image, settings)

    def for_rendering(self, light: Tensor) -> RenderLight:
        """A `PhongLight` with shadows, and what the camera does to colours."""
        return RenderLight(*unpack_lamp(light), True)

    def gain_and_offset(self, light: Tensor) -> Tensor:
        """(B, 2, 3), two parts of the light's numbers."""
        return torch.stack([light[:, GAIN], light[:, OFFSET]], 1)


@lru_cache(maxsize=64)
def _precision_by_order(sigma: tuple[float, ...], device: torch.device) -> Tensor:
    """(9, 9) precision of independent harmonics with the standard deviations σ, kept on a device."""
    with torch.inference_mode(False):
        return torch.diag(torch.tensor(sigma, device=device) ** -2)


@cache
def _lamp_limits(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Lowest and highest (15,) on a device, kept there."""
    low, high = torch.tensor([LampLight.LOWEST, LampLight.HIGHEST], dtype=dtype, device=device)
    return low, high


HARMONICS, LAMP = HarmonicLight(), LampLight()
LIGHT_MODELS: dict[str, LightModel] = {"harmonics": HARMONICS, "lamp": LAMP}


def light_model_of(light: Tensor) -> LightModel:
    """The model of a light (B, 9, 3) or (B, 15), for those who have the tensor alone."""
    return HARMONICS if light.dim() == 3 else LAMP
