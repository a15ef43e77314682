"""The network: 29 convolutions in five stages of residual blocks, and a product to 128 numbers.

Source: dlib's example examples/dnn_face_recognition_ex.cpp (public domain), a ResNet-34 with fewer layers and half of the
filters (He et al., CVPR 2016). What differs from torch's ResNets:

- A convolution of stride 2 has no padding, so a side of 2n + 1 becomes n, and one of 2n becomes n − 1.
- The way past a halving block is a mean over 2 × 2 pixels, which gives n for both, and has fewer channels. dlib's sum aligns
  the two at the upper left, and takes what one lacks as zero: channels of the way past, pixels of the block. torch would
  refuse 4 × 4 + 3 × 3, but spread 1 × 1 over 2 × 2 without a word.
- Batch normalisation has become a factor and an offset, which are folded into the convolution before it.
- The embedding is not of unit length: mostly about 1.4.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.errors import UserError
from helpers.face_encoder.dlib_file import MARK, DlibFileError, Layer, read_layers
from helpers.files import why_unreadable
from helpers.landmarks.dlib_backend import model_file

CHIP_SIDE = 150
WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
INSTALL = "pip install face_recognition_models"
# Channels, blocks, and whether the first block halves the picture. Its side is then 35, 17, 8, 4, 2.
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
# Mean red, green and blue of the training photographs, of 255.
IMAGE_MEAN = (122.782, 117.001, 104.298)


class Block(nn.Module):
    """Two convolutions of 3 × 3, added to what went in.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        halve: Whether the side is halved.
    """

    def __init__(self, inputs: int, outputs: int, halve: bool):
        super().__init__()
        stride, padding = (2, 0) if halve else (1, 1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.halve = halve

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, S, S) to (B, outputs, S, S), or of side S // 2."""
        y = self.conv2(F.relu(self.conv1(x)))
        if self.halve:
            x = F.avg_pool2d(x, 2)
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            lacking = x.shape[2] - y.shape[2]
            y = F.pad(y, (0, lacking, 0, lacking))
        return F.relu(x + y)


