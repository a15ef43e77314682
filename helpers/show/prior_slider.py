"""A face fitted to 68 points, with a slider for how much the prior counts: the face follows while it is dragged."""

from __future__ import annotations

import time

import numpy as np
import torch

from helpers.camera import Camera
from helpers.fitting import FitModel, FitSettings
from helpers.fitting.energy import Energy, free_parameters
from helpers.fitting.landmark_term import landmark_rows
from helpers.fitting.parameters import FaceState
from helpers.fitting.prior_term import make_prior
from helpers.fitting.solvers import gauss_newton
from helpers.show.faces import heads
from helpers.show.figures import as_bytes, draw_landmarks, tile
from helpers.show.mesh import display_live
from helpers.show.pose_light import quick_png


class PriorSlider:
    """α, expression and pose from 68 points at any weight λ of the prior.

    points: (1, 68, 2) px.  start: where the search begins, one face.  size: px of the square picture.
    `slider` holds log10 λ, `image` the face from the front, `box` both together, ready for `display`.
    """

    def __init__(
        self, fit_model: FitModel, points: torch.Tensor, start: FaceState, camera: Camera, size: int = 256
    ):
        import ipywidgets

        self.fit_model, self.points, self.start, self.camera, self.size = (
            fit_model,
            points,
            start,
            camera,
            size,
        )
        self.slider = ipywidgets.FloatSlider(0.0, min=-4.0, max=3.0, step=0.1, description="log10 λ")
        self.image = ipywidgets.Image(format="png", width=size, height=size)
        self.box = ipywidgets.HBox([self.image, self.slider])
        self.slider.observe(self._update, "value")
        self._update()

    def solve(self, weight: float, iterations: int = 8) -> FaceState:
        """The state that landmarks and prior ask for, after Gauss-Newton steps from the start; weight: λ."""
        layout, settings = self.fit_model.layout, FitSettings(shape_weight=weight, expression_weight=weight)
        prior = make_prior(layout, settings, torch.zeros(1, dtype=torch.bool, device=self.points.device))

        def term(state):
            return landmark_rows(self.fit_model, state, self.camera, self.points, settings)

        free = free_parameters(layout, self.points.device, layout.alpha, layout.expression, layout.pose)
        with torch.no_grad():
            energy = Energy(layout, prior, {"landmarks": term})
            return gauss_newton(energy, self.start, free, iterations, damping=1e-4, step_limit=20.0).state

    def draw(self, weight: float, size: int | None = None) -> torch.Tensor:
        """The neutral face at λ = `weight`, from the front: (size, size, 3)."""
        state, layout = self.solve(weight), self.fit_model.layout
        shape = self.fit_model.model.shape(state.coefficients[:, layout.alpha])
        return heads(shape, self.fit_model.triangles, size=size or self.size)[0]

    def _update(self, change=None) -> None:
        self.image.value = quick_png(self.draw(10.0**self.slider.value))

    def updates_per_second(self, updates: int = 10) -> float:
        """How many pictures a second follow the slider, measured by moving it."""
        start, begun = self.slider.value, time.perf_counter()
        for k in range(updates):
            self.slider.value = -2.0 + 0.3 * (k + 1)
        seconds = time.perf_counter() - begun
        self.slider.value = start
        return updates / seconds

    def stills(self, weights, image=None) -> np.ndarray:
        """A row of faces, one for each λ, after the photograph with its points if one is given: (H, W, 3) uint8."""
        panels, titles = (
            [self.draw(weight, 196) for weight in weights],
            [f"λ = {weight:g}" for weight in weights],
        )
        if image is not None:
            panels.insert(0, draw_landmarks(as_bytes(image), self.points[0], height=196))
            titles.insert(0, "seen")
        return tile(panels, titles, height=196)


def prior_slider(
    fit_model, points, start, camera, size: int = 256, *, live: bool | None = None
) -> PriorSlider:
    """Show the face of 68 points with a slider for the prior's weight λ, and return it.

    live: None decides by itself: not while notebooks are executed to be stored, where a view would open blank.
    """
    made = PriorSlider(fit_model, points, start, camera, size)
    display_live(lambda: made.box, live)
    return made
