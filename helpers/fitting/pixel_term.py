"""Pixel term: the rendered face should have the photograph's colours.

E_pixels = ½ · N_eff · Σ_p w_p ρ(r_p) / Σ_p w_p, with r_p the difference of the two colours at surface point p
over σ, ρ the Cauchy function, and w_p how far the point is to be trusted (skin, inside the photograph, not at
a grazing angle). N_eff is the number of independent observations that a face full of pixels is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers._warp import launch_options, pool, wp
from helpers.camera import Camera, model_to_camera, project
from helpers.fitting import kernels
from helpers.fitting.landmark_term import Rows
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.settings import FitSettings
from helpers.rasterizer import Raster, rasterize

THREADS = 2  # of a launch on the CPU


@dataclass(frozen=True)
class SurfacePoints:
    """Points that stay where they are on the surface while the face moves.

    corners: (B, P, 3) int32 vertex numbers.  barycentric: (B, P, 3).  weight: (B, P), 0 for unused points.
    """

    corners: Tensor
    barycentric: Tensor
    weight: Tensor


def see(fit_model: FitModel, state: FaceState, camera: Camera) -> Raster:
    """Which triangle each pixel shows at the present state."""
    vertices = model_to_camera(fit_model.geometry(state.coefficients), state.pose)
    return rasterize(project(vertices, camera), fit_model.triangles, camera.size)


def sample_points(
    fit_model: FitModel, raster: Raster, trust: Tensor, n_points: int, generator: torch.Generator
) -> SurfacePoints:
    """Draw n_points visible, trusted pixels of each photograph at random; with fewer, the rest has weight 0.

    trust: (B, H, W) weight of each pixel, 0 for those that must not count.
    """
    B = len(trust)
    triangle = raster.triangle_id.view(B, -1).long()
    seen = triangle >= 0
    usable = seen & (fit_model.triangle_weight[triangle.clamp(min=0)] > 0.05) & (trust.view(B, -1) > 0.05)
    # Every pixel draws a number, the same for all photographs, and the lowest among the usable ones win. So a
    # pixel more or less changes one point only, and a photograph gives the same fit alone and among others.
    lot = torch.rand(triangle.shape[1], generator=generator).to(trust)
    drawn, pixel = torch.where(usable, lot, 2.0).topk(min(n_points, len(lot)), largest=False)
    corners = fit_model.triangles[triangle.gather(1, pixel).clamp(min=0)]
    barycentric = raster.barycentric.view(B, -1, 3).gather(1, pixel[..., None].expand(-1, -1, 3))
    weight = (fit_model.weight[corners] * barycentric).sum(-1) * trust.view(B, -1).gather(1, pixel)
    return SurfacePoints(corners.int().contiguous(), barycentric.contiguous(), weight * (drawn < 1))


def pixel_rows(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    image: Tensor,
    points: SurfacePoints,
    settings: FitSettings,
) -> Rows:
    """Residuals and analytic Jacobian of the pixel term on an image with slopes (B, H, W, 9): 3 P rows."""
    layout = fit_model.layout
    B, P = points.weight.shape
    new = image.new_empty
    position, albedo = new(B, P, 3, 3), new(B, P, 3, 3)
    residual, slope, shading = new(B, P, 3), new(B, P, 3, 9), new(B, P, 3)
    cosine, rigid, harmonics = new(B, P), new(B, P, 3, 6), new(B, P, 9)
    basis, corners = wp.from_torch(fit_model.basis), wp.from_torch(points.corners)
    barycentric = wp.from_torch(points.barycentric, dtype=wp.vec3)
    at_corners = [wp.from_torch(t, dtype=wp.vec3) for t in (position, albedo)]
    model = fit_model.model
    inputs = [
        basis,
        wp.from_torch(model.mean_shape, dtype=wp.vec3),
        wp.from_torch(model.mean_texture, dtype=wp.vec3),
        wp.from_torch(state.coefficients.contiguous()),
        corners,
        layout.n_geometry,
    ]
    _launch(kernels.corner_kernel, B * P, (3,), inputs, at_corners, image)
    pinhole = torch.cat([camera.focal[:, None], camera.principal_point], -1).contiguous()
    inputs = [
        *at_corners,
        wp.from_torch(state.pose.rotation.contiguous(), dtype=wp.mat33),
        wp.from_torch(state.pose.translation.contiguous(), dtype=wp.vec3),
        wp.from_torch(state.light.contiguous()),
        wp.from_torch(pinhole, dtype=wp.vec3),
        wp.from_torch(image),
        barycentric,
    ]
    outputs = [wp.from_torch(t) for t in (residual, slope, shading, cosine, rigid, harmonics)]
    _launch(kernels.point_kernel, B * P, (), inputs, outputs, image)

    squared = residual.square().mean(-1)
    ratio = squared / settings.pixel_robust**2
    grazing = ((cosine - settings.grazing_start) / (settings.grazing_full - settings.grazing_start)).clamp(0, 1)
    trust = points.weight * grazing
    share = settings.n_effective * trust / trust.sum(-1, keepdim=True).clamp(min=1e-6)
    # The mean over three channels gives the factor 1/3. Weights go into the small factors of a row, before
    # they are spread over all modes.
    root = (share / (1 + ratio) / 3).sqrt() / settings.pixel_sigma
    slope *= root[..., None, None]
    shading *= root[..., None]
    J = new(B, P, 3, layout.size)
    inputs = [basis, corners, barycentric, outputs[1], outputs[2], layout.n_geometry]
    _launch(kernels.row_kernel, B * P, (layout.n_coefficients,), inputs, [wp.from_torch(J)], image)
    J[..., layout.pose] = rigid * root[..., None, None]
    J[..., layout.light] = 0
    colour = (albedo * points.barycentric[..., None]).sum(-2)
    by_light = -(colour * root[..., None])[..., None] * harmonics[..., None, :]  # (B, P, 3 channels, 9)
    for c in range(3):
        J[..., c, layout.light.start + c :: 3] = by_light[..., c, :]
    scale = (settings.pixel_robust / settings.pixel_sigma) ** 2
    energy = 0.5 * (share * scale * torch.log1p(ratio)).sum(-1)
    return Rows((residual * root[..., None]).flatten(1), J.flatten(1, 2), energy)


def _launch(kernel, points: int, more: tuple, inputs: list, outputs: list, like: Tensor) -> None:
    """Launch over `points` × `more`: at once on a GPU, in equal parts on a few threads on a CPU."""
    options = launch_options(like)

    def part(first: int, last: int) -> None:
        wp.launch(kernel, (last - first, *more), inputs=[*inputs, first], outputs=outputs, **options)

    if like.is_cuda:
        part(0, points)
        return
    wp.load_module(kernels, device="cpu")  # before the threads, or each would compile it
    cuts = [points * i // THREADS for i in range(THREADS + 1)]
    list(pool(THREADS).map(part, cuts[:-1], cuts[1:]))
