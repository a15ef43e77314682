"""The 68 points over their photograph, to be dragged where they belong."""

from __future__ import annotations

import anywidget
import numpy as np
import traitlets

from helpers.landmarks import N_LANDMARKS
from helpers.show.playground.drawing import quick_jpeg
from helpers.show.playground.person import Person
from helpers.show.style import DETECTED

SIDE = 480  # px of the view's longer side
ROOM = 0.6  # around the box of the points, in parts of its longer side
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

SCRIPT = """
const SVG = "http://www.w3.org/2000/svg";
function make(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
function render({ model, el }) {
  el.classList.add("face-points");
  const svg = make("svg", { tabindex: 0, role: "application", "aria-label": "68 points on the photograph: drag one to move it, " +
    "drag beside them to move all; arrow keys move the chosen point, with Shift all of them" });
  const picture = make("image", { x: 0, y: 0 });
  const lines = model.get("chains").map(() => make("path", { class: "face-line" }));
  const dots = Array.from({ length: model.get("points").length }, (_, k) => {
    const dot = make("circle", { "data-point": k, class: "face-dot" });
    const title = make("title", {});
    title.textContent = `point ${k}`;
    dot.append(title);
    return dot;
  });
  svg.append(picture, ...lines, ...dots);
  el.append(svg);
  let points = [], chosen = 0, grip = null, url = null;

  function draw() {
    model.get("chains").forEach(([first, last, closed], k) => {
      const run = points.slice(first, last).map(([x, y]) => `${x} ${y}`);
      lines[k].setAttribute("d", "M" + run.join("L") + (closed ? "Z" : ""));
    });
    dots.forEach((dot, k) => {
      dot.setAttribute("cx", points[k][0]);
      dot.setAttribute("cy", points[k][1]);
      dot.setAttribute("r", k === chosen ? 5 : 3.5);
      dot.classList.toggle("face-chosen", k === chosen);
    });
  }
  function load() { points = model.get("points").map((p) => [...p]); draw(); }
  function show() {
    const [width, height] = model.get("size");
    const half = 0.5;  // pixel centres lie at integers
    svg.setAttribute("viewBox", `${-half} ${-half} ${width} ${height}`);
    picture.setAttribute("x", -half);
    picture.setAttribute("y", -half);
    picture.setAttribute("width", width);
    picture.setAttribute("height", height);
    svg.style.width = `${width}px`;
    if (url) URL.revokeObjectURL(url);
    url = URL.createObjectURL(new Blob([model.get("picture")], { type: "image/jpeg" }));
    picture.setAttribute("href", url);
    load();
  }
  function save() { model.set("points", points.map((p) => [...p])); model.save_changes(); }
  function place(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [at.x, at.y];
  }
  function shift(which, dx, dy) {
    for (const k of which) points[k] = [points[k][0] + dx, points[k][1] + dy];
    draw();
  }
  const all = () => points.map((_, k) => k);

  svg.onpointerdown = (event) => {
    const dot = event.target.closest("circle");
    if (dot) chosen = Number(dot.dataset.point);
    grip = { which: dot ? [chosen] : all(), at: place(event), moved: false };
    svg.setPointerCapture(event.pointerId);
    svg.focus({ preventScroll: true });
    event.preventDefault();
    draw();
  };
  svg.onpointermove = (event) => {
    if (!grip) return;
    const [x, y] = place(event);
    shift(grip.which, x - grip.at[0], y - grip.at[1]);
    grip.at = [x, y];
    grip.moved = true;
  };
  svg.onpointerup = svg.onpointercancel = () => {
    if (grip && grip.moved) save();
    grip = null;
  };
  svg.onkeydown = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    shift(event.shiftKey ? all() : [chosen], ...step);
    save();
  };
  model.on("change:points", load);
  model.on("change:picture", show);
  show();
  return () => url && URL.revokeObjectURL(url);
}
export default { render };
"""
LOOK = f"""
.face-points svg {{ display: block; max-width: 100%; height: auto; touch-action: none; cursor: move; border-radius: 4px; }}
.face-points svg:focus-visible {{ outline: 2px solid var(--jp-brand-color1, #0072B2); }}
.face-line {{ fill: none; stroke: {DETECTED}; stroke-opacity: .45; pointer-events: none; }}
.face-dot {{ fill: {DETECTED}; stroke: #10302A; cursor: grab; }}
.face-dot.face-chosen {{ fill: #FFFFFF; }}
"""


class LandmarkEditor(anywidget.AnyWidget):
    """Points over their photograph.

    `show` sets all from a person; `photo_points` gives the points back in pixels of the photograph.

    Attributes:
        points: 68 pairs, px of the view.
        picture: the view as JPEG.
        size: its width and height, px.
        chains: (first, one past the last, closed) of the points that lines join.
    """

    _esm, _css = SCRIPT, LOOK
    picture = traitlets.Bytes(b"").tag(sync=True)
    size = traitlets.List([1, 1]).tag(sync=True)
    points = traitlets.List([[0.0, 0.0]] * N_LANDMARKS).tag(sync=True)
    chains = traitlets.List([list(chain) for chain in CHAINS]).tag(sync=True)

    def show(self, person: Person) -> None:
        """Show the part of the photograph around the points, with the points on it."""
        self._corner, self._scale = window(person)
        picture = view_of(person.photo.image, self._corner, self._scale)
        # The picture comes last: the browser reads all three when it changes.
        with self.hold_sync():
            self.size = [picture.shape[1], picture.shape[0]]
            self.points = self._to_view(person.detection.points)
            self.picture = quick_jpeg(picture)

    @property
    def photo_points(self) -> np.ndarray:
        """(68, 2) float32, px of the photograph."""
        return ((np.asarray(self.points) + 0.5) / self._scale + self._corner - 0.5).astype(np.float32)

    def change(self, scale: float = 1.0, degrees: float = 0.0) -> None:
        """Enlarge and turn all points about their middle.

        Args:
            scale: factor.
            degrees: clockwise.
        """
        points = np.asarray(self.points)
        a = np.radians(degrees)
        turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
        middle = points.mean(0)
        self.points = ((points - middle) @ turn * scale + middle).tolist()

    def _to_view(self, points: np.ndarray) -> list:
        return ((np.asarray(points, float) + 0.5 - self._corner) * self._scale - 0.5).tolist()


def window(person: Person) -> tuple[np.ndarray, float]:
    """What is shown of the photograph: its upper left edges (2,), px, and view px per photograph px."""
    height, width = person.photo.size
    points = person.detection.points
    low, high = np.array([0.0, 0.0]), np.array([float(width), float(height)])
    if person.detection.backend != "placed by hand":  # a face was found, here: look closer
        room = ROOM * (points.max(0) - points.min(0)).max()
        low = np.clip(np.floor(points.min(0) - room), 0, None)
        high = np.clip(np.ceil(points.max(0) + room), None, high)
    if (high - low).min() < 16:  # points far beside the photograph
        low, high = np.array([0.0, 0.0]), np.array([float(width), float(height)])
    return low, SIDE / float((high - low).max())


def view_of(image: np.ndarray, corner: np.ndarray, scale: float) -> np.ndarray:
    """What is shown of the photograph (H, W, 3) in 0 to 1, in `window`'s corner and scale: uint8."""
    from PIL import Image

    part = image[int(corner[1]) :, int(corner[0]) :]
    length = int(round(SIDE / scale))
    part = Image.fromarray((part[:length, :length] * 255 + 0.5).astype(np.uint8))
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    return np.asarray(part.resize(size, Image.Resampling.BICUBIC))
