"""A face shown by itself: where the camera and the lamps stand, and its picture."""

from __future__ import annotations

from math import radians

import torch

from helpers.camera import Camera, Pose
from helpers.lighting import STUDIO_LIGHT
from helpers.rendering import render
from helpers.show.on_cpu import on_cpu

CLAY = (0.72, 0.72, 0.74)
# Head and neck fill most of the square at this distance, in mm, and this much below the camera's axis.
DISTANCE, DROP = 1080.0, 4.0


def studio(yaws=(0.0,), size: int = 224) -> tuple[Pose, Camera, torch.Tensor]:
    """Pose, camera and light for pictures (size, size) of one face turned by each of `yaws` degrees."""
    B = len(yaws)
    turn = torch.zeros(B, 3)
    turn[:, 1] = torch.tensor([radians(yaw) for yaw in yaws])
    pose = Pose(turn, torch.tensor([[0.0, DROP, DISTANCE]]).repeat(B, 1))
    camera = Camera.default(size, focal=1000 * size / 224, batch=B)
    return pose, camera, STUDIO_LIGHT[None].repeat(B, 1, 1)


def portraits(vertices, triangles, colours, yaw: float = 0.0, size: int = 224) -> list[torch.Tensor]:
    """Faces in studio light.

    Args:
        vertices: (B, V, 3) mm.
        triangles: (F, 3).
        colours: (B, V, 3) sRGB, 0 to 1.
        yaw: how far they are turned, degrees.
        size: px of each square.

    Returns:
        B pictures (size, size, 3), 0 to 1.
    """
    vertices, triangles, colours = on_cpu((vertices, triangles, colours))
    pose, camera, light = studio((yaw,) * len(vertices), size)
    with torch.no_grad():
        drawn = render(vertices, triangles, colours, pose, camera, light, supersample=2)
    return list(drawn.image.clamp(0, 1))
