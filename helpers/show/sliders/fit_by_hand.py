"""A photograph fitted by hand: sliders for six of the numbers, and the energy that is left, beside the fit's."""

from __future__ import annotations

from functools import partial
from math import radians

import numpy as np
import torch
from torch import Tensor

from helpers.camera import Pose
from helpers.crop import FaceCrop
from helpers.fitting import FitModel, FitResult, FitSettings
from helpers.fitting.energy import Energy, free_parameters
from helpers.fitting.fit import render_state, state_of
from helpers.fitting.images import is_grey, with_slopes
from helpers.fitting.landmark_term import landmark_rows
from helpers.fitting.parameters import FaceState, turned
from helpers.fitting.pixel_term import pixel_rows, sample_points, see
from helpers.fitting.prior_term import make_prior
from helpers.fitting.solvers import gauss_newton
from helpers.rasterizer import interpolate
from helpers.show.figures import tile, write
from helpers.show.fitting import TERM_COLOURS
from helpers.show.sliders.live_figure import LiveFigure, Slider

N_POINTS = 1000  # of the pixel term: enough for an energy, and drawn in a moment
STEPS = 12  # of Gauss-Newton, from the fit to the lowest place of the energy that is shown
BRIGHTEST = 0.4  # a residual that is drawn black or white


