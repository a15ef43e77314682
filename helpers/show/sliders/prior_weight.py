"""A face fitted to 68 points, with a slider for how much the prior counts: the face follows while it is dragged."""

from __future__ import annotations

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
from helpers.show.sliders.live_figure import LiveFigure, Slider


class PriorSlider(LiveFigure):
    """α, expression and pose from 68 points at any weight λ of the prior, and the neutral face of α from the front."""

    SLIDERS = {"weight": Slider("log10 λ", -4.0, 3.0, 0.0, 0.1)}

    def __init__(
        self, fit_model: FitModel, points: torch.Tensor, start: FaceState, camera: Camera, size: int = 256
    ):
        """Show the face for the first time.

        Args:
            fit_model: the model that is fitted.
            points: (1, 68, 2) px.
            start: where the search begins, one face.
            camera: that saw the points.
            size: px of the square picture.
        """
        self.fit_model, self.points, self.start, self.camera = fit_model, points, start, camera
        self.size = size
        super().__init__(
            self.draw, size, size, alt="The face that the landmarks and the prior give at the weight λ"
        )

    def solve(self, weight: float, iterations: int = 8) -> FaceState:
        """The state that landmarks and prior ask for.

        Args:
            weight: λ.
            iterations: Gauss-Newton steps from the start.
        """
        layout, settings = self.fit_model.layout, FitSettings(shape_weight=weight, expression_weight=weight)
        prior = make_prior(layout, settings, torch.zeros(1, dtype=torch.bool, device=self.points.device))

        def term(state):
            return landmark_rows(self.fit_model, state, self.camera, self.points, settings)

        free = free_parameters(layout, self.points.device, layout.alpha, layout.expression, layout.pose)
        with torch.no_grad():
            energy = Energy(layout, prior, {"landmarks": term})
            return gauss_newton(energy, self.start, free, iterations, damping=1e-4, step_limit=20.0).state

    def draw(self, weight: float, size: int | None = None) -> torch.Tensor:
        """The neutral face at λ = `weight`, from the front: (size, size, 3), 0 to 1."""
        state, layout = self.solve(weight), self.fit_model.layout
        with torch.no_grad():
            head = self.fit_model.model.whole_head
            shape = head.shape(state.coefficients[:, layout.alpha])
        return heads(shape, head.triangles, size=size or self.size)[0]

    def values(self) -> dict[str, float]:
        """λ: the slider moves its logarithm."""
        return {"weight": 10.0 ** self.controls["weight"].value}

    def stills(self, weights, image=None) -> np.ndarray:
        """A row of faces without the slider.

        Args:
            weights: λ of each.
            image: (H, W, 3), the photograph, to come first with its points on it.

        Returns:
            (H, W, 3) uint8.
        """
        panels = [self.draw(weight, 196) for weight in weights]
        titles = [f"λ = {weight:g}" for weight in weights]
        if image is not None:
            panels.insert(0, draw_landmarks(as_bytes(image), self.points[0], height=196))
            titles.insert(0, "seen")
        return tile(panels, titles, height=196)


def prior_slider(
    fit_model: FitModel,
    points: torch.Tensor,
    start: FaceState,
    camera: Camera,
    size: int = 256,
    *,
    live: bool | None = None,
) -> PriorSlider:
    """Show the face of 68 points with a slider for the prior's weight λ, and return it.

    Args:
        fit_model: the model that is fitted.
        points: (1, 68, 2) px.
        start: where the search begins, one face.
        camera: that saw the points.
        size: px of the square picture.
        live: see `LiveFigure.show`.
    """
    return PriorSlider(fit_model, points, start, camera, size).show(live)
