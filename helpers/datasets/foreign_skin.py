"""Skin, eyes and beards that no texture mode holds: a colour by its typology angle, blotches, moles, another iris."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.datasets.foreign_shapes import POPULATION
from helpers.datasets.hair import chosen
from helpers.datasets.random_streams import RandomStreams
from helpers.datasets.wardrobe import BEARD_SHARES, DENSITY
from helpers.face_model import MorphableModel, beard_layer
from helpers.face_model.gaze import fit_spheres
from helpers.lighting import linear_to_srgb, srgb_to_linear

BLOTCHES = (
    (22.0, 0.05),
    (5.0, 0.03),
)  # mm, and the deviation of the logarithm of the light that skin returns
FEATURES = 128
MOLES = 60
IRIS, PUPIL = 6.2, 2.1  # mm, radii
IRISES = ((0.20, 0.12, 0.07), (0.30, 0.20, 0.11), (0.33, 0.36, 0.26), (0.36, 0.46, 0.55), (0.44, 0.47, 0.49))
IRIS_SHARES = (0.45, 0.2, 0.1, 0.15, 0.1)
RED = ((30, 33), (2, 31), (14, 35))  # nose, and between jaw and nose: the cheeks


@dataclass(frozen=True)
class ForeignSkin:
    """The colours of another population on the mesh of a face model.

    Attributes:
        model: a whole head, with landmarks and the masks of the open model.
    """

    model: MorphableModel

    def paint(self, streams: RandomStreams, tone: Tensor, hair: Tensor) -> tuple[Tensor, Tensor]:
        """Colours of heads.

        Args:
            streams: of P people.
            tone: (P,) degrees, the individual typology angle of their skin.
            hair: (P, 3) sRGB.

        Returns:
            The colours (P, V, 3) sRGB with all that lies on the skin, and the plain colour (P, 3) of the skin.
        """
        masks = self.model.masks
        assert masks is not None
        skin = _of_tone(tone, streams.normal("skin hue", 2))
        light = sum(
            sigma * (self._waves(length) @ streams.normal(f"blotches {length}", FEATURES, 1))[..., 0]
            for length, sigma in BLOTCHES
        )
        colours = srgb_to_linear(skin)[:, None] * torch.as_tensor(light).exp()[..., None]
        flush = self._flush * streams.uniform("flush", 1, low=0.0, high=0.35)
        colours = colours * (1 - flush[..., None] * colours.new_tensor([0.15, 0.9, 0.7]))
        colours = colours * (1 - self._moles(streams)[..., None] * colours.new_tensor([0.45, 0.6, 0.65]))
        lips = skin.new_tensor([0.80, 0.50, 0.52]) ** streams.uniform("lip colour", 1, low=0.5, high=1.4)
        lips = (srgb_to_linear(skin) * lips)[:, None]
        colours = torch.lerp(colours, lips.expand_as(colours), 0.85 * masks["lips"][:, None])
        colours = linear_to_srgb(colours)
        strands = (0.25 * streams.normal("hair on skin", self.model.n_vertices, 1)).exp()
        brows = (masks["brows"] * streams.uniform("brows", 1, low=0.35, high=0.9))[..., None]
        colours = torch.lerp(colours, hair[:, None] * 0.8 * strands, brows)
        density = colours.new_tensor(DENSITY)[chosen(streams, "foreign beard", BEARD_SHARES)]
        bearded = beard_layer(self.model, colours, hair * 0.85, density)
        cover = (bearded - colours).abs().amax(-1, keepdim=True) > 0.02
        colours = torch.where(cover, bearded * (0.6 + 0.4 * strands), bearded)
        return self._eyes(streams, self._mouth(colours)).clamp(0.005, 0.98), skin

    def _mouth(self, colours: Tensor) -> Tensor:
        masks = self.model.masks
        assert masks is not None
        inside, teeth = masks["mouth_interior"][:, None], masks["teeth"][:, None]
        colours = torch.lerp(colours, colours.new_tensor([0.42, 0.16, 0.16]).expand_as(colours), inside)
        return torch.lerp(colours, colours.new_tensor([0.80, 0.77, 0.68]).expand_as(colours), teeth)

    def _eyes(self, streams: RandomStreams, colours: Tensor) -> Tensor:
        iris = colours.new_tensor(IRISES)[chosen(streams, "iris", IRIS_SHARES)][:, None]
        iris = iris * streams.uniform("iris shade", 1, 1, low=0.7, high=1.3)
        white = colours.new_tensor([0.83, 0.80, 0.77])
        colours = torch.where(self._eyeball[:, None], white, colours)
        for radius, colour in ((IRIS, 0.35 * iris), (IRIS - 0.8, iris), (PUPIL, 0.04 + 0 * iris)):
            colours = torch.where((self._from_pupil < radius)[:, None], colour, colours)
        return colours

    @cached_property
    def _eyeball(self) -> Tensor:
        """(V,) bool."""
        masks = self.model.masks
        assert masks is not None
        return masks["eyes"] > 0.5

    @cached_property
    def _from_pupil(self) -> Tensor:
        """(V,) mm along the eyeball from where it looks; infinite elsewhere."""
        x = self.model.mean_shape
        found = torch.full_like(x[:, 0], torch.inf)
        for side in (x[:, 0] < 0, x[:, 0] > 0):
            ball = (self._eyeball & side).nonzero()[:, 0]
            centre, radius = fit_spheres(x[ball][None])
            away = x[ball] - centre
            found[ball] = radius * torch.atan2(away[:, :2].norm(dim=-1), away[:, 2])
        return found

    @cached_property
    def _flush(self) -> Tensor:
        """(V,) how red skin may be: nose and cheeks."""
        x, marks = self.model.mean_shape, self.model.mean_shape[self.model.landmarks]
        centres = torch.stack([marks[list(pair)].mean(0) for pair in RED])
        return (-torch.cdist(x, centres).square() / (2 * x.new_tensor([9.0, 16.0, 16.0]) ** 2)).exp().amax(1)

    def _waves(self, length: float) -> Tensor:
        streams, x = RandomStreams(POPULATION, [2]), self.model.mean_shape
        frequency = streams.normal(f"blotches {length}", 3, FEATURES)[0].to(x) / length
        phase = streams.uniform(f"blotch phases {length}", FEATURES, high=2 * math.pi)[0].to(x)
        return (2 / FEATURES) ** 0.5 * torch.cos(x @ frequency + phase)

    def _moles(self, streams: RandomStreams) -> Tensor:
        """(P, V) moles and freckles, 0 to 1: more of them on some people."""
        x = self.model.mean_shape
        place = (streams.uniform("mole places", MOLES) * len(x)).long()
        size = streams.uniform("mole sizes", 1, MOLES) ** 3 * 1.2 + 0.5
        dark = streams.uniform("mole colours", 1, MOLES)
        there = streams.uniform("mole", 1, MOLES) < streams.uniform("moles", 1, 1) ** 2
        near = (-torch.cdist(x.expand(len(place), -1, -1), x[place]).square() / (2 * size**2)).exp()
        return (near * dark * there).amax(-1)


def _of_tone(tone: Tensor, hue: Tensor) -> Tensor:
    """sRGB (P, 3) of skin whose typology angle is `tone` (P,), degrees; two normal numbers vary yellow and red."""
    from skimage.color import lab2rgb

    b = 16.5 + 1.8 * hue[:, 0] - 0.035 * tone.abs()
    a = 13.0 + 1.5 * hue[:, 1] - 0.04 * tone
    lab = torch.stack([50 + b * torch.deg2rad(tone).tan(), a, b], -1)
    return torch.from_numpy(lab2rgb(lab.double().cpu().numpy())).to(tone)
