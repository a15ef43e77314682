"""A face to change with sliders, and a table of what the sliders do for those who only read the page."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch

from helpers.rendering import render
from helpers.show.faces import heads, table
from helpers.show.figures import as_bytes, picture
from helpers.show.mesh import display_live
from helpers.show.views import studio

LIMIT = 3.0  # standard deviations
KINDS = ("shape α", "texture β", "expression")


def face_sliders(model, n: int = 10, size: int = 256, *, alt: str, live: bool | None = None) -> None:
    """Show what the first modes of a model do: a table of faces, and in a running notebook sliders below it.

    n: how many modes of shape, texture and expression have a slider.  size: px of the picture.
    live: None decides by itself: not while notebooks are executed to be stored.
    """
    picture(modes_table(model), alt=alt)
    display_live(lambda: FaceSliders.of(model, n, size).widget, live)


def modes_table(model, modes=(1, 2, 3, 4), amount: float = 2.5, height: int = 110) -> np.ndarray:
    """A row for plus and one for minus `amount` σ of each kind of mode the model has, a column for each mode."""
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


@dataclass(frozen=True)
class FaceSliders:
    """The live part. widget: what to display.  sliders: for each of `KINDS`, its sliders.  yaw: a slider, degrees.
    image: the picture.  people: a button for a random face, average: one for the mean."""

    widget: object
    sliders: dict[str, list]
    yaw: object
    image: object
    people: object
    average: object

    @classmethod
    def of(cls, model, n: int = 10, size: int = 256) -> FaceSliders:
        import ipywidgets as w

        model = model.to("cpu")
        counts = _counts(model)
        wide = w.Layout(width="300px")
        sliders = {
            kind: [
                w.FloatSlider(
                    0.0, min=-LIMIT, max=LIMIT, step=0.1, description=f"mode {i + 1}, σ", layout=wide
                )
                for i in range(min(n, counts[kind]))
            ]
            for kind in KINDS
        }
        yaw = w.FloatSlider(0.0, min=-60.0, max=60.0, step=1.0, description="turn °", layout=wide)
        image = w.Image(format="png", width=size, height=size)
        average, people = w.Button(description="mean face"), w.Button(description="random face")
        tabs = w.Tab([w.VBox(list(rows)) for rows in sliders.values() if rows])
        tabs.titles = [kind for kind, rows in sliders.items() if rows]
        made = cls(
            w.HBox([w.VBox([image, yaw, w.HBox([average, people])]), tabs]),
            sliders,
            yaw,
            image,
            people,
            average,
        )
        made._connect(model, size)
        return made

    def _connect(self, model, size: int) -> None:
        """Draw on every change; once where a button moves many sliders."""
        every = [slider for rows in self.sliders.values() for slider in rows]
        held, generator = [], torch.Generator().manual_seed(0)

        def draw(_=None):
            if not held:
                numbers = {
                    kind: torch.tensor([[s.value for s in rows]]) for kind, rows in self.sliders.items()
                }
                self.image.value = _png(*_faces(model, numbers), self.yaw.value, size)

        def move(values):
            held.append(True)
            for slider, value in zip(every, values, strict=True):
                slider.value = round(float(value), 1)
            held.clear()
            draw()

        for slider in [*every, self.yaw]:
            slider.observe(draw, names="value")
        self.average.on_click(lambda _: move(torch.zeros(len(every))))
        self.people.on_click(
            lambda _: move(torch.randn(len(every), generator=generator).clamp(-LIMIT, LIMIT))
        )
        draw()


def _counts(model) -> dict[str, int]:
    expressions = 0 if model.expression_std is None else len(model.expression_std)
    return dict(zip(KINDS, (len(model.shape_std), len(model.texture_std), expressions), strict=True))


def _faces(model, numbers: dict[str, torch.Tensor]):
    """Vertices, triangles and colours for coefficients (B, k) of each kind."""
    alpha, beta, expression = (numbers[kind] for kind in KINDS)
    with torch.no_grad():
        vertices = model.shape(alpha, expression if expression.shape[1] else None)
        return vertices, model.triangles, model.texture(beta)


def _png(vertices, triangles, colours, yaw: float, size: int) -> bytes:
    """One face as PNG, drawn and packed as fast as can be: no supersampling, hardly any compression."""
    from PIL import Image

    with torch.no_grad():
        drawn = render(vertices, triangles, colours, *studio((yaw,), size))
    buffer = io.BytesIO()
    Image.fromarray(as_bytes(drawn.image)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
