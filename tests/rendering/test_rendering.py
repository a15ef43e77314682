"""Normals, images and their gradients against values worked out by hand."""

import dataclasses
import math

import pytest
import torch

from helpers.camera import Camera, OrthographicCamera, Pose
from helpers.lighting import DEFAULT_LIGHT, ColourTransform, PhongLight, gamma_encode, sh_basis
from helpers.lighting.colour import DARKEST
from helpers.rendering import render, vertex_normals, vertex_normals_reference
from tests.rasterizer.test_rasterizer import bumpy_sphere

FRONT = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1000.0]]))


def quad(half=50.0):
    """A square that faces the viewer, two triangles."""
    vertices = torch.tensor(
        [[[-half, half, 0.0], [-half, -half, 0.0], [half, -half, 0.0], [half, half, 0.0]]]
    )
    return vertices, torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_a_square_is_drawn_where_and_how_bright_it_should_be():
    vertices, triangles = quad()
    camera = Camera.default(101, focal=800.0)
    albedo = torch.tensor([0.2, 0.4, 0.6]).expand(1, 4, 3)
    drawn = render(vertices, triangles, albedo, FRONT, camera, background=0.0)
    y, x = torch.meshgrid(torch.arange(101), torch.arange(101), indexing="ij")
    inside = ((x - 50).abs() <= 40) & ((y - 50).abs() <= 40)  # 50 mm · 800 px / 1000 mm
    assert torch.equal(drawn.mask[0], inside)
    received = sh_basis(torch.tensor([0.0, 0.0, 1.0])) @ DEFAULT_LIGHT
    assert torch.allclose(
        drawn.image[0, 50, 50], torch.tensor([0.2, 0.4, 0.6]) * gamma_encode(received), atol=1e-5
    )
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
    u = (
        10 / 300
    )  # a ray 10 px to the right of the centre meets the sphere where t² (1 + u²) − 2 t d + d² = r²
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
            kw["vertices"],
            triangles,
            kw["albedo"],
            Pose(kw["rotation"], FRONT.translation),
            camera,
            light=kw["light"],
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
    drawn = render(
        vertices, torch.zeros(0, 3, dtype=torch.long), vertices, FRONT, Camera.default(8), background=0.5
    )
    assert not drawn.mask.any() and (drawn.image == 0.5).all()


def two_heads():
    """Two dented spheres, turned, of two colours, in two lights: the arguments of `render` that have gradients."""
    vertices, triangles = bumpy_sphere(16)
    generator = torch.Generator().manual_seed(8)
    light = DEFAULT_LIGHT.repeat(2, 1, 1) + 0.1 * torch.randn(2, 9, 3, generator=generator)
    light[1, 0] -= 0.6  # so little that a part of the second head is darker than the curve can derive
    inputs = dict(
        vertices=vertices + torch.randn(2, len(vertices), 3, generator=generator),
        albedo=torch.rand(2, len(vertices), 3, generator=generator),
        rotation=torch.tensor([[0.1, 0.4, 0.0], [-0.3, -0.2, 0.1]]),
        translation=torch.tensor([[3.0, 5.0, 700.0], [-2.0, 0.0, 650.0]]),
        focal=torch.tensor([150.0, 160.0]),
        light=light,
        background=torch.rand(1, 40, 44, 3, generator=generator),
    )
    return inputs, triangles


def drawn_from(inputs: dict, triangles, **options):
    camera = Camera(inputs["focal"], torch.tensor([[21.3, 19.2]]).to(inputs["focal"]).repeat(2, 1), (40, 44))
    return render(
        inputs["vertices"],
        triangles,
        inputs["albedo"],
        Pose(inputs["rotation"], inputs["translation"]),
        camera,
        inputs["light"],
        inputs["background"],
        **options,
    )


