"""Sliders that start where a fit ended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from helpers.show.figures import tile
from helpers.show.playground.choose import SLOTS
from helpers.show.playground.drawing import quick_jpeg
from helpers.show.playground.face import Face, alone, relit, stretched, turned_by
from helpers.show.playground.live_picture import LivePicture
from helpers.show.playground.panel import Panel, Status, below, heading, side_by_side
from helpers.show.sliders.live_figure import Slider, updates_per_second

# kind of number -> the field of a `Face` that holds it
KINDS = {"shape α": "alpha", "texture β": "beta", "expression": "expression"}
AT_ONCE = 10  # modes that have a slider at a time
STEP = 0.1  # standard deviations
LIMIT = 5.0  # standard deviations; a fit may go beyond the 3 that are likely
LIKENESS = Slider("likeness ×", 0.0, 2.5, 1.0, 0.05)
POSE = (Slider("yaw °", -60, 60, 0, 1), Slider("pitch °", -40, 40, 0, 1), Slider("roll °", -45, 45, 0, 1))
LIGHT = (
    Slider("carry round °", -180, 180, 0, 5),
    Slider("carry up °", -90, 90, 0, 5),
    Slider("directed ×", 0.0, 2.5, 1.0, 0.05),
    Slider("brightness ×", 0.3, 2.0, 1.0, 0.05),
)
ON_PHOTO, ALONE, STUDIO = "on the photograph", "its own light", "studio light"


def _label(kind: str, mode: int) -> str:
    """What stands beside a slider: the number's symbol and its unit, standard deviations."""
    return f"{'e' if kind == 'expression' else kind[-1]} {mode + 1}, σ"


