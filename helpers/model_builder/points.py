"""The points that anthropometry measures between, found by rules on the mean face."""

from __future__ import annotations

import numpy as np

from helpers.model_builder.template import Template

# Heights as shares of a stretch of the profile, depths in mm; set by the definitions of the points and by eye.
GONION = 0.5  # between stomion and pogonion
ZYGION_BELOW_EYES, ZYGION_BEFORE_EAR = (12.0, 32.0), 18.0
EAR_BELOW_EYES = 12.0  # its opening
SKULL_HEIGHT = 50.0  # above the model's origin, which lies 35 mm below the eyes
ALARE_BESIDE = 12.0  # farther from the midline than the insides of the nostrils


def anthropometric_points(
    template: Template, parts: dict[str, np.ndarray], vertices: np.ndarray, landmarks: np.ndarray
) -> dict[str, int]:
    """Find the points.

    Args:
        template: The control mesh.
        parts: As `regions.anatomy` finds them, with the normals.
        vertices: (V, 3) mm, the mean face.
        landmarks: (68,) vertex numbers; the corners of the eyes are taken from them.

    Returns:
        Name → vertex number. Names are those of anthropometry; `_r` and `_l` are the subject's right (x < 0) and left.

    Source:
        L. G. Farkas (ed.), "Anthropometry of the Head and Face", 1994.
    """
    v, normals = vertices, parts["normals"]
    skin = (parts["eyes"] == 0) & (parts["mouth_interior"] < 0.3)
    # The profile from the forehead down; inside the lips it would double back.
    midline = np.flatnonzero((np.abs(v[:, 0]) < 0.2) & skin & (normals[:, 2] > -0.2))
    profile = midline[np.argsort(-v[midline, 1])]
    y, z = v[profile, 1], v[profile, 2]
    eye_y = np.mean([v[eye.centre, 1] for eye in template.eyes])

    def extreme(low: float, high: float, sign: int) -> int:
        """Find the foremost (sign 1) or rearmost (−1) vertex of the profile between two heights."""
        between = np.flatnonzero((y > low) & (y < high))
        return int(profile[between[np.argmax(sign * z[between])]])

    sto_y = v[template.lips.upper[len(template.lips.upper) // 2], 1]
    prn = extreme(sto_y + 15, eye_y - 20, 1)
    points = {"g": extreme(eye_y + 12, eye_y + 35, 1), "se": extreme(eye_y - 12, eye_y + 12, -1), "prn": prn}
    red = np.interp(y[::-1], y[::-1], parts["lips"][profile][::-1])[::-1]
    upper = np.flatnonzero((y > sto_y) & (red < 0.5))[-1]
    lower = np.flatnonzero((y < sto_y - 3) & (red < 0.5))[0]
    points["ls"], points["li"] = int(profile[upper]), int(profile[lower])
    points["sto"] = int(profile[np.argmin(np.abs(y - sto_y) - 0.02 * z)])
    points["sn"] = _corner(v, profile[(y < v[prn, 1]) & (y > v[points["ls"], 1])])
    under_tip = profile[(y < v[prn, 1]) & (y > v[points["sn"], 1])]
    points["c"] = int(under_tip[np.argmin(normals[under_tip, 1])])
    points["sl"] = extreme(v[points["li"], 1] - 12, v[points["li"], 1], -1)
    points["pg"] = extreme(v[points["sl"], 1] - 16, v[points["sl"], 1] - 2, 1)
    chin = profile[(y < v[points["pg"], 1]) & (z > v[points["pg"], 2] - 25)]
    # Gnathion where the chin turns by 45° from front to bottom, menton where it faces down.
    for name, degrees in (("gn", 45), ("me", 72)):
        down = np.degrees(np.arctan2(-normals[chin, 1], normals[chin, 2]))
        points[name] = int(chin[np.argmin(np.abs(down - degrees))])
    ears = parts["ears"] > 0.5
    front_of_ear = v[ears & (np.abs(v[:, 1] - eye_y + EAR_BELOW_EYES) < 6), 2].max()
    for side, sign, eye in (("r", -1, template.eyes[0]), ("l", 1, template.eyes[1])):
        out = sign * v[:, 0]
        points[f"p_{side}"] = int(eye.centre)
        inner, outer = (39, 36) if sign < 0 else (42, 45)
        points[f"en_{side}"], points[f"ex_{side}"] = int(landmarks[inner]), int(landmarks[outer])
        points[f"ch_{side}"] = int(template.lips.upper[0 if sign < 0 else -1])

        def widest(allowed: np.ndarray, out: np.ndarray = out) -> int:
            index = np.flatnonzero(allowed & (out > 0))
            return int(index[np.argmax(out[index])])

        # The wing's outermost part faces sideways; the cheek beyond its crease faces forward.
        wing = (out > ALARE_BESIDE) & (out < v[points[f"p_{side}"], 0] * sign) & skin
        wing &= (
            (v[:, 1] < v[prn, 1] + 4) & (v[:, 1] > v[points["sn"], 1]) & (v[:, 2] > v[points["sn"], 2] - 16)
        )
        points[f"al_{side}"] = widest(wing & (sign * normals[:, 0] > 0.95))
        before_ear = skin & ~ears & (np.abs(v[:, 2] - front_of_ear - ZYGION_BEFORE_EAR) < 4)
        below, above = eye_y - np.array(ZYGION_BELOW_EYES[::-1])
        points[f"zy_{side}"] = widest(before_ear & (v[:, 1] > below) & (v[:, 1] < above))
        height = sto_y + GONION * (v[points["pg"], 1] - sto_y)
        jaw = skin & ~ears & (np.abs(v[:, 1] - height) < 1.5) & (v[:, 2] > front_of_ear)
        points[f"go_{side}"] = widest(jaw)
    return points


def skull_points(head: np.ndarray) -> dict[str, int]:
    """Find the points of the skull: opisthocranion, the rearmost, and the eurya, the widest.

    Args:
        head: (V + R, 3) mm, the whole head.
    """
    above_ears = head[:, 1] > SKULL_HEIGHT
    found = {"op": np.argmin(np.where(np.abs(head[:, 0]) < 0.5, head[:, 2], np.inf))}
    for side, sign in (("r", -1), ("l", 1)):
        found[f"eu_{side}"] = np.argmax(np.where(above_ears, sign * head[:, 0], -np.inf))
    return {name: int(i) for name, i in found.items()}


def _corner(v: np.ndarray, curve: np.ndarray) -> int:
    """Find the vertex of a profile that lies farthest behind the chord between its ends."""
    a, b = v[curve[0], 1:], v[curve[-1], 1:]
    chord = (b - a) / np.linalg.norm(b - a)
    behind = (v[curve, 1:] - a) @ np.array([-chord[1], chord[0]])
    return int(curve[np.argmax(np.abs(behind))])
