"""The whole fit: a start from the landmarks, then level after level of one energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from helpers.camera import DEFAULT_FOCAL, Camera, Pose
from helpers.device import check_one_device, in_threads
from helpers.face_model import MorphableModel
from helpers.fitting.confidence import (
    MISPLACED_WEIGHT,
    MOST_COVERED,
    MOST_MISPLACED,
    MOST_SHIFTED,
    UNFINISHED,
    fit_confidence,
    part_regions,
    parts_hidden,
    reason_code,
)
from helpers.fitting.edge_term import SECTORS, EdgeMap, EdgePoints, edge_map, edge_points, edge_rows
from helpers.fitting.energy import Energy, free_parameters, total
from helpers.fitting.face_mask import FIRST_SLACK, covered_share, face_probability, landmark_trust
from helpers.fitting.images import gaussian_blur, is_grey, with_slopes
from helpers.fitting.landmark_term import (
    common_shift,
    landmark_noise,
    landmark_offsets,
    landmark_rows,
    landmark_weights,
)
from helpers.fitting.light_models import HARMONICS, LIGHT_MODELS
from helpers.fitting.parameters import FaceState, FitModel, Layout
from helpers.fitting.pixel_term import (
    look_at_points,
    pixel_precision,
    pixel_rows,
    sample_points,
    see,
    shadowed,
)
from helpers.fitting.prior_term import FacePrior, Prior, exposed, make_prior
from helpers.fitting.residuals import Term, counted, rooted, weighted
from helpers.fitting.result import FitResult, render_state
from helpers.fitting.settings import REFERENCE_SIZE, FitSettings, Stage
from helpers.fitting.solvers import SOLVERS, SolverResult
from helpers.fitting.solvers.schur import People, coupled
from helpers.fitting.surface import SurfacePoints
from helpers.fitting.uncertainty import posterior_covariance
from helpers.pose import estimate_pose, visible_landmarks
from helpers.pose.points68 import JAW, WITHOUT_JAW
from helpers.rasterizer import interpolate

ORDINARY_DISTANCE = 1500.0  # mm, at which a face fills half of the crop
START_JAW_WEIGHT = 0.3  # of the first pose: the jaw is where the mean face is least like this one
SMALLEST_SIDE = 64  # px
TERMS = ("landmarks", "pixels", "edges", "coefficients", "light")


@dataclass(frozen=True)
class FitProgress:
    """What `on_iteration` is given before each iteration.

    Attributes:
        stage: "landmarks", "edges", "pixels" or "skin".
        iteration: number of the iteration, from 0.
        total: how many there will be.
        state: the faces before the iteration.
        energy: (B,) of that state.
    """

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
    person: Tensor | None = None,
    prior: FacePrior | None = None,
    settings: FitSettings | None = None,
    on_iteration: Callable[[FitProgress], None] | None = None,
) -> FitResult:
    """Fit the face model to B photographs, cropped to the face.

    A photograph that cannot be fitted (numbers that are not finite, no face in its landmarks, nothing to be seen)
    gets a `code`, and the others of the batch go on.

    Photographs of one person may be fitted together: see `helpers.fitting.fit_person`.

    Args:
        image: (B, H, W, 3) sRGB, 0 to 1.
        landmarks: (B, 68, 2) px in the crop, iBUG order.
        model: a face model with landmarks. Pass a `FitModel` to reuse its layout over many calls.
        valid: (B, H, W), 0 where the crop reaches beyond the photograph; None means all of it is photograph.
        camera: of the crop; by default a focal length of 1000 px for a crop of 224 px, in proportion for others.
        person: (B,) whole numbers. Photographs with the same number show one person, and get one α and one β. None means
            that each shows another person.
        prior: of α and β of the B faces, from whose mean the search starts; None means the face model's, independent
            standard normal numbers.
        settings: weights and stages; None means the defaults.
        on_iteration: called before each iteration.

    Returns:
        The B faces, and how far each can be believed.

    Raises:
        ValueError: shapes, sizes or devices that do not fit each other, or colours far outside 0 to 1;
            people with another solver than Gauss-Newton's; a prior of other faces.
    """
    fit_model = model if isinstance(model, FitModel) else FitModel(model)
    image, landmarks, valid, finite = _checked(image, landmarks, valid, fit_model)
    B, H, W, _ = image.shape
    settings = (settings or FitSettings()).for_size(max(H, W))
    fit_model = fit_model.with_layout(LIGHT_MODELS[settings.light_model], n_zoom=int(settings.fit_focal))
    if person is not None:
        _check_person(person, image, settings)
    if prior is not None:
        _check_prior(prior, image, fit_model.layout, settings)
    if camera is None:
        focal = DEFAULT_FOCAL * max(H, W) / REFERENCE_SIZE
        camera = Camera.default((H, W), focal=focal, batch=B, device=image.device)
    if tuple(camera.size) != (H, W) or len(camera.focal) != B:
        raise ValueError(
            f"camera is for {len(camera.focal)} images of {camera.size}, image has {B} of {(H, W)}"
        )
    check_one_device(image=image, camera=camera.focal)

    def some(part: slice) -> FitResult:
        own = replace(camera, focal=camera.focal[part], principal_point=camera.principal_point[part])
        known = None if prior is None else prior.of(part)
        with torch.no_grad():
            problem = _problem(fit_model, own, image[part], landmarks[part], valid[part], settings, known)
            whose = None if person is None else person[part]
            return _fit(problem, whose, finite[part], _History(on_iteration, settings))

    # Photographs of one person hang together, and whoever watches is given all of them at once.
    together = person is not None or on_iteration is not None
    return FitResult.joined([some(slice(0, B))] if together else in_threads(some, B, image))


def state_of(result: FitResult) -> FaceState:
    """The solver's state at the end of a fit, for `render_state`."""
    return FaceState(torch.cat([result.alpha, result.expression, result.beta], -1), result.pose, result.light)


