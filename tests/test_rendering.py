"""Normals, images and their gradients against values worked out by hand."""

import math

import pytest
import torch

from helpers.camera import Camera, Pose
from helpers.lighting import DEFAULT_LIGHT, sh_basis
from helpers.rendering import render, vertex_normals
from tests.test_rasterizer import bumpy_sphere

FRONT = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1000.0]]))


def quad(half=50.0):
    """A square that faces the viewer, two triangles."""
    vertices = torch.tensor([[[-half, half, 0.0], [-half, -half, 0.0], [half, -half, 0.0], [half, half, 0.0]]])
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_a_square_is_drawn_where_and_how_bright_it_should_be():
    vertices, triangles = quad()
    camera = Camera.default(101, focal=800.0)
    albedo = torch.tensor([0.2, 0.4, 0.6]).expand(1, 4, 3)
    drawn = render(vertices, triangles, albedo, FRONT, camera, background=0.0)
    y, x = torch.meshgrid(torch.arange(101), torch.arange(101), indexing="ij")
    inside = ((x - 50).abs() <= 40) & ((y - 50).abs() <= 40)  # 50 mm · 800 px / 1000 mm
    assert torch.equal(drawn.mask[0], inside)
    received = float(sh_basis(torch.tensor([0.0, 0.0, 1.0])) @ DEFAULT_LIGHT[:, 0])
    assert torch.allclose(drawn.image[0, 50, 50], torch.tensor([0.2, 0.4, 0.6]) * received, atol=1e-5)
    assert torch.allclose(drawn.normal[0][inside], torch.tensor([0.0, 0.0, 1.0]), atol=1e-5)
    assert torch.allclose(drawn.depth[0][inside], torch.tensor(1000.0), rtol=1e-5)
    assert (drawn.image[0][~inside] == 0).all()


def test_a_sphere_has_the_depth_and_normals_of_a_sphere():
    vertices, triangles = bumpy_sphere(80)
    vertices = 70 * torch.nn.functional.normalize(vertices, dim=-1)
    normals = vertex_normals(vertices[None], triangles)
    assert (normals[0] * vertices / 70).sum(-1).min() > 0.998
    camera = Camera.default(65, focal=300.0)
    drawn = render(vertices[None], triangles, torch.ones(1, len(vertices), 3), FRONT, camera)
    assert drawn.depth[0, 32, 32] == pytest.approx(930.0, abs=0.2)
    u = 10 / 300  # a ray 10 px to the right of the centre meets the sphere where t² (1 + u²) − 2 t d + d² = r²
    t = (1000 - math.sqrt(1000**2 - (1 + u * u) * (1000**2 - 70**2))) / (1 + u * u)
    assert drawn.depth[0, 32, 42] == pytest.approx(t, abs=0.3)
    expected = torch.tensor([u * t, 0.0, 1000 - t]) / 70
    assert torch.allclose(drawn.normal[0, 32, 42], expected, atol=0.03)


def test_light_stays_with_the_viewer_when_the_head_turns():
    vertices, triangles = bumpy_sphere(60)
    vertices = 70 * torch.nn.functional.normalize(vertices, dim=-1)
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 1] = 0.5, 0.4  # from the viewer's right
    turned = Pose(torch.tensor([[0.2, 1.0, 0.3]]), FRONT.translation)
    albedo = torch.ones(1, len(vertices), 3)
    camera = Camera.default(64, focal=300.0)
    a = render(vertices[None], triangles, albedo, FRONT, camera, light=light).image
    b = render(vertices[None], triangles, albedo, turned, camera, light=light).image
    inside = (a < 0.95).all(-1) & (b < 0.95).all(-1)
    assert (a - b)[inside].abs().median() < 0.01
    assert a[0, 32, 42, 0] > a[0, 32, 22, 0] + 0.1


def test_supersampling_averages_and_smooths_the_edge():
    vertices, triangles = quad(40.3)
    camera = Camera.default(101, focal=800.0)
    albedo = torch.ones(1, 4, 3)
    smooth = render(vertices, triangles, albedo, FRONT, camera, background=0.0, supersample=4)
    hard = render(vertices, triangles, albedo, FRONT, camera, background=0.0)
    assert smooth.image.shape == hard.image.shape
    assert torch.allclose(smooth.image[0, 50, 50], hard.image[0, 50, 50], atol=1e-5)
    grey = (smooth.coverage > 0.01) & (smooth.coverage < 0.99)
    assert grey.any() and not ((hard.coverage > 0.01) & (hard.coverage < 0.99)).any()


def test_gradients_reach_vertices_albedo_light_and_pose():
    vertices, triangles = bumpy_sphere(12)
    generator = torch.Generator().manual_seed(4)
    albedo = torch.rand(1, len(vertices), 3, generator=generator)
    target = torch.rand(1, 24, 24, 3, generator=generator)
    camera = Camera.default(24, focal=100.0)
    inputs = dict(
        vertices=vertices[None].clone(),
        albedo=albedo,
        light=DEFAULT_LIGHT[None].clone(),
        rotation=torch.tensor([[0.1, 0.2, 0.0]]),
    )
    inputs = {name: value.requires_grad_() for name, value in inputs.items()}

    def loss(**kw):
        drawn = render(
            kw["vertices"], triangles, kw["albedo"], Pose(kw["rotation"], FRONT.translation), camera, light=kw["light"]
        )
        # Only pixels well inside: what happens at the outline is not differentiated.
        return ((drawn.image - target)[:, 8:16, 8:16] ** 2).sum()

    loss(**inputs).backward()
    for name, value in inputs.items():
        direction = torch.randn(value.shape, generator=generator) * value.detach().abs().mean() / 300
        ahead = {k: v.detach() + (direction if k == name else 0) for k, v in inputs.items()}
        behind = {k: v.detach() - (direction if k == name else 0) for k, v in inputs.items()}
        finite = float(loss(**ahead) - loss(**behind)) / 2
        assert float((value.grad * direction).sum()) == pytest.approx(finite, rel=0.1, abs=1e-4), name
