"""A trained network as a file: weights in 8 bits, with what is needed to rebuild it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.assets import ASSETS
from helpers.errors import UserError
from helpers.files import write_in_one_step
from helpers.regression.metrics import N_SHAPE
from helpers.regression.network import FaceRegressor, build_network, channels_last
from helpers.regression.predict import Network

VERSION = 1
SHIPPED = ASSETS / "network" / "network.pt"


def save_network(
    path: str | Path,
    module: FaceRegressor,
    name: str,
    size: int,
    about: dict[str, Any] | None = None,
    spread: Tensor | None = None,
    *,
    n_shape: int = N_SHAPE,
    face_model: str | None = None,
) -> None:
    """Write weights in a quarter of their size, with what is needed to rebuild the network.

    Weights of convolutions and of the last layer become whole numbers of 8 bits, see `eight_bits`; what there are few of
    keeps its half precision.

    Args:
        path: The file; it appears whole or not at all.
        module: The network.
        name: Of its architecture, one of `NETWORKS`.
        size: Of the crops that it was trained on, px.
        about: Numbers and words on the training; plain Python values only.
        spread: (outputs,), see `Network`, as for `n_shape` and `face_model`.
        n_shape: How many of the outputs are of shape.
        face_model: Name of the face model.

    Raises:
        UserError: For a weight that is not finite in half precision.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
    if not all(bool(torch.isfinite(value.half()).all()) for value in state.values()):
        raise UserError(
            f"{path}: not written, as some weight is not a number, or too large for half precision: the training has run away"
        )
    weights = {}
    for key, value in state.items():
        if value.is_floating_point():
            weights[key] = eight_bits(value) if value.dim() > 1 else value.half()
        else:
            weights[key] = value
    content = {
        "version": VERSION,
        "name": name,
        "size": size,
        "outputs": module.outputs,
        "window": module.window,
        "about": about or {},
        "spread": spread,
        "weights": weights,
        "n_shape": n_shape,
        "face_model": face_model,
    }
    write_in_one_step(path, lambda file: torch.save(content, file))


def eight_bits(weight: Tensor) -> dict[str, Tensor]:
    """Round a weight to whole numbers of 8 bits, with one scale for each output of its layer.

    Rounding changes a weight by at most half a step, 1/254 of the largest weight of its output. Such errors are many, small
    and of either sign, so an output, which sums thousands of them, hardly moves.

    Args:
        weight: (O, ...), O outputs.

    Returns:
        "int8": (O, ...) from −127 to 127, and "scale": (O,).
    """
    largest = weight.float().flatten(1).abs().amax(1).clamp(min=1e-12)
    scale = largest / 127
    whole = (weight.float() / scale.view(-1, *[1] * (weight.dim() - 1))).round()
    return {"int8": whole.to(torch.int8), "scale": scale}


def _unpacked(weight: Tensor | dict[str, Tensor]) -> Tensor:
    """What `eight_bits` packed, in single precision; other weights as they are."""
    if isinstance(weight, Tensor):
        return weight
    return weight["int8"].float() * weight["scale"].view(-1, *[1] * (weight["int8"].dim() - 1))


def load_network(path: str | Path | None = None, device: str = "cpu") -> Network:
    """Read a network that `save_network` wrote. Nothing in the file is run (`weights_only`).

    Args:
        path: The file; None for the network that comes with the course.
        device: Where it is to compute.

    Returns:
        The network, in evaluation mode.

    Raises:
        UserError: For a file that is missing, damaged or something else.
    """
    path = SHIPPED if path is None else Path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such network: name a file that `python -m helpers train` wrote"
        ) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: cannot be read as a network: damaged, or no network.pt of `python -m helpers train`"
        ) from error
    if not isinstance(content, dict) or content.get("version") != VERSION or "weights" not in content:
        raise UserError(f"{path}: is no network of this version; `python -m helpers train` writes network.pt")
    # The random weights, replaced at once, must not use up the caller's numbers.
    with torch.random.fork_rng(devices=[]):
        module = build_network(content["name"], content["outputs"], window=content["window"])
    try:
        module.load_state_dict({key: _unpacked(value) for key, value in content["weights"].items()})
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: its weights do not fit a {content['name']}: {(str(error).splitlines())[0]}"
        ) from error
    module = channels_last(module.eval().requires_grad_(False), device)
    told = {
        name: content[name] for name in ("n_shape", "face_model") if name in content
    }  # not in older files
    return Network(module, content["name"], content["size"], content["about"], content["spread"], **told)
