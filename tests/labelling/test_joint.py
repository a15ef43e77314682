"""Labels of photographs that are fitted together, person by person."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from helpers.__main__ import main
from helpers.errors import UserError
from helpers.fitting import fit_person
from helpers.labelling import label, pool_shards, read_rows
from helpers.labelling.batches import joint_groups
from helpers.labelling.store import shard_files
from tests.labelling.tiny_source import PHOTOS_EACH, SETTINGS, SIZE, TinySource, model, numbers_of

pytestmark = pytest.mark.slow

COUNT = 12


def run(out, source=None, **changes):
    """Shards of five photographs part people; batches of nine hold two."""
    options = {"settings": SETTINGS, "size": SIZE, "batch": 9, "shard": 5, "workers": 0, "joint": True}
    return label(source or TinySource(COUNT), out, model=model(), progress=False, **{**options, **changes})


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    out = tmp_path_factory.mktemp("together")
    summary = run(out)
    return read_rows(out), summary, out


def by_hand(places, person):
    source, threads = TinySource(COUNT), torch.get_num_threads()
    torch.set_num_threads(1)
    found = fit_person(
        source.image[places], source.points[places], model(), person=torch.tensor(person), settings=SETTINGS
    )
    torch.set_num_threads(threads)
    return found.photographs


def test_rows_are_the_joint_fit(together):
    """Two people go into a batch; a person's rows share shape and texture, and nothing else."""
    rows, summary, _ = together
    result = by_hand(list(range(8)), [0] * 4 + [1] * 4)
    for name in ("alpha", "beta", "expression"):
        np.testing.assert_array_equal(numbers_of(rows, name)[:8], getattr(result, name).numpy())
    np.testing.assert_array_equal(numbers_of(rows, "translation")[:8], result.pose.translation.numpy())
    alpha, light = numbers_of(rows, "alpha"), numbers_of(rows, "light")
    for first in range(0, COUNT, PHOTOS_EACH):
        assert (alpha[first : first + PHOTOS_EACH] == alpha[first]).all()
        assert len(np.unique(light[first : first + PHOTOS_EACH], axis=0)) == PHOTOS_EACH
    assert len(np.unique(alpha, axis=0)) == 3
    assert summary.labelled == COUNT and summary.in_groups == 0


def test_a_run_goes_on_in_the_middle_of_a_person(together, tmp_path):
    """The person's other row is already there, and is neither lost nor written twice."""
    run(tmp_path)
    before = shard_files(tmp_path)[0].stat().st_mtime_ns
    shard_files(tmp_path)[1].unlink()
    assert run(tmp_path).labelled == 5
    assert read_rows(tmp_path).equals(together[0])
    assert shard_files(tmp_path)[0].stat().st_mtime_ns == before


def test_workers_write_the_same_rows(together, tmp_path):
    run(tmp_path, workers=2, start="fork")
    assert read_rows(tmp_path).equals(together[0])


@pytest.mark.parametrize("first", [True, False])
def test_joint_and_single_rows_are_not_mixed(tmp_path, first):
    run(tmp_path, joint=first)
    shard_files(tmp_path)[0].unlink()
    with pytest.raises(UserError, match="another configuration") as error:
        run(tmp_path, joint=not first)
    assert f"joint: {json.dumps(not first)}, not {json.dumps(first)}" in str(error.value)


@pytest.mark.parametrize("harm", ["unreadable", "raise", "nan", "kill"])
def test_a_bad_photograph_does_not_spoil_its_person(together, tmp_path, harm):
    workers = {"workers": 1, "start": "fork"} if harm == "kill" else {}
    run(tmp_path, TinySource(COUNT, {2: harm}), **workers)
    rows = read_rows(tmp_path)
    alpha = numbers_of(rows, "alpha")
    without = by_hand([0, 1, 3, 4, 5, 6, 7], [0] * 3 + [1] * 4).alpha.numpy()
    np.testing.assert_allclose(alpha[[0, 1, 3]], without[:3], atol=1e-3)
    np.testing.assert_allclose(alpha[4:8], without[3:], atol=1e-3)
    assert rows.slice(8).equals(together[0].slice(8))
    assert rows.column("code")[2].as_py() != 0
    assert np.isnan(alpha[2]).all() == (harm != "nan")


def test_people_with_more_photographs_than_a_batch_are_fitted_in_groups(tmp_path):
    summary = run(tmp_path, batch=3)
    alpha = numbers_of(read_rows(tmp_path), "alpha")
    assert (alpha[0] == alpha[2]).all() and (alpha[1] == alpha[3]).all() and (alpha[0] != alpha[1]).any()
    assert summary.in_groups == 3 and "fitted in groups: 3" in str(summary)


class Names:
    """A source of which nothing but the names is asked."""

    def __init__(self, people):
        self.people = people

    def __len__(self):
        return len(self.people)

    def name(self, place):
        return str(place), self.people[place]


@pytest.mark.parametrize("seed", range(20))
def test_groups_hold_every_photograph_once_and_part_nobody_without_need(seed):
    generator = torch.Generator().manual_seed(seed)
    people = [str(p) for p in torch.randint(0, 9, (60,), generator=generator).tolist()]
    most = int(torch.randint(2, 16, (1,), generator=generator))
    groups = list(joint_groups(Names(people), most))
    assert sorted(place for group in groups for place in group) == list(range(60))
    assert max(map(len, groups)) <= most
    for person in set(people):
        places = [k for k, name in enumerate(people) if name == person]
        mine = [group for group in groups if set(group) & set(places)]
        assert len(mine) == -(-len(places) // most)
        assert len(mine) == 1 or all(set(group) <= set(places) for group in mine)


def test_pooling_gives_back_the_shared_face_and_refuses_to_count_it_again(together):
    rows, _, out = together
    labels = pool_shards(out, "uniform", also=("unlike", "unconverged", "hidden"))
    alpha = numbers_of(rows, "alpha")
    for name, own in zip(labels.person, labels.coefficients, strict=True):
        first = PHOTOS_EACH * int(name.split()[1])
        np.testing.assert_allclose(own[: alpha.shape[1]], alpha[first], atol=1e-5)
    with pytest.raises(UserError, match="joint fits"):
        pool_shards(out, "precision")


def test_the_command(tmp_path, capsys):
    cheap = ["--level", "0", "--size", "64", "--quick", "--workers", "0", "--batch", "2"]
    out = tmp_path / "rows"
    assert main(["label", "synthetic:2x3", "--out", str(out), "--joint", *cheap]) == 0
    assert "fitted in groups: 2" in capsys.readouterr().out
    assert json.loads((out / "manifest.json").read_text())["configuration"]["joint"] is True
    assert sum(pq.read_metadata(file).num_rows for file in shard_files(out).values()) == 6
    assert main(["label", "synthetic:2x3", "--out", str(out), "--joint", "--batch", "1"]) == 2
    assert "at least 2" in capsys.readouterr().err
