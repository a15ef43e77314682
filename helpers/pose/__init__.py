"""Pose from landmarks: where the face is and where it looks, from 68 points (Tran et al. 2017).

Two steps. A closed form gives a start (`closed_form`: POS, DLT or EPnP). Levenberg-Marquardt then minimises the
true perspective reprojection error over six numbers, all faces of a batch at once: in a kernel (`kernels`), or
in plain torch (`reference`), which takes the same steps and is easier to read.
"""

from helpers.camera import pose_jacobian, projection_jacobian, turn
from helpers.pose.checks import REASONS
from helpers.pose.closed_form import dlt_pose, epnp_pose, scaled_orthographic_pose
from helpers.pose.estimate import PoseEstimate, estimate_pose
from helpers.pose.points68 import MIRRORED, far_jaw, slide_far_jaw, visible_landmarks

__all__ = [
    "MIRRORED",
    "REASONS",
    "PoseEstimate",
    "dlt_pose",
    "epnp_pose",
    "estimate_pose",
    "far_jaw",
    "pose_jacobian",
    "projection_jacobian",
    "scaled_orthographic_pose",
    "slide_far_jaw",
    "turn",
    "visible_landmarks",
]
