"""The whole head: the face's own vertices do not change, and the rest closes it from the rim to the neck."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.face_model import crop, load, save


@pytest.fixture(scope="module")
def faces():
    return {level: load("open", level=level) for level in (0, 1, 2)}


def same_face(face, seed, expression_strength):
    head, v = face.whole_head, face.n_vertices
    people = face.sample(2, torch.Generator().manual_seed(seed), expression_strength)
    shape = face.shape(people.alpha, people.expression)
    whole = head.shape(people.alpha, people.expression)
    assert torch.allclose(whole[:, :v], shape, atol=1e-3)  # mm
    assert torch.allclose(head.texture(people.beta)[:, :v], face.texture(people.beta), atol=1e-5)
    return whole


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_first_vertices_are_the_face(faces, level):
    face = faces[level]
    head, v = face.whole_head, face.n_vertices
    whole = same_face(face, 5, 1.0)
    assert whole.shape[1] == head.n_vertices > v and whole.isfinite().all()
    assert torch.equal(head.landmarks, face.landmarks)
    assert torch.equal(head.triangles[: len(face.triangles)], face.triangles)
    assert torch.equal(head.expression_units[:v], face.expression_units)
    assert head.masks.keys() == face.masks.keys()
    for name, mask in head.masks.items():
        assert torch.equal(mask[:v], face.masks[name]) and len(mask) == head.n_vertices
    assert head.whole_head is head


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), strength=st.floats(0, 2))
def test_whoever_it_is_and_whatever_the_face_does(faces, seed, strength):
    same_face(faces[0], seed, strength)


def edges(triangles):
    """Edges of triangles, each in its direction, and how often each is used in either direction."""
    directed = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    unique, count = directed.sort(dim=1).values.unique(dim=0, return_counts=True)
    return directed, unique, count


def loops(pairs):
    """Sets of vertices that hang together by edges."""
    out = []
    for a, b in pairs.tolist():
        touching = [loop for loop in out if a in loop or b in loop]
        out = [loop for loop in out if loop not in touching] + [{a, b}.union(*touching)]
    return out


@pytest.mark.parametrize("level", [0, 1])
def test_the_rest_closes_the_rim(faces, level):
    face = faces[level]
    head = face.whole_head
    directed, unique, count = edges(head.triangles)
    assert len(directed.unique(dim=0)) == len(directed) and count.max() == 2  # oriented and manifold
    assert head.triangles.unique().numel() == head.n_vertices
    _, own, own_count = edges(face.triangles)
    rim = max(loops(own[own_count == 1]), key=lambda loop: float(face.mean_shape[list(loop), 1].max()))
    open_loops = loops(unique[count == 1])
    # What stays open: the slit between the lips, and the end of the neck.
    assert len(open_loops) == 2 and not any(loop & rim for loop in open_loops)
    neck = max(open_loops, key=max)
    lower_lip = head.mean_shape[head.landmarks[57], 1]
    assert min(neck) >= face.n_vertices and head.mean_shape[list(neck), 1].max() < lower_lip


@pytest.mark.parametrize("level", [0, 1, 2])
def test_normals_of_the_rest_point_outwards(faces, level):
    face = faces[level]
    v, triangles = face.whole_head.mean_shape.double(), face.rest.triangles
    a, b, c = (v[triangles[:, i]] for i in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    area = normal.norm(dim=1)
    outwards = ((a + b + c) / 3 - torch.tensor([0.0, -20.0, -70.0])) * normal  # the middle of skull and neck
    assert area.min() > 0 and area[outwards.sum(1) > 0].sum() > 0.999 * area.sum()


def test_converting_takes_the_rest_along(faces):
    double = faces[0].to(torch.float64)
    rest = double.rest
    floats = [
        value
        for value in vars(rest).values()
        if isinstance(value, torch.Tensor) and value.dtype != torch.int64
    ]
    assert len(floats) == 6 and {value.dtype for value in [*floats, *rest.masks.values()]} == {torch.float64}
    assert torch.equal(rest.triangles, faces[0].rest.triangles)
    alpha = torch.randn(1, 99, generator=torch.Generator().manual_seed(0))
    expected = faces[0].whole_head.shape(alpha)
    assert torch.allclose(double.whole_head.shape(alpha.double()).float(), expected, atol=1e-3)
    assert {
        t.device.type for t in vars(faces[0].to("meta").rest).values() if isinstance(t, torch.Tensor)
    } == {"meta"}


def test_coefficients_of_the_whole_head_get_gradients(faces):
    head = faces[0].to(torch.float64).whole_head
    alpha = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: head.shape(a)[:, 3600::100], (alpha,))


def test_a_part_and_a_saved_model_have_no_rest(faces, tmp_path):
    face = faces[0]
    part = crop(face, radius_mm=80.0)
    assert part.rest is None and part.whole_head is part
    save(face, tmp_path / "model.h5")
    again = load(tmp_path / "model.h5")
    assert again.rest is None and again.whole_head is again
    people = face.sample(2, torch.Generator().manual_seed(1))
    assert torch.allclose(again.shape(people.alpha), face.shape(people.alpha), atol=1e-3)
