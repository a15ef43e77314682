"""Light: what a surface receives, what it sends to the camera, and what the camera makes of that."""

from helpers.lighting.colour import LUMINANCE, ColourTransform, gamma_encode, linear_to_srgb, srgb_to_linear
from helpers.lighting.harmonics import DEFAULT_LIGHT, STUDIO_LIGHT, sh_basis, shade
from helpers.lighting.phong import PhongLight, shade_phong

__all__ = [
    "DEFAULT_LIGHT",
    "LUMINANCE",
    "STUDIO_LIGHT",
    "ColourTransform",
    "PhongLight",
    "gamma_encode",
    "linear_to_srgb",
    "sh_basis",
    "shade",
    "shade_phong",
    "srgb_to_linear",
]
