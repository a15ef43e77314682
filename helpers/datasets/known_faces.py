"""Rendered faces with known truth. They are synthetic, and so are their landmarks: true projections plus noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.camera import DEFAULT_FOCAL, Camera, Pose, model_to_camera, project
from helpers.crop import FACE_SHARE, RAISED
from helpers.datasets.conditions import harmonics_drawn
from helpers.face_model import FaceCoefficients, MorphableModel
from helpers.lighting.lamp_vector import unpack_lamp
from helpers.rendering import render


@dataclass(frozen=True)
class KnownFaces:
    """N rendered faces.

    Attributes:
        image: (N, S, S, 3) sRGB, 0 to 1.
        landmarks: (N, 68, 2) px, simulated.
        coefficients: the truth.
        pose: the truth.
        camera: the truth.
        light: (N, 9, 3) harmonics, or (N, 15) a lamp and colours as in `helpers.lighting.lamp_vector`.
        vertices: (N, V, 3) mm with expression.
        neutral: (N, V, 3) mm without.
        visible: (N, V), 1 for vertices of the face that the image shows.
    """

    image: Tensor
    landmarks: Tensor
    coefficients: FaceCoefficients
    pose: Pose
    camera: Camera
    light: Tensor
    vertices: Tensor
    neutral: Tensor
    visible: Tensor


def known_faces(
    model: MorphableModel,
    n: int,
    *,
    seed: int = 0,
    size: int = 224,
    max_yaw: float = 35.0,
    expression: float = 0.6,
    landmark_noise: float = 1.2,
    focal_spread: float = 0.5,
    pixel_noise: float = 0.01,
    lamp: bool = False,
) -> KnownFaces:
    """Draw n people from the model and photograph each once, in random pose, light and distance.

    Args:
        model: a face model with landmarks and the mask "skin".
        n: how many people.
        seed: of all random numbers.
        size: px.
        max_yaw: degrees; pitch and roll go to a third of it.
        expression: standard deviation of its coefficients.
        landmark_noise: px, of the simulated detector.
        focal_spread: the true focal length is 1000 px (at 224) times e to the power of a uniform number within
            ± this; whoever fits does not know it.
        pixel_noise: standard deviation in sRGB, 0 to 1.
        lamp: light the faces as the released fitter does, by a lamp with a highlight and cast shadows, and transform their
            colours; otherwise by harmonics.

    Returns:
        The faces, on the model's device.
    """
    generator = torch.Generator().manual_seed(seed)

    device = model.mean_shape.device

    # Drawn on the CPU, so that a seed gives the same people on every device.
    def uniform(*shape, limit=1.0):
        return ((2 * torch.rand(*shape, generator=generator) - 1) * limit).to(device)

    def normal(*shape, sigma=1.0):
        return (torch.randn(*shape, generator=generator) * sigma).to(device)

    coefficients = model.sample(n, generator=generator, expression_strength=expression)
    turn = math.radians(max_yaw)
    rotation = torch.stack(
        [uniform(n, limit=turn / 3), uniform(n, limit=turn), uniform(n, limit=turn / 3)], -1
    )
    light = (
        _lamps(n, uniform)
        if lamp
        else harmonics_drawn(normal(n, 1, 1), normal(n, 3, 1), normal(n, 5, 1), normal(n, 9, 3))
    )
    camera = Camera.default(size, batch=n, device=device)
    camera = Camera(
        DEFAULT_FOCAL * size / 224 * torch.exp(uniform(n, limit=focal_spread)),
        camera.principal_point,
        camera.size,
    )
    vertices = model.shape(coefficients.alpha, coefficients.expression)
    pose = framed(vertices[:, model.landmarks], rotation, camera, size)
    seen, colour = unpack_lamp(light) if lamp else (light, None)
    albedo = model.texture(coefficients.beta)
    rendering = render(vertices, model.triangles, albedo, pose, camera, seen, colour=colour, shadows=lamp)
    backdrop = torch.rand(n, 1, 1, 3, generator=generator).to(device)
    image = torch.where(rendering.mask[..., None], rendering.image.clamp(0, 1), backdrop)
    image = (image + normal(*image.shape, sigma=pixel_noise)).clamp(0, 1)
    points = project(model_to_camera(vertices[:, model.landmarks], pose), camera)[..., :2]
    return KnownFaces(
        image=image,
        landmarks=points + normal(n, 68, 2, sigma=landmark_noise),
        coefficients=coefficients,
        pose=pose,
        camera=camera,
        light=light,
        vertices=vertices,
        neutral=model.shape(coefficients.alpha),
        visible=visible_vertices(model, rendering.triangle_id),
    )


def _lamps(n: int, uniform) -> Tensor:
    """(n, 15) lamps in front of the face, mostly above it, and colours that a camera might give."""
    ambient = 0.50 + uniform(n, 1, limit=0.1) + uniform(n, 3, limit=0.02)
    diffuse = 0.55 + uniform(n, 1, limit=0.15) + uniform(n, 3, limit=0.02)
    azimuth, elevation = uniform(n, 1, limit=1.0), 0.35 + uniform(n, 1, limit=0.5)
    contrast, offset = 0.95 + uniform(n, 1, limit=0.1), uniform(n, 1, limit=0.02) + uniform(n, 3, limit=0.01)
    gain = 1 + uniform(n, 1, limit=0.1) + uniform(n, 3, limit=0.04)
    return torch.cat([ambient, diffuse, azimuth, elevation, contrast, gain, offset], -1)


def framed(landmarks: Tensor, rotation: Tensor, camera: Camera, size: int) -> Pose:
    """The poses that put each face in the middle of its image, at the size that a crop would give it.

    Args:
        landmarks: (B, 68, 3) mm.
        rotation: (B, 3) rotation vectors.
        camera: of the images.
        size: px.
    """
    turned = model_to_camera(landmarks, Pose(rotation, torch.zeros_like(rotation)))
    low, high = turned[..., :2].amin(1), turned[..., :2].amax(1)
    depth = camera.focal * (high - low).amax(-1) / (FACE_SHARE * size)
    # The crop leaves more room above the landmarks, where there are none, than below.
    middle = (low + high) / 2 - low.new_tensor([0.0, RAISED]) * (high - low).amax(
        -1, keepdim=True
    ) / FACE_SHARE
    middle_depth = turned[..., 2].mean(1)
    return Pose(rotation, torch.cat([-middle, (depth - middle_depth)[:, None]], -1))


def visible_vertices(model: MorphableModel, triangle_id: Tensor) -> Tensor:
    """The vertices of the face proper that images show.

    Args:
        model: a face model with the mask "skin".
        triangle_id: (B, H, W) the triangle that each pixel shows, −1 for none.

    Returns:
        (B, V), 1 for those, 0 for the others.

    Raises:
        ValueError: for a model without the mask.
    """
    if model.masks is None:
        raise ValueError(f"{model.name} has no masks, so the face proper is not known")
    B, V = len(triangle_id), model.n_vertices
    picture, row, column = (triangle_id >= 0).nonzero(as_tuple=True)
    corners = model.triangles[triangle_id[picture, row, column].long()] + V * picture[:, None]
    shown = model.mean_shape.new_zeros(B * V)
    shown[corners.flatten()] = 1.0
    return shown.view(B, V) * (model.masks["skin"] > 0.5)