class FaceEncoder(nn.Module):
    """Aligned faces to 128 numbers each; made with torch's random weights, see `load_face_encoder`.

    The layers have no state besides their weights: evaluation and training mode are the same. In bfloat16 the pixels are
    centred in float32 first.
    """

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, STAGES[0][0], 7, 2)
        inputs = (STAGES[0][0], *(outputs for outputs, _, _ in STAGES))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(outputs if k else n, outputs, halve and k == 0) for k in range(blocks)))
            for n, (outputs, blocks, halve) in zip(inputs, STAGES, strict=False)
        )
        self.head = nn.Linear(STAGES[-1][0], 128, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """(B, 128) embeddings of chips (B, 150, 150, 3) sRGB, 0 to 1. Raises ValueError for another shape."""
        return self.stages(chips)[1]

    def features(self, chips: Tensor) -> list[Tensor]:
        """What each of the five stages gives.

        Args:
            chips: (B, 150, 150, 3) sRGB, 0 to 1.

        Returns:
            (B, 32, 35, 35), (B, 64, 17, 17), (B, 128, 8, 8), (B, 256, 4, 4) and (B, 256, 2, 2), none below 0.

        Raises:
            ValueError: For another shape.
        """
        if chips.shape[1:] != (CHIP_SIDE, CHIP_SIDE, 3):
            raise ValueError(f"chips must have shape (B, 150, 150, 3), got {tuple(chips.shape)}")
        weight = self.stem.weight
        pixels = 255 * chips.to(torch.promote_types(weight.dtype, torch.float32))
        x = (pixels - pixels.new_tensor(IMAGE_MEAN)) / 256
        # (B, S, S, 3) seen as (B, 3, S, S) is what torch calls channels_last: nothing is copied.
        x = F.max_pool2d(F.relu(self.stem(x.to(weight.dtype).permute(0, 3, 1, 2))), 3, 2)
        maps = []
        for stage in self.blocks:
            x = stage(x)
            maps.append(x)
        return maps

    def stages(self, chips: Tensor) -> tuple[list[Tensor], Tensor]:
        """All stages and the embedding, in one pass.

        Args:
            chips: (B, 150, 150, 3) sRGB, 0 to 1.

        Returns:
            The five maps of `features`, and the embeddings (B, 128).

        Raises:
            ValueError: For another shape.
        """
        maps = self.features(chips)
        return maps, self.head(maps[-1].mean((2, 3)))

    @classmethod
    def from_layers(cls, layers: list[Layer]) -> FaceEncoder:
        """Take over the numbers of a network of exactly this form.

        Args:
            layers: As `read_layers` gives them.

        Returns:
            The encoder, with weights that ask for no gradient.

        Raises:
            DlibFileError: They are of another network.
        """
        _check_form(layers)
        encoder = cls().requires_grad_(False)
        convolutions = [module for module in encoder.modules() if isinstance(module, nn.Conv2d)]
        at = [k for k, layer in enumerate(layers) if layer.kind == "con_4"]
        for convolution, k in zip(convolutions, at, strict=True):
            _fill(convolution, layers[k], layers[k + 1])
        encoder.head.weight.copy_(torch.from_numpy(layers[-1].weight.T.copy()))  # dlib multiplies rows by it
        return encoder


def load_face_encoder(
    path: str | Path | None = None, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> FaceEncoder:
    """Read the published weights.

    The weights ask for no gradient; `encoder.requires_grad_()` makes them learn. Gradients flow to the chips either way.

    Args:
        path: The file dlib_face_recognition_resnet_model_v1.dat; None finds it in the package face_recognition_models.
        device: Where to compute.
        dtype: Of the weights and of what comes out. bfloat16 is the fastest where the processor has it.

    Returns:
        The encoder.

    Raises:
        UserError: There is no such file, or it is not the published one.
    """
    file = model_file(WEIGHTS) if path is None else Path(path)
    if file is None:
        raise UserError(f"the weights of the face encoder are not installed: {INSTALL}")
    encoder = FaceEncoder.from_layers(_published_layers(file))
    # So laid out, convolutions take images of (B, S, S, 3) as they are.
    # ty: torch's stub of `to` lacks memory_format
    return encoder.to(device, dtype, memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]


def _published_layers(file: Path) -> list[Layer]:
    if (reason := why_unreadable(file)) is not None:
        raise UserError(f"{file}: {reason}: the weights of the face encoder come with {INSTALL}")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        raise UserError(
            f"{file}: not the published weights of the face encoder: its SHA-256 is {found}, expected {SHA256}; "
            f"they come with {INSTALL}"
        )
    return read_layers(data)


def _check_form(layers: list[Layer]) -> None:
    expected = _expected_forms()
    if len(layers) != len(expected):
        raise DlibFileError(f"{len(layers)} layers, expected {len(expected)}")
    for k, (layer, form) in enumerate(zip(layers, expected, strict=True)):
        if layer.form != form:
            raise DlibFileError(f"layer {k} is {layer.form}, expected {form}")
    if not np.allclose(layers[0].weight, IMAGE_MEAN):
        raise DlibFileError(f"the image's means are {layers[0].weight}, expected {IMAGE_MEAN}")


def _expected_forms() -> list[tuple[object, ...]]:
    """`Layer.form` of each layer, in the order of computation."""

    def plain(kind: str, *settings: int) -> tuple[object, ...]:
        return kind, (0,), (0,), settings

    def convolution(inputs: int, outputs: int, side: int, stride: int) -> list[tuple[object, ...]]:
        padding = 1 if stride == 1 else 0
        settings = (side, side, stride, stride, padding, padding)
        return [
            ("con_4", (outputs, inputs, side, side), (outputs,), settings),
            ("affine_", (outputs,), (outputs,), ()),
        ]

    mark, relu, add = plain(MARK), plain("relu_"), plain("add_prev_")
    window = (2, 2, 2, 2, 0, 0)
    forms = [("input_rgb_image_sized", (3,), (0,), (CHIP_SIDE, CHIP_SIDE)), *convolution(3, 32, 7, 2)]
    forms += [relu, plain("max_pool_2", 3, 3, 2, 2, 0, 0)]
    inputs = STAGES[0][0]
    for outputs, blocks, halve in STAGES:
        for k in range(blocks):
            first_of_halving = halve and k == 0
            past = [mark, mark, plain("avg_pool_2", *window)] if first_of_halving else []
            first = convolution(inputs, outputs, 3, 2 if first_of_halving else 1)
            forms += [mark, *first, relu, *convolution(outputs, outputs, 3, 1), *past, add, relu]
            inputs = outputs
    everything = (0, 0, 1, 1, 0, 0)  # a window of 0 × 0
    return [*forms, plain("avg_pool_2", *everything), ("fc_2", (inputs, 128), (0,), ())]


def _fill(convolution: nn.Conv2d, layer: Layer, affine: Layer) -> None:
    """γ (w ∗ x + b) + β is a convolution with γ w and γ b + β. Neither dlib's nor torch's flips its filters."""
    assert convolution.bias is not None
    gamma, beta = affine.weight.astype(np.float64), affine.bias.astype(np.float64)
    convolution.weight.copy_(torch.from_numpy(layer.weight * gamma[:, None, None, None]))
    convolution.bias.copy_(torch.from_numpy(layer.bias * gamma + beta))
