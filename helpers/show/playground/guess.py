"""What the network predicts at a glance, beside what the fit found."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from helpers.errors import UserError
from helpers.evaluation import align_similarity
from helpers.show.figures import tile
from helpers.show.on_cpu import on_cpu
from helpers.show.playground.choose import SLOTS
from helpers.show.playground.drawing import quick_jpeg
from helpers.show.playground.face import Face, alone
from helpers.show.playground.live_picture import LivePicture
from helpers.show.playground.panel import Panel, Status, below, plain, side_by_side
from helpers.show.playground.person import Person
from helpers.show.style import mm_colours

TITLES = ("photograph", "fit", "network", "fit, shape", "network, shape", "apart, 0–4 mm")


@dataclass(frozen=True)
class Guess:
    """A network's prediction beside a fit.

    Attributes:
        face: the network's alpha and beta in the pose, light and expression of the fit.
        seconds: it took.
        apart: (V,) mm between fit and prediction, both neutral, after the best rotation, shift and scaling.
        mean_apart: its mean over the skin, mm.
        cosine: of the two vectors (α, β): 1 is the same direction from the mean face.
    """

    face: Face
    seconds: float
    apart: torch.Tensor
    mean_apart: float
    cosine: float


def guess(person: Person, network, model) -> Guess:
    """Ask the network about a fitted photograph.

    Args:
        person: with a fit.
        network: a `helpers.regression.predict.Network`.
        model: on whose mesh both are compared.
    """
    begun = time.perf_counter()
    numbers = network.predict(person.photo, person.detection)
    seconds = time.perf_counter() - begun
    fit = person.face
    face = replace(fit, alpha=on_cpu(numbers.alpha), beta=on_cpu(numbers.beta))
    with torch.no_grad():
        theirs, ours = model.shape(face.alpha), model.shape(fit.alpha)
        # Only of the skin does a photograph tell anything.
        skin = (model.masks or {}).get("skin", torch.ones(model.n_vertices))[None]
        apart = (align_similarity(theirs, ours, skin) - ours).norm(dim=-1)[0]
    pair = (torch.cat([each.alpha, each.beta], -1)[0] for each in (face, fit))
    mean = float((apart * skin[0]).sum() / skin.sum())
    return Guess(face, seconds, apart, mean, float(torch.cosine_similarity(*pair, dim=0)))


class NetworkGuess(Panel):
    """Widgets: `slot`, `images`, `status`. `network` is None where there is none, and `missing` says why."""

    def __init__(self, play, path=None):
        import ipywidgets as w

        self.play = play
        self.network, self.missing = available(path)
        self.slot = w.ToggleButtons(
            options=[(text, key) for key, text in SLOTS.items()], style={"button_width": "150px"}
        )
        self.ask = w.Button(description="Guess", button_style="primary", disabled=self.network is None)
        side = 116  # six of them fit beside each other
        self.images = [LivePicture(size=side, about=title) for title in TITLES]
        self.status = Status()
        captions = [below(w.Label(title), image) for title, image in zip(TITLES, self.images, strict=True)]
        self.box = below(
            side_by_side(self.slot, self.ask), side_by_side(*captions, gap=8), self.status.widget
        )
        if self.network is None:
            self.box = self.status.widget
        self.ask.on_click(lambda _: self.draw())
        self.slot.observe(lambda _: self.draw(), "value")
        play.watch(lambda slot: self.draw() if slot == self.slot.value else None)
        self.draw()

    def draw(self) -> None:
        """Ask the network about the person of the slot, and show its prediction beside the fit."""
        if self.network is None:
            self.status.say(self.missing, warning=True)
            return
        with self.status.sentences():
            person = self.play.people[self.slot.value]
            if person.result is None:  # what stands there is of another photograph
                self._show([self.play.sketch.photograph(person), *[np.ones((8, 8, 3))] * (len(TITLES) - 1)])
                self.status.say(f"{person.name}: not fitted yet: press Fit above.", warning=True)
                return
            self.status.say(f"{person.name}: guessing …")
            found = guess(person, self.network, self.play.sketch.model)
            self._show(self.panels(person, found))
            self.status.say(
                f"{person.name}: guessed in {1000 * found.seconds:.0f} ms; {found.mean_apart:.1f} mm apart on average, "
                f"cosine of the coefficients {found.cosine:.2f}."
            )

    def _show(self, pictures: list) -> None:
        for image, picture in zip(self.images, pictures, strict=True):
            image.value = quick_jpeg(picture)

    def panels(self, person: Person, found: Guess) -> list:
        """Pictures for `TITLES`, all neutral and from the front but the first."""
        sketch = self.play.sketch
        fit = replace(person.face, expression=torch.zeros_like(person.face.expression))
        net = replace(fit, alpha=found.face.alpha, beta=found.face.beta)
        pictures = [sketch.photograph(person), sketch.alone(fit), sketch.alone(net)]
        pictures += [sketch.painted(alone(each, sketch.size, 25.0)) for each in (fit, net)]
        colours = torch.from_numpy(mm_colours(found.apart.numpy())).float()
        return [*pictures, sketch.painted(alone(fit, sketch.size), colours)]

    def still(self) -> np.ndarray:
        """For both photographs, if there is a network; else the sentence that says what is missing."""
        if self.network is None:
            return _sentence(self.missing)
        people = [person for person in self.play.people.values() if person.result is not None]
        rows = []
        for k, person in enumerate(people):
            pictures = self.panels(person, guess(person, self.network, self.play.sketch.model))
            rows.append(tile(pictures, TITLES if k == 0 else None, height=150))
        return np.concatenate(rows)


def available(path=None) -> tuple[object | None, str]:
    """(network, "") or (None, one sentence on what is missing)."""
    try:
        from helpers.regression import load_network
    except ImportError:
        return None, "The network that guesses the numbers is not part of this version of the course."
    try:
        return load_network(path, "cpu"), ""
    except UserError as error:
        if path is not None:
            return None, f"No network to ask: {plain(str(error))}."
        return (
            None,
            "No trained network is here to be asked: `python -m helpers train` makes one; Playground(network=…) takes its file.",
        )


def _sentence(text: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (760, 36), "white")
    ImageDraw.Draw(page).text((6, 10), text, fill="#57606A", font_size=13)
    return np.asarray(page)
