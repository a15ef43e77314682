"""Ambient occlusion: how much of the surroundings each vertex sees."""

from __future__ import annotations

import numpy as np

from helpers._open3d import open3d


def exposure(
    vertices: np.ndarray, triangles: np.ndarray, normals: np.ndarray, n_directions: int = 96
) -> np.ndarray:
    """Compute how much of the surroundings each vertex sees.

    Args:
        vertices: (V, 3) mm.
        triangles: (F, 3).
        normals: (V, 3), of unit length.
        n_directions: Of which those in front of the face are tried.

    Returns:
        (V,) cosine-weighted share of the directions in front of the face that are not blocked, 0 to 1.
    """
    o3d = open3d()
    core = o3d.core
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(core.Tensor(vertices.astype(np.float32)), core.Tensor(triangles.astype(np.uint32)))
    i = np.arange(n_directions) + 0.5  # a Fibonacci sphere
    z, turn = 1 - 2 * i / n_directions, np.pi * (1 + 5**0.5) * i
    directions = np.column_stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z])
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    start = vertices + 0.5 * normals  # off the surface, or a vertex would block itself
    for direction in directions[directions[:, 2] > -0.3]:
        weight = np.clip(normals @ direction, 0, None)
        facing = np.flatnonzero(weight > 0)
        rays = np.concatenate([start[facing], np.broadcast_to(direction, (len(facing), 3))], axis=1)
        blocked = scene.test_occlusions(core.Tensor(rays.astype(np.float32))).numpy()
        seen[facing] += weight[facing] * ~blocked
        total += weight
    return seen / np.maximum(total, 1e-6)
