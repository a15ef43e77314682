"""A face painted with its photograph: colours that are known come back, and nothing else gets on the face."""

from types import SimpleNamespace

import pytest
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.crop import crop_face
from helpers.face_model import load
from helpers.painting import atlas_of, matched, paint, paint_fit, push_pull
from helpers.rasterizer import rasterize
from helpers.rendering import render

SIZE = 384
PLAIN = torch.eye(9)[:1].T.repeat(1, 3)[None]  # light that changes no colour
NOSE_TIP = 30  # of the 68 points


@pytest.fixture(scope="module")
def head():
    return load("open", level=1).whole_head


def view(yaw, batch=1):
    turn = torch.zeros(batch, 3)
    turn[:, 1] = torch.as_tensor(yaw) * torch.pi / 180
    return Pose(turn, torch.tensor([[0.0, 0.0, 1000.0]]).repeat(batch, 1)), Camera.default(
        SIZE, focal=1200.0, batch=batch
    )


def photograph(head, colours, yaw, background=1.0):
    """A face with these colours (B or 1, V, 3), as a photograph that needs no light."""
    batch = len(torch.as_tensor(yaw).view(-1))
    pose, camera = view(yaw, batch)
    vertices = head.mean_shape[None].expand(batch, -1, -1)
    image = render(vertices, head.triangles, colours, pose, camera, PLAIN, background, supersample=2).image
    return image, vertices, pose, camera


def pattern(head, symmetric=False):
    """Smooth colours (1, V, 3) that tell places apart."""
    x, y, z = head.mean_shape.T
    x = x.abs() if symmetric else x
    return 0.5 + 0.3 * torch.stack([(x / 15).sin(), (y / 18).sin(), ((x + y + z) / 20).cos()], -1)[None]


def skin(head):
    return head.masks["skin"] > 0.9


def test_what_the_camera_saw_comes_back(head):
    truth, yaws = pattern(head), torch.tensor([-20.0, 5.0])
    image, vertices, pose, camera = photograph(head, truth, yaws, background=0.0)
    painted = paint(image, vertices, torch.full_like(vertices, 0.5), pose, camera, head)
    assert painted.texture.shape == (2, 1024, 1024, 3) and painted.seen.shape == (2, 1024, 1024)
    seen = painted.atlas.gather(painted.seen[..., None])[..., 0] > 0.99
    assert (seen[:, skin(head)].float().mean(1) > 0.3).all()
    error = (painted.colours - truth).abs().amax(-1)
    assert error[seen].quantile(0.99) < 0.05 and error[seen].mean() < 0.01
    # One image of the batch does not change the other.
    one = Pose(pose.rotation_vector[1:], pose.translation[1:])
    alone = paint(image[1:], vertices[1:], torch.full_like(vertices[1:], 0.5), one, view([5.0])[1], head)
    assert (alone.colours - painted.colours[1:]).abs().max() < 1e-4


def test_the_nose_stays_off_the_cheek_behind_it(head):
    tip = head.mean_shape[head.landmarks[NOSE_TIP]]
    nose, beside = ((head.mean_shape - tip).norm(dim=-1) < r for r in (22, 25))
    colours = torch.where(nose[:, None], torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.3, 0.5, 0.3]))[None]
    image, vertices, pose, camera = photograph(head, colours, [45.0])
    points = project(model_to_camera(vertices, pose), camera)[0]
    raster = rasterize(points[None], head.triangles, camera.size)
    u, v = points[:, :2].round().long().T
    depth, number = raster.depth[0, v, u], raster.triangle_id[0, v, u].long()
    before = points[:, 2] - depth
    behind = (
        skin(head) & ~beside & (before > 10) & nose[head.triangles[number]].all(1) & (points[:, 2] < 1020)
    )
    assert behind.sum() > 5
    assert (image[0, v, u][behind, 0] > 0.6).all(), "the photograph has the nose there"
    painted = paint(image, vertices, torch.full_like(vertices, 0.4), pose, camera, head).colours[0]
    assert (painted[behind] - torch.tensor([0.3, 0.5, 0.3])).abs().max() < 0.05


