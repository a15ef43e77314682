"""Faces of a model side by side: clay or painted, in tables, and coloured by distance."""

from __future__ import annotations

import numpy as np
import torch

from helpers.show.figures import as_bytes, letter_size, tile, write
from helpers.show.on_cpu import on_cpu
from helpers.show.style import MM_RANGE, mm_colours
from helpers.show.views import CLAY, portraits

OUTSIDE = (0.86, 0.86, 0.88)  # of a face, where nothing is measured


def heads(vertices, triangles, colours=None, *, yaw: float = 0.0, size: int = 170) -> list[torch.Tensor]:
    """Pictures of faces in studio light.

    Args:
        vertices: (B, V, 3) mm.
        triangles: (F, 3).
        colours: (B, V, 3) or (1, V, 3), 0 to 1; None is clay, which shows shape best.
        yaw: how far the faces are turned, degrees.
        size: px of each square.

    Returns:
        B pictures (size, size, 3), 0 to 1.
    """
    vertices = on_cpu(vertices).float()
    colours = torch.tensor(CLAY) if colours is None else on_cpu(torch.as_tensor(colours)).float()
    return portraits(vertices, triangles, colours.expand_as(vertices), yaw=yaw, size=size)


def error_heads(vertices, truth, triangles, *, yaw: float = 0.0, size: int = 170) -> list[torch.Tensor]:
    """`distance_heads` of the distance of each vertex (B, V, 3) from `truth` (B or 1, V, 3)."""
    distance = (vertices - truth).norm(dim=-1)
    return distance_heads(vertices, triangles, distance, yaw=yaw, size=size)


def distance_heads(
    vertices, triangles, distance, *, inside=None, yaw: float = 0.0, size: int = 170
) -> list[torch.Tensor]:
    """`heads` coloured by distance on the course's mm scale.

    Args:
        vertices: (B, V, 3) mm.
        triangles: (F, 3).
        distance: (B, V) mm.
        inside: (B or 1, V); where it is 0, nothing is measured and the face is grey.
        yaw: how far the faces are turned, degrees.
        size: px of each square.

    Returns:
        B pictures (size, size, 3), 0 to 1.
    """
    vertices, triangles, distance, inside = on_cpu((vertices, triangles, distance, inside))
    colours = torch.from_numpy(mm_colours(np.asarray(distance))).float()
    if inside is not None:
        outside = torch.tensor(OUTSIDE).expand_as(colours)
        colours = torch.where(torch.as_tensor(inside)[..., None] > 0, colours, outside)
    return heads(torch.as_tensor(vertices), triangles, colours, yaw=yaw, size=size)


def table(rows, row_titles, column_titles, *, height: int = 130, gap: int = 4) -> np.ndarray:
    """Images in a table with its titles on the left and on top.

    Args:
        rows: lists of images, all of one length.
        row_titles: as many as rows; they may have several lines.
        column_titles: as many as images in a row.
        height: of each image, px.
        gap: between images, px.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ValueError: the rows differ in length, or the titles are not as many.
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
    size = letter_size(strips[0].shape[1])
    margin = 8 + max(round(0.6 * size) * max(map(len, str(title).split("\n"))) for title in row_titles)
    total = sum(len(strip) for strip in strips) + gap * (len(strips) - 1)
    page = Image.new("RGB", (margin + strips[0].shape[1], total), "white")
    top = 0
    for strip, title in zip(strips, row_titles, strict=True):
        page.paste(Image.fromarray(strip), (margin, top))
        lines = str(title).split("\n")
        for number, line in enumerate(lines):
            middle = top + len(strip) - height / 2 + 1.4 * size * (number - (len(lines) - 1) / 2)
            write(page, (margin - 8, middle), line, size=size, anchor="rm")
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
