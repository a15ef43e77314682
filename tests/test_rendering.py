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


def test_gradients_of_the_whole_path_in_float64():
    vertices, triangles = quad()
    vertices = torch.cat([vertices, vertices.new_tensor([[[0.0, 0.0, 30.0]]])], 1).double()  # a tent
    triangles = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    generator = torch.Generator().manual_seed(5)
    inputs = [
        vertices,
        torch.rand(1, 5, 3, generator=generator).double(),
        torch.randn(1, 9, 3, generator=generator).double(),
        torch.tensor([[0.05, -0.1, 0.02]]).double(),
        torch.tensor([[1.0, 2.0, 1000.0]]).double(),
    ]
    camera = Camera.default(12, focal=150.0, dtype=torch.float64)

    def image_and_depth(vertices, albedo, light, rotation, translation):
        drawn = render(vertices, triangles, albedo, Pose(rotation, translation), camera, light=light)
        assert drawn.mask.sum() > 100
        return drawn.image.sum(0), drawn.depth[drawn.mask].sum()

    inputs = [value.requires_grad_() for value in inputs]
    assert torch.autograd.gradcheck(image_and_depth, inputs, fast_mode=True)


def test_supersampling_keeps_depth_and_triangles_at_the_size_asked_for():
    vertices, triangles = quad()
    camera = Camera.default((20, 30), focal=80.0)
    plain = render(vertices, triangles, torch.ones(1, 4, 3), FRONT, camera)
    smooth = render(vertices, triangles, torch.ones(1, 4, 3), FRONT, camera, supersample=3)
    assert smooth.image.shape == (1, 20, 30, 3)
    for name in ("depth", "normal", "triangle_id", "barycentric", "mask"):
        assert torch.equal(getattr(plain, name), getattr(smooth, name))


def test_one_face_from_several_sides_is_each_side_alone():
    vertices, triangles = bumpy_sphere(20)
    albedo = torch.rand(1, len(vertices), 3, generator=torch.Generator().manual_seed(6))
    turns = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.4, 0.0, 0.2]])
    poses = Pose(turns, FRONT.translation.repeat(3, 1))
    camera = Camera.default(32, focal=150.0)
    together = render(vertices[None], triangles, albedo, poses, camera)
    for b in range(3):
        alone = render(vertices[None], triangles, albedo, Pose(turns[b : b + 1], FRONT.translation), camera)
        assert torch.allclose(alone.image[0], together.image[b], atol=1e-5)
        assert torch.equal(alone.triangle_id[0], together.triangle_id[b])


def test_the_background_shows_where_no_face_is():
    vertices, triangles = quad(20.0)
    camera = Camera.default(16, focal=100.0)
    picture = torch.rand(1, 16, 16, 3, generator=torch.Generator().manual_seed(7))
    drawn = render(vertices, triangles, torch.ones(1, 4, 3), FRONT, camera, background=picture)
    assert torch.equal(drawn.image[~drawn.mask], picture[~drawn.mask])
    assert torch.isinf(drawn.depth[~drawn.mask]).all() and (drawn.normal[~drawn.mask] == 0).all()


def test_faces_drawn_as_nothing_give_the_background():
    vertices = torch.zeros(1, 0, 3)
    drawn = render(vertices, torch.zeros(0, 3, dtype=torch.long), vertices, FRONT, Camera.default(8), background=0.5)
    assert not drawn.mask.any() and (drawn.image == 0.5).all()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(vertices=torch.zeros(4, 3)), "vertices must be"),
        (dict(albedo=torch.zeros(1, 5, 3)), "albedo must be"),
        (dict(pose=Pose(torch.zeros(2, 3), torch.ones(2, 3)), albedo=torch.zeros(3, 4, 3)), "come once or 3 times"),
        (dict(background=torch.zeros(1, 5, 5, 3)), "background must be"),
        (dict(supersample=0), "supersample must be"),
        (dict(supersample=1.5), "supersample must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    vertices, triangles = quad()
    arguments = dict(
        vertices=vertices, triangles=triangles, albedo=torch.ones(1, 4, 3), pose=FRONT, camera=Camera.default(8)
    )
    with pytest.raises(ValueError, match=message):
        render(**arguments | change)
