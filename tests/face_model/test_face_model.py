"""The open face model: its statistics, its three levels, its semantics, and what it says to wrong arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import face_model
from helpers.errors import UserError
from helpers.face_model.open_model import ASSET

COUNTS = {0: (3544, 6950), 1: (14036, 27800), 2: (55870, 111200)}
MASKS = {
    "eyes",
    "mouth_interior",
    "teeth",
    "ears",
    "neck",
    "brows",
    "forehead",
    "lips",
    "skin",
    "forehead_gate",
    "beard",
    "goatee",
    "moustache",
    "hairline",
    "gaze",
}
# The iBUG points that mirror onto each other.
MIRRORED = (
    [(i, 16 - i) for i in range(8)]
    + [(17 + i, 26 - i) for i in range(5)]
    + [
        (31, 35),
        (32, 34),
        (36, 45),
        (37, 44),
        (38, 43),
        (39, 42),
        (40, 47),
        (41, 46),
        (48, 54),
        (49, 53),
        (50, 52),
        (59, 55),
        (58, 56),
        (60, 64),
        (61, 63),
        (67, 65),
    ]
)
MIDLINE = [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]


@pytest.fixture(scope="module")
def models():
    return {level: face_model.load("open", level=level) for level in (0, 1, 2)}


@pytest.fixture(scope="module")
def coarse(models):
    return models[0]


def gram(basis: torch.Tensor) -> torch.Tensor:
    flat = basis.double().reshape(-1, basis.shape[-1])
    return flat.T @ flat


@pytest.mark.parametrize("level", [0, 1, 2])
def test_fields_have_the_stated_shapes(models, level):
    model = models[level]
    v, f = COUNTS[level]
    assert model.n_vertices == v
    assert model.mean_shape.shape == model.mean_texture.shape == (v, 3)
    assert model.shape_basis.shape == model.texture_basis.shape == (v, 3, 99)
    assert model.shape_std.shape == model.texture_std.shape == (99,)
    assert model.expression_basis.shape == (v, 3, 30) and model.expression_std.shape == (30,)
    assert model.expression_units.shape == (v, 3, 51) and len(set(model.expression_names)) == 51
    assert model.triangles.shape == (f, 3) and model.triangles.dtype == torch.int64
    assert model.landmarks.shape == (68,) and len(set(model.landmarks.tolist())) == 68
    assert set(model.masks) == MASKS
    floats = [
        model.mean_shape,
        model.shape_basis,
        model.texture_basis,
        model.expression_units,
        *model.masks.values(),
    ]
    assert all(t.dtype == torch.float32 and t.isfinite().all() for t in floats)
    assert "synthetic" in model.name and "synthetic" in model.licence and "CC0" in model.licence


@pytest.mark.slow
def test_the_finest_bases_are_orthonormal(models):
    for basis in (models[2].shape_basis, models[2].texture_basis, models[2].expression_basis):
        assert (gram(basis) - torch.eye(basis.shape[-1])).abs().max() < 1e-4


@pytest.mark.parametrize("level", [0, 1])
def test_coarse_columns_have_unit_length_and_are_nearly_orthogonal(models, level):
    limits = {"shape_basis": 0.1, "texture_basis": 0.35, "expression_basis": 0.02}
    for name, limit in limits.items():
        cosines = gram(getattr(models[level], name))
        assert (cosines.diagonal() - 1).abs().max() < 1e-4
        assert (cosines - cosines.diag().diag()).abs().max() < limit


def test_standard_deviations_decrease_at_the_finest_level(models):
    for std in (models[2].shape_std, models[2].texture_std, models[2].expression_std):
        assert (std > 0).all() and (std.diff() <= 1e-4 * std[:-1]).all()


@pytest.mark.parametrize("level", [0, 1])
def test_a_coefficient_means_the_same_face_on_every_level(models, level):
    fine, people = models[2], models[2].sample(2, torch.Generator().manual_seed(3), expression_strength=1.0)
    model, v = models[level], COUNTS[level][0]
    shape = model.shape(people.alpha, people.expression)
    assert torch.allclose(shape, fine.shape(people.alpha, people.expression)[:, :v], atol=1e-3)
    assert torch.allclose(model.texture(people.beta), fine.texture(people.beta)[:, :v], atol=1e-4)
    assert torch.equal(model.expression_units, fine.expression_units[:v])
    for name, mask in model.masks.items():
        assert torch.equal(mask, fine.masks[name][:v])


def test_coarse_triangles_lie_near_the_fine_surface(models):
    centres = models[1].mean_shape[models[1].triangles].mean(1)
    assert torch.cdist(centres[::50], models[2].mean_shape).min(1).values.max() < 4.0


@pytest.mark.parametrize("level", [0, 1, 2])
def test_triangles_point_outwards(models, level):
    v, triangles = models[level].mean_shape.double(), models[level].triangles
    a, b, c = (v[triangles[:, i]] for i in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    skin = models[level].masks["skin"][triangles].min(1).values > 0.5
    assert (normal.norm(dim=1) > 0).all()
    # The face is nearly a half ball about a point inside the head; all parts look towards the viewer.
    outwards = ((a + b + c) / 3 - torch.tensor([0.0, 0.0, -60.0])) * normal
    area = normal.norm(dim=1)
    assert area[skin & (outwards.sum(1) > 0)].sum() > 0.95 * area[skin].sum()
    for part in ("skin", "eyes", "teeth"):
        assert normal[models[level].masks[part][triangles].min(1).values > 0.5][:, 2].sum() > 0, part


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.slow
def test_every_edge_belongs_to_at_most_two_triangles(models, level):
    triangles = models[level].triangles
    edges = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    assert len(edges.unique(dim=0)) == len(edges)  # each direction once: oriented and manifold
    _, count = edges.sort(dim=1).values.unique(dim=0, return_counts=True)
    assert count.max() == 2
    assert triangles.unique().numel() == models[level].n_vertices


@pytest.mark.parametrize(("level", "tolerance"), [(0, 10.0), (1, 4.0), (2, 2.5)])
def test_landmarks_are_symmetric_and_in_place(models, level, tolerance):
    points = models[level].mean_shape[models[level].landmarks]
    flip = torch.tensor([-1.0, 1.0, 1.0])
    for right, left in MIRRORED:
        assert points[right, 0] < 0 < points[left, 0]
        assert (points[right] * flip - points[left]).norm() < tolerance, (right, left)
    assert points[MIDLINE, 0].abs().max() < tolerance
    # From top to bottom: brows, eyes, nose tip, upper lip, lower lip, chin.
    heights = torch.stack([points[17:27, 1].mean(), points[36:48, 1].mean(), *points[[30, 51, 57, 8], 1]])
    assert (heights.diff() < 0).all()
    assert 80 < points[45, 0] - points[36, 0] < 96  # outer eye corners, mm


def test_coarse_landmarks_lie_near_the_fine_ones(models):
    fine = models[2].mean_shape[models[2].landmarks]
    for level, limit in ((1, 4.0), (0, 9.0)):
        distance = (models[level].mean_shape[models[level].landmarks] - fine).norm(dim=1)
        assert distance.max() < limit


@pytest.mark.parametrize("level", [0, 1, 2])
def test_masks_are_weights_of_sensible_size(models, level):
    masks, v = models[level].masks, COUNTS[level][0]
    share = {name: float((mask > 0.5).sum()) / v for name, mask in masks.items()}
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in masks.values())
    for name, (low, high) in {
        "eyes": (0.05, 0.12),
        "mouth_interior": (0.03, 0.1),
        "teeth": (0.005, 0.03),
        "ears": (0.1, 0.25),
        "neck": (0.01, 0.1),
        "brows": (0.003, 0.02),
        "forehead": (0.02, 0.1),
        "lips": (0.04, 0.1),
        "skin": (0.4, 0.7),
        "forehead_gate": (0.01, 0.05),
    }.items():
        assert low < share[name] < high, (name, share[name])
    for other in ("eyes", "teeth", "neck"):
        assert (masks["skin"] * (masks[other] > 0.99)).max() == 0, other
    assert (masks["forehead_gate"] <= masks["skin"] + 1e-6).all()


def test_three_standard_deviations_of_skin_tone_stay_in_gamut(models):
    model = models[1]
    skin = model.masks["skin"] > 0.5
    for amount in (-3.0, 3.0):
        tone = model.mean_texture + amount * model.texture_std[0] * model.texture_basis[..., 0]
        assert 0.0 < tone[skin].min() and tone[skin].max() < 1.0


def test_random_people_have_colours_and_sizes_of_people(models):
    model = models[1]
    people = model.sample(30, torch.Generator().manual_seed(0))
    assert people.expression.abs().max() == 0
    skin = model.masks["skin"] > 0.5
    raw = model.mean_texture + torch.einsum(
        "vck,bk->bvc", model.texture_basis, people.beta * model.texture_std
    )
    assert ((raw[:, skin] < 0) | (raw[:, skin] > 1)).float().mean() < 0.01
    texture, shape = model.texture(people.beta), model.shape(people.alpha)
    assert 0 <= texture.min() and texture.max() <= 1
    width = shape[:, skin, 0].amax(1) - shape[:, skin, 0].amin(1)
    assert 100 < width.min() and width.max() < 200


def test_texture_is_clipped(coarse):
    beta = torch.full((1, 1), 50.0)
    assert coarse.texture(beta).max() <= 1 and coarse.texture(beta).min() >= 0
    assert coarse.texture(-beta).max() <= 1 and coarse.texture(-beta).min() >= 0


def test_samples_are_seeded(coarse):
    one, two = (coarse.sample(3, torch.Generator().manual_seed(5), 0.5) for _ in range(2))
    assert torch.equal(one.alpha, two.alpha) and torch.equal(one.beta, two.beta)
    assert torch.equal(one.expression, two.expression) and one.expression.shape == (3, 30)
    assert not torch.equal(one.alpha, coarse.sample(3, torch.Generator().manual_seed(6)).alpha)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), t=st.floats(-2, 2), k=st.integers(1, 99), ke=st.integers(1, 30))
def test_shape_is_affine_in_its_coefficients(coarse, seed, t, k, ke):
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 1, k, generator=generator, dtype=torch.float64)
    e, g = torch.randn(2, 1, ke, generator=generator, dtype=torch.float64)
    model = coarse.to(torch.float64)
    between = model.shape((1 - t) * a + t * b, (1 - t) * e + t * g)
    assert torch.allclose(between, (1 - t) * model.shape(a, e) + t * model.shape(b, g), atol=1e-8)


def test_zero_coefficients_are_the_mean(coarse):
    zero = torch.zeros(2, 5)
    assert torch.equal(coarse.shape(zero, zero)[1], coarse.mean_shape)
    assert torch.allclose(coarse.texture(zero)[0], coarse.mean_texture)


def test_fewer_modes_are_the_leading_ones(models):
    model = face_model.load(level=2, n_shape=7, n_texture=3)
    assert model.shape_basis.shape[-1] == 7 and model.texture_basis.shape[-1] == 3
    assert torch.allclose(model.shape_basis, models[2].shape_basis[..., :7], atol=1e-6)
    assert torch.allclose(model.texture_std, models[2].texture_std[:3])


def test_expression_modes_span_what_units_do(models):
    """A full smile is nearly a combination of the 30 modes, and the teeth do not take part in it."""
    model = models[1]
    unit = model.expression_units[..., model.expression_names.index("mouthSmileLeft")]
    basis = model.expression_basis.reshape(-1, 30)
    rest = unit.reshape(-1) - basis @ torch.linalg.lstsq(basis, unit.reshape(-1, 1)).solution[:, 0]
    assert rest.norm() < 0.2 * unit.norm()
    assert model.expression_units[model.masks["teeth"] > 0.5].abs().max() == 0


def test_closed_lids_do_not_show_the_eyeball(models):
    """In a blink the eye patch stays behind the skin of the lids, seen from the front."""
    model = models[2]
    blink = [model.expression_names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    shape = model.mean_shape + model.expression_units[..., blink].sum(-1)
    eye = model.masks["eyes"] > 0.5
    lid = (model.masks["skin"] > 0.5) & (model.mean_shape[:, 2] > 0)
    iris = eye & ((model.mean_shape[:, 1] - 34).abs() < 3)
    distance = torch.cdist(shape[iris][::5, :2], shape[lid][:, :2])
    nearest = distance.argmin(1)
    close = distance.min(1).values < 1.0
    in_front = shape[iris][::5][close][:, 2] - shape[lid][nearest[close]][:, 2]
    assert (in_front > 1.0).float().mean() < 0.02


def test_moving_and_converting(coarse):
    double = coarse.to(torch.float64)
    assert double.mean_shape.dtype == torch.float64 and double.masks["skin"].dtype == torch.float64
    assert double.triangles.dtype == torch.int64 and double.name == coarse.name
    assert coarse.to("cpu").landmarks.device.type == "cpu"


def test_a_change_of_type_leaves_every_tensor_where_it_is(coarse):
    """The device "meta" stands for any that is not the CPU."""
    there = coarse.to("meta").to(torch.float64)
    assert there.mean_shape.dtype == torch.float64 and there.triangles.dtype == torch.int64
    tensors = [value for value in vars(there).values() if isinstance(value, torch.Tensor)]
    tensors += there.masks.values()
    assert len(tensors) > 10 and {tensor.device.type for tensor in tensors} == {"meta"}


def test_asset_is_small_and_carries_its_licence():
    files = [f for f in ASSET.parent.rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 8_500_000
    assert all(f.stat().st_size <= 600_000 for f in files if f.suffix == ".png")
    assert (
        "CC0" in (ASSET.parent / "LICENCE.md").read_text()
        and "synthetic" in (ASSET.parent / "LICENCE.md").read_text()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name_or_path": "basel"}, ["basel", '"open"']),
        ({"name_or_path": Path("/nowhere/model2019.h5")}, ["/nowhere/model2019.h5", '"open"']),
        ({"name_or_path": __file__}, [__file__, '"open"']),
        ({"level": 3}, ["level=3", "0, 1 and 2"]),
        ({"level": -1}, ["level=-1"]),
        ({"level": 1.0}, ["level=1.0"]),
        ({"level": "2"}, ["level='2'"]),
        ({"n_shape": 100}, ["n_shape=100", "1 to 99"]),
        ({"n_shape": 0}, ["n_shape=0"]),
        ({"n_texture": 1000}, ["n_texture=1000", "1 to 99"]),
        ({"n_texture": True}, ["n_texture=True"]),
        ({"device": "toaster"}, ["toaster"]),
    ],
)
def test_wrong_arguments_give_one_clear_line(arguments, words):
    with pytest.raises(UserError) as error:
        face_model.load(**{"level": 0, **arguments})
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)


def test_a_missing_or_broken_asset_says_what_to_do(tmp_path):
    for content in (None, b"", b"not a zip file", ASSET.read_bytes()[:5000]):
        path = tmp_path / "open_face_model.npz"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match="make model"):
            face_model.load_open_model(0, path=path)


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.zeros(1, 100), torch.zeros(1, 2, 3)])
def test_wrong_coefficient_shapes_are_named(coarse, bad):
    for call in (coarse.shape, coarse.texture):
        with pytest.raises(ValueError, match="at most 99"):
            call(bad)
    with pytest.raises(ValueError, match="n must be"):
        coarse.sample(0)
