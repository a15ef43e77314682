"""Heads that the face model cannot draw: smooth displacements, local edits and wrinkles over a few of its modes.

A fit that is only tried on faces of its own model meets no shape outside of its span, and looks better than it is. These
heads have another mean, another spread, two unlike sides and relief finer than the modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.datasets.random_streams import RandomStreams
from helpers.face_model import MorphableModel
from helpers.rendering.normals import vertex_normals

POPULATION = 1927  # of the mean that all people of any seed share
MODES_SIGMA = 0.55  # narrower than the model's N(0, 1)
FEATURES = 96  # waves of which a displacement field is the sum
# Length scale in mm; standard deviations in mm of the mean's field, of people's symmetric part, of what differs
# between their sides.
FIELDS = ((55.0, 1.3, 1.7, 0.5), (26.0, 0.7, 0.9, 0.3), (12.0, 0.2, 0.35, 0.15))
# What is moved: around which of the 68 points, mm of the Gaussian's deviation, mm of the move (outward, up, ahead).
EDITS = {
    "brow ridge": (tuple(range(17, 27)), 10.0, (0.0, 0.8, 1.5)),
    "nose bridge": ((27, 28, 29), 9.0, (0.0, 0.0, 1.6)),
    "nose tip": ((30, 33), 11.0, (0.0, 1.8, 2.2)),
    "nose wings": ((31, 35), 8.0, (1.6, 0.7, 0.4)),
    "cheekbones": ((2, 14), 24.0, (2.2, 0.0, 0.8)),
    "jaw": ((4, 5, 11, 12), 20.0, (2.6, 1.5, 0.0)),
    "chin": ((7, 8, 9), 15.0, (0.0, 2.0, 2.2)),
    "lips": ((50, 51, 52, 56, 57, 58), 7.0, (0.0, 0.5, 1.3)),
    "mouth corners": ((48, 54), 9.0, (1.3, 0.6, 0.0)),
}
WRINKLE = 0.55  # mm deep, at the oldest age
NASOLABIAL = ((31, 48), (35, 54))  # folds from the wings of the nose past the corners of the mouth
OUTER_EYES = (36, 45)


@dataclass(frozen=True)
class ForeignShapes:
    """The shapes of another population on the mesh of a face model.

    Attributes:
        model: a whole head, with landmarks and the masks of the open model.
    """

    model: MorphableModel

    def neutral(self, streams: RandomStreams, age: Tensor) -> Tensor:
        """Heads at rest.

        Args:
            streams: of P people.
            age: (P,) from 0 to 1, of their wrinkles.

        Returns:
            (P, V, 3) mm.
        """
        modes = streams.normal("foreign modes", len(self.model.shape_std), sigma=MODES_SIGMA)
        heads = self.model.shape(modes) + self._mean_field + self._fields(streams) + self._edits(streams)
        heads = heads - age[:, None, None] * self._wrinkles(streams)[..., None] * self._normals
        return heads * (1 + streams.normal("foreign size", 1, 1, sigma=0.04))

    def expressed(self, heads: Tensor, expression: Tensor) -> Tensor:
        """Heads with a few units at work, where the model's statistics would move all of them a little.

        Args:
            heads: (B, V, 3) mm.
            expression: (B, U) normal numbers.

        Returns:
            (B, V, 3) mm.
        """
        units = self.model.expression_units
        assert units is not None
        # Both sides of the face mostly do the same.
        drive = expression[:, self._twins] * 0.85 + expression * 0.5
        activation = (drive - 0.55).clamp(0, 0.8)
        return torch.addmm(heads.flatten(1), activation, units.flatten(0, 1).T).view(heads.shape)

    @cached_property
    def _twins(self) -> Tensor:
        """(U,) the unit on the left that belongs to each unit on the right; of the others, themselves."""
        names = list(self.model.expression_names)
        left = [name.removesuffix("Right") + "Left" if name.endswith("Right") else name for name in names]
        twins = [names.index(name) if name in names else k for k, name in enumerate(left)]
        return torch.tensor(twins, device=self.model.mean_shape.device)

    @cached_property
    def _waves(self) -> list[tuple[Tensor, Tensor]]:
        """For each field (V, FEATURES): waves that are even in x, and odd ones.

        Source:
            A. Rahimi and B. Recht, "Random features for large-scale kernel machines", 2007.
        """
        streams, x = RandomStreams(POPULATION, [0]), self.model.mean_shape
        mirrored = x * x.new_tensor([-1.0, 1.0, 1.0])
        found = []
        for length, *_ in FIELDS:
            frequency = streams.normal(f"frequencies {length}", 3, FEATURES)[0].to(x) / length
            phase = streams.uniform(f"phases {length}", FEATURES, high=2 * math.pi)[0].to(x)
            here, there = ((2 / FEATURES) ** 0.5 * torch.cos(p @ frequency + phase) for p in (x, mirrored))
            found.append(((here + there) / 2**0.5, (here - there) / 2**0.5))
        return found

    def _field(
        self, streams: RandomStreams, name: str, sigma: tuple[float, ...], symmetric: bool = True
    ) -> Tensor:
        """(P, V, 3) mm of displacements, with a deviation for each scale; alike on both sides, or opposite."""
        total = self.model.mean_shape.new_zeros(len(streams), *self.model.mean_shape.shape)
        for waves, (length, *_), deviation in zip(self._waves, FIELDS, sigma, strict=True):
            upright, across = waves if symmetric else waves[::-1]
            weight = streams.normal(f"{name} {length}", FEATURES, 3, sigma=deviation).to(total)
            total = total + torch.cat([across @ weight[..., :1], upright @ weight[..., 1:]], -1)
        return total

    @cached_property
    def _mean_field(self) -> Tensor:
        return self._field(RandomStreams(POPULATION, [1]), "mean", tuple(mean for _, mean, *_ in FIELDS))

    def _fields(self, streams: RandomStreams) -> Tensor:
        own, sides = tuple(own for _, _, own, _ in FIELDS), tuple(sides for *_, sides in FIELDS)
        alike = self._field(streams, "foreign field", own)
        return alike + self._field(streams, "foreign asymmetry", sides, symmetric=False)

    def _edits(self, streams: RandomStreams) -> Tensor:
        """(P, V, 3) mm."""
        x, marks = self.model.mean_shape, self.model.mean_shape[self.model.landmarks]
        outward = torch.tanh(x[:, :1] / 8)
        total = x.new_zeros(len(streams), *x.shape)
        for name, (points, radius, sigma) in EDITS.items():
            near = (-torch.cdist(x, marks[list(points)]).square() / (2 * radius**2)).exp().amax(1)
            move = streams.normal(f"foreign {name}", 1, 3).to(x) * x.new_tensor(sigma)
            sideways = torch.cat([outward, torch.ones_like(x[:, 1:])], -1)
            total = total + near[:, None] * move * sideways
        return total

    @cached_property
    def _normals(self) -> Tensor:
        return vertex_normals(self.model.mean_shape[None], self.model.triangles)[0]

    def _wrinkles(self, streams: RandomStreams) -> Tensor:
        """(P, V) mm by which skin lies lower at the oldest age: lines of the forehead, at the eyes, beside the mouth."""
        x, marks = self.model.mean_shape, self.model.mean_shape[self.model.landmarks]
        masks = self.model.masks
        assert masks is not None
        phase = streams.uniform("wrinkle phase", 3, 1, high=2 * math.pi).to(x)
        depth = streams.uniform("wrinkle depth", 3, 1, low=0.4, high=1.0).to(x) * WRINKLE
        wave = x[:, 1] + 2.0 * torch.sin(x[:, 0] / 14 + phase[:, 1])
        forehead = masks["forehead"] * torch.sin(2 * math.pi * wave / 9 + phase[:, 0]).clamp(min=0) ** 2
        eyes = 0 * forehead
        for corner in OUTER_EYES:
            away = x - marks[corner]
            angle = torch.atan2(away[:, 1], away[:, 0].abs())
            distance = away.norm(dim=-1)
            ring = ((distance - 14) / 7).square().neg().exp() * (away[:, 0] * marks[corner, 0] > 0)
            eyes = eyes + ring * torch.sin(7 * angle + phase[:, 2]).clamp(min=0) ** 2
        folds = x.new_zeros(len(x))
        for wing, mouth in NASOLABIAL:
            start, end = marks[wing] + x.new_tensor([0.0, 4.0, 0.0]), marks[mouth]
            aside = x.new_tensor([6.0, 0.0, 0.0]) * end[0].sign()
            start, end = start + aside, end + aside + x.new_tensor([0.0, -4.0, 0.0])
            along = ((x - start) @ (end - start) / (end - start).square().sum()).clamp(0, 1)
            off = (x - (start + along[:, None] * (end - start))).norm(dim=-1)
            folds = torch.maximum(folds, (-((off / 2.2) ** 2)).exp() * (along * math.pi).sin().clamp(min=0.2))
        return depth[:, 0] * forehead + depth[:, 1] * eyes + 2 * depth[:, 2] * folds
