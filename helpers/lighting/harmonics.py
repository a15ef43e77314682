"""Light from all around, as nine numbers per colour channel.

The light that a diffuse surface receives depends on its normal only, and varies slowly with it. The first
nine spherical harmonics hold at least 98 % of it (as reported by Basri and Jacobs 2003). The basis is used without
its normalising constants: they would only rescale the coefficients.

The light multiplies the sRGB albedo directly. Physically it belongs on linear values; in fits to photographs
the gamma curve was tried and gained nothing, because an unknown camera has bent the values anyway.
`helpers.rendering.render` takes `linear_light=True` for the physical order.
"""

from __future__ import annotations

import torch
from torch import Tensor

# An even light that is a little stronger from the front and from above: (9, 3), grey.
DEFAULT_LIGHT = torch.tensor([0.70, 0.0, 0.10, 0.20, 0.0, 0.0, 0.0, 0.0, 0.0])[:, None].repeat(1, 3)
# For pictures of shape: one side brighter, so that the relief shows.
STUDIO_LIGHT = torch.tensor([0.62, 0.12, 0.18, 0.42, 0.0, 0.0, 0.0, 0.0, 0.0])[:, None].repeat(1, 3)


def sh_basis(normals: Tensor) -> Tensor:
    """The nine basis functions 1, x, y, z, xy, xz, yz, x² − y², 3z² − 1.

    Args:
        normals: (..., 3) unit vectors.

    Returns:
        (..., 9).
    """
    x, y, z = normals.unbind(-1)
    return torch.stack([torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], -1)


def shade(albedo: Tensor, normals: Tensor, light: Tensor) -> Tensor:
    """Colour of a diffuse surface: its albedo times the light that it receives at its normal.

    Args:
        albedo: (B, ..., 3).
        normals: (B, ..., 3) unit vectors in viewer axes (x right, y up, z towards the viewer).
        light: (B or 1, 9, 3) coefficients of the harmonics.

    Returns:
        (B, ..., 3), not clipped, so that the fit keeps a gradient where the picture would saturate.
    """
    basis = sh_basis(normals)
    received = torch.einsum("b...k,bkc->b...c", basis, light.expand(len(basis), -1, -1))
    return albedo * received
