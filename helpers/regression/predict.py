"""Predict: a trained network takes photographs, and gives the coefficients of their faces."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from helpers.crop import FaceCrop, authors_crop
from helpers.errors import UserError
from helpers.face_model import FaceCoefficients
from helpers.regression.metrics import N_SHAPE

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
