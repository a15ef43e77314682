"""Models built from populations: populations whose mean, modes, σ and noise are known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import roma
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import UserError
from helpers.face_model import align, build, build_model, compactness, generalisation, load, specificity
from helpers.face_model.alignment import align_onto

V = 40
TRIANGLES = torch.tensor([[0, 1, 2], [1, 2, 3]])
SIGMA = torch.tensor([8.0, 3.0, 1.0], dtype=torch.float64)


def orthonormal(rows: int, columns: int, seed: int, first=None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    if first is not None:
        matrix = torch.cat([first, matrix], 1)
    basis = torch.linalg.qr(matrix)[0]
    return basis if first is None else basis[:, first.shape[1] :]


def mean_head() -> torch.Tensor:
    return 50 * torch.randn(V, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def exact_population(N: int = 30, sigma=SIGMA, seed: int = 0):
    """Heads (N, V, 3) whose sample mean, modes and σ are exactly the ones returned.

    Columns of scores that are orthonormal and at right angles to ones have mean 0 and no correlation. The modes
    are at right angles to small shifts and turns, so that rigid alignment has nothing to do.
    """
    scores = orthonormal(N, len(sigma), seed, first=torch.ones(N, 1, dtype=torch.float64)) * math.sqrt(N - 1)
    mean = mean_head()
    axes = torch.eye(3, dtype=torch.float64)
    turns = torch.stack([torch.linalg.cross(axes[i].expand(V, 3), mean).flatten() for i in range(3)], 1)
    shifts = axes.repeat(V, 1)
    basis = orthonormal(3 * V, len(sigma), seed + 1, first=torch.cat([shifts, turns, mean.view(-1, 1)], 1))
    heads = mean + ((scores * sigma) @ basis.T).view(N, V, 3)
    return heads, mean, basis.view(V, 3, -1), scores


def up_to_sign(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a.flatten(0, 1) * b.flatten(0, 1)).sum(0).abs()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("chunk", [7, 1024])
def test_known_modes_come_back(dtype, chunk, monkeypatch):
    monkeypatch.setattr(build, "CHUNK", chunk)
    heads, mean, basis, _ = exact_population()
    built = build_model(heads.to(dtype), TRIANGLES, align_by="none")
    exact = dtype == torch.float64
    assert built.model.mean_shape.dtype == dtype
    assert torch.allclose(built.model.mean_shape.double(), mean, atol=1e-9 if exact else 1e-4)
    assert torch.allclose(built.model.shape_std.double(), SIGMA, rtol=1e-9 if exact else 1e-4)
    assert (up_to_sign(built.model.shape_basis.double(), basis) > 1 - (1e-9 if exact else 1e-5)).all()
    flat = built.model.shape_basis.double().flatten(0, 1)
    assert torch.allclose(flat.T @ flat, torch.eye(3, dtype=torch.float64), atol=1e-12 if exact else 1e-6)
    assert torch.allclose(built.shape.explained, compactness(SIGMA), atol=1e-9 if exact else 1e-5)
    assert built.shape.kept == 3 and built.shape.noise_variance < (1e-12 if exact else 1e-3)
    assert built.texture is None and built.model.texture(torch.zeros(2, 0)).shape == (2, V, 3)


def test_against_a_plain_singular_value_decomposition():
    rng = np.random.default_rng(0)
    heads = rng.normal(0, 5, (12, V, 3)) + mean_head().numpy()
    textures = rng.random((12, V, 3))
    built = build_model(
        torch.from_numpy(heads), TRIANGLES, textures=torch.from_numpy(textures), n_modes=5, align_by="none"
    )
    for samples, mean, basis, std, spread in (
        (heads, built.model.mean_shape, built.model.shape_basis, built.model.shape_std, built.shape),
        (
            textures,
            built.model.mean_texture,
            built.model.texture_basis,
            built.model.texture_std,
            built.texture,
        ),
    ):
        X = samples.reshape(12, -1)
        _, S, Vt = np.linalg.svd(X - X.mean(0), full_matrices=False)
        np.testing.assert_allclose(mean.numpy().ravel(), X.mean(0), rtol=1e-9)
        np.testing.assert_allclose(std, S[:5] / np.sqrt(11), rtol=1e-9)
        np.testing.assert_allclose(np.abs((Vt[:5] * basis.numpy().reshape(-1, 5).T).sum(1)), 1, atol=1e-9)
        np.testing.assert_allclose(spread.variance, S[:11] ** 2 / 11, rtol=1e-9)
        # Probabilistic PCA: variance left out, over the directions left out.
        assert spread.noise_variance == pytest.approx((S[5:] ** 2 / 11).sum() / (3 * V - 5), rel=1e-9)


def test_noise_of_a_known_strength_is_found():
    generator = torch.Generator().manual_seed(3)
    heads, _, _, _ = exact_population(N=400)
    noisy = heads + 0.5 * torch.randn(heads.shape, generator=generator, dtype=torch.float64)
    built = build_model(noisy, TRIANGLES, n_modes=3, align_by="none")
    assert built.shape.noise_variance == pytest.approx(0.25, rel=0.05)


def scattered(heads, seed, scale=False):
    """The same heads, each turned and moved at random, and resized if wanted."""
    generator = torch.Generator().manual_seed(seed)
    N = len(heads)
    turn = (
        roma.random_rotmat(N, dtype=torch.float64)
        if seed is None
        else roma.rotvec_to_rotmat(2.0 * torch.randn(N, 3, generator=generator, dtype=torch.float64))
    )
    size = torch.exp(0.3 * torch.randn(N, 1, 1, generator=generator, dtype=torch.float64)) if scale else 1.0
    return size * heads @ turn + 200 * torch.randn(N, 1, 3, generator=generator, dtype=torch.float64)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_rigid_alignment_undoes_any_motion(seed):
    """Whatever way the heads stand, the model is the same: mean in the reference's frame, modes, σ."""
    heads, mean, basis, _ = exact_population(sigma=SIGMA / 20)
    built = build_model(scattered(heads, seed), TRIANGLES, reference=mean)
    assert torch.allclose(built.model.mean_shape, mean, atol=1e-2)
    assert torch.allclose(built.model.shape_std, SIGMA / 20, rtol=2e-3)
    assert (up_to_sign(built.model.shape_basis, basis) > 0.999).all()
    assert torch.allclose(built.alignment.apply(scattered(heads, seed)), heads, atol=0.05)


