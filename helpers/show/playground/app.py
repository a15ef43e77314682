"""The playground: photographs, the fit of each, and the page that plays with them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.crop import crop_face
from helpers.errors import UserError
from helpers.face_model import load
from helpers.fitting import FitModel
from helpers.lighting import DEFAULT_LIGHT
from helpers.painting import PaintedFace, atlas_of
from helpers.photo import default_photos, read_photo
from helpers.show.figures import picture, tile
from helpers.show.mesh import display_live
from helpers.show.playground import person as people
from helpers.show.playground.directions import Direction, named_directions
from helpers.show.playground.download import Shown, file_of, painted_as
from helpers.show.playground.drawing import Sketch
from helpers.show.playground.face import Face, harmonics_rotated, light_of_head
from helpers.show.playground.look import Look
from helpers.show.playground.person import Person
from helpers.show.playground.sentences import plain, sentence
from helpers.show.playground.widget import Page
from helpers.show.viewer import jpeg_of, packed_model
from helpers.show.views import portraits

EVERY = 2  # iterations between two faces of a fit on its way
REMEMBERED = 30  # changes that can be taken back
STILL_YAWS = (-40.0, 0.0, 40.0)


@dataclass(frozen=True)
class Scene:
    """All that can be taken back.

    Attributes:
        people: key to photograph, in the order in which they came.
        chosen: key of the one that is shown, "" before there is one.
        look: of the sliders.
    """

    people: dict[str, Person] = field(default_factory=dict)
    chosen: str = ""
    look: Look = Look()

    @property
    def person(self) -> Person:
        """Who is shown.

        Raises:
            UserError: there is nobody yet.
        """
        if self.chosen not in self.people:
            raise UserError("there is no photograph yet: drop one on the page")
        return self.people[self.chosen]

    @property
    def other(self) -> Person | None:
        """Whose parts are mixed in, if there is somebody with a fit."""
        other = self.people.get(self.look.other)
        return other if other is not None and other.result is not None else None

    def having(self, person: Person) -> Scene:
        """With a person who is new, or changed."""
        return replace(self, people=self.people | {person.key: person})


class Playground:
    """Everything of notebook 08.

    What takes time (detecting, guessing, fitting, painting) is done one after the other by a thread of its own, so that the page
    is there at once; `wait` returns when all is done.

    Attributes:
        scene: what is shown now.
        page: the widget.
        model: the face model that is fitted.
        coarse: the same with fewer vertices, which the browser has.
    """

    def __init__(self, photographs: list[str | Path] | None = None, network: str | Path | None = None):
        """Open the page, and begin to fit.

        Args:
            photographs: files; None is those of the course.
            network: file of a network that guesses; None is the one of the course.
        """
        files = list(default_photos().values()) if photographs is None else list(photographs)
        # Takes a second, beside what the page needs first.
        self._fit_model = ThreadPoolExecutor(1).submit(lambda: FitModel(load("open", device="cpu")))
        self.coarse = load("open", level=1, device="cpu")
        self.head = self.coarse.whole_head
        self._network_file, self._network, self._asked = network, None, False
        self.directions: tuple[Direction, ...] = ()
        self.scene, self._history, self._serial = Scene(), [], 0
        self._kept: dict[str, PaintedFace] = {}  # whose paint the page has
        self.page = Page(
            self.answer, mesh=packed_model(self.head, atlas_of(self.head)), now=self._numbers(None)
        )
        self._jobs: queue.Queue[tuple[str, Callable[[], None]]] = queue.Queue()
        threading.Thread(target=self._work, daemon=True).start()
        for number, file in enumerate(files):
            self._later("open", lambda file=file, number=number: self._opened(file, first=number == 0))

    # What is computed

    @property
    def model(self):
        """The face model that is fitted, at its finest level."""
        return self.fit_model.model

    @property
    def fit_model(self) -> FitModel:
        """The same, laid out for fits."""
        return self._fit_model.result()

    @property
    def sketch(self) -> Sketch:
        """Draws its faces."""
        return Sketch(self.coarse)

    @property
    def person(self) -> Person:
        """Who is shown."""
        return self.scene.person

    @property
    def people(self) -> list[Person]:
        """All photographs."""
        return list(self.scene.people.values())

    @property
    def face(self) -> Face:
        """What the sliders show, seen by the camera of the fit.

        Raises:
            UserError: there is no fit yet.
        """
        other = self.scene.other
        return self.scene.look.applied(
            self.person.face, self.directions, None if other is None else other.face
        )

    def file(self, kind: str) -> tuple[str, bytes]:
        """(name, content) of one kind of file; see `helpers.show.playground.download.file_of`."""
        return file_of(kind, self._shown(), self.model, self.coarse)

    def _shown(self) -> Shown:
        return Shown(self.face, self.person, self.scene.look, self.scene.other)

    def wait(self) -> None:
        """Return when all photographs are fitted, and all that the page asked for is done."""
        self._jobs.join()

    # What the page shows

    def show(self, *, alt: str, live: bool | None = None) -> None:
        """Show a still, or, in a running notebook, the page.

        Args:
            alt: what the still shows, in words.
            live: None decides by itself, as `helpers.show.mesh` does.
        """
        shown: list = []
        display_live(lambda: shown.append(self.page) or self.page, live)
        if not shown:
            self.wait()
            picture(self.still(), alt=alt)

    def still(self) -> np.ndarray:
        """The photograph, the fit laid over it, and the painted head from three sides: (H, W, 3) uint8."""
        person, head, face = self.person, self.head, self.face
        vertices = head.shape(face.alpha, face.expression)
        _, colours = painted_as(self._shown(), head)
        turned = [portraits(vertices, head.triangles, colours, yaw, 256, lit=False)[0] for yaw in STILL_YAWS]
        sketch = self.sketch
        return tile([sketch.photograph(person), sketch.over(person.face, person), *turned], height=180)

    def _show(self, scene: Scene, look: bool = False) -> None:
        """Make this what is shown, and have the page follow."""
        before, self.scene = self.scene, scene
        page, person = self.page, scene.people.get(scene.chosen)
        with page.hold_sync():
            if scene.people != before.people:
                self._show_people()
            if person is not None and (
                person is not before.people.get(scene.chosen) or scene.chosen != before.chosen
            ):
                self._show_person(person, before.people.get(before.chosen))
            page.chosen = scene.chosen
            page.can_undo = bool(self._history)
            if look:
                self._serial += 1
                page.look = {"look": scene.look.for_page(), "serial": self._serial}

    def _show_people(self) -> None:
        page, known = self.page, {each["id"]: each for each in self.page.people}
        entries, paints = [], dict(page.paints)
        for person in self.people:
            old = known.get(person.key, {})
            entry = {"id": person.key, "name": person.title, "fitted": person.result is not None}
            entry["thumb"] = old.get("thumb") or jpeg_of(
                crop_face(person.photo.image, person.detection.points, 96, device="cpu").image[0]
            )
            if person.result is not None:
                entry |= self._numbers(person)
            entries.append(entry)
            if person.painted is not None and person.painted is not self._kept.get(person.key):
                self._kept[person.key] = person.painted
                paints[person.key] = jpeg_of(person.painted.texture[0])
        page.people = entries
        page.paints = {key: paint for key, paint in paints.items() if key in self.scene.people}

    def _show_person(self, person: Person, before: Person | None) -> None:
        page = self.page
        if before is None or person.photo is not before.photo:
            page.photo = jpeg_of(person.photo.image)
            height, width = person.photo.size
            page.photo_size = [width, height]
        page.points = np.asarray(person.detection.points, float).round(2).tolist()
        page.found = not person.placed
        page.faces = [np.asarray(each.box, float).tolist() for each in person.found]
        page.painted = person.painted is not None
        png, box = (b"", []) if person.result is None else people.covered_picture(person)
        page.covered = {"png": png, "box": box} if png else {"png": None, "box": []}
        if person.result is not None:
            page.now = self._numbers(person)
            good, words = people.verdict(person)
            if len(person.found) > 1:
                words += f" {len(person.found)} faces: click another to have it."
            self._say(words, "good" if good else "doubtful")

    def _numbers(self, person: Person | None) -> dict[str, list[float]]:
        """The fitted numbers of a person, or those of the mean face, with the light in the axes of the head."""
        if person is None or person.result is None:
            model = self.coarse
            assert model.expression_std is not None
            counts = {
                "alpha": len(model.shape_std),
                "expression": len(model.expression_std),
                "beta": len(model.texture_std),
            }
            return {name: [0.0] * count for name, count in counts.items()} | {
                "light": DEFAULT_LIGHT.flatten().tolist()
            }
        face = person.face
        light = light_of_head(face)
        numbers = {name: getattr(face, name)[0].tolist() for name in ("alpha", "expression", "beta")}
        return numbers | {"light": light.flatten().tolist()}

    def _say(self, words: str, verdict: str = "") -> None:
        with self.page.hold_sync():
            self.page.status, self.page.verdict = plain(words) if words else "", verdict

    # What the page asks for

    def answer(self, message: dict[str, Any]) -> None:
        """Have the thread do what a message of the page asks, one after the other."""
        asked = str(message.get("do"))
        job = {
            "look": lambda: self.change(message.get("look") or {}),
            "undo": lambda: self.undo(),
            "choose": lambda: self.choose(str(message.get("id"))),
            "upload": lambda: self.upload(str(message.get("name")), message.get("data", b"")),
            "points": lambda: self.move(message.get("points")),
            "find": lambda: self.look_at(None),
            "face": lambda: self.look_at(int(message.get("number", 0))),
            "file": lambda: self._send(str(message.get("kind"))),
        }.get(asked)
        if job is not None:
            self._later(asked, job)

    def undo(self) -> None:
        """Take back the last change."""
        if self._history:
            self._show(self._history.pop(), look=True)

    def change(self, look: dict[str, Any]) -> None:
        """Take over what the sliders are at, which the page shows already."""
        made = Look.of_page(look)
        self._remember()
        self._show(replace(self.scene, look=made))

    def choose(self, key: str) -> None:
        """Show another person."""
        if key not in self.scene.people:
            raise UserError("this photograph is not here any more")
        self._remember()
        self._show(replace(self.scene, chosen=key, look=Look()), look=True)
        if self.person.result is None:
            self._fit()

    def upload(self, name: str, data: bytes) -> None:
        """Fit a photograph that the reader sent."""
        self._say(f"{name}: looking for a face …")
        person = people.from_upload(name, data)
        self._remember()
        self._show(replace(self.scene.having(person), chosen=person.key, look=Look()), look=True)
        self._fit()

    def move(self, points) -> None:
        """Fit the person who is shown with other points (68, 2) px."""
        person = people.moved(self.person, points)
        self._remember()
        self._show(self.scene.having(person))
        self._fit()

    def look_at(self, number: int | None) -> None:
        """Fit another face of a group photograph; None forgets what was moved."""
        person = self.person
        if not person.found:
            raise UserError(f"{person.name}: no face was found: drag the points onto it")
        if number is None:
            at = [np.abs(person.detection.points - each.points).sum() for each in person.found]
            number = int(np.argmin(at))
        self._remember()
        self._show(replace(self.scene.having(people.looking_at(person, number)), look=Look()), look=True)
        self._fit()

    def _send(self, kind: str) -> None:
        try:
            name, data = self.file(kind)
        except Exception as error:
            self.page.send({"said": sentence(error), "name": ""})
            return
        size = f"{max(1, round(len(data) / 1000)):,} kB"
        self.page.send({"said": f"{name}, {size}, is with your browser's downloads", "name": name}, [data])

    # The thread

    def _later(self, name: str, job: Callable[[], None]) -> None:
        self._jobs.put((name, job))

    def _work(self) -> None:
        while True:
            _, job = self._jobs.get()
            with self._sentences():
                try:
                    job()
                except _SupersededError:
                    pass
            self._jobs.task_done()

    def _sentences(self):
        return _Told(self)

    def _remember(self) -> None:
        self._history = [*self._history, self.scene][-REMEMBERED:]

    def _opened(self, file: str | Path, first: bool) -> None:
        if first:
            self._say("Reading the photograph …")
        person = people.with_points(read_photo(file))
        if first:
            self._show(replace(self.scene, people={person.key: person}, chosen=person.key))
            self._fit()
            self.directions = named_directions(self.model)
            self.page.directions = [
                {
                    "label": each.label,
                    "unit": each.unit,
                    "kind": each.kind,
                    "step": each.step.tolist(),
                    "low": each.low,
                    "high": each.high,
                }
                for each in self.directions
            ]
        else:
            self._show(self.scene.having(person))
            self._show(self.scene.having(self._fitted(person)))

    def _fit(self) -> None:
        """Guess and fit the person who is shown."""
        person = self.person
        page = self.page
        if person.placed:
            self._say(person.note, "doubtful")
            return
        self._say(person.note or f"{person.title}: fitting …")
        page.painted = False
        try:
            person = self._guessed(person)
            done = self._fitted(person, self._watch())
        finally:
            page.progress, page.stage = 0.0, ""
        if done.key in self.scene.people:
            self._show(self.scene.having(done))

    def _guessed(self, person: Person) -> Person:
        """With what the network knows of the face, which is shown; without a network the person as they are."""
        network = self.network
        if network is None or network.covariance is None or person.placed:
            return person
        guess = network.prior(person.photo, person.detection)
        alpha, beta = guess.mean[0, : network.n_shape], guess.mean[0, network.n_shape :]
        with self.page.hold_sync():
            self.page.now = self._numbers(None) | {"alpha": alpha.tolist(), "beta": beta.tolist()}
            self.page.stage = "the network's guess"
        return replace(person, guess=guess)

    def _watch(self):
        """Shows a fit on its way."""
        layout = self.fit_model.layout

        def told(progress):
            if any(name in ("points", "upload", "face") for name, _ in list(self._jobs.queue)):
                raise _SupersededError
            share = progress.iteration / max(progress.total, 1)
            self.page.progress = max(share, 0.02)
            coefficients = progress.state.coefficients[0]
            if progress.iteration % EVERY or not torch.isfinite(coefficients).all():
                return
            alpha, expression, beta = (
                coefficients[part].cpu() for part in (layout.alpha, layout.expression, layout.beta)
            )
            light = harmonics_rotated(progress.state.light.cpu(), progress.state.pose.rotation[0].T.cpu())
            with self.page.hold_sync():
                self.page.stage = "fitting"
                self.page.now = {
                    "alpha": alpha.tolist(),
                    "expression": expression.tolist(),
                    "beta": beta.tolist(),
                    "light": light.flatten().tolist(),
                }

        return told

    def _fitted(self, person: Person, on_iteration=None) -> Person:
        done = people.fitted(person, self.fit_model, on_iteration)
        return people.painted(done, self.head)

    @property
    def network(self):
        """The network that guesses, or None where there is none."""
        if not self._asked:
            self._asked = True
            try:
                from helpers.regression import load_network

                self._network = load_network(self._network_file, "cpu")
            except (ImportError, UserError):
                self._network = None
        return self._network


class _SupersededError(Exception):
    """Something newer is to be fitted."""


class _Told:
    """Whatever fails inside is told on the page in one sentence, and nothing is raised: a reader cannot mend a traceback."""

    def __init__(self, play: Playground):
        self.play = play

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback) -> bool:
        if isinstance(error, Exception):
            self.play._say(sentence(error), "error")
            return True
        return False