@pytest.mark.parametrize("side_light", [0.0, 0.004])  # per mm
def test_a_hidden_side_is_the_mirror_image_of_the_other(head, side_light):
    shade = 0.7 - side_light * head.mean_shape[None, :, :1]
    truth = pattern(head, symmetric=True) * shade
    image, vertices, pose, camera = photograph(head, truth, [50.0])
    painted = paint(image, vertices, 0.5 * shade.expand_as(vertices), pose, camera, head)
    atlas = painted.atlas
    seen, other = (
        atlas.gather(each[..., None])[0, :, 0]
        for each in (painted.seen, atlas.mirrored(painted.seen[..., None])[..., 0])
    )
    hidden = (seen < 0.01) & (other > 0.99) & skin(head)
    assert hidden.sum() > 500
    error = (painted.colours - truth)[0, hidden].abs().mean()
    plain = (0.5 * shade - truth)[0, hidden].abs().mean()
    assert error < 0.02 < 0.06 < plain


def test_the_rest_follows_the_photograph_without_a_seam(head):
    """One colour in the photograph and another in the model leave one colour on the whole head."""
    colour = torch.tensor([0.6, 0.45, 0.4])
    one = colour.expand(1, head.n_vertices, 3)
    image, vertices, pose, camera = photograph(head, one, [10.0], background=0.9)
    base = torch.tensor([0.3, 0.3, 0.35]).expand_as(one)
    painted = paint(image, vertices, base, pose, camera, head)
    assert (painted.seen < 0.5).float().mean() > 0.3
    assert (painted.colours - colour).abs().max() < 0.03


def test_what_is_masked_does_not_paint(head):
    truth = torch.full((1, head.n_vertices, 3), 0.5)
    image, vertices, pose, camera = photograph(head, truth, [0.0])
    hand = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    hand[:, 180:240, 150:230] = True
    image[hand] = torch.tensor([0.0, 0.0, 1.0])
    bare, masked = (
        paint(image, vertices, truth, pose, camera, head, unmasked).colours
        for unmasked in (None, (~hand).float())
    )
    assert bare[..., 2].max() > 0.9
    assert (masked - 0.5).abs().max() < 0.02


def test_no_photograph_leaves_the_model(head):
    image, vertices, pose, camera = photograph(head, pattern(head), [0.0])
    base = pattern(head, symmetric=True)
    painted = paint(image, vertices, base, pose, camera, head, torch.zeros(1, SIZE, SIZE))
    assert not painted.seen.any()
    front = skin(head) & (head.mean_shape[:, 2] > 0)
    assert (painted.colours - base)[0, front].abs().amax(-1).quantile(0.93) < 0.01


@pytest.mark.parametrize("level", [0, 2])
def test_the_atlas_has_a_place_for_every_point_of_the_face(level):
    """Any overlap of two places would give one of them the coordinates of the other."""
    model = load("open", level=level).whole_head
    atlas = atlas_of(model)
    assert (atlas.vertex[atlas.triangles] == model.triangles).all(), "the mesh is the same, only cut apart"
    assert ((atlas.uv >= 0) & (atlas.uv <= 1)).all() and (atlas.vertex[atlas.first].diff() == 1).all()
    texture = atlas.spread(model.mean_shape[None])
    inside = atlas.raster.mask.float()
    error = (atlas.gather(push_pull(texture, inside))[0] - model.mean_shape).norm(dim=-1)
    front = skin(model) & (model.mean_shape[:, 2] > 0)
    # All but the rims of folds, where one texel holds both sides.
    assert (error[front] < 0.5).float().mean() > 0.9
    for hidden in ("eyes", "teeth", "mouth_interior"):
        assert error[model.masks[hidden] > 0.5].median() < 1.5, hidden
    # In a mirror x changes its sign, and nothing else.
    covered = atlas.raster.mask[0] & atlas.mirrored(inside[..., None])[0, ..., 0].bool()
    apart = (atlas.mirrored(texture) * torch.tensor([-1.0, 1, 1]) - texture)[0, covered].norm(dim=-1)
    assert apart.median() < 0.5


def test_wrong_sizes_are_told(head):
    image, vertices, pose, camera = photograph(head, pattern(head), [0.0])
    with pytest.raises(ValueError, match="image must be"):
        paint(image[:, 1:], vertices, vertices, pose, camera, head)
    with pytest.raises(ValueError, match="unmasked must be"):
        paint(image, vertices, vertices, pose, camera, head, torch.ones(1, 3, 3))
    with pytest.raises(ValueError, match="multiple of 4"):
        atlas_of(head, 1022)


