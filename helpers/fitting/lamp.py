"""The released fitter's light: one lamp with a highlight and what the camera does to colours, as 15 numbers of the fit.

Ambient light (3), diffuse light (3) and direction of the lamp (2) make the colour I of a surface point as Phong
wrote it down (`helpers.lighting.phong`); strength and exponent of the highlight are fixed. Contrast (1), gain (3)
and offset (3) make of it the colour of the photograph (`helpers.lighting.colour`). `lamp_colours` computes both and
their slopes by everything that the fit moves; its twin in the tests is torch's own differentiation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from helpers.camera import flip_axes
from helpers.fitting.settings import FitSettings
from helpers.fitting.surface import Look, Surface, SurfacePoints, trust_of
from helpers.lighting.colour import LUMINANCE
from helpers.lighting.lamp_vector import DIRECTION, unpack_lamp
from helpers.lighting.phong import SHININESS, SPECULAR


class LampColours(NamedTuple):
    """Colours of surface points, and their slopes; rows are the channels of the colour.

    The slopes by the unit normal and the unit view are those as if all three of their numbers were free.

    Attributes:
        colour: (B, P, 3).
        by_albedo: (B, P, 3, 3).
        by_normal: (B, P, 3, 3).
        by_view: (B, P, 3, 3).
        by_light: (B, P, 3, 15).
    """

    colour: Tensor
    by_albedo: Tensor
    by_normal: Tensor
    by_view: Tensor
    by_light: Tensor


def lamp_colours(
    albedo: Tensor, normal: Tensor, view: Tensor, light: Tensor, shadow: Tensor | None = None
) -> LampColours:
    """Shade points by the released fitter's light.

    Args:
        albedo: (B, P, 3).
        normal: (B, P, 3) unit vectors, viewer axes.
        view: (B, P, 3) unit vectors to the camera, viewer axes.
        light: (B, 15), see `helpers.lighting.lamp_vector`.
        shadow: (B, P) share of the lamp that reaches the point; None means 1.
    """
    lamp, camera = unpack_lamp(light)
    towards, by_angles = _towards(light[:, DIRECTION])  # (B, 3), (B, 3, 2)
    lit = torch.ones_like(albedo[..., 0]) if shadow is None else shadow
    to_lamp = towards[:, None]
    nl, nv, lv = (normal * to_lamp).sum(-1), (normal * view).sum(-1), (to_lamp * view).sum(-1)
    front = (nl > 0).to(albedo) * lit
    rv = (2 * nl * nv - lv).clamp(min=0)  # cosine between mirrored lamp and view
    shine = front * SPECULAR * rv**SHININESS
    by_rv = front * SPECULAR * SHININESS * rv ** (SHININESS - 1)

    ambient, diffuse = lamp.ambient[:, None], lamp.diffuse[:, None]
    received = ambient + diffuse * (front * nl)[..., None]
    colour = albedo * received + diffuse * shine[..., None]

    # By a vector x in n · l and r · v = 2 (n · l)(n · v) − l · v: an outer product of channels and directions.
    matt, gloss = (albedo * diffuse * front[..., None])[..., None], (diffuse * by_rv[..., None])[..., None]
    by_normal = (
        matt * to_lamp[..., None, :]
        + gloss * (2 * (nv[..., None] * to_lamp + nl[..., None] * view))[..., None, :]
    )
    by_view = gloss * (2 * nl[..., None] * normal - to_lamp)[..., None, :]
    by_towards = matt * normal[..., None, :] + gloss * (2 * nv[..., None] * normal - view)[..., None, :]
    by_lamp = torch.cat(
        [
            torch.diag_embed(albedo),
            torch.diag_embed(albedo * (front * nl)[..., None] + shine[..., None]),
            by_towards @ by_angles[:, None],
        ],
        -1,
    )

    # The camera mixes channels: M = diag(gain) (contrast · 1 + (1 − contrast) · luminance).
    luminance = _luminance(albedo.dtype, albedo.device)
    contrast, gain = camera.contrast[:, None, None], camera.gain
    eye = torch.eye(3, dtype=albedo.dtype, device=albedo.device)
    mix = (gain[..., None] * (contrast * eye + (1 - contrast) * luminance))[:, None]  # (B, 1, 3, 3)
    grey = (colour * luminance).sum(-1, keepdim=True)
    mixed = contrast * colour + (1 - contrast) * grey
    by_camera = torch.cat(
        [(gain[:, None] * (colour - grey))[..., None], torch.diag_embed(mixed), eye.expand(*albedo.shape, 3)],
        -1,
    )
    return LampColours(
        colour=gain[:, None] * mixed + camera.offset[:, None],
        by_albedo=mix * received[..., None, :],
        by_normal=mix @ by_normal,
        by_view=mix @ by_view,
        by_light=torch.cat([mix @ by_lamp, by_camera], -1),
    )


@dataclass(frozen=True)
class LampLook(Look):
    """`Look` in the released fitter's light.

    Attributes:
        by_albedo: (B, P, 3, 3).
        by_light: (B, P, 3, 15).
        zoom_slope: (B, P, 3), by the logarithm of the focal length.
    """

    by_albedo: Tensor
    by_light: Tensor
    zoom_slope: Tensor

    @property
    def by_zoom(self) -> Tensor:
        """(B, P, 3) by the logarithm of the focal length."""
        return self.zoom_slope

    def write_albedo_and_light(
        self, by_beta: Tensor, by_light: Tensor, root: Tensor, points: SurfacePoints, some: slice
    ) -> None:
        """As `Look` asks."""
        root = root[some, ..., None]
        torch.matmul(self.by_albedo[some] * root, points.texture[some], out=by_beta)
        torch.mul(self.by_light[some], root, out=by_light)


def look_in_lamplight(surface: Surface, image: Tensor, settings: FitSettings) -> LampLook:
    """Compare model and photograph at the points.

    Args:
        surface: the points at one state, whose light is (B, 15).
        image: (B, H, W, 9) photographs with slopes.
        settings: with the grazing angles at which points stop to count.
    """
    points, position, pose, camera = surface.points, surface.position, surface.pose, surface.camera
    barycentric, rotation = points.barycentric, pose.rotation
    q = position @ rotation[:, None].transpose(2, 3)  # corners in viewer axes, before the translation
    middle = (barycentric[..., None] * q).sum(2)
    c = flip_axes(middle) + pose.translation[:, None]  # camera axes
    m = torch.linalg.cross(q[..., 1, :] - q[..., 0, :], q[..., 2, :] - q[..., 0, :])
    length = m.norm(dim=-1, keepdim=True) + 1e-9
    n = m / length
    distance = c.norm(dim=-1, keepdim=True)
    v = -flip_axes(c) / distance
    shown = lamp_colours(surface.albedo, n, v, surface.light, points.shadow)

    focal, centre = camera.focal[:, None, None], camera.principal_point[:, None]
    seen = _bilinear(image, focal * c[..., :2] / c[..., 2:] + centre)
    gu, gv = seen[..., 3:6], seen[..., 6:9]
    f = focal / c[..., 2:]
    by_camera = torch.stack(
        [gu * f, gv * f, -(gu * c[..., :1] + gv * c[..., 1:2]) * f / c[..., 2:]], -1
    )  # (B, P, channels, 3), of the photograph
    # Only the part across a unit vector turns it. The view also turns as the point moves.
    by_m = -_across(shown.by_normal, n) / length[..., None]
    by_c = by_camera + flip_axes(_across(shown.by_view, v) / distance[..., None])
    by_middle = flip_axes(by_c)
    e1, e2 = (q[..., k, :] - q[..., 0, :] for k in (1, 2))
    by_e1 = torch.linalg.cross(e2[..., None, :], by_m)
    by_e2 = torch.linalg.cross(by_m, e1[..., None, :])
    w = barycentric[..., None, :, None] * by_middle[..., None, :]  # (B, P, channels, corners, 3)
    slopes = w + torch.stack([-by_e1 - by_e2, by_e1, by_e2], -2)
    turn = torch.linalg.cross(q[..., None, :, :], slopes).sum(-2)
    return LampLook(
        residual=seen[..., :3] - shown.colour,
        by_corners=(slopes @ rotation[:, None, None]).flatten(-2),
        by_pose=torch.cat([turn, by_c], -1),
        trust=trust_of(surface, (n * v).sum(-1), settings),
        by_albedo=-shown.by_albedo,
        by_light=-shown.by_light,
        zoom_slope=focal * (gu * c[..., :1] + gv * c[..., 1:2]) / c[..., 2:],
    )


def _across(slopes: Tensor, unit: Tensor) -> Tensor:
    """Slopes (B, P, 3, 3) by a vector, for one that keeps its length: without the part along `unit` (B, P, 3)."""
    along = (slopes * unit[..., None, :]).sum(-1, keepdim=True)
    return slopes - along * unit[..., None, :]


def _towards(direction: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors (B, 3) to the lamp, and their slopes (B, 3, 2), from azimuth and elevation (B, 2)."""
    (sa, se), (ca, ce) = direction.sin().unbind(-1), direction.cos().unbind(-1)
    towards = torch.stack([sa * ce, se, ca * ce], -1)
    by_azimuth = torch.stack([ca * ce, torch.zeros_like(sa), -sa * ce], -1)
    by_elevation = torch.stack([-sa * se, ce, -ca * se], -1)
    return towards, torch.stack([by_azimuth, by_elevation], -1)


@cache
def _luminance(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3,) weights of the channels on a device, kept there."""
    return torch.tensor(LUMINANCE, dtype=dtype, device=device)


def _bilinear(image: Tensor, pixel: Tensor) -> Tensor:
    """(B, P, 9) of image (B, H, W, 9) at pixel (B, P, 2)."""
    B, H, W, _ = image.shape
    b = torch.arange(B, device=image.device)[:, None]
    at = torch.stack([pixel[..., 0].clamp(0, W - 1.001), pixel[..., 1].clamp(0, H - 1.001)], -1)
    corner = at.long()
    x, y = corner.unbind(-1)
    fx, fy = (at - corner).split(1, -1)
    top = image[b, y, x] * (1 - fx) + image[b, y, x + 1] * fx
    bottom = image[b, y + 1, x] * (1 - fx) + image[b, y + 1, x + 1] * fx
    return top * (1 - fy) + bottom * fy