@dataclass(frozen=True)
class _Problem:
    """What stays the same in all stages of one call.

    Attributes:
        fit_model: laid out for the parameters of the call.
        camera: of the B crops, with the focal length before any zoom.
        image: (B, H, W, 3).
        valid: (B, H, W), 0 where there is no photograph.
        sharp: (B, H, W, 9) the image with its slopes.
        landmarks: (B, 68, 2) px.
        settings: in px of this crop.
        prior: of the batch.
        known: of the faces; None where the face model's own is all.
        edges: of the photographs; None where no stage asks for them.
        people: which photographs show the same person; None where each shows another one.
        counts: (B,) bool, False for photographs that must not have a part in their person's face; None where each has a
            face of its own, and may get it wrong.
    """

    fit_model: FitModel
    camera: Camera
    image: Tensor
    valid: Tensor
    sharp: Tensor
    landmarks: Tensor
    settings: FitSettings
    prior: Prior
    known: FacePrior | None
    edges: EdgeMap | None
    people: People | None = None
    counts: Tensor | None = None

    @property
    def layout(self) -> Layout:
        return self.fit_model.layout

    @property
    def unit(self) -> float:
        """px of this crop in one of a crop of 224 px."""
        return max(self.camera.size) / REFERENCE_SIZE


@dataclass(frozen=True)
class _View:
    """What the faces, as they were drawn at the start of a stage, give to it and to those that keep the view.

    Attributes:
        trust: (B, H, W) 0 where there is no photograph, and less where something is in front of the face.
        face: (B, H, W) probability that it is the face, see `helpers.fitting.face_mask`.
        covered: (B,) share of the face that something else hides.
        landmark_trust: (B, 68) how far a point lies on the face itself, see `helpers.fitting.face_mask.landmark_trust`.
        number: how often points for the pixels were drawn.
        blurred: (B, H, W, 9) the photographs at the blur of the stage, with their slopes.
        points: where the pixel term compares model and photograph.
        outline: edges of the model.
        precision: (B,) of the pixels, measured; None means that of the settings.
        landmark_scale: (B,) on the σ_j of the landmarks, measured; None means 1.
    """

    trust: Tensor
    face: Tensor
    covered: Tensor
    landmark_trust: Tensor
    number: int = 0
    blurred: Tensor | None = None
    points: SurfacePoints | None = None
    outline: EdgePoints | None = None
    precision: Tensor | None = None
    landmark_scale: Tensor | None = None


