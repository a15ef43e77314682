"""Verification and identification: scikit-learn's curves, counted pairs, and what must not matter."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import UserError
from helpers.evaluation import (
    REPRESENTATIONS,
    AllPairs,
    Whitening,
    auc_interval,
    enough_for,
    make_pairs,
    rank_one,
    read_labelled,
    read_pairs,
    represent,
    roc,
    tar_at_far,
    verify,
)
from helpers.evaluation.recognition import best_threshold


def drawn(seed, n=200, levels=None):
    generator = torch.Generator().manual_seed(seed)
    same = torch.rand(n, generator=generator) < 0.4
    same[:2] = torch.tensor([True, False])
    score = torch.randn(n, generator=generator) + 1.2 * same
    return (score if levels is None else (score * levels).round() / levels), same


def people(seed=0, count=12, photos=4, K=20, noise=0.5):
    generator = torch.Generator().manual_seed(seed)
    person = torch.arange(count).repeat_interleave(photos)
    centre = torch.randn(count, K, generator=generator)
    return centre[person] + noise * torch.randn(len(person), K, generator=generator), person


@given(seed=st.integers(0, 10_000), levels=st.sampled_from([None, 1, 3]))
@settings(max_examples=30, deadline=None)
def test_the_curve_is_that_of_scikit_learn(seed, levels):
    metrics = pytest.importorskip("sklearn.metrics")
    score, same = drawn(seed, levels=levels)
    ours = roc(score, same)
    false, true, threshold = metrics.roc_curve(same.numpy(), score.double().numpy(), drop_intermediate=False)
    np.testing.assert_allclose(ours.false_accept, false, atol=1e-12)
    np.testing.assert_allclose(ours.true_accept, true, atol=1e-12)
    np.testing.assert_allclose(ours.threshold[1:], threshold[1:], atol=1e-6)
    assert abs(ours.auc - metrics.roc_auc_score(same.numpy(), score.double().numpy())) < 1e-12
    # The equal error rate by interpolating the same curve finely.
    x = np.linspace(0, 1, 200_001)
    k = np.argmin(np.abs(1 - np.interp(x, false, true) - x))
    assert abs(ours.eer - x[k]) < 1e-2


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_only_the_order_of_scores_counts(seed):
    score, same = drawn(seed)
    bent = torch.where(
        score > 0, 4 * score, score
    )  # exact in floating point, so that no two scores become equal
    one, other = roc(score, same), roc(bent, same)
    assert abs(one.auc - other.auc) < 1e-12 and abs(one.eer - other.eer) < 1e-12
    # With the scores turned round everything is mirrored.
    assert abs(roc(-score, same).auc - (1 - one.auc)) < 1e-12


def test_perfect_hopeless_and_constant_scores():
    same = torch.tensor([True, True, False, False])
    right = roc(torch.tensor([4.0, 3.0, 2.0, 1.0]), same)
    assert right.auc == 1.0 and right.eer == 0.0 and right.true_accept_at(0.0) == 1.0
    wrong = roc(torch.tensor([1.0, 2.0, 3.0, 4.0]), same)
    assert wrong.auc == 0.0 and wrong.eer == 1.0
    flat = roc(torch.ones(4), same)
    assert flat.auc == 0.5 and flat.eer == 0.5 and flat.true_accept_at(0.1) == 0.0


def test_tar_at_far_by_counting():
    same = torch.tensor([True] * 4 + [False] * 10)
    score = torch.tensor([0.9, 0.8, 0.5, 0.1, 0.85, 0.6, *([0.0] * 8)])
    # One of ten strangers may pass (0.85): then 0.9 and 0.8 do, and 0.5 lies below the next stranger, 0.6.
    assert tar_at_far(score, same, 0.1) == 0.5 and tar_at_far(score, same, 0.0) == 0.25
    assert tar_at_far(score, same, 0.2) == 1.0 and tar_at_far(score, same, 1.0) == 1.0


@given(seed=st.integers(0, 10_000), levels=st.sampled_from([None, 2]))
@settings(max_examples=30, deadline=None)
def test_the_best_threshold_by_trying_all(seed, levels):
    score, same = drawn(seed, 40, levels)
    found = best_threshold(score, same)
    tried = torch.cat([score.double() + 1e-9, score.double() - 1e-9, torch.tensor([-99.0, 99.0])])
    best = max(float(((score.double() >= t) == same).double().mean()) for t in tried)
    assert abs(float(((score.double() >= found) == same).double().mean()) - best) < 1e-12


def test_a_folds_own_answers_do_not_choose_its_threshold():
    score, same = drawn(1, 100)
    fold = torch.arange(100) % 5
    first = verify(score, same, fold)
    spoiled = same.clone()
    spoiled[fold == 2] = ~spoiled[fold == 2]
    second = verify(score, spoiled, fold)
    assert first.threshold[2] == second.threshold[2]
    assert abs(float(first.fold_accuracy[2] + second.fold_accuracy[2]) - 1) < 1e-12
    assert np.isclose(first.standard_error, np.std(first.fold_accuracy.numpy(), ddof=1) / 5**0.5)
    assert np.isclose(first.accuracy, first.fold_accuracy.numpy().mean())


def test_pairs_keep_people_in_one_fold_and_both_kinds_alike():
    _, person = people(count=30, photos=4)
    pairs = make_pairs(person, folds=5, per_fold=20, seed=3)
    for k in range(5):
        here = pairs.fold == k
        assert int(pairs.same[here].sum()) == int((~pairs.same[here]).sum()) == 20
        mine = set(person[torch.cat([pairs.first[here], pairs.second[here]])].tolist())
        others = set(person[torch.cat([pairs.first[~here], pairs.second[~here]])].tolist())
        assert not mine & others
    assert ((person[pairs.first] == person[pairs.second]) == pairs.same).all() and (
        pairs.first != pairs.second
    ).all()
    assert len({*zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)}) == len(pairs.first)
    again = make_pairs(person, folds=5, per_fold=20, seed=3)
    assert torch.equal(pairs.first, again.first)
    with pytest.raises(
        ValueError, match="30 people, 0 of them .* four people with two photographs each are needed"
    ):
        make_pairs(torch.arange(30), folds=5)
    with pytest.raises(ValueError, match="take fewer folds, at most 3"):
        make_pairs(torch.tensor([0, 0, 1, 1, 2, 2, 3, 4, 5, 6]), folds=5)


def test_rank_one_by_hand_and_for_strangers():
    gallery = represent(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    probe = represent(torch.tensor([[2.0, 0.1], [0.1, 3.0], [1.0, 0.9], [5.0, 5.1]]))
    assert rank_one(gallery, torch.tensor([7, 9]), probe, torch.tensor([7, 9, 9, 11])) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no probe"):
        rank_one(gallery, torch.tensor([7, 9]), probe[:1], torch.tensor([1]))


def test_representations_by_hand():
    x = torch.tensor([[4.0, -9.0, 0.0]])
    assert torch.allclose(represent(x, "signed root"), torch.tensor([[2.0, -3.0, 0.0]]) / 13**0.5)
    assert torch.allclose(represent(x), x / 97**0.5)
    assert represent(torch.zeros(1, 3)).abs().sum() == 0
    with pytest.raises(ValueError, match="plain"):
        represent(x, "cubic")
    with pytest.raises(ValueError, match="Whitening"):
        represent(x, "whitened")
    assert REPRESENTATIONS == ("plain", "signed root", "whitened")


def test_whitened_vectors_have_the_identity_as_covariance():
    vectors, person = people(K=6, count=200)
    vectors = vectors @ torch.randn(6, 6, generator=torch.Generator().manual_seed(2))
    white = Whitening.of(vectors, shrink=0.0)(vectors)
    assert torch.allclose(torch.cov(white.T, correction=0), torch.eye(6), atol=1e-3)
    # By what differs within people: there the identity is that of the photographs about their person.
    within = Whitening.of(vectors, person, shrink=0.0)(vectors)
    means = torch.stack([within[person == p].mean(0) for p in person.unique()])
    assert torch.allclose(torch.cov((within - means[person]).T, correction=0), torch.eye(6), atol=1e-3)


def test_whitening_helps_where_one_direction_says_nothing():
    vectors, person = people(count=40, photos=5, K=15, noise=0.6)
    vectors[:, 0] += 12 * torch.randn(len(vectors), generator=torch.Generator().manual_seed(1))
    known = person < 20
    white = Whitening.of(vectors[known], person[known])
    auc = {}
    for kind in ("plain", "whitened"):
        units = represent(vectors[~known], kind, white)
        pairs = make_pairs(person[~known], folds=2)
        auc[kind] = roc(pairs.score(units), pairs.same).auc
    assert auc["whitened"] > auc["plain"] + 0.1


def test_wrong_pairs_are_refused():
    with pytest.raises(ValueError, match="pairs of two people"):
        roc(torch.ones(3), torch.ones(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="finite"):
        roc(torch.tensor([1.0, torch.nan]), torch.tensor([True, False]))
    with pytest.raises(ValueError, match="two folds"):
        verify(torch.ones(4), torch.ones(4, dtype=torch.bool), torch.zeros(4))


# Files


def write_parquet(path, vectors, person, **columns):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = {"person": [f"P{p}" for p in person.tolist()], "coefficients": vectors.tolist(), **columns}
    parquet.write_table(arrow.table(table), path)


def test_parquet_comes_back(tmp_path):
    vectors, person = people(count=3, photos=2)
    ids = [f"deep/P{p}_{k:04d}.jpg" for k, p in enumerate(person.tolist())]
    vectors[5, 3] = torch.nan  # a photograph that could not be fitted
    write_parquet(tmp_path / "labels.parquet", vectors, person, id=ids)
    for source in (tmp_path, tmp_path / "labels.parquet"):
        read = read_labelled(source)
        assert torch.equal(read.vectors, vectors[:5]) and read.person.tolist() == person[:5].tolist()
        assert read.people == ["P0", "P1", "P2"] and read.names[0] == "P0_0000"


def test_the_rows_of_label_come_back(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    from helpers.labelling.rows import row_schema

    schema, generator = row_schema(4, 3, 2, 27), torch.Generator().manual_seed(0)
    columns = {
        "id": [f"p/{k}.jpg" for k in range(4)],
        "person": ["a", "b", "a", None],
        "index": [0, 1, 2, 3],
        "code": [0, 0, 8, 0],
    }
    for field in schema:
        if field.name not in columns:
            width = getattr(field.type, "list_size", None)
            columns[field.name] = (
                torch.randn(4, width, generator=generator).tolist()
                if width
                else ["x" if "string" in str(field.type) else 0.5] * 4
            )
    table = arrow.table({field.name: arrow.array(columns[field.name], field.type) for field in schema})
    parquet.write_table(table.slice(0, 2), tmp_path / "shard-00000.parquet")
    parquet.write_table(table.slice(2), tmp_path / "shard-00001.parquet")
    write_parquet(
        tmp_path / "pooled.parquet", torch.ones(2, 9), torch.tensor([0, 1])
    )  # of other length, and not read
    read = read_labelled(tmp_path)
    assert read.people == ["a", "b"] and read.person.tolist() == [0, 1, 0] and read.names == ["0", "1", "2"]
    expected = torch.cat([torch.tensor(columns["alpha"]), torch.tensor(columns["beta"])], -1)[:3]
    assert torch.allclose(read.vectors, expected)


def test_results_of_fit_come_back_by_folder_and_by_name(tmp_path):
    for person, photo in (("Ada", "a"), ("Ada", "b"), ("Grace", "c")):
        (tmp_path / "deep" / person).mkdir(exist_ok=True, parents=True)
        np.savez(tmp_path / "deep" / person / f"{photo}.npz", alpha=np.full(3, 1.0), beta=np.full(2, 2.0))
    (tmp_path / "flat").mkdir()
    for name in ("Ada_L_0001", "Ada_L_0002", "Grace_H_0001"):
        np.savez(tmp_path / "flat" / f"{name}.npz", alpha=np.full(3, 1.0), beta=np.full(2, 2.0))
    deep, flat = read_labelled(tmp_path / "deep"), read_labelled(tmp_path / "flat")
    assert (
        deep.people == ["Ada", "Grace"]
        and flat.people == ["Ada_L", "Grace_H"]
        and deep.person.tolist() == [0, 0, 1]
    )
    assert torch.equal(deep.vectors[0], torch.tensor([1.0, 1, 1, 2, 2]))


def test_bad_labels_are_named(tmp_path):
    with pytest.raises(UserError, match="no such"):
        read_labelled(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no labelled coefficients"):
        read_labelled(tmp_path)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"cut\.parquet: is no file of labelled coefficients"):
        read_labelled(tmp_path / "cut.parquet")
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table({"person": ["a"]}), tmp_path / "cut.parquet")
    with pytest.raises(UserError, match="columns person and coefficients"):
        read_labelled(tmp_path)
    write_parquet(tmp_path / "cut.parquet", torch.ones(2, 4), torch.tensor([1, 1]))
    with pytest.raises(UserError, match="1 person"):
        read_labelled(tmp_path)
    (tmp_path / "npz").mkdir()
    (tmp_path / "npz" / "a_1.npz").write_bytes(b"no zip")
    with pytest.raises(UserError, match="a_1.npz: no readable result"):
        read_labelled(tmp_path / "npz")


def test_pairs_of_lfw_are_read_as_they_are_written(tmp_path):
    vectors, person = people(count=4, photos=3)
    ids = [f"P{p}_{1 + k % 3:04d}.jpg" for k, p in enumerate(person.tolist())]
    write_parquet(tmp_path / "l.parquet", vectors, person, id=ids)
    labelled = read_labelled(tmp_path)
    file = tmp_path / "pairs.txt"
    file.write_text("2\t1\nP0\t1\t3\nP0\t2\tP1\t1\nP2\t1\t2\nP3\t3\tP2\t3\n")
    pairs = read_pairs(file, labelled)
    assert pairs.first.tolist() == [0, 1, 6, 11] and pairs.second.tolist() == [2, 3, 7, 8]
    assert pairs.same.tolist() == [True, False, True, False] and pairs.fold.tolist() == [0, 0, 1, 1]
    assert torch.allclose(
        pairs.score(represent(vectors)),
        torch.cosine_similarity(vectors[pairs.first], vectors[pairs.second]),
        atol=1e-6,
    )
    for text, words in (
        ("hello\n", "line 1"),
        ("2 1\nP0 1 3\n", "announced"),
        ("1 1\nP0 1 3\nP0 x P1 1\n", "line 3: expected"),
        ("1 1\nP0 1 3\nP0 1 P1 9\n", "line 3: there are no coefficients of the photograph P1_0009"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=words):
            read_pairs(file, labelled)
    with pytest.raises(UserError, match="no readable list"):
        read_pairs(tmp_path / "none.txt", labelled)


def test_the_area_of_all_pairs_is_that_of_their_curve_and_ties_count_half():
    vectors, person = people(count=6, noise=2.0)
    pairs = AllPairs.of(vectors, person)
    assert len(pairs.score) == 24 * 23 // 2 and int(pairs.same.sum()) == 6 * 6
    assert pairs.auc() == pytest.approx(pairs.roc.auc, abs=1e-9)
    coarse = replace(pairs, score=(pairs.score * 3).round())
    assert coarse.auc() == pytest.approx(coarse.roc.auc, abs=1e-9)


def test_a_person_who_is_drawn_twice_is_not_a_stranger_to_herself():
    """Counts are what copies would be, without the pairs between a person and her copy."""
    vectors, person = people(count=4, noise=2.0)
    counts = np.array([2, 0, 1, 1])
    pairs = AllPairs.of(vectors, person)
    copies = torch.cat([vectors[person == 0], vectors[person != 1]])
    names = torch.cat([torch.full((4,), 9), person[person != 1]])
    drawn = AllPairs.of(copies, names)
    nine, zero = 3, 0  # their numbers among the names in order
    twins = (torch.minimum(drawn.first, drawn.second) == zero) & (
        torch.maximum(drawn.first, drawn.second) == nine
    )
    assert pairs.auc(counts) == pytest.approx(
        float(roc(drawn.score[~twins], drawn.same[~twins]).auc), abs=1e-9
    )
    assert np.isnan(pairs.auc(np.array([4, 0, 0, 0])))


def test_intervals_hold_the_area_and_paired_ones_are_narrower():
    vectors, person = people(count=12, noise=2.5)
    worse = vectors + 0.3 * torch.randn(vectors.shape, generator=torch.Generator().manual_seed(7))
    a, b = AllPairs.of(vectors, person), AllPairs.of(worse, person)
    alone, paired = auc_interval(a, draws=200), auc_interval(a, b, draws=200)
    assert alone.low < alone.mean < alone.high < 1 and paired.mean == pytest.approx(a.auc() - b.auc())
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="same photographs"):
        auc_interval(a, AllPairs.of(vectors[4:], person[4:]))


def test_a_rate_needs_thirty_false_accepts_by_people():
    """78 people make 3,003 pairs, 77 make 2,926; more photographs of each make no more."""
    for count, told in ((78, True), (77, False)):
        vectors, person = people(count=count, photos=2)
        pairs = AllPairs.of(vectors, person)
        assert enough_for(0.01, pairs.first, pairs.second) is told
        assert math.isnan(pairs.true_accept_at(0.01)) is not told
