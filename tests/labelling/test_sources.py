"""What the label factory reads, and the two commands."""

import os
import pickle
import shutil
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from helpers.__main__ import main
from helpers.commands import pool as pool_command
from helpers.crop import crop_face
from helpers.datasets import PhotoFolder, SyntheticPeople
from helpers.errors import UserError
from helpers.labelling import open_source, pool_shards, read_labels, read_rows
from helpers.labelling.labels import Labels, write_labels
from helpers.landmarks import landmarks_for
from helpers.photo import default_photos, read_photo
from helpers.pooling import RULES, pool
from tests.labelling.tiny_source import model, numbers_of

CHEAP = ("--level", "0", "--size", "64", "--quick", "--workers", "0", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two people; a damaged photograph, an empty one, and one without a face."""
    root = tmp_path_factory.mktemp("people")
    for person, path in zip(("collins", "hopper"), default_photos().values(), strict=True):
        (root / person).mkdir()
        shutil.copy(path, root / person / f"1{path.suffix}")
    whole = default_photos()["grace_hopper"].read_bytes()
    (root / "hopper" / "2.jpg").write_bytes(whole[: len(whole) // 3])
    (root / "hopper" / "3.jpg").write_bytes(b"")
    from PIL import Image

    Image.new("RGB", (200, 200), "teal").save(root / "hopper" / "4.png")
    return root


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Six people with three photographs each, by the command."""
    out = tmp_path_factory.mktemp("synthetic") / "rows"
    assert main(["label", "synthetic:6x3", "--out", str(out), "--batch", "6", "--shard", "9", *CHEAP]) == 0
    return out


@pytest.mark.slow
def test_a_folder_gives_crops_and_says_what_is_wrong_with_the_others(folder):
    source = pickle.loads(pickle.dumps(open_source(str(folder), model=model())))
    names = [source.name(place) for place in range(len(source))]
    assert names == [
        ("collins/1.png", "collins"),
        ("hopper/1.jpg", "hopper"),
        ("hopper/2.jpg", "hopper"),
        ("hopper/4.png", "hopper"),
        ("hopper/3.jpg", "hopper"),
    ]
    loaded = source.load(range(5), 96)
    assert loaded.index == [0, 1] and {place: words[0] for place, words in loaded.failed.items()} == {
        2: "unreadable",
        3: "no_face" if _dlib() else "unreadable",
        4: "unreadable",
    }
    assert "empty" in loaded.failed[4][1]
    photo = read_photo(folder / "hopper" / "1.jpg")
    face = landmarks_for(photo)
    torch.testing.assert_close(loaded.crop.image[1:], crop_face(photo.image, face.points, 96).image)
    assert float(loaded.confidence[1]) == pytest.approx(face.confidence)
    again = source.load([1], 96)
    torch.testing.assert_close(again.crop.landmarks[0], loaded.crop.landmarks[1])


def test_names_that_are_not_unicode_are_labelled(tmp_path):
    """Latin-1 names of old zip files and Windows shares."""
    person = os.path.join(os.fsencode(tmp_path), b"people", b"Ren\xe9")
    os.makedirs(person)
    shutil.copy(default_photos()["astronaut"], os.path.join(person, b"caf\xe9.png"))
    with open(os.path.join(person, b"\xe9.jpg"), "wb") as file:
        file.write(b"no picture")
    assert main(["label", str(tmp_path / "people"), "--out", str(tmp_path / "rows"), *CHEAP]) == 0
    rows = read_rows(tmp_path / "rows")
    assert rows.column("id").to_pylist() == ["Ren\\xe9/caf\\xe9.png", "Ren\\xe9/\\xe9.jpg"]
    assert "\\xe9.jpg" in rows.column("explanation")[1].as_py()
    assert "\\xe9.jpg,unreadable" in (tmp_path / "rows" / "quarantine.csv").read_text()


def test_what_a_folder_is_does_not_depend_on_where_it_lies(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "moved")
    first, moved = (open_source(str(root), model=model()).describe() for root in (folder, tmp_path / "moved"))
    assert first == moved
    (tmp_path / "moved" / "hopper" / "4.png").rename(tmp_path / "moved" / "collins" / "4.png")
    assert open_source(str(tmp_path / "moved"), model=model()).describe() != first


def test_synthetic_people_are_those_of_the_data_set():
    source = open_source("synthetic:4x3", model=model(), size=64, seed=7)
    expected = SyntheticPeople(model(), 4, 3, seed=7, size=64, framing="fit").batch(torch.tensor([5, 10]))
    loaded = source.load([5, 10], 64)
    torch.testing.assert_close(loaded.crop.image, expected.image)
    torch.testing.assert_close(loaded.confidence, expected.confidence)
    assert [source.name(place) for place in (5, 10)] == [("000001/0002", "000001"), ("000003/0001", "000003")]
    assert len(source) == 12
    torch.testing.assert_close(loaded.only([10]).crop.landmarks, expected.landmarks[1:])


@pytest.mark.parametrize("spec", ["nowhere", "synthetic:4", "synthetic:0x3", "synthetic:axb"])
def test_a_source_that_is_none(spec):
    with pytest.raises(UserError, match="synthetic:|at least one"):
        open_source(spec, model=model())


@pytest.mark.slow
def test_the_command_labels_a_folder(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["label", str(folder), "--out", str(out), *CHEAP]) == 0
    rows = read_rows(out)
    assert rows.column("id").to_pylist()[-1] == "hopper/3.jpg" and len(rows) == 5
    assert (numbers_of(rows, "code") < 0).tolist() == [False, False, True, True, True]
    # The pose and the crop lead back to the photograph: the middle of the face lies on it.
    to_photo = numbers_of(rows, "principal_point") / numbers_of(rows, "crop_scale")[:, None] + numbers_of(
        rows, "crop_origin"
    )
    points = landmarks_for(read_photo(folder / "collins" / "1.png")).points
    assert np.linalg.norm(to_photo[0] - points.mean(0)) < np.ptp(points, axis=0).max()
    said = capsys.readouterr().out
    assert "3 quarantined" in said and "quarantine.csv" in said


def test_wrong_arguments_of_the_command(folder, labelled, tmp_path, capsys):
    assert main(["label", "nowhere", "--out", str(tmp_path / "out"), *CHEAP]) == 2
    assert not (tmp_path / "out").exists()
    assert (
        main(["label", "synthetic:6x4", "--out", str(labelled), "--batch", "6", "--shard", "9", *CHEAP]) == 1
    )
    said = capsys.readouterr().err
    assert "another configuration" in said and "Traceback" not in said
    with pytest.raises(SystemExit) as status:
        main(["label", str(folder), "--out", str(tmp_path), "--batch", "0"])
    assert status.value.code == 2


@pytest.mark.parametrize("rule", RULES)
def test_pooling_shards_is_pooling_rows(labelled, rule, monkeypatch):
    """In slices that part no person, from files, with variances: the same as all at once."""
    monkeypatch.setattr("helpers.labelling.labels.ROWS_AT_ONCE", 4)
    rows = read_rows(labelled)
    coefficients = np.concatenate([numbers_of(rows, "alpha"), numbers_of(rows, "beta")], 1)
    variances = np.concatenate([numbers_of(rows, "variance_alpha"), numbers_of(rows, "variance_beta")], 1)
    names, index = np.unique(rows.column("person").to_pylist(), return_inverse=True)
    ok = np.isin(numbers_of(rows, "code"), [0, 8])
    expected = pool(
        torch.from_numpy(coefficients),
        torch.from_numpy(index),
        rule,
        ok=torch.from_numpy(ok),
        confidence=torch.from_numpy(numbers_of(rows, "detector_confidence").copy()),
        covariance=torch.from_numpy(variances) if rule == "precision" else None,
    )
    has = (expected.used > 0).numpy()
    labels = pool_shards(labelled, rule, also=["unconverged"])
    assert labels.person == names[has].tolist() and list(labels.without) == names[~has].tolist()
    np.testing.assert_allclose(labels.coefficients, expected.coefficients.numpy()[has], atol=2e-6)
    assert (
        labels.n_photos.tolist() == expected.used[has].tolist()
        and labels.n_excluded.tolist() == expected.excluded[has].tolist()
    )
    assert labels.rule == rule and labels.coefficients.shape[1] == 198


def test_the_pool_command_writes_labels(labelled, tmp_path, capsys):
    out = tmp_path / "labels.parquet"
    assert main(["pool", str(labelled), "--out", str(out), "--rule", "uniform", "--by", "fit"]) == 0
    assert pq.read_schema(out).names == ["person", "coefficients", "n_photos", "n_excluded", "rule"]
    labels, expected = read_labels(out), pool_shards(labelled, "uniform")
    assert labels.person == expected.person and labels.rule == "uniform"
    np.testing.assert_array_equal(labels.coefficients, expected.coefficients)
    assert f"{len(labels.person)} people from {labels.n_photos.sum()} photographs" in capsys.readouterr().out


def test_people_scattered_over_shards_without_order(labelled, tmp_path, monkeypatch):
    """Rows need not lie person by person: shuffle the people's names over the rows, and pool."""
    import pyarrow as pa

    shutil.copytree(labelled, tmp_path / "mixed")
    names = np.random.default_rng(0).permutation([f"{i % 5}" for i in range(18)]).tolist()
    for number in range(2):
        file = tmp_path / "mixed" / f"shard-{number:05d}.parquet"
        table = pq.read_table(file)
        place = table.schema.get_field_index("person")
        pq.write_table(table.set_column(place, "person", pa.array(names[9 * number : 9 * number + 9])), file)
    labels = pool_shards(tmp_path / "mixed", "uniform", also=["unconverged", "unlike"])
    rows = read_rows(tmp_path / "mixed")
    coefficients = np.concatenate([numbers_of(rows, "alpha"), numbers_of(rows, "beta")], 1)
    ok = np.isin(numbers_of(rows, "code"), [0, 7, 8])
    for row, person in zip(labels.coefficients, labels.person, strict=True):
        mine = ok & (np.array(names) == person)
        np.testing.assert_allclose(row, coefficients[mine].mean(0), atol=1e-5)


def test_an_unfinished_folder_is_pooled_only_if_asked(labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "part")
    (tmp_path / "part" / "shard-00001.parquet").unlink()
    with pytest.raises(UserError, match="1 of 2 shards"):
        pool_shards(tmp_path / "part")
    assert pool_shards(tmp_path / "part", also=["unconverged"], partial=True).n_photos.sum() <= 9


def test_the_command_offers_the_rules_that_there_are():
    assert pool_command.RULES == RULES


def test_wrong_arguments_of_pooling(labelled, tmp_path):
    for change, words in (
        ({"rule": "best"}, "one of confidence"),
        ({"by": "me"}, "detector or fit"),
        ({"also": ["ugly"]}, "unconverged"),
    ):
        with pytest.raises(UserError, match=words):
            pool_shards(labelled, **change)
    with pytest.raises(UserError, match="manifest"):
        pool_shards(tmp_path)
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="no file of labels"):
        read_labels(tmp_path / "no.parquet")


