"""Sampled points of a face's surface, and how model and photograph differ at them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from helpers.camera import Camera, Pose
from helpers.fitting.settings import FitSettings


@dataclass(frozen=True)
class SurfacePoints:
    """P points of each photograph that stay where they are on the surface while the face moves.

    A point's modes are gathered once and read at every iteration, until the points are drawn anew.

    Attributes:
        corners: (B, P, 3) vertex numbers.
        barycentric: (B, P, 3).
        weight: (B, P), 0 for unused points.
        mean_position: (B, P, 9) mm, the three corners on the mean face.
        geometry: (B, P, 9, n_geometry), how the modes move the corners.
        mean_albedo: (B, P, 3) at the point.
        texture: (B, P, 3, n_texture), how the modes colour the point.
        pixel: (B, P, 2) px, where each point was drawn.
        visible: (B,) how many pixels there were to draw from.
        shadow: (B, P) share of the lamp's light that arrives, or None where the light is no lamp.
    """

    corners: Tensor
    barycentric: Tensor
    weight: Tensor
    mean_position: Tensor
    geometry: Tensor
    mean_albedo: Tensor
    texture: Tensor
    pixel: Tensor
    visible: Tensor
    shadow: Tensor | None = None


class Surface(NamedTuple):
    """The points at one state, before any light falls on them.

    Attributes:
        points: P points of B faces.
        position: (B, P, 3 corners, 3) mm, model axes.
        albedo: (B, P, 3).
        pose: of the B faces.
        light: of the B faces, in the numbers of the fit's model of light.
        camera: with the focal length of the state.
        focal_free: whether the focal length is sought, too.
    """

    points: SurfacePoints
    position: Tensor
    albedo: Tensor
    pose: Pose
    light: Tensor
    camera: Camera
    focal_free: bool


@dataclass(frozen=True)
class Look(ABC):
    """Model against photograph at the points; slopes are the residual's, unweighted.

    Attributes:
        residual: (B, P, 3) photograph − model.
        by_corners: (B, P, 3 channels, 9), slope by the corners of the triangle, model axes.
        by_pose: (B, P, 3 channels, 6), by rotation and translation.
        trust: (B, P) weight of the point, 0 at grazing angles.
    """

    residual: Tensor
    by_corners: Tensor
    by_pose: Tensor
    trust: Tensor

    @property
    @abstractmethod
    def by_zoom(self) -> Tensor:
        """(B, P, 3) by the logarithm of the focal length."""

    @abstractmethod
    def write_albedo_and_light(
        self, by_beta: Tensor, by_light: Tensor, root: Tensor, points: SurfacePoints, some: slice
    ) -> None:
        """Fill the columns of β and of the light in the Jacobian of some photographs.

        Args:
            by_beta: (b, P, 3, n_texture) columns, written in place.
            by_light: (b, P, 3, n_light) columns, written in place.
            root: (B, P, 3) or (B, P, 1) square root of the weight of each row.
            points: with how the modes colour them.
            some: which of the B photographs.
        """


def trust_of(surface: Surface, cosine: Tensor, settings: FitSettings) -> Tensor:
    """(B, P) the points' weights, falling to 0 towards grazing angles; cosine: (B, P) between normal and view."""
    steep = settings.grazing_full - settings.grazing_start
    return surface.points.weight * ((cosine - settings.grazing_start) / steep).clamp(0, 1)
