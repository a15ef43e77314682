"""Which pixels show the face, and which show what is in front of it: hair, hats, glasses, masks, microphones.

Expectation–maximisation, as in occlusion-aware fitting of morphable models (Egger et al. 2018). A pixel shows the face,
whose colour is the model's albedo in some light plus noise, or something else, whose colour has the density of the
picture around the face, mixed with an even one. The E step gives each pixel the posterior of being face; the M step
finds the light that explains the face pixels best. Neighbouring pixels mostly show the same, so the posterior is that
of a Markov random field, by a few mean-field iterations.

The light here is not the fit's: it is found anew from the model's albedo and normals, and may be as dark and as tinted
as lamps and skins make it. So a fit whose colours are still wrong does not take dark skin for an obstacle. Such a light
could also explain a white mask, and leave out the rest of the face; so EM starts from several parts of the face, and
the end that explains much of the face by a usual light is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.camera import Camera
from helpers.fitting.images import is_grey, window_max, window_mean
from helpers.fitting.light_models import HARMONICS
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.settings import REFERENCE_SIZE, FitSettings
from helpers.lighting import gamma_encode, sh_basis
from helpers.lighting.colour import GAMMA
from helpers.rasterizer import Raster, interpolate

GRID = 112  # px: side of the grid on which the mask is computed
TEXTURE_MODES = 20  # leading ones: the skin, and little of what a fit may have painted on it
# The face's colours: standard deviation of the noise, and along the colour itself, as a part of it, where cast shadows,
# beards and highlights move colours.
SIGMA, SHADE = 0.04, 0.12
FIRST_SLACK = 1.25  # on both, before the fit has seen any colour
EVEN = 0.5  # share of the even density in that of all that is not face
BINS = 8  # of each channel in the histogram of the surroundings
PRIOR = 0.85  # that a pixel of the model's face shows the face
FEATURES = 0.5  # weight of brows and lips, whose colours differ more than skin's
# EM: steps, every how many pixels of the grid, and how many independent ones a face is worth to the light.
EM_STEPS, EM_STRIDE, EM_WORTH = 4, 4, 50.0
LEAST_COLOUR = 0.3  # darker points do not tell more of the light: they may be hair or shadow
# Nats that an end of EM is worth more if it explains all of the face than if it explains nothing. The part within so many
# mm of the eyes' height counts more in that, by so much.
EXPLAINED = 30.0
MORE_AT_EYES, AT_EYES = 2.0, 25.0
# Light and skin tone together: standard deviations as in the settings of a fit.
FREE_LIGHT = FitSettings(
    light_sigma=(0.29, 0.29, 0.09),
    light_colour_sigma=(0.06, 0.03, 0.015),
    grey_colour_sigma=(0.36, 0.07, 0.04),
)
# Markov random field: nats that all neighbours together have, those within so many px of the grid; sweeps; and nats
# that a pixel's own colour has at most.
COUPLING, REACH, SWEEPS, STRONGEST = 3.0, 3, 3, 5.0
LEAST_TRUST = 0.1  # of a landmark on what hides the face


@dataclass(frozen=True)
class Scene:
    """What model and photograph show on a grid of h × w pixels.

    Attributes:
        colour: (B, h, w, 3) the photograph.
        albedo: (B, h, w, 3) the model's.
        basis: (B, h, w, 9) harmonics at the normal.
        skin: (B, h, w) how far the pixel's colour tells; 0 where no skin is or no photograph.
        face: (B, h, w) 1 within the model's face, eyes and mouth included, else 0.
        place: (B, h, w, 2) mm, x and y on the mean face.
        other: (B, h, w) logarithm of the density of the colour if it is not face.
    """

    colour: Tensor
    albedo: Tensor
    basis: Tensor
    skin: Tensor
    face: Tensor
    place: Tensor
    other: Tensor


def face_probability(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    raster: Raster,
    image: Tensor,
    valid: Tensor,
    slack: float = 1.0,
) -> Tensor:
    """The posterior of each pixel to show the face.

    Args:
        fit_model: the face model.
        state: of B faces.
        camera: of their crops, before any zoom.
        raster: of the faces in that state.
        image: (B, H, W, 3) sRGB, 0 to 1.
        valid: (B, H, W), 0 where there is no photograph.
        slack: factor on the deviations of the face's colours: more than 1 calls less of the picture something else.

    Returns:
        (B, H, W) from 0 to 1; 1 outside of the model's face.
    """
    scene = scene_of(fit_model, state, camera, raster, image, valid)
    light = explaining_light(fit_model, scene, is_grey(image), slack)
    drawn = scene.albedo * gamma_encode(scene.basis @ light[:, None])
    ratio = log_likelihood(scene.colour, drawn, slack) - scene.other
    probability = smoothed(scene.skin * ratio.clamp(-STRONGEST, STRONGEST), scene.face)
    probability = torch.where(scene.face > 0, probability, 1.0)[:, None]
    return F.interpolate(probability, image.shape[1:3], mode="bilinear", align_corners=False)[:, 0]


def covered_share(fit_model: FitModel, raster: Raster, valid: Tensor, face: Tensor) -> Tensor:
    """(B,) share of the skin in the picture that something hides, of `face` (B, H, W) as `face_probability` gives it."""
    triangle = raster.triangle_id.long()
    skin = fit_model.triangle_weight[triangle.clamp(min=0)] * (triangle >= 0) * valid
    return (skin * (1 - face)).sum((1, 2)) / skin.sum((1, 2)).clamp(min=1e-6)


def landmark_trust(face: Tensor, points: Tensor) -> Tensor:
    """(B, 68) how far detected points (B, 68, 2) px lie on the face itself.

    A detector guesses the points that it does not see from those that it sees; so they are worth a little all the same.
    """
    H, W = face.shape[1:]
    reach = round(3 * max(H, W) / REFERENCE_SIZE)
    near = window_mean(face, reach, beyond=False)[:, None]
    at = torch.stack([2 * points[..., 0] / (W - 1), 2 * points[..., 1] / (H - 1)], -1) - 1
    found = F.grid_sample(near, at[:, None], padding_mode="border", align_corners=True)[:, 0, 0]
    return LEAST_TRUST + (1 - LEAST_TRUST) * found


def scene_of(
    fit_model: FitModel, state: FaceState, camera: Camera, raster: Raster, image: Tensor, valid: Tensor
) -> Scene:
    """Model and photograph side by side; arguments as for `face_probability`."""
    step = max(1, round(max(image.shape[1:3]) / GRID))
    colour = _coarse(image, step)
    seen = _coarse(valid[..., None], step)[..., 0]
    at = tuple(slice(step // 2, step // 2 + step * n, step) for n in colour.shape[1:3])
    triangle_id, barycentric, depth = (
        t[(slice(None), *at)].contiguous() for t in (raster.triangle_id, raster.barycentric, raster.depth)
    )
    few = Raster(triangle_id, barycentric, depth)
    β = state.coefficients[:, fit_model.layout.beta][:, :TEXTURE_MODES]
    albedo = fit_model.model.mean_texture + (β @ fit_model.texture_modes[:TEXTURE_MODES]).view(len(β), -1, 3)
    layers = interpolate(
        torch.cat([albedo, _layers(fit_model).expand(len(β), -1, -1)], -1), fit_model.triangles, few
    )
    albedo, skin, face, place = layers.split([3, 1, 1, 2], -1)
    normals = _normals(few, state.zoomed(camera), at)
    facing = ((normals[..., 2] - 0.2) / 0.2).clamp(0, 1)
    outside = seen * (window_max(few.mask.to(seen), 4) == 0)
    return Scene(
        colour=colour,
        albedo=albedo.clamp(0.02, 1),
        basis=sh_basis(normals),
        skin=skin[..., 0] * facing * seen,
        face=(face[..., 0] > 0.5) * seen,
        place=place,
        other=torch.log(EVEN + (1 - EVEN) * colour_density(colour, outside)),
    )


def colour_density(colour: Tensor, weight: Tensor) -> Tensor:
    """Density of each pixel's colour among the weighted pixels of its own picture, from a smoothed histogram.

    Args:
        colour: (B, h, w, 3) 0 to 1.
        weight: (B, h, w).

    Returns:
        (B, h, w) over the unit cube of colours: 1 where all are as frequent, and where no pixel has weight.
    """
    B = len(colour)
    bins = (colour * BINS).long().clamp(0, BINS - 1)
    number = ((bins[..., 0] * BINS + bins[..., 1]) * BINS + bins[..., 2]).view(B, -1)
    count = (
        torch.full_like(colour[:, 0, 0, :1], 1e-3)
        .repeat(1, BINS**3)
        .scatter_add_(1, number, weight.view(B, -1))
    )
    cube = count.view(B, 1, BINS, BINS, BINS)
    cube = (cube + F.avg_pool3d(F.pad(cube, (1,) * 6, mode="replicate"), 3, 1)).view(B, -1)
    return (cube / cube.mean(1, keepdim=True)).gather(1, number).view(colour.shape[:3])


def log_likelihood(colour: Tensor, drawn: Tensor, slack: float = 1.0) -> Tensor:
    """Logarithm of the density of colours (..., 3) of a face that the model draws in the colours `drawn` (..., 3).

    A normal density, of deviation σ in all directions but that of the colour itself, along which it is wider.
    """
    σ, shade = slack * SIGMA, slack * SHADE
    size = drawn.square().sum(-1).clamp(min=4e-4).sqrt()
    off = colour - drawn
    along = ((off * drawn).sum(-1) / size).square()
    across = (off.square().sum(-1) - along).clamp(min=0)
    wide = σ**2 + (shade * size).square()
    return -0.5 * (across / σ**2 + along / wide + torch.log(wide) + 4 * log(σ) + 3 * log(2 * pi))


def best_light(
    colour: Tensor, albedo: Tensor, basis: Tensor, weight: Tensor, precision: Tensor, mean: Tensor
) -> Tensor:
    """The most probable light for the colours of weighted points: ridge regression.

    Args:
        colour: (B, N, 3) linear.
        albedo: (B, N, 3) linear.
        basis: (B, N, 9) harmonics.
        weight: (B, N) one over the variance of the noise.
        precision: (B, 27, 27) of the prior.
        mean: (9, 3) of the prior.

    Returns:
        (B, 9, 3).
    """
    H = precision.clone().view(-1, 9, 3, 9, 3)
    g = (precision @ mean.flatten()).view(-1, 9, 3)
    for c in range(3):
        lit = basis * albedo[..., c, None]
        rows = (lit * weight[..., None]).transpose(1, 2)
        H[:, :, c, :, c] += rows @ lit
        g[..., c] += (rows @ colour[..., c, None])[..., 0]
    # Positive definite by the prior; to look whether it is, a GPU would be waited for.
    solution, _ = torch.linalg.solve_ex(H.view(-1, 27, 27), g.view(-1, 27))
    return solution.view(-1, 9, 3)


def explaining_light(fit_model: FitModel, scene: Scene, grey: Tensor, slack: float = 1.0) -> Tensor:
    """The light of the face among other things: EM from several starts, and the most probable end.

    A start is a part of the face that is taken for face: all of it, above the nose's base, below the eyes, left, right.

    Args:
        fit_model: with the landmarks of the mean face.
        scene: B faces.
        grey: (B,) bool, photographs without colour.
        slack: as for `face_probability`.

    Returns:
        (B, 9, 3).
    """
    precision, mean = HARMONICS.prior(FREE_LIGHT, grey)
    some = (slice(None), slice(None, None, EM_STRIDE), slice(None, None, EM_STRIDE))
    B = len(grey)
    x, y = scene.place[some].reshape(B, -1, 2).unbind(-1)
    nose, eyes = fit_model.landmark_mean[33, 1], fit_model.landmark_mean[36:48, 1].mean()
    starts = torch.stack([torch.ones_like(x, dtype=torch.bool), y > nose, y < eyes, x < 0, x > 0], 1)
    S = starts.shape[1]

    def for_each_start(t: Tensor) -> Tensor:
        return t[:, None].expand(B, S, *t.shape[1:]).flatten(0, 1)

    colour, albedo, basis = (
        for_each_start(t[some].flatten(1, 2)) for t in (scene.colour, scene.albedo, scene.basis)
    )
    share = scene.skin[some].flatten(1)
    share = for_each_start(share / share.sum(1, keepdim=True).clamp(min=1e-6))  # of the face
    other, precision = for_each_start(scene.other[some].flatten(1)), for_each_start(precision)
    odds = log(PRIOR / (1 - PRIOR))
    face = starts.flatten(0, 1).to(colour)
    light = mean.expand(B * S, 9, 3)
    # The light is a factor of linear values; noise of sRGB values c is larger there by the slope of c^γ.
    linear_colour, linear_albedo = colour**GAMMA, albedo**GAMMA
    slope = GAMMA * colour.mean(-1).clamp(min=LEAST_COLOUR) ** (GAMMA - 1)
    worth = EM_WORTH / (slack * SIGMA * slope) ** 2
    for _ in range(EM_STEPS):
        light = best_light(linear_colour, linear_albedo, basis, worth * share * face, precision, mean)
        ratio = log_likelihood(colour, albedo * gamma_encode(basis @ light), slack) - other
        face = torch.sigmoid(ratio + odds)
    off = (light - mean).flatten(1)
    usual = -0.5 * (off[:, None] @ precision @ off[..., None])[:, 0, 0]
    # Of two halves that exclude each other, the one with the eyes is the face.
    telling = share * (1 + MORE_AT_EYES * for_each_start(((y - eyes).abs() < AT_EYES).to(share)))
    explained = (telling * face).sum(1) / telling.sum(1).clamp(min=1e-6)
    best = (EXPLAINED * explained + usual).view(B, S).argmax(1)
    return light.view(B, S, 9, 3)[torch.arange(B, device=best.device), best]


def smoothed(ratio: Tensor, face: Tensor) -> Tensor:
    """Mean-field posterior of a Markov random field on the pixels of the face.

    Args:
        ratio: (B, h, w) log-likelihood ratio of face over all else, 0 where nothing is known.
        face: (B, h, w) 1 for pixels of the field, else 0.

    Returns:
        (B, h, w) probability to be face, of no meaning outside of the field.
    """

    def around(t: Tensor) -> Tensor:
        return window_mean(t, REACH)

    own = ratio + log(PRIOR / (1 - PRIOR))
    neighbours = around(face).clamp(min=1e-3)
    probability = torch.sigmoid(own)
    for _ in range(SWEEPS):
        vote = around(face * (2 * probability - 1)) / neighbours
        probability = torch.sigmoid(own + COUPLING * vote)
    return probability


def _layers(fit_model: FitModel) -> Tensor:
    """(1, V, 4) skin with weak features, face without ears and neck, x and y in mm."""
    masks, nothing = fit_model.masks, torch.zeros_like(fit_model.weight)
    features = sum((masks[name] for name in ("brows", "lips") if name in masks), nothing).clamp(max=1)
    beside = sum((masks[name] for name in ("neck", "ears") if name in masks), nothing)
    skin = fit_model.weight * (1 - FEATURES * features)
    return torch.cat([torch.stack([skin, 1 - beside], -1), fit_model.model.mean_shape[:, :2]], -1)[None]


def _normals(few: Raster, camera: Camera, at: tuple[slice, ...]) -> Tensor:
    """(B, h, w, 3) unit normals in viewer axes, from the differences of neighbouring pixels' positions."""
    v, u = (
        torch.arange(n, device=few.depth.device, dtype=few.depth.dtype)[s]
        for n, s in zip(camera.size, at, strict=True)
    )
    depth = torch.where(few.mask, few.depth, 0.0)
    x = (u - camera.principal_point[:, None, None, 0]) / camera.focal[:, None, None] * depth
    y = (v[:, None] - camera.principal_point[:, None, None, 1]) / camera.focal[:, None, None] * depth
    position = torch.stack([x, -y, -depth], -1)
    across, down = torch.gradient(position, dim=(2, 1))
    return F.normalize(torch.linalg.cross(down, across), dim=-1)


def _coarse(image: Tensor, step: int) -> Tensor:
    """Means of (B, H, W, C) over blocks of step × step pixels."""
    return F.avg_pool2d(image.permute(0, 3, 1, 2), step).permute(0, 2, 3, 1) if step > 1 else image
