"""The rasteriser against its twin, against Open3D's ray casting, and against scenes worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.rasterizer import barycentric, interpolate, rasterize


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


@given(seed=st.integers(0, 10_000), cull=st.booleans(), perspective=st.booleans(), batch=st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_agrees_with_the_torch_twin(seed, cull, perspective, batch):
    points, triangles = random_mesh(seed, batch=batch)
    options = dict(cull_backfaces=cull, perspective=perspective)
    fast = rasterize(points, triangles, (37, 43), **options)
    twin = rasterize(points, triangles, (37, 43), **options, backend="torch")
    # Both round every operation alike, so not even a pixel on an edge may differ.
    assert torch.equal(fast.triangle_id, twin.triangle_id)
    assert torch.allclose(fast.barycentric, twin.barycentric, atol=1e-5)
    assert torch.allclose(fast.depth, twin.depth, rtol=1e-5)
    assert torch.equal(fast.mask, torch.isfinite(fast.depth))
    assert torch.allclose(fast.barycentric.sum(-1), fast.mask.float(), atol=1e-5)


def test_agrees_with_the_torch_twin_on_a_closed_surface():
    vertices, triangles = bumpy_sphere()
    pose = Pose(torch.tensor([[0.3, 0.5, 0.1]]), torch.tensor([[3.0, -4.0, 600.0]]))
    points = project(model_to_camera(vertices[None], pose), Camera.default(224, focal=700.0))
    fast, twin = (rasterize(points, triangles, (224, 224), backend=name) for name in ("warp", "torch"))
    assert torch.equal(fast.triangle_id, twin.triangle_id)
    fine = rasterize(points.double(), triangles, (224, 224), backend="torch")
    same = fast.triangle_id == fine.triangle_id
    assert same.float().mean() >= 0.9999
    assert (fast.barycentric - fine.barycentric).abs()[
        same
    ].max() < 1e-3  # of triangles of a pixel, seen edge on
    assert 0.2 < fast.mask.float().mean() < 0.9


def test_agrees_with_ray_casting(open3d):
    vertices, triangles = bumpy_sphere()
    pose = Pose(torch.tensor([[0.3, 0.5, 0.1]]), torch.tensor([[3.0, -4.0, 600.0]]))
    camera = Camera.default(224, focal=700.0)
    in_camera = model_to_camera(vertices[None], pose)
    raster = rasterize(project(in_camera, camera), triangles, (224, 224))
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(in_camera[0].numpy(), triangles.numpy().astype(np.uint32))
    v, u = np.meshgrid(np.arange(224), np.arange(224), indexing="ij")
    centre = camera.principal_point[0].numpy()
    direction = np.stack([(u - centre[0]) / 700, (v - centre[1]) / 700, np.ones_like(u)], -1)
    rays = np.concatenate([np.zeros_like(direction), direction], -1).astype(np.float32)
    hit = scene.cast_rays(open3d.core.Tensor(rays))
    depth = torch.from_numpy(hit["t_hit"].numpy())  # the direction has z = 1, so t is the depth
    ids = torch.from_numpy(hit["primitive_ids"].numpy().astype(np.int64))
    seen = torch.isfinite(depth)
    mask = raster.mask[0]
    assert torch.equal(mask, seen)
    both = mask & seen
    assert (raster.triangle_id[0][both] == ids[both]).float().mean() >= 0.9999
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


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_shared_edges_and_corners_leave_no_hole(seed):
    # A patch of 20 × 20 cells, jittered and turned, so that edges pass as close to pixel centres as they can.
    generator = torch.Generator().manual_seed(seed)
    n, size = 21, 64
    y, x = torch.meshgrid(torch.arange(n) * 4.0 - 8, torch.arange(n) * 4.0 - 8, indexing="ij")
    jitter = (torch.rand(n, n, 2, generator=generator) - 0.5) * (2.0 if seed % 2 else 1e-6)
    points = torch.cat([torch.stack([x, y], -1) + jitter, torch.full((n, n, 1), 500.0)], -1).reshape(1, -1, 3)
    i = torch.arange(n * n).view(n, n)
    a, b, c, d = i[:-1, :-1].flatten(), i[1:, :-1].flatten(), i[1:, 1:].flatten(), i[:-1, 1:].flatten()
    triangles = torch.cat([torch.stack([a, b, c], -1), torch.stack([a, c, d], -1)])
    assert rasterize(points, triangles, (size, size)).mask.all()


def test_culling_keeps_what_faces_the_camera():
    vertices, triangles = bumpy_sphere(40)
    pose = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 600.0]]))
    points = project(model_to_camera(vertices[None], pose), Camera.default(64, focal=200.0))
    both = rasterize(points, triangles, (64, 64))
    front = rasterize(points, triangles, (64, 64), cull_backfaces=True)
    back = rasterize(points, triangles.flip(-1), (64, 64), cull_backfaces=True)
    assert torch.equal(both.triangle_id, front.triangle_id)
    assert (back.depth[back.mask] > front.depth[back.mask]).all()


def test_triangles_without_area_or_behind_the_camera_draw_nothing():
    points = torch.tensor([[[1.0, 1.0, 50.0], [5.0, 1.0, 50.0], [3.0, 1.0, 50.0], [1.0, 5.0, 50.0]]])
    points = torch.cat([points, points * torch.tensor([1.0, 1.0, -1.0])], 1)
    triangles = torch.tensor([[0, 1, 2], [0, 0, 1], [4, 5, 7]])
    for backend in ("warp", "torch"):
        assert not rasterize(points, triangles, (8, 8), backend=backend).mask.any()
        assert not rasterize(points, triangles[:0], (8, 8), backend=backend).mask.any()
        assert not rasterize(torch.zeros(2, 0, 3), triangles[:0], (8, 8), backend=backend).mask.any()


def test_points_in_the_plane_of_the_camera_are_left_out_and_other_wild_numbers_refused():
    triangles = torch.tensor([[0, 1, 2], [0, 1, 3]])
    points = torch.tensor(
        [[[1.0, 1.0, 50.0], [5.0, 1.0, 50.0], [1.0, 5.0, 50.0], [torch.inf, torch.nan, 0.0]]]
    )
    for backend in ("warp", "torch"):
        assert rasterize(points, triangles, (8, 8), backend=backend).triangle_id.max() == 0
        far = torch.tensor([[[1e20, 1.0, 50.0], [-1e20, 9.0, 50.0], [2e20, -1e20, 50.0]]])
        rasterize(far, triangles[:1], (8, 8), backend=backend)  # must neither crash nor hang
    for axis in range(3):
        bad = points.clone()
        bad[0, 2, axis] = torch.nan
        with pytest.raises(ValueError, match="vertex 2 of image 0"):
            rasterize(bad, triangles, (8, 8))


def test_a_huge_triangle_fills_the_image():
    points = torch.tensor([[[-1e4, -1e4, 50.0], [-1e4, 3e4, 50.0], [3e4, -1e4, 50.0]]])
    assert rasterize(points, torch.tensor([[0, 1, 2]]), (20, 30)).mask.all()


@pytest.mark.parametrize("batch", [1, 2])
def test_low_poly_meshes_and_slivers_are_drawn_as_by_the_twin(batch):
    points, triangles = random_mesh(21, vertices=12, triangles=20, size=150.0, batch=batch)
    points[..., 2] = points[..., 2].abs() + 100
    line = torch.linspace(-400, 600, 12)
    points[:, :, 1] = torch.where(
        torch.arange(12) % 3 > 0, points[:, :, 0] * 0.9 + line * 0.01, points[:, :, 1]
    )
    for name, scale in (("wide", 1.0), ("wider", 1e3), ("widest", 1e8)):
        moved = torch.cat([(points[..., :2] - 75) * scale + 75, points[..., 2:]], -1)
        fast = rasterize(moved, triangles, (150, 160))
        twin = rasterize(moved, triangles, (150, 160), backend="torch")
        assert torch.equal(fast.triangle_id, twin.triangle_id), name
        assert twin.mask.any()


def test_a_floor_that_runs_under_the_camera_is_drawn_up_to_the_near_plane():
    # A floor 100 mm below a camera that looks straight ahead: two triangles from 3 m behind it to 5 m before it.
    floor = torch.tensor([[[-905.0, 100, -3000], [905, 100, -3000], [905, 100, 5000], [-905, 100, 5000]]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    camera = Camera.default(101, focal=60.0)
    points = project(floor, camera)
    x, y = torch.meshgrid(torch.arange(101.0), torch.arange(101.0), indexing="xy")
    depth = 60 * 100 / (y - 50).clamp(min=1e-9)
    inside = (depth <= 5000) & (((x - 50) * depth / 60).abs() <= 905)
    for backend in ("warp", "torch"):
        drawn = rasterize(points, triangles, (101, 101), backend=backend)
        assert (drawn.mask[0] != inside).sum() == 0
        assert torch.allclose(drawn.depth[0][inside], depth[inside], rtol=1e-4)
        place = interpolate(floor, triangles, drawn)[0][inside]  # the floor's own points, found again
        assert torch.allclose(place[:, 0], ((x - 50) * depth / 60)[inside], atol=0.5)
    # Seen from above: with the other winding it would turn its inside to the camera.
    seen = [
        rasterize(points, t, (101, 101), cull_backfaces=True).mask.sum()
        for t in (triangles, triangles.flip(-1))
    ]
    assert sorted(int(n) for n in seen) == [0, int(inside.sum())]


def test_an_orthographic_camera_mixes_linearly_and_takes_any_depth():
    points = torch.tensor([[[0.0, 0.0, -100.0], [10.0, 0.0, 300.0], [0.0, 10.0, -100.0]]])
    triangles = torch.tensor([[0, 1, 2]])
    for backend in ("warp", "torch"):
        drawn = rasterize(points, triangles, (11, 11), perspective=False, backend=backend)
        y, x = torch.meshgrid(torch.arange(11), torch.arange(11), indexing="ij")
        assert torch.equal(drawn.mask[0], x + y <= 10)
        assert drawn.depth[0, 0, 5] == pytest.approx(100.0)
        again = barycentric(points, triangles, drawn)
        assert torch.allclose(again, drawn.barycentric, atol=1e-6)
    front = torch.cat([points, points - torch.tensor([0.0, 0.0, 500.0])], 1)  # a second one, nearer
    both = torch.tensor([[0, 1, 2], [3, 4, 5]])
    assert rasterize(front, both, (11, 11), perspective=False).triangle_id.max() == 1


@pytest.mark.parametrize("size", [(12, 14), (37, 43), (200, 210)])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_no_order_of_the_triangles_changes_a_bit(size, threads, with_threads):
    """Also where triangles cover so many pixels that threads share their rows, as in all but the smallest image."""
    points, triangles = random_mesh(5, vertices=200, triangles=400, size=float(size[0]))
    with_threads(1)
    expected = rasterize(points, triangles, size)
    with_threads(threads)
    for seed in range(4):
        order = torch.randperm(len(triangles), generator=torch.Generator().manual_seed(seed))
        drawn = rasterize(points, triangles[order], size)
        ids = torch.where(drawn.mask, order[drawn.triangle_id.clamp(min=0).long()].int(), -1)
        assert torch.equal(ids, expected.triangle_id)
        assert torch.equal(drawn.barycentric, expected.barycentric)
        assert torch.equal(drawn.depth, expected.depth)


@pytest.mark.parametrize("threads", [1, 2, 7, 11])
def test_a_batch_is_its_images_over_any_number_of_threads(threads, with_threads):
    points, triangles = random_mesh(11, batch=5)
    with_threads(threads)
    together = rasterize(points, triangles, (40, 40))
    with_threads(1)
    for b in range(5):
        alone = rasterize(points[b : b + 1], triangles, (40, 40))
        for name in ("triangle_id", "barycentric", "depth"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[b])


def test_one_image_over_several_threads_is_the_whole_and_twice_the_same(with_threads):
    points, triangles = random_mesh(12, vertices=300, triangles=500)
    whole = {}
    for threads in (1, 2, 2, 5):
        with_threads(threads)
        drawn = rasterize(points, triangles, (41, 40))
        for name in ("triangle_id", "barycentric", "depth"):
            assert torch.equal(whole.setdefault(name, getattr(drawn, name)), getattr(drawn, name))


def test_a_mesh_that_changed_in_place_is_looked_at_again():
    points = torch.tensor([[[1.0, 1.0, 50.0], [5.0, 1.0, 50.0], [1.0, 5.0, 50.0], [5.0, 5.0, 50.0]]])
    triangles = torch.tensor([[0, 1, 2]])
    assert rasterize(points, triangles, (8, 8)).mask[0, 1, 1]
    triangles[0, 0] = 3
    drawn = rasterize(points, triangles, (8, 8)).mask[0]
    assert drawn[5, 5] and not drawn[1, 1]
    triangles[0, 0] = 4
    with pytest.raises(ValueError, match="only 4 vertices"):
        rasterize(points, triangles, (8, 8))


def test_gradients_of_interpolation_in_float64():
    vertices, triangles = bumpy_sphere(8)
    pose = Pose(
        torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[0.0, 0.0, 600.0]], dtype=torch.float64)
    )
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
        (dict(points=torch.zeros(4, 3)), "points must be float32 or float64"),
        (dict(points=torch.zeros(1, 4, 3, dtype=torch.long)), "points must be float32 or float64"),
        (dict(triangles=torch.zeros(2, 4, dtype=torch.long)), "triangles must be int32 or int64"),
        (dict(triangles=torch.tensor([[0, 1, 4]])), "vertex 4, but points has only 4"),
        (dict(triangles=torch.tensor([[0, 1, -1]])), "vertex -1; vertices are numbered"),
        (dict(size=(0, 5)), "at least one pixel"),
        (dict(points=torch.zeros(1, 4, 3).expand(600, 4, 3), size=(2000, 2000)), "split the batch"),
        (dict(points=torch.zeros(2, 4, 3), size=(14_000, 14_000)), "one at a time"),
        (dict(points=torch.zeros(1, 4, 3).expand(600, 4, 3), size=(2000, 2000)), "2,400,000,000 pixels"),
        (dict(size=(20_000, 3)), "up to 16000 px a side"),
        (dict(backend="opengl"), "backend must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = dict(points=torch.zeros(1, 4, 3), triangles=torch.tensor([[0, 1, 2]]), size=(4, 4)) | change
    with pytest.raises(ValueError, match=message):
        rasterize(**arguments)
