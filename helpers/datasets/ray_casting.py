"""A second renderer: rays through a mesh, with lamps that have a size, light from all of the sky, and skin that shines.

It shares no step with `helpers.rendering`, whose light the fit assumes: here light adds up in linear amounts, every lamp
casts a shadow with a soft edge, folds are darker than open skin (ambient occlusion), light goes round edges, redder than it
came (subsurface scattering), and oily skin has a highlight. Open3D casts the rays (Embree, on the CPU).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers._open3d import open3d
from helpers.camera import Camera, Pose, flip_axes, model_to_camera
from helpers.lighting import linear_to_srgb, srgb_to_linear
from helpers.rendering.normals import vertex_normals

SUPERSAMPLE = 2
SKY_RAYS, SKY_REACH = 24, 150.0  # of each vertex, and mm beyond which nothing darkens it
LAMP_RAYS = 4  # of each sample of a pixel
LIFT = 0.4  # mm off the skin at which a ray starts, so that it does not meet its own triangle
WRAP = (0.22, 0.10, 0.06)  # how far light goes round an edge in red, green and blue, as a cosine
REFLECTANCE = 0.028  # of skin looked at straight on


@dataclass(frozen=True)
class Studio:
    """The light of B photographs: linear amounts, by which white in full light is 1.

    Attributes:
        towards: (B, L, 3) unit vectors to the lamps, viewer axes.
        spread: (B, L) rad, half the angle that a lamp appears under.
        lamps: (B, L, 3) light of each.
        sky: (B, 3) light from above.
        ground: (B, 3) light from below.
        gloss: (B,) exponent of the highlight.
        shine: (B,) factor on the highlight.
    """

    towards: Tensor
    spread: Tensor
    lamps: Tensor
    sky: Tensor
    ground: Tensor
    gloss: Tensor
    shine: Tensor


def ray_cast(
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor,
    shine: Tensor,
    pose: Pose,
    camera: Camera,
    studio: Studio,
    background: Tensor,
) -> tuple[Tensor, Tensor]:
    """Photograph B meshes.

    Args:
        vertices: (B, V, 3) mm, model axes.
        triangles: (F, 3).
        albedo: (B, V, 3) sRGB.
        shine: (V,) factor on the highlight, by place.
        pose: of the meshes.
        camera: of the photographs.
        studio: the light.
        background: (B, H, W, 3) sRGB.

    Returns:
        Images (B, H, W, 3) sRGB, not clipped, and the triangle (B, H, W) int32 that each pixel shows, −1 for none.
    """
    seen = flip_axes(model_to_camera(vertices, pose))
    normals = vertex_normals(seen, triangles)
    images, numbers = [], []
    for b in range(len(seen)):
        scene = _Scene(seen[b], triangles, normals[b])
        fine = Camera(camera.focal[b : b + 1], camera.principal_point[b : b + 1], camera.size).scaled(
            SUPERSAMPLE
        )
        image, number = _photograph(scene, srgb_to_linear(albedo[b]), shine, fine, studio, b)
        H, W = camera.size
        backdrop = srgb_to_linear(background[b]).repeat_interleave(SUPERSAMPLE, 0)
        backdrop = backdrop.repeat_interleave(SUPERSAMPLE, 1)
        image = torch.where((number >= 0)[..., None], image, backdrop.to(image))
        image = image.view(H, SUPERSAMPLE, W, SUPERSAMPLE, 3).mean((1, 3))
        images.append(linear_to_srgb(image))
        numbers.append(number[SUPERSAMPLE // 2 :: SUPERSAMPLE, SUPERSAMPLE // 2 :: SUPERSAMPLE])
    return torch.stack(images).to(albedo), torch.stack(numbers).to(albedo.device, torch.int32)


class _Scene:
    """A mesh in viewer axes that answers where rays meet it. On the CPU."""

    def __init__(self, vertices: Tensor, triangles: Tensor, normals: Tensor):
        self.vertices, self.triangles = vertices.cpu().float(), triangles.cpu()
        self.normals = normals.cpu().float()
        self._o3d = open3d()
        self._scene = self._o3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(
            self._o3d.core.Tensor(self.vertices.numpy()),
            self._o3d.core.Tensor(self.triangles.numpy().astype(np.uint32)),
        )
        self._threads = torch.get_num_threads()

    def _rays(self, start: Tensor, towards: Tensor):
        rays = torch.cat([start, towards.expand_as(start)], -1)
        return self._o3d.core.Tensor(rays.contiguous().numpy())

    def first(self, start: Tensor, towards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distance (N,), triangle (N,) int64, −1 for none, and weights (N, 3) of its corners."""
        hit = self._scene.cast_rays(self._rays(start, towards), nthreads=self._threads)
        distance = torch.from_numpy(hit["t_hit"].numpy())
        number = torch.from_numpy(hit["primitive_ids"].numpy().astype(np.int64))
        uv = torch.from_numpy(hit["primitive_uvs"].numpy())
        number = torch.where(torch.isfinite(distance), number, -1)
        return distance, number, torch.cat([1 - uv.sum(-1, keepdim=True), uv], -1)

    def open(self, start: Tensor, towards: Tensor, reach: float = math.inf) -> Tensor:
        """(…,) 1 where nothing lies on the way, else 0."""
        hit = self._scene.test_occlusions(self._rays(start, towards), tfar=reach, nthreads=self._threads)
        return torch.from_numpy(~hit.numpy()).float()


