"""The whole fit: a start from the landmarks, then level after level of one energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from helpers.camera import DEFAULT_FOCAL, Camera, Pose
from helpers.face_model import MorphableModel
from helpers.fitting.confidence import fit_confidence, judge
from helpers.fitting.edge_term import SECTORS, edge_map, edge_points, edge_rows
from helpers.fitting.energy import Energy, free_parameters
from helpers.fitting.forehead import forehead_gate
from helpers.fitting.images import gaussian_blur, is_grey, with_slopes
from helpers.fitting.landmark_term import (
    common_shift,
    landmark_noise,
    landmark_offsets,
    landmark_rows,
    landmark_weights,
)
from helpers.fitting.parameters import FaceState, FitModel, Layout
from helpers.fitting.pixel_term import (
    look_at_points,
    pixel_precision,
    pixel_rows,
    sample_points,
    see,
    shadowed,
)
from helpers.fitting.prior_term import make_prior
from helpers.fitting.residuals import Rows, weighted
from helpers.fitting.result import FitResult, render_state
from helpers.fitting.settings import REFERENCE_SIZE, FitSettings, Stage
from helpers.fitting.solvers import SOLVERS, SolverResult
from helpers.fitting.uncertainty import posterior_covariance
from helpers.lighting.lamp_vector import N_LAMP
from helpers.pose import estimate_pose, visible_landmarks
from helpers.rasterizer import interpolate

ORDINARY_DISTANCE = 1500.0  # mm, at which a face fills half of the crop
TERMS = ("landmarks", "pixels", "edges", "coefficients", "light")


@dataclass(frozen=True)
class FitProgress:
    """Told to `on_iteration` before each iteration: stage is "landmarks", "edges" or "pixels"."""

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

    A photograph that cannot be fitted (numbers that are not finite, no face in its landmarks, nothing to be seen)
    gets a `code`, and the others of the batch go on. Raises ValueError for shapes, sizes or devices that do not fit
    each other and for colours far outside 0–1.
    """
    image, landmarks, valid, finite = _checked(image, landmarks, valid)
    B, H, W, _ = image.shape
    settings = (settings or FitSettings()).for_size(max(H, W))
    fit_model = model if isinstance(model, FitModel) else FitModel(model)
    fit_model = fit_model.with_layout(
        n_light=N_LAMP if settings.light_model == "lamp" else 27, n_zoom=int(settings.fit_focal)
    )
    if camera is None:
        focal = DEFAULT_FOCAL * max(H, W) / REFERENCE_SIZE
        camera = Camera.default((H, W), focal=focal, batch=B, device=image.device)
    if tuple(camera.size) != (H, W) or len(camera.focal) != B:
        raise ValueError(
            f"camera is for {len(camera.focal)} images of {camera.size}, image has {B} of {(H, W)}"
        )
    task = _Task(fit_model, camera, image, landmarks, valid, settings, _History(on_iteration, settings))
    with torch.no_grad():
        task.prior = make_prior(fit_model.layout, settings, is_grey(image))
        state, pose_ok = _start(task)
        solution = _fit_stages(task, state)
        return _result(task, solution, finite, pose_ok)


def state_of(result: FitResult) -> FaceState:
    """The solver's state at the end of a fit, for `render_state`."""
    return FaceState(torch.cat([result.alpha, result.expression, result.beta], -1), result.pose, result.light)


