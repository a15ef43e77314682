"""Light from all around, as nine numbers per colour channel.

The light that a diffuse surface receives depends on its normal only, and varies slowly with it. The first
nine spherical harmonics hold at least 98 % of it (as reported by Basri and Jacobs 2003). The basis is used without
its normalising constants: they would only rescale the coefficients.

Light adds up and multiplies in linear amounts, and the camera's curve is applied to what comes of that: the sRGB
colour of a surface is its sRGB albedo times `gamma_encode` of the light that it receives (`helpers.lighting.colour`
tells why). The lamp of the released fitter multiplies sRGB values instead (`helpers.lighting.phong`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.lighting.colour import gamma_encode

# An even light that is a little stronger from the front and from above: (9, 3), grey.
DEFAULT_LIGHT = torch.tensor([0.46, 0.0, 0.16, 0.32, 0.0, 0.0, 0.0, 0.0, 0.0])[:, None].repeat(1, 3)
# For pictures of shape: one side brighter, so that the relief shows.
STUDIO_LIGHT = torch.tensor([0.35, 0.22, 0.31, 0.66, 0.0, 0.0, 0.0, 0.0, 0.0])[:, None].repeat(1, 3)


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
    """Colour of a diffuse surface in the light that it receives at its normal.

    Args:
        albedo: (B, ..., 3) sRGB.
        normals: (B, ..., 3) unit vectors in viewer axes (x right, y up, z towards the viewer).
        light: (B or 1, 9, 3) coefficients of the harmonics, linear.

    Returns:
        (B, ..., 3) sRGB, not clipped, so that the fit keeps a gradient where the picture would saturate.
    """
    basis = sh_basis(normals)
    received = torch.einsum("b...k,bkc->b...c", basis, light.expand(len(basis), -1, -1))
    return albedo * gamma_encode(received)
