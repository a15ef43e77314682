"""The rasteriser against its twin, against Open3D's ray casting, and against scenes worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.rasterizer import barycentric, interpolate, rasterize
from helpers.rasterizer import raster as raster_module


def random_mesh(seed, vertices=60, triangles=80, size=40.0, batch=1):
    """Triangles of all sizes and directions that reach beyond the image, some behind the camera."""
    generator = torch.Generator().manual_seed(seed)
    uv = torch.rand(batch, vertices, 2, generator=generator) * 1.6 * size - 0.3 * size
    depth = torch.rand(batch, vertices, 1, generator=generator) * 900 - 50
    return torch.cat([uv, depth], -1), torch.randint(0, vertices, (triangles, 3), generator=generator)


def bumpy_sphere(n=120, radius=80.0):
    """A closed mesh with dents: vertices (V, 3) mm and triangles (F, 3), anticlockwise from outside."""
    theta = torch.linspace(0.05, np.pi - 0.05, n)
    phi = torch.arange(2 * n) * (np.pi / n)
    t, p = torch.meshgrid(theta, phi, indexing="ij")
    r = radius * (1 + 0.08 * torch.sin(7 * p) * torch.sin(5 * t))
    vertices = torch.stack([r * t.sin() * p.cos(), r * t.cos(), r * t.sin() * p.sin()], -1).reshape(-1, 3)
    i = torch.arange(n * 2 * n).view(n, 2 * n)
    a, b = i[:-1], i[1:]
    c, d = b.roll(-1, 1), a.roll(-1, 1)
    triangles = torch.cat([torch.stack([a, d, b], -1), torch.stack([d, c, b], -1)]).reshape(-1, 3)
    return vertices, triangles


@given(seed=st.integers(0, 10_000), cull=st.booleans())
@settings(max_examples=40, deadline=None)
def test_agrees_with_the_torch_twin(seed, cull):
    points, triangles = random_mesh(seed, batch=2)
    fast = rasterize(points, triangles, (37, 43), cull_backfaces=cull)
    twin = rasterize(points, triangles, (37, 43), cull_backfaces=cull, backend="torch")
    same = fast.triangle_id == twin.triangle_id
    # Compilers fuse multiplications and additions; a pixel on an edge, or where two triangles cut through each
    # other, may fall to either side.
    assert (~same).sum() <= 3
    assert torch.allclose(fast.barycentric[same], twin.barycentric[same], atol=1e-5)
    assert torch.equal(fast.mask, torch.isfinite(fast.depth))
    seen = same & fast.mask
    assert torch.allclose(fast.depth[seen], twin.depth[seen], rtol=1e-5)


def test_agrees_with_the_torch_twin_on_a_closed_surface():
    vertices, triangles = bumpy_sphere()
    pose = Pose(torch.tensor([[0.3, 0.5, 0.1]]), torch.tensor([[3.0, -4.0, 600.0]]))
    points = project(model_to_camera(vertices[None], pose), Camera.default(224, focal=700.0))
    fast, twin = (rasterize(points, triangles, (224, 224), backend=name) for name in ("warp", "torch"))
    assert (fast.triangle_id == twin.triangle_id).float().mean() >= 0.9999
    assert 0.2 < fast.mask.float().mean() < 0.9


def test_agrees_with_ray_casting():
    from helpers._open3d import open3d

    o3d = open3d()
    vertices, triangles = bumpy_sphere()
    pose = Pose(torch.tensor([[0.3, 0.5, 0.1]]), torch.tensor([[3.0, -4.0, 600.0]]))
    camera = Camera.default(224, focal=700.0)
    in_camera = model_to_camera(vertices[None], pose)
    raster = rasterize(project(in_camera, camera), triangles, (224, 224))
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(in_camera[0].numpy(), triangles.numpy().astype(np.uint32))
    v, u = np.meshgrid(np.arange(224), np.arange(224), indexing="ij")
    centre = camera.principal_point[0].numpy()
    direction = np.stack([(u - centre[0]) / 700, (v - centre[1]) / 700, np.ones_like(u)], -1)
    rays = np.concatenate([np.zeros_like(direction), direction], -1).astype(np.float32)
    hit = scene.cast_rays(o3d.core.Tensor(rays))
    depth = torch.from_numpy(hit["t_hit"].numpy())  # the direction has z = 1, so t is the depth
    ids = torch.from_numpy(hit["primitive_ids"].numpy().astype(np.int64))
    seen = torch.isfinite(depth)
    mask = raster.mask[0]
    assert (mask == seen).float().mean() >= 0.9999
    both = mask & seen
    assert (raster.triangle_id[0][both] == ids[both]).float().mean() >= 0.9995
    assert (raster.depth[0][both] - depth[both]).abs().median() < 1e-3


def test_pixel_centres_lie_at_integers_and_edges_belong_to_the_triangle():
    points = torch.tensor([[[2.0, 1.0, 100.0], [2.0, 5.0, 100.0], [6.0, 1.0, 100.0]]])
    mask = rasterize(points, torch.tensor([[0, 1, 2]]), (8, 8)).mask[0]
    y, x = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    assert torch.equal(mask, (x >= 2) & (y >= 1) & (x + y <= 7))


def test_interpolation_is_correct_in_perspective():
    # An edge from depth 100 to depth 300: the middle of the screen is nearer to the near end.
    points = torch.tensor([[[0.0, 0.0, 100.0], [10.0, 0.0, 300.0], [0.0, 10.0, 100.0]]])
    triangles = torch.tensor([[0, 1, 2]])
    raster = rasterize(points, triangles, (11, 11))
    value = interpolate(torch.tensor([[[0.0], [1.0], [0.0]]]), triangles, raster)[0, 0, 5, 0]
    expected = (0.5 / 300) / (0.5 / 100 + 0.5 / 300)
    assert value == pytest.approx(expected, rel=1e-5)
    assert raster.depth[0, 0, 5] == pytest.approx(1 / (0.5 / 100 + 0.5 / 300), rel=1e-5)


def test_the_nearer_triangle_wins_and_a_tie_goes_to_the_first():
    square = [[0.0, 0.0], [0.0, 9.0], [9.0, 9.0], [9.0, 0.0]]
    layers = [[[u, v, z] for u, v in square] for z in (200.0, 150.0, 150.0)]
    points = torch.tensor([sum(layers, [])])
    quads = torch.tensor([[0, 1, 2], [0, 2, 3]])
    triangles = torch.cat([quads, quads + 4, quads + 8])
    ids = rasterize(points, triangles, (10, 10)).triangle_id[0]
    assert set(ids.unique().tolist()) == {2, 3}


def test_a_shared_edge_leaves_no_hole():
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        a, b, c, d = torch.rand(4, 2, generator=generator) * 5 + torch.tensor(
            [[0.0, 0.0], [0.0, 25.0], [25.0, 25.0], [25.0, 0.0]]
        )
        points = torch.cat([torch.stack([a, b, c, d]), torch.full((4, 1), 500.0)], -1)[None]
        two = rasterize(points, torch.tensor([[0, 1, 2], [0, 2, 3]]), (32, 32)).mask
        other = rasterize(points, torch.tensor([[0, 1, 3], [1, 2, 3]]), (32, 32)).mask
        assert torch.equal(two, other)


def test_culling_keeps_what_faces_the_camera():
    vertices, triangles = bumpy_sphere(40)
    pose = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 600.0]]))
    points = project(model_to_camera(vertices[None], pose), Camera.default(64, focal=200.0))
    both = rasterize(points, triangles, (64, 64))
    front = rasterize(points, triangles, (64, 64), cull_backfaces=True)
    back = rasterize(points, triangles.flip(-1), (64, 64), cull_backfaces=True)
    assert torch.equal(both.triangle_id, front.triangle_id)
    assert (back.depth[back.mask] > front.depth[back.mask]).all()


def test_degenerate_triangles_and_wild_numbers_draw_nothing():
    wild = [float("nan"), float("inf"), -float("inf"), 1e20]
    points = torch.tensor([[[1.0, 1.0, 50.0], [5.0, 1.0, 50.0], [3.0, 1.0, 50.0], [1.0, 5.0, -50.0]]])
    triangles = torch.tensor([[0, 1, 2], [0, 0, 1], [0, 1, 3]])
    assert not rasterize(points, triangles, (8, 8)).mask.any()
    for value in wild[:3]:
        for axis in range(3):
            bad = torch.tensor([[[1.0, 1.0, 50.0], [5.0, 1.0, 50.0], [1.0, 5.0, 50.0]]])
            bad[0, 2, axis] = value
            rasterize(bad, torch.tensor([[0, 1, 2]]), (8, 8))  # must neither crash nor hang
    far = torch.tensor([[[1e20, 1.0, 50.0], [1e20, 9.0, 50.0], [2e20, 5.0, 50.0]]])
    assert not rasterize(far, torch.tensor([[0, 1, 2]]), (8, 8)).mask.any()
    assert not rasterize(points, torch.zeros(0, 3, dtype=torch.long), (8, 8)).mask.any()


def test_a_huge_triangle_fills_the_image():
    points = torch.tensor([[[-1e4, -1e4, 50.0], [-1e4, 3e4, 50.0], [3e4, -1e4, 50.0]]])
    assert rasterize(points, torch.tensor([[0, 1, 2]]), (20, 30)).mask.all()


def test_a_batch_is_its_images_and_rows_do_not_depend_on_the_threads(monkeypatch):
    points, triangles = random_mesh(11, batch=5)
    together = rasterize(points, triangles, (40, 40))
    monkeypatch.setattr(raster_module, "THREADS", 1)
    for b in range(5):
        alone = rasterize(points[b : b + 1], triangles, (40, 40))
        assert torch.equal(alone.triangle_id[0], together.triangle_id[b])
        assert torch.equal(alone.barycentric[0], together.barycentric[b])


def test_gradients_of_interpolation_in_float64():
    vertices, triangles = bumpy_sphere(8)
    pose = Pose(torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[0.0, 0.0, 600.0]], dtype=torch.float64))
    camera = Camera.default(12, focal=30.0, dtype=torch.float64)
    points = project(model_to_camera(vertices[None].double(), pose), camera)
    raster = rasterize(points, triangles, (12, 12), backend="torch")
    assert raster.barycentric.dtype == torch.float64
    assert torch.allclose(barycentric(points, triangles, raster), raster.barycentric, atol=1e-9)
    values = torch.randn(1, len(vertices), 2, dtype=torch.float64, requires_grad=True)

    def through_values(v):
        return interpolate(v, triangles, raster).sum((1, 2))

    def through_points(p):
        return (interpolate(values.detach(), triangles, raster, points=p) ** 2).sum((1, 2))

    assert torch.autograd.gradcheck(through_values, (values,), fast_mode=True)
    assert torch.autograd.gradcheck(through_points, (points.clone().requires_grad_(),), fast_mode=True)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(points=torch.zeros(4, 3)), "points must be floating"),
        (dict(points=torch.zeros(1, 4, 3, dtype=torch.long)), "points must be floating"),
        (dict(triangles=torch.zeros(2, 4, dtype=torch.long)), "triangles must be integers"),
        (dict(triangles=torch.tensor([[0, 1, 4]])), "outside 0 … 3"),
        (dict(triangles=torch.tensor([[0, 1, -1]])), "outside 0 … 3"),
        (dict(size=(0, 5)), "at least one pixel"),
        (dict(points=torch.zeros(1, 4, 3).expand(600, 4, 3), size=(2000, 2000)), "split the batch"),
        (dict(backend="opengl"), "backend must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = dict(points=torch.zeros(1, 4, 3), triangles=torch.tensor([[0, 1, 2]]), size=(4, 4)) | change
    with pytest.raises(ValueError, match=message):
        rasterize(**arguments)
