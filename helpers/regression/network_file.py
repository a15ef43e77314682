"""A trained network as a file: weights in 8 bits, with what is needed to rebuild it.

A network that starts from the face encoder is saved without the encoder, whose weights are a file of their own.
"""

from __future__ import annotations

import math
import sys
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.assets import ASSETS
from helpers.device import default_device
from helpers.errors import UserError
from helpers.face_encoder.encoder import WEIGHTS
from helpers.files import write_in_one_step
from helpers.landmarks.dlib_backend import INSTALL, model_file
from helpers.regression.checkpoint import load_sound
from helpers.regression.encoder_regressor import EncoderRegressor
from helpers.regression.encoder_training import untrained
from helpers.regression.metrics import N_SHAPE
from helpers.regression.network import FaceRegressor, build_network, channels_last
from helpers.regression.predict import Network

VERSION = 1
# The network of the course; and the one that sees the image alone, for whoever lacks the face encoder's weights.
SHIPPED = ASSETS / "network" / "encoder.pt"
IMAGE_ONLY = ASSETS / "network" / "network.pt"
ENCODER = "encoder"  # the name of an `EncoderRegressor`'s architecture


def save_network(
    path: str | Path,
    module: FaceRegressor | EncoderRegressor,
    name: str,
    size: int,
    about: dict[str, Any] | None = None,
    spread: Tensor | None = None,
    *,
    n_shape: int = N_SHAPE,
    face_model: str | None = None,
    covariance: Tensor | None = None,
) -> None:
    """Write weights in a quarter of their size, with what is needed to rebuild the network.

    Weights of convolutions and of the last layer become whole numbers of 8 bits, see `eight_bits`; what there are few of
    keeps its half precision.

    Args:
        path: The file; it appears whole or not at all.
        module: The network.
        name: Of its architecture, one of `NETWORKS` or "encoder".
        size: Of the crops that it was trained on, px.
        about: Numbers and words on the training; plain Python values only.
        spread: (outputs,), see `Network`, as for `n_shape` and `face_model`.
        n_shape: How many of the outputs are of shape.
        face_model: Name of the face model.
        covariance: (outputs, outputs), see `Network`.

    Raises:
        UserError: For a weight that is not finite in half precision.
    """
    state = {
        key: value.detach().cpu().contiguous()
        for key, value in module.state_dict().items()
        if not key.startswith("encoder.")
    }
    if not all(bool(torch.isfinite(value.half()).all()) for value in state.values()):
        raise UserError(
            f"{path}: not written, as some weight is not a number, or too large for half precision: the training has run away"
        )
    weights = {}
    for key, value in state.items():
        if value.is_floating_point():
            weights[key] = _deflated(eight_bits(value)) if value.dim() > 1 else value.half()
        else:
            weights[key] = value
    content = {
        "version": VERSION,
        "name": name,
        "size": size,
        "outputs": module.outputs,
        "window": module.window if isinstance(module, FaceRegressor) else 1.0,
        "about": about or {},
        "spread": spread,
        "weights": weights,
        "n_shape": n_shape,
        "face_model": face_model,
        "covariance": None if covariance is None else covariance.half(),
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


def _deflated(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `eight_bits` packed, with its numbers deflated: most of them are small, which saves a seventh of the file."""
    whole = packed["int8"]
    code = zlib.compress(whole.numpy().tobytes(), 9)
    return {
        "deflated": torch.frombuffer(bytearray(code), dtype=torch.uint8),
        "shape": torch.tensor(whole.shape),
        "scale": packed["scale"],
    }


def _unpacked(weight: Tensor | dict[str, Tensor]) -> Tensor:
    """What `eight_bits` packed, deflated or (in older files) not, in single precision; other weights as they are."""
    if isinstance(weight, Tensor):
        return weight
    if "deflated" in weight:
        shape = weight["shape"].tolist()
        # A limit, so that a file cannot ask for more memory than its weights need.
        code = zlib.decompressobj().decompress(weight["deflated"].numpy().tobytes(), max(1, math.prod(shape)))
        whole = torch.frombuffer(bytearray(code), dtype=torch.int8).view(shape)
    else:
        whole = weight["int8"]
    return whole.float() * weight["scale"].view(-1, *[1] * (whole.dim() - 1))


def load_network(
    path: str | Path | None = None, device: str | None = None, *, image_only: bool = False
) -> Network:
    """Read a network that `save_network` wrote. Nothing in the file is run (`weights_only`).

    Args:
        path: The file; None for the network that comes with the course. Where the face encoder's weights are not installed,
            that is the one that sees the image alone, with a word on it.
        device: Where it is to compute; None is `helpers.device.default_device()`.
        image_only: Take the latter in any case; for `path` None.

    Returns:
        The network, in evaluation mode.

    Raises:
        UserError: For a file that is missing, damaged or something else, and where the encoder that it needs is missing.
    """
    device = default_device() if device is None else device
    if path is None:
        path = IMAGE_ONLY if image_only or not _encoder_is_told_of() else SHIPPED
    path = Path(path)
    content = _read(path)
    try:
        state = {key: _unpacked(value) for key, value in content["weights"].items()}
    except (zlib.error, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: its weights cannot be unpacked ({error}); copy the file again") from error
    # The random weights, replaced at once, must not use up the caller's numbers.
    with torch.random.fork_rng(devices=[]):
        if content["name"] == ENCODER:
            module = untrained(content["outputs"], device)
        else:
            module = build_network(
                content["name"],
                content["outputs"],
                window=content["window"],
                mean_image=state.get("mean_image"),
            )
    try:
        lacking, unknown = module.load_state_dict(state, strict=content["name"] != ENCODER)
        if unknown or any(not key.startswith("encoder.") for key in lacking):
            raise KeyError(f"without {', '.join(lacking)}" if lacking else f"with {', '.join(unknown)}")
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: its weights do not fit a {content['name']}: {(str(error).splitlines())[0]}"
        ) from error
    module = module.eval().requires_grad_(False)
    module = module.to(device) if isinstance(module, EncoderRegressor) else channels_last(module, device)
    told = {
        name: content[name] for name in ("n_shape", "face_model") if name in content
    }  # not in older files
    covariance = content.get("covariance")
    return Network(
        module,
        content["name"],
        content["size"],
        content["about"],
        content["spread"],
        covariance=None if covariance is None else covariance.float(),
        **told,
    )


def encoder_is_here() -> bool:
    """Whether the weights of the face encoder are installed, from which the network of the course starts."""
    return model_file(WEIGHTS) is not None


@lru_cache(1)
def _encoder_is_told_of() -> bool:
    """Whether the face encoder's weights are installed. If not, it is told once."""
    if encoder_is_here():
        return True
    print(
        f"the weights of the face encoder are not installed ({INSTALL}): the network that sees the image alone answers, "
        "less well",
        file=sys.stderr,
    )
    return False


def _read(path: Path) -> dict[str, Any]:
    content = load_sound(
        path,
        "no such network: name a file that `python -m helpers train` wrote",
        "cannot be read as a network: damaged, or no network.pt of `python -m helpers train`",
    )
    if not isinstance(content, dict) or content.get("version") != VERSION or "weights" not in content:
        raise UserError(f"{path}: is no network of this version; `python -m helpers train` writes network.pt")
    return content
