"""Pixel term: the rendered face should have the photograph's colours.

E_pixels = ½ · N_eff · Σ_p w_p ρ(r_p) / Σ_p w_p, with r_p the difference of the two colours at surface point p
over σ, ρ a robust function, and w_p how far the point is to be trusted (skin, inside the photograph, not at
a grazing angle). N_eff is the number of independent observations that a face full of pixels is worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers._warp import launch, wp
from helpers.camera import Camera, flip_axes, model_to_camera, project
from helpers.fitting import kernels
from helpers.fitting.lamp import look_in_lamplight
from helpers.fitting.parameters import FaceState, FitModel, Layout
from helpers.fitting.residual_correlation import residual_noise
from helpers.fitting.residuals import Rows
from helpers.fitting.settings import FitSettings
from helpers.lighting.lamp_vector import unpack_lamp
from helpers.rasterizer import Raster, interpolate, rasterize
from helpers.rendering import vertex_normals
from helpers.rendering.shadow import cast_shadows

LEAST_POINTS = 2000  # for another thread of a CPU to be worth waking
OUTLIER = 2.5  # robust scales: a residual beyond is no noise but another thing
NOISE_POINTS = 800  # whose pairs tell how far the residual hangs together


@dataclass(frozen=True)
class SurfacePoints:
    """P points a photograph that stay where they are on the surface while the face moves.

    corners: (B, P, 3) vertex numbers.  barycentric: (B, P, 3).  weight: (B, P), 0 for unused points.
    mean_position: (B, P, 9) mm, the three corners on the mean face, and geometry (B, P, 9, n_geometry) how the
    modes move them.  mean_albedo: (B, P, 3) at the point, and texture (B, P, 3, n_texture) likewise.
    pixel: (B, P, 2) px, where each point was drawn.  visible: (B,) how many pixels there were to draw from.
    shadow: (B, P) share of the lamp's light that arrives, or None where the light is no lamp.

    A point's modes are gathered once and read at every iteration, until the points are drawn anew.
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


