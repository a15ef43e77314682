"""A sheet of photographs that do not look like their person, each beside others of that person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from helpers.errors import UserError
from helpers.labelling.strangers import Compared
from helpers.photo import Photo
from helpers.show.faces import table
from helpers.show.figures import as_bytes

OTHERS = 3  # photographs of the same person beside a suspect
SIDE = 120  # px
Shown = tuple[
    Callable[[], Photo], tuple[float, float, float]
]  # reads a photograph; x, y, side of its square, px


def contact_sheet(rows: Sequence[tuple[Compared, Sequence[Shown | None]]]) -> np.ndarray:
    """Suspects in rows: the photograph, up to three others under its name, and one of the person that it is most like.

    Args:
        rows: each suspect, and what is shown of it: itself, others, and one of the other person, None where there is none.

    Returns:
        (H, W, 3) uint8.
    """
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    drawn = []
    for _, (*own, other) in rows:
        faces = [white if shown is None else _square(*shown) for shown in (*own, other)]
        drawn.append([*faces[:-1], *[white] * (1 + OTHERS - len(own)), faces[-1]])
    titles = [f"{each.id}\ncosine {each.own:.2f}\nwith {each.nearest} {each.other:.2f}" for each, _ in rows]
    return table(drawn, titles, ["photograph", *["same name"] * OTHERS, "most like"], height=SIDE)


def _square(load: Callable[[], Photo], square: tuple[float, float, float]) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8 of a photograph; black where it does not reach, and grey where it cannot be read."""
    from PIL import Image

    x, y, side = square
    try:
        image = Image.fromarray(as_bytes(load().image))
    except UserError:
        return np.full((SIDE, SIDE, 3), 128, np.uint8)
    face = image.crop((round(x), round(y), round(x + side), round(y + side)))
    return np.asarray(face.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