class _Task:
    """What all stages of one call share."""

    def __init__(self, fit_model, camera, image, landmarks, valid, settings, history):
        self.fit_model, self.layout = fit_model, fit_model.layout
        self.camera, self.image, self.landmarks = camera, image, landmarks
        self.settings, self.history, self.prior = settings, history, None
        self.unit = max(camera.size) / REFERENCE_SIZE  # px of this crop in one of a crop of 224 px
        self.trust = valid  # (B, H, W), and less where a gate finds hair
        self.precision = None  # of the pixels; None means that of the settings
        self.landmark_scale = None
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.views = 0  # how often points were drawn
        self.points = self.outline = None
        self.blurred, self.blur = None, None
        self.sharp = with_slopes(image)
        # The map of edges is for those who use it.
        self.edges = None
        if any(stage.edges for stage in settings.plan()):
            self.edges = edge_map(image, valid, SECTORS if settings.edge_form.startswith("oriented") else 1)

    def look_again(self, state: FaceState, stage: Stage) -> None:
        """Draw the face as it is now, and points from what can be seen of it; measure the noise from the second view on."""
        fit_model, settings = self.fit_model, self.settings
        raster = see(fit_model, state, self.camera)
        if self.views == 0 and settings.gate_forehead:
            self.trust = self.trust * forehead_gate(fit_model, raster, self.image)
        if stage.blur != self.blur:
            self.blurred = with_slopes(gaussian_blur(self.image, stage.blur)) if stage.blur else self.sharp
            self.blur = stage.blur
        if stage.pixels:
            self.points = sample_points(fit_model, raster, self.trust, stage.points, self.generator)
            if settings.light_model == "lamp":
                self.points = shadowed(fit_model, state, self.camera, raster, self.points)
            if settings.measure_noise and self.views >= settings.noise_from_level:
                look = look_at_points(fit_model, state, self.camera, self.sharp, self.points, settings)
                self.precision = pixel_precision(look, self.points, settings, self.unit)
            if settings.measure_noise and self.views >= settings.landmark_noise_from_level:
                self.landmark_scale = landmark_noise(_own_offsets(self, state), settings)
            self.views += 1
        if stage.edges:
            self.outline = edge_points(fit_model, raster, settings.edge_points, self.generator)

    def terms(self, stage: Stage) -> dict[str, Callable[[FaceState], Rows]]:
        """The terms of a stage as functions of the state."""
        fit_model, camera, settings = self.fit_model, self.camera, self.settings
        terms = {}
        if stage.landmarks:
            rows = partial(
                landmark_rows,
                fit_model,
                camera=camera,
                points=self.landmarks,
                settings=settings,
                scale=self.landmark_scale,
            )
            terms["landmarks"] = weighted(rows, stage.landmarks)
        if stage.pixels:
            rows = partial(
                pixel_rows,
                fit_model,
                camera=camera,
                image=self.blurred,
                points=self.points,
                settings=settings,
                precision=self.precision,
            )
            terms["pixels"] = weighted(rows, stage.pixels)
        if stage.edges:
            rows = partial(
                edge_rows, fit_model, camera=camera, edges=self.edges, points=self.outline, settings=settings
            )
            terms["edges"] = weighted(rows, stage.edges)
        return terms


def _start(task: _Task) -> tuple[FaceState, Tensor]:
    """The mean face, in the pose that its landmarks ask for, in average light; and whether that is a pose at all."""
    landmarks, n = task.landmarks, task.layout.n_coefficients
    weights = torch.ones(1, 68, device=landmarks.device)
    weights[:, :17] = 0.3  # the jaw is where the mean face is least like this one
    found = estimate_pose(landmarks, task.fit_model.landmark_mean[None], task.camera, weights, iterations=6)
    # A face whose pose cannot be found is flagged in the end; until then it looks ahead, and disturbs no other.
    sound = torch.isfinite(found.pose.rotation_vector).all(-1) & torch.isfinite(found.pose.translation).all(
        -1
    )
    ahead = Pose(torch.zeros_like(found.pose.rotation_vector), torch.zeros_like(found.pose.translation))
    ahead.translation[:, 2] = ORDINARY_DISTANCE
    rotation, translation = (
        torch.where(sound[:, None], getattr(found.pose, name), getattr(ahead, name))
        for name in ("rotation_vector", "translation")
    )
    zero = torch.zeros(len(landmarks), n, device=landmarks.device)
    light = task.prior.light_mean.expand(len(landmarks), *task.prior.light_mean.shape)
    zoom = zero.new_zeros(len(landmarks)) if task.layout.n_zoom else None
    return FaceState(zero, Pose(rotation, translation), light, zoom), found.ok


def _fit_stages(task: _Task, state: FaceState) -> SolverResult:
    """Stage after stage of `settings.plan()`; the last step of the last one is checked."""
    plan = task.settings.plan()
    for number, stage in enumerate(plan):
        if stage.redraw and (stage.pixels or stage.edges):
            task.look_again(state, stage)
        energy = Energy(task.layout, task.prior, task.terms(stage), task.settings.limits)
        damping = task.settings.damping if stage.pixels else task.settings.landmark_damping
        solution = SOLVERS[task.settings.solver](
            energy,
            state,
            free_parameters(task.layout, task.image.device, *_slices(task.layout, stage.free)),
            stage.iterations,
            damping=damping,
            step_limit=task.settings.step_limit,
            check_last=number == len(plan) - 1,
            watch=partial(task.history.add, stage.name),
        )
        state = solution.state
    return solution


