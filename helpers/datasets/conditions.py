"""The circumstances of a photograph, drawn by chance: everything about it that is not the person."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.datasets.backgrounds import Backgrounds
from helpers.datasets.nuisances import Nuisances
from helpers.datasets.occluders import Occluders
from helpers.datasets.random_streams import RandomStreams
from helpers.datasets.wardrobe import Outfits
from helpers.lighting import DEFAULT_LIGHT, ColourTransform

# Of light from ahead this much falls on the skin of a face on average. The camera makes up for it: what comes from elsewhere is
# the darker, the more comes from ahead.
AHEAD = 0.8
WANDERING_GAZE = 20.0  # degrees from straight ahead, the most
MOVED = 1 / 3  # of the photographs are blurred by motion
CONFIDENCE_SPREAD = 0.25  # a detector does not know its own noise better than by e to the power of ± this


@dataclass(frozen=True)
class Conditions:
    """The conditions of B photographs. Lengths in px are at an image of 224 px.

    Attributes:
        expression: (B, Ke) coefficients.
        rotation_vector: (B, 3) radians.
        gaze: (B, 2) radians by which both eyes turn, to the viewer's right and up; NaN for eyes that look into the camera.
        focal_factor: (B,) the focal length, in default ones.
        crop_shift: (B, 2) by which the crop misses its place, in sides of the crop.
        crop_zoom: (B,) the factor by which the crop shows the face too large.
        occluders: in front of a face that reaches from −1 to 1.
        point_noise: (B, 68, 2) noise of the landmarks, in standard deviations.
        confidence_error: (B,) the factor by which the detector misjudges its noise.
        light: (B, 9, 3) harmonics, or (B, 15) a lamp and colours as in `helpers.lighting.lamp_vector`.
        colour: what the camera does to the whole picture.
        backgrounds: what is behind the face.
        blur: (B,) px, standard deviation.
        motion: (B, 2) px, the path of the picture while the shutter is open, right and down.
        noise: (B,) standard deviation in sRGB, 0 to 1.
        noise_start: (B,) where the noise begins in its table, see `helpers.datasets.damage.add_noise`.
        jpeg_quality: (B,) 40 to 95, or 0 for no JPEG.
        outfits: what the people wear, or None where faces are shown alone.
    """

    expression: Tensor
    rotation_vector: Tensor
    gaze: Tensor
    focal_factor: Tensor
    crop_shift: Tensor
    crop_zoom: Tensor
    occluders: Occluders
    point_noise: Tensor
    confidence_error: Tensor
    light: Tensor
    colour: ColourTransform
    backgrounds: Backgrounds
    blur: Tensor
    motion: Tensor
    noise: Tensor
    noise_start: Tensor
    jpeg_quality: Tensor
    outfits: Outfits | None

    @classmethod
    def draw(cls, streams: RandomStreams, nuisances: Nuisances, n_expressions: int) -> Conditions:
        """Draw the conditions of the photographs of `streams`; each quantity has a stream of its own."""
        turn = torch.tensor([1 / 3, 1, 1 / 3], device=streams.device) * math.radians(nuisances.max_yaw)
        colour = _draw_colour(streams, nuisances.colour)
        draw_light = _draw_lamp if nuisances.lamp else _draw_harmonics
        has_jpeg = streams.uniform("jpeg") < nuisances.jpeg
        return cls(
            expression=streams.normal("expression", n_expressions, sigma=nuisances.expression),
            rotation_vector=streams.within("rotation", 1.0, 3) * turn,
            gaze=_draw_gaze(streams, nuisances.gaze),
            focal_factor=streams.within("focal", nuisances.focal_spread).exp(),
            crop_shift=streams.within("crop shift", nuisances.jitter, 2),
            crop_zoom=1 + streams.within("crop zoom", nuisances.jitter),
            occluders=Occluders.draw(streams, nuisances.occluders),
            point_noise=streams.normal("point noise", 68, 2),
            confidence_error=streams.normal("confidence", sigma=CONFIDENCE_SPREAD).exp(),
            light=draw_light(streams, nuisances.light, colour),
            colour=colour,
            backgrounds=Backgrounds.draw(streams, nuisances.background),
            blur=streams.uniform("blur", high=nuisances.blur),
            motion=_draw_motion(streams, nuisances.motion),
            noise=streams.uniform("noise", high=nuisances.noise),
            noise_start=streams.uniform("noise start"),
            jpeg_quality=torch.where(has_jpeg, streams.uniform("jpeg quality", low=40, high=95), 0.0),
            outfits=Outfits.draw(streams, nuisances.wardrobe) if nuisances.wardrobe else None,
        )


def _draw_gaze(streams: RandomStreams, share: float) -> Tensor:
    kind, limit = streams.uniform("gaze kind")[:, None], math.radians(WANDERING_GAZE)
    turned = torch.where(kind < share / 2, torch.nan, streams.within("gaze", limit, 2))
    return torch.where(kind < share, turned, 0.0)


def _draw_motion(streams: RandomStreams, most: float) -> Tensor:
    moved = streams.uniform("motion moved") < MOVED
    length = torch.where(moved, streams.uniform("motion length", high=most), 0.0)
    along = streams.within("motion direction", math.pi)
    return length[:, None] * torch.stack([along.cos(), along.sin()], -1)


def _draw_colour(streams: RandomStreams, strength: float) -> ColourTransform:
    return ColourTransform(
        contrast=1 - streams.uniform("contrast", high=0.3 * strength),
        gain=1 + streams.within("gain", 0.2 * strength, 3),
        offset=streams.within("offset", 0.06 * strength, 3),
    )


def _draw_harmonics(streams: RandomStreams, strength: float, _: ColourTransform) -> Tensor:
    return harmonics_drawn(
        strength * streams.normal("harmonic 0", 1, 1),
        strength * streams.normal("harmonics 1 to 3", 3, 1),
        strength * streams.normal("harmonics 4 to 8", 5, 1),
        strength * streams.normal("harmonics' tint", 9, 3),
    )


def harmonics_drawn(exposure: Tensor, directed: Tensor, square: Tensor, tint: Tensor) -> Tensor:
    """Light (B, 9, 3) about an even one, in which a white face comes out at 0.83 ± 0.10: an ordinary exposure.

    Args:
        exposure: (B, 1, 1) standard normal numbers: how bright the face is exposed.
        directed: (B, 3, 1) likewise, light from one side.
        square: (B, 5, 1) likewise, light from two sides.
        tint: (B, 9, 3) likewise, how the channels differ.
    """
    directed = 0.28 * directed
    even = 0.15 * exposure - AHEAD * directed[:, 2:]
    return DEFAULT_LIGHT.to(tint) + torch.cat([even, directed, 0.08 * square], 1) + 0.02 * tint


def _draw_lamp(streams: RandomStreams, strength: float, colour: ColourTransform) -> Tensor:
    """(B, 15) a lamp in front of the face, mostly above it, and the colours."""

    def spread(name: str, limit: float, *, tint: float = 0.0) -> Tensor:
        tinted = streams.within(f"{name}'s tint", tint, 3) if tint else 0.0
        return strength * (streams.within(name, limit, 1) + tinted)

    ambient = 0.50 + spread("ambient light", 0.1, tint=0.02)
    diffuse = 0.55 + spread("lamp", 0.15, tint=0.02)
    azimuth, elevation = spread("lamp azimuth", 1.0), 0.35 + spread("lamp elevation", 0.5)
    return torch.cat(
        [ambient, diffuse, azimuth, elevation, colour.contrast[:, None], colour.gain, colour.offset], 1
    )
