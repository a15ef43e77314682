"""The rasteriser against Open3D, and whole renders a second."""

from __future__ import annotations

import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.rasterizer import rasterize
from helpers.rendering import render
from tests.bench.registry import bench, best, faster, model, peak_mb, turned_heads


def raster_against_open3d(batch: int, size: int = 224) -> dict:
    """ms an image, against Open3D building its scene and casting one ray a pixel."""
    import numpy as np

    from helpers._open3d import open3d

    o3d = open3d()
    vertices, pose = turned_heads(batch)
    focal = 1000 * size / 224
    camera = Camera.default(size, focal, batch=batch)
    in_camera = model_to_camera(vertices, pose)
    points, triangles = project(in_camera, camera), model(2).triangles
    ours = best(lambda: rasterize(points, triangles, (size, size)), 10)
    v, u = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    middle = (size - 1) / 2
    direction = np.stack([(u - middle) / focal, (v - middle) / focal, np.ones_like(u)], -1)
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


@bench
def raster_512_b1_vs_open3d() -> dict:
    return raster_against_open3d(1, 512)


@bench
def raster_512_b16_vs_open3d() -> dict:
    return raster_against_open3d(16, 512)


@bench
def render_low_poly() -> dict:
    """ms for an image of 512 px that a sphere of 200 triangles fills, against one of 50,000 small ones."""

    def seconds(rings: int, sectors: int) -> float:
        vertices, triangles = ball(rings, sectors)
        camera = Camera.default(512, focal=1000.0)
        pose = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 400.0]]))
        with torch.no_grad():
            return best(
                lambda: render(vertices[None], triangles, torch.ones_like(vertices)[None], pose, camera), 10
            )

    few, many = seconds(11, 10), seconds(159, 158)
    return faster(1e3 * few, "ms/image", 1e3 * many)


def ball(rings: int, sectors: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A sphere of radius 100 mm: 2 · (rings − 1) · sectors triangles."""
    theta = torch.linspace(0, torch.pi, rings)[:, None]
    phi = torch.arange(sectors) * (2 * torch.pi / sectors)
    x, z, y = theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos().expand(-1, sectors)
    i = torch.arange(rings * sectors).view(rings, sectors)
    a, b = i[:-1], i[1:]
    c, d = b.roll(-1, 1), a.roll(-1, 1)
    triangles = torch.cat([torch.stack([a, d, b], -1), torch.stack([d, c, b], -1)])
    return 100 * torch.stack([x, y, z], -1).view(-1, 3), triangles.view(-1, 3)


@bench
def render_memory() -> dict:
    """kB that the process grew by over 10,000 renders of 32 px, after the first thousand."""
    vertices, triangles = ball(20, 20)
    camera, colours = Camera.default(32, focal=60.0), torch.ones_like(vertices)[None].expand(2, -1, -1)
    pose = Pose(torch.zeros(2, 3), torch.tensor([[0.0, 0.0, 400.0]] * 2))

    def largest(n: int) -> float:
        with torch.no_grad():
            for _ in range(n):
                render(vertices[None], triangles, colours, pose, camera)
        return 1024 * peak_mb()

    peak_mb(reset=True)
    before = largest(1000)
    return faster(max(0.0, largest(10_000) - before), "kB grown")


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