class FitByHand(LiveFigure):
    """Overlay, residual and energies of a photograph at numbers that sliders set; all others are those of the lowest energy.

    The energy is that of notebook 04, one fixed function of the numbers: landmarks, some pixels of the sharp photograph, trusted
    as at the end of the fit, and prior. The fit has changed its energy on its way, so from its end a few more steps are taken.

    Attributes:
        fitted: the state at the end of the fit.
        lowest: the state of the lowest energy.
        best: its energies by name: landmarks, pixels, prior.
        answer: the arguments of `draw` at that state.
    """

    SLIDERS = {
        "a1": Slider("α₁", -4.0, 4.0, 0.0, 0.05),
        "a2": Slider("α₂", -4.0, 4.0, 0.0, 0.05),
        "a3": Slider("α₃", -4.0, 4.0, 0.0, 0.05),
        "b1": Slider("β₁", -4.0, 4.0, 0.0, 0.05),
        "yaw": Slider("yaw", -60.0, 60.0, 15.0, 0.5, "°"),
        "light": Slider("light factor", 0.3, 2.0, 0.6, 0.02),
    }

    def __init__(self, fit_model: FitModel, crop: FaceCrop, result: FitResult, size: int = 224):
        """Find the lowest energy, and show the face at the sliders' first values.

        Args:
            fit_model: the model that was fitted.
            crop: one photograph.
            result: its fit.
            size: px of each of the three squares.
        """
        import ipywidgets

        self.fit_model, self.size, self.photo, self.camera = fit_model, size, crop.image[0], result.camera
        self.window = around(result.landmarks[0], len(self.photo))
        self.fitted, layout = state_of(result), fit_model.layout
        self.energy = self._energy(crop, result)
        everything = free_parameters(layout, self.photo.device, slice(0, layout.size))
        with torch.no_grad():
            self.lowest = gauss_newton(self.energy, self.fitted, everything, STEPS, damping=1e-3).state
        self.best = self.energies(self.lowest)
        c, yaw = self.lowest.coefficients[0], float(self.lowest.pose.yaw_pitch_roll()[0, 0])
        first = layout.beta.start
        self.answer = dict(zip(self.SLIDERS, [*c[:3].tolist(), float(c[first]), yaw, 1.0], strict=True))
        start = {name: slider.start for name, slider in self.SLIDERS.items()}
        self.widest = sum(self.energies(self.state(**start)).values())  # what a bar of full width means
        self.button = ipywidgets.Button(description="the fit's numbers")
        self.button.on_click(lambda _: self.jump())
        super().__init__(
            self.draw,
            3 * size,
            size,
            alt="The face laid over the photograph, the residual, and a bar for each term of the energy",
        )

    def _energy(self, crop: FaceCrop, result: FitResult) -> Energy:
        fit_model, settings = self.fit_model, FitSettings()
        trust = crop.valid * result.face_probability
        raster = see(fit_model, self.fitted, self.camera)
        points = sample_points(fit_model, raster, trust, N_POINTS, torch.Generator().manual_seed(0))
        sharp = with_slopes(crop.image)
        prior = make_prior(fit_model.layout, settings, is_grey(crop.image))
        shared = {"camera": self.camera, "settings": settings}
        landmarks = partial(landmark_rows, fit_model, points=result.landmarks, **shared)
        pixels = partial(pixel_rows, fit_model, image=sharp, points=points, **shared)
        return Energy(fit_model.layout, prior, {"landmarks": landmarks, "pixels": pixels})

    def arranged(self):
        """The sliders below the picture, which is wide, and the button below them."""
        import ipywidgets

        return ipywidgets.VBox([self.image, *self.controls.values(), self.button])

    def state(self, a1: float, a2: float, a3: float, b1: float, yaw: float, light: float) -> FaceState:
        """The lowest state with six numbers of one's own.

        Args:
            a1: α₁, in standard deviations, as are the next three.
            a2: α₂.
            a3: α₃.
            b1: β₁.
            yaw: of the head, degrees.
            light: factor on all harmonics.
        """
        c = self.lowest.coefficients.clone()
        c[0, :3] = torch.tensor([a1, a2, a3]).to(c)
        c[0, self.fit_model.layout.beta.start] = b1
        step = c.new_zeros(1, 6)
        step[0, 1] = radians(yaw - float(self.lowest.pose.yaw_pitch_roll()[0, 0]))
        pose = turned(self.lowest.pose, step)
        return FaceState(c, Pose(pose.rotation_vector, pose.translation), light * self.lowest.light)

    def energies(self, state: FaceState) -> dict[str, float]:
        """The energy of one face by term: landmarks, pixels, and the prior of coefficients and light."""
        with torch.no_grad():
            terms = {name: float(rows(state).energy) for name, rows in self.energy.terms.items()}
            return terms | {"prior": float(sum(self.energy.prior.energy(state)))}

    def above(self, **steps: float) -> float:
        """How much more than its lowest the energy is when some of the numbers in `answer` are changed by `steps`."""
        changed = {name: self.answer[name] + step for name, step in steps.items()}
        return sum(self.energies(self.state(**self.answer | changed)).values()) - sum(self.best.values())

    def jump(self) -> None:
        """Set all sliders to the numbers of the lowest energy."""
        with self.one_redraw():
            for name, value in self.answer.items():
                self.controls[name].value = value

    def draw(self, **numbers: float) -> np.ndarray:
        """Overlay, residual and energies side by side, (size, 3 · size, 3) uint8; arguments as for `state`."""
        state = self.state(**numbers)
        with torch.no_grad():
            drawn = render_state(self.fit_model, state, self.camera)
            skin = interpolate(self.fit_model.weight[None, :, None], self.fit_model.triangles, drawn.raster)
        weight, shown = (skin[0] > 0.35).float(), drawn.image[0].clamp(0, 1)
        laid_over = torch.lerp(self.photo, shown, weight)
        left = 0.5 + weight * (self.photo - shown) / 2 / BRIGHTEST
        panels = [each[self.window].clamp(0, 1) for each in (laid_over, left)]
        return tile([*panels, self._bars(self.energies(state))], height=self.size, gap=0)

    def _bars(self, terms: dict[str, float]) -> np.ndarray:
        """(size, size, 3): a bar for each term, with the fit's below it."""
        from PIL import Image, ImageDraw

        S = self.size
        page = Image.new("RGB", (S, S), "white")
        pen, top, wide = ImageDraw.Draw(page), S // 14, S - 24
        colours = TERM_COLOURS | {"prior": TERM_COLOURS["coefficients"], "all": "#24292F"}
        here, best = (each | {"all": sum(each.values())} for each in (terms, self.best))
        for name, value in here.items():
            write(page, (12, top), f"{name} {value:.0f}, fit {best[name]:.0f}", size=12, anchor="lm")
            for below, length, colour in ((9, value, colours[name]), (18, best[name], "#B8C0CA")):
                right = 12 + wide * min(1.0, max(0.0, length / self.widest))
                pen.rectangle([12, top + below, right, top + below + 7], fill=colour)
            top += (S - 8) // 4
        return np.asarray(page)

    def stills(self, settings, height: int = 168) -> np.ndarray:
        """Pictures without sliders, one below the other.

        Args:
            settings: the arguments of `draw` for each, by what is written above it.
            height: of each, px.

        Returns:
            (H, W, 3) uint8.
        """
        rows = [tile([self.draw(**values)], [name], height=height) for name, values in settings.items()]
        return np.concatenate(rows)


def around(points: Tensor, size: int) -> tuple[slice, slice]:
    """Rows and columns of the square of a picture, `size` px a side, that holds the points (N, 2) with room about them."""
    low, high = points.amin(0), points.amax(0)
    half = min(0.68 * float((high - low).max()), size / 2)
    x, y = ((low + high) / 2).clamp(half, size - half).tolist()
    return slice(round(y - half), round(y + half)), slice(round(x - half), round(x + half))


def fit_by_hand(
    fit_model: FitModel, crop: FaceCrop, result: FitResult, size: int = 224, *, live: bool | None = None
) -> FitByHand:
    """Show a photograph with sliders for six numbers of its fit, and return the figure.

    Args:
        fit_model: the model that was fitted.
        crop: one photograph.
        result: its fit.
        size: px of each of the three squares.
        live: see `LiveFigure.show`.
    """
    return FitByHand(fit_model, crop, result, size).show(live)
