"""What is special about the 68 landmarks: which lie on the jaw, which mirror each other, which hide.

Order of 300-W (iBUG): jaw 0–16, brows 17–26, nose 27–35, eyes 36–47, mouth 48–67; left and right as the viewer
sees them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.camera import Camera, Pose, model_to_camera, project

JAW, BROWS, WITHOUT_JAW = slice(0, 17), slice(17, 27), slice(17, 68)
LEFT_JAW, RIGHT_JAW = slice(0, 8), slice(9, 17)
FAR_SIDE_YAW = 18.0  # degrees beyond which the authors' code drops the far half of the jaw line
# Where each point goes when left and right change places.
MIRRORED = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # bridge of the nose
    *range(35, 30, -1),  # nostrils
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),  # eyes
    *range(54, 47, -1),  # upper lip, outside
    *range(59, 54, -1),  # lower lip, outside
    *range(64, 59, -1),  # upper lip, inside
    *range(67, 64, -1),  # lower lip, inside
)

# Of those that people pick by hand on a scan; left and right are the viewer's.
NAMES = {
    30: "tip of the nose",
    33: "base of the nose",
    36: "outer corner of the left eye",
    39: "inner corner of the left eye",
    42: "inner corner of the right eye",
    45: "outer corner of the right eye",
    48: "left corner of the mouth",
    54: "right corner of the mouth",
}


def far_jaw(pose: Pose, limit_degrees: float = FAR_SIDE_YAW) -> Tensor:
    """(B, 68) true for jaw points on the far side of a face turned by more than `limit_degrees`."""
    yaw = pose.yaw_pitch_roll()[:, :1]
    far = torch.zeros(len(yaw), 68, dtype=torch.bool, device=yaw.device)
    # Turned to the viewer's right, the far side is the viewer's right; and the reverse.
    far[:, RIGHT_JAW] = yaw > limit_degrees
    far[:, LEFT_JAW] = yaw < -limit_degrees
    return far


def visible_landmarks(pose: Pose, limit_degrees: float = FAR_SIDE_YAW) -> Tensor:
    """(B, 68) weights, 0 for jaw points on the far side of a face turned by more than `limit_degrees`.

    A detector puts those points on the outline that it sees, which slides over the cheek as the head turns;
    the model's vertices stay where they are.
    """
    return (~far_jaw(pose, limit_degrees)).to(pose.translation.dtype)


def slide_far_jaw(
    points_3d: Tensor, contour: Tensor, pose: Pose, camera: Camera, limit_degrees: float = FAR_SIDE_YAW
) -> Tensor:
    """Move far jaw points onto the outline that a turned face shows.

    The outline is where the surface reaches farthest to the far side of the image, so each far point takes
    the candidate that projects farthest that way.

    Args:
        points_3d: (B, 68, 3) mm.
        contour: (B or 1, 17, C, 3) mm, for each jaw point C places on the surface that it may slide to, roughly along
            a line from the ear to the cheek.
        pose: B.
        camera: B.
        limit_degrees: Yaw beyond which the far side is moved.

    Returns:
        (B, 68, 3) mm.
    """
    B, C = len(points_3d), contour.shape[2]
    candidates = contour.expand(B, 17, C, 3)
    seen = project(model_to_camera(candidates.reshape(B, 17 * C, 3), pose), camera)[..., :2]
    # The face's own left-to-right axis in the image, so that roll does not matter; y of the image points down.
    side = torch.sign(pose.yaw_pitch_roll()[:, :1])
    across = side * pose.rotation[:, :2, 0] * pose.rotation.new_tensor([1.0, -1.0])
    farthest = (seen @ across[..., None]).view(B, 17, C).argmax(-1)
    chosen = candidates.gather(2, farthest[..., None, None].expand(B, 17, 1, 3))[:, :, 0]
    far = far_jaw(pose, limit_degrees)[:, :17, None]
    return torch.cat([torch.where(far, chosen, points_3d[:, :17]), points_3d[:, 17:]], 1)
