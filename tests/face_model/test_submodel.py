"""Cropped face models: the same faces, on fewer vertices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import UserError
from helpers.face_model import crop, load


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


def same_faces(part, model, keep):
    people = model.sample(3, torch.Generator().manual_seed(0), expression_strength=1.0)
    whole = model.shape(people.alpha, people.expression)[:, keep]
    assert torch.allclose(part.shape(people.alpha, people.expression), whole, atol=1e-3)
    assert torch.allclose(part.texture(people.beta), model.texture(people.beta)[:, keep], atol=1e-5)
    assert torch.equal(part.mean_shape, model.mean_shape[keep])
    assert torch.equal(part.expression_units, model.expression_units[keep])
    for name, weights in model.masks.items():
        assert torch.equal(part.masks[name], weights[keep])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.3, 1.0))
def test_shape_of_the_crop_is_the_crop_of_shape(model, seed, share):
    """Any list in any order; triangles and landmarks name the same points as before."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(model.n_vertices, generator=generator)
    keep = order[: int(share * model.n_vertices)]
    part = crop(model, vertices=keep.tolist())
    same_faces(part, model, keep)
    kept = set(keep.tolist())
    expected = [t for t in model.triangles.tolist() if kept.issuperset(t)]
    assert (
        keep[part.triangles].tolist() == expected
    )  # the same triangles, in the same order, seen from outside
    if kept.issuperset(model.landmarks.tolist()):
        assert torch.equal(keep[part.landmarks], model.landmarks)
    else:
        assert part.landmarks is None


def test_columns_have_unit_length(model):
    part = crop(model, radius_mm=60.0)
    for basis in (part.shape_basis, part.texture_basis, part.expression_basis):
        assert torch.allclose(basis.flatten(0, 1).norm(dim=0), torch.ones(basis.shape[-1]), atol=1e-5)


def test_radius_is_a_ball_about_the_nose(model):
    part = crop(model, radius_mm=70.0)
    tip = model.mean_shape[model.landmarks[30]]
    distance = (part.mean_shape - tip).norm(dim=1)
    assert 60 < distance.max() <= 70 and part.triangles.unique().numel() == part.n_vertices
    keep = torch.cdist(part.mean_shape, model.mean_shape).argmin(1)
    same_faces(part, model, keep)
    by_number = crop(model, radius_mm=70.0, centre=int(model.landmarks[30]))
    by_point = crop(model, radius_mm=70.0, centre=tuple(tip.tolist()))
    for other in (by_number, by_point):
        assert torch.equal(other.mean_shape, part.mean_shape)


def test_landmarks_stay_all_or_none(model):
    everything = crop(model, radius_mm=1000.0)
    assert torch.equal(everything.landmarks, model.landmarks) and everything.n_vertices == model.n_vertices
    mask = torch.ones(model.n_vertices, dtype=torch.bool)
    mask[model.landmarks[0]] = False
    assert crop(model, vertices=mask).landmarks is None
    assert crop(model, radius_mm=50.0).landmarks is None  # the jaw is further away
    without = crop(model, vertices=mask)
    with pytest.raises(UserError, match="no landmarks"):
        crop(without, radius_mm=50.0)


def test_a_mode_that_is_cut_away_moves_nothing(model):
    """The teeth do not take part in expressions."""
    teeth = crop(model, vertices=model.masks["teeth"] > 0.99)
    still = teeth.shape(torch.zeros(1, 1), torch.ones(1, 30))
    assert torch.equal(still[0], teeth.mean_shape) and teeth.expression_basis.isfinite().all()
    assert torch.equal(teeth.expression_std, torch.zeros(30))


def test_coefficients_still_get_gradients(model):
    part = crop(model, radius_mm=40.0).to(torch.float64)
    alpha = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: part.shape(a)[:, ::50], (alpha,))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, ["vertices", "radius_mm"]),
        ({"vertices": [1, 2], "radius_mm": 3.0}, ["not both"]),
        ({"vertices": [0, 1, 1]}, ["twice"]),
        ({"vertices": [0, 5_000]}, ["5000", "0 to 3543", "another model"]),
        ({"vertices": [-1, 0]}, ["-1"]),
        ({"vertices": [0.0, 1.0]}, ["whole numbers"]),
        ({"vertices": []}, ["whole numbers"]),
        ({"vertices": torch.ones(7, dtype=torch.bool)}, ["(3544,) bool"]),
        ({"vertices": [0, 1000, 2000]}, ["no triangle"]),
        ({"radius_mm": 0.001}, ["no triangle"]),
        ({"radius_mm": -1.0}, ["radius_mm=-1.0"]),
        ({"radius_mm": float("nan")}, ["radius_mm=nan"]),
        ({"radius_mm": 50.0, "centre": "chin"}, ["'chin'", "nose"]),
        ({"radius_mm": 50.0, "centre": 9_999}, ["9999", "0 to 3543"]),
        ({"radius_mm": 50.0, "centre": (1.0, 2.0)}, ["(3,)"]),
    ],
)
def test_wrong_arguments_give_one_clear_line(model, arguments, words):
    with pytest.raises(UserError) as error:
        crop(model, **arguments)
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)
