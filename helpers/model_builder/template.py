"""The control mesh: which part of the body is the face, and how its vertices follow from the body's.

Three things are added to the cropped skin: eyeballs in the lid openings, a floor in the mouth and a strip of
upper teeth. Everything that depends on a person's shape is in `Template.control_points`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from helpers.model_builder import patches
from helpers.model_builder.head import Rest, build_rest
from helpers.model_builder.lips import LipClosing, lip_closing
from helpers.model_builder.mesh import boundary_loops, smooth_loop, snap_loop
from helpers.model_builder.wheel import DECIMETRE, MakeHuman

# MakeHuman's helper geometry holds one ball of 72 vertices for each eye.
RIGHT_EYE = np.arange(14670, 14742)  # the subject's right, x < 0
LEFT_EYE = np.arange(14598, 14670)
RACES, SEXES = ("african", "asian", "caucasian"), ("male", "female")
RIM_SIZE = 28  # vertices around a lid opening
CAVITY_RINGS = 2  # quad rings of the mouth cavity that are kept behind the lips


@dataclass(frozen=True)
class Template:
    """Topology of the control mesh and the rule that places its vertices.

    Attributes:
        quads: (Q, 4).
        source: (M,) body vertices that are read: for the skin, for the rest of the head, and 144 of the eyes.
        crop: Places the skin vertices, of which there are n_skin.
        eyes: Two patches, the subject's right first.
        mouth: The patch behind the lips.
        teeth: Grid (rows, columns) of vertex numbers.
        seam: (38,) skin vertices where the lips meet the cavity.
        inner: (N,) 1 inside the cavity.
        uv: (N, 2).
        lips: Closes them.
        rest: The rest of the head, whose R vertices follow the face's N.
    """

    quads: np.ndarray
    source: np.ndarray
    crop: sp.csr_matrix
    eyes: tuple[patches.Patch, patches.Patch]
    mouth: patches.Patch
    teeth: np.ndarray
    seam: np.ndarray
    inner: np.ndarray
    uv: np.ndarray
    lips: LipClosing
    rest: Rest

    @property
    def n_vertices(self) -> int:
        """N, of the face's control mesh."""
        return self.teeth.max() + 1

    @property
    def n_skin(self) -> int:
        """Number of the skin's vertices, which come first."""
        return self.crop.shape[0]

    @property
    def n_head(self) -> int:
        """N + R, of the face and the rest of the head."""
        return self.n_vertices + self.rest.place.shape[0]

    def skin_only(self, body: np.ndarray) -> np.ndarray:
        """Take a body displacement (19158, 3) to the control mesh (N, 3), zero on eyes, mouth floor and teeth."""
        out = np.zeros((self.n_vertices, 3))
        out[: self.n_skin] = self.crop @ body[self.source[: self.crop.shape[1]]]
        return out

    def control_points(self, body: np.ndarray, close_lips: bool = True) -> np.ndarray:
        """Place the control vertices of people.

        Args:
            body: (n, M, 3) mm, body vertices in the order of `source`.
            close_lips: Whether the lips are to be closed.

        Returns:
            (n, N + R, 3) mm, the face and then the rest of the head.
        """
        n_rest = len(self.rest.source)
        skin, back = body[:, : -n_rest - 144], body[:, -n_rest - 144 : -144]
        right_eye, left_eye = body[:, -144:-72], body[:, -72:]
        out = np.zeros((len(body), self.n_vertices, 3), body.dtype)
        flat = self.crop @ skin.transpose(1, 0, 2).reshape(skin.shape[1], -1)
        out[:, : self.n_skin] = flat.reshape(self.n_skin, len(body), 3).transpose(1, 0, 2)
        for patch, ball in zip(self.eyes, (right_eye, left_eye), strict=True):
            patches.fill_eye(out, patch, ball)
        patches.fill_mouth(out, self.mouth)
        if close_lips:
            out = self.lips.apply(out)
        patches.place_teeth(out, self.teeth, self.lips.upper)
        both = np.concatenate([out, back], axis=1)
        flat = self.rest.place @ both.transpose(1, 0, 2).reshape(both.shape[1], -1)
        placed = flat.reshape(-1, len(body), 3).transpose(1, 0, 2).astype(body.dtype)
        return np.concatenate([out, placed], axis=1)


def average_adult(human: MakeHuman) -> np.ndarray:
    """Compute the mean young adult of all groups: (19158, 3) mm, origin between the eyes."""
    mean = human.vertices * DECIMETRE
    for race in RACES:
        for sex in SEXES:
            mean = mean + human.target(f"macrodetails/{race}-{sex}-young") / 6
            mean = mean + human.target(f"macrodetails/universal-{sex}-young-averagemuscle-averageweight") / 6
    return mean - (mean[LEFT_EYE].mean(0) + mean[RIGHT_EYE].mean(0)) / 2


def inside_crop(points: np.ndarray) -> np.ndarray:
    """Compute a value like a signed distance, positive where a point belongs to the face.

    Three planes with rounded joints: hairline (lower towards the ears), behind the ears, and the neck.

    Args:
        points: (..., 3) mm.

    Returns:
        (...) mm.
    """
    y, z = points[..., 1], points[..., 2]
    hairline = 66 + 0.36 * (z - 15) - y
    back = z + 102 - 0.58 * np.clip(-48 - y, 0, None)
    neck = y + 126 + 0.30 * (z + 40)
    softness = 9.0
    near = [np.exp(-np.clip(p / softness, -50, 50)) for p in (hairline, back, neck)]
    return -softness * np.log(near[0] + near[1] + near[2])


