"""python -m helpers evaluate: tables that can be read back, and one clear line where something is wrong."""

import csv
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from helpers.__main__ import main
from helpers.evaluation import NOW, Surface, micc_rmse, realy_errors, scan_error
from helpers.face_model import load
from helpers.mesh_files import write_ply
from helpers.pose.points68 import MIRRORED

pytestmark = pytest.mark.slow


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folders(tmp_path_factory, open3d):
    """Two faces and their scans, which stand elsewhere; one scan has no face."""
    root = tmp_path_factory.mktemp("scans")
    model = load("open", level=0)
    shapes = model.shape(model.sample(3, torch.Generator().manual_seed(5)).alpha).numpy()
    colours = np.full(shapes[0].shape, 0.5)
    for kind in ("faces", "scans"):
        (root / kind).mkdir()
    for k, name in enumerate(("ada", "grace")):
        write_ply(root / "faces" / f"{name}.ply", shapes[k], model.triangles, colours)
        np.save(root / "faces" / f"{name}.npy", shapes[k][model.landmarks])
        scan = (shapes[k] + shapes[2]) / 2 + [100, 0, 0]
        write_ply(root / "scans" / f"{name}.ply", scan, model.triangles, colours)
        np.save(root / "scans" / f"{name}_landmarks.npy", scan[model.landmarks])
    write_ply(root / "scans" / "nobody.ply", shapes[2], model.triangles, colours)
    return root


