"""The numbers that a reader of the notebooks may want to turn, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

REFERENCE_SIZE = 224  # px, the side of the crop that all lengths in pixels below refer to


class Level(NamedTuple):
    """One level of the coarse-to-fine search: blur in px, iterations, and surface points drawn at its start."""

    blur: float
    iterations: int
    points: int


@dataclass(frozen=True)
class FitSettings:
    """Weights and schedule of `helpers.fitting.fit`. Pixels are those of a crop of 224 px; `for_size` adapts
    them to other crops. Colours run from 0 to 1.

    The defaults were found on photographs and on rendered faces with known truth; they are a working point,
    not an optimum for every camera.
    """

    # Landmarks: standard deviation in px of a detector's error, by part of the face.
    landmark_sigma: float = 1.6
    brow_sigma: float = 2.4
    jaw_sigma: float = 3.2
    landmark_robust: float = 3.0  # Cauchy scale, in standard deviations
    landmark_absorbed: float = 1.3  # true error over the error left after the fit
    landmark_scale_limits: tuple[float, float] = (0.25, 3.0)  # of the measured error, in parts of the above
    landmark_shape_modes: int = 60  # leading α that the landmark stage may move
    pose_iterations: int = 3
    landmark_iterations: int = 9

    # Pixels: ½ · n_effective · mean(r² / pixel_sigma²). Neighbouring pixels do not err independently, so a
    # face of 17 000 pixels is worth far fewer observations. This is the master knob between the mean face
    # (low) and overfitting (high).
    n_effective: float = 700.0
    pixel_sigma: float = 0.05
    # Both are measured on the residual of each photograph, from `noise_from_level` of the schedule on; the two
    # numbers above serve before. The estimate is raised by `noise_trust` and kept within `precision_limits`, in
    # parts of n_effective / pixel_sigma².
    measure_noise: bool = True
    noise_from_level: int = 2
    landmark_noise_from_level: int = 1
    noise_trust: float = 3.0
    precision_limits: tuple[float, float] = (0.3, 15.0)
    pixel_robust: float = 0.10  # Cauchy scale on the root mean square over the three channels
    grazing_start: float = 0.35  # weight 0 below this cosine between normal and view …
    grazing_full: float = 0.50  # … rising to 1 at this one
    # Coarse to fine, so that features find each other before they are sharp. At the start of each level the face
    # is drawn to see which points are visible, and points are drawn among them.
    schedule: tuple[Level, ...] = (
        Level(3.0, 7, 700), Level(1.5, 4, 1000), Level(0.0, 3, 1500), Level(0.0, 3, 2000),
    )  # fmt: skip
    light_first_iterations: int = 2  # first dense iterations move light and a few texture modes only
    light_first_texture_modes: int = 30
    gate_forehead: bool = True  # leave out forehead pixels that are not skin-coloured (hair, hats)

    # Edges: ½ · edge_weight · mean(D² / edge_sigma²), D px to the nearest edge. 0 leaves the term out.
    edge_weight: float = 0.0
    edge_sigma: float = 2.0
    edge_form: str = "distance"  # or "nearest"
    edge_points: int = 400

    # Priors: α, expression and β are standard normal by the model's construction; weight 1 means just that.
    shape_weight: float = 1.0
    expression_weight: float = 1.0
    texture_weight: float = 1.0
    light_mean: float = 0.70  # of the constant harmonic; all others have mean 0
    light_sigma: tuple[float, float, float] = (0.15, 0.30, 0.20)  # common to the channels, by order 0, 1, 2
    light_colour_sigma: tuple[float, float, float] = (0.03, 0.03, 0.02)  # channels against each other
    grey_colour_sigma: tuple[float, float, float] = (0.25, 0.10, 0.05)  # the same, for a grey photograph

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
            raise ValueError("each level of the schedule needs blur ≥ 0, at least one iteration and 100 points")
        if self.edge_form not in ("distance", "nearest") or self.edge_weight < 0 or self.edge_sigma <= 0:
            raise ValueError('edge_form must be "distance" or "nearest", edge_weight ≥ 0 and edge_sigma > 0')
        if self.solver not in ("gauss-newton", "adam", "lbfgs"):
            raise ValueError(f'solver must be "gauss-newton", "adam" or "lbfgs", got {self.solver!r}')
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
            edge_sigma=self.edge_sigma * factor,
            schedule=tuple(Level(blur * factor, *rest) for blur, *rest in self.schedule),
        )