def test_the_fused_kernels_and_torch_draw_the_same_and_derive_the_same():
    inputs, triangles = two_heads()
    weights = torch.randn(3, 2, 40, 44, 3, generator=torch.Generator().manual_seed(9))
    found = []
    # The kernels do not transform colours, not even by the transform that changes nothing.
    for colour in (None, ColourTransform.identity(2)):
        leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
        drawn = drawn_from(leaves, triangles, colour=colour)
        depth = torch.where(drawn.mask, drawn.depth, 0)
        loss = (
            (drawn.image * weights[0]).sum()
            + (drawn.normal * weights[1]).sum()
            + (depth * weights[2, ..., 0]).sum()
        )
        loss.backward()
        found.append((drawn, {name: leaf.grad for name, leaf in leaves.items()}))
    (a, slopes), (b, expected) = found
    dark = torch.einsum("bhwk,bkc->bhwc", sh_basis(a.normal), inputs["light"]) < DARKEST
    assert 0.1 < dark[1][a.mask[1]].float().mean() < 0.9
    assert torch.equal(a.triangle_id, b.triangle_id) and a.mask.float().mean() > 0.2
    for name in ("image", "normal", "coverage"):
        assert torch.allclose(getattr(a, name), getattr(b, name), atol=1e-5), name
    assert torch.allclose(a.depth, b.depth, rtol=1e-5)
    for name, slope in slopes.items():
        assert (slope - expected[name]).norm() < 1e-3 * expected[name].norm(), name
    assert torch.allclose(
        slopes["background"], weights[0].mul(~a.mask[..., None]).sum(0, keepdim=True), atol=1e-5
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_without_gradients_and_over_threads_the_same_bits_come_out(threads, with_threads):
    """Two images over five threads share each image; over one or two, each thread draws whole ones."""
    inputs, triangles = two_heads()
    with_threads(1)
    with_graph = drawn_from({name: value.requires_grad_() for name, value in inputs.items()}, triangles)
    with_threads(threads)
    with torch.no_grad():
        without = drawn_from(inputs, triangles)
    for name in ("triangle_id", "barycentric", "coverage", "depth", "normal", "image"):
        assert torch.equal(getattr(with_graph, name), getattr(without, name)), name
    assert with_graph.image.requires_grad and not without.image.requires_grad


def test_fused_gradients_against_float64():
    inputs, triangles = two_heads()
    slopes = {}
    for dtype in (torch.float32, torch.float64):
        leaves = {name: value.detach().to(dtype).requires_grad_() for name, value in inputs.items()}
        drawn = drawn_from(leaves, triangles)
        # Far from the outline both show the same triangle; a few pixels there may not.
        (drawn.image[:, 12:28, 14:30] ** 2).sum().backward()
        slopes[dtype] = {name: leaf.grad for name, leaf in leaves.items() if name != "background"}
    for name, slope in slopes[torch.float32].items():
        expected = slopes[torch.float64][name]
        assert (slope - expected).norm() < 2e-3 * expected.norm(), name


def test_normals_and_their_derivatives_agree_with_torch():
    vertices, triangles = bumpy_sphere(10)
    generator = torch.Generator().manual_seed(10)
    vertices = vertices + torch.randn(3, len(vertices), 3, generator=generator)
    weights = torch.randn(vertices.shape, generator=generator)
    slopes = []
    for function in (vertex_normals, vertex_normals_reference):
        leaf = vertices.clone().requires_grad_()
        normals = function(leaf, triangles)
        (normals * weights).sum().backward()
        slopes.append(leaf.grad)
        assert torch.allclose(
            normals, vertex_normals_reference(vertices.double(), triangles).float(), atol=1e-5
        )
    assert (slopes[0] - slopes[1]).norm() < 1e-4 * slopes[1].norm()


def test_gradients_are_the_same_bits_over_any_number_of_threads(with_threads):
    inputs, triangles = two_heads()
    found = {}
    for threads in (1, 2, 5):
        with_threads(threads)
        leaves = {name: value.detach().clone().requires_grad_() for name, value in inputs.items()}
        (drawn_from(leaves, triangles).image ** 2).sum().backward()
        for name, leaf in leaves.items():
            if name in ("vertices", "albedo"):  # torch sums the others, over as many threads
                assert torch.equal(found.setdefault(name, leaf.grad), leaf.grad), name


def test_a_highlight_shines_where_the_lamp_is_mirrored():
    vertices, triangles = bumpy_sphere(80)
    vertices = 70 * torch.nn.functional.normalize(vertices, dim=-1)
    black = torch.zeros(1, len(vertices), 3)
    lamp = PhongLight.defaults()
    lamp = dataclasses.replace(lamp, direction=torch.tensor([[0.8, 0.0]]), ambient=torch.zeros(1, 3))
    drawn = render(
        vertices[None], triangles, black, FRONT, Camera.default(129, focal=700.0), lamp, background=0.0
    )
    brightest = int(drawn.image[0, 64, :, 0].argmax())
    # The normal there lies half way between the lamp and the viewer, 70 · sin 0.4 mm from the middle.
    assert brightest == pytest.approx(64 + 700 * 70 * math.sin(0.4) / (1000 - 70 * math.cos(0.4)), abs=2)
    assert drawn.image.max() == pytest.approx(0.5 * 80 / 255, rel=0.02)


def test_a_small_square_throws_its_shadow_on_a_large_one():
    large, faces = quad(100.0)
    small, _ = quad(10.0)
    small = small + torch.tensor([0.0, 0.0, 30.0])
    vertices, triangles = torch.cat([large, small], 1), torch.cat([faces, faces + 4])
    lamp = PhongLight.defaults()
    lamp = dataclasses.replace(lamp, direction=torch.tensor([[math.pi / 4, 0.0]]), specular=torch.zeros(1))
    camera = Camera.default(201, focal=1000.0)  # 1 px is 1 mm at the large square
    draw = [
        render(vertices, triangles, torch.ones(1, 8, 3), FRONT, camera, lamp, shadows=on).image[0, ..., 0]
        for on in (True, False)
    ]
    y, x = torch.meshgrid(torch.arange(201) - 100, torch.arange(201) - 100, indexing="ij")
    # The lamp stands 45° to the right, so the shadow falls 30 mm to the left: x from −40 to −20.
    dark = (x > -39) & (x < -21) & (y.abs() < 9)
    lit = ((x < -42) | (x > -18) | (y.abs() > 12)) & (x.abs() < 98) & (y.abs() < 98)
    assert torch.allclose(draw[0][dark & (x < -12)], torch.tensor(0.45), atol=0.02)
    assert torch.allclose(draw[0][lit], draw[1][lit], atol=1e-4)
    with pytest.raises(ValueError, match="shadows need a lamp"):
        render(vertices, triangles, torch.ones(1, 8, 3), FRONT, camera, shadows=True)


def test_the_colour_transform_follows_the_light():
    vertices, triangles = quad()
    albedo = torch.tensor([0.2, 0.4, 0.6]).expand(1, 4, 3)
    light = torch.zeros(1, 9, 3)
    light[:, 0] = 0.5
    colour = ColourTransform(torch.ones(1), torch.full((1, 3), 2.0), torch.full((1, 3), 0.1))
    options = dict(light=light, background=0.25, colour=colour)
    drawn = render(vertices, triangles, albedo, FRONT, Camera.default(65, focal=500.0), **options)
    expected = 2 * 0.5 ** (1 / 2.2) * albedo[0, 0] + 0.1
    assert torch.allclose(drawn.image[0, 32, 32], expected, atol=1e-5)
    assert (drawn.image[~drawn.mask] == 0.25).all()


def test_antialiasing_covers_as_much_as_the_square_does():
    vertices, triangles = quad(1.0)
    camera = Camera.default(41, focal=1000.0)  # 1 px is 1 mm
    generator = torch.Generator().manual_seed(11)
    for angle in (0.0, 0.2, 0.7, 1.3):
        shift = torch.cat([torch.rand(1, 2, generator=generator), torch.tensor([[1000.0]])], 1)
        pose = Pose(torch.tensor([[0.0, 0.0, angle]]), shift)
        drawn = render(
            vertices * 12.3, triangles, torch.ones(1, 4, 3), pose, camera, background=0.0, antialias=True
        )
        fine = render(
            vertices * 12.3, triangles, torch.ones(1, 4, 3), pose, camera, background=0.0, supersample=16
        )
        assert drawn.coverage.sum() == pytest.approx(24.6**2, rel=0.004), angle
        smooth, hard = ((c - fine.coverage).abs() for c in (drawn.coverage, drawn.mask.float()))
        assert smooth.sum() < 0.25 * hard.sum() and (smooth > 0.2).sum() <= 4  # the corners


def test_antialiasing_derives_the_outline():
    vertices, triangles = quad(12.3)
    camera = Camera.default(41, focal=1000.0)
    for name, axis in (("right", 0), ("up", 1)):
        scale = torch.ones((), requires_grad=True)
        grown = vertices * torch.where(torch.arange(3) == axis, scale, 1.0)
        drawn = render(grown, triangles, torch.ones(1, 4, 3), FRONT, camera, background=0.0, antialias=True)
        area = drawn.coverage.sum()
        # The area of a rectangle grows as its side does; a hard edge says that it does not.
        (slope,) = torch.autograd.grad(area, scale)
        assert slope == pytest.approx(24.6**2, rel=0.05), name


def test_gradients_of_antialiasing_phong_and_colour_in_float64():
    vertices, triangles = quad()
    vertices = torch.cat([vertices, vertices.new_tensor([[[0.0, 0.0, 30.0]]])], 1).double()  # a tent
    triangles = torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    generator = torch.Generator().manual_seed(5)
    lamp = PhongLight.defaults(dtype=torch.float64)
    inputs = [
        vertices,
        torch.rand(1, 5, 3, generator=generator).double(),
        torch.tensor([[0.05, -0.1, 0.02]]).double(),
        torch.tensor([[1.0, 2.0, 1000.0]]).double(),
        *(getattr(lamp, field.name).clone() for field in dataclasses.fields(lamp)),
        torch.tensor([0.9]).double(),
        torch.rand(1, 3, generator=generator).double(),
        torch.rand(1, 3).double(),
    ]
    camera = Camera.default(12, focal=80.3, dtype=torch.float64)

    def image(vertices, albedo, rotation, translation, *more):
        options = dict(light=PhongLight(*more[:5]), colour=ColourTransform(*more[5:]))
        pose = Pose(rotation, translation)
        drawn = render(vertices, triangles, albedo, pose, camera, antialias=True, **options)
        assert 30 < drawn.mask.sum() < 100
        return drawn.image, drawn.coverage

    assert torch.autograd.gradcheck(image, [value.requires_grad_() for value in inputs], fast_mode=True)


def test_an_orthographic_camera_draws_the_square_at_its_scale():
    vertices, triangles = quad()
    vertices = vertices * torch.tensor([1.0, 1.0, 0.0]) + vertices[..., :1] * torch.tensor(
        [0.0, 0.0, 1.0]
    )  # slanted
    camera = OrthographicCamera(torch.tensor([0.8]), torch.tensor([[50.0, 50.0]]), (101, 101))
    pose = Pose(torch.zeros(1, 3), torch.zeros(1, 3))  # depth does not matter to it
    drawn = render(vertices, triangles, torch.ones(1, 4, 3), pose, camera)
    y, x = torch.meshgrid(torch.arange(101) - 50, torch.arange(101) - 50, indexing="ij")
    assert torch.equal(drawn.mask[0], (x.abs() <= 40) & (y.abs() <= 40))
    assert torch.allclose(drawn.depth[0][drawn.mask[0]], -x[drawn.mask[0]] / 0.8, atol=1e-4)


@pytest.mark.slow
def test_memory_is_what_is_stated_and_does_not_grow(with_threads):
    import resource

    from torch.utils._python_dispatch import TorchDispatchMode

    class Counter(TorchDispatchMode):
        made: list = []  # kept, so that no memory is used twice

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                self.made.append(out)
            return out

    with_threads(2)
    vertices, triangles = bumpy_sphere(40)
    albedo, pose = (
        torch.ones(1, len(vertices), 3),
        Pose(torch.zeros(5, 3), torch.tensor([[0.0, 0.0, 800.0]] * 5)),
    )
    camera = Camera.default((50, 60), focal=200.0)
    with torch.no_grad():
        render(vertices[None], triangles, albedo, pose, camera)
        with Counter() as counter:
            render(vertices[None], triangles, albedo, pose, camera)
        sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in counter.made}
        known = {t.untyped_storage().data_ptr() for t in (vertices, triangles, albedo)}
        used = sum(size for pointer, size in sizes.items() if pointer not in known)
        most = max(len(vertices), len(triangles)) + 1
        stated = 5 * 48 * 50 * 60 + 2 * (8 * 50 * 60 + 32 * len(vertices) + 4 * most)  # as `render` states it
        assert stated <= used <= 1.05 * stated + 20_000  # some small ones: the pose, the lens
        del counter.made[:]
        peak = []
        for _ in range(3):
            for _ in range(150):
                render(vertices[None], triangles, albedo, pose, camera)
            peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        assert peak[2] - peak[0] < 2_000  # kB; one render's result alone is 720


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(vertices=torch.zeros(4, 3)), "vertices must be"),
        (dict(albedo=torch.zeros(1, 5, 3)), "albedo must be"),
        (
            dict(pose=Pose(torch.zeros(2, 3), torch.ones(2, 3)), albedo=torch.zeros(3, 4, 3)),
            "come once or 3 times",
        ),
        (dict(background=torch.zeros(1, 5, 5, 3)), "background must be"),
        (dict(light=torch.zeros(1, 9, 1)), "light must be"),
        (dict(light=torch.zeros(9, 3)), "light must be"),
        (dict(light=PhongLight.defaults(2)), "light must be"),
        (dict(colour=ColourTransform.identity(2)), "colour must be for 1 images"),
        (dict(supersample=0), "supersample must be"),
        (dict(supersample=1.5), "supersample must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    vertices, triangles = quad()
    arguments = dict(
        vertices=vertices,
        triangles=triangles,
        albedo=torch.ones(1, 4, 3),
        pose=FRONT,
        camera=Camera.default(8),
    )
    with pytest.raises(ValueError, match=message):
        render(**arguments | change)
