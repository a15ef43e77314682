"""Checkpoints: which run may go on from which."""

from dataclasses import replace

import pytest
import torch

from helpers.errors import UserError
from helpers.regression import train
from tests.regression.pictures import FEW, HELD_OUT, TRAINING


def test_what_does_not_fit_is_refused(tmp_path, one_thread):
    train(TRAINING, HELD_OUT, replace(FEW, steps=4), tmp_path / "run")
    for run, words in (
        (lambda: train(TRAINING, HELD_OUT, FEW, tmp_path / "run"), "--resume"),
        (
            lambda: train(TRAINING, HELD_OUT, replace(FEW, rate=0.1), tmp_path / "run", resume=True),
            "made with rate",
        ),
        (lambda: train(TRAINING, HELD_OUT, FEW, tmp_path / "none", resume=True), "holds no last.pt"),
    ):
        with pytest.raises(UserError, match=words):
            run()
    (tmp_path / "run" / "last.pt").write_bytes(b"half a file")
    with pytest.raises(UserError, match="cannot be read"):
        train(TRAINING, HELD_OUT, FEW, tmp_path / "run", resume=True)


def test_the_sums_of_an_encoder_are_no_checkpoint_of_steps(tmp_path):
    torch.save({"version": 1, "step": 3, "run": {}}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="last.pt: is of a run with --network encoder"):
        train(TRAINING, HELD_OUT, FEW, tmp_path, resume=True)


def test_an_older_checkpoint_goes_on(tmp_path, one_thread):
    """One from before there was a setting was made with what is the setting's default now."""
    whole = train(TRAINING, HELD_OUT, FEW, tmp_path / "whole")
    train(TRAINING, HELD_OUT, replace(FEW, steps=4), tmp_path / "cut")
    state = torch.load(tmp_path / "cut" / "last.pt", weights_only=True)
    del state["settings"]["loss_per"]
    torch.save(state, tmp_path / "cut" / "last.pt")
    assert train(TRAINING, HELD_OUT, FEW, tmp_path / "cut", resume=True).losses == whole.losses[4:]
