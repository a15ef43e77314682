"""Mend the face units: soften those that crease the cheeks, and let a blink end when the eye is shut.

At full strength a smile of MakeHuman's units draws the mouth's corner 15 mm up and 7 mm back beside a cheek that stays
where it is: across 8 mm of skin the displacement falls by half, and the skin folds into an upright crease.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from helpers.model_builder.template import Template

CREASING = (
    "mouthSmile",
    "mouthDimple",
    "mouthStretch",
    "mouthFrown",
    "mouthLeft",
    "mouthRight",
)  # starts of names
ROUNDS = 24  # of averaging with the neighbours, which are about 4 mm away: it spreads by about 13 mm
BLINK = 0.74  # of the units' own strength, at which the upper lid would end 3 mm below the lower one
# mm from the lips: what is nearer stays as it is, what is farther is averaged in full.
KEPT, SOFTENED = 3.0, 16.0
# mm below the eyes where softening begins, and how far it takes to reach full strength.
UNDER_EYES, FADE = 22.0, 12.0


def mend(units: np.ndarray, names: list[str], points: np.ndarray, template: Template) -> np.ndarray:
    """Average the displacements of units that draw the mouth's corners, on cheeks and chin only; shorten blinks.

    Args:
        units: (U, N, 3) mm.
        names: Of the units.
        points: (N, 3) mm, the face at rest.
        template: The control mesh.

    Returns:
        (U, N, 3) mm.
    """
    quads = template.quads[(template.quads < template.n_skin).all(1)]
    sides = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    sides = np.unique(np.concatenate([sides, sides[:, ::-1]]), axis=0)
    n = template.n_vertices
    linked = sp.csr_matrix((np.ones(len(sides)), (sides[:, 0], sides[:, 1])), shape=(n, n))
    mean = sp.diags(1 / np.maximum(np.asarray(linked.sum(1)).ravel(), 1)) @ linked
    lips = np.linalg.norm(points[:, None] - points[template.seam][None], axis=2).min(1)
    under_eyes = np.mean([points[eye.centre, 1] for eye in template.eyes]) - points[:, 1]
    share = np.clip((lips - KEPT) / (SOFTENED - KEPT), 0, 1)
    share *= np.clip((under_eyes - UNDER_EYES) / FADE, 0, 1) * (np.arange(n) < template.n_skin)
    share *= template.inner == 0
    step = (sp.diags(1 - share) + sp.diags(share) @ mean).tocsr()
    chosen = [i for i, name in enumerate(names) if name.startswith(CREASING)]
    flat = units[chosen].transpose(1, 0, 2).reshape(n, -1)
    for _ in range(ROUNDS):
        flat = step @ flat
    softened = units.copy()
    softened[chosen] = flat.reshape(n, len(chosen), 3).transpose(1, 0, 2)
    softened[[i for i, name in enumerate(names) if name.startswith("eyeBlink")]] *= BLINK
    return softened
