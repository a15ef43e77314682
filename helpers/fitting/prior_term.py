"""Prior term: how likely a face and its light are before the photograph is seen.

α, expression and β are independent standard normal numbers by the construction of the model, so their prior
is half the sum of their squares. Light has a normal prior too: ordinary light comes from everywhere, is not
strongly coloured, and has the brightness at which people are photographed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.fitting.parameters import FaceState, Layout
from helpers.fitting.settings import FitSettings

# The order of each of the nine harmonics.
SH_ORDER = (0, 1, 1, 1, 2, 2, 2, 2, 2)


@dataclass(frozen=True)
class Prior:
    """A quadratic ½ (x − mean)ᵀ Λ (x − mean), in blocks.

    coefficients: (n_coefficients,) diagonal precision, mean 0.
    light: (B, 9, 3, 3) precision over the three channels of each harmonic.  light_mean: (9, 3).
    """

    coefficients: Tensor
    light: Tensor
    light_mean: Tensor

    def energy(self, state: FaceState) -> tuple[Tensor, Tensor]:
        """(B,) energy of the coefficients and (B,) of the light."""
        off = state.light - self.light_mean
        light = 0.5 * torch.einsum("bkc,bkcd,bkd->b", off, self.light, off)
        return 0.5 * (self.coefficients * state.coefficients.square()).sum(-1), light

    def add_to(self, H: Tensor | None, g: Tensor, state: FaceState, layout: Layout) -> None:
        """Add precision and gradient to the normal equations H (B, n, n) or None, g (B, n), in place."""
        n = layout.n_coefficients
        g[:, :n] += self.coefficients * state.coefficients
        off = state.light - self.light_mean
        g[:, layout.light] += (self.light @ off[..., None]).flatten(1)
        if H is not None:
            H[:, :n, :n].diagonal(dim1=1, dim2=2).add_(self.coefficients)
            H[:, layout.light, layout.light] += self.light_matrix

    @cached_property
    def light_matrix(self) -> Tensor:
        """(B, 27, 27): the blocks of `light` along the diagonal."""
        B = len(self.light)
        whole = self.light.new_zeros(B, 9, 3, 9, 3)
        for k in range(9):
            whole[:, k, :, k] = self.light[:, k]
        return whole.view(B, 27, 27)


def make_prior(layout: Layout, settings: FitSettings, grey: Tensor) -> Prior:
    """The prior for a batch; grey: (B,) bool, photographs without colour, whose light must explain the tint."""
    coefficients = torch.empty(layout.n_coefficients, device=grey.device)
    coefficients[layout.alpha] = settings.shape_weight
    coefficients[layout.expression] = settings.expression_weight
    coefficients[layout.beta] = settings.texture_weight
    order = torch.tensor(SH_ORDER, device=grey.device)
    common = torch.tensor(settings.light_sigma, device=grey.device)[order]
    colour = torch.where(
        grey[:, None],
        torch.tensor(settings.grey_colour_sigma, device=grey.device)[order],
        torch.tensor(settings.light_colour_sigma, device=grey.device)[order],
    )
    # Split three channels into what they share and how they differ: two projections that add to identity.
    share = torch.full((3, 3), 1 / 3, device=grey.device)
    differ = torch.eye(3, device=grey.device) - share
    light = share / common[:, None, None] ** 2 + differ / colour[..., None, None] ** 2
    mean = torch.zeros(9, 3, device=grey.device)
    mean[0] = settings.light_mean
    return Prior(coefficients, light, mean)
