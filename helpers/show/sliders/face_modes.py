"""A face to change with sliders, and a table of what the sliders do for those who only read the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from helpers.rendering import render
from helpers.show.faces import heads, table
from helpers.show.figures import picture
from helpers.show.mesh import display_live
from helpers.show.on_cpu import on_cpu
from helpers.show.sliders.live_figure import LiveFigure, Slider
from helpers.show.views import is_whole, studio

LIMIT = 3.0  # standard deviations
KINDS = ("shape α", "texture β", "expression")


def face_sliders(model, n: int = 10, size: int = 256, *, alt: str, live: bool | None = None) -> None:
    """Show what the first modes of a model do: a table of faces, and in a running notebook sliders below it.

    Args:
        model: a `MorphableModel`; it may lack textures and expressions.
        n: how many modes of shape, texture and expression have a slider.
        size: px of the picture.
        alt: what the table shows, in words.
        live: None decides by itself: not while notebooks are executed to be stored.
    """
    picture(modes_table(model), alt=alt)
    display_live(lambda: FaceSliders(model, n, size).box, live)


def modes_table(model, modes=(1, 2, 3, 4), amount: float = 2.5, height: int = 140) -> np.ndarray:
    """A row for plus and one for minus of each kind of mode that the model has, a column for each mode.

    Args:
        model: a `MorphableModel`.
        modes: their numbers, from 1.
        amount: standard deviations.
        height: of each picture, px.

    Returns:
        (H, W, 3) uint8.
    """
    model = on_cpu(model.whole_head)
    rows, titles = [], []
    counts = _counts(model)
    for kind in [kind for kind in KINDS if counts[kind]]:
        for sign in (1, -1):
            numbers = {other: torch.zeros(len(modes), counts[other]) for other in KINDS}
            for row, mode in enumerate(modes):
                if mode <= counts[kind]:
                    numbers[kind][row, mode - 1] = sign * amount
            rows.append(heads(*_faces(model, numbers), size=height))
            titles.append(f"{kind}\n{'+' if sign > 0 else '−'}{amount:g} σ")
    return table(rows, titles, [f"mode {mode}" for mode in modes], height=height)


class FaceSliders(LiveFigure):
    """A face whose numbers sliders set, in standard deviations.

    Attributes:
        sliders: for each of `KINDS`, its sliders.
        average: a button for the mean face.
        people: a button for a random one.
    """

    def __init__(self, model, n: int = 10, size: int = 256):
        """Show the mean face.

        Args:
            model: a `MorphableModel`; it may lack textures and expressions.
            n: how many modes of each kind have a slider.
            size: px of the square picture.
        """
        import ipywidgets as w

        self.model, self.size = on_cpu(model.whole_head), size
        self._generator = torch.Generator().manual_seed(0)
        self.sliders = {
            kind: [
                Slider(f"mode {k + 1}", -LIMIT, LIMIT, 0.0, 0.1, "σ").widget(6.0)
                for k in range(min(n, count))
            ]
            for kind, count in _counts(self.model).items()
        }
        self.average, self.people = w.Button(description="mean face"), w.Button(description="random face")
        self.average.on_click(lambda _: self.move(torch.zeros(len(self._every))))
        self.people.on_click(lambda _: self.move(torch.randn(len(self._every), generator=self._generator)))
        every = {
            f"{kind} {k + 1}": slider for kind, rows in self.sliders.items() for k, slider in enumerate(rows)
        }
        yaw = Slider("turn", -60.0, 60.0, 0.0, 1.0, "°").widget(6.0)
        super().__init__(
            self.draw, size, size, alt="The face of the sliders' numbers", controls={**every, "yaw": yaw}
        )

    @property
    def _every(self) -> list:
        return [slider for rows in self.sliders.values() for slider in rows]

    def arranged(self):
        """The picture with the buttons below it, and the sliders in a tab for each kind."""
        import ipywidgets as w

        kinds = [kind for kind, rows in self.sliders.items() if rows]
        tabs = w.Tab([w.VBox(self.sliders[kind]) for kind in kinds], titles=kinds)
        buttons = w.HBox([self.average, self.people])
        return w.HBox([w.VBox([self.image, self.controls["yaw"], buttons]), tabs])

    def values(self) -> dict[str, Any]:
        """The arguments of `draw`."""
        numbers = {kind: torch.tensor([[s.value for s in rows]]) for kind, rows in self.sliders.items()}
        return {"numbers": numbers, "yaw": self.controls["yaw"].value}

    def draw(self, numbers: dict[str, torch.Tensor], yaw: float = 0.0) -> torch.Tensor:
        """One face, as quickly as can be: without supersampling.

        Args:
            numbers: coefficients (1, k) for each of `KINDS`, in standard deviations.
            yaw: how far the face is turned, degrees.

        Returns:
            (size, size, 3).
        """
        with torch.no_grad():
            vertices, triangles, colours = _faces(self.model, numbers)
            pose, camera, light = studio((yaw,), self.size, is_whole(vertices))
            return render(vertices, triangles, colours, pose, camera, light).image[0]

    def move(self, numbers: torch.Tensor) -> None:
        """Set all sliders at once: shape, texture and expression one after the other; what is beyond their ends stays at them."""
        with self.one_redraw():
            for slider, number in zip(self._every, numbers.clamp(-LIMIT, LIMIT), strict=True):
                slider.value = round(float(number), 1)


def _counts(model) -> dict[str, int]:
    expressions = 0 if model.expression_std is None else len(model.expression_std)
    return dict(zip(KINDS, (len(model.shape_std), len(model.texture_std), expressions), strict=True))


def _faces(model, numbers: dict[str, torch.Tensor]):
    """Vertices, triangles and colours for coefficients (B, k) of each kind."""
    alpha, beta, expression = (numbers[kind] for kind in KINDS)
    with torch.no_grad():
        vertices = model.shape(alpha, expression if expression.shape[1] else None)
        return vertices, model.triangles, model.texture(beta)
