"""What stands behind a face: plain colours, drawn patterns, and photographs that scikit-image brings along."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from helpers.datasets.random_streams import RandomStreams

GREY, COLOUR, PATTERN, PHOTOGRAPH = range(4)
SHARES = (0.25, 0.25, 0.5)  # of plain colours, patterns and photographs
VIVID = 0.4  # walls and clouds are seldom vivid: so much is left of the colour of numbers drawn evenly
GRID = 5  # a pattern is a smooth surface through 5 × 5 colours
# Photographs that scikit-image's package holds (nothing is downloaded), none of them with a face.
PHOTOGRAPHS = (
    "brick.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
ZOOMS = (1.3, 2.0, 3.2)  # the photograph's shorter side, in sides of the image


def patterns(colours: Tensor, size: int) -> Tensor:
    """Smooth surfaces (B, size, size, 3) through the colours (B, 5, 5, 3)."""
    # Cubic interpolation is a matrix, the same for rows and columns: its columns are what it makes of single ones.
    ones = torch.eye(GRID, device=colours.device)[:, None, None].expand(-1, -1, GRID, -1)
    W = interpolate(ones, (GRID, size), mode="bicubic", align_corners=True)[:, 0, 0].T  # (size, 5)
    across = W @ colours.flatten(2).view(-1, GRID, GRID, 3)
    return (W @ across.flatten(2)).view(-1, size, size, 3).clamp(0, 1)


@lru_cache(maxsize=4)
def photographs(size: int) -> tuple[Tensor, ...]:
    """The photographs (h, w, 3), each in three zooms, for backgrounds of `size` px. Those that are not installed are left out."""
    package = importlib.util.find_spec("skimage")
    places = package.submodule_search_locations if package else None
    folder = Path(places[0] if places else "skimage") / "data"
    found = []
    for name in PHOTOGRAPHS:
        if not (folder / name).is_file():
            continue
        with Image.open(folder / name) as file:
            picture = file.convert("RGB")
        for zoom in ZOOMS:
            scale = zoom * size / min(picture.size)
            shape = [max(size + 1, round(side * scale)) for side in picture.size]
            pixels = np.asarray(picture.resize(shape, Image.Resampling.BICUBIC, reducing_gap=3.0))
            found.append(torch.from_numpy(np.array(pixels)))
    return tuple(found)


def cut_out(which: Tensor, place: Tensor, size: int) -> Tensor:
    """Squares of the photographs.

    Args:
        which: (B,) photograph, as a share from 0 to 1 of their list.
        place: (B, 2) of the square's corner, as shares from 0 to 1 of where it may lie.
        size: px.

    Returns:
        (B, size, size, 3) sRGB, 0 to 1.
    """
    table = photographs(size)
    squares = torch.empty(len(which), size, size, 3, dtype=torch.uint8)
    for square, w, (x, y) in zip(squares, which.tolist(), place.tolist(), strict=True):
        picture = table[min(int(w * len(table)), len(table) - 1)]
        top, left = int(y * (picture.shape[0] - size)), int(x * (picture.shape[1] - size))
        square.copy_(picture[top : top + size, left : left + size])
    return squares.to(which.device).float() / 255


def _pale(colours: Tensor) -> Tensor:
    grey = colours.mean(-1, keepdim=True)
    return grey + VIVID * (colours - grey)


@dataclass(frozen=True)
class Backgrounds:
    """One background per photograph; the numbers of all kinds are there, whichever kind is shown.

    Attributes:
        kind: (B,) int64: GREY, COLOUR, PATTERN or PHOTOGRAPH.
        colour: (B, 3) of a plain one.
        pattern: (B, 5, 5, 3) colours that a pattern passes through.
        photograph: (B,) which photograph, see `cut_out`.
        place: (B, 2) of the square in the photograph, see `cut_out`.
    """

    kind: Tensor
    colour: Tensor
    pattern: Tensor
    photograph: Tensor
    place: Tensor

    @classmethod
    def draw(cls, streams: RandomStreams, share: float) -> Backgrounds:
        """For `share` of the photographs plain colours, patterns and photographs by `SHARES`; grey for the others."""
        kind = streams.uniform("background kind")
        among = kind / max(share, 1e-9)
        drawn = COLOUR + sum((among >= limit).long() for limit in accumulate(SHARES[:-1]))
        return cls(
            kind=torch.where(kind < share, drawn, GREY),
            colour=_pale(streams.uniform("background colour", 3)),
            pattern=_pale(streams.uniform("background pattern", GRID, GRID, 3)),
            photograph=streams.uniform("background photograph"),
            place=streams.uniform("background place", 2),
        )

    def images(self, size: int) -> Tensor:
        """(B, size, size, 3) sRGB, 0 to 1. Without installed photographs, a plain colour stands for one."""
        plain = torch.where((self.kind != GREY)[:, None], self.colour, 0.5)
        image = plain[:, None, None].repeat(1, size, size, 1)
        drawn, photographed = ((self.kind == kind).nonzero()[:, 0] for kind in (PATTERN, PHOTOGRAPH))
        if len(drawn):
            image[drawn] = patterns(self.pattern[drawn], size)
        if len(photographed) and photographs(size):
            image[photographed] = cut_out(self.photograph[photographed], self.place[photographed], size)
        return image
