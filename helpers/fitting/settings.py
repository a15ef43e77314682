"""The numbers that a reader of the notebooks may want to turn, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

REFERENCE_SIZE = 224  # px, the side of the crop that all lengths in pixels below refer to


MEASURABLE = ("sigma", "n_effective", "landmarks")
EDGE_FORMS = ("distance", "nearest", "oriented distance", "oriented nearest")


class Limits(NamedTuple):
    """How far coefficients may go, in standard deviations.

    Attributes:
        identity: of α and β.
        expression: of the expression.
    """

    identity: float
    expression: float


class Level(NamedTuple):
    """One level of the coarse-to-fine search.

    Attributes:
        blur: px, standard deviation.
        iterations: of the solver.
        points: on the surface, drawn at the start of the level.
    """

    blur: float
    iterations: int
    points: int


class Stage(NamedTuple):
    """One stage of a fit: some parameters move, on some terms.

    Attributes:
        name: of what leads it.
        free: parts of the layout, "alpha:20" for the first 20 of them.
        iterations: of the solver.
        landmarks: factor on the term, 0 for a term that is left out.
        pixels: factor on the term.
        edges: factor on the term.
        blur: px, standard deviation.
        points: on the surface, drawn at the start of the stage.
        redraw: without it the points of the stage before are kept.
    """

    name: str
    free: tuple[str, ...]
    iterations: int
    landmarks: float = 1.0
    pixels: float = 0.0
    edges: float = 0.0
    blur: float = 0.0
    points: int = 0
    redraw: bool = True


EVERYTHING = ("alpha", "expression", "beta", "pose", "light", "zoom")


@dataclass(frozen=True)
class FitSettings:
    """Weights and schedule of `helpers.fitting.fit`.

    Pixels are those of a crop of 224 px; `for_size` adapts them to other crops. Colours run from 0 to 1. The
    defaults were found on photographs and on rendered faces with known truth; they are a working point,
    not an optimum for every camera.
    """

    # Landmarks: standard deviation in px of a detector's error, by part of the face.
    landmark_sigma: float = 1.6
    brow_sigma: float = 2.4
    jaw_sigma: float = 3.2
    landmark_shift_sigma: float = 2.0  # px, of an error that all points share; 0: they share none
    landmark_robust: float = 3.0  # Cauchy scale, in standard deviations
    landmark_absorbed: float = 1.3  # true error over the error left after the fit
    landmark_scale_limits: tuple[float, float] = (0.25, 3.0)  # of the measured error, in parts of the above
    landmarks_used: int = 68  # the first ones in iBUG order; 60 leaves out the inner lips
    landmark_shape_modes: int = 60  # leading α that the landmark stage may move
    pose_iterations: int = 3
    landmark_iterations: int = 9

    # Pixels: ½ · n_effective · mean(r² / pixel_sigma²). Neighbouring pixels do not err independently, so a
    # face of 17 000 pixels is worth far fewer observations. This is the master knob between the mean face
    # (low) and overfitting (high). Lower than what is best on renders of the model itself: beards, cast shadows and
    # whatever else the model lacks err over whole regions, and with more weight they are explained as shape.
    n_effective: float = 300.0
    pixel_sigma: float = 0.05
    # What is measured on each photograph, from a level of the schedule on; the numbers above serve before. "sigma":
    # `pixel_sigma`, as the RMS of the residual. "n_effective": from how far the residual's values hang together, raised
    # by `noise_trust`. "landmarks": the deviation of the points. The first holds everywhere. The other two are right where
    # the model can draw the photograph, and too trusting where it cannot: with them, faces that the model did not make
    # come out farther from their true shape.
    measured: tuple[str, ...] = ("sigma",)
    noise_from_level: int = 2
    landmark_noise_from_level: int = 1
    noise_trust: float = 3.0
    precision_limits: tuple[float, float] = (1.0, 15.0)  # of N_eff / σ², in parts of that of the settings
    pixel_form: str = "cauchy"  # or "huber", quadratic and then linear
    pixel_robust: float = 0.10  # robust scale on the root mean square over the three channels
    grazing_start: float = 0.35  # weight 0 below this cosine between normal and view …
    grazing_full: float = 0.50  # … rising to 1 at this one
    # Coarse to fine, so that features find each other before they are sharp. At the start of each level the face
    # is drawn to see which points are visible, and points are drawn among them.
    schedule: tuple[Level, ...] = (
        Level(3.0, 7, 700),
        Level(1.5, 4, 1000),
        Level(0.0, 3, 1500),
        Level(0.0, 3, 2000),
    )
    light_first_iterations: int = 2  # first dense iterations move light and a few texture modes only
    light_first_texture_modes: int = 30
    gate_forehead: bool = True  # leave out forehead pixels that are not skin-coloured (hair, hats)

    # Edges: ½ · edge_weight · mean(D² / edge_sigma²), D px to the nearest edge. 0 leaves the term out.
    edge_weight: float = 0.0
    edge_sigma: float = 2.0
    edge_form: str = "distance"  # or "nearest", "oriented distance", "oriented nearest": see `edge_term`
    edge_points: int = 400

    # Priors: α, expression and β are standard normal by the model's construction; weight 1 means just that.
    shape_weight: float = 1.0
    expression_weight: float = 1.0
    texture_weight: float = 1.0
    light_mean: float = 0.70  # of the constant harmonic; all others have mean 0
    # Exposure and white balance hold the light of photographs near an even, white one. What it may take beyond that, it
    # takes from the skin: a light of any tint takes the tint of the skin, and a strong one from the front its darkness.
    light_sigma: tuple[float, float, float] = (0.03, 0.10, 0.07)  # common to the channels, by order 0, 1, 2
    light_colour_sigma: tuple[float, float, float] = (0.006, 0.006, 0.004)  # channels against each other
    grey_colour_sigma: tuple[float, float, float] = (0.25, 0.10, 0.05)  # the same, for a grey photograph

    # "harmonics": 27 numbers, light from everywhere. "lamp": 15, the paper's lamp with a highlight and cast shadows,
    # and what the camera does to colours.
    light_model: str = "harmonics"
    lamp_weight: float = 1.0  # of the prior on the lamp and the colours
    # The focal length may be a parameter too: the logarithm of it over the given one has mean 0 and this deviation.
    fit_focal: bool = False
    focal_sigma: float = 0.5

    # Photographs of one person, fitted together. What the model cannot draw, it cannot draw in any of them: their errors
    # have the correlation ρ, and n of them are worth n / (1 + ρ (n − 1)). On renders of the model itself 0 is best; on
    # faces that the model did not make, shapes come nearer to the truth up to 1, where many photographs are worth one.
    photo_correlation: float = 0.5

    # The paper keeps coefficients within limits, in standard deviations; None leaves that to the prior.
    limits: Limits | None = None
    # What is minimised when; empty means pose, landmarks and then the `schedule` above.
    stages: tuple[Stage, ...] = ()

    # Solver: "gauss-newton", "adam" or "lbfgs", one iteration of which is one gradient.
    solver: str = "gauss-newton"
    damping: float = 1e-3  # of the diagonal of JᵀJ
    landmark_damping: float = 1e-3
    step_limit: float = 4.0  # norm of one step of the coefficients
    dense: bool = True  # False stops after the landmark stage
    seed: int = 0

    def __post_init__(self):
        if self.n_effective <= 0 or self.pixel_sigma <= 0:
            raise ValueError("n_effective and pixel_sigma must be above zero")
        if any(blur < 0 or iterations < 1 or points < 100 for blur, iterations, points in self.schedule):
            raise ValueError(
                "each level of the schedule needs blur ≥ 0, at least one iteration and 100 points"
            )
        if self.edge_form not in EDGE_FORMS or self.edge_weight < 0 or self.edge_sigma <= 0:
            raise ValueError(f"edge_form must be one of {EDGE_FORMS}, edge_weight ≥ 0 and edge_sigma > 0")
        if set(self.measured) - set(MEASURABLE):
            raise ValueError(f"measured must be some of {MEASURABLE}, got {self.measured}")
        if self.pixel_form not in ("cauchy", "huber") or self.light_model not in ("harmonics", "lamp"):
            raise ValueError('pixel_form must be "cauchy" or "huber", light_model "harmonics" or "lamp"')
        if self.solver not in ("gauss-newton", "adam", "lbfgs"):
            raise ValueError(f'solver must be "gauss-newton", "adam" or "lbfgs", got {self.solver!r}')
        if not 0 <= self.photo_correlation <= 1:
            raise ValueError(f"photo_correlation must lie between 0 and 1, got {self.photo_correlation}")
        if self.light_first_iterations >= self.schedule[0][1]:
            raise ValueError("light_first_iterations must leave an iteration of the first level to the rest")

    def for_size(self, size: int) -> FitSettings:
        """The same settings for a crop of `size` px: what is measured in pixels grows with the crop."""
        factor = size / REFERENCE_SIZE
        return replace(
            self,
            landmark_sigma=self.landmark_sigma * factor,
            brow_sigma=self.brow_sigma * factor,
            jaw_sigma=self.jaw_sigma * factor,
            landmark_shift_sigma=self.landmark_shift_sigma * factor,
            edge_sigma=self.edge_sigma * factor,
            schedule=tuple(Level(blur * factor, *rest) for blur, *rest in self.schedule),
            stages=tuple(stage._replace(blur=stage.blur * factor) for stage in self.stages),
        )

    def plan(self) -> tuple[Stage, ...]:
        """The stages of a fit, in order: those given, or those that the schedule spells out."""
        if self.stages:
            return self.stages
        shape = f"alpha:{self.landmark_shape_modes}"
        stages = [
            Stage("landmarks", ("pose",), self.pose_iterations),
            Stage("landmarks", (shape, "expression", "pose", "zoom"), self.landmark_iterations),
        ]
        edges = float(self.edge_weight > 0)
        for number, (blur, iterations, points) in enumerate(self.schedule if self.dense else ()):
            level = Stage("pixels", EVERYTHING, iterations, pixels=1.0, edges=edges, blur=blur, points=points)
            first = self.light_first_iterations if number == 0 else 0
            if first:
                some = f"beta:{self.light_first_texture_modes}"
                stages.append(level._replace(free=(some, "light"), iterations=first))
                level = level._replace(iterations=iterations - first, redraw=False)
            stages.append(level)
        return tuple(stages)

    @classmethod
    def paper(cls, **changes) -> FitSettings:
        """The energy and the four stages of the authors' released fitter, as far as they could be read from it.

        Their weights, robust form, priors, limits, light, colours and landmarks; our solver, which needs tens of
        steps where theirs takes thousands, our point samples and our crop of 224 px. What each weight multiplies is a
        mean there: of squared pixels, of squared distances to an edge over 10 px, of robust squares of colours over 5
        grey levels, of squared coefficients over 0.25 (shape) and 0.5 (texture). Such an energy is no logarithm of a
        probability, so the covariance of the result is not calibrated.

        Args:
            changes: settings that differ from the authors'.
        """
        modes = 99
        everything = Stage("pixels", EVERYTHING, 5, landmarks=0.0, pixels=15.0, edges=5.0, points=2000)
        leading = ("alpha:20", "expression", "pose")
        sigma = 30.0**0.5  # ½ Σ_j d_j² / σ² over 60 points is their mean square
        authors = cls(
            landmark_sigma=sigma,
            brow_sigma=sigma,
            jaw_sigma=sigma,
            landmark_robust=1e6,
            landmark_shift_sigma=0.0,
            landmarks_used=60,
            n_effective=2.0,
            pixel_sigma=5 / 255,
            pixel_form="huber",
            pixel_robust=4 * 5 / 255,
            measured=(),
            gate_forehead=False,
            edge_weight=2.0,
            # In parts of its reach: in pixels the weight of 15 pulls faces onto edges that are not theirs.
            edge_sigma=10.0,
            shape_weight=2 / 0.25 / modes,
            expression_weight=2 / 0.25 / modes,
            texture_weight=2 / 0.5 / modes,
            light_model="lamp",
            lamp_weight=2 / 0.25 / modes,
            limits=Limits(4.0, 3.0),
            stages=(
                Stage("landmarks", ("pose",), 3, landmarks=8.0),
                Stage("landmarks", leading, 8, landmarks=8.0),
                Stage("edges", leading, 4, landmarks=2.0, edges=15.0),
                Stage("edges", leading, 4, landmarks=2.0, edges=15.0),
                Stage("pixels", ("light",), 8, landmarks=0.0, pixels=15.0, points=1000),
                everything,
                everything,
                everything,
                everything,
            ),
        )
        return replace(authors, **changes)
