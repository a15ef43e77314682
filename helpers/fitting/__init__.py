"""Single-image fitting: the face, pose and light that explain one photograph (Tran et al. 2017).

`fit` minimises landmarks + pixels + prior by damped Gauss-Newton, coarse to fine. The authors' fitter solves
the same kind of energy by stochastic Newton steps with finite differences; here every Jacobian is analytic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from helpers.camera import DEFAULT_FOCAL, Camera
from helpers.face_model import MorphableModel
from helpers.fitting.energy import Energy, free_parameters
from helpers.fitting.images import gaussian_blur, is_grey, with_slopes
from helpers.fitting.landmark_term import landmark_noise, landmark_offsets, landmark_rows
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.pixel_term import look_at_points, pixel_precision, pixel_rows, sample_points, see
from helpers.fitting.prior_term import make_prior
from helpers.fitting.result import (
    GOOD_CONFIDENCE,
    FitResult,
    fit_confidence,
    render_state,
)
from helpers.fitting.settings import REFERENCE_SIZE, FitSettings
from helpers.fitting.skin import forehead_gate
from helpers.fitting.solver import gauss_newton
from helpers.pose import estimate_pose

__all__ = [
    "GOOD_CONFIDENCE",
    "FaceState",
    "FitModel",
    "FitProgress",
    "FitResult",
    "FitSettings",
    "fit",
    "render_state",
    "state_of",
]


TERMS = ("landmarks", "pixels", "coefficients", "light")


@dataclass(frozen=True)
class FitProgress:
    """Told to `on_iteration` before each iteration: stage is "landmarks" or "pixels"."""

    stage: str
    iteration: int
    total: int
    state: FaceState
    energy: Tensor


def fit(
    image: Tensor,
    landmarks: Tensor,
    model: MorphableModel | FitModel,
    *,
    valid: Tensor | None = None,
    camera: Camera | None = None,
    settings: FitSettings | None = None,
    on_iteration: Callable[[FitProgress], None] | None = None,
) -> FitResult:
    """Fit the face model to B photographs, cropped to the face.

    image: (B, H, W, 3) sRGB, 0–1.  landmarks: (B, 68, 2) px in the crop, iBUG order.
    valid: (B, H, W), 0 where the crop reaches beyond the photograph; None means all of it is photograph.
    camera: of the crop; by default a focal length of 1000 px for a crop of 224 px, in proportion for others.
    model: a face model with landmarks. Pass a `FitModel` to reuse its layout over many calls.

    Raises ValueError for shapes, sizes or devices that do not fit each other, numbers that are not finite and
    colours far outside 0–1.
    """
    fit_model = model if isinstance(model, FitModel) else FitModel(model)
    image, landmarks, valid = _checked(image, landmarks, valid)
    B, H, W, _ = image.shape
    settings = (settings or FitSettings()).for_size(max(H, W))
    if camera is None:
        focal = DEFAULT_FOCAL * max(H, W) / REFERENCE_SIZE
        camera = Camera.default((H, W), focal=focal, batch=B, device=image.device)
    if tuple(camera.size) != (H, W) or len(camera.focal) != B:
        raise ValueError(f"camera is for {len(camera.focal)} images of {camera.size}, image has {B} of {(H, W)}")
    history = _History(on_iteration, settings)
    with torch.no_grad():
        state = _start(fit_model, landmarks, camera, settings)
        prior = make_prior(fit_model.layout, settings, is_grey(image))
        state = _fit_landmarks(fit_model, state, camera, landmarks, prior, settings, history)
        if settings.dense:
            state = _fit_pixels(fit_model, state, camera, image, landmarks, valid, prior, settings, history)
        error = landmark_offsets(fit_model, state, camera, landmarks).norm(dim=-1)
        confidence = fit_confidence(fit_model, state, camera, image, valid, error, landmarks)
    layout = fit_model.layout
    return FitResult(
        alpha=state.coefficients[:, layout.alpha],
        beta=state.coefficients[:, layout.beta],
        expression=state.coefficients[:, layout.expression],
        pose=state.pose.plain(),
        camera=camera,
        light=state.light,
        energy=history.total(),
        energy_terms=history.terms(),
        landmarks=landmarks,
        landmark_error=error,
        confidence=confidence,
        iterations_landmarks=settings.pose_iterations + settings.landmark_iterations,
    )


def state_of(result: FitResult) -> FaceState:
    """The solver's state at the end of a fit, for `render_state`."""
    return FaceState(torch.cat([result.alpha, result.expression, result.beta], -1), result.pose, result.light)


def _start(fit_model: FitModel, landmarks: Tensor, camera: Camera, settings: FitSettings) -> FaceState:
    """The mean face, in the pose that its landmarks ask for, in average light."""
    B = len(landmarks)
    weights = torch.ones(1, 68, device=landmarks.device)
    weights[:, :17] = 0.3  # the jaw is where the mean face is least like this one
    pose = estimate_pose(landmarks, fit_model.landmark_mean[None], camera, weights, iterations=6).pose
    light = torch.zeros(B, 9, 3, device=landmarks.device)
    light[:, 0] = settings.light_mean
    return FaceState(torch.zeros(B, fit_model.layout.n_coefficients, device=landmarks.device), pose, light)


