"""The face of a fit, painted with its photograph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.camera import Pose, flip_axes, model_to_camera
from helpers.crop import FaceCrop, crop_face
from helpers.face_model import MorphableModel
from helpers.fitting import FitResult
from helpers.fitting.light_models import light_model_of
from helpers.lighting import PhongLight, shade, shade_phong
from helpers.painting.atlas import SIZE, sample
from helpers.painting.paint import PaintedFace, paint
from helpers.rendering import vertex_normals

SIDES = (224, 1024)  # px of the square that is looked at, least and most: no more than the texture can hold


def paint_fit(
    image: np.ndarray,
    crop: FaceCrop,
    result: FitResult,
    model: MorphableModel,
    unmasked: Tensor | None = None,
    size: int = SIZE,
) -> PaintedFace:
    """Paint the face that was fitted to a photograph, with the photograph's own resolution.

    Args:
        image: (H, W, 3) sRGB, 0 to 1, the whole photograph.
        crop: of the one face, that was fitted.
        result: of the fit.
        model: that was fitted, or its whole head.
        unmasked: (1, S, S) of the crop's pixels, from 0 (a hand, a microphone) to 1, on top of what the fit itself found in front of the face;
            None is what the photograph covers.
        size: texels along each side of the texture, a multiple of 4.

    Returns:
        The painted face, on the model's device.

    Raises:
        ValueError: there is more than one face, or sizes do not agree.
    """
    device = model.mean_shape.device
    result, crop = result.to(device), crop.to(device)
    if len(result.alpha) != 1:
        raise ValueError(f"paint_fit paints one face, got {len(result.alpha)}: take result.only(number)")
    unmasked = (crop.valid if unmasked is None else unmasked.to(crop.valid)) * result.face_probability
    # The same square with the photograph's own pixels.
    side = round(crop.image.shape[1] / float(crop.scale[0]))
    fine = crop_face(
        image, crop.to_photo(crop.landmarks)[0].cpu().numpy(), min(max(side, SIDES[0]), SIDES[1])
    )
    fine = fine.to(device)
    camera = fine.camera_of_crop(crop.camera_of_photo(result.camera, image.shape[:2]))
    rows = torch.arange(camera.size[0], device=device)
    pixels = torch.cartesian_prod(rows, rows).flip(1).to(fine.image)[None]
    unmasked = sample(unmasked[..., None], crop.to_crop(fine.to_photo(pixels)))[..., 0].view(fine.valid.shape)
    with torch.no_grad():
        vertices = model.shape(result.alpha, result.expression)
        colours = lit_colours(
            vertices, model.triangles, model.texture(result.beta), result.pose, result.light
        )
        return paint(
            fine.image, vertices, colours, result.pose, camera, model, unmasked.clamp(0, 1) * fine.valid, size
        )


def lit_colours(vertices: Tensor, triangles: Tensor, albedo: Tensor, pose: Pose, light: Tensor) -> Tensor:
    """Colours (B, V, 3) sRGB of vertices in the light of a fit, without cast shadows.

    Args:
        vertices: (B, V, 3) mm.
        triangles: (F, 3).
        albedo: (B, V, 3) sRGB.
        pose: B.
        light: (B, 9, 3) or (B, 15), as `FitResult.light`.
    """
    lit = light_model_of(light).for_rendering(light)
    normals = vertex_normals(vertices, triangles) @ pose.rotation.transpose(1, 2)
    if isinstance(lit.light, PhongLight):
        view = normalize(-flip_axes(model_to_camera(vertices, pose)), dim=-1)
        colours = shade_phong(albedo, normals, view, lit.light)
    else:
        colours = shade(albedo, normals, lit.light)
    # A colour transform works on images.
    return (colours if lit.colour is None else lit.colour(colours[:, None])[:, 0]).clamp(0, 1)
