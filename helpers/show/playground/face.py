"""One face as the playground holds it: the numbers of a fit, and what can be done to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import radians

import torch
from torch import Tensor

from helpers.camera import Camera, Pose, rotation_from_vector
from helpers.lighting import STUDIO_LIGHT, sh_basis
from helpers.show.on_cpu import on_cpu
from helpers.show.views import studio

# What may be taken from one person or the other; "pose" brings the camera with it.
PARTS = ("shape", "texture", "expression", "pose", "light")


@dataclass(frozen=True)
class Face:
    """The numbers of one face.

    Attributes:
        alpha: (1, Ks) of shape, in standard deviations.
        beta: (1, Kt) of texture, in standard deviations.
        expression: (1, Ke), in standard deviations.
        pose: of the head.
        camera: that sees it.
        light: (1, 9, 3) spherical harmonics, viewer axes.
    """

    alpha: Tensor
    beta: Tensor
    expression: Tensor
    pose: Pose
    camera: Camera
    light: Tensor

    @classmethod
    def of_fit(cls, result, index: int = 0) -> Face:
        """Face number `index` of a `FitResult`."""
        result, one = on_cpu(result), slice(index, index + 1)
        camera = Camera(result.camera.focal[one], result.camera.principal_point[one], result.camera.size)
        pose = Pose(result.pose.rotation_vector[one], result.pose.translation[one])
        return cls(
            result.alpha[one], result.beta[one], result.expression[one], pose, camera, result.light[one]
        )

    @classmethod
    def mean(cls, model, size: int = 224) -> Face:
        """The mean face, from the front, in studio light."""
        pose, camera, light = studio((0.0,), size, whole=True)
        expressions = 0 if model.expression_std is None else len(model.expression_std)
        counts = (len(model.shape_std), len(model.texture_std), expressions)
        return cls(*(torch.zeros(1, count) for count in counts), pose, camera, light)

    def seen_at(self, size: int) -> Camera:
        """The camera for the same view with `size` × `size` px; edges of pixels scale, their centres do not."""
        factor = size / max(self.camera.size)
        centre = (self.camera.principal_point + 0.5) * factor - 0.5
        return Camera(self.camera.focal * factor, centre, (size, size))


def mixed(faces: dict[str, Face], source: dict[str, str]) -> Face:
    """A face whose parts come from several.

    Args:
        faces: by name.
        source: for each of `PARTS`, the name of the face that it is taken from.
    """
    face = {part: faces[source[part]] for part in PARTS}
    return Face(
        face["shape"].alpha,
        face["texture"].beta,
        face["expression"].expression,
        face["pose"].pose,
        face["pose"].camera,
        face["light"].light,
    )


def harmonics_turned(light: Tensor, around: float) -> Tensor:
    """Spherical harmonics (1, 9, 3) of lamps that were carried about the vertical axis, `around` degrees to the right."""
    if not around:
        return light
    about_y = torch.tensor([0.0, radians(around), 0.0], dtype=torch.float64)
    return harmonics_rotated(light, rotation_from_vector(about_y))


def harmonics_rotated(light: Tensor, rotation: Tensor) -> Tensor:
    """Spherical harmonics (1, 9, 3) of lamps that were rotated (3, 3). Exact: a turn maps the harmonics of each order onto
    themselves."""
    normals = torch.nn.functional.normalize(
        torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=-1
    )
    # A surface that looks along n now receives what the one along Rᵀ n did.
    before = sh_basis(normals @ rotation.double())
    turn = torch.linalg.lstsq(sh_basis(normals), before).solution
    return (turn @ light.double()).to(light)


def light_of_head(face: Face) -> Tensor:
    """The light (1, 9, 3) of a face in the axes of its head, so that it goes along when the head is turned."""
    return harmonics_rotated(face.light, face.pose.rotation[0].T)


def with_light_of_head(face: Face, light: Tensor) -> Face:
    """The face in a light (1, 9, 3) that is given in the axes of its head."""
    return replace(face, light=harmonics_rotated(light, face.pose.rotation[0]))


def alone(face: Face, size: int = 224, yaw: float = 0.0) -> Face:
    """The head by itself in studio light, turned by `yaw` degrees."""
    pose, camera, _ = studio((yaw,), size, whole=True)
    return replace(face, pose=pose, camera=camera, light=STUDIO_LIGHT[None])
