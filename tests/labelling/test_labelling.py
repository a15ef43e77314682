"""The label factory: whatever happens to it, every photograph has one row in the end, and the same one."""

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from helpers.__main__ import main
from helpers.errors import UserError
from helpers.fitting import fit
from helpers.labelling import Configuration, LabelOptions, Store, label, read_rows
from helpers.labelling.factory import _shard
from helpers.labelling.labeller import Batch, Job, Labeller, can_compute
from helpers.labelling.parquet import matrix
from helpers.labelling.schedule import work_off
from helpers.labelling.store import shard_files
from helpers.labelling.workers import make_crew
from tests.labelling.tiny_source import SETTINGS, SIZE, TinySource, model, numbers_of

pytestmark = pytest.mark.slow

COUNT = 24


def run(out, source=None, **changes):
    options = {
        "model": model(),
        "settings": SETTINGS,
        "size": SIZE,
        "batch": 3,
        "shard": 4,
        "workers": 0,
        "progress": False,
    }
    return label(source or TinySource(COUNT), out, **{**options, **changes})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    start = time.perf_counter()
    summary = run(out)
    return read_rows(out), time.perf_counter() - start, summary


def job(source):
    return Job(source, model(), SETTINGS, SIZE)


def test_rows_are_the_fit(undisturbed):
    """The second batch of the second shard is photograph 7 alone: fitted by hand, it gives the row."""
    rows, _, summary = undisturbed
    source = TinySource(COUNT)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = fit(source.image[7:8], source.points[7:8], model(), settings=SETTINGS)
    torch.set_num_threads(threads)
    assert rows.column("id")[7].as_py() == "photo 7" and rows.column("person")[7].as_py() == "person 1"
    for name, expected in {
        "alpha": result.alpha,
        "beta": result.beta,
        "expression": result.expression,
        "light": result.light.flatten(1),
        "rotation_vector": result.pose.rotation_vector,
        "translation": result.pose.translation,
        "focal": result.camera.focal,
        "fit_confidence": result.confidence,
        "detector_confidence": torch.tensor([0.5 + 7 / 16]),
        "code": result.code,
    }.items():
        np.testing.assert_array_equal(numbers_of(rows, name)[7], expected[0].numpy(), err_msg=name)
    variance = np.concatenate(
        [numbers_of(rows, f"variance_{part}")[7] for part in ("alpha", "expression", "beta")]
    )
    np.testing.assert_allclose(variance, result.covariance[0].diagonal().numpy(), rtol=1e-6)
    assert rows.column("index").to_pylist() == list(range(COUNT))
    assert summary.photographs == summary.labelled == COUNT and summary.quarantined == 0
    assert summary.good + summary.doubtful == COUNT


def test_killed_at_twenty_random_moments(undisturbed, tmp_path):
    """kill -9, again and again, of runs with and without workers; what is left is always whole, and the end the same."""
    expected, seconds, _ = undisturbed
    moments = random.Random(0)
    kills = finished = stopped_half_way = 0
    while kills < 20 or finished == 0:
        out = tmp_path / f"run {finished}"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(out, **({"workers": 2, "start": "fork"} if kills % 4 == 3 else {}))
                code = 0
            finally:
                os._exit(code)
        time.sleep(moments.uniform(0, 0.7 * seconds) if kills < 20 else 0)
        if kills < 20:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            kills += 1
            shards = shard_files(out) if out.exists() else {}
            stopped_half_way += 0 < len(shards) < COUNT // 4
            for number, file in shards.items():
                assert pq.read_table(file).column("index").to_pylist() == list(
                    range(4 * number, 4 * number + 4)
                )
        else:
            assert os.waitstatus_to_exitcode(status) == 0
            assert read_rows(out).equals(expected)
            finished += 1
    assert stopped_half_way >= 3  # else the moments were too early or too late to show anything


def test_workers_write_the_same_rows(undisturbed, tmp_path):
    assert run(tmp_path, workers=2, start="fork").labelled == COUNT
    assert read_rows(tmp_path).equals(undisturbed[0])


def test_spawned_worker_writes_the_same_rows(undisturbed, tmp_path):
    run(tmp_path, workers=1)
    assert read_rows(tmp_path).equals(undisturbed[0])


def test_a_second_run_has_nothing_to_do(undisturbed, tmp_path):
    run(tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in shard_files(tmp_path).values()}
    again = run(tmp_path)
    assert again.labelled == 0 and "nothing was left" in str(again)
    assert before == {file.name: file.stat().st_mtime_ns for file in shard_files(tmp_path).values()}