def _fit_landmarks(fit_model, state, camera, landmarks, prior, settings, history) -> FaceState:
    """Stage one: pose, then pose with the leading shape modes and the expression, from 68 points alone."""
    layout = fit_model.layout
    leading = slice(0, min(settings.landmark_shape_modes, layout.n_shape))
    energy = Energy(layout, prior, {"landmarks": partial(landmark_rows, fit_model, camera=camera, points=landmarks, settings=settings)})
    stages = (
        (free_parameters(layout, landmarks.device, layout.pose), settings.pose_iterations),
        (free_parameters(layout, landmarks.device, leading, layout.expression, layout.pose), settings.landmark_iterations),
    )
    for free, iterations in stages:
        state = gauss_newton(
            energy, state, free, iterations, damping=settings.landmark_damping, step_limit=settings.step_limit,
            check_last=False, watch=history.add,
        ).state  # fmt: skip
    return state


def _fit_pixels(fit_model, state, camera, image, landmarks, valid, prior, settings, history) -> FaceState:
    """Stage two: everything, on landmarks and pixels, while the blur shrinks and the points grow in number."""
    layout = fit_model.layout
    generator = torch.Generator().manual_seed(settings.seed)
    first_texture = min(settings.light_first_texture_modes, layout.n_texture)
    light_first = free_parameters(
        layout, image.device, slice(layout.beta.start, layout.beta.start + first_texture), layout.light
    )
    everything = free_parameters(layout, image.device, slice(0, layout.size))
    marks = partial(landmark_rows, fit_model, camera=camera, points=landmarks, settings=settings)
    trust, blurred, last_blur, precision = valid, None, None, None
    sharp, unit = with_slopes(image), max(camera.size) / REFERENCE_SIZE
    for number, (blur, iterations, n_points) in enumerate(settings.schedule):
        raster = see(fit_model, state, camera)
        if number == 0 and settings.gate_forehead:
            trust = valid * forehead_gate(fit_model, raster, image)
        if blur != last_blur:
            blurred, last_blur = with_slopes(gaussian_blur(image, blur)), blur
        points = sample_points(fit_model, raster, trust, n_points, generator)
        if settings.measure_noise and number >= settings.noise_from_level:
            look = look_at_points(fit_model, state, camera, sharp, points, settings)
            precision = pixel_precision(look, points, settings, unit)
            scale = landmark_noise(landmark_offsets(fit_model, state, camera, landmarks), settings)
            marks = partial(landmark_rows, fit_model, camera=camera, points=landmarks, settings=settings, scale=scale)
        pixels = partial(
            pixel_rows, fit_model, camera=camera, image=blurred, points=points, settings=settings, precision=precision
        )
        energy = Energy(layout, prior, {"landmarks": marks, "pixels": pixels})
        steps = [(everything, iterations)]
        if number == 0 and settings.light_first_iterations:
            steps = [(light_first, settings.light_first_iterations), (everything, iterations - settings.light_first_iterations)]
        for free, n in steps:
            solution = gauss_newton(
                energy, state, free, n, damping=settings.damping, step_limit=settings.step_limit,
                check_last=number == len(settings.schedule) - 1, watch=history.add,
            )  # fmt: skip
            state = solution.state
    return state


class _History:
    """Collects the energy of each term at each iteration, and tells whoever wants to watch."""

    def __init__(self, watcher, settings: FitSettings):
        self.watcher = watcher
        self.rows: list[dict[str, Tensor]] = []
        self.length = settings.pose_iterations + settings.landmark_iterations
        if settings.dense:
            self.length += sum(iterations for _, iterations, _ in settings.schedule)

    def add(self, state: FaceState, terms: dict[str, Tensor]):
        stage = "pixels" if "pixels" in terms else "landmarks"
        nothing = torch.zeros_like(terms["landmarks"])
        row = {name: terms.get(name, nothing) for name in TERMS}
        self.rows.append(row)
        if self.watcher is not None:
            self.watcher(FitProgress(stage, len(self.rows) - 1, self.length, state, sum(row.values())))

    def terms(self) -> dict[str, Tensor]:
        return {name: torch.stack([row[name] for row in self.rows], -1) for name in self.rows[0]}

    def total(self) -> Tensor:
        return sum(self.terms().values())


def _checked(image: Tensor, landmarks: Tensor, valid: Tensor | None):
    if image.dim() != 4 or image.shape[-1] != 3:
        raise ValueError(f"image must have shape (B, H, W, 3), got {tuple(image.shape)}")
    B, H, W, _ = image.shape
    if B < 1:
        raise ValueError("image holds no photograph (B = 0)")
    if min(H, W) < 64:
        raise ValueError(f"image is {W} × {H} px; a fit needs at least 64 px a side")
    if landmarks.shape != (B, 68, 2):
        raise ValueError(f"landmarks must have shape ({B}, 68, 2), got {tuple(landmarks.shape)}")
    if valid is None:
        valid = torch.ones_like(image[..., 0])
    if valid.shape != (B, H, W):
        raise ValueError(f"valid must have shape {(B, H, W)}, got {tuple(valid.shape)}")
    if not all(bool(torch.isfinite(t).all()) for t in (image, landmarks, valid)):
        raise ValueError("image, landmarks and valid must be finite numbers")
    if float(image.max()) > 1.5 or float(image.min()) < -0.5:
        raise ValueError("image must hold colours from 0 to 1; divide bytes by 255")
    if len({image.device, landmarks.device, valid.device}) > 1:
        raise ValueError(f"image is on {image.device}, landmarks on {landmarks.device}, valid on {valid.device}")
    return image.float().contiguous(), landmarks.float(), valid.float()
