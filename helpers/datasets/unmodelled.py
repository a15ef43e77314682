"""What a face model cannot make: smooth differences of shape and skin, as people outside of its span have them.

Whoever learns from the model's own faces alone learns that nothing else exists, and takes each difference for a coefficient.
A sum of plane waves with random directions, lengths and phases is a smooth random field without a favourite place. It is
cheap, the same on every mesh, and drawn once for each person.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from helpers.datasets.random_streams import RandomStreams

WAVES = 16
SHAPE_WAVES = (25.0, 120.0)  # mm, the shortest and the longest
SKIN_WAVES = (8.0, 80.0)
TINTED = 0.3  # of the skin's field differs between the channels
STRENGTHS = (0.3, 1.7)  # of people, in parts of the mean strength


def shape_offsets(streams: RandomStreams, places: Tensor, strength: float) -> Tensor:
    """Draw by how far people lie beside the model's faces.

    Args:
        streams: of B people.
        places: (V, 3) mm, the vertices of the mean face.
        strength: mm, root mean square over people and directions is about this in each axis.

    Returns:
        (B, V, 3) mm.
    """
    share = streams.uniform("shape's strength", 1, 1, low=STRENGTHS[0], high=STRENGTHS[1])
    return strength * share * _waves(streams, "shape", places, SHAPE_WAVES, 3)


def skin_offsets(streams: RandomStreams, places: Tensor, strength: float) -> Tensor:
    """Draw by how much people's skin differs from the model's, mostly in brightness.

    Args:
        streams: of B people.
        places: (V, 3) mm, the vertices of the mean face.
        strength: sRGB, 0 to 1; root mean square of the brightness.

    Returns:
        (B, V, 3) sRGB.
    """
    share = streams.uniform("skin's strength", 1, 1, low=STRENGTHS[0], high=STRENGTHS[1])
    brightness = _waves(streams, "skin", places, SKIN_WAVES, 1)
    tint = _waves(streams, "skin's tint", places, SKIN_WAVES, 3)
    return strength * share * (brightness + TINTED * tint)


def _waves(
    streams: RandomStreams, name: str, places: Tensor, lengths: tuple[float, float], outputs: int
) -> Tensor:
    """(B, V, outputs) random fields of mean square 1; longer waves are higher, by the root of their length."""
    shortest, longest = lengths
    length = shortest * (longest / shortest) ** streams.uniform(f"{name}: lengths", WAVES, 1)
    towards = streams.normal(f"{name}: directions", WAVES, 3)
    phase = streams.uniform(f"{name}: phases", 1, WAVES, high=2 * math.pi)
    height = streams.normal(f"{name}: heights", WAVES, outputs) * length.sqrt()
    height = height / (0.5 * height.square().sum(1)).mean(-1).sqrt()[:, None, None]  # ½: of a wave's square
    number = 2 * math.pi * towards / towards.norm(dim=-1, keepdim=True) / length
    return torch.cos(places @ number.transpose(1, 2) + phase) @ height
