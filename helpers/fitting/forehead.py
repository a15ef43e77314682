"""Which forehead pixels are skin: hair, fringes and hats must not be explained as shape or albedo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.fitting.images import gaussian_blur
from helpers.fitting.parameters import FitModel
from helpers.fitting.settings import REFERENCE_SIZE
from helpers.rasterizer import Raster, interpolate

DARKEST = 0.6  # of the cheeks' median brightness
CHROMA_LIMIT = 0.16  # sum of absolute differences of r, g, b shares
FEWEST_CHEEK_PIXELS = 50  # with fewer nothing is known of the skin, and nothing left out
LEAST_SHARE = 0.35  # of the forehead; with less skin than this the whole forehead is left out


def forehead_gate(fit_model: FitModel, raster: Raster, image: Tensor) -> Tensor:
    """Leave out forehead pixels whose colour is not that of the cheeks of the same face.

    Args:
        fit_model: the face model; without a mask "forehead_gate" nothing is left out.
        raster: of the faces after the landmark stage.
        image: (B, H, W, 3), in the crop that `raster` was drawn for.

    Returns:
        (B, H, W) weight, 0 or 1.
    """
    gate = torch.ones_like(image[..., 0])
    masks = fit_model.masks
    if "forehead_gate" not in masks:
        return gate
    cheeks = fit_model.weight.clone()
    for name in ("forehead_gate", "brows", "lips", "eyes"):
        cheeks = cheeks * (1 - masks[name]) if name in masks else cheeks
    layers = interpolate(torch.stack([cheeks, masks["forehead_gate"]], -1)[None], fit_model.triangles, raster)
    finer = max(image.shape[1:3]) / REFERENCE_SIZE
    reach = max(1, round(2 * finer))
    smooth = gaussian_blur(image, finer)
    brightness = smooth.mean(-1)
    chroma = smooth / smooth.sum(-1, keepdim=True).clamp(min=0.05)
    for b in range(len(image)):
        cheek = layers[b, ..., 0] > 0.5
        forehead = layers[b, ..., 1] > 0.5
        if int(cheek.sum()) < FEWEST_CHEEK_PIXELS or not bool(forehead.any()):
            continue
        usual = chroma[b][cheek].median(0).values
        shine = brightness[b][cheek]
        # A face lit from the side has dark skin too: the darkest twentieth of the cheeks still counts.
        darkest = torch.minimum(DARKEST * shine.median(), shine.quantile(0.05))
        skin = (brightness[b] >= darkest) & ((chroma[b] - usual).abs().sum(-1) <= CHROMA_LIMIT)
        # A pixel beside a rejected one is doubtful as well: strands are thinner than the blur.
        doubtful = F.max_pool2d((~skin)[None, None].to(image.dtype), 2 * reach + 1, 1, reach)[0, 0] > 0
        kept = forehead & ~doubtful
        gate[b][forehead] = 0.0
        if kept.sum() >= LEAST_SHARE * forehead.sum():
            gate[b][kept] = 1.0
    return gate
