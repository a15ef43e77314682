"""A person whom a network looks at: turn the head, move the light, spoil the picture, and see whom it takes her for."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from helpers.camera import DEFAULT_FOCAL, Camera, Pose, model_to_camera, project
from helpers.crop import AUTHORS_REACH
from helpers.evaluation import shape_rmse
from helpers.lighting import DEFAULT_LIGHT
from helpers.rendering import render
from helpers.show.faces import heads
from helpers.show.figures import tile
from helpers.show.mesh import display_live
from helpers.show.pose_light import quick_png

TURN, LAMP, GREY = "turn", "light from the side", "grey"


class GlanceSlider:
    """One known person of the model, seen at any turn and light, beside the shape that the network says.

    alpha, beta: (1, K) the person.  `sliders` holds the three settings by name, `image` the picture: what the network sees, what
    it says, and the truth, both as neutral heads. `box` is ready for `display`.
    """

    def __init__(self, network, model, alpha, beta, size: int = 200):
        import ipywidgets

        self.network, self.model, self.size = network, model, size
        self.truth, self.colours = model.shape(alpha), model.texture(beta)
        self.true_head = heads(self.truth, model.triangles, yaw=20, size=size)[0]
        ranges = {TURN: (-70.0, 70.0, 0.0), LAMP: (-0.6, 0.6, 0.0), GREY: (0.0, 1.0, 0.0)}
        self.sliders = {
            name: ipywidgets.FloatSlider(
                at,
                min=low,
                max=high,
                step=(high - low) / 40,
                description=name,
                style={"description_width": "initial"},
            )
            for name, (low, high, at) in ranges.items()
        }
        self.image = ipywidgets.Image(format="png", width=3 * size, height=size)
        self.box = ipywidgets.VBox([self.image, *self.sliders.values()])
        for slider in self.sliders.values():
            slider.observe(self._update, "value")
        self._update()

    def crop(self, turn: float = 0.0, lamp: float = 0.0, grey: float = 0.0) -> torch.Tensor:
        """(1, S, S, 3): the person as the authors' crop shows her. turn: degrees.  lamp: brighter from the viewer's right."""
        S = self.network.size
        rotation = torch.tensor([[0.0, math.radians(turn), 0.0]])
        pose = Pose(rotation, torch.tensor([[0.0, 0.0, 1200.0]]))
        camera = Camera.default(S, focal=DEFAULT_FOCAL * S / 224)
        points = project(model_to_camera(self.truth[:, self.model.landmarks], pose), camera)[0, :, :2]
        low, high = points.amin(0), points.amax(0)
        left, up, right, _ = AUTHORS_REACH["landmarks"]
        half = (high - low).max() / 2
        scale = S / (half * (left + right))
        corner = (low + high) / 2 - half * torch.tensor([left, up]) + 0.5 / scale
        camera = Camera(camera.focal * scale, (camera.principal_point - corner) * scale, camera.size)
        light = DEFAULT_LIGHT[None].clone()
        light[:, 1] += lamp
        with torch.no_grad():
            image = render(
                self.truth, self.model.triangles, self.colours, pose, camera, light, background=0.5
            ).image.clamp(0, 1)
        return image + grey * (image.mean(-1, keepdim=True) - image)

    def look(self, **settings: float) -> tuple[torch.Tensor, torch.Tensor, float]:
        """The crop (S, S, 3), the shape (1, V, 3) mm that the network says, and its error in mm after alignment."""
        image = self.crop(**settings)
        shape = self.model.shape(self.network.predict(image).alpha)
        return image[0], shape, float(shape_rmse(shape, self.truth, self.model.masks["skin"][None]))

    def draw(self, **settings: float) -> np.ndarray:
        """Crop, guess and truth side by side: (size, 3 · size, 3) uint8."""
        image, shape, error = self.look(**settings)
        said = heads(shape, self.model.triangles, yaw=20, size=self.size)[0]
        return tile(
            [image, said, self.true_head],
            ["seen", f"said: {error:.1f} mm off", "truth"],
            height=self.size,
            gap=0,
        )

    def _update(self, change=None) -> None:
        turn, lamp, grey = (self.sliders[name].value for name in (TURN, LAMP, GREY))
        self.image.value = quick_png(self.draw(turn=turn, lamp=lamp, grey=grey))

    def updates_per_second(self, updates: int = 10) -> float:
        """How many pictures a second follow the slider, measured by moving it."""
        slider = self.sliders[TURN]
        start, begun = slider.value, time.perf_counter()
        for k in range(updates):
            slider.value = -40.0 + 7.0 * (k + 1)
        seconds = time.perf_counter() - begun
        slider.value = start
        return updates / seconds

    def stills(self, turns=(-60.0, -30.0, 0.0, 30.0, 60.0)) -> np.ndarray:
        """What is seen and what is said at several turns, and the truth: (H, W, 3) uint8."""
        looks = [self.look(turn=turn) for turn in turns]
        blank = torch.ones(150, 150, 3)
        seen = tile(
            [*(image for image, _, _ in looks), blank], [*(f"{turn:.0f}°" for turn in turns), ""], height=150
        )
        said = [heads(shape, self.model.triangles, yaw=20, size=150)[0] for _, shape, _ in looks]
        below = tile(
            [*said, self.true_head], [*(f"{error:.1f} mm off" for _, _, error in looks), "truth"], height=150
        )
        return np.concatenate([seen, below])


def glance_slider(network, model, alpha, beta, size: int = 200, *, live: bool | None = None) -> GlanceSlider:
    """Show a person and what the network takes her for, with sliders, and return the whole.

    live: None decides by itself: not while notebooks are executed to be stored, where a view would open blank.
    """
    made = GlanceSlider(network, model, alpha, beta, size)
    display_live(lambda: made.box, live)
    return made
