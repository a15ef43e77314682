"""A network that starts from face recognition: 198 numbers by one linear layer on what a face encoder computes.

The encoder (`helpers.face_encoder`) has learnt from millions of photographs what tells people apart, whatever the light and
the camera. It is held as it is. What is learnt from rendered people is one linear map of its features and of where the 68
points lie, so little that it can hardly learn the renderer by heart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from helpers.face_encoder import FaceEncoder, face_chips, points_in_chips
from helpers.face_encoder.chips import CHIP_SIDE

# Stages of the encoder, counted from 0, and the squares to which their maps are averaged.
POOLED = ((1, 4), (2, 4), (3, 2))
N_FEATURES = 128 + 64 * 16 + 128 * 16 + 256 * 4 + 68 * 2
PHOTO_SIDE = 224  # px of the crops that its faces are cut from; a chip is about two thirds of one


class EncoderRegressor(nn.Module):
    """Photographs and 68 points to coefficients: features z, standardised by their mean and deviation, times weights.

    Args:
        encoder: Held as it is; its weights are not among the saved ones.
        outputs: Numbers that are predicted.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: FaceEncoder, outputs: int):
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        self.fc = nn.Linear(N_FEATURES, outputs)
        self.register_buffer("mean", torch.zeros(N_FEATURES))
        self.register_buffer("deviation", torch.ones(N_FEATURES))

    def forward(self, image: Tensor, points: Tensor) -> Tensor:
        """(B, outputs) numbers of photographs.

        Args:
            image: (B, H, W, 3) sRGB, 0 to 1.
            points: (B, 68, 2) px, in the order of 300-W.

        Raises:
            ValueError: For other shapes, and points that are not finite or lie on a line.
        """
        return self.of_features(self.features(face_chips(image, points), points_in_chips(points)))

    def features(self, chips: Tensor, placed: Tensor) -> Tensor:
        """What the linear layer sees, before it is standardised.

        Args:
            chips: (B, 150, 150, 3) sRGB, 0 to 1, as `face_chips` cuts them.
            placed: (B, 68, 2) px of the chips, as `points_in_chips` has them.

        Returns:
            (B, N_FEATURES): the embedding, the averaged maps of three stages, and the points in sides of the chip.

        Raises:
            ValueError: For other shapes, and points that are not finite.
        """
        if placed.shape != (len(chips), 68, 2) or not bool(placed.isfinite().all()):
            raise ValueError(
                f"the {len(chips)} faces need 68 finite points each, got {tuple(placed.shape)} with "
                f"{int((~placed.isfinite()).sum())} numbers that are not finite"
            )
        maps, embedding = self.encoder.stages(chips)
        averaged = [F.adaptive_avg_pool2d(maps[stage].float(), side).flatten(1) for stage, side in POOLED]
        return torch.cat([embedding.float(), *averaged, (placed / CHIP_SIDE - 0.5).flatten(1)], 1)

    def of_features(self, features: Tensor) -> Tensor:
        """(B, outputs) numbers for features (B, N_FEATURES)."""
        return self.fc((features - self.mean) / self.deviation)

    @property
    def outputs(self) -> int:
        """How many numbers it predicts of each face."""
        return self.fc.out_features