def see(fit_model: FitModel, state: FaceState, camera: Camera) -> Raster:
    """Which triangle each pixel shows at the present state."""
    vertices = model_to_camera(fit_model.geometry(state.coefficients), state.pose)
    return rasterize(project(vertices, state.zoomed(camera)), fit_model.triangles, camera.size)


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
    rows, model = corners.flatten(), fit_model.model
    P, at_point = pixel.shape[1], barycentric.reshape(-1, 1, 3)

    def interpolated(at_corners: Tensor) -> Tensor:
        return (at_point @ at_corners.view(B * P, 3, -1)).view(B, P, *at_corners.shape[1:])

    return SurfacePoints(
        corners=corners,
        barycentric=barycentric.contiguous(),
        weight=weight * (drawn < 1),
        mean_position=model.mean_shape.index_select(0, rows).view(B, P, 9),
        geometry=fit_model.geometry_at(rows).view(B, P, 9, -1),
        mean_albedo=interpolated(model.mean_texture.index_select(0, rows)),
        texture=interpolated(fit_model.texture_at(rows)),
        pixel=torch.stack([pixel % trust.shape[2], pixel // trust.shape[2]], -1).to(trust),
        visible=usable.sum(-1),
    )


def shadowed(
    fit_model: FitModel, state: FaceState, camera: Camera, raster: Raster, points: SurfacePoints
) -> SurfacePoints:
    """The points, with what of the paper's lamp reaches each of them at the present state."""
    vertices = flip_axes(model_to_camera(fit_model.geometry(state.coefficients), state.pose))
    normals = vertex_normals(vertices, fit_model.triangles)
    at_pixels = interpolate(torch.cat([vertices, normals], -1), fit_model.triangles, raster)
    lamp, _ = unpack_lamp(state.light)
    shadow = cast_shadows(
        vertices,
        fit_model.triangles,
        lamp.towards(),
        at_pixels[..., :3],
        normalize(at_pixels[..., 3:], dim=-1),
    )
    x, y = points.pixel.long().unbind(-1)
    return replace(points, shadow=shadow[torch.arange(len(x), device=x.device)[:, None], y, x])


class Look(NamedTuple):
    """What the kernel says of the points at one state; slopes are the residual's, unweighted.

    residual: (B, P, 3) photograph − model.  by_corners: (B, P, 3, 9) its slope by the corners of the triangle.
    received: (B, P, 3) light.  cosine: (B, P) between normal and view.  by_pose: (B, P, 3, 6).
    harmonics: (B, P, 9) at the normal.  albedo: (B, P, 3).  trust: (B, P), 0 at grazing angles.
    depth: (B, P) mm along the camera's axis, or None where the focal length is known.
    """

    residual: Tensor
    by_corners: Tensor
    received: Tensor
    cosine: Tensor
    by_pose: Tensor
    harmonics: Tensor
    albedo: Tensor
    trust: Tensor
    depth: Tensor | None

    @property
    def by_zoom(self) -> Tensor:
        """(B, P, 3): with the focal length a point moves as it would by coming nearer by its depth."""
        return -self.by_pose[..., 5] * self.depth[..., None]

    def write_albedo_and_light(self, J: Tensor, root: Tensor, points: SurfacePoints, layout: Layout) -> None:
        """Fill the columns of β and of the light in J (B, P, 3, n); root: (B, P, 1) weight of each row."""
        torch.mul(points.texture, -(self.received * root)[..., None], out=J[..., layout.beta])
        J[..., layout.light] = 0
        by_light = -(self.albedo * root)[..., None] * self.harmonics[..., None, :]  # (B, P, 3 channels, 9)
        for c in range(3):
            J[..., c, layout.light.start + c : layout.light.stop : 3] = by_light[..., c, :]


class LampLook(NamedTuple):
    """The same in the paper's light: see `helpers.fitting.lamp`.

    by_albedo: (B, P, 3, 3).  by_light: (B, P, 3, 15).  by_zoom: (B, P, 3).
    """

    residual: Tensor
    by_corners: Tensor
    cosine: Tensor
    by_pose: Tensor
    by_albedo: Tensor
    by_light: Tensor
    by_zoom: Tensor
    trust: Tensor

    def write_albedo_and_light(self, J: Tensor, root: Tensor, points: SurfacePoints, layout: Layout) -> None:
        """As `Look` does it."""
        torch.matmul(self.by_albedo * root[..., None], points.texture, out=J[..., layout.beta])
        torch.mul(self.by_light, root[..., None], out=J[..., layout.light])


def look_at_points(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    image: Tensor,
    points: SurfacePoints,
    settings: FitSettings,
) -> Look | LampLook:
    """Compare model and photograph (with slopes, (B, H, W, 9)) at the points."""
    layout, camera = fit_model.layout, state.zoomed(camera)
    B, P = points.weight.shape
    new = image.new_empty
    geometry, albedo_modes = state.coefficients.split([layout.n_geometry, layout.n_texture], -1)
    position = points.mean_position + (points.geometry.flatten(1, 2) @ geometry[..., None]).view(B, P, 9)
    albedo = points.mean_albedo + (points.texture.flatten(1, 2) @ albedo_modes[..., None]).view(B, P, 3)
    steep = settings.grazing_full - settings.grazing_start
    if state.light.dim() == 2:
        seen = look_in_lamplight(
            position.view(B, P, 3, 3),
            albedo,
            state.pose.rotation,
            state.pose.translation,
            state.light,
            camera,
            image,
            points.barycentric,
            points.shadow,
        )
        trust = points.weight * ((seen.cosine - settings.grazing_start) / steep).clamp(0, 1)
        return LampLook(*seen, trust)
    found = new(B, P, 3), new(B, P, 3, 9), new(B, P, 3), new(B, P), new(B, P, 3, 6), new(B, P, 9)
    pinhole = torch.cat([camera.focal[:, None], camera.principal_point], -1).contiguous()
    inputs = [
        wp.from_torch(position.view(B, P, 3, 3), dtype=wp.vec3),
        wp.from_torch(albedo, dtype=wp.vec3),
        wp.from_torch(state.pose.rotation.contiguous(), dtype=wp.mat33),
        wp.from_torch(state.pose.translation.contiguous(), dtype=wp.vec3),
        wp.from_torch(state.light.contiguous()),
        wp.from_torch(pinhole, dtype=wp.vec3),
        wp.from_torch(image),
        wp.from_torch(points.barycentric, dtype=wp.vec3),
    ]
    outputs = [wp.from_torch(t) for t in found]
    launch(kernels.point_kernel, B * P, inputs, outputs, image, least=LEAST_POINTS)
    trust = points.weight * ((found[3] - settings.grazing_start) / steep).clamp(0, 1)
    return Look(*found, albedo, trust, _depth(state, position.view(B, P, 3, 3), points))


def pixel_rows(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    image: Tensor,
    points: SurfacePoints,
    settings: FitSettings,
    precision: Tensor | None = None,
) -> Rows:
    """Residuals and analytic Jacobian of the pixel term on an image with slopes (B, H, W, 9): 3 P rows.

    precision: (B,) N_eff / σ², what a face full of pixels is worth; None takes both from the settings.
    """
    layout = fit_model.layout
    B, P = points.weight.shape
    look = look_at_points(fit_model, state, camera, image, points, settings)
    if precision is None:
        precision = image.new_full((B,), settings.n_effective / settings.pixel_sigma**2)
    ratio = look.residual.square().mean(-1) / settings.pixel_robust**2
    share = precision[:, None] * look.trust / look.trust.sum(-1, keepdim=True).clamp(min=1e-6)
    # The mean over three channels gives the factor 1/3. Weights go into the small factors of a row, before
    # they are spread over all modes.
    weight, rho = robust(ratio, settings.pixel_form)
    root = (share * weight / 3).sqrt()[..., None]
    J = image.new_empty(B, P, 3, layout.size)
    by_corners = (look.by_corners * root[..., None]).view(B * P, 3, 9)
    J[..., : layout.n_geometry] = torch.bmm(by_corners, points.geometry.view(B * P, 9, -1)).view(B, P, 3, -1)
    torch.mul(look.by_pose, root[..., None], out=J[..., layout.pose])
    look.write_albedo_and_light(J, root, points, layout)
    if layout.n_zoom:
        torch.mul(look.by_zoom[..., None], root[..., None], out=J[..., layout.zoom])
    energy = 0.5 * settings.pixel_robust**2 * (share * rho).sum(-1)
    return Rows((look.residual * root).flatten(1), J.flatten(1, 2), energy)


def robust(ratio: Tensor, form: str) -> tuple[Tensor, Tensor]:
    """Weight of each row and ρ, from squared residuals in parts of the squared robust scale.

    "cauchy": ρ = log(1 + x²), which grows ever more slowly: an outlier loses its pull. "huber": ρ = x² up to 1 and
    2 x − 1 beyond, quadratic and then linear, as in the authors' code: an outlier keeps a constant pull.
    """
    if form == "cauchy":
        return 1 / (1 + ratio), torch.log1p(ratio)
    size = ratio.clamp(min=1).sqrt()
    return 1 / size, torch.where(ratio <= 1, ratio, 2 * size - 1)


def pixel_precision(look: Look, points: SurfacePoints, settings: FitSettings, unit: float = 1.0) -> Tensor:
    """(B,) N_eff / σ² as the residual itself shows it, within the limits of the settings.

    The residual at this stage still holds what the fit has not explained yet, and takes all of it for noise. So
    the estimate is raised by `settings.noise_trust`. unit: px of this crop in one of a crop of 224 px.
    """
    # Gross outliers are left out; what a robust weight only lowers is noise all the same.
    kept = look.trust * (look.residual.square().mean(-1).sqrt() < OUTLIER * settings.pixel_robust)
    some = slice(0, NOISE_POINTS)  # all pairs of them are looked at
    noise = residual_noise(look.residual[:, some], points.pixel[:, some], kept[:, some], unit)
    precision = settings.noise_trust * points.visible / (noise.area * noise.sigma.square().clamp(min=1e-8))
    fixed = settings.n_effective / settings.pixel_sigma**2
    return precision.clamp(settings.precision_limits[0] * fixed, settings.precision_limits[1] * fixed)


def _depth(state: FaceState, position: Tensor, points: SurfacePoints) -> Tensor | None:
    """(B, P) mm along the camera's axis; only who asks for the focal length needs it."""
    if state.zoom is None:
        return None
    middle = (points.barycentric[..., None] * position).sum(2)
    return state.pose.translation[:, 2:] - (middle @ state.pose.rotation[:, 2, :, None])[..., 0]
