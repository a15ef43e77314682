"""A face with sliders for pose and light: the picture follows while a slider is dragged."""

from __future__ import annotations

import io
import time
from math import cos, radians, sin

import numpy as np
import torch

from helpers.camera import Camera, Pose
from helpers.rendering import render
from helpers.show.figures import as_bytes, tile
from helpers.show.mesh import display_live
from helpers.show.views import DISTANCE, DROP

# name on the slider: smallest, largest, start
SLIDERS = {
    "yaw°": (-75, 75, 20),
    "pitch°": (-40, 40, 0),
    "roll°": (-45, 45, 0),
    "light from°": (-90, 90, 40),
    "light height°": (-60, 80, 25),
    "even share": (0.0, 1.0, 0.45),
}


class PoseLight:
    """A face in a pose and a light that sliders set.

    vertices: (V, 3) mm.  triangles: (F, 3).  albedo: (V, 3) sRGB.  size: px of the square picture.
    `sliders` holds the widgets by name, `image` the picture, `box` both together, ready for `display`.
    """

    def __init__(self, vertices, triangles, albedo, size: int = 256):
        import ipywidgets

        self.vertices, self.albedo = vertices.reshape(1, -1, 3), albedo.reshape(1, -1, 3)
        self.triangles, self.size = triangles, size
        self.camera = Camera.default(size, focal=1000 * size / 224)
        self.sliders = {
            name: ipywidgets.FloatSlider(value, min=low, max=high, step=(high - low) / 100, description=name)
            for name, (low, high, value) in SLIDERS.items()
        }
        self.image = ipywidgets.Image(format="png", width=size, height=size)
        self.box = ipywidgets.HBox([self.image, ipywidgets.VBox(list(self.sliders.values()))])
        for slider in self.sliders.values():
            slider.observe(self._update, "value")
        self._update()

    def draw(self, yaw=20.0, pitch=0.0, roll=0.0, azimuth=40.0, elevation=25.0, even=0.45) -> torch.Tensor:
        """The picture (size, size, 3); angles in degrees, `even` the share of light that has no direction."""
        pose = Pose(turned(yaw, pitch, roll)[None], torch.tensor([[0.0, DROP, DISTANCE]]))
        light = light_from(azimuth, elevation, even)[None]
        with torch.no_grad():
            drawn = render(self.vertices, self.triangles, self.albedo, pose, self.camera, light)
        return drawn.image[0].clamp(0, 1)

    def _update(self, change=None) -> None:
        self.image.value = quick_png(self.draw(*(slider.value for slider in self.sliders.values())))

    def updates_per_second(self, updates: int = 30) -> float:
        """How many pictures a second follow a slider, measured by moving one to and fro."""
        slider = self.sliders["yaw°"]
        start, low, high = slider.value, slider.min, slider.max
        begun = time.perf_counter()
        for k in range(updates):
            slider.value = low + (high - low) * (k + 1) / (updates + 1)
        seconds = time.perf_counter() - begun
        slider.value = start
        return updates / seconds

    def stills(self, settings) -> np.ndarray:
        """A row of pictures, one for each dict of arguments for `draw`, without sliders: (H, W, 3) uint8."""
        titles = [", ".join(_told(name, value) for name, value in each.items()) for each in settings]
        return tile([self.draw(**each) for each in settings], titles, height=196)


def pose_light(vertices, triangles, albedo, size: int = 256, *, live: bool | None = None) -> PoseLight:
    """Show a face (V, 3) with sliders for pose and light, and return it.

    live: None decides by itself: not while notebooks are executed to be stored, where a view would open blank.
    """
    made = PoseLight(vertices, triangles, albedo, size)
    display_live(lambda: made.box, live)
    return made


def _told(name: str, value: float) -> str:
    """A setting in words: angles in degrees, the share of even light as it is."""
    return f"{name} {value:g}{'' if name == 'even' else '°'}".replace("-", "−")


def turned(yaw: float, pitch: float, roll: float) -> torch.Tensor:
    """The rotation vector (3,) whose `Pose.yaw_pitch_roll` are these degrees."""
    # Positive pitch lifts the nose, which is a negative rotation about the x axis.
    angles = torch.tensor([[radians(-pitch), radians(yaw), radians(roll)]])
    return Pose.from_euler(angles, torch.zeros(1, 3)).rotation_vector[0]


def light_from(azimuth: float, elevation: float, even: float) -> torch.Tensor:
    """Nine numbers a channel (9, 3): an even light, and a white one from a direction in degrees.

    azimuth: 0 from the viewer, 90 from the viewer's right.  elevation: 90 from above.
    """
    a, e = radians(azimuth), radians(elevation)
    light = torch.zeros(9, 3)
    light[0] = even
    light[1:4] = (1 - even) * torch.tensor([sin(a) * cos(e), sin(e), cos(a) * cos(e)])[:, None]
    return light


def quick_png(image) -> bytes:
    """An image (H, W, 3) as PNG, packed little: what a slider needs is a quick one, not a small one."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(as_bytes(image)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
