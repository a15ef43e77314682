"""Pixel term: the rendered face should have the photograph's colours.

E_pixels = ½ · N_eff · Σ_p w_p ρ(r_p) / Σ_p w_p, with r_p the difference of the two colours at surface point p
over σ, ρ a robust function, and w_p how far the point is to be trusted (skin, inside the photograph, not at
a grazing angle). N_eff is the number of independent observations that a face full of pixels is worth.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from helpers.camera import Camera, flip_axes, model_to_camera, project
from helpers.device import parts, upload
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.residual_correlation import residual_noise
from helpers.fitting.residuals import Rows
from helpers.fitting.settings import FitSettings
from helpers.fitting.surface import Look, Surface, SurfacePoints
from helpers.rasterizer import Raster, interpolate, rasterize
from helpers.rendering import vertex_normals
from helpers.rendering.shadow import cast_shadows

OUTLIER = 2.5  # robust scales: a residual beyond is no noise but another thing
NOISE_POINTS = 800  # whose pairs tell how far the residual hangs together


def see(fit_model: FitModel, state: FaceState, camera: Camera) -> Raster:
    """Which triangle each pixel shows at the present state."""
    vertices = model_to_camera(fit_model.geometry(state.coefficients), state.pose)
    return rasterize(project(vertices, state.zoomed(camera)), fit_model.triangles, camera.size)


def sample_points(
    fit_model: FitModel, raster: Raster, trust: Tensor, n_points: int, generator: torch.Generator
) -> SurfacePoints:
    """Draw visible, trusted pixels of each photograph at random.

    Args:
        fit_model: the face model.
        raster: which triangle each pixel shows, see `see`.
        trust: (B, H, W) weight of each pixel, 0 for those that must not count.
        n_points: how many to draw; with fewer usable pixels, the rest has weight 0.
        generator: on the CPU.
    """
    B = len(trust)
    triangle = raster.triangle_id.view(B, -1).long()
    seen = triangle >= 0
    usable = seen & (fit_model.triangle_weight[triangle.clamp(min=0)] > 0.05) & (trust.view(B, -1) > 0.05)
    # Every pixel draws a number, the same for all photographs, and the lowest among the usable ones win. So a
    # pixel more or less changes one point only, and a photograph gives the same fit alone and among others.
    lot = upload(torch.rand(triangle.shape[1], generator=generator), trust.device)
    drawn, pixel = torch.where(usable, lot, 2.0).topk(min(n_points, len(lot)), largest=False)
    corners = fit_model.triangles[triangle.gather(1, pixel).clamp(min=0)]
    barycentric = raster.barycentric.view(B, -1, 3).gather(1, pixel[..., None].expand(-1, -1, 3))
    weight = (fit_model.weight[corners] * barycentric).sum(-1) * trust.view(B, -1).gather(1, pixel)
    rows, model = corners.flatten(), fit_model.model
    P, at_point = pixel.shape[1], barycentric.reshape(-1, 1, 3)

    albedo = at_point @ model.mean_texture.index_select(0, rows).view(B * P, 3, 3)
    texture = trust.new_empty(B * P, 1, 3 * fit_model.layout.n_texture)
    for some in parts(B * P, 3 * texture.stride(0) * texture.element_size(), texture):
        at_corners = fit_model.texture_at(corners.view(B * P, 3)[some].flatten())
        torch.bmm(at_point[some], at_corners.view(-1, 3, texture.shape[-1]), out=texture[some])
    return SurfacePoints(
        corners=corners,
        barycentric=barycentric.contiguous(),
        weight=weight * (drawn < 1),
        mean_position=model.mean_shape.index_select(0, rows).view(B, P, 9),
        geometry=fit_model.geometry_at(rows).view(B, P, 9, -1),
        mean_albedo=albedo.view(B, P, 3),
        texture=texture.view(B, P, 3, -1),
        pixel=torch.stack([pixel % trust.shape[2], pixel // trust.shape[2]], -1).to(trust),
        visible=usable.sum(-1),
    )


def shadowed(
    fit_model: FitModel, state: FaceState, camera: Camera, raster: Raster, points: SurfacePoints
) -> SurfacePoints:
    """The points, with the share of the lamp's light that reaches each of them at the present state."""
    towards = fit_model.layout.light_model.towards(state.light)
    if towards is None:
        return points
    vertices = flip_axes(model_to_camera(fit_model.geometry(state.coefficients), state.pose))
    normals = vertex_normals(vertices, fit_model.triangles)
    at_pixels = interpolate(torch.cat([vertices, normals], -1), fit_model.triangles, raster)
    shadow = cast_shadows(
        vertices, fit_model.triangles, towards, at_pixels[..., :3], normalize(at_pixels[..., 3:], dim=-1)
    )
    x, y = points.pixel.long().unbind(-1)
    return replace(points, shadow=shadow[torch.arange(len(x), device=x.device)[:, None], y, x])


def look_at_points(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    image: Tensor,
    points: SurfacePoints,
    settings: FitSettings,
) -> Look:
    """Compare model and photograph at the points.

    Args:
        fit_model: the face model, whose layout names the model of light.
        state: of B faces.
        camera: of their crops.
        image: (B, H, W, 9) photographs with slopes, see `helpers.fitting.images.with_slopes`.
        points: P of each face.
        settings: of the fit.

    Returns:
        A `helpers.fitting.harmonics.HarmonicLook`, or a `helpers.fitting.lamp.LampLook` in a lamp's light.
    """
    layout = fit_model.layout
    B, P = points.weight.shape
    geometry, albedo_modes = state.coefficients.split([layout.n_geometry, layout.n_texture], -1)
    position = _moved(points.mean_position, points.geometry, geometry)
    albedo = _moved(points.mean_albedo, points.texture, albedo_modes)
    surface = Surface(
        points,
        position.view(B, P, 3, 3),
        albedo,
        state.pose,
        state.light,
        state.zoomed(camera),
        focal_free=state.zoom is not None,
    )
    return layout.light_model.look(surface, image, settings)


