"""The rasteriser against Open3D, and whole renders a second."""

from __future__ import annotations

import torch

from helpers.camera import Camera, model_to_camera, project
from helpers.rasterizer import rasterize
from helpers.rendering import render

from .registry import bench, best, faster, model, turned_heads


def raster_against_open3d(batch: int) -> dict:
    """ms an image, against Open3D building its scene and casting one ray a pixel."""
    import numpy as np

    from helpers._open3d import open3d

    o3d = open3d()
    vertices, pose = turned_heads(batch)
    camera = Camera.default(224, batch=batch)
    in_camera = model_to_camera(vertices, pose)
    points, triangles = project(in_camera, camera), model(2).triangles
    ours = best(lambda: rasterize(points, triangles, (224, 224)), 10)
    v, u = np.meshgrid(np.arange(224), np.arange(224), indexing="ij")
    direction = np.stack([(u - 111.5) / 1000, (v - 111.5) / 1000, np.ones_like(u)], -1)
    rays = o3d.core.Tensor(np.concatenate([np.zeros_like(direction), direction], -1).astype(np.float32))
    faces = triangles.numpy().astype(np.uint32)

    def cast():
        for mesh in in_camera.numpy():
            scene = o3d.t.geometry.RaycastingScene()
            scene.add_triangles(mesh, faces)
            scene.cast_rays(rays)

    return faster(1e3 * ours / batch, "ms/image", 1e3 * best(cast, 3) / batch)


@bench
def raster_224_b1_vs_open3d() -> dict:
    return raster_against_open3d(1)


@bench
def raster_224_b16_vs_open3d() -> dict:
    return raster_against_open3d(16)


def renders(level: int, size: int, batch: int = 16) -> dict:
    face = model(level)
    people = face.sample(batch, generator=torch.Generator().manual_seed(2))
    vertices, colours = face.shape(people.alpha), face.texture(people.beta)
    _, pose = turned_heads(batch)
    camera = Camera.default(size, focal=1000 * size / 224, batch=batch)
    with torch.no_grad():
        seconds = best(lambda: render(vertices, face.triangles, colours, pose, camera))
    return faster(batch / seconds, "images/s")


@bench
def renders_112_53k() -> dict:
    return renders(2, 112)


@bench
def renders_64_13k() -> dict:
    return renders(1, 64)
