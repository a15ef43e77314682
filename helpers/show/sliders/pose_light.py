"""A face with sliders for pose and light: the picture follows while a slider is dragged."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np
import torch

from helpers.camera import Camera, Pose
from helpers.rendering import render
from helpers.show.on_cpu import on_cpu
from helpers.show.sliders.live_figure import LiveFigure, Slider
from helpers.show.views import is_whole, place


class PoseLight(LiveFigure):
    """A face in a pose and a light that sliders set. `draw` names the sliders."""

    SLIDERS = {
        "yaw": Slider("yaw", -75, 75, 20, 1.5, "°"),
        "pitch": Slider("pitch", -40, 40, 0, 0.8, "°"),
        "roll": Slider("roll", -45, 45, 0, 0.9, "°"),
        "azimuth": Slider("light from", -90, 90, 40, 1.8, "°"),
        "elevation": Slider("light height", -60, 80, 25, 1.4, "°"),
        "even": Slider("even share", 0.0, 1.0, 0.25, 0.01),
    }

    def __init__(self, vertices, triangles, albedo, size: int = 256):
        """Show the face for the first time.

        Args:
            vertices: (V, 3) or (1, V, 3) mm.
            triangles: (F, 3).
            albedo: (V, 3) or (1, V, 3) sRGB, 0 to 1.
            size: px of the square picture.
        """
        vertices, self.triangles, albedo = on_cpu((vertices, triangles, albedo))
        self.vertices, self.albedo = vertices.reshape(1, -1, 3), albedo.reshape(1, -1, 3)
        self.camera = Camera.default(size, focal=1000 * size / 224, device="cpu")
        super().__init__(self.draw, size, size, alt="A face in the pose and the light that the sliders set")

    def draw(
        self,
        yaw: float = 20.0,
        pitch: float = 0.0,
        roll: float = 0.0,
        azimuth: float = 40.0,
        elevation: float = 25.0,
        even: float = 0.25,
    ) -> torch.Tensor:
        """The picture.

        Args:
            yaw: degrees, as are pitch and roll.
            pitch: of the head.
            roll: of the head.
            azimuth: where the light comes from, degrees: 0 the viewer, 90 the viewer's right.
            elevation: of the light, degrees: 90 is above.
            even: share of the light that has no direction, 0 to 1.

        Returns:
            (size, size, 3), 0 to 1.
        """
        whole = is_whole(self.vertices)
        pose = Pose(turned(yaw, pitch, roll)[None], place(whole))
        light = light_from(azimuth, elevation, even)[None]
        with torch.no_grad():
            drawn = render(
                self.vertices, self.triangles, self.albedo, pose, self.camera, light, cull_backfaces=whole
            )
        return drawn.image[0].clamp(0, 1)

    def stills(self, settings) -> np.ndarray:
        """A row of pictures, one for each dict of arguments for `draw`, without sliders: (H, W, 3) uint8."""
        return self.strip(settings, height=196)


def pose_light(vertices, triangles, albedo, size: int = 256, *, live: bool | None = None) -> PoseLight:
    """Show a face with sliders for pose and light, and return it.

    Args:
        vertices: (V, 3) mm.
        triangles: (F, 3).
        albedo: (V, 3) sRGB, 0 to 1.
        size: px of the square picture.
        live: see `LiveFigure.show`.
    """
    return PoseLight(vertices, triangles, albedo, size).show(live)


def turned(yaw: float, pitch: float, roll: float) -> torch.Tensor:
    """The rotation vector (3,) whose `Pose.yaw_pitch_roll` are these degrees."""
    # Positive pitch lifts the nose, which is a negative rotation about the x axis.
    angles = torch.tensor([[radians(-pitch), radians(yaw), radians(roll)]])
    return Pose.from_euler(angles, torch.zeros(1, 3)).rotation_vector[0]


def light_from(azimuth: float, elevation: float, even: float) -> torch.Tensor:
    """Spherical harmonics (9, 3) of an even light and a white one from a direction.

    Args:
        azimuth: degrees: 0 is from the viewer, 90 from the viewer's right.
        elevation: degrees: 90 is from above.
        even: share of the even light, 0 to 1.
    """
    a, e = radians(azimuth), radians(elevation)
    light = torch.zeros(9, 3)
    light[0] = even
    light[1:4] = (1 - even) * torch.tensor([sin(a) * cos(e), sin(e), cos(a) * cos(e)])[:, None]
    return light