def _moved(mean: Tensor, modes: Tensor, coefficients: Tensor) -> Tensor:
    """(B, P, C) values of P points: their mean (B, P, C) moved along modes (B, P, C, K) by coefficients (B, K)."""
    rows = modes.flatten(1, 2).transpose(1, 2)  # a CPU takes twice as long for the product with a column
    return torch.baddbmm(mean.flatten(1)[:, None], coefficients[:, None], rows).view_as(mean)


def pixel_rows(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    image: Tensor,
    points: SurfacePoints,
    settings: FitSettings,
    precision: Tensor | None = None,
) -> Rows:
    """Residuals and analytic Jacobian of the pixel term.

    Args:
        fit_model: the face model.
        state: of B faces.
        camera: of their crops.
        image: (B, H, W, 9) photographs with slopes.
        points: P of each face.
        settings: weights of the term.
        precision: (B,) N_eff / σ², what a face full of pixels is worth; None takes both from the settings.

    Returns:
        3 P rows, the channels of each point.
    """
    layout = fit_model.layout
    B, P = points.weight.shape
    look = look_at_points(fit_model, state, camera, image, points, settings)
    if precision is None:
        precision = image.new_full((B,), settings.n_effective / settings.pixel_sigma**2)
    squared = look.residual.square()
    if settings.pixel_form == "cauchy":  # one weight for a point; "huber" has one for each of its channels
        squared = squared.mean(-1, keepdim=True)
    share = precision[:, None] * look.trust / look.trust.sum(-1, keepdim=True).clamp(min=1e-6)
    # The mean over three channels gives the factor 1/3. Weights go into the small factors of a row, before
    # they are spread over all modes.
    weight, rho = robust(squared / settings.pixel_robust**2, settings.pixel_form)
    root = (share[..., None] * weight / 3).sqrt()

    def slopes(some: slice, first: int) -> Tensor:
        n, k = layout.n_geometry, root[some, ..., None]
        begin = 0 if first < n else n
        J = image.new_empty(len(k), P, 3, layout.size - begin)

        def columns(part: slice) -> Tensor:
            return J[..., part.start - begin : part.stop - begin]

        if first < n:
            by_corners = (look.by_corners[some] * k).view(-1, 3, 9)
            by_modes = torch.bmm(by_corners, points.geometry[some].view(-1, 9, n))
            J[..., :n] = by_modes.view(-1, P, 3, n)
        torch.mul(look.by_pose[some], k, out=columns(layout.pose))
        look.write_albedo_and_light(columns(layout.beta), columns(layout.light), root, points, some)
        if layout.n_zoom:
            torch.mul(look.by_zoom[some, ..., None], k, out=columns(layout.zoom))
        return J.flatten(1, 2)[..., first - begin :]

    energy = 0.5 * settings.pixel_robust**2 * (share * rho.mean(-1)).sum(-1)
    return Rows((look.residual * root).flatten(1), slopes, energy)


def robust(ratio: Tensor, form: str) -> tuple[Tensor, Tensor]:
    """A robust function ρ of residuals x, and the weight ρ' / 2x that it gives to a row of least squares.

    Args:
        ratio: x², squared residuals in parts of the squared robust scale.
        form: "cauchy", ρ = log(1 + x²), which grows ever more slowly: an outlier loses its pull. "huber", ρ = x² up
            to 1 and 2 x − 1 beyond, quadratic and then linear, as in the authors' code: an outlier keeps a constant
            pull.

    Returns:
        Weight and ρ, both like `ratio`.
    """
    if form == "cauchy":
        return 1 / (1 + ratio), torch.log1p(ratio)
    size = ratio.clamp(min=1).sqrt()
    return 1 / size, torch.where(ratio <= 1, ratio, 2 * size - 1)


def pixel_precision(look: Look, points: SurfacePoints, settings: FitSettings, unit: float = 1.0) -> Tensor:
    """N_eff / σ², each from the settings or from the residual itself (`settings.measured`), within limits.

    The residual at this stage still holds what the fit has not explained yet, and all of that counts as noise. So
    a measured N_eff is raised by `settings.noise_trust`.

    Args:
        look: the residual at P points of B faces.
        points: those points.
        settings: of the fit.
        unit: px of this crop in one of a crop of 224 px.

    Returns:
        (B,) precision of the pixel term.
    """
    # Gross outliers are left out; what a robust weight only lowers is noise all the same.
    kept = look.trust * (look.residual.square().mean(-1).sqrt() < OUTLIER * settings.pixel_robust)
    n_effective = torch.full_like(kept[:, 0], settings.n_effective)
    variance = torch.full_like(n_effective, settings.pixel_sigma**2)
    if "sigma" in settings.measured:
        squares = look.residual.square().mean(-1)
        variance = ((kept * squares).sum(-1) / kept.sum(-1).clamp(min=1e-9)).clamp(min=1e-8)
    if "n_effective" in settings.measured:
        some = slice(0, NOISE_POINTS)  # all pairs of them are compared
        noise = residual_noise(look.residual[:, some], points.pixel[:, some], kept[:, some], unit)
        n_effective = settings.noise_trust * points.visible / noise.area
    precision = n_effective / variance
    fixed = settings.n_effective / settings.pixel_sigma**2
    return precision.clamp(settings.precision_limits[0] * fixed, settings.precision_limits[1] * fixed)
