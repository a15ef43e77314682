"""A face whose pose, and whose landmarks' noise and outliers, sliders set; beside it the pose that is estimated."""

from __future__ import annotations

import time

import numpy as np
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.landmarks import SimulatedDetector
from helpers.lighting import STUDIO_LIGHT
from helpers.pose import estimate_pose
from helpers.rendering import render
from helpers.show.figures import as_bytes, tile, write
from helpers.show.mesh import display_live
from helpers.show.pose import pose_error
from helpers.show.pose_light import quick_png
from helpers.show.style import DETECTED, MODELLED
from helpers.show.views import CLAY, DISTANCE, DROP

# name on the slider: smallest, largest, step, start
SLIDERS = {
    "yaw°": (-60, 60, 2, 25),
    "pitch°": (-30, 30, 2, 0),
    "noise px": (0.0, 6.0, 0.25, 1.0),
    "outliers %": (0, 40, 2, 0),
}
ROBUST_PX = 3.0
NAMES = dict(zip(SLIDERS, ("yaw", "pitch", "noise", "outliers"), strict=True))


class PoseGame:
    """Two pictures side by side: left the true face with its simulated landmarks, right the head as estimated from
    them, in clay, with rings where its landmarks fall.

    model: its mean face is the one that is shown and the one that is fitted.  size: px of each square.
    `sliders` holds the widgets by name, `robust` a switch, `image` the picture, `box` all together for `display`.
    """

    def __init__(self, model, size: int = 256):
        import ipywidgets

        self.model, self.size = model, size
        self.points = model.mean_shape[model.landmarks][None]
        self.camera = Camera.default(size, focal=1000 * size / 224)
        self.sliders = {
            name: ipywidgets.FloatSlider(start, min=low, max=high, step=step, description=name)
            for name, (low, high, step, start) in SLIDERS.items()
        }
        self.robust = ipywidgets.Checkbox(True, description=f"robust weights, {ROBUST_PX:g} px")
        self.image = ipywidgets.Image(format="png", width=2 * size, height=size)
        self.box = ipywidgets.HBox([self.image, ipywidgets.VBox([*self.sliders.values(), self.robust])])
        for control in (*self.sliders.values(), self.robust):
            control.observe(self._update, "value")
        self._update()

    def draw(self, yaw=25.0, pitch=0.0, noise=1.0, outliers=0.0, robust=True) -> np.ndarray:
        """The picture (size, 2 · size, 3) uint8; angles in degrees, noise in px, outliers in % of the points."""
        angles = torch.deg2rad(torch.tensor([[-float(pitch), float(yaw), 0.0]]))
        truth = Pose.from_euler(angles, torch.tensor([[0.0, DROP, DISTANCE]]))
        detector = SimulatedDetector.of_face(
            self.points, truth, self.camera, noise_px=noise, outliers=outliers / 100
        )
        found = torch.from_numpy(detector.detect()[0].points)[None]
        estimate = estimate_pose(found, self.points, self.camera, robust_px=ROBUST_PX if robust else None)
        turn, shift = pose_error(estimate.pose, truth)
        heads = self._heads(
            Pose(*(torch.cat(two) for two in zip(_parts(truth), _parts(estimate.pose), strict=True)))
        )
        seen = project(model_to_camera(self.points, estimate.pose), self.camera)[0, :, :2]
        return self._page(heads, found[0], seen, f"off by {float(turn):.1f}° and {float(shift):.0f} mm")

    def _heads(self, poses: Pose) -> torch.Tensor:
        """(2, S, S, 3): the face in its colours in the first pose, in clay in the second."""
        model = self.model
        albedo = torch.stack([model.mean_texture, torch.tensor(CLAY).expand_as(model.mean_texture)])
        camera = Camera(
            self.camera.focal.expand(2), self.camera.principal_point.expand(2, -1), self.camera.size
        )
        with torch.no_grad():
            return render(
                model.mean_shape[None], model.triangles, albedo, poses, camera, STUDIO_LIGHT[None]
            ).image.clamp(0, 1)

    def _page(self, heads, found, seen, text: str) -> np.ndarray:
        from PIL import Image, ImageDraw

        page = Image.fromarray(as_bytes(torch.cat([heads[0], heads[1]], 1)))
        pen = ImageDraw.Draw(page)
        for (x, y), (u, v) in zip(found.tolist(), seen.tolist(), strict=True):
            for left in (0, self.size):
                if not left <= x + left < left + self.size:
                    continue  # an outlier may land on the neighbour's picture
                pen.ellipse([x + left - 2, y - 2, x + left + 2, y + 2], fill=DETECTED, outline="#10302A")
            pen.ellipse([u + self.size - 3, v - 3, u + self.size + 3, v + 3], outline=MODELLED)
        write(page, (self.size * 1.5, self.size - 12), text)
        return np.asarray(page)

    def _update(self, change=None) -> None:
        values = {NAMES[name]: slider.value for name, slider in self.sliders.items()}
        self.image.value = quick_png(self.draw(**values, robust=self.robust.value))

    def updates_per_second(self, updates: int = 30) -> float:
        """How many pictures a second follow a slider, measured by moving one to and fro."""
        slider = self.sliders["yaw°"]
        start = slider.value
        begun = time.perf_counter()
        for k in range(updates):
            slider.value = slider.min + (slider.max - slider.min) * ((7 * k) % updates) / updates
        seconds = time.perf_counter() - begun
        slider.value = start
        return updates / seconds

    def stills(self, settings, columns: int = 2, height: int = 210) -> np.ndarray:
        """Pictures in rows of `columns`, one for each dict of arguments for `draw`, without sliders: (H, W, 3) uint8."""
        panels = [self.draw(**each) for each in settings]
        titles = [", ".join(_said(name, value) for name, value in each.items()) for each in settings]
        rows = [slice(k, k + columns) for k in range(0, len(panels), columns)]
        pages = [tile(panels[at], titles[at], height=height) for at in rows]
        width = max(page.shape[1] for page in pages)  # the last row may hold fewer
        paper = [((0, 0), (0, width - page.shape[1]), (0, 0)) for page in pages]
        return np.concatenate(
            [np.pad(page, pad, constant_values=255) for page, pad in zip(pages, paper, strict=True)]
        )


def pose_game(model, size: int = 256, *, live: bool | None = None) -> PoseGame:
    """Show the two pictures with their sliders, and return the game.

    live: None decides by itself: not while notebooks are executed to be stored, where a view would open blank.
    """
    made = PoseGame(model, size)
    display_live(lambda: made.box, live)
    return made


def _parts(pose: Pose) -> tuple[torch.Tensor, torch.Tensor]:
    return pose.rotation_vector, pose.translation


def _said(name: str, value) -> str:
    """A setting in words, for the title of a still."""
    if name == "robust":
        return "robust" if value else "plain least squares"
    unit = {"yaw": "°", "pitch": "°", "noise": " px", "outliers": " %"}[name]
    return f"{name} {value:g}{unit}"
