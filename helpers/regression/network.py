"""Networks that predict 198 coefficients from a picture of a face: torchvision's ResNets with another last layer.

Tran et al. (2017), as reported, take a ResNet-101 trained for face recognition, replace its last layer by one with 198
outputs, and train all of it further. ResNet-18 and ResNet-50 are the same idea with fewer layers; `small` is for a notebook, where a network
must learn within a minute.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from helpers._torchvision import torchvision
from helpers.errors import UserError

if TYPE_CHECKING:
    from torchvision.models import ResNet

Module = TypeVar("Module", bound=nn.Module)
N_COEFFICIENTS = 198  # 99 of shape, then 99 of texture

# Mean and standard deviation of ImageNet's sRGB values, by channel. Faces are not far from them, and the ImageNet weights
# were trained on pictures brought to mean 0 and deviation 1 by these.
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)

RESNETS = {"resnet18": "ResNet18_Weights", "resnet50": "ResNet50_Weights", "resnet101": "ResNet101_Weights"}
NETWORKS = ("small", *RESNETS)
RESNET_STRIDE = 32  # px of the picture for each pixel of a ResNet's last layers
# The last layer starts with small weights, so that the first guess is near the mean face and not a random one.
FIRST_GUESS = 0.01


class FaceRegressor(nn.Module):
    """A backbone, with the image cut and its colours brought to the backbone's scale first.

    Args:
        backbone: Images (B, 3, S, S) to numbers (B, outputs); its last layer is called `fc`.
        window: The share of the side, in the middle of the image, that the backbone gets. In the authors' crop the face
            takes about half of the side, so a network may leave the rim out and spend its pixels on the face. 1 is all of it.
        mean_image: (3, S, S), of the cut images, blue, green and red from 0 to 255, as `mean_image` takes it: the backbone gets
            what an image has beyond it, as the networks of Caffe do. None: red, green and blue, each normalised.

    Raises:
        ValueError: For a window that is not from 0.3 to 1.
    """

    mean: Tensor
    std: Tensor
    mean_image: Tensor | None

    def __init__(self, backbone: SmallResNet | ResNet, window: float = 1.0, mean_image: Tensor | None = None):
        super().__init__()
        if not 0.3 <= window <= 1:
            raise ValueError(f"window must be from 0.3 to 1, got {window}")
        self.backbone = backbone
        self.window = float(window)
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("mean_image", mean_image)

    def forward(self, image: Tensor) -> Tensor:
        """(B, outputs) numbers for images (B, S, S, 3) sRGB, 0 to 1. Raises ValueError for another shape."""
        if image.dim() != 4 or image.shape[-1] != 3 or image.shape[1] != image.shape[2]:
            raise ValueError(f"image must have shape (B, S, S, 3), got {tuple(image.shape)}")
        # (B, S, S, 3) seen as (B, 3, S, S) is what torch calls channels_last: nothing is copied.
        image = self._cut(image).permute(0, 3, 1, 2)
        if self.mean_image is None:
            return self.backbone((image - self.mean.to(image)) / self.std.to(image))
        if image.shape[1:] != self.mean_image.shape:
            raise ValueError(
                f"the mean image has {self.mean_image.shape[1]} px, the cut images {image.shape[2]} px"
            )
        return self.backbone(255 * image.flip(1) - self.mean_image.to(image))

    def set_mean_image(self, images: Tensor) -> None:
        """Take the mean of images (N, S, S, 3) sRGB, 0 to 1, as what is subtracted."""
        cut = self._cut(images).mean(0).permute(2, 0, 1)
        self.mean_image = 255 * cut.flip(0).contiguous()

    @property
    def outputs(self) -> int:
        """How many numbers it predicts of each face."""
        return self.backbone.fc.out_features

    def _cut(self, image: Tensor) -> Tensor:
        S = image.shape[1]
        rim = window_rim(S, self.window)
        return image[:, rim : S - rim, rim : S - rim] if rim else image


def window_rim(size: int, window: float) -> int:
    """Pixels that a window leaves out on each side of an image; a whole number, so that nothing is resampled.

    Args:
        size: Side of the image, px.
        window: Share of the side that is kept.
    """
    return int(round(size * (1 - window) / 2))


def build_network(
    name: str = "resnet101",
    outputs: int = N_COEFFICIENTS,
    weights: str | None = None,
    window: float = 1.0,
    mean_image: Tensor | None = None,
) -> FaceRegressor:
    """Make a network with random weights, or with ImageNet's in all layers but the last.

    The random weights are torch's; seed them by `torch.manual_seed`.

    Args:
        name: One of `NETWORKS`.
        outputs: Numbers it predicts of each face.
        weights: None, or "imagenet": torchvision's file in torch's cache, or else fetched (45, 98 or 171 MB).
        window: See `FaceRegressor`.
        mean_image: See `FaceRegressor`.

    Returns:
        The network, (B, S, S, 3) sRGB from 0 to 1 to (B, outputs).

    Raises:
        UserError: For an unknown name, and where the ImageNet weights cannot be had, with what to do.

    >>> build_network("small", outputs=198)(torch.rand(2, 112, 112, 3)).shape
    torch.Size([2, 198])
    """
    if name not in NETWORKS:
        raise UserError(f"network {name!r} is not known: {', '.join(NETWORKS)}")
    if outputs < 1:
        raise UserError(f"a network needs at least 1 output, got {outputs}")
    if weights not in (None, "imagenet"):
        raise UserError(f'weights must be None or "imagenet", got {weights!r}')
    if name == "small":
        if weights is not None:
            raise UserError("the network `small` has no ImageNet weights: leave them out, or take resnet18")
        return FaceRegressor(SmallResNet(outputs), window, mean_image)
    backbone = getattr(torchvision().models, name)(weights=None)
    if weights == "imagenet":
        _load_imagenet(backbone, name)
    backbone.fc = nn.Linear(backbone.fc.in_features, outputs)
    nn.init.normal_(backbone.fc.weight, std=FIRST_GUESS)
    nn.init.zeros_(backbone.fc.bias)
    return FaceRegressor(backbone, window, mean_image)


def _load_imagenet(backbone: ResNet, name: str) -> None:
    """Give a ResNet torchvision's weights, from torch's cache or its site. Nothing in the file is run."""
    known = getattr(torchvision().models, RESNETS[name]).DEFAULT
    file = Path(torch.hub.get_dir()) / "checkpoints" / known.url.rsplit("/", 1)[-1]
    try:
        backbone.load_state_dict(
            known.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, weights_only=True)
        )
    except OSError as error:  # no net
        raise UserError(
            f"ImageNet weights of {name} cannot be had ({error}): download {known.url} where there is a net and put {file.name} "
            f"into {file.parent}, or train from random weights with --weights none"
        ) from error
    except (RuntimeError, ValueError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{file}: cut short, or not torchvision's {name}: delete it, and it is downloaded again from {known.url}, or train from "
            "random weights with --weights none"
        ) from error


class SmallResNet(nn.Module):
    """A ResNet-10 of width 16 with 305,000 parameters, for images of 32 px and more.

    It normalises by groups of channels within an image, not over the batch: an image's output does not depend on its
    neighbours, and small batches, or a batch shared among processes, give the same gradients.

    Args:
        outputs: Numbers it predicts.
        width: Channels of the first layers; the last have eight times as many.
        in_channels: Of the images.
    """

    def __init__(self, outputs: int, width: int = 16, in_channels: int = 3):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 5, 2, 2, bias=False), nn.GroupNorm(4, width), nn.ReLU()
        )
        widths = [width, width * 2, width * 4, width * 8]
        self.blocks = nn.Sequential(
            *(_Block(a, b, 1 if a == b else 2) for a, b in zip([width, *widths[:-1]], widths, strict=True))
        )
        self.fc = nn.Linear(widths[-1], outputs)
        nn.init.normal_(self.fc.weight, std=FIRST_GUESS)
        nn.init.zeros_(self.fc.bias)

    def forward(self, image: Tensor) -> Tensor:
        """(B, outputs) for images (B, in_channels, S, S)."""
        return self.fc(self.blocks(self.stem(image)).mean((2, 3)))


class _Block(nn.Module):
    """Two convolutions beside a short cut (He et al. 2016)."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm_1 = nn.GroupNorm(4, after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm_2 = nn.GroupNorm(4, after)
        self.short = (
            nn.Identity()
            if stride == 1 and before == after
            else nn.Conv2d(before, after, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm_2(self.second(self.norm_1(self.first(x)).relu()))
        return (y + self.short(x)).relu()


def channels_last(
    module: Module, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> Module:
    """The module with its weights in the memory order that CPUs and GPUs prefer, on `device` and in `dtype` where given."""
    # ty: torch's stub of `to` lacks memory_format
    return module.to(device, dtype, memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]


def parameter_groups(module: nn.Module, body_rate: float = 1.0) -> list[dict[str, Any]]:
    """Parameters in groups for an optimiser: weights of layers apart from scales and offsets, which must not shrink, and
    the last layer, `fc`, apart from the others, whose rate is `body_rate` times as large ("share" of the group)."""
    groups = []
    for last, share in ((True, 1.0), (False, body_rate)):
        mine = [p for name, p in module.named_parameters() if (".fc." in f".{name}") == last]
        groups.append({"params": [p for p in mine if p.dim() > 1], "share": share})
        groups.append({"params": [p for p in mine if p.dim() <= 1], "share": share, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]
