"""The numbers that a reader of the notebooks may want to turn, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import pi
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


class LampPrior(NamedTuple):
    """Mean and standard deviation of a lamp's numbers before a photograph is seen; channels are alike.

    Attributes:
        ambient: light, 0 to 1.
        diffuse: light, 0 to 1.
        direction: radians, azimuth and elevation.
        contrast: 1 keeps the colours.
        gain: of the colours.
        offset: of the colours, 0 to 1.
    """

    ambient: tuple[float, float] = (0.42, 0.3)
    diffuse: tuple[float, float] = (0.42, 0.3)
    direction: tuple[float, float] = (0.0, 0.8)
    contrast: tuple[float, float] = (1.0, 0.1)
    gain: tuple[float, float] = (1.0, 0.1)
    offset: tuple[float, float] = (0.0, 0.05)


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
        landmarks: factor on the term or its root (`FitSettings.energy_form`), 0 for a term that is left out.
        pixels: factor on the term.
        edges: factor on the term.
        blur: px, standard deviation.
        points: on the surface, drawn at the start of the stage.
        redraw: without it the points of the stage before are kept.
        exposed: the light has the prior of `FitSettings.exposure`.
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
    exposed: bool = False


class Exposure(NamedTuple):
    """What a camera does to skin: it exposes a face well and balances white, from wherever the light may come.

    How bright a white face would come out in the photograph, on average over its directions, is nearly known, and nearly
    grey. Beyond that, harmonics are free within wide limits.

    Attributes:
        mean: of a white face's colour, sRGB.
        sigma: of that.
        colour_sigma: of that, channels against each other.
        light_sigma: of the harmonics, common to the channels, by order 0, 1, 2.
        light_colour_sigma: of the harmonics, channels against each other.
    """

    mean: float = 0.85
    sigma: float = 0.05
    colour_sigma: float = 0.004
    light_sigma: tuple[float, float, float] = (0.2, 0.6, 0.15)
    light_colour_sigma: tuple[float, float, float] = (0.04, 0.04, 0.02)


EVERYTHING = ("alpha", "expression", "beta", "pose", "light", "zoom")


@dataclass(frozen=True)
class FitSettings:
    """Weights and schedule of `helpers.fitting.fit`.

    Pixels are those of a crop of 224 px; `for_size` adapts them to other crops. Colours run from 0 to 1. The
    defaults were found on photographs and on rendered faces with known truth; they are a working point,
    not an optimum for every camera.
    """

    # Landmarks: standard deviation in px of a detector's error, by part of the face; found by trial, like the others.
    landmark_sigma: float = 1.6
    brow_sigma: float = 2.4
    jaw_sigma: float = 3.2
    landmark_shift_sigma: float = 2.0  # px, of an error that all points share; 0: they share none
    landmark_robust: float = 3.0  # Cauchy scale, in standard deviations
    landmark_absorbed: float = 1.3  # true error over the error left after the fit
    landmark_scale_limits: tuple[float, float] = (0.25, 3.0)  # of the measured error, in parts of the above
    landmarks_used: int = 68  # the first ones in iBUG order; 60 leaves out the inner lips
    n_landmarks: float | None = None  # observations that all are worth together; None: each is one
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
    pixel_form: str = "cauchy"  # or "huber", quadratic and then linear, in each channel
    pixel_robust: float = 0.10  # robust scale; Cauchy's is on the root mean square over the three channels
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
    face_mask: bool = True  # find out what is in front of the face, and leave it out

    # Edges: ½ · edge_weight · mean(D² / edge_sigma²), D px to the nearest edge. 0 leaves the term out.
    edge_weight: float = 0.0
    edge_sigma: float = 2.0
    edge_form: str = "distance"  # or "nearest", "oriented distance", "oriented nearest": see `edge_term`
    edge_points: int = 400
    texture_edges: bool = True  # lips, eyes and brows beside the outline

    # Priors: α, expression and β are standard normal by the model's construction; weight 1 means just that.
    shape_weight: float = 1.0
    expression_weight: float = 1.0
    texture_weight: float = 1.0
    light_mean: float = 0.456  # of the constant harmonic, linear: white shows as 0.7; all others have mean 0
    # While shapes are sought, brightness and direction are left to the light, which then need not be explained by shape. With a
    # light that is held closer to an even one, faces that the model did not make come out farther from their true shape.
    light_sigma: tuple[float, float, float] = (0.215, 0.25, 0.15)  # common to the channels, by order 0, 1, 2
    light_colour_sigma: tuple[float, float, float] = (0.0057, 0.0057, 0.0043)  # channels against each other
    grey_colour_sigma: tuple[float, float, float] = (0.36, 0.14, 0.07)  # the same, for a grey photograph
    # Skin against light is decided last, with the shape held: a light of any tint takes the tint of the skin, and a free
    # brightness its darkness. The camera's exposure and white balance are what is known of both.
    exposure: Exposure = Exposure()
    skin_iterations: int = 4  # of that last stage; 0 leaves it out

    # "harmonics": 27 numbers, light from everywhere. "lamp": 15, the released fitter's lamp with a highlight and cast
    # shadows, and what the camera does to colours.
    light_model: str = "harmonics"
    lamp_prior: LampPrior = LampPrior()
    # Degrees and mm, about the pose at the start; None: the pose is free.
    pose_sigma: tuple[float, float] | None = None
    # The focal length may be a parameter too: the logarithm of it over the given one has mean 0 and this deviation.
    fit_focal: bool = False
    focal_sigma: float = 0.5

    # Photographs of one person, fitted together. What the model cannot draw, it cannot draw in any of them: their errors
    # have the correlation ρ, and n of them are worth n / (1 + ρ (n − 1)). On renders of the model itself 0 is best. On
    # faces that the model did not make shapes are alike from 0 to 0.5 and worse at 1, and pooling by precision needs
    # more than 0.
    photo_correlation: float = 0.5

    # The released fitter keeps coefficients within limits, in standard deviations; None leaves that to the prior.
    limits: Limits | None = None
    # "squares": a sum of robust squares, the negative logarithm of a probability. "roots", the released fitter's: the factors
    # of a stage multiply square roots of the terms, and α, expression and β each share one weight among those that move.
    energy_form: str = "squares"
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
        if self.energy_form not in ("squares", "roots"):
            raise ValueError(f'energy_form must be "squares" or "roots", got {self.energy_form!r}')
        if self.light_model != "harmonics" and any(stage.exposed for stage in self.stages):
            raise ValueError('a stage with exposed=True needs light_model "harmonics"')
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
        if self.dense and self.skin_iterations and self.light_model == "harmonics":
            # On the points of the last level.
            last = level._replace(name="skin", free=("beta", "light"), iterations=self.skin_iterations)
            stages.append(last._replace(redraw=False, exposed=True))
        return tuple(stages)

    @classmethod
    def released(cls, **changes) -> FitSettings:
        """The energy and the four stages of the fitter that the paper's authors released.

        Its README calls it an implementation of Blanz and Vetter (2003) and of Romdhani (2005), of which a modified version
        made the paper's labels; an answer of the authors calls the method of the labels simpler than Romdhani and Vetter's. With
        d px from landmarks, D px from edges, x colours in parts of 5 grey levels, and M of α and β free to move,

            E = f_l √mean d² + f_e √mean min(D, 10)² + f_p √mean Σ_rgb ρ(x)
                + Σ α² / (0.25 M) + Σ β² / (0.5 M) + mean e² / 0.5 + Σ (pose − start)² / s² + Σ (light − start)² / s²

        with ρ = x² up to 4 and 8 |x| − 16 beyond. The stages: pose, 20 α and expression from landmarks (f_l = 8); the same with
        the face's outline (2 and f_e = 15); light and colours from pixels (f_p = 15); everything (15 and f_e = 5).

        Such an energy is no logarithm of a probability, so the covariance of the result is not calibrated.

        What is ours: the solver, tens of steps for their thousands, which goes by E alone (theirs leaves the edges out where
        it accepts a step, and pulls twice as hard on the expression as its E does); px of a crop of 224 px, where theirs
        are the photograph's; 30 numbers of expression where they have 29; the start by `helpers.pose`; samples drawn from
        pixels for random triangles; the detector of edges; the turn from the start as one rotation; colours that are
        not clipped before contrast and gain; an offset of red that is as free as the others'.

        Measured on 20 rendered faces of `make study`, 4.86 mm from the mean face: 2.34 mm off in the light of a lamp and
        3.47 mm in soft light, without edges 1.42 and 2.62; our settings have 2.05 and 1.65. What edges cost is the energy's
        own: where a cheek is as dark as the backdrop its outline is drawn to some other edge, and on three such faces, lit by
        a lamp, the wrong shape had a lower energy than the best one near the truth (43 against 48, 53 against 58, 44 against
        49). OpenCV's edges at the authors' thresholds were no better on average (on ten faces 2.29 and 3.60 mm, with ours 2.02
        and 4.04, before the renderer's light was linear). Other faces end in a minimum of their own, from which the truth lies lower (37 against 27).

        Args:
            changes: settings that differ from the authors'.

        Source:
            FaceServices2.cpp, FaceServices2.h and RenderModel.cpp of https://github.com/anhttran/3dmm_basic.
        """

        def sigma(s: float) -> float:
            """Ours is ½ x² / σ², theirs x² / s²."""
            return s / 2**0.5

        leading = ("alpha:20", "expression", "pose")
        outline = Stage("edges", leading, 4, landmarks=2.0, edges=15.0)
        everything = Stage("pixels", EVERYTHING, 5, landmarks=0.0, pixels=15.0, edges=5.0, points=2000)
        authors = cls(
            energy_form="roots",
            # Terms are ½ N · mean: with N = 2 they are the mean.
            n_landmarks=2.0,
            landmark_sigma=1.0,
            brow_sigma=1.0,
            jaw_sigma=1.0,
            landmark_robust=1e6,
            landmark_shift_sigma=0.0,
            landmarks_used=60,
            n_effective=2.0 * 3,  # the sum over three channels, not their mean
            pixel_sigma=5 / 255,
            pixel_form="huber",
            pixel_robust=4 * 5 / 255,
            grazing_start=-1.0,  # all that is seen counts
            grazing_full=-0.5,
            measured=(),
            face_mask=False,
            edge_weight=2.0,
            edge_sigma=1.0,
            texture_edges=False,
            shape_weight=2 / 0.25,
            expression_weight=2 / 0.5,
            texture_weight=2 / 0.5,
            pose_sigma=(sigma(30.0), sigma(30.0)),
            light_model="lamp",
            lamp_prior=LampPrior(
                ambient=(0.5, sigma(1.0)),
                diffuse=(0.0, sigma(1.0)),
                direction=(0.0, sigma(pi)),
                contrast=(1.0, sigma(1.0)),
                gain=(1.0, sigma(2.0)),
                offset=(0.0, sigma(100 / 255)),
            ),
            limits=Limits(4.0, 3.0),
            stages=(
                Stage("landmarks", leading, 10, landmarks=8.0),
                outline,
                outline,
                Stage("pixels", ("light",), 8, landmarks=0.0, pixels=15.0, points=1000),
                everything,
                everything,
                everything,
                everything._replace(iterations=15),
            ),
        )
        return replace(authors, **changes)
