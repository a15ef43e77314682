"""The whole fit: a start from the landmarks, then level after level of one energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from helpers.camera import DEFAULT_FOCAL, Camera, Pose
from helpers.face_model import MorphableModel
from helpers.fitting.edge_term import edge_map, edge_points, edge_rows
from helpers.fitting.energy import Energy, free_parameters
from helpers.fitting.images import gaussian_blur, is_grey, with_slopes
from helpers.fitting.judgement import fit_confidence, judge
from helpers.fitting.landmark_term import landmark_noise, landmark_offsets, landmark_rows, landmark_weights
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.pixel_term import look_at_points, pixel_precision, pixel_rows, sample_points, see
from helpers.fitting.prior_term import make_prior
from helpers.fitting.result import FitResult, render_state
from helpers.fitting.settings import REFERENCE_SIZE, FitSettings
from helpers.fitting.skin import forehead_gate
from helpers.fitting.solvers import SOLVERS, Solution
from helpers.fitting.uncertainty import posterior_covariance
from helpers.pose import estimate_pose
from helpers.rasterizer import interpolate

ORDINARY_DISTANCE = 1500.0  # mm, at which a face fills half of the crop
TERMS = ("landmarks", "pixels", "edges", "coefficients", "light")


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

    A photograph that cannot be fitted (numbers that are not finite, no face in its landmarks, nothing to be seen)
    gets a `code`, and the others of the batch go on. Raises ValueError for shapes, sizes or devices that do not fit
    each other and for colours far outside 0–1.
    """
    fit_model = model if isinstance(model, FitModel) else FitModel(model)
    image, landmarks, valid, finite = _checked(image, landmarks, valid)
    fit_model = model if isinstance(model, FitModel) else FitModel(model)
    B, H, W, _ = image.shape
    settings = (settings or FitSettings()).for_size(max(H, W))
    if camera is None:
        focal = DEFAULT_FOCAL * max(H, W) / REFERENCE_SIZE
        camera = Camera.default((H, W), focal=focal, batch=B, device=image.device)
    if tuple(camera.size) != (H, W) or len(camera.focal) != B:
        raise ValueError(f"camera is for {len(camera.focal)} images of {camera.size}, image has {B} of {(H, W)}")
    task = _Task(fit_model, camera, image, landmarks, valid, settings, _History(on_iteration, settings))
    with torch.no_grad():
        state, pose_ok = _start(task)
        task.prior = make_prior(fit_model.layout, settings, is_grey(image))
        solution = _fit_landmarks(task, state)
        if settings.dense:
            solution = _fit_pixels(task, solution.state)
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

    def free(self, *parts: slice) -> Tensor:
        return free_parameters(self.layout, self.image.device, *parts)

    def landmark_term(self, state: FaceState):
        return landmark_rows(self.fit_model, state, self.camera, self.landmarks, self.settings, self.landmark_scale)

    def minimise(self, energy: Energy, state: FaceState, free: Tensor, iterations: int, last: bool, damping: float):
        return SOLVERS[self.settings.solver](
            energy, state, free, iterations, damping=damping, step_limit=self.settings.step_limit,
            check_last=last, watch=self.history.add,
        )  # fmt: skip


def _start(task: _Task) -> tuple[FaceState, Tensor]:
    """The mean face, in the pose that its landmarks ask for, in average light; and whether that is a pose at all."""
    landmarks, n = task.landmarks, task.layout.n_coefficients
    weights = torch.ones(1, 68, device=landmarks.device)
    weights[:, :17] = 0.3  # the jaw is where the mean face is least like this one
    found = estimate_pose(landmarks, task.fit_model.landmark_mean[None], task.camera, weights, iterations=6)
    light = torch.zeros(len(landmarks), 9, 3, device=landmarks.device)
    light[:, 0] = task.settings.light_mean
    # A face whose pose cannot be found is flagged in the end; until then it looks ahead, and disturbs no other.
    sound = torch.isfinite(found.pose.rotation_vector).all(-1) & torch.isfinite(found.pose.translation).all(-1)
    ahead = Pose(torch.zeros_like(found.pose.rotation_vector), torch.zeros_like(found.pose.translation))
    ahead.translation[:, 2] = ORDINARY_DISTANCE
    rotation, translation = (
        torch.where(sound[:, None], getattr(found.pose, name), getattr(ahead, name))
        for name in ("rotation_vector", "translation")
    )
    zero = torch.zeros(len(landmarks), n, device=landmarks.device)
    return FaceState(zero, Pose(rotation, translation), light), found.ok


def _fit_landmarks(task: _Task, state: FaceState) -> Solution:
    """Stage one: pose, then pose with the leading shape modes and the expression, from 68 points alone."""
    layout, settings = task.layout, task.settings
    leading = slice(0, min(settings.landmark_shape_modes, layout.n_shape))
    energy = Energy(layout, task.prior, {"landmarks": task.landmark_term})
    stages = (
        (task.free(layout.pose), settings.pose_iterations, False),
        (task.free(leading, layout.expression, layout.pose), settings.landmark_iterations, not settings.dense),
    )
    for free, iterations, last in stages:
        solution = task.minimise(energy, state, free, iterations, last, settings.landmark_damping)
        state = solution.state
    return solution


