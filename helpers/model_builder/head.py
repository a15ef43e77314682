"""The rest of the head behind the face: cranium, nape and neck, so that no picture shows a sawn skull.

It is a second quad mesh that shares the face's outer edge. A subdivided edge depends on the edge's own vertices only,
so both meshes meet exactly on every level. The face model itself does not change by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from helpers.model_builder.mesh import boundary_loops, smooth_loop, snap_loop

# The plane where the neck ends: mm below the eyes, and its fall to the front.
NECK_CUT, NECK_SLOPE = 158.0, 0.45
NEAR_SEAM = 2  # rings of vertices beside the face's edge that follow where the edge was moved


def above_neck_cut(points: np.ndarray) -> np.ndarray:
    """Compute the height in mm of points (..., 3) over the plane where the neck ends."""
    return points[..., 1] + NECK_CUT + NECK_SLOPE * (points[..., 2] + 60)


@dataclass(frozen=True)
class Rest:
    """Topology of the rest of the head and the rule that places its vertices.

    Attributes:
        quads: (Q, 4), in vertices of the face's control mesh (0 to N − 1) and of the rest (N and above).
        source: (m,) body vertices that are read.
        place: (R, N + m), places the R vertices of the rest by the face's control vertices and by `source`.
    """

    quads: np.ndarray
    source: np.ndarray
    place: sp.csr_matrix


def build_rest(
    points: np.ndarray, skin_quads: np.ndarray, face_quads: np.ndarray, number: np.ndarray, n_face: int
) -> Rest:
    """Cut the rest of the head out of the body.

    Args:
        points: (19158, 3) mm, the average adult, origin between the eyes.
        skin_quads: All quads of the skin.
        face_quads: Those of the face.
        number: (19158,) control vertex of the face, or −1.
        n_face: N, control vertices of the face.
    """
    centre = points[skin_quads].mean(1)
    taken = {tuple(sorted(quad)) for quad in face_quads.tolist()}
    free = np.array([tuple(sorted(quad)) not in taken for quad in skin_quads.tolist()])
    quads = skin_quads[free & (above_neck_cut(centre) > 0) & (np.abs(centre[:, 0]) < 120)]
    seam = max(boundary_loops(face_quads), key=len)
    quads = _connected_to(quads, seam)
    used = np.setdiff1d(np.unique(quads), seam)
    edge = max(boundary_loops(quads), key=lambda loop: -points[loop, 1].mean())
    moved = snap_loop(points, above_neck_cut(points), edge, skin_quads)
    source = np.unique(np.concatenate([used, [other for other, _ in moved.values()]]).astype(int))
    column = {v: n_face + i for i, v in enumerate(source)}
    row = {v: i for i, v in enumerate(used)}
    place = sp.lil_matrix((len(used), n_face + len(source)))
    for v in used:
        other, t = moved.get(v, (v, 0.0))
        place[row[v], column[v]] += 1 - t
        place[row[v], column[other]] += t
    place = smooth_loop(place.tocsr(), np.array([row[v] for v in edge]))
    for _ in range(NEAR_SEAM):
        place = _follow_seam(place, quads, seam, row, number)
    new_number = number.copy()
    new_number[used] = n_face + np.arange(len(used))
    return Rest(new_number[quads], source, place)


def _connected_to(quads: np.ndarray, loop: list[int]) -> np.ndarray:
    """Keep the quads that hang together with a loop of vertices."""
    reached, count = set(loop), 0
    while len(reached) != count:
        count = len(reached)
        for quad in quads[np.isin(quads, list(reached)).any(1)].tolist():
            reached.update(quad)
    return quads[np.isin(quads, list(reached)).all(1)]


def _follow_seam(
    place: sp.csr_matrix, quads: np.ndarray, seam: list[int], row: dict[int, int], number: np.ndarray
) -> sp.csr_matrix:
    """Move the vertices beside the seam to the mean of their neighbours."""
    sides = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    sides = np.unique(np.concatenate([sides, sides[:, ::-1]]), axis=0)
    beside = np.setdiff1d(np.unique(sides[np.isin(sides[:, 0], seam), 1]), seam)
    out = place.tolil()
    for v in beside:
        neighbours = sides[sides[:, 0] == v, 1]
        total = sp.csr_matrix((1, place.shape[1]))
        for n in neighbours:
            total = total + (place[row[n]] if n in row else _unit(number[n], place.shape[1]))
        out[row[v]] = 0.5 * place[row[v]] + 0.5 * total / len(neighbours)
    return out.tocsr()


def _unit(column: int, length: int) -> sp.csr_matrix:
    return sp.csr_matrix(([1.0], ([0], [column])), shape=(1, length))