def test_faces_are_measured_against_scans(folders, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        main(
            [
                "evaluate",
                "--meshes",
                str(folders / "faces"),
                "--scans",
                str(folders / "scans"),
                "--out",
                str(out),
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert "ada" in said.out and "3DRMSE" in said.out and "nobody: no face of this name" in said.err
    rows = table(out / "scans.csv")
    model = load("open", level=0)
    ada, other = (
        torch.from_numpy(s)
        for s in model.shape(model.sample(3, torch.Generator().manual_seed(5)).alpha).numpy()[[0, 2]]
    )
    expected = micc_rmse(*(Surface.of(s, model.triangles, model.landmarks) for s in (ada, (ada + other) / 2)))
    assert abs(float(rows[0]["rmse"]) - expected) < 0.02 and [row["face"] for row in rows] == ["ada", "grace"]
    assert 0 < float(rows[0]["log10"]) < 0.01 and 0 < float(rows[0]["depth_rmse"]) < 5
    protocols = table(out / "protocols.csv")
    assert len(protocols) == 8 and float(protocols[0]["mean"]) == pytest.approx(
        np.mean([float(row["rmse"]) for row in rows])
    )


@pytest.mark.parametrize("protocol", ["now", "realy"])
def test_faces_are_measured_by_named_protocols(folders, tmp_path, capsys, protocol):
    places = ["--meshes", str(folders / "faces"), "--scans", str(folders / "scans"), "--out", str(tmp_path)]
    assert main(["evaluate", *places, "--protocol", protocol]) == 0
    rows = table(tmp_path / "scans.csv")
    model = load("open", level=0)
    shapes = model.shape(model.sample(3, torch.Generator().manual_seed(5)).alpha).numpy()
    ada, scan = (
        Surface.of(s, model.triangles, model.landmarks) for s in (shapes[0], (shapes[0] + shapes[2]) / 2)
    )
    if protocol == "now":
        expected = scan_error(ada, scan, NOW)
        wanted = {"median": expected.median, "mean": expected.mean, "std": expected.std}
        wanted["size"] = expected.motion.size
        assert "points of 2 scans: median" in capsys.readouterr().out
    else:
        wanted = {part: error.mean for part, error in realy_errors(ada, scan).items()}
        wanted["all"] = sum(wanted.values()) / 4
        assert "Mean of 2 faces: nose" in capsys.readouterr().out
    assert {name: float(rows[0][name]) for name in wanted} == pytest.approx(wanted, abs=0.02)
    assert rows[0]["alignment"] == "" and not (tmp_path / "protocols.csv").exists()
    assert (tmp_path / "scans.png").read_bytes().startswith(b"\x89PNG")


def test_a_broken_scan_is_named_and_nothing_is_left_half(folders, tmp_path, capsys):
    wrongs = (
        ("none.ply", "none.ply: no such file"),
        ("scans", "must be two files or two folders"),
        ("faces/ada.npy", "expected to end in"),
    )
    for wrong, words in wrongs:
        arguments = [
            "--meshes",
            str(folders / "faces" / "ada.ply"),
            "--scans",
            str(folders / wrong),
            "--out",
            str(tmp_path),
        ]
        assert main(["evaluate", *arguments]) == 1
        said = capsys.readouterr().err
        assert words in said and len(said.strip().splitlines()) == 1
    assert not list(tmp_path.glob("*.csv"))


def test_one_broken_scan_does_not_stop_the_others(folders, tmp_path, capsys):
    for kind in ("faces", "scans"):
        shutil.copytree(folders / kind, tmp_path / kind)
    (tmp_path / "scans" / "grace.ply").write_text("no mesh")
    arguments = [
        "--meshes",
        str(tmp_path / "faces"),
        "--scans",
        str(tmp_path / "scans"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(["evaluate", *arguments]) == 1
    said = capsys.readouterr()
    assert "grace.ply: no readable PLY mesh" in said.err and "The same 1 face by protocol" in said.out
    assert [row["face"] for row in table(tmp_path / "out" / "scans.csv")] == ["ada"]


def test_meshes_of_the_face_model_need_no_landmarks_whichever_side_they_are_on(tmp_path, capsys, open3d):
    model = load("open")
    shapes = model.shape(model.sample(2, torch.Generator().manual_seed(5)).alpha).numpy()
    for name, shape in zip(("guessed", "fitted"), shapes, strict=True):
        write_ply(tmp_path / f"{name}.ply", shape, model.triangles, np.full(shape.shape, 0.5))
    arguments = [
        "--meshes",
        str(tmp_path / "guessed.ply"),
        "--scans",
        str(tmp_path / "fitted.ply"),
        "--out",
        str(tmp_path),
    ]
    assert main(["evaluate", *arguments]) == 0
    guessed, fitted = (Surface.of(s, model.triangles, model.landmarks) for s in shapes)
    assert float(table(tmp_path / "scans.csv")[0]["rmse"]) == pytest.approx(
        micc_rmse(guessed, fitted), abs=0.02
    )
    few = len(shapes[0]) - 1
    write_ply(
        tmp_path / "strange.ply",
        shapes[0][:few],
        model.triangles[(model.triangles < few).all(1)],
        np.full((few, 3), 0.5),
    )
    arguments[3] = str(tmp_path / "strange.ply")
    assert main(["evaluate", *arguments]) == 1
    assert (
        "strange.ply: has no landmarks beside it (strange.pp, .npy, .json or .txt)" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--meshes", "a"], "belong together"),
        (["--pairs", "p.txt"], "--coefficients must say"),
        (["--people", "1"], "2 or more"),
        (["--folds", "1"], "2 or more"),
        (["--meshes", "a", "--scans", "b", "--coefficients", "c"], "one at a time"),
    ],
)
def test_wrong_arguments(tmp_path, capsys, arguments, words):
    assert main(["evaluate", *arguments, "--out", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_labelled_coefficients_are_recognised(tmp_path, capsys):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    generator = torch.Generator().manual_seed(0)
    person = torch.arange(12).repeat_interleave(4)
    vectors = torch.randn(12, 198, generator=generator)[person] + 0.3 * torch.randn(
        48, 198, generator=generator
    )
    ids = [f"P{p}_{1 + k % 4:04d}.jpg" for k, p in enumerate(person.tolist())]
    names = [f"P{p}" for p in person.tolist()]
    parquet.write_table(
        arrow.table({"id": ids, "person": names, "coefficients": vectors.tolist()}),
        tmp_path / "labels.parquet",
    )
    out = tmp_path / "out"
    assert (
        main(
            [
                "evaluate",
                "--coefficients",
                str(tmp_path / "labels.parquet"),
                "--folds",
                "3",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    rows = table(out / "recognition.csv")
    assert [row["kind"] for row in rows] == ["plain", "signed root", "whitened"] and float(
        rows[0]["auc"]
    ) > 0.999
    assert (out / "roc.png").read_bytes().startswith(b"\x89PNG") and "rank one" in capsys.readouterr().out
    (tmp_path / "pairs.txt").write_text("2 1\nP0 1 2\nP0 1 P1 2\nP2 1 2\nP3 1 P2 2\n")
    assert (
        main(
            [
                "evaluate",
                "--coefficients",
                str(tmp_path),
                "--pairs",
                str(tmp_path / "pairs.txt"),
                "--out",
                str(out),
            ]
        )
        == 0
    )
    assert "4 pairs" in capsys.readouterr().out
    assert main(["evaluate", "--coefficients", str(tmp_path), "--folds", "10", "--out", str(out)]) == 1
    assert "take fewer folds" in capsys.readouterr().err


@pytest.fixture
def coefficients(tmp_path, capsys):
    """Write vectors (people, photographs, K) as results of `fit`, evaluate them, and give exit status, output and rows."""

    def run(vectors, *more):
        folder = tmp_path / "fits"
        folder.mkdir()
        for p, own in enumerate(vectors):
            for k, vector in enumerate(own):
                np.savez(folder / f"P{p}_{k + 1:04d}.npz", alpha=vector[:4], beta=vector[4:])
        status = main(
            ["evaluate", "--coefficients", str(folder), "--folds", "2", "--out", str(tmp_path / "o"), *more]
        )
        file = tmp_path / "o" / "recognition.csv"
        return status, capsys.readouterr(), table(file) if file.exists() else []

    return run


@pytest.mark.parametrize(
    "people, photographs, words", [(3, 2, "four people with two photographs each"), (9, 1, "four people")]
)
def test_too_few_photographs_are_told_in_one_line(coefficients, people, photographs, words):
    status, said, rows = coefficients(np.random.default_rng(0).normal(size=(people, photographs, 8)))
    assert status == 1 and not rows and words in said.err and len(said.err.splitlines()) == 1


def test_coefficients_that_are_all_alike_are_refused(coefficients):
    status, said, rows = coefficients(np.ones((5, 3, 8)))
    assert status == 1 and not rows and "all 15 photographs have the same coefficients" in said.err


def test_whitening_that_cannot_be_learnt_is_a_flagged_row(coefficients):
    vectors = np.random.default_rng(0).normal(size=(6, 1, 8)).repeat(2, axis=1)  # one photograph twice
    status, said, rows = coefficients(vectors)
    assert status == 0 and rows[0]["auc"] == "1.0" and rows[0]["note"] == ""
    assert rows[2]["auc"] == "nan" and "photographs of other people that differ" in rows[2]["note"]


def test_a_list_of_pairs_of_one_fold_is_refused_by_its_name(coefficients, tmp_path):
    (tmp_path / "pairs.txt").write_text("1\nP0 1 2\nP1 1 P2 1\n")
    vectors = np.random.default_rng(0).normal(size=(4, 2, 8))
    status, said, rows = coefficients(vectors, "--pairs", str(tmp_path / "pairs.txt"))
    assert status == 1 and not rows and "pairs.txt: the protocol needs at least two folds" in said.err


@pytest.mark.parametrize("population", ["foreign", "own"])
def test_synthetic_people_are_the_default(tmp_path, capsys, monkeypatch, open3d, population):
    from helpers.commands import evaluate

    monkeypatch.setattr(evaluate, "_network", lambda args, model: None)
    arguments = ["--people", "3", "--photos", "2", "--out", str(tmp_path), "--seed", "1"]
    assert main(["evaluate", *arguments, "--population", population]) == 0
    rows = {row["method"]: row for row in table(tmp_path / "shape.csv")}
    assert list(rows) == ["mean face", "landmarks only", "fit", "pooled fits"]
    assert float(rows["fit"]["every"]) < float(rows["mean face"]["every"]) and rows["fit"]["low"] == ""
    assert all(0 <= int(row["unfinished"]) <= 12 for row in rows.values())
    assert float(rows["pooled fits"]["low"]) <= float(rows["pooled fits"]["difference"])
    found = {row["method"]: row for row in table(tmp_path / "recognition.csv")}
    assert list(found) == ["landmarks only", "fit", "pooled fits"] and found["fit"]["two"] == "12"
    assert found["fit"]["tar"] == "nan" == found["fit"]["low"]  # three people are too few for either
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("errors.png", "roc.png"))
    assert f"3 {population} people" in capsys.readouterr().out


def test_a_network_that_is_missing_or_of_another_face_model(tmp_path, capsys):
    from types import SimpleNamespace

    from helpers.commands import evaluate
    from helpers.errors import UserError
    from helpers.face_model import load

    with pytest.raises(UserError, match="nowhere.pt"):
        evaluate._network(
            SimpleNamespace(network=tmp_path / "nowhere.pt", device="cpu"), load("open", level=0)
        )
    few = load("open", level=0, n_shape=20)
    assert (
        evaluate._network(SimpleNamespace(network=None, device="cpu"), few) is None
    )  # the course's own is left out
    assert "takes 119" in capsys.readouterr().err


@pytest.fixture
def measure(tmp_path, open3d, capsys):
    """Write two people's heads as face and scan, measure them, and give exit status, output and rows of scans.csv."""
    model = load("open", level=1)
    heads = model.shape(model.sample(2, torch.Generator().manual_seed(3)).alpha).double().numpy()
    marks = model.landmarks.numpy()

    def run(place=lambda points: points, landmarks=lambda points: points, scale=(1.0, 1.0), more=()):
        files = {"face": heads[0], "scan": place(heads[1])}
        for (name, points), factor in zip(files.items(), scale, strict=True):
            write_ply(tmp_path / f"{name}.ply", points * factor, model.triangles, np.full(points.shape, 0.5))
            known = points[marks] * factor
            np.savetxt(tmp_path / f"{name}.txt", landmarks(known) if name == "scan" else known)
        arguments = ["--meshes", str(tmp_path / "face.ply"), "--scans", str(tmp_path / "scan.ply")]
        status = main(["evaluate", *arguments, "--out", str(tmp_path / "out"), *more])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        file = tmp_path / "out" / "scans.csv"
        return status, said, table(file) if file.exists() else []

    return run


def test_an_alignment_that_went_wrong_is_no_result(measure):
    right = float(measure()[2][0]["rmse"])
    status, said, rows = measure(landmarks=lambda points: points[30:31])
    assert status == 0 and abs(float(rows[0]["rmse"]) - right) < 0.05
    assert rows[0]["alignment"] == "by the noses alone"  # right only where both look the same way
    upside_down = np.diag([-1.0, -1.0, 1.0])
    status, said, rows = measure(lambda points: points @ upside_down, lambda points: points[30:31])
    assert status == 1 and "did not come to rest" in said.err and "give more landmarks" in said.err
    assert rows[0]["alignment"] == "not at rest" and float(rows[0]["rmse"]) > 1.5 * right
    assert "--rounds" not in said.out  # more rounds would not help
    status, _, rows = measure(lambda points: points @ upside_down)  # with all landmarks axes do not matter
    assert status == 0 and abs(float(rows[0]["rmse"]) - right) < 0.05


def test_an_alignment_that_still_moves_is_told_and_can_go_on(measure):
    status, said, rows = measure(more=("--rounds", "3"))
    assert status == 0 and rows[0]["alignment"] == "not at rest"
    assert "1 of 1 face not at rest" in said.out and "--rounds 30 " in said.out
    status, said, rows = measure(more=("--rounds", "1000"))
    assert status == 0 and rows[0]["alignment"] == "" and "not at rest:" not in said.out
    status, said, _ = measure(more=("--rounds", "3", "--protocol", "realy"))
    assert status == 2 and "--rounds is for --meshes by --protocol micc or now" in said.err


def test_landmarks_in_another_unit_or_with_sides_exchanged_are_refused(measure):
    status, said, _ = measure(landmarks=lambda points: points / 1000)
    assert status == 1 and "scan.txt: the landmarks lie within" in said.err
    status, said, _ = measure(landmarks=lambda points: points / 10)
    assert status == 1 and "scan.txt: the landmarks lie within" in said.err
    status, said, _ = measure(landmarks=lambda points: points + [0, 0, 60])
    assert status == 1 and "scan.txt: the landmarks lie" in said.err and "mm off scan.ply" in said.err
    status, said, _ = measure(landmarks=lambda points: points[list(MIRRORED)])
    assert status == 1 and "left and right exchanged" in said.err
    status, said, _ = measure(lambda points: points * [-1, 1, 1])  # a scan that shows its mirror image
    assert status == 1 and "left and right exchanged" in said.err
    seven = [36, 39, 42, 45, 33, 48, 54]
    status, said, _ = measure(landmarks=lambda points: points[[seven[k] for k in (4, 0, 1, 2, 3, 5, 6)]])
    assert status == 1 and "do not lie as those of face" in said.err and "look at their order" in said.err


def test_a_face_that_is_half_as_large_as_its_scan_is_refused_unless_the_size_is_free(measure):
    status, said, _ = measure(scale=(0.5, 1.0))
    assert status == 1 and "times as large as those of face: say in what units" in said.err
    status, _, rows = measure(scale=(0.5, 1.0), more=("--protocol", "now"))
    assert status == 0 and float(rows[0]["size"]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize(
    ("scale", "more"),
    [
        ((1e-3, 1.0), ("--mesh-unit", "m")),
        ((1e-2, 1e-1), ("--mesh-unit", "dm", "--unit", "cm")),
        ((1e3, 1.0), ("--mesh-unit", "um")),
    ],
)
def test_face_and_scan_each_have_a_unit(measure, scale, more):
    expected = float(measure()[2][0]["rmse"])
    status, _, rows = measure(scale=scale, more=more)
    assert status == 0 and abs(float(rows[0]["rmse"]) - expected) < 0.01


def test_a_face_of_another_unit_is_told_which_option_says_it(measure):
    status, said, _ = measure(scale=(1e-3, 1.0))
    assert status == 1 and "face.ply" in said.err and "--mesh-unit for faces" in said.err


def test_people_whose_files_have_one_name_are_called_by_their_folders(folders, tmp_path, capsys):
    for kind, beside in (("faces", ""), ("scans", "_landmarks")):
        for name in ("ada", "grace"):
            place = tmp_path / kind / name
            place.mkdir(parents=True)
            shutil.copy(folders / kind / f"{name}.ply", place / "mesh.ply")
            shutil.copy(folders / kind / f"{name}{beside}.npy", place / "mesh.npy")
    arguments = ["--meshes", str(tmp_path / "faces"), "--scans", str(tmp_path / "scans")]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert [row["face"] for row in table(tmp_path / "out" / "scans.csv")] == ["ada", "grace"]


def test_a_face_of_bare_points_is_refused_by_its_name(tmp_path, capsys, open3d):
    model = load("open", level=0)
    points = model.mean_shape.tolist()
    (tmp_path / "face.obj").write_text("".join(f"v {x} {y} {z}\n" for x, y, z in points))
    write_ply(tmp_path / "scan.ply", model.mean_shape, model.triangles, model.mean_shape * 0)
    arguments = ["--meshes", str(tmp_path / "face.obj"), "--scans", str(tmp_path / "scan.ply")]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "out")]) == 1
    assert "face.obj: has no triangles" in capsys.readouterr().err


def test_tables_are_printed_where_output_is_not_utf_8(folders, tmp_path):
    """Batch systems write Latin-1 or ASCII: characters are replaced, and every table is written."""
    files = [str(folders / kind / "ada.ply") for kind in ("faces", "scans")]
    command = [sys.executable, "-m", "helpers", "evaluate", "--meshes", files[0], "--scans", files[1]]
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert b"3DRMSE" in done.stdout and (tmp_path / "protocols.csv").is_file()
