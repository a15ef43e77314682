"""python -m helpers train: a run that goes on, what is wrong in one line, and a researcher's own face model."""

import signal
import warnings
from dataclasses import replace

import pytest
import torch

from helpers.__main__ import main
from helpers.errors import UserError
from helpers.face_model import load, save
from helpers.photo import default_photos
from helpers.regression import load_network
from helpers.regression.training import _Run


@pytest.mark.slow
def test_a_network_of_another_face_model_says_so(tmp_path, capsys):
    """A researcher's own face model: train for it, predict with it, and no mixing of its numbers with another's."""

    own = replace(load("open", level=0, n_shape=20, n_texture=10), name="Of my own")
    save(own, tmp_path / "own.h5")
    words = ["--device", "cpu", "--model", str(tmp_path / "own.h5")]
    recipe = [
        "--network",
        "small",
        "--size",
        "32",
        "--batch",
        "4",
        "--held-out",
        "4",
        "--workers",
        "0",
        "--steps",
        "2",
    ]
    assert main(["train", *words, "--out", str(tmp_path / "run"), *recipe]) == 0
    network = load_network(tmp_path / "run" / "network.pt")
    assert (network.outputs, network.n_shape, network.face_model) == (30, 20, "Of my own")
    assert "--model own.h5" in network.about["command"]
    guess = network.predict(torch.rand(2, 32, 32, 3))
    assert guess.alpha.shape == (2, 20) and guess.beta.shape == (2, 10)

    photo = str(next(iter(default_photos().values())))
    predict = [
        "predict",
        photo,
        "--network",
        str(tmp_path / "run" / "network.pt"),
        "--out",
        str(tmp_path / "faces"),
        "--device",
        "cpu",
    ]
    capsys.readouterr()
    assert main(predict) == 2 and "predicts 30 numbers, the first 20 of shape" in capsys.readouterr().err
    assert main([*predict, "--model", str(tmp_path / "own.h5")]) == 0
    with pytest.raises(UserError, match="was trained for Of my own, its numbers mean nothing to Another"):
        network.require(replace(own, name="Another"))
    (tmp_path / "none.h5").write_bytes(b"nothing")
    assert main(["train", "--model", str(tmp_path / "none.h5"), "--out", str(tmp_path / "x"), *recipe]) == 2
    assert "none.h5" in capsys.readouterr().err and not (tmp_path / "x").exists()


@pytest.mark.slow
def test_the_command_trains_goes_on_and_says_what_is_wrong(tmp_path, capsys):

    words = [
        "train",
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "run"),
        "--network",
        "small",
        "--size",
        "32",
        "--batch",
        "4",
        "--level",
        "0",
        "--held-out",
        "4",
        "--workers",
        "0",
        "--validate-every",
        "2",
        "--schedule",
        "constant",
    ]
    assert main([*words, "--steps", "2"]) == 0
    assert {"network.pt", "log.csv", "curve.png", "best.pt", "last.pt"} <= {
        f.name for f in (tmp_path / "run").iterdir()
    }

    network = load_network(tmp_path / "run" / "network.pt")
    assert (
        network.about["steps"] == 2
        and "--network small" in network.about["command"]
        and network.spread.shape == (198,)
    )
    assert str(tmp_path) not in network.about["command"]
    capsys.readouterr()
    assert main([*words, "--steps", "2"]) == 1 and "--resume" in capsys.readouterr().err
    assert main([*words, "--steps", "2", "--rate", "-1"]) == 2 and "rate" in capsys.readouterr().err
    assert main([*words, "--photos", str(tmp_path)]) == 2 and "--labels" in capsys.readouterr().err
    assert (
        main([*words, "--held-out", "0"]) == 2 and "--held-out must be 1 or more" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "words", [["--rate", "0.1"], ["--minutes", "3"], ["--preset", "paper"], ["--size", "64"]]
)
def test_the_encoders_layer_has_no_recipe(tmp_path, capsys, words):
    assert main(["train", "--out", str(tmp_path / "run"), "--network", "encoder", *words]) == 2
    assert f"has no {words[0]}" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_run_that_is_stopped_before_its_first_validation_ends_in_one_line(tmp_path, capfd, monkeypatch):
    """No empty list of best figures, and no warning about a curve without points."""
    move = _Run._move_weights

    def move_and_stop(self):
        move(self)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_Run, "_move_weights", move_and_stop)
    recipe = "--network small --weights none --size 32 --batch 2 --level 0 --held-out 2 --workers 0 --steps 9"
    run = tmp_path / "run"
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*legend")
        assert main(["train", "--device", "cpu", "--out", str(run), *recipe.split()]) == 0
    told = capfd.readouterr().out.splitlines()
    assert told == [
        f"{run / 'network.pt'}: asked to stop; not validated yet, its weights are those after step 1"
    ]
    assert (run / "last.pt").exists() and load_network(run / "network.pt").about["steps"] == 1
