"""The 68 points of iBUG as vertex numbers, for the meshes where they are publicly known.

Each list names its source in a comment, and how it was checked. It is used only for a mesh with exactly that many
vertices, and `misplaced` then looks whether the points lie as on a face. Numbers count from 0 here.
"""

from __future__ import annotations

import numpy as np

# Basel Face Model 2009. Source: Landmarks68_BFM.anl of github.com/anilbas/BFMLandmarks, there counted from 1.
# Nose tip, upper lip and the gap of the lips agree with eos' share/ibug_to_bfm.txt to the vertex.
# In the order of iBUG, part by part.
# fmt: off
BFM_2009 = tuple(
    number - 1 for number in (
        22143, 22813, 22840, 23250, 44124, 45884, 47085, 47668, 48188, 48708, 49299, 50498, 52457, 32022, 32386, 32359,
        32979, 38886, 39636, 40030, 40238, 40433, 41172, 41368, 41578, 42011, 42646, 8291, 8305, 8314, 8320, 6783, 7687,
        8331, 8977, 9879, 1832, 3760, 5050, 6087, 4546, 3516, 10731, 11758, 12919, 14859, 13191, 12157, 5523, 6155, 7442,
        8345, 9506, 10799, 11199, 10179, 9277, 8374, 7471, 6566, 5909, 7322, 8354, 9386, 10941, 9141, 8367, 7194,
    )
)
# fmt: on

# ICT-FaceKit Light. Source: the table "Multi-PIE 68 point" in the README of github.com/ICT-VGL/ICT-FaceKit.
# Another project that uses it measures 89 mm between its outer corners of the eyes.
# In the order of iBUG, part by part.
# fmt: off
ICT = (
    1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443, 268, 493,
    1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542,
    1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461,
    5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966,
)
# fmt: on

# FLAME. Source: data/FLAME_landmarks.txt of github.com/yunik1004/SAiD. A second, independent list of the ridge of
# the nose has the same vertices 3561, 3501 and 3564 (its tip).
# In the order of iBUG, part by part.
# fmt: off
FLAME = (
    2210, 1963, 3056, 3424, 3423, 3421, 3419, 3416, 3414, 3635, 3643, 3646, 3650, 3652, 2004, 568, 728, 2567, 337,
    338, 3154, 3712, 3868, 2135, 27, 18, 1430, 3560, 3561, 3501, 3564, 2751, 2793, 3556, 1676, 1623, 2428, 2453,
    2494, 3631, 2278, 2359, 3832, 1343, 1218, 1154, 995, 829, 2820, 2864, 2774, 3543, 1657, 1749, 1703, 1774, 1802,
    3503, 2905, 2881, 2845, 2787, 3531, 1670, 1730, 1804, 3504, 2907,
)
# fmt: on

# Where only a part is published: point, 0 to 67 → vertex. `landmark_transfer` estimates the rest.

# Basel Face Model 2017 with 53,149 vertices. Source: share/ibug_to_bfm2017-1_bfm_nomouth.txt of eos.
# In the order of iBUG, part by part.
# fmt: off
BFM_2017 = {
    8: 47846, 30: 8156, 36: 2602, 39: 5830, 42: 10390, 45: 13481, 48: 5522, 49: 6026, 50: 7355, 51: 8181, 52: 9007,
    53: 10329, 54: 10857, 55: 9730, 56: 8670, 57: 8199, 58: 7726, 59: 6898, 60: 6291, 61: 7364, 62: 8190, 63: 9016,
    64: 10088, 65: 8663, 66: 8191, 67: 7719,
}
# fmt: on

# Surrey Face Model with 3,448 vertices. Source: share/ibug_to_sfm.txt of eos. Of the jaw it has the chin.
# In the order of iBUG, part by part.
# fmt: off
SURREY = {
    8: 33, 17: 225, 18: 229, 19: 233, 20: 2086, 21: 157, 22: 590, 23: 2091, 24: 666, 25: 662, 26: 658, 27: 2842,
    28: 379, 29: 272, 30: 114, 31: 100, 32: 2794, 33: 270, 34: 2797, 35: 537, 36: 177, 37: 172, 38: 191, 39: 181,
    40: 173, 41: 174, 42: 614, 43: 624, 44: 605, 45: 610, 46: 607, 47: 606, 48: 398, 49: 315, 50: 413, 51: 329,
    52: 825, 53: 736, 54: 812, 55: 841, 56: 693, 57: 411, 58: 264, 59: 431, 61: 416, 62: 423, 63: 828, 65: 817,
    66: 442, 67: 404,
}
# fmt: on

# What scalismo's programs call those of the 68 that the files of Basel's models name.
# In the order of iBUG, part by part.
# fmt: off
NAMED = {
    "center.chin.tip": 8, "center.nose.tip": 30, "right.nose.wing.tip": 31,
    "center.nose.attachement_to_philtrum": 33, "left.nose.wing.tip": 35, "right.eye.corner_outer": 36,
    "right.eye.corner_inner": 39, "left.eye.corner_inner": 42, "left.eye.corner_outer": 45, "right.lips.corner": 48,
    "center.lips.upper.outer": 51, "left.lips.corner": 54, "center.lips.lower.outer": 57,
    "center.lips.upper.inner": 62, "center.lips.lower.inner": 66,
}
# fmt: on


def misplaced(points: np.ndarray) -> str | None:
    """Check what is true of every face that looks along z, upright.

    It notices swapped or mirrored axes, and landmarks of another mesh.

    Args:
        points: (68, 3) in model axes.

    Returns:
        What is wrong with them, or None.
    """
    x, y, z = points.astype(np.float64).T
    eyes, tip = [36, 39, 42, 45], 30
    if not (np.diff(x[eyes]) > 0).all() or not x[0] < x[48] < x[54] < x[16]:
        return "the points of the right side of the face are not on the left of the picture"
    if not y[17:27].mean() > y[eyes].mean() > y[tip] > y[48:68].mean() > y[8]:
        return "brows, eyes, nose, mouth and chin do not follow each other downwards"
    if not (z[tip] > z[eyes]).all() or not z[tip] > max(z[0], z[16]):
        return "the tip of the nose is not in front"
    return None
