"""What a scanner sees of a head: points spread over its outer surface near the tip of the nose."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from helpers._open3d import open3d
from helpers.errors import UserError
from helpers.evaluation.protocol import RADIUS, Protocol, scan_error
from helpers.evaluation.surface import Surface
from helpers.mesh_normals import triangle_normals

YAWS, PITCHES = (
    (-60.0, -30.0, 0.0, 30.0, 60.0),
    (-15.0, 0.0),
)  # degrees: from below one would look into the nostrils
SIZE_FREE = Protocol(scale=True)  # a photograph cannot tell a large head from a near one
FACING = 0.1  # least cosine between a point's normal and the view


def outer_surface(head: Surface, *, radius: float = RADIUS, points: int = 12_000, seed: int = 0) -> Surface:
    """Points of a mesh that are seen from in front, from the sides or from above: no nostrils, no inside of the mouth.

    Args:
        head: A mesh whose nose tip is known, looking along z.
        radius: mm about it.
        points: Drawn over the triangles near it, evenly by area; those that are hidden are then left out.
        seed: Of the draw.

    Returns:
        The points, without triangles, with the head's landmarks: a scan for `scan_error`.

    Raises:
        UserError: The nose tip is not known, the surface has no triangles, or nothing of it is seen within the radius.
    """
    if head.triangles is None:
        raise UserError(f"{head.name or 'the surface'}: has no triangles, so what hides what is not known")
    rng, corners = np.random.default_rng(seed), head.vertices[head.triangles]
    near = np.linalg.norm(corners.mean(1) - head.nose, axis=1) < radius + 10
    a, b, c = corners.transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * near
    if not area.sum() > 0:
        raise UserError(f"{head.name or 'the surface'}: nothing within {radius:g} mm of the nose tip")
    number = rng.choice(len(area), points, p=area / area.sum())
    r, s = np.sqrt(rng.random((points, 1))), rng.random((points, 1))
    drawn = (1 - r) * a[number] + r * (1 - s) * b[number] + r * s * c[number]
    normal = triangle_normals(head.vertices, head.triangles)[number]
    inside = np.linalg.norm(drawn - head.nose, axis=1) <= radius
    seen = _seen(head, drawn, normal) & inside
    if not seen.any():
        raise UserError(f"{head.name or 'the surface'}: nothing is seen within {radius:g} mm of the nose tip")
    return dataclasses.replace(head, vertices=drawn[seen], triangles=None)


def outer_rmse(face: Surface, outer: Surface) -> float:
    """3DRMSE in mm from the points of an `outer_surface` to a face, after ICP with rotation, translation and size."""
    return scan_error(face, outer, SIZE_FREE).rmse


def _seen(head: Surface, points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(N,) whether points are seen from at least one of the directions."""
    o3d = open3d()
    scene = o3d.t.geometry.RaycastingScene()
    assert head.triangles is not None
    scene.add_triangles(
        o3d.core.Tensor((head.vertices - head.nose).astype(np.float32)),
        o3d.core.Tensor(head.triangles.astype(np.uint32)),
    )
    seen = np.zeros(len(points), bool)
    for yaw in YAWS:
        for pitch in PITCHES:
            view = Rotation.from_euler("YX", [yaw, pitch], degrees=True).apply([0.0, 0.0, 1.0])
            cosine = normal @ view
            start = points - head.nose + 0.05 * normal
            rays = np.concatenate([start, np.broadcast_to(view, start.shape)], 1).astype(np.float32)
            seen |= (cosine > FACING) & ~scene.test_occlusions(o3d.core.Tensor(rays)).numpy()
    return seen
