"""Dressed people: the same for a seed, one topology for all, the truth about the face untouched, nothing in the skull."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from helpers.camera import Camera
from helpers.datasets import Nuisances, SyntheticPeople
from helpers.datasets.hair import ALONG, CUTS, STRANDS
from helpers.datasets.head_map import ROWS, TURNS, HeadMap, at
from helpers.datasets.known_faces import framed
from helpers.datasets.random_streams import RandomStreams
from helpers.datasets.wardrobe import CAP, CLEAR, DARK, NO_GLASSES, NO_HAT, Outfits, Wardrobe
from helpers.errors import UserError
from helpers.face_model import load
from helpers.rendering import render

PLAIN = replace(Nuisances.none(), wardrobe=0.0)
N = 16


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


@pytest.fixture(scope="module")
def wardrobe(model):
    return Wardrobe(model)


@pytest.fixture(scope="module")
def faces(model):
    """Coefficients, vertices and colours of N random people."""
    coefficients = model.sample(N, torch.Generator().manual_seed(1), expression_strength=0.5)
    return (
        coefficients,
        model.shape(coefficients.alpha, coefficients.expression),
        model.texture(coefficients.beta),
    )


@pytest.fixture(scope="module")
def outfits():
    """Of N people; together they have every cut."""
    drawn = Outfits.draw(RandomStreams(2, range(N), [0] * N), 1.0)
    return replace(drawn, hair=replace(drawn.hair, cut=torch.arange(N) % len(CUTS)))


def naked(outfits):
    return replace(
        outfits,
        hair=replace(outfits.hair, cut=torch.zeros_like(outfits.hair.cut)),
        beard=torch.zeros_like(outfits.beard),
        glasses=torch.full_like(outfits.glasses, NO_GLASSES),
        hat=torch.full_like(outfits.hat, NO_HAT),
    )


def rows_of(value, rows):
    if is_dataclass(value):
        return type(value)(**{f.name: rows_of(getattr(value, f.name), rows) for f in fields(value)})
    return value[rows]


def test_the_map_lies_on_the_mean_head(model, wardrobe):
    map_ = wardrobe.head_map
    points = map_.points(model.whole_head.mean_shape[None])[0].flatten(0, 1)
    along = ((points - map_.origin) * map_.outward).sum(-1, keepdim=True)
    level = map_.lowered[:, 0] == 0
    assert float((points - map_.origin - along * map_.outward)[level].norm(dim=-1).max()) < 0.01
    assert float(along.min()) > 20


def test_the_map_is_read_between_its_points_and_round_the_back():
    rows, turns = torch.meshgrid(torch.arange(ROWS), torch.arange(TURNS), indexing="ij")
    angle = (turns / TURNS - 0.5) * 2 * np.pi
    table = torch.stack([rows.float(), angle.cos()], -1)[None]
    row, turn = torch.tensor([[3.25, 40.5]]), torch.tensor([[np.pi - 0.01, -np.pi + 0.01]])
    read = at(table, row, turn)[0]
    assert torch.allclose(read[:, 0], row[0], atol=1e-4)
    assert torch.allclose(read[:, 1], turn[0].cos(), atol=2e-3)


def test_all_share_one_topology(model, wardrobe, faces, outfits):
    dressed = wardrobe.dress(*faces, outfits)
    assert torch.equal(dressed.triangles[: len(model.triangles)], model.triangles)
    assert torch.equal(dressed.vertices[:, : model.n_vertices], faces[1])  # a face keeps its shape
    assert dressed.vertices.shape == dressed.colours.shape
    assert int(dressed.triangles.max()) == dressed.vertices.shape[1] - 1
    assert bool(dressed.vertices.isfinite().all())
    assert 0 <= float(dressed.colours.min()) and float(dressed.colours.max()) <= 1
    alone = wardrobe.dress(*(rows_of(x, slice(3, 4)) for x in faces), rows_of(outfits, slice(3, 4)))
    assert torch.allclose(alone.vertices[0], dressed.vertices[3], atol=1e-3)
    assert torch.equal(alone.triangles, dressed.triangles)


def test_the_rest_of_the_head_is_that_of_the_whole_head(model, wardrobe, faces, outfits):
    coefficients = faces[0]
    dressed = wardrobe.dress(*faces, naked(outfits))
    whole = model.whole_head
    head = dressed.parts["head"]
    expected = whole.shape(coefficients.alpha, coefficients.expression)
    assert torch.allclose(dressed.vertices[:, head], expected, atol=1e-3)
    assert torch.allclose(dressed.colours[:, head], whole.texture(coefficients.beta), atol=1e-5)


def test_who_wears_nothing_of_a_kind_has_it_in_one_place(wardrobe, faces, outfits):
    dressed = wardrobe.dress(*faces, naked(outfits))
    for name in ("hair", "bun", "glasses", "hat"):
        part = dressed.vertices[:, dressed.parts[name]]
        assert float((part - part[:, :1]).abs().max()) < 1e-3, name
    shirt = dressed.vertices[:, dressed.parts["shirt"]]
    assert float((shirt - shirt[:, :1]).norm(dim=-1).amax(1).min()) > 100
    undressed = replace(outfits, dressed=torch.zeros(N, dtype=torch.bool))
    dressed = wardrobe.dress(*faces, undressed)
    rest = dressed.vertices[:, dressed.parts["head"].stop :]
    assert float((rest - rest[:, :1]).abs().max()) < 1e-3


@pytest.mark.parametrize("hat", [NO_HAT, CAP])
def test_nothing_lies_inside_the_skull(model, wardrobe, faces, outfits, hat):
    outfits = replace(outfits, hat=torch.full_like(outfits.hat, hat))
    dressed = wardrobe.dress(*faces, outfits)
    heads = wardrobe.dress(*faces, naked(outfits)).vertices[:, dressed.parts["head"]]
    triangles = model.whole_head.triangles
    for i in range(1, len(CUTS)):
        for name in ("hair", "hat"):
            part = dressed.vertices[i, dressed.parts[name]]
            if float((part - part[0]).abs().max()) < 1:
                continue  # not worn
            part = part[::7]  # neither rows nor columns are a multiple of it
            inside = part[winding(part, heads[i], triangles) > 0.5]
            depth, _ = cKDTree(on_surface(heads[i], triangles)).query(inside.numpy())
            assert not len(depth) or depth.max() < 1, (name, CUTS[i], depth.max())


def winding(points, vertices, triangles):
    """(P,) how often a mesh goes round points: 1 within, 0 without, between near a hole (van Oosterom, Strackee 1983)."""
    turns = []
    for some in points.split(256):
        a, b, c = (vertices[triangles[:, k]][None] - some[:, None] for k in range(3))
        la, lb, lc = (x.norm(dim=-1) for x in (a, b, c))
        volume = (a * torch.linalg.cross(b, c)).sum(-1)
        flat = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
        turns.append(torch.atan2(volume, flat).sum(1) / (2 * np.pi))
    return torch.cat(turns)


def on_surface(vertices, triangles):
    """Points on a mesh, fifteen to a triangle."""
    places = [(a / 4, b / 4, 1 - (a + b) / 4) for a in range(5) for b in range(5 - a)]
    corners = [vertices[triangles[:, k]] for k in range(3)]
    return torch.cat([sum(w * c for w, c in zip(p, corners, strict=True)) for p in places]).numpy()


def test_lengths_of_cuts_differ_as_their_names(wardrobe, faces, outfits):
    dressed = wardrobe.dress(*faces, replace(outfits, hat=torch.full_like(outfits.hat, NO_HAT)))
    hair = dressed.vertices[:, dressed.parts["hair"]].view(N, ALONG, STRANDS, 3)
    chin = faces[1][:, wardrobe.model.landmarks[8], 1]
    lowest = hair[..., 1].flatten(1).amin(1)
    for i in range(N):
        cut = CUTS[int(outfits.hair.cut[i])]
        if cut == "long":
            assert float(lowest[i]) < float(chin[i]) + 30
        else:
            assert float(lowest[i]) > float(chin[i]) + 30, cut
    # A fringe ends where it was told to, above the brows.
    front = hair[:, -1, STRANDS // 2 - 4 : STRANDS // 2 + 5, 1].mean(1)
    brows = faces[1][:, wardrobe.model.landmarks[17:27], 1].mean(1)
    fringed = outfits.hair.cut == CUTS.index("fringe")
    over = (front - brows - outfits.hair.fringe)[fringed]
    assert float(over.abs().max()) < 8


def test_glasses_stand_before_the_eyes_and_reach_the_ears(model, wardrobe, faces, outfits):
    wearing = replace(outfits, glasses=torch.full_like(outfits.glasses, CLEAR))
    dressed = wardrobe.dress(*faces, wearing)
    glasses = dressed.vertices[:, dressed.parts["glasses"]]
    marks = faces[1][:, model.landmarks]
    eyes = marks[:, 36:48]
    assert bool((glasses[..., 2].amax(1) > eyes[..., 2].amax(1) + 8).all())
    assert bool((glasses[..., 0].amax(1) > marks[:, 16, 0] - 5).all())
    assert bool((glasses[..., 2].amin(1) < marks[:, 16, 2]).all())


def test_surfaces_face_outward(wardrobe, faces, outfits):
    """A closed piece has a positive volume, and a shell faces away from the head; else light would fall from behind."""
    worn = replace(
        outfits,
        hat=torch.full_like(outfits.hat, CAP),
        glasses=torch.full_like(outfits.glasses, DARK),
        hair=replace(outfits.hair, cut=torch.full_like(outfits.hair.cut, CUTS.index("short"))),
    )
    dressed = wardrobe.dress(*faces, worn)
    first = dressed.triangles.amin(1)
    for name in ("hair", "hat", "shirt", "glasses"):
        part = dressed.parts[name]
        some = dressed.triangles[(first >= part.start) & (first < part.stop)]
        if name == "glasses":
            wire = 37 * 6  # a rim
            for start in (part.start, part.start + wire):
                closed = some[(some.amin(1) >= start) & (some.amax(1) < start + wire)]
                a, b, c = (dressed.vertices[:, closed[:, k]] for k in range(3))
                assert bool(((a * torch.linalg.cross(b, c)).sum((1, 2)) > 0).all())
            continue
        a, b, c = (dressed.vertices[:, some[:, k]] for k in range(3))
        normal = torch.linalg.cross(b - a, c - a)
        away = a - faces[1].new_tensor([0.0, 40.0, -58.0])
        if name == "shirt":
            away[..., 1] = 20.0
        assert float(((normal * away).sum(-1) > 0).float().mean()) > 0.85, name


def test_dark_lenses_hide_the_eyes_and_clear_ones_do_not(model, wardrobe, faces, outfits):
    camera = Camera.default(96, batch=N)
    pose = framed(faces[1][:, model.landmarks], torch.zeros(N, 3), camera, 96)
    eyes = (model.masks["eyes"] > 0.9)[model.triangles].all(1)

    def seen(glasses):
        wearing = replace(naked(outfits), glasses=torch.full_like(outfits.glasses, glasses))
        dressed = wardrobe.dress(*faces, wearing)
        ids = render(dressed.vertices, dressed.triangles, dressed.colours, pose, camera).triangle_id.long()
        return (ids >= 0) & (ids < len(eyes)) & eyes[ids.clamp(0, len(eyes) - 1)]

    without, clear, dark = (int(seen(g).sum()) for g in (NO_GLASSES, CLEAR, DARK))
    assert dark < 0.05 * without < 0.5 * without < clear


def test_the_same_photographs_for_a_seed_alone_and_in_a_batch(model):
    people = SyntheticPeople(model, 5, 2, seed=3, size=48, nuisances=replace(Nuisances(), wardrobe=0.8))
    batch, alone = people.batch(torch.arange(10)), people.batch(torch.tensor([7]))
    again = SyntheticPeople(model, 5, 2, seed=3, size=48, nuisances=replace(Nuisances(), wardrobe=0.8))
    assert torch.equal(batch.image, again.batch(torch.arange(10)).image)
    # Products of other sizes round otherwise, which moves the pixel at an edge now and then.
    assert float(((alone.image[0] - batch.image[7]).abs() > 0.02).float().mean()) < 0.01
    other = SyntheticPeople(model, 5, 2, seed=4, size=48, nuisances=replace(Nuisances(), wardrobe=0.8))
    assert not torch.equal(batch.image, other.batch(torch.arange(10)).image)


def test_dressing_changes_the_picture_and_nothing_that_is_true(model):
    bare = SyntheticPeople(model, 8, 1, seed=1, size=64, nuisances=Nuisances())
    clad = replace(bare, nuisances=replace(Nuisances(), wardrobe=1.0))
    a, b = bare.batch(torch.arange(8)), clad.batch(torch.arange(8))
    for name in ("landmarks", "confidence", "vertices", "neutral", "light", "person"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    assert torch.equal(a.coefficients.alpha, b.coefficients.alpha)
    assert torch.equal(a.pose.translation, b.pose.translation)
    assert not torch.equal(a.image, b.image)
    # All that is face in the dressed picture is a triangle of the face, and none appears that was hidden before.
    assert int(b.triangle_id.max()) < len(model.triangles)
    shown = b.triangle_id >= 0
    assert float(((a.triangle_id < 0) & shown).float().mean()) < 0.02
    assert float(b.visible.sum()) < float(a.visible.sum())


def test_who_is_not_dressed_needs_no_wardrobe(model):
    """Off, photographs are those of the face alone: the same from a model without the rest of a head."""
    people = SyntheticPeople(model, 4, 1, seed=1, size=64)
    assert people.nuisances.wardrobe == 0
    face = replace(model, rest=None, masks={"skin": model.masks["skin"]})
    a, b = people.batch(torch.arange(4)), replace(people, model=face).batch(torch.arange(4))
    assert torch.equal(a.image, b.image) and torch.equal(a.triangle_id, b.triangle_id)


def test_a_hat_covers_the_forehead(model, monkeypatch):
    draw = Outfits.draw.__func__

    def with_hat(hat):
        def drawn(cls, streams, share):
            some = naked(draw(cls, streams, share))
            return replace(some, hat=torch.full_like(some.hat, hat), hat_fit=0 * some.hat_fit)

        monkeypatch.setattr(Outfits, "draw", classmethod(drawn))
        people = SyntheticPeople(model, 4, 1, size=96, framing="fit", nuisances=replace(PLAIN, wardrobe=1.0))
        return people.batch(torch.arange(4))

    bare, covered = with_hat(NO_HAT), with_hat(CAP)
    assert torch.equal(bare.landmarks, covered.landmarks)
    for i in range(4):
        brows = bare.landmarks[i, 17:27]
        middle, top = int(brows[:, 0].mean()), int(brows[:, 1].min()) - 10
        spot = (i, slice(top - 2, top + 3), slice(middle - 3, middle + 4))
        assert bool((bare.triangle_id[spot] >= 0).all())
        assert bool((covered.triangle_id[spot] == -1).all())
        assert float((bare.image[spot] - covered.image[spot]).abs().mean()) > 0.02


def test_a_model_without_hairline_is_refused(model):
    with pytest.raises(UserError, match="hair"):
        HeadMap.of(replace(model, masks=None))


@pytest.mark.gpu
def test_cuda_dresses_alike(model, wardrobe, faces, outfits):
    def moved(value):
        if is_dataclass(value):
            return type(value)(**{f.name: moved(getattr(value, f.name)) for f in fields(value)})
        return value.cuda()

    there = Wardrobe(model.to("cuda")).dress(
        faces[0].to("cuda"), *(x.cuda() for x in faces[1:]), moved(outfits)
    )
    here = wardrobe.dress(*faces, outfits)
    assert float((there.vertices.cpu() - here.vertices).abs().max()) < 0.05
    assert float((there.colours.cpu() - here.colours).abs().max()) < 1e-3
