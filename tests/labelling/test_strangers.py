"""Who does not look like the others of his name, and what is told of photographs that do not count."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from helpers.errors import UserError
from helpers.labelling import label, pool_shards
from helpers.labelling.left_out import left_out_of, left_out_table
from helpers.labelling.strangers import AT_ONCE, find_strangers, likeness
from helpers.landmarks import file_beside
from tests.labelling.tiny_source import SETTINGS, SIZE, TinySource, model


def test_likeness_is_the_mean_over_pairs():
    generator = torch.Generator().manual_seed(0)
    x, person = torch.randn(11, 7, generator=generator), torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 0])
    found, pairs = likeness(x, person), cosine_similarity(x[:, None], x[None], dim=-1)
    for i in range(11):
        same, others = person == person[i], person != person[i]
        same[i] = False
        by_person = {p: float(pairs[i][person == p].mean()) for p in range(4) if p != person[i]}
        assert float(found.rest[i]) == pytest.approx(float(pairs[i][others].mean()), abs=1e-5)
        assert int(found.nearest[i]) == max(by_person, key=by_person.__getitem__)
        assert float(found.other[i]) == pytest.approx(max(by_person.values()), abs=1e-5)
        if same.any():
            assert float(found.own[i]) == pytest.approx(float(pairs[i][same].mean()), abs=1e-5)
    assert found.own[9].isnan() and 9 not in found.order.tolist() and len(found.order) == 10


def test_many_photographs_are_compared_in_parts():
    generator = torch.Generator().manual_seed(1)
    N = AT_ONCE + 5
    x, person = torch.randn(N, 3, generator=generator), torch.arange(N) % 4
    alone = torch.nn.functional.normalize(x)[-1] @ torch.nn.functional.normalize(x).T
    means = torch.stack([alone[person == p].mean() for p in range(4)])
    means[person[-1]] = -1
    assert int(likeness(x, person).nearest[-1]) == int(means.argmax())


@pytest.mark.parametrize(
    "x, person, message",
    [
        (torch.ones(3, 2), torch.zeros(2, dtype=torch.long), r"\(N, K\)"),
        (torch.full((2, 2), torch.nan), torch.tensor([0, 1]), "finite"),
        (torch.ones(3, 2), torch.zeros(3, dtype=torch.long), "two people or more, there are 1"),
    ],
)
def test_what_cannot_be_compared(x, person, message):
    with pytest.raises(ValueError, match=message):
        likeness(x, person)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("rows")
    source = TinySource(12, {2: "unreadable", 5: "nan"})
    label(source, out, settings=SETTINGS, size=SIZE, batch=12, workers=0, model=model(), progress=False)
    return out


def test_every_photograph_counts_or_is_told_why(rows):
    groups = left_out_of(rows)
    assert {"unreadable", "not_finite"} <= {group.reason for group in groups}
    for also in ((), ("unconverged", "unlike")):
        counted = pool_shards(rows, "uniform", also=also).n_photos.sum()
        assert counted + sum(group.photographs for group in left_out_of(rows, also)) == 12
    told = left_out_table(groups)
    assert "photo 2" in told and "cannot be read" in told and "numbers that are not finite" in told
    assert left_out_table([]) == ""


def test_photographs_that_are_gone_do_not_count(rows):
    there = {f"photo {n}" for n in range(12) if n != 8}
    also = ("unconverged", "unlike", "hidden", "misplaced", "covered")
    before, after = (pool_shards(rows, "uniform", also=also, there=t) for t in (None, there))
    assert after.n_photos.sum() == before.n_photos.sum() - 1
    gone = [group for group in left_out_of(rows, also, there) if group.reason == "gone"]
    assert [(group.photographs, group.example) for group in gone] == [(1, "photo 8")]
    found = find_strangers(rows, there)
    assert "photo 8" not in found.squares and {each.id for each in found.compared} <= there
    assert np.allclose(list(found.squares.values()), (0, 0, SIZE))
    with pytest.raises(UserError, match="two people or more"):
        find_strangers(rows, {"photo 0", "photo 1"})


def test_a_landmark_file_lies_where_its_photograph_does(tmp_path):
    (tmp_path / "anna").mkdir()
    assert file_beside(tmp_path, "anna/1.jpg") is None
    (tmp_path / "anna" / "1.pts").write_text("")
    assert file_beside(tmp_path, "anna/1.jpg") == tmp_path / "anna" / "1.pts"
    (tmp_path / "anna" / "1.json").write_text("")
    assert file_beside(tmp_path, "anna/1.jpg") == tmp_path / "anna" / "1.json"