def test_push_pull_keeps_what_is_known_and_bridges_the_rest():
    x = torch.linspace(0, 1, 96)
    ramp = torch.stack(torch.meshgrid(x, x, indexing="ij"), -1)[None]
    known = torch.ones(1, 96, 96)
    known[:, 30:60, 20:70] = 0
    filled = push_pull(ramp * known[..., None] + 7 * (1 - known[..., None]), known)
    assert (filled - ramp)[known > 0].abs().max() < 1e-5
    assert (filled - ramp)[known == 0].abs().max() < 0.15
    assert (push_pull(torch.full((1, 40, 24, 1), 0.3), known[:, :40, :24]) - 0.3).abs().max() < 1e-5
    assert not push_pull(ramp, torch.zeros_like(known)).any()


def test_matched_colours_have_the_other_s_mean():
    generator = torch.Generator().manual_seed(0)
    colours = 0.3 + 0.2 * torch.rand(1, 64, 64, 3, generator=generator)
    gain = torch.tensor([1.5, 0.8, 1.2])
    weight = torch.zeros(1, 64, 64)
    weight[:, :, :32] = 1
    assert (matched(colours, colours * gain, weight, 16) - colours * gain).abs().max() < 1e-4
    assert (matched(colours, colours * gain, 0 * weight, 16) == colours).all()


def test_a_fit_is_painted_with_the_whole_photograph_s_resolution(head):
    """The crop that was fitted is four times as coarse as the photograph, whose stripes it cannot show."""
    size = 640
    stripes = 0.5 + 0.4 * (head.mean_shape[:, 1:2] * 1.2).sin().expand(-1, 3)[None]
    pose = Pose(torch.tensor([[0.0, 0.2, 0.0]]), torch.tensor([[0.0, 0.0, 1000.0]]))
    camera = Camera.default(size, focal=2400.0)
    vertices = head.mean_shape[None]
    photo = render(vertices, head.triangles, stripes, pose, camera, PLAIN, supersample=2).image[0]
    marks = project(model_to_camera(vertices[:, head.landmarks], pose), camera)[0, :, :2]
    crop = crop_face(photo.numpy(), marks.numpy(), 112)
    zeros = (torch.zeros(1, k) for k in (99, 99, 30))
    result = SimpleNamespace(
        **dict(zip(("alpha", "beta", "expression"), zeros, strict=True)),
        pose=pose,
        camera=crop.camera_of_crop(camera),
        light=PLAIN,
        face_probability=torch.ones(1, 112, 112),
    )
    result.to = lambda device: result
    covered = torch.ones(1, 112, 112)
    covered[:, :, :56] = 0
    painted, half = (
        paint_fit(photo.numpy(), crop, result, head, unmasked) for unmasked in (None, covered * crop.valid)
    )
    result.face_probability = covered
    half_found = paint_fit(photo.numpy(), crop, result, head)
    # What hides the face is left out alike, whoever found it.
    assert torch.equal(half.seen, half_found.seen)
    seen, seen_half = (each.atlas.gather(each.seen[..., None])[0, :, 0] for each in (painted, half))
    at = crop.to_crop(project(model_to_camera(vertices, pose), camera)[..., :2])[0, :, 0]
    error = (painted.colours - stripes)[0].abs().amax(-1)
    assert error[seen > 0.99].mean() < 0.05 < 0.2 < (stripes - 0.5)[0, seen > 0.99].abs().mean()
    assert seen_half[at < 55].max() < 0.01 and (seen_half - seen)[at > 66].abs().max() < 0.01


@pytest.mark.gpu
def test_cuda_paints_the_same(head):
    image, vertices, pose, camera = photograph(head, pattern(head), [20.0])
    base = torch.full_like(vertices, 0.5)
    here = paint(image, vertices, base, pose, camera, head)
    there = paint(*(each.to("cuda") for each in (image, vertices, base, pose, camera, head)))
    assert (there.colours.cpu() - here.colours)[0, skin(head)].abs().quantile(0.999) < 0.01
