"""The numbers that a reader of the notebooks may want to turn, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace

REFERENCE_SIZE = 224  # px, the side of the crop that all lengths in pixels below refer to


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
    landmark_shape_modes: int = 60  # leading α that the landmark stage may move
    pose_iterations: int = 3
    landmark_iterations: int = 9

    # Pixels: ½ · n_effective · mean(r² / pixel_sigma²). Neighbouring pixels do not err independently, so a
    # face of 17 000 pixels is worth far fewer observations. This is the master knob between the mean face
    # (low) and overfitting (high).
    n_effective: float = 700.0
    pixel_sigma: float = 0.05
    pixel_robust: float = 0.10  # Cauchy scale on the root mean square over the three channels
    n_points: int = 2000  # sampled visible pixels an iteration
    grazing_start: float = 0.35  # weight 0 below this cosine between normal and view …
    grazing_full: float = 0.50  # … rising to 1 at this one
    # (blur in px, iterations): coarse to fine, so that features find each other before they are sharp.
    schedule: tuple[tuple[float, int], ...] = ((3.0, 8), (1.5, 6), (0.0, 6))
    light_first_iterations: int = 2  # first dense iterations move light and a few texture modes only
    light_first_texture_modes: int = 30
    visibility_every: int = 2  # iterations between two runs of the rasteriser
    gate_forehead: bool = True  # leave out forehead pixels that are not skin-coloured (hair, hats)

    # Priors: α, expression and β are standard normal by the model's construction; weight 1 means just that.
    shape_weight: float = 1.0
    expression_weight: float = 1.0
    texture_weight: float = 1.0
    light_mean: float = 0.70  # of the constant harmonic; all others have mean 0
    light_sigma: tuple[float, float, float] = (0.15, 0.30, 0.20)  # common to the channels, by order 0, 1, 2
    light_colour_sigma: tuple[float, float, float] = (0.03, 0.03, 0.02)  # channels against each other
    grey_colour_sigma: tuple[float, float, float] = (0.25, 0.10, 0.05)  # the same, for a grey photograph

    # Solver.
    damping: float = 1e-2  # of the diagonal of JᵀJ
    landmark_damping: float = 1e-3
    step_limit: float = 4.0  # norm of one step of the coefficients
    dense: bool = True  # False stops after the landmark stage
    seed: int = 0

    def __post_init__(self):
        if self.n_points < 100 or self.n_effective <= 0 or self.pixel_sigma <= 0:
            raise ValueError("n_points must be at least 100, n_effective and pixel_sigma above zero")
        if self.visibility_every < 1 or any(blur < 0 or n < 1 for blur, n in self.schedule):
            raise ValueError("schedule needs blur ≥ 0 and at least one iteration a level; visibility_every ≥ 1")

    def for_size(self, size: int) -> FitSettings:
        """The same settings for a crop of `size` px: what is measured in pixels grows with the crop."""
        factor = size / REFERENCE_SIZE
        return replace(
            self,
            landmark_sigma=self.landmark_sigma * factor,
            brow_sigma=self.brow_sigma * factor,
            jaw_sigma=self.jaw_sigma * factor,
            schedule=tuple((blur * factor, iterations) for blur, iterations in self.schedule),
        )
