"""Something in front of the face: a hand, a microphone, dark glasses, drawn as blobs and bars of one colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.datasets.random_streams import RandomStreams


@dataclass(frozen=True)
class Occluders:
    """One shape per photograph, in px unless said otherwise.

    Attributes:
        present: (B,) bool.
        centre: (B, 2).
        radius: (B, 2) along its own axes.
        turn: (B,) radians.
        sharpness: (B,) 2 for an ellipse, more for a box with round corners.
        colour: (B, 3).
    """

    present: Tensor
    centre: Tensor
    radius: Tensor
    turn: Tensor
    sharpness: Tensor
    colour: Tensor

    @classmethod
    def draw(cls, streams: RandomStreams, share: float) -> Occluders:
        """Shapes in front of `share` of the faces. A face reaches from −1 to 1; `moved` places them in the photograph."""
        return cls(
            present=streams.uniform("occluder present") < share,
            centre=streams.within("occluder centre", 0.9, 2),
            radius=streams.uniform("occluder radius", 2, low=0.2, high=0.6),
            turn=streams.within("occluder turn", math.pi / 2),
            sharpness=torch.where(streams.uniform("occluder sharpness") < 0.5, 2.0, 6.0),
            colour=streams.uniform("occluder colour", 3),
        )

    def covers(self, points: Tensor) -> Tensor:
        """(B, N) bool: which points (B, N, 2) px lie behind it."""
        away = points - self.centre[:, None]
        cos, sin = self.turn.cos()[:, None], self.turn.sin()[:, None]
        across = (away[..., 0] * cos + away[..., 1] * sin).abs() / self.radius[:, :1]
        along = (away[..., 1] * cos - away[..., 0] * sin).abs() / self.radius[:, 1:]
        power = self.sharpness[:, None]
        return (across**power + along**power < 1) & self.present[:, None]

    def moved(self, origin: Tensor, scale: Tensor) -> Occluders:
        """The same shapes in a crop: crop = (photograph − origin) · scale, origin (B, 2), scale (B,)."""
        return Occluders(
            self.present,
            (self.centre - origin) * scale[:, None],
            self.radius * scale[:, None],
            self.turn,
            self.sharpness,
            self.colour,
        )

    def masks(self, size: int) -> Tensor:
        """(B, size, size) bool: the pixels that it covers. Only photographs with one are computed."""
        covered = torch.zeros(len(self.present), size, size, dtype=torch.bool, device=self.present.device)
        rows = self.present.nonzero()[:, 0]
        if len(rows):
            some = Occluders(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))
            at = torch.arange(size, device=self.present.device, dtype=self.centre.dtype)
            v, u = torch.meshgrid(at, at, indexing="ij")
            pixels = torch.stack([u, v], -1).view(1, -1, 2)
            covered[rows] = some.covers(pixels).view(-1, size, size)
        return covered
