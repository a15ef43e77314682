"""The face to turn with the mouse, following the sliders."""

from __future__ import annotations

import asyncio

import numpy as np
import torch

from helpers.show.mesh import k3d_plot, packed_colours, stills
from helpers.show.playground.download import painted_as
from helpers.show.playground.face import Face
from helpers.show.playground.panel import Panel, below

# A mesh takes longer to send than a picture: it follows when the slider has come to rest, after this many seconds.
REST = 0.25
PAINT_SIZE = 512  # texels: the mesh to turn has a vertex every two millimetres


class Live(Panel):
    """`plot` is the k3d view, `follow` whether it follows the sliders."""

    def __init__(self, play, change):
        import ipywidgets as w

        self.play, self.change, self._waiting = play, change, None
        sketch = play.sketch
        self._painted: tuple = (None, None)
        face = change.face if change.ready else Face.mean(sketch.model)
        self.plot = k3d_plot(sketch.vertices(face)[0], sketch.head.triangles, self._colours(face)[0])
        self.follow = w.Checkbox(True, description="follow the sliders", indent=False)
        self.box = below(self.follow, self.plot)
        # The view is a little taller than it says, which would bring a scroll bar.
        self.box.layout.min_height, self.box.layout.overflow = "470px", "hidden"
        self.follow.observe(lambda _: self._soon(change.face) if change.ready else None, "value")
        change.watch(self._soon)

    def _soon(self, face: Face) -> None:
        if not self.follow.value:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nobody is waiting for a browser
            self.update(face)
            return
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = loop.call_later(REST, self.update, face)

    def update(self, face: Face) -> None:
        """Give the view another face."""
        sketch, shown = self.play.sketch, self.plot.objects[0]
        shown.vertices = sketch.vertices(face)[0].numpy()
        shown.colors = packed_colours(self._colours(face)[0])

    def still(self) -> np.ndarray:
        """The face from several sides."""
        sketch, face = self.play.sketch, self.change.face
        colours, lit = self._colours(face)
        return stills(sketch.vertices(face)[0], sketch.head.triangles, colours, size=150, lit=lit)

    def _colours(self, face: Face) -> tuple[torch.Tensor, bool]:
        """(V + R, 3) the photograph's, unless the texture was changed; and whether they still need light."""
        person, head = self.play.people[self.change.slot.value], self.play.sketch.head
        if self._painted[0] is not person:
            ready = person.result is not None
            self._painted = person, painted_as(person.face, person, head, PAINT_SIZE) if ready else None
        painted = self._painted[1]
        if painted is None or not torch.equal(face.beta, person.fit_result.beta):
            return self.play.sketch.colours(face)[0], True
        return painted.colours[0], False