def _fit(problem: _Problem, person: Tensor | None, finite: Tensor, history: _History) -> FitResult:
    """From the start to the result; person: (B,) or None, as for `fit`; finite: (B,) bool, photographs that can count."""
    state, pose_ok = _start(problem)
    problem = replace(problem, prior=replace(problem.prior, start=state.pose))
    if person is not None:
        problem = _by_person(problem, person, finite & pose_ok)
    if problem.prior.mean is not None:
        state = replace(state, coefficients=problem.prior.mean)
    valid, B = problem.valid, len(problem.image)
    view = _View(
        trust=valid,
        face=torch.ones_like(valid),
        covered=valid.new_zeros(B),
        landmark_trust=valid.new_ones(B, 68),
    )
    view, solution = _fit_stages(problem, state, view, history)
    return _result(problem, view, solution, history, finite, pose_ok)


def _problem(
    fit_model: FitModel,
    camera: Camera,
    image: Tensor,
    landmarks: Tensor,
    valid: Tensor,
    settings: FitSettings,
    known: FacePrior | None,
) -> _Problem:
    edges = None
    if any(stage.edges for stage in settings.plan()):
        edges = edge_map(image, valid, SECTORS if settings.edge_form.startswith("oriented") else 1)
    prior = make_prior(fit_model.layout, settings, is_grey(image), known=known)
    return _Problem(
        fit_model, camera, image, valid, with_slopes(image), landmarks, settings, prior, known, edges
    )


def _by_person(problem: _Problem, person: Tensor, counts: Tensor) -> _Problem:
    """The problem with one α and one β for the photographs (B,) of a person, as far as they count."""
    layout, settings, image = problem.layout, problem.settings, problem.image
    names, index = person.unique(return_inverse=True)
    if len(names) == len(image):
        return problem
    shared = torch.zeros(layout.size, dtype=torch.bool, device=image.device)
    shared[layout.alpha] = shared[layout.beta] = True
    people = People(index, len(names), shared)
    # Of a person without any photograph that counts the prior is known, and nothing else.
    nobody = people.total(counts.to(image)) == 0
    has_part = (counts | nobody).to(image)
    n = people.total(has_part)
    κ = 1 + settings.photo_correlation * (n - 1)
    share, known = has_part * κ / n, problem.known
    if known is not None:
        known = replace(known, mean=people.total(known.mean * has_part[:, None]) / n[:, None])
    prior = make_prior(layout, settings, is_grey(image), share, problem.prior.start, known)
    return replace(problem, people=replace(people, redundancy=κ), counts=counts, prior=prior)


def _start(problem: _Problem) -> tuple[FaceState, Tensor]:
    """The mean face, in the pose that its landmarks ask for, in average light; and whether that is a pose at all."""
    landmarks, layout, mean_light = problem.landmarks, problem.layout, problem.prior.light_mean
    weights = torch.ones(1, 68, device=landmarks.device)
    weights[:, JAW] = START_JAW_WEIGHT
    found = estimate_pose(
        landmarks, problem.fit_model.landmark_mean[None], problem.camera, weights, iterations=6
    )
    rotation, translation = found.pose.rotation_vector, found.pose.translation
    # A face whose pose cannot be found is flagged in the end; until then it looks ahead, and disturbs no other.
    sound = (torch.isfinite(rotation).all(-1) & torch.isfinite(translation).all(-1))[:, None]
    ahead = torch.zeros_like(translation)
    ahead[:, 2] = ORDINARY_DISTANCE
    pose = Pose(torch.where(sound, rotation, 0.0), torch.where(sound, translation, ahead))
    zero = torch.zeros(len(landmarks), layout.n_coefficients, device=landmarks.device)
    light = mean_light.expand(len(landmarks), *mean_light.shape)
    zoom = zero.new_zeros(len(landmarks)) if layout.n_zoom else None
    return FaceState(zero, pose, light, zoom), found.ok