def test_unaligned_heads_make_a_worse_model():
    heads, mean, _, _ = exact_population(sigma=SIGMA / 20)
    moved = scattered(heads, 1)
    loose = build_model(moved, TRIANGLES, align_by="none")
    tight = build_model(moved, TRIANGLES, reference=mean)
    assert loose.shape.variance.sum() > 1000 * tight.shape.variance.sum()


def test_similarity_also_takes_the_size_away():
    heads, mean, _, _ = exact_population(sigma=SIGMA / 20)
    moved = scattered(heads, 4, scale=True)
    rigid, similar = (
        build_model(moved, TRIANGLES, reference=mean, align_by=how) for how in ("rigid", "similarity")
    )
    assert similar.shape.variance.sum() < 1.1 * (SIGMA / 20).square().sum() * 1.5
    assert rigid.shape.variance.sum() > 100 * similar.shape.variance.sum()

    # The mean keeps the mean size of the heads, and does not shrink from round to round.
    def size(x):
        return (x - x.mean(-2, keepdim=True)).square().sum((-2, -1)).sqrt()

    assert size(similar.model.mean_shape) == pytest.approx(float(size(moved).mean()), rel=1e-3)
    assert size(rigid.model.mean_shape) == pytest.approx(float(size(moved).mean()), rel=1e-2)


def test_alignment_against_a_plain_loop():
    """One head after the other, with numpy, until the mean rests."""
    heads = scattered(exact_population(N=8, sigma=SIGMA)[0], 6).numpy()
    weights = np.random.default_rng(0).random(V)
    weights /= weights.sum()
    goal = heads[0] - weights @ heads[0]
    for _ in range(60):
        moved = []
        for head in heads:
            x = head - weights @ head
            u, _, vt = np.linalg.svd((weights[:, None] * x).T @ goal)
            u[:, -1] *= np.sign(np.linalg.det(u @ vt))
            moved.append(x @ u @ vt)
        goal = np.mean(moved, 0)
    ours = align(
        torch.from_numpy(heads), weights=torch.from_numpy(7 * weights), tolerance=1e-10, most_rounds=60
    )
    aligned = ours.apply(torch.from_numpy(heads)).numpy()
    np.testing.assert_allclose(aligned.mean(0), ours.mean, atol=1e-9)
    # The frames differ by one motion for all.
    both = np.concatenate(moved), aligned.reshape(-1, 3)
    gaps = [np.linalg.norm(a[:, None, :] - a[None, ::37, :], axis=-1) for a in both]
    np.testing.assert_allclose(*gaps, atol=1e-6)