def uv_islands(human: MakeHuman) -> np.ndarray:
    """Number the connected pieces of the UV map: (F,), the piece that each quad lies in.

    MakeHuman unwraps face, mouth cavity, each eye cavity, torso and limbs as pieces of their own, so the
    pieces tell skin from cavities.
    """
    a, b = human.quad_uv.ravel(), np.roll(human.quad_uv, -1, axis=1).ravel()
    graph = sp.csr_matrix((np.ones(len(a)), (a, b)), shape=(len(human.uv),) * 2)
    return connected_components(graph, directed=False)[1][human.quad_uv[:, 0]]


def split_quads(human: MakeHuman, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell skin from mouth cavity, both (F,) bool: skin is the face's and the torso's piece of the UV map."""
    island = np.where(human.is_body, uv_islands(human), -1)
    centre = points[human.quads].mean(1)
    pieces = {i: centre[island == i].mean(0) for i in np.unique(island[island >= 0])}
    central = {i: c for i, c in pieces.items() if abs(c[0]) < 3}
    sizes = {i: int((island == i).sum()) for i in central}
    cavity = min(sizes, key=lambda i: sizes[i])
    skin = np.isin(island, [i for i in central if i != cavity])
    return skin, island == cavity


def build_template(human: MakeHuman) -> Template:
    """Cut the face out of the body and add eyes, mouth and teeth."""
    points = average_adult(human)
    skin, cavity = split_quads(human, points)
    keep_skin = skin & (inside_crop(points[human.quads].mean(1)) > 0)
    keep_cavity, seam = cavity_rings(human, points, skin, cavity)
    faces = human.quads[keep_skin | keep_cavity]
    used = np.unique(faces)
    number = np.full(len(points), -1)
    number[used] = np.arange(len(used))

    source, crop = snap_boundary(points, faces, used, human.quads[skin])
    loops = boundary_loops(faces)
    rims = sorted(
        (r for r in loops if len(r) == RIM_SIZE and abs(points[r, 0].mean()) > 15),
        key=lambda r: points[r, 0].mean(),
    )
    inner_loop = min(loops, key=lambda r: np.abs(points[r].mean(0) - points[seam].mean(0)).sum())

    # A hole's boundary runs against the orientation of what fills it.
    quads, n, eyes = [number[faces]], len(used), []
    for rim in rims:
        patch, new = patches.disc(number[np.array(rim)[::-1]], rings=patches.EYE_RINGS, first=n)
        eyes.append(patch)
        quads.append(new)
        n = patch.centre + 1
    mouth, new = patches.disc(number[np.array(inner_loop)[::-1]], rings=patches.MOUTH_RINGS, first=n)
    quads.append(new)
    teeth, new = patches.strip(first=mouth.centre + 1)
    quads.append(new)
    n = teeth.max() + 1

    inner = np.zeros(n)
    inner[number[np.setdiff1d(human.quads[keep_cavity], seam)]] = 1
    uv = np.zeros((n, 2))
    for part in (keep_cavity, keep_skin):  # the seam takes the skin's coordinates
        uv[number[human.quads[part]]] = human.uv[human.quad_uv[part]]
    all_quads = np.concatenate(quads)
    seam = number[np.array(seam)]
    lips = lip_closing(crop @ points[source], all_quads[(all_quads < len(used)).all(1)], seam, n)
    rest = build_rest(points, human.quads[skin], human.quads[keep_skin], number, n)
    both_eyes = np.concatenate([RIGHT_EYE, LEFT_EYE])
    return Template(
        all_quads,
        np.concatenate([source, rest.source, both_eyes]),
        crop,
        tuple(eyes),
        mouth,
        teeth,
        seam,
        inner,
        uv,
        lips,
        rest,
    )


def cavity_rings(
    human: MakeHuman, points: np.ndarray, skin: np.ndarray, cavity: np.ndarray
) -> tuple[np.ndarray, list[int]]:
    """Find the first quad rings behind the lips, (F,) bool, and the loop of body vertices where skin ends."""
    loops = boundary_loops(human.quads[skin])
    # The openings of the skin on the midline and in front: the mouth.
    seam = max(
        (r for r in loops if abs(points[r, 0].mean()) < 3 and points[r, 1].mean() > -90),
        key=lambda r: points[r, 2].mean(),
    )
    reached = np.zeros(len(points), bool)
    reached[seam] = True
    keep = np.zeros(len(skin), bool)
    for _ in range(CAVITY_RINGS):
        keep |= cavity & reached[human.quads].any(1)
        reached[human.quads[keep]] = True
    return keep, seam


def snap_boundary(
    points: np.ndarray, faces: np.ndarray, used: np.ndarray, skin_quads: np.ndarray
) -> tuple[np.ndarray, sp.csr_matrix]:
    """Slide the outer boundary vertices along mesh edges onto the cutting surface, then even the curve out.

    Without this the crop would end in stairs, because it follows whole quads.

    Args:
        points: (19158, 3) mm, the average adult.
        faces: (F, 4), the quads that are kept.
        used: (n_used,) their vertices.
        skin_quads: All quads of the skin.

    Returns:
        The body vertices that are read, (M,), and the matrix (n_used, M) that places the kept ones.
    """
    outer = max(boundary_loops(faces), key=len)
    moved = snap_loop(points, inside_crop(points), outer, skin_quads)
    source = np.unique(np.concatenate([used, [other for other, _ in moved.values()]]).astype(int))
    column = np.full(len(points), -1)
    column[source] = np.arange(len(source))
    crop = sp.lil_matrix((len(used), len(source)))
    crop[np.arange(len(used)), column[used]] = 1
    position = {v: i for i, v in enumerate(used)}
    for v, (other, t) in moved.items():
        crop[position[v], column[v]] = 1 - t
        crop[position[v], column[other]] = t
    return source, smooth_loop(crop.tocsr(), np.array([position[v] for v in outer]))