def test_only_what_is_missing_is_made_again(undisturbed, tmp_path):
    run(tmp_path)
    shard_files(tmp_path)[2].unlink()
    whole = shard_files(tmp_path)[4]
    whole.write_bytes(whole.read_bytes()[:-100])  # as after a fault of the disk
    (tmp_path / ".shard-00002.parquet.abc").write_bytes(b"half")
    assert run(tmp_path).labelled == 8
    assert read_rows(tmp_path).equals(undisturbed[0])
    assert not list(tmp_path.glob(".*.parquet.*")) and len(list(tmp_path.glob("damaged-*"))) == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"settings": replace(SETTINGS, landmark_sigma=2.0)}, "landmark_sigma: 2.0, not 1.6"),
        ({"batch": 4}, "batch: 4, not 3"),
        ({"shard": 8}, "shard: 8, not 4"),
        ({"seed": 1}, "settings seed: 1, not 0"),
        ({"source": TinySource(COUNT + 1)}, "source photographs: 25, not 24"),
    ],
)
def test_another_configuration_is_refused(undisturbed, tmp_path_factory, change, word):
    out = tmp_path_factory.mktemp("refused")
    with Store(out, _configuration(), COUNT):
        pass
    with pytest.raises(UserError, match="another configuration") as error:
        run(out, **change)
    assert word in str(error.value) and "\n" not in str(error.value)


def test_rows_of_another_kind_of_device_are_refused(tmp_path):
    with Store(tmp_path, _configuration(), COUNT):
        pass
    with pytest.raises(UserError, match='device: "cuda", not "cpu"'):
        run(tmp_path, device="cuda:1")


def test_a_gpu_by_number_is_not_for_ray(tmp_path):
    """Ray shows each of its workers one GPU alone, which is the worker's cuda:0."""
    with pytest.raises(UserError, match="--device cuda:1 with --engine ray: .* take --device cuda,"):
        make_crew(Job(TinySource(1), model(), SETTINGS, SIZE, "cuda:1"), "ray", 1)


def test_a_folder_of_an_earlier_version_goes_on(undisturbed, tmp_path):
    """Its manifest names no device, and its fingerprint knows none: the rows are a CPU's."""
    run(tmp_path)
    values = asdict(_configuration())
    del values["device"], values["joint"]
    before = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest["configuration"].pop("device") == "cpu" and manifest["fingerprint"] == before
    assert manifest["configuration"].pop("joint") is False
    path.write_text(json.dumps(manifest))
    shard_files(tmp_path)[1].unlink()
    assert run(tmp_path).labelled == 4
    assert read_rows(tmp_path).equals(undisturbed[0])


