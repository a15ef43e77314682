"""What all figures with sliders share: controls beside a picture that is drawn anew when one of them moves."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from torch import Tensor

from helpers.show.figures import as_bytes, tile
from helpers.show.mesh import display_live

Figure = TypeVar("Figure", bound="LiveFigure")


@dataclass(frozen=True)
class Slider:
    """A slider for a number.

    Attributes:
        name: what stands beside it.
        low: its smallest value.
        high: its largest value.
        start: its value at first.
        step: between two neighbouring values.
        unit: what follows a value, "°" or " px".
    """

    name: str
    low: float
    high: float
    start: float
    step: float
    unit: str = ""

    @property
    def label(self) -> str:
        """Its name, with its unit."""
        return f"{self.name} ({self.unit.strip()})" if self.unit else self.name

    def widget(self, label_width: float = 8.0):
        """The slider as an ipywidgets widget, whose label has `label_width` em."""
        import ipywidgets

        return ipywidgets.FloatSlider(
            self.start,
            min=self.low,
            max=self.high,
            step=self.step,
            description=self.label,
            style={"description_width": f"{label_width:.1f}em"},
            layout={"width": f"calc({label_width:.1f}em + 17em)", "max_width": "calc(100% - 4px)"},
        )


class LiveFigure:
    """A picture that follows its controls.

    A subclass has a method `draw`, names its sliders in `SLIDERS`, and calls this class's `__init__` last. The pattern is the
    quickest of those that were measured: PNG that is hardly compressed, in a widget that is only given other bytes.

    Attributes:
        SLIDERS: sliders by the argument of `draw` that each sets.
        controls: widgets by the argument of `draw` that each sets.
        image: the widget of the picture.
        box: picture and controls, ready for `display`.
    """

    SLIDERS: ClassVar[dict[str, Slider]] = {}

    def __init__(
        self,
        draw: Callable[..., np.ndarray | Tensor],
        width: int,
        height: int,
        *,
        alt: str,
        controls: Mapping[str, Any] | None = None,
    ):
        """Draw the first picture, and follow the controls from then on.

        Args:
            draw: gives the picture (H, W, 3), uint8 or 0 to 1, at values of the controls.
            width: of the picture, px.
            height: of the picture, px.
            alt: what the picture shows, in words; browsers show and read it as its title.
            controls: widgets that are no `SLIDERS`, by the argument of `draw` that each sets.
        """
        # Labels of one width, so that the sliders stand below each other.
        label_width = 1 + 0.55 * max((len(slider.label) for slider in self.SLIDERS.values()), default=0)
        sliders = {name: slider.widget(label_width) for name, slider in self.SLIDERS.items()}
        self._draw, self.controls, self._held = draw, {**sliders, **(controls or {})}, False
        self.image = picture_widget(width, height, alt)
        self.box = self.arranged()
        for control in self.controls.values():
            control.observe(lambda _: self.redraw(), "value")
        self.redraw()

    def arranged(self):
        """Picture and controls as they stand on the page: beside each other."""
        import ipywidgets

        return ipywidgets.HBox([self.image, ipywidgets.VBox(list(self.controls.values()))])

    def values(self) -> dict[str, Any]:
        """The arguments of `draw` that the controls ask for."""
        return {name: control.value for name, control in self.controls.items()}

    def redraw(self) -> None:
        """Draw the picture of the controls' values."""
        if not self._held:
            self.image.value = quick_png(self._draw(**self.values()))

    @contextmanager
    def one_redraw(self):
        """However many controls move inside of it, the picture is drawn once, at the end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.redraw()

    def strip(self, settings: Sequence[Mapping[str, Any]], height: int) -> np.ndarray:
        """Stills side by side, for those who only read the page.

        Args:
            settings: the arguments of `draw` for each still; they are also its title.
            height: of each still, px.

        Returns:
            (H, W, 3) uint8.
        """
        titles = [", ".join(self.setting(*each) for each in values.items()) for values in settings]
        return tile([self._draw(**values) for values in settings], titles, height=height)

    def setting(self, name: str, value) -> str:
        """A setting in words, such as "yaw −40°"."""
        return f"{name} {value:g}{self.SLIDERS[name].unit}".replace("-", "−")

    def updates_per_second(self, updates: int = 30) -> float:
        """How many pictures a second follow the first slider, measured by moving it."""
        return updates_per_second(next(iter(self.controls.values())), updates)

    def show(self: Figure, live: bool | None = None) -> Figure:
        """Display the figure in a running notebook.

        Args:
            live: None decides by itself: not while notebooks are executed to be stored, where a view would open blank.

        Returns:
            The figure itself.
        """
        display_live(lambda: self.box, live)
        return self


def picture_widget(width: int, height: int, alt: str):
    """An empty PNG of ipywidgets, with words that browsers show and read as its title."""
    import ipywidgets
    import traitlets

    class Picture(ipywidgets.Image):
        # ipywidgets in the browser shows a tooltip only where the description is empty, and fails where there is none.
        description = traitlets.Unicode("").tag(sync=True)

    return Picture(format="png", width=width, height=height, tooltip=alt)


def updates_per_second(slider, updates: int) -> float:
    """How many times a second what follows a slider is drawn, measured by moving it to and fro; it ends where it began."""
    start = slider.value
    begun = time.perf_counter()
    for k in range(updates):
        at = slider.min + (slider.max - slider.min) * ((7 * k) % updates + 0.5) / updates
        slider.value = type(start)(at)  # an IntSlider takes whole numbers only
    seconds = time.perf_counter() - begun
    slider.value = start
    return updates / seconds


def quick_png(image) -> bytes:
    """An image (H, W, 3) as PNG, packed little: what a slider needs is a quick one, not a small one."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(as_bytes(image)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
