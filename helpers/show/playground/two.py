"""Two photographs: parts of the one in the other, and the way from one person to another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from helpers.show.figures import tile
from helpers.show.playground.choose import SLOTS
from helpers.show.playground.drawing import quick_jpeg
from helpers.show.playground.face import PARTS, Face, alone, between, mixed
from helpers.show.playground.live_picture import LivePicture
from helpers.show.playground.panel import Panel, Status, below, side_by_side

ASKED = {
    "shape": "shape (α)",
    "texture": "texture (β)",
    "expression": "expression",
    "pose": "pose, photograph",
    "light": "light",
}
IDENTITY = ("shape", "texture")
STEPS = 6  # of the morph, on the page


class Swap(Panel):
    """Widgets: `sources`, for each part from which photograph it comes; `quick`, buttons that set several; `image`."""

    def __init__(self, play):
        import ipywidgets as w

        self.play, self._held = play, False
        short = [(text.split()[0], key) for key, text in SLOTS.items()]
        self.sources = {
            part: w.ToggleButtons(options=short, style={"button_width": "70px"}) for part in PARTS
        }
        # A toggle would put its own label above itself.
        lines = [
            w.HBox([w.Label(ASKED[part], layout=w.Layout(width="130px")), self.sources[part]])
            for part in PARTS
        ]
        self.quick = {
            name: w.Button(description=name, layout=w.Layout(width="auto"))
            for name in ("swap identity", "swap light", "back")
        }
        self.image = LivePicture(size=play.size, about="a face mixed from both photographs")
        self.originals = [LivePicture(size=play.size // 2, about=f"the {text}") for text in SLOTS.values()]
        self.status = Status()
        photographs = below(*self.originals)
        controls = below(*lines, w.HBox(list(self.quick.values())), self.status.widget)
        self.box = side_by_side(photographs, self.image, controls)
        for control in self.sources.values():
            control.observe(lambda _: self.draw(), "value")
        self.quick["swap identity"].on_click(lambda _: self.take(IDENTITY))
        self.quick["swap light"].on_click(lambda _: self.take(("light",)))
        self.quick["back"].on_click(lambda _: self.take(()))
        play.watch(lambda _: self.draw())
        self.draw()

    def take(self, parts) -> None:
        """These parts from the photograph that is not shown, all others from the one that is."""
        here = self.sources["pose"].value
        there = next(slot for slot in SLOTS if slot != here)
        self._held = True
        for part, control in self.sources.items():
            control.value = there if part in parts else here
        self._held = False
        self.draw()

    def draw(self) -> None:
        """Mix a face of the parts that are chosen."""
        if self._held:
            return
        with self.status.sentences():
            for picture, person in zip(self.originals, self.play.people.values(), strict=True):
                picture.value = quick_jpeg(self.play.sketch.photograph(person))
            source = {part: control.value for part, control in self.sources.items()}
            self.image.value = quick_jpeg(self._mixed(source))
            self.status.say("")

    def _mixed(self, source: dict[str, str]) -> torch.Tensor:
        face = mixed({slot: person.face for slot, person in self.play.people.items()}, source)
        return self.play.sketch.over(face, self.play.people[source["pose"]])

    def still(self) -> np.ndarray:
        """Each photograph, then with the other's identity, then in the other's light."""
        panels, titles = [], []
        for here, there in (("A", "B"), ("B", "A")):
            panels.append(self.play.sketch.photograph(self.play.people[here]))
            titles.append(SLOTS[here])
            for parts, text in ((IDENTITY, "the other's α, β"), (("light",), "the other's light")):
                panels.append(self._mixed({part: there if part in parts else here for part in PARTS}))
                titles.append(text)
        return tile(panels, titles, height=150)


class Morph(Panel):
    """Widgets: `ends`, who is at either end; `share`, the way between; `expression`, whether it changes too; `yaw`."""

    def __init__(self, play):
        import ipywidgets as w

        self.play = play
        people = [(text, slot) for slot, text in SLOTS.items()]
        options = [*people, ("mean face", "mean"), *((f"random person {k}", str(k)) for k in (1, 2, 3))]
        narrow = w.Layout(width="230px")
        self.ends = [
            w.Dropdown(options=options, value=value, description=name, layout=narrow)
            for name, value in (("from", "A"), ("to", "B"))
        ]
        self.share = w.FloatSlider(
            0.5, min=-0.5, max=1.5, step=0.01, description="share", layout=w.Layout(width="330px")
        )
        self.yaw = w.FloatSlider(
            0.0, min=-60.0, max=60.0, step=1.0, description="yaw °", layout=w.Layout(width="330px")
        )
        self.expression = w.Checkbox(False, description="expression too")
        self.image = LivePicture(size=play.size, about="the face between the two")
        self.status = Status(
            "Share 0 is the first person, 1 the second; beyond lies what nobody looks like yet."
        )
        controls = below(*self.ends, self.share, self.yaw, self.expression, self.status.widget, width="360px")
        self.box = side_by_side(self.image, controls)
        for control in (*self.ends, self.share, self.yaw, self.expression):
            control.observe(lambda _: self.draw(), "value")
        play.watch(lambda _: self.draw())
        self.draw()

    def end(self, name: str) -> Face:
        """The person at one end, in studio light: of a slot, the mean, or a random one with the number `name`."""
        model, size = self.play.sketch.model, self.play.size
        if name in self.play.people:
            face = alone(self.play.people[name].face, size)
            return (
                face if self.expression.value else replace(face, expression=torch.zeros_like(face.expression))
            )
        face = Face.mean(model, size)
        if name == "mean":
            return face
        drawn = model.sample(1, generator=torch.Generator().manual_seed(int(name)))
        return replace(face, alpha=drawn.alpha, beta=drawn.beta)

    def at(self, share: float, yaw: float = 0.0) -> torch.Tensor:
        """The picture (S, S, 3) at this share of the way."""
        first, second = (self.end(dropdown.value) for dropdown in self.ends)
        return self.play.sketch.alone(between(first, second, share), yaw)

    def draw(self) -> None:
        """The face at the share and yaw of the sliders."""
        with self.status.sentences():
            self.image.value = quick_jpeg(self.at(self.share.value, self.yaw.value))
            self.status.say(
                "Share 0 is the first person, 1 the second; beyond lies what nobody looks like yet."
            )

    def still(self) -> np.ndarray:
        """The way from the one to the other in steps."""
        shares = torch.linspace(0, 1, STEPS).tolist()
        return tile(
            [self.at(share) for share in shares], [f"share {share:.1f}" for share in shares], height=150
        )