def test_a_model_without_expressions(tmp_path):
    """Parquet has no lists of the fixed length 0; the rows come back all the same."""
    plain = replace(model(), expression_basis=None, expression_std=None)
    run(tmp_path, TinySource(COUNT, {1: "unreadable"}), model=plain)
    rows = read_rows(tmp_path)
    assert matrix(rows, "expression", tmp_path).shape == (COUNT, 0) and len(rows) == COUNT


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK])
def test_without_file_locks_it_goes_on_with_a_warning(tmp_path, monkeypatch, capsys, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.lockf", refuse)
    with Store(tmp_path, _configuration(), COUNT):
        pass
    said = capsys.readouterr().err
    assert str(tmp_path) in said and "no locks" in said


def test_another_model_is_refused(tmp_path):
    with Store(tmp_path, _configuration(), COUNT):
        pass
    other = replace(model(), shape_std=model().shape_std * 1.01)
    with pytest.raises(UserError, match="model sha256"):
        run(tmp_path, model=other)


def test_a_shard_of_another_folder_is_refused(undisturbed, tmp_path):
    run(tmp_path / "a", batch=4)
    with Store(tmp_path / "b", _configuration(), COUNT):
        pass
    (tmp_path / "b" / "shard-00000.parquet").write_bytes(
        (tmp_path / "a" / "shard-00000.parquet").read_bytes()
    )
    with pytest.raises(UserError, match="shard-00000.parquet: comes from another configuration"):
        run(tmp_path / "b")


def test_shards_without_a_manifest_are_refused(tmp_path):
    (tmp_path / "shard-00000.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="no manifest.json"):
        run(tmp_path)


def test_two_runs_do_not_share_a_folder(tmp_path):
    """The lock belongs to a process, so the second run is one."""
    with Store(tmp_path, _configuration(), COUNT):
        child = os.fork()
        if child == 0:
            try:
                run(tmp_path)
            except UserError as error:
                os._exit(7 if "another run" in str(error) else 1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_poisonous_photographs_are_quarantined(undisturbed, tmp_path):
    """The others of a bad photograph's batch are fitted without it, the other batches are as they were."""
    harm = {0: "unreadable", 5: "raise", 10: "nan"}
    summary = run(tmp_path, TinySource(COUNT, harm))
    rows = read_rows(tmp_path)
    assert rows.column("index").to_pylist() == list(range(COUNT))
    reasons = dict(zip(rows.column("index").to_pylist(), rows.column("reason").to_pylist(), strict=True))
    assert [reasons[place] for place in harm] == ["unreadable", "error", "not_finite"]
    assert "colours from 0 to 1" in rows.column("explanation")[5].as_py()
    assert (
        np.isnan(numbers_of(rows, "alpha")[[0, 5]]).all() and not np.isnan(numbers_of(rows, "alpha")[1]).any()
    )
    same = [place for place in range(COUNT) if place not in (0, 1, 2, 4, 5, 6, 10, 8, 9)]
    assert rows.take(same).equals(undisturbed[0].take(same))
    without = Labeller(job(TinySource(COUNT, harm))).label(Batch(1, 0, (4, 6)))
    np.testing.assert_allclose(numbers_of(rows, "alpha")[[4, 6]], numbers_of(without, "alpha"), atol=1e-4)
    assert summary.quarantined == 2
    listed = (tmp_path / "quarantine.csv").read_text().splitlines()
    assert listed[0] == "id,reason,explanation" and [line.split(",")[0] for line in listed[1:]] == [
        "photo 0",
        "photo 5",
    ]


def test_a_photograph_that_kills_its_worker_is_quarantined(undisturbed, tmp_path):
    summary = run(tmp_path, TinySource(COUNT, {14: "kill"}), workers=2, start="fork")
    rows = read_rows(tmp_path)
    assert summary.quarantined == 1 and rows.column("reason")[14].as_py() == "crashed"
    assert "SIGKILL" in rows.column("explanation")[14].as_py()
    same = [place for place in range(COUNT) if place not in (12, 13, 14)]
    assert rows.take(same).equals(undisturbed[0].take(same))
    assert not np.isnan(numbers_of(rows, "alpha")[[12, 13]]).any()


def test_a_worker_killed_once_changes_no_row(undisturbed, tmp_path):
    source = TinySource(COUNT, {14: "kill_once"}, str(tmp_path / "gone"))
    assert run(tmp_path / "out", source, workers=2, start="fork").quarantined == 0
    assert read_rows(tmp_path / "out").equals(undisturbed[0])


def test_a_worker_that_loses_its_gpu_is_replaced(undisturbed, tmp_path):
    """No photograph is to blame for it, neither the one that was being done nor those after it."""
    source = TinySource(COUNT, {14: "lose_gpu"}, str(tmp_path / "gone"))
    assert run(tmp_path / "out", source, workers=2, start="fork").quarantined == 0
    assert (tmp_path / "gone").exists()
    assert read_rows(tmp_path / "out").equals(undisturbed[0])


def test_without_workers_a_lost_gpu_ends_the_run_which_can_go_on(undisturbed, tmp_path):
    source = TinySource(COUNT, {14: "lose_gpu"}, str(tmp_path / "gone"))
    with pytest.raises(UserError, match="cuda:0: has failed"):
        run(tmp_path / "out", source)
    assert run(tmp_path / "out", source).quarantined == 0
    assert read_rows(tmp_path / "out").equals(undisturbed[0])


def test_a_device_that_does_not_work_is_known():
    assert can_compute("cpu") and not can_compute("cuda:99")


@pytest.mark.gpu
def test_a_gpu_after_a_failed_assertion_cannot_compute():
    """In a process of its own, because nothing brings the GPU back to it."""
    code = """if True:
        import torch
        from helpers.labelling.labeller import can_compute
        assert can_compute("cuda")
        try:
            torch.zeros(1, device="cuda")[torch.tensor([5], device="cuda")].cpu()
        except RuntimeError:
            pass
        assert not can_compute("cuda")
    """
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode == 0
    )


def test_workers_end_with_their_parent(tmp_path):
    """After kill -9 of the run no worker goes on for nothing."""
    child = os.fork()
    if child == 0:
        run(tmp_path, TinySource(COUNT, seconds=0.3), workers=2, start="fork")
        os._exit(0)
    deadline = time.monotonic() + 20
    while len(workers := _children(child)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(workers) >= 2
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 20
    while any(_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(worker) for worker in workers)


@pytest.mark.parametrize("number, workers", [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGTERM, 1)])
def test_a_signal_ends_the_command_and_the_next_one_goes_on(tmp_path, number, workers):
    """Ctrl-C and a polite kill: exit status 130, no worker left, whole files that the next run keeps; the end is the same."""
    words = [
        "label",
        "synthetic:12x2",
        "--quick",
        "--level",
        "0",
        "--size",
        "64",
        "--batch",
        "2",
        "--seed",
        "3",
    ]

    def command(out):
        return main([*words, "--workers", str(workers), "--device", "cpu", "--out", str(out)])

    out, log = tmp_path / "stopped", tmp_path / "log"
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with open(log, "w") as sys.stderr:
                code = command(out)
        finally:
            os._exit(code)
    deadline = time.monotonic() + 120
    while not (out.is_dir() and len(shard_files(out)) >= 2) and time.monotonic() < deadline:
        time.sleep(0.01)
    workers_there = _children(child)
    os.kill(child, number)
    begin = time.monotonic()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    while any(_alive(worker) for worker in workers_there) and time.monotonic() < begin + 10:
        time.sleep(0.02)
    assert time.monotonic() - begin < 10
    kept = {file.name: file.read_bytes() for file in shard_files(out).values()}
    assert 2 <= len(kept) < 12 and f"stopped; {out} keeps the {2 * len(kept)} rows" in log.read_text()
    assert command(out) == 0 and command(tmp_path / "whole") == 0
    whole = {file.name: file.read_bytes() for file in shard_files(tmp_path / "whole").values()}
    assert whole == {file.name: file.read_bytes() for file in shard_files(out).values()} and len(whole) == 12
    assert kept.items() <= whole.items()


def test_files_are_small_where_photographs_are_few_and_a_folder_keeps_what_it_has(tmp_path):
    run(tmp_path / "few", TinySource(8), shard=None, batch=2)
    assert len(shard_files(tmp_path / "few")) == 4  # of one batch each
    run(tmp_path / "set", TinySource(8), shard=4, batch=2)
    shard_files(tmp_path / "set")[1].unlink()
    assert run(tmp_path / "set", TinySource(8), shard=None, batch=2).labelled == 4
    assert [_shard(tmp_path, 32, n) for n in (1, 200, 1000, 10_000, 500_000)] == [32, 32, 64, 512, 1000]
    assert _shard(tmp_path, 2000, 500_000) == 2000


def test_a_full_disk_stops_cleanly_and_the_run_goes_on(undisturbed, tmp_path, monkeypatch):
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr("helpers.files.os.fsync", full)
    with pytest.raises(UserError, match="the disk is full") as error:
        run(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert 0 < len(shard_files(tmp_path)) < COUNT // 4
    assert not list(tmp_path.glob(".*.parquet.*"))
    monkeypatch.undo()
    run(tmp_path)
    assert read_rows(tmp_path).equals(undisturbed[0])


def test_rows_arrive_in_any_order(undisturbed):
    """Slow first batches do not hold up the rest, and each answer belongs to its batch."""
    batches = [Batch(0, number, (3 * number, 3 * number + 1)) for number in range(4)]
    with make_crew(job(TinySource(COUNT)), "local", 2, "fork") as crew:
        answers = list(work_off(iter(batches), crew))
    assert sorted(batch.number for batch, _ in answers) == [0, 1, 2, 3]
    assert all(rows.column("index").to_pylist() == list(batch.places) for batch, rows in answers)


def test_wrong_arguments(tmp_path):
    for change, words in (
        ({"engine": "slurm"}, "local, ray"),
        ({"workers": -1}, "0 or more"),
        ({"batch": 0}, "at least 1"),
        ({"model": replace(model(), landmarks=None)}, "no landmarks"),
        ({"engine": "ray", "workers": 0}, "at least one"),
    ):
        with pytest.raises(UserError, match=words):
            run(tmp_path / "new", **change)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        run(tmp_path / "file" / "folder")


def test_without_ray_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install -e \.\[scale\]"):
        run(tmp_path, engine="ray", workers=1)


def _configuration():
    options = LabelOptions(settings=SETTINGS, size=SIZE, batch=3)
    return Configuration.of(TinySource(COUNT).describe(), model(), options, 4)


def _children(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in found.stdout.split()]


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