def _fit_stages(
    problem: _Problem, state: FaceState, view: _View, history: _History
) -> tuple[_View, SolverResult]:
    """Stage after stage of `settings.plan()`: the last view, and where the search ended."""
    settings, layout, plan = problem.settings, problem.layout, problem.settings.plan()
    generator = torch.Generator().manual_seed(settings.seed)
    promised = problem.image.new_zeros(len(problem.image))
    for number, stage in enumerate(plan, 1):
        if stage.redraw and (stage.pixels or stage.edges):
            view = _look_again(problem, state, stage, view, generator)
        moving = [layout.part(name) for name in stage.free]
        free = free_parameters(layout, problem.image.device, *moving)
        prior = problem.prior.of_means(layout, free) if settings.energy_form == "roots" else problem.prior
        if stage.exposed:
            face = problem.fit_model.face_normals
            state = replace(state, light=HARMONICS.as_exposed(state.light, settings.exposure, face))
            prior = exposed(prior, settings, is_grey(problem.image), state.light, face)
        solution = SOLVERS[settings.solver](
            Energy(layout, prior, _stage_terms(problem, view, stage), settings.limits),
            state,
            free,
            stage.iterations,
            # Where a fit by roots ends hangs on the last bit, and so on the order of sums: that stays what it was.
            first=min(part.start for part in moving) if settings.energy_form == "squares" else 0,
            damping=settings.damping if stage.pixels else settings.landmark_damping,
            step_limit=settings.step_limit,
            # Other stages take their last step on trust.
            check_last=number == len(plan) or plan[number].exposed,
            watch=partial(history.add, stage.name),
            people=problem.people,
        )
        state = solution.state
        # The stage of the skin moves a few numbers only: the search has come to rest if that before it had, too.
        promised = torch.maximum(promised, solution.promised) if stage.exposed else solution.promised
    return view, replace(solution, promised=promised)


def _look_again(
    problem: _Problem, state: FaceState, stage: Stage, view: _View, generator: torch.Generator
) -> _View:
    """Draw the faces as they are now, and points from what can be seen of them; measure noise from the second view on."""
    fit_model, settings, camera = problem.fit_model, problem.settings, problem.camera
    raster = see(fit_model, state, camera)
    if settings.face_mask:
        slack = 1.0 if view.number else FIRST_SLACK
        face = face_probability(fit_model, state, camera, raster, problem.image, problem.valid, slack)
        view = replace(
            view,
            face=face,
            trust=problem.valid * face,
            landmark_trust=landmark_trust(face, problem.landmarks),
            covered=covered_share(fit_model, raster, problem.valid, face),
        )
    if stage.pixels:
        blurred = with_slopes(gaussian_blur(problem.image, stage.blur)) if stage.blur else problem.sharp
        points = sample_points(fit_model, raster, view.trust, stage.points, generator)
        points = shadowed(fit_model, state, camera, raster, points)
        landmark_scale = view.landmark_scale
        precision = problem.image.new_full(
            (len(problem.image),), settings.n_effective / settings.pixel_sigma**2
        )
        if {"sigma", "n_effective"} & set(settings.measured) and view.number >= settings.noise_from_level:
            look = look_at_points(fit_model, state, camera, problem.sharp, points, settings)
            precision = pixel_precision(look, points, settings, problem.unit)
        precision = precision * (1 - view.covered)
        if "landmarks" in settings.measured and view.number >= settings.landmark_noise_from_level:
            landmark_scale = landmark_noise(_own_offsets(problem, view, state), settings)
        view = replace(
            view,
            number=view.number + 1,
            blurred=blurred,
            points=points,
            precision=precision,
            landmark_scale=landmark_scale,
        )
    if stage.edges:
        outline = edge_points(fit_model, raster, settings.edge_points, generator, settings.texture_edges)
        view = replace(view, outline=outline)
    return view


def _stage_terms(problem: _Problem, view: _View, stage: Stage) -> dict[str, Term]:
    """The terms of a stage by name, as functions of the state."""
    fit_model, camera, settings = problem.fit_model, problem.camera, problem.settings
    scaled = rooted if settings.energy_form == "roots" else weighted
    terms: dict[str, Term] = {}
    if stage.landmarks:
        rows = partial(
            landmark_rows,
            fit_model,
            camera=camera,
            points=problem.landmarks,
            settings=settings,
            scale=view.landmark_scale,
            trust=view.landmark_trust,
        )
        terms["landmarks"] = scaled(rows, stage.landmarks)
    if stage.pixels:
        assert view.blurred is not None and view.points is not None  # drawn at the first such stage
        rows = partial(
            pixel_rows,
            fit_model,
            camera=camera,
            image=view.blurred,
            points=view.points,
            settings=settings,
            precision=view.precision,
        )
        terms["pixels"] = scaled(rows, stage.pixels)
    if stage.edges:
        assert problem.edges is not None and view.outline is not None
        rows = partial(
            edge_rows, fit_model, camera=camera, edges=problem.edges, points=view.outline, settings=settings
        )
        terms["edges"] = scaled(rows, stage.edges)
    if problem.counts is not None and not bool(problem.counts.all()):
        terms = {name: counted(rows, problem.counts) for name, rows in terms.items()}
    return terms


