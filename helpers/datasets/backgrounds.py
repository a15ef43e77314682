"""What stands behind a face: plain colours, drawn patterns, and photographs that scikit-image brings along."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

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
    folder = Path(next(iter(package.submodule_search_locations))) / "data" if package else Path("skimage")
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
    """Squares (B, size, size, 3) of the photographs: which (B,) and place (B, 2) are shares from 0 to 1."""
    table = photographs(size)
    squares = torch.empty(len(which), size, size, 3, dtype=torch.uint8)
    for square, w, (x, y) in zip(squares, which.tolist(), place.tolist(), strict=True):
        picture = table[min(int(w * len(table)), len(table) - 1)]
        top, left = int(y * (picture.shape[0] - size)), int(x * (picture.shape[1] - size))
        square.copy_(picture[top : top + size, left : left + size])
    return squares.to(which.device).float() / 255


def backgrounds(
    share: float, kind: Tensor, plain: Tensor, colours: Tensor, which: Tensor, place: Tensor, size: int
) -> Tensor:
    """(B, size, size, 3): for `share` of the numbers kind (B,) from 0 to 1 a third each of plain colours (B, 3), patterns
    of colours (B, 5, 5, 3) and photographs; plain grey for the others."""
    shown = (plain * 0 + 0.5)[:, None, None]
    image = torch.where((kind < share)[:, None, None, None], plain[:, None, None], shown).repeat(
        1, size, size, 1
    )
    drawn = ((kind >= share / 3) & (kind < 2 * share / 3)).nonzero()[:, 0]
    photographed = ((kind >= 2 * share / 3) & (kind < share)).nonzero()[:, 0]
    if len(drawn):
        image[drawn] = patterns(colours[drawn], size)
    if len(photographed) and photographs(size):
        image[photographed] = cut_out(which[photographed], place[photographed], size)
    return image
