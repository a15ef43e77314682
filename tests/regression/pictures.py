"""Pictures from which something can be learned in a few steps, and settings of a run that takes a second."""

import torch

from helpers.regression import TensorSource, TrainSettings

FEW = TrainSettings(
    network="small",
    size=32,
    batch=8,
    steps=8,
    validate_every=4,
    schedule="constant",
    warmup=0.0,
    precision="float32",
)


def pictures(n=32, outputs=4, seed=0, size=32):
    """Pictures whose colour tells the target, so that something can be learned in a few steps."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(n, outputs, generator=generator)
    colour = (0.5 + 0.15 * target[:, :3]).clamp(0, 1)
    images = colour[:, None, None].expand(n, size, size, 3) + 0.02 * torch.randn(
        n, size, size, 3, generator=generator
    )
    return TensorSource((images.clamp(0, 1) * 255).to(torch.uint8), target)


TRAINING, HELD_OUT = pictures(), pictures(12, seed=1)
