"""Light from everywhere, as 27 numbers of the fit: what surface points show in the light of spherical harmonics.

A kernel (`kernels.point_kernel`) computes residual and slopes; `helpers.fitting.reference` is its twin in torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers._warp import launch, matrices, vectors, wp
from helpers.fitting import kernels
from helpers.fitting.settings import FitSettings
from helpers.fitting.surface import Look, Surface, SurfacePoints, trust_of

LEAST_POINTS = 2000  # for another thread of a CPU to be worth waking


@dataclass(frozen=True)
class HarmonicLook(Look):
    """`Look` in the light of spherical harmonics.

    Attributes:
        shown: (B, P, 3) what a white surface looks like in the light received.
        by_received: (B, P, 3), each channel by the light received in it.
        albedo: (B, P, 3).
        harmonics: (B, P, 9) at the normal.
        depth: (B, P) mm along the camera's axis, or None where the focal length is known.
    """

    shown: Tensor
    by_received: Tensor
    albedo: Tensor
    harmonics: Tensor
    depth: Tensor | None

    @property
    def by_zoom(self) -> Tensor:
        """(B, P, 3): with the focal length a point moves as it would by coming nearer by its depth."""
        assert self.depth is not None, "the focal length was taken for known"
        return -self.by_pose[..., 5] * self.depth[..., None]

    def write_albedo_and_light(
        self, by_beta: Tensor, by_light: Tensor, root: Tensor, points: SurfacePoints, some: slice
    ) -> None:
        """As `Look` asks."""
        root = root[some]
        torch.mul(points.texture[some], -(self.shown[some] * root)[..., None], out=by_beta)
        # Of the 9 harmonics' 27 numbers a channel receives those of its own.
        own = by_light.zero_().unflatten(-1, (9, 3)).diagonal(dim1=2, dim2=4)  # (B, P, 9, 3)
        torch.mul(self.harmonics[some, ..., None], (self.by_received[some] * root)[..., None, :], out=own)


def look_in_harmonics(surface: Surface, image: Tensor, settings: FitSettings) -> HarmonicLook:
    """Compare model and photograph at the points, in a kernel.

    Args:
        surface: the points at one state, whose light is (B, 9, 3).
        image: (B, H, W, 9) photographs with slopes.
        settings: with the grazing angles at which points stop to count.
    """
    points, pose, camera = surface.points, surface.pose, surface.camera
    B, P = points.weight.shape
    new = image.new_empty
    found = (
        *(new(B, P, 3), new(B, P, 3, 9), new(B, P, 3), new(B, P, 3)),
        *(new(B, P), new(B, P, 3, 6), new(B, P, 9)),
    )
    inputs = [
        wp.from_torch(surface.position, dtype=wp.vec3),
        wp.from_torch(surface.albedo, dtype=wp.vec3),
        matrices(pose.rotation),
        vectors(pose.translation),
        wp.from_torch(surface.light.contiguous()),
        vectors(camera.pinhole),
        wp.from_torch(image),
        wp.from_torch(points.barycentric, dtype=wp.vec3),
    ]
    outputs = [wp.from_torch(t) for t in found]
    launch(kernels.point_kernel, B * P, inputs, outputs, image, least=LEAST_POINTS)
    residual, by_corners, shown, by_received, cosine, by_pose, harmonics = found
    depth = None
    if surface.focal_free:
        middle = (points.barycentric[..., None] * surface.position).sum(2)
        depth = pose.translation[:, 2:] - (middle @ pose.rotation[:, 2, :, None])[..., 0]
    trust = trust_of(surface, cosine, settings)
    return HarmonicLook(
        residual, by_corners, by_pose, trust, shown, by_received, surface.albedo, harmonics, depth
    )
