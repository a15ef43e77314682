"""A fit in one strip: photograph · points · overlay · the head turned, grey and in colour."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.fitting.light_models import light_model_of
from helpers.painting import PaintedFace
from helpers.rendering import render
from helpers.show.figures import WIDEST, as_bytes, draw_landmarks, tile
from helpers.show.on_cpu import on_cpu
from helpers.show.views import CLAY, PLAIN_LIGHT, portraits

HATCHING = (0.86, 0.20, 0.65)  # over what hides the face
SHOWN_FROM = 0.05  # share of the face that is covered, to be named


@dataclass(frozen=True)
class FittedFace:
    """One face of a fit, ready to be drawn.

    Attributes:
        vertices: (1, V, 3) mm.
        colours: (1, V, 3) sRGB, 0 to 1.
        pose: one.
        camera: that of the crop.
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
    crop,
    result,
    model,
    index: int = 0,
    *,
    yaw: float = 40.0,
    height: int = 320,
    titles: bool = True,
    painted: PaintedFace | None = None,
    widest: int | None = WIDEST,
) -> np.ndarray:
    """The strip of one fitted photograph.

    The overlay covers the part of the face that the fit explains; eyes and mouth stay the photograph's own, and what
    something hides is hatched. By itself the whole head is shown, if the model has one.

    Args:
        crop: the `FaceCrop` that was fitted.
        result: its `FitResult`.
        model: the face model that was fitted.
        index: which of the batch.
        yaw: degrees by which the head is turned.
        height: px of each square panel.
        titles: whether each panel has its title.
        painted: the whole head of this one face with the photograph's colours, as `helpers.painting.paint_fit` makes it;
            None shows the texture of the model.
        widest: px; a wider strip is broken into two rows, the photograph's and the head's. None keeps one row.

    Returns:
        (H, W, 3) uint8.
    """
    crop, result, model, head = on_cpu((crop, result, model, model.whole_head))
    image = as_bytes(crop.image[index])
    face, whole = (fitted_face(result, each, index) for each in (model, head))
    face_seen, covered = result.face_probability[index], float(result.covered[index])
    overlaid = f"{100 * covered:.0f} % covered" if covered >= SHOWN_FROM else "overlay"
    in_colour = whole if painted is None else replace(whole, colours=on_cpu(painted.colours))
    with torch.no_grad():
        panels = {
            "photograph": image,
            "points: ● found ○ model": draw_landmarks(
                image, result.landmarks[index], model_points(face, model)[0]
            ),
            overlaid: hatched(overlay(crop.image[index], face, model, seen=face_seen), face_seen < 0.5),
            "shape": turned(whole, head, 0, clay=True, size=height),
            "turned": turned(whole, head, yaw, clay=True, size=height),
            "in colour": turned(in_colour, head, yaw, size=height, lit=painted is None),
        }
    return tile(list(panels.values()), list(panels) if titles else None, height=height, widest=widest)


def model_points(face: FittedFace, model) -> torch.Tensor:
    """(1, 68, 2) px: where the model's landmarks fall in the crop."""
    return project(model_to_camera(face.vertices[:, model.landmarks], face.pose), face.camera)[..., :2]


def hatched(image: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The image (H, W, 3), 0 to 1, with slanted lines over the pixels of `where` (H, W) bool."""
    H, W = where.shape
    period = max(4, round(W / 28))
    across = torch.arange(W)[None] + torch.arange(H)[:, None]
    lines = where & (across % period < period / 4)
    return torch.where(lines[..., None], torch.tensor(HATCHING), image)


def overlay(
    image: torch.Tensor, face: FittedFace, model, supersample: int = 2, seen: torch.Tensor | None = None
) -> torch.Tensor:
    """The fitted face laid over its photograph, where the fit looked.

    The skin's weight is drawn like a colour; averaging it over a few pixels makes a soft seam that stays inside.

    Args:
        image: (H, W, 3) sRGB, 0 to 1.
        face: in the pose, camera and light of the photograph.
        model: the face model of the face.
        supersample: see `helpers.rendering.render`.
        seen: (H, W) probability that a pixel shows the face; None means 1.

    Returns:
        (H, W, 3), 0 to 1.
    """
    image, face, model = on_cpu((image, face, model))
    lit = light_model_of(face.light).for_rendering(face.light)

    def drawn(albedo, light, **more):
        return render(
            face.vertices,
            model.triangles,
            albedo,
            face.pose,
            face.camera,
            light,
            background=0.0,
            supersample=supersample,
            **more,
        ).image

    shown = drawn(face.colours, lit.light, colour=lit.colour, shadows=lit.shadows)[0].clamp(0, 1)
    skin = (model.masks or {}).get("skin", torch.ones(face.vertices.shape[1]))
    where = drawn(skin[None, :, None].expand(-1, -1, 3), PLAIN_LIGHT[None])
    weight = (where[:, None, ..., 0] > 0.35).float()
    if seen is not None:
        weight = weight * (seen > 0.5)
    reach = max(1, round(image.shape[0] / 75))
    weight = torch.nn.functional.avg_pool2d(weight, 2 * reach + 1, 1, reach)
    weight = (2 * weight - 1).clamp(0, 1)[0, 0, ..., None]
    return image * (1 - weight) + shown * weight


def turned(
    face: FittedFace, model, yaw: float, clay: bool = False, size: int = 224, lit: bool = True
) -> torch.Tensor:
    """The face alone from the front, turned by `yaw` degrees, in studio light if it is lit: (size, size, 3)."""
    colours = torch.tensor(CLAY).expand_as(face.vertices) if clay else face.colours
    return portraits(face.vertices, model.triangles, colours, yaw=yaw, size=size, lit=lit)[0]