def _own_offsets(problem: _Problem, view: _View, state: FaceState) -> Tensor:
    """(B, 68, 2) px from the landmarks to the model's, without what all points share."""
    offset = landmark_offsets(problem.fit_model, state, problem.camera, problem.landmarks)
    visible = visible_landmarks(state.pose) * view.landmark_trust
    return offset - common_shift(offset, visible, problem.settings, view.landmark_scale)


def _misplaced(problem: _Problem, shift: Tensor, weight: Tensor) -> Tensor:
    """(B,) bool: the landmarks together are off by far, by a shift (B, 1, 2), or many by weights (B, 68) of their own."""
    shifted = shift.norm(dim=-1)[:, 0] > MOST_SHIFTED * problem.settings.landmark_shift_sigma
    inner = ((weight > 0) & (weight < MISPLACED_WEIGHT))[:, WITHOUT_JAW]  # 0: not used at all
    return (shifted & (problem.settings.landmark_shift_sigma > 0)) | (
        inner.to(shift).mean(-1) > MOST_MISPLACED
    )


def _result(
    problem: _Problem, view: _View, solution: SolverResult, history: _History, finite: Tensor, pose_ok: Tensor
) -> FitResult:
    state, layout, image, settings = solution.state, problem.layout, problem.image, problem.settings
    fit_model, landmarks, counts = problem.fit_model, problem.landmarks, problem.counts
    drawn = render_state(fit_model, state, problem.camera)
    skin = interpolate(fit_model.weight[None, :, None], fit_model.triangles, drawn.raster)[..., 0]
    offset = landmark_offsets(fit_model, state, problem.camera, landmarks)
    regions = part_regions(landmarks + offset, problem.camera.size)
    hidden = parts_hidden(image, drawn.image, view.face, regions)
    if not settings.face_mask:
        hidden = torch.zeros_like(hidden)
    face = view.face * ~(regions & hidden[..., None, None]).any(1)
    covered = covered_share(fit_model, drawn.raster, problem.valid, face)
    weight = skin * torch.minimum(view.trust, face)
    inside = drawn.mask & (weight > 0.5)
    own = _own_offsets(problem, view, state)
    landmark_weight = landmark_weights(own, state.pose, settings, view.landmark_scale)
    confidence = fit_confidence(image, drawn.image, inside, own.norm(dim=-1), landmarks, view.landmark_trust)
    confidence = confidence * (finite & pose_ok)
    equations = solution.equations
    if problem.people is not None and counts is not None:
        H, g = coupled(equations.H, equations.g, problem.people, problem.people.shared)
        # Of the pose in a photograph that does not count nothing is known, in any unit.
        H[:, layout.pose, layout.pose].diagonal(dim1=1, dim2=2).add_((~counts).to(H)[:, None])
        equations = replace(equations, H=H, g=g)
    covariance, at_minimum = posterior_covariance(equations, layout)
    code = reason_code(
        image,
        inside,
        finite=finite,
        pose_ok=pose_ok,
        yaw=state.pose.yaw_pitch_roll()[:, 0],
        confidence=confidence,
        converged=at_minimum & (solution.promised < UNFINISHED),
        covered=hidden.any(1) | (covered > MOST_COVERED),
        misplaced=_misplaced(problem, offset - own, landmark_weight),
    )
    precision = view.precision
    if precision is None:
        precision = image.new_full((len(image),), settings.n_effective / settings.pixel_sigma**2)
    return FitResult(
        alpha=state.coefficients[:, layout.alpha],
        beta=state.coefficients[:, layout.beta],
        expression=state.coefficients[:, layout.expression],
        covariance=covariance,
        pose=Pose(state.pose.rotation_vector, state.pose.translation),
        camera=state.zoomed(problem.camera),
        light=state.light,
        energy=history.total(),
        energy_terms=history.terms(),
        residual=torch.where(inside[..., None], image - drawn.image, 0.0),
        pixel_weight=weight * drawn.mask,
        face_probability=face,
        landmarks=landmarks,
        landmark_error=offset.norm(dim=-1),
        landmark_weight=landmark_weight * view.landmark_trust,
        covered=covered,
        confidence=confidence,
        code=code,
        promised=solution.promised,
        precision=precision,
        iterations_landmarks=sum(s.iterations for s in settings.plan() if not (s.pixels or s.edges)),
        iterations_skin=sum(s.iterations for s in settings.plan() if s.exposed),
    )


