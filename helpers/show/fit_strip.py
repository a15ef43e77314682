"""A fit in one strip: photograph · points · overlay · the face turned, grey and in colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.fitting.light_models import light_model_of
from helpers.rendering import render
from helpers.show.figures import as_bytes, draw_landmarks, tile
from helpers.show.views import CLAY, studio


@dataclass(frozen=True)
class FittedFace:
    """One face of a fit, ready to be drawn: vertices (1, V, 3) mm, colours (1, V, 3), pose, camera, light.

    light: (1, 9, 3) harmonics, or (1, 15) a lamp and colours.
    """

    vertices: torch.Tensor
    colours: torch.Tensor
    pose: Pose
    camera: Camera
    light: torch.Tensor


def fitted_face(result, model, index: int = 0) -> FittedFace:
    """Face number `index` of a `FitResult`."""
    one = slice(index, index + 1)
    camera = Camera(result.camera.focal[one], result.camera.principal_point[one], result.camera.size)
    pose = Pose(result.pose.rotation_vector[one], result.pose.translation[one])
    vertices = model.shape(result.alpha[one], result.expression[one])
    return FittedFace(vertices, model.texture(result.beta[one]), pose, camera, result.light[one])


def fit_strip(
    crop, result, model, index: int = 0, *, yaw: float = 40.0, height: int = 320, titles: bool = True
) -> np.ndarray:
    """The strip of one fitted photograph, (H, W, 3) uint8.

    crop: the `FaceCrop` that was fitted.  result: its `FitResult`.  index: which of the batch.
    yaw: degrees by which the face is turned.  height: px of each square panel.
    The overlay covers the part of the face that the fit explains; eyes and mouth stay the photograph's own.
    """
    image = as_bytes(crop.image[index])
    face = fitted_face(result, model, index)
    with torch.no_grad():
        panels = {
            "photograph": image,
            "landmarks: ● found  ○ model": draw_landmarks(
                image, result.landmarks[index], model_points(face, model)[0]
            ),
            "overlay": overlay(crop.image[index], face, model),
            "shape": turned(face, model, 0, clay=True, size=height),
            "turned": turned(face, model, yaw, clay=True, size=height),
            "in colour": turned(face, model, yaw, size=height),
        }
    return tile(list(panels.values()), list(panels) if titles else None, height=height)


def model_points(face: FittedFace, model) -> torch.Tensor:
    """(1, 68, 2) px: where the model's landmarks fall in the crop."""
    return project(model_to_camera(face.vertices[:, model.landmarks], face.pose), face.camera)[..., :2]


def overlay(image: torch.Tensor, face: FittedFace, model, supersample: int = 2) -> torch.Tensor:
    """The fitted face laid over its photograph (H, W, 3), where the fit looked: (H, W, 3).

    The skin's weight is drawn like a colour; averaging it over a few pixels makes a soft seam that stays inside.
    """
    lit = light_model_of(face.light).for_rendering(face.light)
    drawn = render(
        face.vertices,
        model.triangles,
        face.colours,
        face.pose,
        face.camera,
        lit.light,
        background=0.0,
        supersample=supersample,
        colour=lit.colour,
        shadows=lit.shadows,
    )
    skin = (
        (model.masks or {}).get("skin", torch.ones(face.vertices.shape[1]))[None, :, None].expand(-1, -1, 3)
    )
    plain = torch.zeros(1, 9, 3, device=face.light.device)
    plain[:, 0] = 1  # light that leaves every colour as it is
    where = render(
        face.vertices,
        model.triangles,
        skin,
        face.pose,
        face.camera,
        plain,
        background=0.0,
        supersample=supersample,
    )
    weight = (where.image[:, None, ..., 0] > 0.35).float()
    reach = max(1, round(image.shape[0] / 75))
    weight = torch.nn.functional.avg_pool2d(weight, 2 * reach + 1, 1, reach)
    weight = (2 * weight - 1).clamp(0, 1)[0, 0, ..., None]
    return image * (1 - weight) + drawn.image[0].clamp(0, 1) * weight


def turned(face: FittedFace, model, yaw: float, clay: bool = False, size: int = 224) -> torch.Tensor:
    """The face alone from the front, turned by `yaw` degrees, in studio light: (size, size, 3)."""
    pose, camera, light = studio((yaw,), size, face.vertices.device)
    colours = (
        torch.tensor(CLAY, device=face.vertices.device).expand(1, face.vertices.shape[1], 3)
        if clay
        else face.colours
    )
    return (
        render(face.vertices, model.triangles, colours, pose, camera, light, supersample=2)
        .image[0]
        .clamp(0, 1)
    )
