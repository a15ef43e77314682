"""Name the parts of the face: weights between 0 and 1 for each vertex of the fine mesh."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from scipy.ndimage import map_coordinates

from helpers.face_model.gaze import fit_spheres
from helpers.mesh_normals import vertex_normals
from helpers.model_builder.template import Template
from helpers.model_builder.wheel import MakeHuman

TURNED_FULLY_TO_NOT = (28.0, 64.0)  # degrees from the gaze; the iris ends at 27°
NO_EAR = 50.0  # mm from the midline, within which there is no ear


def from_uv(human: MakeHuman, uv: np.ndarray, name: str) -> np.ndarray:
    """Look an MPFB2 mask up at uv (V, 2): (V,) from 0 to 1."""
    picture = human.uv_mask(name)
    side = picture.shape[0] - 1
    return map_coordinates(picture, [(1 - uv[:, 1]) * side, uv[:, 0] * side], order=1, mode="nearest")


def anatomy(
    human: MakeHuman, template: Template, refine: sp.csr_matrix, vertices: np.ndarray, triangles: np.ndarray
) -> dict[str, np.ndarray]:
    """Find the parts that follow from topology and MPFB2's masks.

    Args:
        human: The source of the masks.
        template: The control mesh.
        refine: (V, N), from control to fine vertices.
        vertices: (V, 3) mm, the mean face.
        triangles: (F, 3).

    Returns:
        Name → (V,) weights 0 to 1; `eyes` and `teeth` are exactly 0 or 1. `gaze` is the share of the eye's angle by
        which a vertex turns. And "normals" → (V, 3), "tooth_row" and "tooth_column" → (V,) coordinates in the grid of
        the teeth.
    """
    t = template
    patch, ball, skin, cavity, teeth, row, column = (np.zeros(t.n_vertices) for _ in range(7))
    for eye in t.eyes:
        patch[eye.new_vertices] = 1
        ball[eye.ball] = 1
    skin[: t.n_skin] = 1
    for eye in t.eyes:
        skin[eye.rings[0]] = 0  # the lid edge is shared
    cavity[t.mouth.new_vertices] = 1
    cavity = np.maximum(cavity, t.inner)
    teeth[t.teeth] = 1
    row[t.teeth], column[t.teeth] = np.mgrid[: t.teeth.shape[0], : t.teeth.shape[1]]
    eyes = (refine @ patch > 1e-6) & (refine @ skin < 1e-3)
    ball = np.where(eyes, refine @ ball, 0)
    cavity, teeth = np.clip(refine @ cavity, 0, 1), refine @ teeth > 0.5
    uv = refine @ t.uv
    not_skin = eyes | teeth
    lips, lids, ears = (
        np.where(not_skin, 0, from_uv(human, uv, name)) for name in ("lips", "eyelids", "ears")
    )
    # Elsewhere than on the mouth and on the ears, these masks are noise of their JPEG files.
    far = vertices[:, 1] < vertices[t.seam, 1].min() - 25
    lips = np.where((cavity > 0.5) | far, 0, lips)
    ears = np.where(np.abs(vertices[:, 0]) < NO_EAR, 0, ears)
    return {
        "eyes": eyes.astype(float),
        "ball": ball,
        "gaze": gaze_share(vertices, ball),
        "mouth_interior": np.where(teeth, 1.0, cavity),
        "teeth": teeth.astype(float),
        "tooth_row": refine @ row,
        "tooth_column": refine @ column,
        "lips": lips,
        "lids": lids,
        "ears": ears,
        "normals": vertex_normals(vertices, triangles),
    }


def gaze_share(vertices: np.ndarray, ball: np.ndarray) -> np.ndarray:
    """Find how much of the gaze's angle each vertex turns by: all of it within the iris, nothing behind the lids.

    Args:
        vertices: (V, 3) mm, the mean face.
        ball: (V,) 1 on the eyeballs, less where they meet the lids.

    Returns:
        (V,) 0 to 1.
    """
    share = np.zeros(len(vertices))
    for side in (-1, 1):
        mine = np.flatnonzero((ball > 1 - 1e-6) & (np.sign(vertices[:, 0]) == side))
        centre = fit_spheres(torch.from_numpy(vertices[mine])[None])[0][0].numpy()
        direction = vertices[mine] - centre
        angle = np.degrees(np.arccos(direction[:, 2] / np.linalg.norm(direction, axis=1)))
        share[mine] = np.interp(angle, TURNED_FULLY_TO_NOT, [1, 0])
    return share


def soft(x: np.ndarray, width: float = 2.0) -> np.ndarray:
    """Step from 0 for x < 0 to 1 for x > 0, with a ramp of `width` between, so that a mask's edge is not a saw."""
    return np.clip(0.5 + x / width, 0, 1)


def fitting_masks(
    parts: dict[str, np.ndarray], vertices: np.ndarray, landmarks: np.ndarray, brow_distance: np.ndarray
) -> dict[str, np.ndarray]:
    """Make the `masks` of the model: where the pixels of a photograph can be trusted to show skin, for one.

    `skin` is the weight in the pixel term. Out are eye and mouth interior, ears, neck, the sides of the head, temples
    (hair) and all that is more than 22 mm above the brow line. `forehead_gate` are vertices above the brow line
    that stay in, but need a look at their colour, because a fringe may cover them.

    Args:
        parts: As `anatomy` finds them.
        vertices: (V, 3) mm, the mean face.
        landmarks: (68,) vertex numbers.
        brow_distance: (V,) mm from the lines of the brows.

    Returns:
        Name → (V,) weights 0 to 1.
    """
    x, y, z = vertices.T
    side, facing = np.abs(x), parts["normals"]
    chin = vertices[landmarks[8], 1]
    above_brow = y - np.interp(side, [0, 18, 34, 50, 70], [52, 53, 56, 50, 44])
    under_jaw = y < np.interp(side, [0, 20, 40, 60, 75], [chin, chin + 1, chin + 9, chin + 30, chin + 70])
    neck = np.maximum(under_jaw * soft(-0.2 - facing[:, 1], 0.1), soft(chin - 3 - y))
    ears = soft(parts["ears"] - 0.1, 0.1)
    behind_cheek = soft(side - 66) * soft(-20 - z)
    temple = soft(y - 30) * soft(side - 58)
    skin = (1 - ears) * (1 - neck) * (1 - behind_cheek) * (1 - temple) * soft(22 - above_brow)
    skin *= (parts["eyes"] == 0) & (parts["mouth_interior"] <= 0.3)
    forehead = soft(above_brow) * (1 - ears) * (z > -60)
    masks = {key: parts[key] for key in ("eyes", "gaze", "mouth_interior", "teeth", "ears", "lips")}
    masks["neck"] = neck
    masks["brows"] = np.clip(1 - (brow_distance / 5.5) ** 2, 0, 1)
    masks["forehead"] = forehead
    masks["skin"] = skin
    masks["forehead_gate"] = skin * soft(above_brow)
    return masks
