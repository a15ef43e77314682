"""One lamp and a highlight: the light of the authors' released fitter, as Phong wrote it down.

Three parts add up. Ambient light comes from everywhere. Diffuse light comes from one direction and counts by
the cosine of the angle at which it meets the surface. The highlight is the lamp's mirror image, spread out:
the nearer the mirrored ray to the viewer, the brighter.

As in the released code all three are in sRGB values, as if the camera had no curve: where the harmonics of
`helpers.lighting.harmonics` are linear, this light is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from helpers.device import default_device

# Fixed in the released fitter: the highlight's strength, 80 of 255 grey levels, and its exponent.
SPECULAR = 80 / 255
SHININESS = 16.0


@dataclass(frozen=True)
class PhongLight:
    """The light of B (or 1) images.

    Attributes:
        ambient: (B, 3) light from everywhere, per colour channel; a white surface that receives 1 appears white.
        diffuse: (B, 3) light of the lamp, likewise.
        direction: (B, 2) radians, where the lamp is: azimuth to the viewer's right, then elevation. (0, 0) is behind
            the viewer.
        specular: (B,) brightness of the highlight, as a share of the lamp's light.
        shininess: (B,) exponent of the highlight, larger for a smaller one.
    """

    ambient: Tensor
    diffuse: Tensor
    direction: Tensor
    specular: Tensor
    shininess: Tensor

    def __post_init__(self) -> None:
        B = len(self.ambient)
        shapes = {"ambient": (3,), "diffuse": (3,), "direction": (2,), "specular": (), "shininess": ()}
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value.shape != (B, *shape):
                raise ValueError(f"{name} must have shape {(B, *shape)}, got {tuple(value.shape)}")

    @classmethod
    def defaults(
        cls, batch: int = 1, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
    ) -> PhongLight:
        """A lamp a little to the right of and above the viewer, with the authors' specular and shininess.

        By default on `helpers.device.default_device()`.
        """
        device = default_device() if device is None else device

        def rows(*values: float) -> Tensor:
            return torch.tensor([values], device=device, dtype=dtype).repeat(batch, 1)

        return cls(
            ambient=rows(0.45, 0.45, 0.45),
            diffuse=rows(0.5, 0.5, 0.5),
            direction=rows(0.5, 0.5),
            specular=rows(SPECULAR)[:, 0],
            shininess=rows(SHININESS)[:, 0],
        )

    def towards(self) -> Tensor:
        """(B, 3) unit vectors to the lamp, in viewer axes (x right, y up, z towards the viewer)."""
        azimuth, elevation = self.direction.unbind(-1)
        across = elevation.cos()
        return torch.stack([azimuth.sin() * across, elevation.sin(), azimuth.cos() * across], -1)

    def to(self, *args: Any, **kwargs: Any) -> PhongLight:
        """On another device or in another precision, as `torch.Tensor.to`."""
        parts = (self.ambient, self.diffuse, self.direction, self.specular, self.shininess)
        return PhongLight(*(part.to(*args, **kwargs) for part in parts))


def shade_phong(
    albedo: Tensor, normals: Tensor, view: Tensor, light: PhongLight, shadow: Tensor | None = None
) -> Tensor:
    """Colour that surface points send to the viewer.

    With normal n, view v, lamp l and mirrored lamp r = 2 (n · l) n − l:

        albedo · (ambient + shadow · diffuse · max(0, n · l)) + shadow · diffuse · specular · max(0, r · v)^shininess

    The highlight is left out where the lamp is behind the surface. It has the lamp's colour, not the skin's.

    Args:
        albedo: (B, ..., 3).
        normals: (B, ..., 3) unit vectors away from the surface, in viewer axes (x right, y up, z towards the viewer).
        view: (B, ..., 3) unit vectors to the camera, in viewer axes.
        light: B or 1.
        shadow: (B, ...) share of the lamp that reaches the point, 1 where nothing is in its way; None means 1.

    Returns:
        (B, ..., 3), not clipped.
    """

    def per_point(value: Tensor) -> Tensor:
        """(B or 1, C) or (B or 1,) with dimensions of length 1 for the points."""
        return value.view(len(value), *[1] * (albedo.dim() - 2), -1)

    lamp = per_point(light.towards())
    cosine = (normals * lamp).sum(-1, keepdim=True)
    mirrored = 2 * cosine * normals - lamp
    towards_viewer = (mirrored * view).sum(-1, keepdim=True)
    lit = (cosine > 0) & (towards_viewer > 0)
    # Not 0: the slope of a power is not finite there.
    power = torch.where(lit, towards_viewer, 1.0) ** per_point(light.shininess)
    highlight = per_point(light.specular) * torch.where(lit, power, 0.0)
    reach = per_point(light.diffuse)
    if shadow is not None:
        reach = reach * shadow[..., None]
    return albedo * (per_point(light.ambient) + reach * cosine.clamp(min=0)) + reach * highlight