def test_weights_keep_bad_vertices_from_pulling():
    heads, mean, _, _ = exact_population(sigma=SIGMA / 20)
    heads = scattered(heads, 2)
    bad = heads.clone()
    bad[:, :8] += 30 * torch.randn(
        len(heads), 8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    weights = torch.ones(V)
    weights[:8] = 0
    clean, guarded = (align(h, weights=weights, reference=mean) for h in (heads, bad))
    assert torch.allclose(clean.rotation, guarded.rotation, atol=1e-6)
    assert not torch.allclose(align(bad, reference=mean).rotation, clean.rotation, atol=1e-3)


def test_a_mirror_image_is_not_turned_inside_out():
    heads = torch.stack([mean_head(), mean_head() * torch.tensor([-1.0, 1.0, 1.0])])
    assert torch.allclose(torch.linalg.det(align(heads).rotation), torch.ones(2, dtype=torch.float64))


def test_one_slice_is_a_slice_of_all():
    heads = scattered(exact_population()[0], 5)
    moves = align(heads, "similarity")
    assert torch.allclose(moves.apply(heads)[:, 5:9], moves.apply(heads, slice(5, 9)), atol=1e-12)
    target = mean_head()
    onto = align_onto(heads, target, "similarity")
    assert torch.allclose(onto.mean(1), target.mean(0).expand(len(heads), 3), atol=1e-9)
    assert align_onto(heads, target, "none") is heads


def test_meshes_are_left_as_they_are_and_passed_things_are_passed_on():
    heads = scattered(exact_population()[0], 5)
    before = heads.clone()
    masks = {"face": torch.ones(V)}
    built = build_model(heads, TRIANGLES, masks=masks, landmarks=torch.arange(68) % V, name="n", licence="l")
    assert torch.equal(heads, before)
    assert (built.model.name, built.model.licence) == ("n", "l") and built.model.masks is masks
    assert torch.equal(built.model.triangles, TRIANGLES) and len(built.model.landmarks) == 68


def test_the_open_model_comes_back_from_its_own_people():
    model = load("open", level=0, n_shape=6)
    alpha = model.sample(80, torch.Generator().manual_seed(1)).alpha
    built = build_model(model.shape(alpha), model.triangles, align_by="none", n_modes=20).model
    assert built.shape_basis.shape[-1] == 6  # float32 rounding is not taken for modes
    # New faces of the old model lie in the span of the new one.
    unseen = model.shape(model.sample(5, torch.Generator().manual_seed(2)).alpha)
    assert generalisation(built, unseen, [6], align_by="none").max() < 0.01


# --- how good is it ---


def built_exactly():
    heads, mean, basis, scores = exact_population()
    return build_model(heads, TRIANGLES, align_by="none").model, heads, mean, basis, scores


def test_compactness():
    share = compactness(torch.tensor([3.0, 2.0, 1.0]))
    assert share.tolist() == pytest.approx([9 / 14, 13 / 14, 1])
    assert compactness(torch.tensor([3.0, 2.0]), 20.0).tolist() == pytest.approx([0.45, 0.65])


def test_generalisation_is_what_the_left_out_modes_hold():
    model, _, mean, basis, _ = built_exactly()
    coordinates = torch.tensor([[4.0, -2.0, 1.0], [0.0, 6.0, 0.5]], dtype=torch.float64)
    outside = orthonormal(3 * V, 1, 77, first=basis.flatten(0, 1)).view(V, 3) * 2.0
    heads = mean + torch.einsum("vck,nk->nvc", basis, coordinates) + outside
    errors = generalisation(model, heads, [0, 1, 2, 3], align_by="none")
    for row, k in enumerate((0, 1, 2, 3)):
        expected = (coordinates[:, k:].square().sum(1) + 4.0).sqrt() / math.sqrt(V)
        assert torch.allclose(errors[row], expected, atol=1e-6)


def test_generalisation_with_modes_that_are_not_at_right_angles():
    from dataclasses import replace

    model, _, mean, basis, _ = built_exactly()
    skew = torch.stack([basis[..., 0], (basis[..., 0] + basis[..., 1]) / math.sqrt(2)], -1)
    skewed = replace(model, shape_basis=skew, shape_std=model.shape_std[:2])
    heads = mean + torch.einsum("vck,nk->nvc", basis[..., :2], torch.randn(4, 2, dtype=torch.float64))
    assert generalisation(skewed, heads, [2], align_by="none").max() < 1e-6


def test_generalisation_aligns_the_unseen_heads():
    model, heads, _, _, _ = built_exactly()
    moved = scattered(heads, 8)
    loose, tight = (generalisation(model, moved, [0, 3], align_by=how) for how in ("none", "rigid"))
    assert (loose[0] > 50).all() and (tight[0] < 5).all()


def test_specificity_of_one_mode_is_a_half_normal():
    """With the mean face as the whole population, a drawn head is |α|·σ/√V away: the mean is √(2/π)·σ/√V."""
    model, _, mean, _, _ = built_exactly()
    distances = specificity(model, mean[None], 4000, modes=1, generator=torch.Generator().manual_seed(0))
    alpha = model.sample(4000, torch.Generator().manual_seed(0)).alpha[:, 0]
    assert torch.allclose(distances, alpha.abs() * 8.0 / math.sqrt(V), atol=1e-6)
    assert float(distances.mean()) == pytest.approx(math.sqrt(2 / math.pi) * 8 / math.sqrt(V), rel=0.03)


def test_specificity_finds_the_nearest_head():
    model, _, _, _, _ = built_exactly()
    drawn = model.shape(model.sample(6, torch.Generator().manual_seed(4)).alpha)
    far = drawn[:3] + 100
    zero = specificity(model, torch.cat([far, drawn]), 6, generator=torch.Generator().manual_seed(4))
    assert zero.max() < 1e-5
    plain = torch.cdist(drawn.flatten(1), far.flatten(1)).amin(1) / math.sqrt(V)
    assert torch.allclose(
        specificity(model, far, 6, generator=torch.Generator().manual_seed(4)), plain, atol=1e-6
    )


HEADS = torch.zeros(3, V, 3) + torch.arange(3.0)[:, None, None] * torch.randn(
    V, 3, generator=torch.Generator().manual_seed(0)
)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: build_model(HEADS[:1], TRIANGLES), ["two heads"]),
        (lambda: build_model(HEADS[0], TRIANGLES), ["(N, V, 3)"]),
        (lambda: build_model(HEADS.long(), TRIANGLES), ["floats"]),
        (lambda: build_model(HEADS[1:2].repeat(4, 1, 1), TRIANGLES), ["the same"]),
        (lambda: build_model(HEADS * torch.nan, TRIANGLES, align_by="none"), ["not finite"]),
        (lambda: build_model(HEADS, TRIANGLES, n_modes=0), ["n_modes=0"]),
        (lambda: build_model(HEADS, TRIANGLES, align_by="affine"), ["'affine'", "'rigid'"]),
        (lambda: build_model(HEADS, TRIANGLES, textures=HEADS[:2]), ["textures"]),
        (lambda: build_model(HEADS, TRIANGLES, weights=-torch.ones(V)), ["weights"]),
        (lambda: build_model(HEADS, TRIANGLES, weights=torch.ones(3)), ["weights"]),
        (lambda: build_model(HEADS, TRIANGLES, reference=HEADS[0, :5]), ["reference"]),
        (lambda: generalisation(load("open", level=0), HEADS, [1]), ["(N, 3544, 3)"]),
        (lambda: generalisation(built_exactly()[0], HEADS.double(), [4]), ["0 to 3"]),
        (lambda: generalisation(built_exactly()[0], HEADS.double(), []), ["0 to 3"]),
    ],
)
def test_wrong_arguments_give_one_clear_line(call, words):
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words)