def _photograph(
    scene: _Scene, albedo: Tensor, shine: Tensor, camera: Camera, studio: Studio, b: int
) -> tuple[Tensor, Tensor]:
    """Linear light (H, W, 3) and triangles (H, W) of one mesh."""
    H, W = camera.size
    rows, columns = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    on_plane = (torch.stack([columns, rows], -1) - camera.principal_point[0].cpu()) / camera.focal[0].cpu()
    towards = normalize(flip_axes(torch.cat([on_plane, torch.ones(H, W, 1)], -1)), dim=-1).flatten(0, 1)
    _, number, weights = scene.first(torch.zeros_like(towards), towards)
    hit = (number >= 0).nonzero()[:, 0]
    corners, weights = scene.triangles[number[hit]], weights[hit]

    light = _sky_light(scene, corners.unique(), studio, b)
    layers = torch.cat([scene.vertices, scene.normals, albedo.cpu(), light, shine.cpu()[:, None]], -1)
    mixed = (layers[corners] * weights[..., None]).sum(1)
    point, normal, colour, ambient, gloss = mixed.split([3, 3, 3, 3, 1], -1)
    normal, view = normalize(normal, dim=-1), -towards[hit]
    # Sheets like hair show their inside, too. A smoothed normal that looks away a little is seen at the skin's very edge.
    facing = (normal * view).sum(-1, keepdim=True)
    normal = torch.where(facing < -0.3, -normal, normal)
    facing = facing.where(facing >= -0.3, -facing)
    normal = normalize(normal + (0.02 - facing).clamp(min=0) * view, dim=-1)
    facing = (normal * view).sum(-1, keepdim=True)

    edge = REFLECTANCE + (0.6 - REFLECTANCE) * (1 - facing.clamp(0, 1)) ** 5
    factor, exponent = float(studio.shine[b]) * gloss, float(studio.gloss[b])
    total = colour * ambient + 0.5 * factor * edge * ambient
    generator = torch.Generator().manual_seed(b)
    wrap = torch.tensor(WRAP)
    for k in range(studio.towards.shape[1]):
        lamp = studio.towards[b, k].cpu()
        reach = _reach(scene, point, normal, lamp, float(studio.spread[b, k]), generator)[:, None]
        cosine = (normal @ lamp)[:, None]
        lit = cosine.clamp(min=0)
        round_the_edge = ((cosine + wrap) / (1 + wrap)).clamp(min=0) - lit
        diffuse = reach * lit + (0.4 + 0.6 * reach) * round_the_edge
        half = normalize(lamp + view, dim=-1)
        lobe = (exponent + 8) / (8 * math.pi) * (normal * half).sum(-1, keepdim=True).clamp(min=0) ** exponent
        highlight = reach * math.pi * edge * lobe * lit
        total = total + studio.lamps[b, k].cpu() * (colour * diffuse + factor * highlight)
    image = torch.zeros(H * W, 3)
    image[hit] = total
    return image.view(H, W, 3), number.view(H, W)


def _sky_light(scene: _Scene, vertices: Tensor, studio: Studio, b: int) -> Tensor:
    """(V, 3) light that comes from all around to these vertices, less what the head itself keeps from them."""
    ray = torch.arange(SKY_RAYS) + 0.5
    # Sunflower points on a disk, lifted to the half sphere: as many as the cosine counts.
    radius, angle = (ray / SKY_RAYS).sqrt(), ray * math.pi * (3 - 5**0.5)
    around = torch.stack([radius * angle.cos(), radius * angle.sin(), (1 - radius**2).sqrt()], -1)
    normal = scene.normals[vertices]
    towards = around @ _frames(normal)
    start = scene.vertices[vertices][:, None] + LIFT * normal[:, None] + LIFT * towards
    there = scene.open(start.expand_as(towards), towards, SKY_REACH)
    height = (towards[..., 1:2] + 1) / 2
    light = torch.lerp(studio.ground[b].cpu().expand(3), studio.sky[b].cpu().expand(3), height)
    total = torch.zeros_like(scene.vertices)
    # Skin in a fold is lit by skin: the occluded part is not black.
    bounce = light.new_tensor([0.30, 0.18, 0.14])
    total[vertices] = (torch.lerp(light * bounce, light, there[..., None])).mean(1)
    return total


def _reach(
    scene: _Scene, point: Tensor, normal: Tensor, lamp: Tensor, spread: float, generator: torch.Generator
) -> Tensor:
    """(N,) share of a lamp that points see."""
    ray = torch.arange(LAMP_RAYS) + 0.5
    angle = ray * math.pi * (3 - 5**0.5) + 2 * math.pi * torch.rand(len(point), 1, generator=generator)
    radius = math.tan(spread) * (ray / LAMP_RAYS).sqrt()
    frame = _frames(lamp[None])[0]
    aside = (radius * angle.cos())[..., None] * frame[0] + (radius * angle.sin())[..., None] * frame[1]
    towards = normalize(lamp + aside, dim=-1)
    start = (point + LIFT * normal)[:, None] + LIFT * towards
    return scene.open(start, towards).mean(1)


def _frames(normal: Tensor) -> Tensor:
    """(N, 3, 3) axes whose last row is the normal (N, 3)."""
    other = torch.where(
        normal[:, :1].abs() < 0.7, normal.new_tensor([1.0, 0, 0]), normal.new_tensor([0, 1.0, 0])
    )
    first = normalize(torch.linalg.cross(other, normal), dim=-1)
    return torch.stack([first, torch.linalg.cross(normal, first), normal], 1)
