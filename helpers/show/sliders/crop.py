"""A scan within a crop of a radius that a slider sets: the error follows."""

from __future__ import annotations

import numpy as np
import torch

from helpers.evaluation import Protocol, Surface, scan_error
from helpers.show.faces import distance_heads
from helpers.show.figures import captioned, tile
from helpers.show.sliders.live_figure import LiveFigure

USUAL = 95  # mm, the radius of the protocol


class CropSlider(LiveFigure):
    """A scan coloured by its distance from a face, with a slider for the radius of the crop.

    Attributes:
        rmse: (radii,) mm.
    """

    def __init__(
        self,
        model: Surface,
        scan: Surface,
        radii=(40, 50, 60, 70, 80, 90, 95, 100, 110, 120, 130),
        size: int = 256,
        yaw: float = 25.0,
    ):
        """Align at all radii, and show the scan for the first time.

        Args:
            model: the face that is measured.
            scan: the truth.
            radii: mm, where the slider stops.
            size: px of the square picture.
            yaw: how far the scan is turned, degrees.
        """
        import ipywidgets

        self.scan, self.radii, self.size, self.yaw = scan, tuple(radii), size, yaw
        self.errors = [scan_error(model, scan, Protocol(radius=float(radius))) for radius in self.radii]
        self.rmse = np.array([error.rmse for error in self.errors])
        start = min(self.radii, key=lambda radius: abs(radius - USUAL))
        slider = ipywidgets.SelectionSlider(options=self.radii, value=start, description="radius, mm")
        super().__init__(
            self.draw,
            size,
            size,
            alt="The scan coloured by its distance from the face, within the crop",
            controls={"radius": slider},
        )

    def draw(self, radius: int, size: int | None = None) -> np.ndarray:
        """The scan with a crop of `radius` mm, one of the radii, the error written on it: (size, size, 3) uint8."""
        error = self.errors[self.radii.index(radius)]
        distance, inside = np.zeros((2, 1, len(self.scan.vertices)))
        distance[0, error.query], inside[0, error.query] = error.distance, 1
        vertices = torch.from_numpy(self.scan.vertices).float()[None]
        triangles = torch.from_numpy(self.scan.triangles)
        face = distance_heads(
            vertices, triangles, distance, inside=inside, yaw=self.yaw, size=size or self.size
        )[0]
        return captioned(face, f"{radius} mm: {error.rmse:.2f} mm")

    def stills(self, radii, height: int = 190) -> np.ndarray:
        """The scan at some radii (mm), side by side: (H, W, 3) uint8."""
        return tile([self.draw(radius, height) for radius in radii], height=height)


def crop_slider(model: Surface, scan: Surface, *, live: bool | None = None, **how) -> CropSlider:
    """Show a `CropSlider`, whose arguments these are, and return it. live: see `LiveFigure.show`."""
    return CropSlider(model, scan, **how).show(live)
