"""The landmark and the pixel term in plain torch: readable twins of the kernels, and their oracles in the tests.

Nothing here derives a Jacobian by hand. `landmark_residual` and `pixel_residual` compute residuals; torch differentiates them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import jacfwd

from helpers.camera import Camera, flip_axes
from helpers.fitting.landmark_term import common_shift, landmark_offsets, used_landmarks, whitened
from helpers.fitting.parameters import FaceState, FitModel, Layout
from helpers.fitting.residuals import Rows
from helpers.fitting.settings import FitSettings
from helpers.lighting import gamma_encode, sh_basis
from helpers.pose import visible_landmarks


def landmark_rows_reference(
    fit_model: FitModel,
    state: FaceState,
    camera: Camera,
    points: Tensor,
    settings: FitSettings,
    scale: Tensor | None = None,
    trust: Tensor | None = None,
) -> Rows:
    """`helpers.fitting.landmark_term.landmark_rows` before the shift is eliminated from the rows: same arguments."""
    visible = visible_landmarks(state.pose) * used_landmarks(settings, points)
    if settings.n_landmarks is not None:
        visible = visible * (settings.n_landmarks / visible.sum(-1, keepdim=True))
    if trust is not None:
        visible = visible * trust
    offset = landmark_offsets(fit_model, state, camera, points)
    shift = common_shift(offset, visible, settings, scale)
    sigma, ratio = whitened(offset - shift, settings, scale)
    root = (visible / (1 + ratio)).sqrt() / sigma  # square root of the weight of each point

    def landmark_residual(step: Tensor) -> Tensor:
        moved = state.moved(step.expand(len(points), -1), fit_model.layout)
        return (root[..., None] * landmark_offsets(fit_model, moved, camera, points)).flatten(1)

    zero = points.new_zeros(fit_model.layout.size)
    energy = 0.5 * (visible * settings.landmark_robust**2 * torch.log1p(ratio)).sum(-1)
    if settings.landmark_shift_sigma:
        energy = energy + 0.5 * (shift / settings.landmark_shift_sigma).square().sum((1, 2))
    return Rows.of(landmark_residual(zero), jacfwd(landmark_residual)(zero), energy)


def cross_matrix(w: Tensor) -> Tensor:
    """The matrix of w ×: (3,) to (3, 3)."""
    o = torch.zeros_like(w[0])
    return torch.stack(
        [torch.stack([o, -w[2], w[1]]), torch.stack([w[2], o, -w[0]]), torch.stack([-w[1], w[0], o])]
    )


def sample_image(image: Tensor, pixel: Tensor) -> Tensor:
    """Colours (P, 3) of image (H, W, 9) at pixel (P, 2), to first order about the present position.

    The slope is the blurred image's own (planes 3 to 8), not the slope of the bilinear interpolation, which
    jumps from pixel to pixel.
    """
    H, W = image.shape[:2]
    at = torch.stack([pixel[:, 0].clamp(0, W - 1.001), pixel[:, 1].clamp(0, H - 1.001)], -1).detach()
    x, y = at[:, 0].long(), at[:, 1].long()
    fx, fy = (at[:, 0] - x)[:, None], (at[:, 1] - y)[:, None]
    top = image[y, x] * (1 - fx) + image[y, x + 1] * fx
    bottom = image[y + 1, x] * (1 - fx) + image[y + 1, x + 1] * fx
    value = top * (1 - fy) + bottom * fy
    moved = pixel - pixel.detach()
    return value[:, :3] + value[:, 3:6] * moved[:, :1] + value[:, 6:] * moved[:, 1:]


def pixel_residual(
    step: Tensor,
    layout: Layout,
    modes: Tensor,
    position: Tensor,
    albedo: Tensor,
    rotation: Tensor,
    translation: Tensor,
    light: Tensor,
    camera: Tensor,
    image: Tensor,
    barycentric: Tensor,
) -> Tensor:
    """Photograph minus model at P surface points of one face, after a step. The points stay where they are on the surface.

    Args:
        step: (layout.size,).
        layout: of the parameters.
        modes: (P, 3 corners, 3, n_coefficients), the basis at the corners of each point's triangle.
        position: (P, 3 corners, 3) mm, before the step.
        albedo: (P, 3 corners, 3), before the step.
        rotation: (3, 3), before the step.
        translation: (3,) mm, before the step.
        light: (9, 3) harmonics, before the step.
        camera: (3,) focal, cx, cy.
        image: (H, W, 9) with slopes.
        barycentric: (P, 3).

    Returns:
        (P, 3).
    """
    geometry = step[: layout.n_geometry]
    X = position + modes[..., : layout.n_geometry] @ geometry
    a = albedo + modes[..., layout.n_geometry :] @ step[layout.beta]
    turn = torch.linalg.matrix_exp(cross_matrix(step[layout.pose][:3]))
    q = X @ (turn @ rotation).T  # (P, 3 corners, 3) viewer axes
    point = flip_axes((barycentric[..., None] * q).sum(1)) + translation + step[layout.pose][3:]
    pixel = camera[0] * point[:, :2] / point[:, 2:] + camera[1:]
    normal = torch.linalg.cross(q[:, 1] - q[:, 0], q[:, 2] - q[:, 0])
    normal = normal / normal.norm(dim=-1, keepdim=True)
    received = sh_basis(normal) @ (light + step[layout.light].view(9, 3))
    return sample_image(image, pixel) - (barycentric[..., None] * a).sum(1) * gamma_encode(received)


def pixel_jacobian(layout: Layout, *arguments: Tensor) -> tuple[Tensor, Tensor]:
    """Residual (P, 3) and its Jacobian (P, 3, layout.size) by forward-mode differentiation at a zero step."""
    zero = torch.zeros(layout.size, dtype=arguments[0].dtype, device=arguments[0].device)
    jacobian = jacfwd(lambda s: pixel_residual(s, layout, *arguments))(zero)
    return pixel_residual(zero, layout, *arguments), jacobian