def _fit_pixels(task: _Task, state: FaceState) -> Solution:
    """Stage two: everything, on landmarks and pixels, while the blur shrinks and the points grow in number."""
    fit_model, camera, image, settings, layout = task.fit_model, task.camera, task.image, task.settings, task.layout
    generator = torch.Generator().manual_seed(settings.seed)
    some_texture = slice(layout.beta.start, layout.beta.start + min(settings.light_first_texture_modes, layout.n_texture))
    light_first, everything = task.free(some_texture, layout.light), task.free(slice(0, layout.size))
    sharp, blurred, last_blur = with_slopes(image), None, None
    edges = edge_map(image, task.trust) if settings.edge_weight else None
    for number, (blur, iterations, n_points) in enumerate(settings.schedule):
        raster = see(fit_model, state, camera)
        if number == 0 and settings.gate_forehead:
            task.trust = task.trust * forehead_gate(fit_model, raster, image)
        if blur != last_blur:
            blurred, last_blur = with_slopes(gaussian_blur(image, blur)) if blur else sharp, blur
        points = sample_points(fit_model, raster, task.trust, n_points, generator)
        if settings.measure_noise and number >= settings.noise_from_level:
            look = look_at_points(fit_model, state, camera, sharp, points, settings)
            task.precision = pixel_precision(look, points, settings, task.unit)
        if settings.measure_noise and number >= settings.landmark_noise_from_level:
            task.landmark_scale = landmark_noise(_offsets(task, state), settings)
        pixels = partial(
            pixel_rows, fit_model, camera=camera, image=blurred, points=points, settings=settings,
            precision=task.precision,
        )  # fmt: skip
        terms = {"landmarks": task.landmark_term, "pixels": pixels}
        if settings.edge_weight:
            outline = edge_points(fit_model, raster, settings.edge_points, generator)
            terms["edges"] = partial(
                edge_rows, fit_model, camera=camera, edges=edges, points=outline, settings=settings
            )
        energy = Energy(layout, task.prior, terms)
        first = settings.light_first_iterations if number == 0 else 0
        if first:
            state = task.minimise(energy, state, light_first, first, False, settings.damping).state
        last = number == len(settings.schedule) - 1
        solution = task.minimise(energy, state, everything, iterations - first, last, settings.damping)
        state = solution.state
    return solution


def _offsets(task: _Task, state: FaceState) -> Tensor:
    return landmark_offsets(task.fit_model, state, task.camera, task.landmarks)


def _result(task: _Task, solution: Solution, finite: Tensor, pose_ok: Tensor) -> FitResult:
    state, layout, image = solution.state, task.layout, task.image
    offset = _offsets(task, state)
    drawn = render_state(task.fit_model, state, task.camera)
    skin = interpolate(task.fit_model.weight[None, :, None], task.fit_model.triangles, drawn.raster)[..., 0]
    weight = skin * task.trust
    inside = drawn.mask & (weight > 0.5)
    error = offset.norm(dim=-1)
    confidence = fit_confidence(image, drawn.image, inside, error, task.landmarks) * finite
    promised = solution.promised
    code = judge(
        image, inside, finite=finite, pose_ok=pose_ok, yaw=state.pose.yaw_pitch_roll()[:, 0], confidence=confidence,
        promised=promised,
    )  # fmt: skip
    precision = task.precision
    if precision is None:
        precision = image.new_full((len(image),), task.settings.n_effective / task.settings.pixel_sigma**2)
    return FitResult(
        alpha=state.coefficients[:, layout.alpha],
        beta=state.coefficients[:, layout.beta],
        expression=state.coefficients[:, layout.expression],
        covariance=posterior_covariance(solution.equations, layout),
        pose=state.pose.plain(),
        camera=task.camera,
        light=state.light,
        energy=task.history.total(),
        energy_terms=task.history.terms(),
        residual=torch.where(inside[..., None], image - drawn.image, 0.0),
        pixel_weight=weight * drawn.mask,
        landmarks=task.landmarks,
        landmark_error=error,
        landmark_weight=landmark_weights(offset, state.pose, task.settings, task.landmark_scale),
        confidence=confidence,
        code=code,
        promised=promised,
        precision=precision,
        iterations_landmarks=task.settings.pose_iterations + task.settings.landmark_iterations,
    )


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
    finite = torch.stack([torch.isfinite(t.flatten(1)).all(1) for t in (image, landmarks, valid)]).all(0)
    # A face with a number that is none goes through the motions, and is flagged in the end.
    image, valid = torch.nan_to_num(image, 0.0, 0.0, 0.0), torch.nan_to_num(valid, 0.0, 0.0, 0.0)
    landmarks = torch.nan_to_num(landmarks, 0.0, 0.0, 0.0)
    if float(image.max()) > 1.5 or float(image.min()) < -0.5:
        raise ValueError("image must hold colours from 0 to 1; divide bytes by 255")
    if len({image.device, landmarks.device, valid.device}) > 1:
        raise ValueError(f"image is on {image.device}, landmarks on {landmarks.device}, valid on {valid.device}")
    return image.float().contiguous(), landmarks.float(), valid.float(), finite