class Change(Panel):
    """Widgets: `slot`, `likeness`, `modes` (kind to its sliders), `first` (kind to the choice of its modes), `pose`,
    `light`, `where`, `reset`, `image`. `face` is what they make; `watch(call)` has it told after every change."""

    def __init__(self, play):
        import ipywidgets as w

        self.play, self._held, self._watchers = play, False, []
        looks = {"layout": w.Layout(width="380px"), "style": {"description_width": "100px"}}
        self.slot = w.ToggleButtons(
            options=[(text, key) for key, text in SLOTS.items()], style={"button_width": "150px"}
        )
        self.where = w.ToggleButtons(options=[ON_PHOTO, ALONE, STUDIO], style={"button_width": "auto"})
        self.likeness = LIKENESS.widget(
            layout=w.Layout(width=f"{play.size + 20}px"), style={"description_width": "70px"}
        )
        self.numbers: dict[str, torch.Tensor] = {}
        self.modes, self.first, pages = {}, {}, []
        for kind, count in self._counts().items():
            self.modes[kind] = [
                Slider(_label(kind, k), -LIMIT, LIMIT, 0.0, STEP).widget(**looks)
                for k in range(min(AT_ONCE, count))
            ]
            runs = [(f"modes {k + 1} to {min(k + AT_ONCE, count)}", k) for k in range(0, count, AT_ONCE)]
            self.first[kind] = w.Dropdown(options=runs, layout=w.Layout(width="180px"))
            pages.append(below(self.first[kind], *self.modes[kind]))
        self.pose = {slider.name: slider.widget(**looks) for slider in POSE}
        self.light = {slider.name: slider.widget(**looks) for slider in LIGHT}
        pages.append(
            below(
                heading("pose, from the fitted one"),
                *self.pose.values(),
                heading("light, from the fitted one"),
                *self.light.values(),
            )
        )
        tabs = w.Tab(pages, titles=[*self.modes, "pose and light"], layout=w.Layout(min_width="440px"))
        self.reset = w.Button(description="as fitted", tooltip="all sliders back to where the fit ended")
        self.image = LivePicture(size=play.size, about="the face as the sliders make it")
        self.status = Status()
        left = below(
            self.image, self.likeness, w.HBox([self.reset]), self.status.widget, width=f"{play.size + 24}px"
        )
        self.box = below(side_by_side(self.slot, self.where), side_by_side(left, tabs))
        self._connect()
        self.start()

    def _counts(self) -> dict[str, int]:
        face = Face.mean(self.play.sketch.model)
        counts = {kind: getattr(face, field).shape[1] for kind, field in KINDS.items()}
        return {kind: count for kind, count in counts.items() if count}

    def _connect(self):
        for kind, sliders in self.modes.items():
            for k, slider in enumerate(sliders):
                slider.observe(lambda change, kind=kind, k=k: self._moved(kind, k, change["new"]), "value")
            self.first[kind].observe(lambda _, kind=kind: self._turn_page(kind), "value")
        for control in (self.likeness, self.where, *self.pose.values(), *self.light.values()):
            control.observe(lambda _: self.draw(), "value")
        self.slot.observe(lambda _: self.start(), "value")
        self.reset.on_click(lambda _: self.start())
        self.play.watch(lambda slot: self.start() if slot == self.slot.value else None)

    def start(self) -> None:
        """All sliders to where the fit of this slot ended."""
        person = self.play.people[self.slot.value]
        if person.result is None:
            self.status.say(f"{person.name}: not fitted yet: press Fit above.", warning=True)
            self.image.value = quick_jpeg(self.play.sketch.photograph(person))
            return
        self.status.say("")
        self._fitted = person.face
        self.numbers = {kind: getattr(person.face, KINDS[kind]).clone() for kind in self.modes}
        self._held = True
        for kind in self.modes:
            self._turn_page(kind)
        for slider, widget in zip(
            (LIKENESS, *POSE, *LIGHT), (self.likeness, *self.pose.values(), *self.light.values()), strict=True
        ):
            widget.value = slider.start
        self._held = False
        self.draw()

    def watch(self, call) -> None:
        """`call(face)` after every change."""
        self._watchers.append(call)

    @property
    def ready(self) -> bool:
        """Whether the person of this slot is fitted."""
        return self.play.people[self.slot.value].result is not None

    @property
    def face(self) -> Face:
        """What the sliders make, seen by the camera of the fit.

        Raises:
            UserError: there is no fit yet.
        """
        if not self.ready:
            return self.play.people[self.slot.value].face  # says what is missing
        face = replace(self._fitted, **{KINDS[kind]: numbers for kind, numbers in self.numbers.items()})
        face = stretched(face, self.likeness.value)
        face = turned_by(face, *(slider.value for slider in self.pose.values()))
        return relit(face, *(slider.value for slider in self.light.values()))

    def draw(self) -> None:
        """Draw the face as the sliders make it, and tell those who watch."""
        if self._held or not self.ready:
            return
        with self.status.sentences():
            face = self.face
            self.image.value = quick_jpeg(self._drawn(face))
            for call in self._watchers:
                call(face)

    def _drawn(self, face: Face) -> torch.Tensor:
        sketch, person = self.play.sketch, self.play.people[self.slot.value]
        if self.where.value == ON_PHOTO:
            return sketch.over(face, person)
        if self.where.value == ALONE:
            return sketch.draw(face)
        frontal = alone(face, sketch.size)
        return sketch.draw(turned_by(frontal, *(slider.value for slider in self.pose.values())))

    def _moved(self, kind: str, k: int, value: float) -> None:
        mode = self.first[kind].value + k
        # The browser rounds a slider's number to its steps and sends that back. It is no move of the reader's, and the fitted
        # number stays as exact as it was.
        if self._held or abs(value - float(self.numbers[kind][0, mode])) <= 0.501 * STEP:
            return
        numbers = self.numbers[kind].clone()  # faces that were handed out keep theirs
        numbers[0, mode] = value
        self.numbers[kind] = numbers
        self.draw()

    def _turn_page(self, kind: str) -> None:
        """Give the sliders of a kind the numbers of the modes that are chosen."""
        first, count, held = self.first[kind].value, self.numbers[kind].shape[1], self._held
        self._held = True
        for k, slider in enumerate(self.modes[kind]):
            slider.disabled = first + k >= count
            slider.description = _label(kind, first + k)
            slider.value = (
                0.0 if slider.disabled else float(self.numbers[kind][0, first + k].clamp(-LIMIT, LIMIT))
            )
        self._held = held

    def updates_per_second(self, updates: int = 40, kind: str = "shape α") -> float:
        """How many pictures a second follow a slider, measured by moving it to and fro.

        Args:
            updates: how often it moves.
            kind: of the modes, whose first slider it is, or the slider's own name.
        """
        slider = self.modes[kind][0] if kind in self.modes else {**self.pose, **self.light}[kind]
        return updates_per_second(slider, updates)

    def still(self) -> np.ndarray:
        """The fitted face, and what one slider each makes of it."""
        sketch, person = self.play.sketch, self.play.people[self.slot.value]
        face = person.face
        shifted = face.alpha.clone()
        shifted[0, 0] += 3.0
        shown = {
            "as fitted": face,
            "likeness × 0": stretched(face, 0.0),
            "likeness × 2": stretched(face, 2.0),
            "α 1, + 3 σ": replace(face, alpha=shifted),
            "yaw 30°": turned_by(face, 30.0, 0.0, 0.0),
            "light carried 120°": relit(face, around=120.0, directed=2.0),
        }
        panels = [sketch.over(each, person) for each in shown.values()]
        panels[4] = sketch.draw(shown["yaw 30°"])  # over the photograph a turned head would show two
        return tile(panels, list(shown), height=150)
