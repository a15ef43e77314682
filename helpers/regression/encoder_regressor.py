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
from helpers.face_encoder.chips import CHIP_SIDE, FITTED, MEAN_FACE, PADDING
from helpers.regression.skin_colours import N_COLOURS, skin_colours

# Stages of the encoder, counted from 0, and the squares to which their maps are averaged.
POOLED = ((1, 4), (2, 4), (3, 2))
N_FEATURES = 128 + 64 * 16 + 128 * 16 + 256 * 4 + N_COLOURS + 68 * 2
FIRST_POINT = N_FEATURES - 68 * 2  # feature
PHOTO_SIDE = 224  # px of the crops that its faces are cut from; a chip is about two thirds of one

# What a detector takes for the points is not what the face model does. px of the chip (1.2 mm of an average face): what
# points nearer than about `DEFINED_ALIKE` have in common, and what each has for itself.
DEFINITION_SIGMA, OWN_DEFINITION_SIGMA, DEFINED_ALIKE = 2.0, 1.0, 30.0


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
            (B, N_FEATURES): the embedding, the averaged maps of three stages, colours of the skin, and the points in sides of the
            chip.

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
        colours = skin_colours(chips, placed)
        return torch.cat([embedding.float(), *averaged, colours, (placed / CHIP_SIDE - 0.5).flatten(1)], 1)

    def of_features(self, features: Tensor) -> Tensor:
        """(B, outputs) numbers for features (B, N_FEATURES)."""
        return self.fc((features - self.mean) / self.deviation)

    @property
    def outputs(self) -> int:
        """How many numbers it predicts of each face."""
        return self.fc.out_features


def definition_covariance(mean: Tensor) -> Tensor:
    """How the points of a detector may differ from the face model's, for all faces alike, as a covariance of the features.

    Nobody marks the vertices of a face model in photographs, so by how much a nose tip of 300-W lies beside ours is not known. Two
    parts: a smooth and an independent one of any direction, and the difference of two means. One is that of the people
    who are learnt from, the other that of the photographs behind `MEAN_FACE`. It may come from the definition or from the
    people; a layer that counts it as noise hardly looks there, and does not find the noses of photographs flat.

    Args:
        mean: (136,) of the points' features over the people who are learnt from.

    Returns:
        (136, 136).
    """
    points = mean.double().view(68, 2)
    alike = torch.exp(-0.5 * (torch.cdist(points, points) * CHIP_SIDE / DEFINED_ALIKE).square())
    own = torch.eye(68).to(points)
    each = (DEFINITION_SIGMA**2 * alike + OWN_DEFINITION_SIGMA**2 * own) / CHIP_SIDE**2
    apart = torch.zeros_like(points)
    used = list(FITTED)
    apart[used] = (points.new_tensor(MEAN_FACE) + PADDING) / (1 + 2 * PADDING) - 0.5 - points[used]
    return torch.kron(each, torch.eye(2).to(points)) + torch.outer(apart.flatten(), apart.flatten())
