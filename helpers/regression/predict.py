"""Predict: a trained network takes photographs, and gives the coefficients of their faces."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from helpers.crop import FaceCrop, authors_crop
from helpers.errors import UserError
from helpers.face_model import FaceCoefficients, MorphableModel
from helpers.fitting import FacePrior
from helpers.landmarks import Detection, landmarks_for
from helpers.photo import Photo
from helpers.regression.encoder_regressor import EncoderRegressor
from helpers.regression.metrics import N_SHAPE
from helpers.regression.network import FaceRegressor, channels_last

N_EXPRESSION = 30
# Of the covariance on people like those it learnt from, in a prior for the fit. Less than all of it: where the face model
# cannot draw a photograph the fit trusts its pixels too much, and needs a narrower prior against them. Chosen among 1/4,
# 1/2 and 1 on 48 `ForeignPeople`; 1/4 and 1/2 were alike there, 1 a little worse.
PRIOR_SCALE = 0.5
PRIOR_FLOOR = 0.02  # added to the variance of each number


@dataclass(frozen=True)
class Network:
    """A trained network.

    Attributes:
        module: Crops (B, S, S, 3), or crops and points (B, 68, 2), to numbers (B, outputs), in evaluation mode.
        name: Of its architecture.
        size: Of the crops that it was trained on, px.
        about: What the file tells of its training.
        spread: (outputs,) standard deviation of its guesses about the truth on held-out people, or None.
        n_shape: How many of the numbers are of shape; they come first, and those of texture after them.
        face_model: Name of the face model whose coefficients it predicts, or None where the file does not tell.
        covariance: (outputs, outputs) of its guesses about the truth on held-out people, or None.
    """

    module: FaceRegressor | EncoderRegressor
    name: str
    size: int
    about: dict[str, Any]
    spread: Tensor | None = None
    n_shape: int = N_SHAPE
    face_model: str | None = None
    covariance: Tensor | None = None

    @property
    def needs_points(self) -> bool:
        """Whether it looks at the 68 points, too."""
        return isinstance(self.module, EncoderRegressor)

    @property
    def outputs(self) -> int:
        """How many numbers it predicts."""
        return self.module.outputs

    def predict(
        self,
        faces: Tensor | FaceCrop | Photo,
        detection: Detection | None = None,
        *,
        landmarks: Tensor | None = None,
    ) -> FaceCoefficients:
        """Predict the coefficients of faces.

        Args:
            faces: Crops (B, S, S, 3) sRGB, 0 to 1, as `authors_crop` makes them, a `FaceCrop`, or a `Photo`. Crops of
                another size are resampled.
            detection: The landmarks of a photograph; None looks for them first.
            landmarks: (B, 68, 2) px of crops that are given as a tensor; only a network that `needs_points` looks at them.

        Returns:
            alpha (B, Ks), beta (B, Kt), and an expression of zeros (B, 30), which the network does not predict.

        Raises:
            ValueError: For crops of another shape, and for crops without landmarks where it needs them.
        """
        image, points = self._crops(faces, detection, landmarks)
        device = next(self.module.parameters()).device
        image = image.to(device).float()
        with torch.inference_mode():
            if isinstance(self.module, EncoderRegressor):
                if points is None:
                    raise ValueError("this network looks at the 68 points, too: give landmarks (B, 68, 2) px")
                numbers = self.module(image, points.to(image)).float()
            else:
                numbers = self.module(resized(image, self.size)).float()
        numbers = numbers.clone()  # an inference tensor could not enter later computations with gradients
        return FaceCoefficients(
            numbers[:, : self.n_shape],
            numbers[:, self.n_shape :],
            numbers.new_zeros(len(numbers), N_EXPRESSION),
        )

    def prior(
        self,
        faces: Tensor | FaceCrop | Photo,
        detection: Detection | None = None,
        *,
        landmarks: Tensor | None = None,
    ) -> FacePrior:
        """What the network knows of faces before they are fitted: its prediction, and how far that is off as a rule.

        Args:
            faces: As for `predict`.
            detection: As for `predict`.
            landmarks: As for `predict`.

        Returns:
            For `helpers.fitting.fit(prior=…)`.

        Raises:
            ValueError: As for `predict`, and for a network whose file does not tell the covariance of its errors.
        """
        if self.covariance is None:
            raise ValueError(f"the file of this {self.name} does not tell how its errors hang together")
        found = self.predict(faces, detection, landmarks=landmarks)
        covariance = self.covariance.to(found.alpha)
        floor = PRIOR_FLOOR * torch.eye(len(covariance), device=covariance.device)
        return FacePrior(torch.cat([found.alpha, found.beta], 1), PRIOR_SCALE * covariance + floor)

    def _crops(
        self, faces: Tensor | FaceCrop | Photo, detection: Detection | None, landmarks: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if isinstance(faces, Tensor):
            return faces, landmarks
        if not isinstance(faces, FaceCrop):
            faces = authors_crop(faces, detection or landmarks_for(faces), self.size)
        return faces.image, faces.landmarks

    def require(self, model: MorphableModel) -> None:
        """Raises UserError unless the network predicts coefficients of this face model."""
        needed = (len(model.shape_std), len(model.texture_std))
        if (self.n_shape, self.outputs - self.n_shape) != needed:
            raise UserError(
                f"the network predicts {self.outputs} numbers, the first {self.n_shape} of shape, and the face model takes {sum(needed)}, "
                f"the first {needed[0]} of shape: name the --model that it was trained for, or another --network"
            )
        if self.face_model not in (None, model.name):
            raise UserError(
                f"the network was trained for {self.face_model}, its numbers mean nothing to {model.name}: name the --model that it "
                f"was trained for, or another --network"
            )

    def to(self, device: str | torch.device) -> Network:
        """The same network on another device."""
        return replace(self, module=self.module.to(device))


def resized(image: Tensor, size: int) -> Tensor:
    """Crops (B, S, S, 3) at `size` px per side; as they are if that is their size. Raises ValueError for another shape."""
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

    Each batch normalisation is folded into the convolution before it, as both are linear once training is over.

    Args:
        module: A network, (B, S, S, 3) to (B, outputs).
        precision: Of weights and computation, "bfloat16" or "float32". Input and output stay in float32.
    """
    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[precision]
    folded = copy.deepcopy(module).eval().requires_grad_(False)
    _fold(folded)
    return _Fast(channels_last(folded, dtype=dtype), dtype).eval()


class _Fast(nn.Module):
    def __init__(self, module: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.module, self.dtype = module, dtype

    def forward(self, image: Tensor) -> Tensor:
        return self.module(image.to(self.dtype)).float()


def _fold(module: nn.Module) -> None:
    """Replace conv + batch norm by one conv, wherever a child `conv…` is followed by `bn…`, or in a sequence."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for (first, conv), (second, norm) in pairwise(list(module.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, first, fuse_conv_bn_eval(conv, norm))
            setattr(module, second, nn.Identity())
    for child in module.children():
        _fold(child)
