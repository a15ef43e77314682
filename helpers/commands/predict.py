"""python -m helpers predict: photographs become 3D faces at a glance, by the network."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.commands import fit

if TYPE_CHECKING:
    from helpers.face_model import MorphableModel
    from helpers.regression import Network

NAME = "predict"
HELP = "turn photographs into 3D faces by the network"
DESCRIPTION = """Let the network guess shape and texture of each face, and write the same files as `fit` into DIR:
STEM.ply (coloured mesh in mm), STEM.glb (textured head for viewers), STEM.npz (the numbers),
STEM.png (photograph, landmarks, overlay, head turned).
Pose, expression and light, which the network does not guess, are found by a short fit that holds the guessed face."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    fit.add_shared_arguments(parser)
    parser.description = DESCRIPTION
    parser.add_argument(
        "--network", metavar="FILE", type=Path, help="that `train` wrote (default: the one of the course)"
    )


def run(args: argparse.Namespace) -> int:
    """Do the work of the command; returns the exit status."""
    return fit.over_photos(args, NAME, _prepare, _predict)


def _prepare(args: argparse.Namespace) -> tuple[Network, MorphableModel]:
    from helpers.regression import load_network

    model = fit.prepare(args)
    network = load_network(args.network, device=args.device)
    network.require(model)
    return network, model


def _predict(
    face: fit.FaceToFit,
    prepared: tuple[Network, MorphableModel],
    args: argparse.Namespace,
    note: Callable[[str], None],
) -> str:
    """Guess one face and write its files; returns the line to be printed."""
    from helpers.fitting.held_fit import held_fit

    network, model = prepared
    start = time.perf_counter()
    guess = network.predict(face.photo, face.found)
    guess.alpha.cpu()  # a GPU still computes when `predict` returns; this waits for it
    milliseconds = 1000 * (time.perf_counter() - start)
    result = held_fit(face.crop.to(args.device), guess, model, network.spread, args.seed)
    fit.note_doubt(face, result, note)
    fit.write_results(face, result.to("cpu"), model.to("cpu"), args.paint)
    name, confidence = face.name, float(result.confidence[0])
    return f"{name}: guessed in {milliseconds:.0f} ms, confidence {confidence:.2f}, {face.target}.png"
