"""Faces of a model side by side: clay or painted, in tables, and coloured by distance."""

from __future__ import annotations

import numpy as np
import torch

from helpers.show.figures import as_bytes, tile, write
from helpers.show.fitting import portraits
from helpers.show.style import MM_RANGE, mm_colours
from helpers.show.views import CLAY


def heads(vertices, triangles, colours=None, *, yaw: float = 0.0, size: int = 170) -> list[torch.Tensor]:
    """Pictures (size, size, 3) of faces (B, V, 3) mm in studio light, turned by `yaw` degrees.

    colours: (B, V, 3) or (1, V, 3) from 0 to 1; None is clay, which shows shape best.
    """
    vertices = vertices.detach().float()
    colours = torch.tensor(CLAY, device=vertices.device) if colours is None else torch.as_tensor(colours)
    colours = colours.detach().float().expand_as(vertices)
    return portraits(vertices, triangles.to(vertices.device), colours, yaw=yaw, size=size)


def error_heads(vertices, truth, triangles, *, yaw: float = 0.0, size: int = 170) -> list[torch.Tensor]:
    """`heads` whose colours tell how far each vertex is from `truth` (B or 1, V, 3), on the course's mm scale."""
    distance = (vertices - truth).norm(dim=-1).detach()
    return heads(
        vertices, triangles, torch.from_numpy(mm_colours(distance.cpu().numpy())), yaw=yaw, size=size
    )


def table(rows, row_titles, column_titles, *, height: int = 130, gap: int = 4) -> np.ndarray:
    """Images in a table with its titles on the left and on top: (H, W, 3) uint8.

    rows: lists of images, all of one length.
    """
    from PIL import Image

    if (
        len({len(row) for row in rows}) != 1
        or len(rows) != len(row_titles)
        or len(rows[0]) != len(column_titles)
    ):
        raise ValueError("a table needs rows of one length, and a title for each row and column")
    strips = [
        tile(row, column_titles if i == 0 else None, height=height, gap=gap) for i, row in enumerate(rows)
    ]
    margin = 8 + max(7 * max(map(len, str(title).split("\n"))) for title in row_titles)
    total = sum(len(strip) for strip in strips) + gap * (len(strips) - 1)
    page = Image.new("RGB", (margin + strips[0].shape[1], total), "white")
    top = 0
    for strip, title in zip(strips, row_titles, strict=True):
        page.paste(Image.fromarray(strip), (margin, top))
        lines = str(title).split("\n")
        for number, line in enumerate(lines):
            middle = top + len(strip) - height / 2 + 17 * (number - (len(lines) - 1) / 2)
            write(page, (margin - 8, middle), line, size=12, anchor="rm")
        top += len(strip) + gap
    return np.asarray(page)


def mm_legend(height: int = 170) -> np.ndarray:
    """The course's millimetre scale as a panel to put beside pictures: (height, W, 3) uint8."""
    from PIL import Image

    low, high = MM_RANGE
    inset = 16
    values = np.linspace(high, low, height - 2 * inset)
    page = Image.new("RGB", (76, height), "white")
    bar = as_bytes(np.repeat(mm_colours(values)[:, None], 14, axis=1))
    page.paste(Image.fromarray(bar), (8, inset))
    for value in np.linspace(low, high, 5):
        y = inset + (high - value) / (high - low) * (len(values) - 1)
        write(page, (27, y), f"{value:.0f} mm" if value < high else f"≥{value:.0f} mm", size=11, anchor="lm")
    return np.asarray(page)
