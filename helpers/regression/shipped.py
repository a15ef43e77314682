"""A trained network as a file, and as something that takes photographs."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.crop import FaceCrop, authors_crop
from helpers.errors import UserError
from helpers.face_model import FaceCoefficients
from helpers.files import write_in_one_step
from helpers.regression.metrics import N_SHAPE
from helpers.regression.network import build_network

VERSION = 1
SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "network" / "network.pt"
N_EXPRESSION = 30


@dataclass(frozen=True)
class Network:
    """A trained network.

    module: crops (B, S, S, 3) to numbers (B, outputs), in evaluation mode.  name: of its architecture.  size: px, of the
    crops it was trained on.  about: what the file says of its training.
    spread: (outputs,) standard deviation of its guesses about the truth on held-out people, or None.
    n_shape: how many of the numbers are of shape; they come first, and those of texture after them.
    face_model: name of the face model whose coefficients it says, or None where the file does not tell.
    """

    module: nn.Module
    name: str
    size: int
    about: dict
    spread: Tensor | None = None
    n_shape: int = N_SHAPE
    face_model: str | None = None

    @property
    def outputs(self) -> int:
        """How many numbers it says."""
        return self.module.outputs

    def predict(self, faces, detection=None) -> FaceCoefficients:
        """alpha (B, Ks), beta (B, Kt), and an expression of zeros (B, 30), which the network does not guess.

        faces: crops (B, S, S, 3) sRGB 0–1 as `authors_crop` makes them, a `FaceCrop`, or a `Photo`. A photograph needs a
        `detection`; without one the landmarks are found first. Crops of another size are resampled.
        """
        image = self._crops(faces, detection)
        device = next(self.module.parameters()).device
        with torch.inference_mode():
            numbers = self.module(resized(image.to(device).float(), self.size)).float()
        numbers = numbers.clone()  # an inference tensor could not enter later computations with gradients
        return FaceCoefficients(
            numbers[:, : self.n_shape],
            numbers[:, self.n_shape :],
            numbers.new_zeros(len(numbers), N_EXPRESSION),
        )

    def _crops(self, faces, detection) -> Tensor:
        if isinstance(faces, Tensor):
            return faces
        if isinstance(faces, FaceCrop):
            return faces.image
        if detection is None:
            from helpers.landmarks import landmarks_for

            detection = landmarks_for(faces)
        return authors_crop(faces, detection, self.size).image

    def require(self, model) -> None:
        """Raises UserError unless the network says coefficients of this `MorphableModel`."""
        needed = (len(model.shape_std), len(model.texture_std))
        if (self.n_shape, self.outputs - self.n_shape) != needed:
            raise UserError(
                f"the network says {self.outputs} numbers, the first {self.n_shape} of shape, and the face model takes {sum(needed)}, "
                f"the first {needed[0]} of shape: name the --model that it was trained for, or another --network"
            )
        if self.face_model not in (None, model.name):
            raise UserError(
                f"the network was trained for {self.face_model}, its numbers mean nothing to {model.name}: name the --model that it "
                f"was trained for, or another --network"
            )

    def to(self, device) -> Network:
        return replace(self, module=self.module.to(device))


def resized(image: Tensor, size: int) -> Tensor:
    """Crops (B, S, S, 3) at `size` px a side; as they are if that is their size."""
    if image.dim() != 4 or image.shape[-1] != 3 or image.shape[1] != image.shape[2]:
        raise ValueError(f"crops must have shape (B, S, S, 3), got {tuple(image.shape)}")
    if image.shape[1] == size:
        return image
    small = nn.functional.interpolate(
        image.permute(0, 3, 1, 2),
        (size, size),
        mode="bilinear",
        antialias=image.shape[1] > size,
        align_corners=False,
    )
    return small.permute(0, 2, 3, 1)


def save_network(
    path: str | Path,
    module: nn.Module,
    name: str,
    size: int,
    about: dict | None = None,
    spread: Tensor | None = None,
    *,
    n_shape: int = N_SHAPE,
    face_model: str | None = None,
) -> None:
    """Write weights in a quarter of their size, with what is needed to rebuild the network.

    Weights of convolutions and of the last layer become whole numbers of 8 bits, see `eight_bits`; what there are few of
    keeps its half precision.
    about: numbers and words on the training; it must hold plain Python values only.
    spread (outputs,), n_shape, face_model: see `Network`.
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
    """A weight (O, ...) as whole numbers from −127 to 127, and one scale (O,) for each output of the layer.

    Rounding changes a weight by at most half a step, 1/254 of the largest weight of its output. Such errors are many, small
    and of either sign, so an output, which sums thousands of them, hardly moves.
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
    """A network from a file that `save_network` wrote; by default the one that comes with the course.

    Nothing in the file is run (`weights_only`). Raises UserError for a file that is missing, damaged or something else.
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
    with torch.random.fork_rng(
        devices=[]
    ):  # the random weights, replaced at once, must not use up the caller's numbers
        module = build_network(content["name"], content["outputs"], window=content["window"])
    try:
        module.load_state_dict({key: _unpacked(value) for key, value in content["weights"].items()})
    except (RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: its weights do not fit a {content['name']}: {(str(error).splitlines())[0]}"
        ) from error
    module = module.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    told = {
        name: content[name] for name in ("n_shape", "face_model") if name in content
    }  # older files do not tell
    return Network(module, content["name"], content["size"], content["about"], content["spread"], **told)


def for_speed(module: nn.Module, precision: str = "bfloat16") -> nn.Module:
    """A copy that does inference only, in the fastest form that stays correct.

    Each batch normalisation is folded into the convolution before it, as both are linear once training is over. Weights
    and computation are in `precision`; the memory order has the channels last, which CPUs and GPUs prefer. The input stays
    (B, S, S, 3) in float32, and so does the output.
    """
    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[precision]
    folded = copy.deepcopy(module).eval().requires_grad_(False)
    _fold(folded)
    folded = folded.to(dtype=dtype, memory_format=torch.channels_last)
    return _Fast(folded, dtype).eval()


class _Fast(nn.Module):
    def __init__(self, module: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.module, self.dtype = module, dtype

    def forward(self, image: Tensor) -> Tensor:
        return self.module(image.to(self.dtype)).float()


def _fold(module: nn.Module) -> None:
    """Replace conv + batch norm by one conv, wherever a child `conv…` is followed by `bn…`, or in a sequence."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    names = list(module._modules)
    for first, second in zip(names, names[1:], strict=False):
        conv, norm = module._modules[first], module._modules[second]
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module._modules[first] = fuse_conv_bn_eval(conv, norm)
            module._modules[second] = nn.Identity()
    for child in module.children():
        _fold(child)
