"""Where the camera and the lamps stand when a face is shown by itself."""

from __future__ import annotations

from math import radians

import torch

from helpers.camera import Camera, Pose
from helpers.lighting import STUDIO_LIGHT

CLAY = (0.72, 0.72, 0.74)
# Head and neck fill most of the square at this distance, in mm, and this much below the camera's axis.
DISTANCE, DROP = 1080.0, 4.0


def studio(yaws=(0.0,), size: int = 224, device="cpu") -> tuple[Pose, Camera, torch.Tensor]:
    """Pose, camera and light for pictures (size, size) of one face turned by each of `yaws` degrees."""
    B = len(yaws)
    turn = torch.zeros(B, 3, device=device)
    turn[:, 1] = torch.tensor([radians(yaw) for yaw in yaws])
    pose = Pose(turn, torch.tensor([[0.0, DROP, DISTANCE]], device=device).repeat(B, 1))
    camera = Camera.default(size, focal=1000 * size / 224, batch=B, device=device)
    return pose, camera, STUDIO_LIGHT.to(device)[None].repeat(B, 1, 1)