def test_labels_come_back_as_they_were(tmp_path):
    labels = Labels(
        ["a", "b"],
        np.arange(8, dtype=np.float32).reshape(2, 4),
        np.array([1, 2], np.int32),
        np.array([0, 3], np.int32),
        "robust",
    )
    write_labels(tmp_path / "l.parquet", labels)
    back = read_labels(tmp_path / "l.parquet")
    np.testing.assert_array_equal(back.coefficients, labels.coefficients)
    assert (back.person, back.n_photos.tolist(), back.n_excluded.tolist(), back.rule) == (
        ["a", "b"],
        [1, 2],
        [0, 3],
        "robust",
    )


def test_the_commands_answer_help_without_torch():
    import subprocess

    code = "import sys; from helpers.commands import load_commands as l; c = l(); assert {'label', 'pool'} <= set(c); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_folder_of_the_course_is_what_photofolder_lists(folder):
    assert len(PhotoFolder(folder)) + len(PhotoFolder(folder).unreadable) == len(
        open_source(str(folder), model=model())
    )


def _dlib() -> bool:
    from helpers.landmarks import dlib_backend

    return dlib_backend.missing() is None


def test_labels_of_other_origin_need_names_and_numbers_only(tmp_path):
    path = tmp_path / "own.parquet"
    pq.write_table(pa.table({"person": ["a", "b"], "coefficients": [[1.0, 2.0], [3.0, 4.0]]}), path)
    labels = read_labels(path)
    assert labels.person == ["a", "b"] and labels.coefficients.tolist() == [[1, 2], [3, 4]]
    assert labels.n_photos.tolist() == [1, 1] and labels.n_excluded.tolist() == [0, 0] and labels.rule == ""
    pq.write_table(pa.table({"person": ["a"]}), path)
    with pytest.raises(UserError, match="own.parquet.*coefficients"):
        read_labels(path)
