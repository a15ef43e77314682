"""Close the lips: MakeHuman's rest pose has them slightly open, a neutral face does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

LIP_HEIGHT, LIP_FADE = 10.0, 7.0  # mm that are stretched in full, and how far it takes to end
LIP_BEHIND = 40.0  # mm behind the corners of the mouth, beyond the mouth's floor
REACH = 5.0  # mm, how far from the lip edge the skin follows it
# mm by which each edge passes the middle: subdivision draws the edges of the fine mesh about this far apart again.
PRESSED = 0.42


@dataclass(frozen=True)
class LipClosing:
    """A fixed affine operator on heights: each lip edge moves half the gap and a little more, the skin around follows.

    Attributes:
        matrix: (N, N), acts on y.
        pressed: (N,) mm, is added to y.
        upper: Vertex numbers of the upper lip's edge from x < 0 to x > 0, corners included.
        lower: The same of the lower lip.
    """

    matrix: sp.csr_matrix
    pressed: np.ndarray
    upper: np.ndarray
    lower: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Close the lips of faces (n, N, 3); the argument is left as it is."""
        closed = points.copy()
        closed[..., 1] = (self.matrix @ points[..., 1].T).T + self.pressed.astype(points.dtype)
        return closed


def split_seam(points: np.ndarray, seam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the lip seam (n,) into its upper and its lower half, each sorted by x and with both corners."""
    x = points[seam, 0]
    first, last = int(np.argmin(x)), int(np.argmax(x))
    n = len(seam)
    one = seam[(first + np.arange((last - first) % n + 1)) % n]
    other = seam[(last + np.arange((first - last) % n + 1)) % n]
    upper, lower = (one, other) if points[one, 1].mean() > points[other, 1].mean() else (other, one)
    return upper[np.argsort(points[upper, 0])], lower[np.argsort(points[lower, 0])]


def lip_closing(points: np.ndarray, quads: np.ndarray, seam: np.ndarray, n_vertices: int) -> LipClosing:
    """Make the operator for a face at rest.

    Args:
        points: (n_skin, 3) mm, the face at rest.
        quads: (Q, 4), those of the skin.
        seam: (n,) vertex numbers of the loop where the lips end.
        n_vertices: N.

    Returns:
        The operator on all N vertices.
    """
    upper, lower = split_seam(points, seam)
    shift = sp.lil_matrix((len(seam), n_vertices))  # height change of each seam vertex
    pressed = np.zeros(len(seam))
    row = {v: i for i, v in enumerate(seam)}
    for moving, facing, inwards in ((upper, lower, -1), (lower, upper, 1)):
        for v in moving[1:-1]:
            pressed[row[v]] = inwards * PRESSED
            j = int(np.clip(np.searchsorted(points[facing, 0], points[v, 0]), 1, len(facing) - 1))
            a, b = facing[j - 1], facing[j]
            f = np.clip((points[v, 0] - points[a, 0]) / (points[b, 0] - points[a, 0]), 0, 1)
            shift[row[v], a] += 0.5 * (1 - f)
            shift[row[v], b] += 0.5 * f
            shift[row[v], v] -= 0.5
    sides = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    length = np.linalg.norm(points[sides[:, 0]] - points[sides[:, 1]], axis=1)
    graph = sp.csr_matrix((length, (sides[:, 0], sides[:, 1])), shape=(n_vertices, n_vertices))
    distance = dijkstra(graph, directed=False, indices=seam, limit=3 * REACH)
    nearest, distance = distance.argmin(0), distance.min(0)
    follow = np.where(np.isfinite(distance), np.exp(-((distance / REACH) ** 2)), 0.0)
    spread = sp.csr_matrix((follow, (np.arange(n_vertices), nearest)), shape=(n_vertices, len(seam)))
    closing = (sp.eye(n_vertices) + spread @ shift.tocsr()).tocsr()
    return LipClosing(closing, spread @ pressed, upper, lower)


def thicker_lips(points: np.ndarray, moving: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Make the fields that stretch the lips away from the line between them.

    What a vertex does depends on its place alone, so the skin of a thin lip cannot pass through the mouth behind it.

    Args:
        points: (N, 3) mm, a face with closed lips.
        moving: (N,) bool, vertices that may move.
        upper: Vertex numbers of the upper lip's edge, corners included.
        lower: The same of the lower lip.

    Returns:
        (2, N, 3) mm: displacements for an upper and a lower lip of twice the height.
    """
    x, y = points[:, 0], points[:, 1]
    edges = [np.interp(x, points[edge, 0], points[edge, 1]) for edge in (upper, lower)]
    over = y - (edges[0] + edges[1]) / 2
    beside = np.maximum(np.abs(x) - np.abs(points[upper, 0]).max(), 0)
    share = np.exp(-((np.maximum(np.abs(over) - LIP_HEIGHT, 0) / LIP_FADE) ** 2) - (beside / LIP_FADE) ** 2)
    behind = points[upper, 2].min() - points[:, 2]
    share *= moving & (behind < LIP_BEHIND)
    fields = np.zeros((2, *points.shape), points.dtype)
    fields[0, :, 1] = share * np.maximum(over, 0)
    fields[1, :, 1] = share * np.minimum(over, 0)
    return fields
