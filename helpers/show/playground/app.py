"""The playground: two photographs, and the panels that play with them."""

from __future__ import annotations

from pathlib import Path

from helpers.face_model import load
from helpers.fitting import FitModel
from helpers.photo import default_photos
from helpers.show.fit_strip import fit_strip
from helpers.show.playground.change import Change
from helpers.show.playground.choose import Choose
from helpers.show.playground.download import Downloads, as_result, file_of, painted_as
from helpers.show.playground.drawing import Sketch
from helpers.show.playground.guess import NetworkGuess
from helpers.show.playground.live import Live
from helpers.show.playground.panel import Panel, below, heading
from helpers.show.playground.person import Person, fitted, from_file
from helpers.show.playground.two import Morph, Swap


class Playground:
    """Everything of the playground in one place.

    Panels: `choose`, `change`, `live`, `swap`, `morph`, `guess`, `files`. Each has `show(alt=…)`.

    Attributes:
        people: a `Person` for each of the slots "A" and "B".
    """

    def __init__(
        self, photographs: list[str | Path] | None = None, size: int = 256, network: str | Path | None = None
    ):
        """Fit both photographs (about a second each) and make the panels.

        Args:
            photographs: two files; None is those of the course.
            size: px of its pictures.
            network: file of a network; None is the one of the course.
        """
        self.size = size
        # What is fitted and downloaded is fine; what follows a slider is a quarter of that, and four times as quick.
        self.model = load("open", device="cpu")
        self.fit_model = FitModel(self.model)
        self.sketch = Sketch(load("open", level=1, device="cpu"), size)
        self._watchers = []
        files = list(default_photos().values()) if photographs is None else list(photographs)
        self.people: dict[str, Person] = {
            slot: fitted(from_file(file), self.fit_model) for slot, file in zip("AB", files, strict=True)
        }
        self.choose = Choose(self)
        self.change = Change(self)
        self.live = Live(self, self.change)
        self.swap, self.morph = Swap(self), Morph(self)
        self.guess = NetworkGuess(self, network)
        self.files = Files(self)

    def put(self, slot: str, person: Person) -> None:
        """Another person, or the same with other points or a fit, into a slot; all panels follow."""
        self.people[slot] = person
        for call in self._watchers:
            call(slot)

    def watch(self, call) -> None:
        """`call(slot)` after every `put`."""
        self._watchers.append(call)


class Files(Panel):
    """The face of the sliders as files. `downloads` holds the buttons."""

    def __init__(self, play: Playground):
        self.play = play
        self.downloads = Downloads(self.make)
        self.box = below(heading("the face as the sliders have it"), self.downloads)

    def make(self, kind: str) -> tuple[str, bytes]:
        """(name, content) of one kind of file; see `file_of`."""
        person = self.play.people[self.play.change.slot.value]
        return file_of(kind, self.play.change.face, person, self.play.model)

    def still(self):
        """What the .png of the download shows, smaller."""
        person = self.play.people[self.play.change.slot.value]
        face, model = self.play.change.face, self.play.model
        painted = painted_as(face, person, model.whole_head)
        return fit_strip(person.crop, as_result(face, person), model, height=150, painted=painted)
