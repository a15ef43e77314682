"""The page of the playground: one widget, in JupyterLab and in Voilà alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from helpers.landmarks import N_LANDMARKS
from helpers.show.playground.download import KINDS
from helpers.show.playground.person import LARGEST_FILE
from helpers.show.viewer import VIEWER, VIEWER_STYLE

HERE = Path(__file__).parent
# Points joined by lines: jaw, brows, bridge and wings of the nose, eyes (closed), lips (closed).
CHAINS = (
    (0, 17, False),
    (17, 22, False),
    (22, 27, False),
    (27, 31, False),
    (31, 36, False),
    (36, 42, True),
    (42, 48, True),
    (48, 60, True),
    (60, 68, True),
)
# ipywidgets' own upload sends a file in one message, and beyond Jupyter's limit of 10 MiB a message the connection to the
# kernel breaks without a word.
PART = 1_000_000  # bytes


class Page(anywidget.AnyWidget):
    """What the reader sees. Python sets the attributes; the page answers with messages, {"do": …}.

    Attributes:
        mesh: of the face model, with its basis: sent once.
        directions: the named sliders.
        kinds: of files, key to words.
        people: photographs with their fitted numbers.
        paints: key of a person to the texture of the head, as JPEG.
        chosen: key of the person that is shown.
        photo: of that person, as JPEG.
        photo_size: width and height, px, in which points and boxes are.
        points: 68 pairs, px of the photograph.
        found: whether the detector found a face.
        faces: boxes of all faces, x0, y0, x1, y1.
        covered: "png" and "box" of what lies before the face, or empty.
        now: "alpha", "expression", "beta" and "light" of the fit, also on its way.
        painted: whether the paint is that of `now`.
        look: what the sliders are to show, with a number that makes it new.
        status: one sentence.
        verdict: "good", "doubtful", "error" or "".
        stage: what is seen of the face at this moment.
        progress: of the fit, 0 to 1.
        can_undo: whether there is something to take back.
        chains: (first, one past the last, closed) of the points that lines join.
        part: bytes of each message of an upload.
        largest: bytes; larger files are refused in the browser.
    """

    _esm = VIEWER + (HERE / "app.js").read_text("utf-8")
    _css = VIEWER_STYLE + (HERE / "app.css").read_text("utf-8")
    mesh = traitlets.Dict().tag(sync=True)
    directions = traitlets.List().tag(sync=True)
    kinds = traitlets.Dict(KINDS).tag(sync=True)
    people = traitlets.List().tag(sync=True)
    paints = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Unicode("").tag(sync=True)
    photo = traitlets.Bytes(b"").tag(sync=True)
    photo_size = traitlets.List([4, 3]).tag(sync=True)
    points = traitlets.List([[0.0, 0.0]] * N_LANDMARKS).tag(sync=True)
    found = traitlets.Bool(False).tag(sync=True)
    faces = traitlets.List().tag(sync=True)
    covered = traitlets.Dict().tag(sync=True)
    now = traitlets.Dict().tag(sync=True)
    painted = traitlets.Bool(False).tag(sync=True)
    look = traitlets.Dict().tag(sync=True)
    status = traitlets.Unicode("").tag(sync=True)
    verdict = traitlets.Unicode("").tag(sync=True)
    stage = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Float(0.0).tag(sync=True)
    can_undo = traitlets.Bool(False).tag(sync=True)
    chains = traitlets.List([list(chain) for chain in CHAINS]).tag(sync=True)
    part = traitlets.Int(PART).tag(sync=True)
    largest = traitlets.Int(LARGEST_FILE).tag(sync=True)

    def __init__(self, answer: Callable[[dict[str, Any]], None], **options):
        """Make the page.

        Args:
            answer: is called with each message of the page. A file comes in one, {"do": "upload", "name", "data"}.
            options: of the widget.
        """
        super().__init__(**options)
        self._answer, self._parts = answer, []
        self.on_msg(self._heard)

    def _heard(self, _, content: dict, buffers) -> None:
        if content.get("do") != "upload":
            self._answer(content)
            return
        number, parts = content.get("number"), content.get("parts")
        if number == 0:  # a new file: what came of another is thrown away
            self._parts = []
        if number != len(self._parts) or not buffers:
            self._parts = []
            return
        self._parts.append(bytes(buffers[0]))
        if len(self._parts) == parts:
            data, self._parts = b"".join(self._parts), []
            self._answer({"do": "upload", "name": str(content.get("name", "upload")), "data": data})
