"""A face shown by itself: where the camera and the lamps stand, and its picture."""

from __future__ import annotations

from math import radians

import torch

from helpers.camera import Camera, Pose
from helpers.lighting import STUDIO_LIGHT
from helpers.rendering import render
from helpers.show.on_cpu import on_cpu

PLAIN_LIGHT = torch.eye(9)[:1].T.repeat(
    1, 3
)  # leaves every colour as it is, for paint that has its own light
CLAY = (0.72, 0.72, 0.74)
# A face fills most of the square at this distance, in mm, and this much below the camera's axis; a whole head needs more.
DISTANCE, DROP = 1080.0, 4.0
HEAD_DISTANCE, HEAD_DROP = 1500.0, 3.0
BEHIND_FACES = -110.0  # mm, z in model axes: faces end before it, whole heads go beyond


def is_whole(vertices: torch.Tensor) -> bool:
    """Whether meshes (..., V, 3) mm are whole heads, and not faces that end behind the ears.

    Heads are drawn without their backfaces, which hides the inside of the open neck.
    """
    return bool(vertices[..., 2].amin(-1).median() < BEHIND_FACES)


def place(whole: bool) -> torch.Tensor:
    """The translation (1, 3) mm at which faces, or whole heads, are shown."""
    return torch.tensor([[0.0, HEAD_DROP, HEAD_DISTANCE] if whole else [0.0, DROP, DISTANCE]])


def studio(yaws=(0.0,), size: int = 224, whole: bool = False) -> tuple[Pose, Camera, torch.Tensor]:
    """Pose, camera and light for pictures (size, size) of one face, or whole head, turned by each of `yaws` degrees."""
    B = len(yaws)
    turn = torch.zeros(B, 3)
    turn[:, 1] = torch.tensor([radians(yaw) for yaw in yaws])
    pose = Pose(turn, place(whole).repeat(B, 1))
    camera = Camera.default(size, focal=1000 * size / 224, batch=B, device="cpu")
    return pose, camera, STUDIO_LIGHT[None].repeat(B, 1, 1)


def portraits(
    vertices,
    triangles,
    colours,
    yaw: float = 0.0,
    size: int = 224,
    *,
    lit: bool = True,
    background: float = 1.0,
) -> list[torch.Tensor]:
    """Faces or whole heads in studio light.

    Args:
        vertices: (B, V, 3) mm.
        triangles: (F, 3).
        colours: (B, V, 3) sRGB, 0 to 1.
        yaw: how far they are turned, degrees.
        size: px of each square.
        lit: False for colours that have their light in them, such as `helpers.painting` makes.
        background: grey, 0 to 1.

    Returns:
        B pictures (size, size, 3), 0 to 1.
    """
    vertices, triangles, colours = on_cpu((vertices, triangles, colours))
    whole = is_whole(vertices)
    pose, camera, light = studio((yaw,) * len(vertices), size, whole)
    light = light if lit else PLAIN_LIGHT.expand_as(light)
    with torch.no_grad():
        drawn = render(
            vertices,
            triangles,
            colours,
            pose,
            camera,
            light,
            background=background,
            supersample=2,
            cull_backfaces=whole,
        )
    return list(drawn.image.clamp(0, 1))
