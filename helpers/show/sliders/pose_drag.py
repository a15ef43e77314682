"""Landmarks on a photograph to drag with the mouse: the pose that they ask for follows, by plain and by robust least squares."""

from __future__ import annotations

from pathlib import Path

import anywidget
import numpy as np
import torch
import traitlets
from torch import Tensor

from helpers.camera import Camera
from helpers.face_model import MorphableModel
from helpers.pose import PoseEstimate, estimate_pose
from helpers.show.figures import captioned, draw_landmarks, tile
from helpers.show.mesh import display_live
from helpers.show.on_cpu import on_cpu
from helpers.show.pose import head_over
from helpers.show.sliders.live_figure import quick_png
from helpers.show.sliders.pose_game import ROBUST_PX
from helpers.show.viewer.packing import jpeg_of

WAYS = {"plain least squares": None, f"robust weights, {ROBUST_PX:g} px": ROBUST_PX}


class PoseDrag(anywidget.AnyWidget):
    """A photograph with its points to drag, beside it the mean head in both poses, and how far each has moved.

    Attributes:
        points: (68, 2) px as lists, as they are now.
        found: where they were at first.
        photo: JPEG of the square photograph.
        picture: PNG of both heads.
        words: what the picture shows.
        side: of the photograph, px.
        height: of both on the page, px.
    """

    _esm = Path(__file__).with_suffix(".js").read_text("utf-8")
    points = traitlets.List().tag(sync=True)
    found = traitlets.List().tag(sync=True)
    photo = traitlets.Bytes(b"").tag(sync=True)
    picture = traitlets.Bytes(b"").tag(sync=True)
    words = traitlets.Unicode("").tag(sync=True)
    side = traitlets.Int().tag(sync=True)
    height = traitlets.Int(300).tag(sync=True)

    def __init__(self, model: MorphableModel, image: Tensor, points: Tensor, camera: Camera):
        """Show the photograph with its points where they were found.

        Args:
            model: whose mean face is fitted.
            image: (S, S, 3) sRGB, 0 to 1.
            points: (68, 2) px.
            camera: of the photograph.
        """
        self.model, self.image, points, self.camera = on_cpu((model, image, points, camera))
        self.points_3d = self.model.mean_shape[self.model.landmarks][None]
        self.before = self.estimates(points)
        found = points.tolist()
        super().__init__(found=found, points=found, photo=jpeg_of(self.image), side=len(self.image))
        self.observe(lambda _: self.follow(), "points")
        self.follow()

    def estimates(self, points: Tensor) -> dict[str, PoseEstimate]:
        """The pose that points (68, 2) ask for, each way of `WAYS`."""
        return {
            way: estimate_pose(points[None], self.points_3d, self.camera, robust_px=robust)
            for way, robust in WAYS.items()
        }

    def moved(self, estimates: dict[str, PoseEstimate]) -> dict[str, tuple[float, float, float]]:
        """By how much yaw and pitch (degrees) and distance (mm) differ from those at first, each way of `WAYS`."""
        found = {}
        for way, now in estimates.items():
            was = self.before[way].pose
            angles = (now.pose.yaw_pitch_roll() - was.yaw_pitch_roll())[0]
            away = float(now.pose.translation[0, 2] - was.translation[0, 2])
            found[way] = (float(angles[0]), float(angles[1]), away)
        return found

    def follow(self) -> None:
        """Draw the heads of the points as they are now."""
        estimates = self.estimates(torch.tensor(self.points))
        self.words = "; ".join(f"{way}: {sentence(*by)}" for way, by in self.moved(estimates).items())
        self.picture = quick_png(tile(self._heads(estimates), list(WAYS), height=self.height))

    def _heads(self, estimates: dict[str, PoseEstimate]) -> list[np.ndarray]:
        model, heads = self.model, []
        for way, by in self.moved(estimates).items():
            pose = estimates[way].pose
            head = head_over(self.image, model.mean_shape, model.triangles, pose, self.camera, axes=False)
            heads.append(captioned(head, sentence(*by)))
        return heads

    def still(self, number: int, shift: tuple[float, float], height: int = 190) -> np.ndarray:
        """The photograph after one drag, and both heads, for those who only read the page: (H, W, 3) uint8.

        Args:
            number: of the point.
            shift: px to the right and down.
            height: of each, px.
        """
        points = torch.tensor(self.found)
        points[number] += torch.tensor(shift)
        dotted = draw_landmarks(self.image, points, torch.tensor(self.found), height=self.side)
        heads = self._heads(self.estimates(points))
        return tile([dotted, *heads], ["● dragged  ○ found", *WAYS], height=height)


def sentence(yaw: float, pitch: float, away: float) -> str:
    """A change of pose in words."""
    yaw, pitch, away = round(yaw, 1) + 0.0, round(pitch, 1) + 0.0, round(away) + 0.0  # no −0
    return f"yaw {yaw:+.1f}°, pitch {pitch:+.1f}°, {away:+.0f} mm".replace("-", "−")


def pose_drag(
    model: MorphableModel, image: Tensor, points: Tensor, camera: Camera, *, live: bool | None = None
) -> PoseDrag:
    """Show a photograph with points to drag and the poses that follow, and return the widget.

    Args:
        model: whose mean face is fitted.
        image: (S, S, 3) sRGB, 0 to 1.
        points: (68, 2) px.
        camera: of the photograph.
        live: see `LiveFigure.show`.
    """
    drag = PoseDrag(model, image, points, camera)
    display_live(lambda: drag, live)
    return drag
