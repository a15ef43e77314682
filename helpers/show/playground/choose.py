"""The photograph, its points, and the fit."""

from __future__ import annotations

import numpy as np
import torch

from helpers.photo import default_photos
from helpers.show.figures import draw_landmarks, tile
from helpers.show.fitting import state_overlay
from helpers.show.playground import person as people
from helpers.show.playground.drawing import quick_jpeg
from helpers.show.playground.landmark_editor import LandmarkEditor, view_of, window
from helpers.show.playground.live_picture import LivePicture
from helpers.show.playground.panel import Panel, Status, below, side_by_side
from helpers.show.playground.upload import PhotoUpload

SLOTS = {"A": "first photograph", "B": "second photograph"}
NAMES = {"astronaut": "Eileen Collins (NASA)", "grace_hopper": "Grace Hopper (US Navy)"}
EVERY = 3  # iterations between two pictures of a fit on its way


class Choose(Panel):
    """Widgets by what they do: `slot`, `photograph`, `upload`, `editor`, `buttons`, `fit`, `progress`, `image`, `status`."""

    def __init__(self, play):
        import ipywidgets as w

        self.play, self._busy = play, False
        self.slot = w.ToggleButtons(
            options=[(text, key) for key, text in SLOTS.items()], style={"button_width": "150px"}
        )
        self.photograph = w.Dropdown(
            options=[("choose …", "")] + [(NAMES[name], name) for name in default_photos()],
            layout=w.Layout(width="230px"),
        )
        self.upload = PhotoUpload(self._uploaded)
        self.editor = LandmarkEditor()
        self.buttons = {
            name: w.Button(description=name, tooltip=about, layout=w.Layout(width="auto"))
            for name, about in (
                ("larger", "enlarge all points"),
                ("smaller", "shrink all points"),
                ("↺", "turn all points anticlockwise"),
                ("↻", "turn all points clockwise"),
                ("find again", "forget what was moved, ask the detector"),
            )
        }
        self.fit = w.Button(
            description="Fit", button_style="primary", tooltip="fit the face model to these points and pixels"
        )
        self.progress = w.FloatProgress(value=0.0, max=1.0, layout=w.Layout(width="160px"))
        self.image = LivePicture(
            size=play.size, about="the photograph with the fitted face laid over its skin"
        )
        self.status = Status()
        self.box = below(
            side_by_side(self.slot, self.photograph, self.upload),
            side_by_side(
                below(self.editor, w.HBox(list(self.buttons.values()))),
                below(
                    self.image,
                    w.HBox([self.fit, self.progress]),
                    self.status.widget,
                    width=f"{max(play.size, 280)}px",
                ),
            ),
        )
        self._connect()
        self.refresh()

    def _connect(self):
        self.slot.observe(lambda _: self.refresh(), "value")
        self.photograph.observe(self._chosen, "value")
        self.editor.observe(self._dragged, "points")
        moves = {"larger": (1.05, 0), "smaller": (1 / 1.05, 0), "↺": (1.0, -3), "↻": (1.0, 3)}
        for name, (scale, degrees) in moves.items():
            self.buttons[name].on_click(lambda _, s=scale, d=degrees: self.editor.change(s, d))
        self.buttons["find again"].on_click(lambda _: self._find_again())
        self.fit.on_click(lambda _: self.run())

    @property
    def person(self) -> people.Person:
        """Who is in the chosen slot."""
        return self.play.people[self.slot.value]

    def run(self) -> None:
        """Fit the photograph of this slot, telling how far it is."""
        self.fit.disabled, self.progress.value = True, 0.0
        slot, person = self.slot.value, self.person
        with self.status.sentences():
            self.status.say(f"{person.name}: fitting …")
            self.play.put(slot, people.fitted(person, self.play.fit_model, self._watch(person)))
            self.progress.value = 1.0
            self.refresh()
        self.fit.disabled = False

    def _watch(self, person):
        from helpers.camera import Camera

        size = people.FIT_SIZE
        camera = Camera.default(size, device="cpu")
        photograph = people.crop_face(person.photo.image, person.detection.points, size, device="cpu").image[
            0
        ]

        def told(progress):
            self.progress.value = progress.iteration / max(progress.total, 1)
            if progress.iteration % EVERY == 0:
                state = progress.state
                if torch.isfinite(state.coefficients).all():
                    self.image.value = quick_jpeg(
                        state_overlay(photograph, self.play.fit_model, state, camera)
                    )

        return told

    def refresh(self) -> None:
        """Show what the slot holds."""
        person = self.person
        self._busy = True
        self.editor.show(person)
        self.photograph.value = person.name if person.name in NAMES else ""
        self._busy = False
        if person.result is None:
            self.image.value = quick_jpeg(self.play.sketch.photograph(person))
            self.progress.value = 0.0
            self.status.say(
                person.note or f"{person.name}: not fitted yet: press Fit.", warning=bool(person.note)
            )
        else:
            self.image.value = quick_jpeg(self.play.sketch.over(person.face, person))
            self.status.say(
                people.verdict(person) + (f" {person.note}" if person.note else ""),
                not person.fit_result.ok[0],
            )

    def _replace(self, make) -> None:
        """Put the person that `make()` gives into this slot; if it cannot be made, say why and keep the old one."""
        with self.status.sentences():
            self.play.put(self.slot.value, make())
            self.refresh()

    def _chosen(self, change) -> None:
        if change["new"] and not self._busy:
            self._replace(lambda: people.from_file(default_photos()[change["new"]]))

    def _uploaded(self, name: str, data: bytes) -> None:
        self._replace(lambda: people.from_upload(name, data))

    def _find_again(self) -> None:
        self._replace(lambda: people.with_points(self.person.photo))

    def _dragged(self, _) -> None:
        if self._busy:
            return
        with self.status.sentences():
            person = people.moved(self.person, self.editor.photo_points)
            self.play.put(self.slot.value, person)
            self.image.value = quick_jpeg(self.play.sketch.photograph(person))
            self.progress.value = 0.0
            self.status.say(f"{person.name}: points moved: press Fit.")

    def still(self) -> np.ndarray:
        """For both photographs: its points, the fit laid over it, the face alone."""
        panels, titles = [], []
        for person in self.play.people.values():
            corner, scale = window(person)
            points = (person.detection.points + 0.5 - corner) * scale - 0.5
            panels.append(draw_landmarks(view_of(person.photo.image, corner, scale), points))
            titles.append(NAMES.get(person.name, person.name).split(" (")[0])
            if person.result is not None:
                face = person.face
                panels += [self.play.sketch.over(face, person), self.play.sketch.alone(face, 30.0)]
                titles += ["fitted", "by itself"]
        return tile(panels, titles, height=150)
