"""Camera, light and image against values worked out by hand."""

import math

import pytest
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.lighting import DEFAULT_LIGHT, sh_basis, shade
from helpers.rendering import render, vertex_normals
from tests.test_rasterizer import bumpy_sphere

FRONT = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1000.0]]))


def quad(half=50.0):
    """A square that faces the viewer, two triangles."""
    vertices = torch.tensor([[[-half, half, 0.0], [-half, -half, 0.0], [half, -half, 0.0], [half, half, 0.0]]])
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_a_point_lands_where_the_pinhole_says():
    camera = Camera.default((100, 200), focal=500.0)
    point = torch.tensor([[[10.0, 20.0, 30.0]]])  # right, up, towards the viewer
    u, v, depth = project(model_to_camera(point, FRONT), camera)[0, 0]
    assert depth == pytest.approx(970.0)
    assert u == pytest.approx(99.5 + 500 * 10 / 970)
    assert v == pytest.approx(49.5 - 500 * 20 / 970)


def test_signs_of_yaw_pitch_and_roll():
    nose = torch.tensor([[[0.0, 0.0, 100.0]]])

    def turned(*rotation):
        return Pose(torch.tensor([rotation]) * math.pi / 180, FRONT.translation)

    yaw, pitch = turned(0.0, 20.0, 0.0), turned(-20.0, 0.0, 0.0)
    assert model_to_camera(nose, yaw)[0, 0, 0] > 30  # to the viewer's right
    assert model_to_camera(nose, pitch)[0, 0, 1] < -30  # up: y of the camera points down
    assert torch.allclose(yaw.yaw_pitch_roll(), torch.tensor([[20.0, 0.0, 0.0]]), atol=1e-3)
    assert torch.allclose(pitch.yaw_pitch_roll(), torch.tensor([[0.0, 20.0, 0.0]]), atol=1e-3)
    assert torch.allclose(turned(0.0, 0.0, 15.0).yaw_pitch_roll(), torch.tensor([[0.0, 0.0, 15.0]]), atol=1e-3)


def test_a_scaled_camera_sees_the_same():
    camera = Camera.default(64, focal=300.0)
    points = model_to_camera(torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(0)) * 40, FRONT)
    small, large = project(points, camera), project(points, camera.scaled(3))
    # Pixel p covers the large pixels 3p, 3p + 1, 3p + 2.
    assert torch.allclose(large[..., :2], 3 * small[..., :2] + 1, atol=1e-3)


def test_harmonics_are_orthogonal_over_the_sphere():
    generator = torch.Generator().manual_seed(1)
    normals = torch.nn.functional.normalize(torch.randn(400_000, 3, generator=generator), dim=-1)
    basis = sh_basis(normals)
    gram = basis.T @ basis / len(basis)
    off = gram - torch.diag(gram.diagonal())
    assert off.abs().max() < 0.01
    assert torch.allclose(gram.diagonal()[:4], torch.tensor([1.0, 1 / 3, 1 / 3, 1 / 3]), atol=0.01)


def test_shading_by_hand():
    light = torch.zeros(1, 9, 3)
    light[:, 0], light[:, 3] = 0.5, 0.25
    normal = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]])
    colour = shade(torch.full((1, 3, 3), 0.8), normal, light)
    assert torch.allclose(colour[0, :, 0], torch.tensor([0.8 * 0.75, 0.8 * 0.25, 0.8 * 0.5]))


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
