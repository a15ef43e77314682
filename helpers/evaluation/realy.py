"""Errors by part of the face, each part aligned by itself: the protocol of the REALY benchmark.

A face may be right about the nose and wrong about the chin. One alignment of the whole mixes both; here the nose, the mouth,
the forehead and the cheeks of a scan are each laid on the face by themselves. The nearest place on the face is often not the
one that belongs to a point of the scan, so each part of the scan is also bent smoothly onto the face, and its points have the
places next to which they end as partners.

As published: a similarity of seven landmarks; then, for each part, rigid ICP by points from scan to face with the part's
landmarks held at the weight of all its vertices (a quarter of it for the cheeks), 100 rounds at most; then the bending, the
landmarks first, but for the cheeks, and ever softer after; the error, called NMSE there, is the mean distance in mm of the
part's vertices from their partners.

Ours: the parts are those of the open face model, laid over the scan by its landmarks, not masks made by hand for each scan,
so eyes and brows go with the forehead and the chin with the cheeks; 68 landmarks, not 85, so none lie on the cheeks; the size
is that of least squares; ICP ends where nothing moves; and the bending shifts vertices, where theirs gives each an affine map of
its own, with a stiffness that is ours.
The numbers compare faces on your scans, and are not those of the benchmark's list.

Source:
    Z. Chai et al., "REALY: Rethinking the evaluation of 3D face reconstruction", 2022, and its evaluation code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_matrix, diags, identity
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from helpers.errors import UserError
from helpers.evaluation.icp import IcpSettings, icp, search_tree
from helpers.evaluation.protocol import Protocol, ScanError, initial_motion, scan_error
from helpers.evaluation.regions import face_regions
from helpers.evaluation.scans import NOW_SEVEN
from helpers.evaluation.surface import Nearest, Surface
from helpers.face_model import MorphableModel, load

# Of which parts of `face_regions` each is made.
PARTS = {
    "nose": ("nose",),
    "mouth": ("mouth",),
    "forehead": ("forehead", "brows", "eyes"),
    "cheek": ("cheeks", "chin"),
}
MOUTH = (*range(48, 61), 64)
# Of the 68 landmarks, those that ICP holds together.
HELD = {
    "nose": tuple(range(27, 36)),
    "mouth": MOUTH,
    "forehead": (*range(17, 27), *range(36, 48)),
    "cheek": (*MOUTH, 36, 39, 40, 41, 42, 45, 46, 47, 7, 8, 9),
}
PULLED = ("nose", "mouth", "forehead")  # parts whose bending is led by their landmarks; the cheeks' is not
HELD_WEIGHT = {"cheek": 0.25}  # of all vertices together; 1 for the other parts
REALY = IcpSettings(step="point", keep=1.0, rounds=100, sample=10**9)
COVERED = 15.0  # mm off the laid-over face model, beyond which a vertex of the scan belongs to no part
STIFFNESS = (30.0, 10.0, 3.0, 1.0)  # of the edges, against 1 for each vertex
LANDMARK_WEIGHT = 50.0  # at first, where only they pull; a tenth of it later


def realy_errors(
    model: Surface, scan: Surface, parts: dict[str, np.ndarray] | None = None
) -> dict[str, ScanError]:
    """Measure a face against a scan, part by part.

    Args:
        model: The face, with seven landmarks or more (corners of the eyes, base of the nose, corners of the mouth).
        scan: Its scan, with as many, and triangles.
        parts: (V,) bool by part, which vertices of the scan belong to it; None for `scan_parts`.

    Returns:
        By part: the distances of its vertices from their partners, whose `mean` is the benchmark's number, and the motion of
        the face, its size that of the landmarks.

    Raises:
        UserError: For landmarks or triangles that are missing, and a part of fewer than 20 vertices.
    """
    if scan.triangles is None or model.triangles is None:
        bare = scan if scan.triangles is None else model
        raise UserError(f"{bare.name or 'the surface'}: has no triangles, which REALY's protocol needs")
    start = initial_motion(model, scan, scale=True, start_points=NOW_SEVEN)
    sized = model.moved(start)
    finder = search_tree(sized, scan, REALY)
    errors = {
        part: _part_error(sized, scan, part, np.flatnonzero(inside), finder)
        for part, inside in (parts or scan_parts(scan)).items()
    }
    return {part: replace(error, motion=error.motion.after(start)) for part, error in errors.items()}


def scan_parts(scan: Surface, model: MorphableModel | None = None) -> dict[str, np.ndarray]:
    """The parts of a scan: those of a face model's mean face that is laid over it, size free.

    Args:
        scan: With three landmarks or more.
        model: Has landmarks; None for the open one.

    Returns:
        Name to (V,) bool, for each of `PARTS`.
    """
    model = model or load("open", level=1, device="cpu")
    mean = Surface.of(model.mean_shape, model.triangles, model.landmarks)
    laid = scan_error(mean, scan, Protocol(scale=True)).motion(mean.vertices)
    regions = {name: weights.cpu().numpy() > 0 for name, weights in face_regions(model).items()}
    distance, nearest = KDTree(laid).query(scan.vertices)
    return {
        part: (distance <= COVERED) & np.any([regions[name] for name in names], axis=0)[nearest]
        for part, names in PARTS.items()
    }


def _part_error(model: Surface, scan: Surface, part: str, query: np.ndarray, finder: Nearest) -> ScanError:
    if len(query) < 20:
        raise UserError(f"{scan.name or 'scan'}: only {len(query)} vertices belong to the part {part!r}")
    known = [k for k in HELD[part] if np.isfinite(model.landmarks[k] + scan.landmarks[k]).all()]
    marks = model.landmarks[known], scan.landmarks[known]
    times = int(HELD_WEIGHT.get(part, 1.0) * len(query) / max(1, len(known)))
    held = (np.repeat(marks[0], times, axis=0), np.repeat(marks[1], times, axis=0))
    found = icp(model, scan, REALY, query=query, finder=finder, held=held)
    # Partners are looked for where the tree stands: the scan is moved back.
    points = found.motion.back(scan.vertices[query])
    led = len(known) if part in PULLED else 0
    places = found.motion.back(marks[1])[:led]
    corners = KDTree(points).query(places)[1]
    assert scan.triangles is not None  # `realy_errors` has looked
    bent = _bent(points, _edges(scan.triangles, query), finder, corners, marks[0][:led] - places)
    distance = np.linalg.norm(finder(bent)[0] - points, axis=1)
    return ScanError.of(distance, query, found)


def _edges(triangles: np.ndarray, query: np.ndarray) -> np.ndarray:
    """(E, 2) edges among the vertices `query`, by their places in it."""
    place = np.full(triangles.max() + 1, -1)
    place[query[query <= triangles.max()]] = np.flatnonzero(query <= triangles.max())
    pairs = np.sort(place[triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)], axis=1)
    return np.unique(pairs[pairs[:, 0] >= 0], axis=0)


def _bent(
    points: np.ndarray, edges: np.ndarray, finder: Nearest, corners: np.ndarray, pulls: np.ndarray
) -> np.ndarray:
    """Vertices (N, 3) bent towards a surface: Σ w |x + d − y|² + s Σ_edges |d − d'|² + l Σ_landmarks |d − p|², ever softer.

    Args:
        points: x (N, 3) mm.
        edges: (E, 2).
        finder: Gives y, the nearest places.
        corners: (K,) which vertices are nearest to landmarks.
        pulls: p (K, 3) mm, from the landmarks to those of the surface.
    """
    N = len(points)
    ends = np.repeat(np.arange(len(edges)), 2), edges.ravel()
    difference = coo_matrix((np.tile([1.0, -1.0], len(edges)), ends), (len(edges), N))
    smooth = (difference.T @ difference).tocsc()
    pull = np.bincount(corners, minlength=N).astype(float)
    goal = np.zeros((N, 3))
    np.add.at(goal, corners, pulls)
    move = np.zeros((N, 3))
    for number, stiffness in enumerate((STIFFNESS[0], *STIFFNESS)):
        first = number == 0  # landmarks alone
        if first and not len(corners):
            continue
        strength = LANDMARK_WEIGHT * (1.0 if first else 0.1 * np.exp(-0.9 * number))
        for _ in range(1 if first else 5):
            near = finder(points + move)[0] - points
            apart = np.linalg.norm(near - move, axis=1)
            weight = 0.0 * apart if first else (apart <= max(2 * apart.mean(), 1.0)).astype(float)
            H = stiffness * smooth + diags(weight + strength * pull) + 1e-9 * identity(N)
            move = splu(H.tocsc()).solve(weight[:, None] * near + strength * goal)
    return points + move