class _History:
    """Collects the energy of each term at each iteration, and tells whoever wants to watch."""

    def __init__(self, watcher: Callable[[FitProgress], None] | None, settings: FitSettings):
        self.watcher = watcher
        self.rows: list[dict[str, Tensor]] = []
        self.length = sum(stage.iterations for stage in settings.plan())

    def add(self, stage: str, state: FaceState, terms: dict[str, Tensor]) -> None:
        nothing = torch.zeros_like(terms["coefficients"])
        row = {name: terms.get(name, nothing) for name in TERMS}
        self.rows.append(row)
        if self.watcher is not None:
            self.watcher(FitProgress(stage, len(self.rows) - 1, self.length, state, total(row)))

    def terms(self) -> dict[str, Tensor]:
        return {name: torch.stack([row[name] for row in self.rows], -1) for name in self.rows[0]}

    def total(self) -> Tensor:
        return total(self.terms())


def _check_person(person: Tensor, image: Tensor, settings: FitSettings) -> None:
    if person.shape != (len(image),) or person.is_floating_point():
        raise ValueError(
            f"person must be whole numbers ({len(image)},), got {tuple(person.shape)} {person.dtype}"
        )
    check_one_device(image=image, person=person)
    if settings.solver != "gauss-newton":
        raise ValueError(f'photographs of one person need the solver "gauss-newton", not "{settings.solver}"')


def _check_prior(prior: FacePrior, image: Tensor, layout: Layout, settings: FitSettings) -> None:
    expected = (len(image), layout.n_shape + layout.n_texture)
    if prior.mean.shape != expected:
        raise ValueError(f"the mean of the prior must have shape {expected}, got {tuple(prior.mean.shape)}")
    check_one_device(image=image, prior=prior.mean, covariance=prior.covariance)
    if settings.energy_form == "roots":
        raise ValueError('a prior of the faces needs energy_form "squares", whose energy is a probability\'s')


def _checked(
    image: Tensor, landmarks: Tensor, valid: Tensor | None, fit_model: FitModel
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Image, landmarks and valid as finite float32, and whether (B,) they were finite."""
    if image.dim() != 4 or image.shape[-1] != 3:
        raise ValueError(f"image must have shape (B, H, W, 3), got {tuple(image.shape)}")
    B, H, W, _ = image.shape
    if B < 1:
        raise ValueError("image holds no photograph (B = 0)")
    if min(H, W) < SMALLEST_SIDE:
        raise ValueError(f"image is {W} × {H} px; a fit needs at least {SMALLEST_SIDE} px a side")
    if B > 1 and 36 * H * W >= 2**31:  # bytes of an image with its slopes
        raise ValueError(
            f"{B} images of {W} × {H} px: Warp counts the bytes of one with 31 bits; fit them one by one"
        )
    if landmarks.shape != (B, 68, 2):
        raise ValueError(f"landmarks must have shape ({B}, 68, 2), got {tuple(landmarks.shape)}")
    if valid is None:
        valid = torch.ones_like(image[..., 0])
    if valid.shape != (B, H, W):
        raise ValueError(f"valid must have shape {(B, H, W)}, got {tuple(valid.shape)}")
    check_one_device(image=image, landmarks=landmarks, valid=valid, model=fit_model.model.mean_shape)
    finite = torch.stack([torch.isfinite(t.flatten(1)).all(1) for t in (image, landmarks, valid)]).all(0)
    # A photograph with a number that is not finite goes through the motions, and is flagged in the end.
    image, landmarks, valid = (torch.nan_to_num(t, 0.0, 0.0, 0.0) for t in (image, landmarks, valid))
    low, high = torch.stack(torch.aminmax(image)).tolist()
    if high > 1.5 or low < -0.5:
        raise ValueError("image must hold colours from 0 to 1; divide bytes by 255")
    return image.float().contiguous(), landmarks.float(), valid.float(), finite