def _slices(layout: Layout, parts: tuple[str, ...]) -> list[slice]:
    """Names of parts of the layout, "alpha:20" for the first 20 of alpha, as slices."""
    found = []
    for part in parts:
        name, _, first = part.partition(":")
        whole = getattr(layout, name)
        found.append(slice(whole.start, min(whole.start + int(first), whole.stop)) if first else whole)
    return found


def _offsets(task: _Task, state: FaceState) -> Tensor:
    return landmark_offsets(task.fit_model, state, task.camera, task.landmarks)


def _own_offsets(task: _Task, state: FaceState) -> Tensor:
    """The same without what all points share."""
    offset = _offsets(task, state)
    return offset - common_shift(offset, visible_landmarks(state.pose), task.settings, task.landmark_scale)


def _result(task: _Task, solution: SolverResult, finite: Tensor, pose_ok: Tensor) -> FitResult:
    state, layout, image = solution.state, task.layout, task.image
    own, offset = _own_offsets(task, state), _offsets(task, state)
    drawn = render_state(task.fit_model, state, task.camera)
    skin = interpolate(task.fit_model.weight[None, :, None], task.fit_model.triangles, drawn.raster)[..., 0]
    weight = skin * task.trust
    inside = drawn.mask & (weight > 0.5)
    confidence = fit_confidence(image, drawn.image, inside, own.norm(dim=-1), task.landmarks) * (
        finite & pose_ok
    )
    promised = solution.promised
    code = judge(
        image,
        inside,
        finite=finite,
        pose_ok=pose_ok,
        yaw=state.pose.yaw_pitch_roll()[:, 0],
        confidence=confidence,
        promised=promised,
    )
    precision = task.precision
    if precision is None:
        precision = image.new_full((len(image),), task.settings.n_effective / task.settings.pixel_sigma**2)
    return FitResult(
        alpha=state.coefficients[:, layout.alpha],
        beta=state.coefficients[:, layout.beta],
        expression=state.coefficients[:, layout.expression],
        covariance=posterior_covariance(solution.equations, layout),
        pose=state.pose.plain(),
        camera=state.zoomed(task.camera),
        light=state.light,
        energy=task.history.total(),
        energy_terms=task.history.terms(),
        residual=torch.where(inside[..., None], image - drawn.image, 0.0),
        pixel_weight=weight * drawn.mask,
        landmarks=task.landmarks,
        landmark_error=offset.norm(dim=-1),
        landmark_weight=landmark_weights(own, state.pose, task.settings, task.landmark_scale),
        confidence=confidence,
        code=code,
        promised=promised,
        precision=precision,
        iterations_landmarks=sum(stage.iterations for stage in task.settings.plan() if not stage.pixels),
    )


class _History:
    """Collects the energy of each term at each iteration, and tells whoever wants to watch."""

    def __init__(self, watcher, settings: FitSettings):
        self.watcher = watcher
        self.rows: list[dict[str, Tensor]] = []
        self.length = sum(stage.iterations for stage in settings.plan())

    def add(self, stage: str, state: FaceState, terms: dict[str, Tensor]):
        nothing = torch.zeros_like(terms["coefficients"])
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
    finite = torch.stack([torch.isfinite(t.flatten(1)).all(1) for t in (image, landmarks, valid)]).all(0)
    # A face with a number that is none goes through the motions, and is flagged in the end.
    image, valid = torch.nan_to_num(image, 0.0, 0.0, 0.0), torch.nan_to_num(valid, 0.0, 0.0, 0.0)
    landmarks = torch.nan_to_num(landmarks, 0.0, 0.0, 0.0)
    if float(image.max()) > 1.5 or float(image.min()) < -0.5:
        raise ValueError("image must hold colours from 0 to 1; divide bytes by 255")
    if len({image.device, landmarks.device, valid.device}) > 1:
        raise ValueError(
            f"image is on {image.device}, landmarks on {landmarks.device}, valid on {valid.device}"
        )
    return image.float().contiguous(), landmarks.float(), valid.float(), finite
