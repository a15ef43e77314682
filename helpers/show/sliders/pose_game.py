"""A face whose pose, and whose landmarks' noise and outliers, sliders set; beside it the pose that is estimated."""

from __future__ import annotations

import numpy as np
import torch

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.landmarks import SimulatedDetector
from helpers.lighting import STUDIO_LIGHT
from helpers.pose import estimate_pose
from helpers.rendering import render
from helpers.show.figures import as_bytes, write
from helpers.show.on_cpu import on_cpu
from helpers.show.pose import pose_error
from helpers.show.sliders.live_figure import LiveFigure, Slider
from helpers.show.style import DETECTED, MODELLED
from helpers.show.views import CLAY, DISTANCE, DROP, HEAD_DISTANCE, is_whole

ROBUST_PX = 3.0


class PoseGame(LiveFigure):
    """Two pictures side by side: left the true face with its simulated landmarks, right the head as estimated from
    them, in clay, with rings where its landmarks fall. `draw` names the sliders; `robust` is a switch."""

    SLIDERS = {
        "yaw": Slider("yaw", -60, 60, 25, 2, "°"),
        "pitch": Slider("pitch", -30, 30, 0, 2, "°"),
        "noise": Slider("noise", 0.0, 6.0, 1.0, 0.25, " px"),
        "outliers": Slider("outliers", 0, 40, 0, 2, " %"),
    }

    def __init__(self, model, size: int = 256):
        """Show the game for the first time.

        Args:
            model: its mean face is the one that is shown and the one that is fitted.
            size: px of each square that would hold the face; a whole head gets a wider one, on which the face is as large.
        """
        import ipywidgets

        self.model = on_cpu(model.whole_head)
        self.points = self.model.mean_shape[self.model.landmarks][None]
        focal, self.whole = 1000 * size / 224, is_whole(self.model.mean_shape)
        if self.whole:
            size = round(size * HEAD_DISTANCE / DISTANCE)
        self.size, self.camera = size, Camera.default(size, focal=focal, device="cpu")
        robust = ipywidgets.Checkbox(True, description=f"robust weights, {ROBUST_PX:g} px")
        super().__init__(
            self.draw,
            2 * size,
            size,
            alt="Left a face with its landmarks, right the head in the pose that is estimated from them",
            controls={"robust": robust},
        )

    def draw(
        self,
        yaw: float = 25.0,
        pitch: float = 0.0,
        noise: float = 1.0,
        outliers: float = 0.0,
        robust: bool = True,
    ) -> np.ndarray:
        """The picture, and on it how far the estimate is off.

        Args:
            yaw: degrees, of the true pose.
            pitch: degrees, of the true pose.
            noise: standard deviation of the landmarks' noise, px.
            outliers: % of the points that are wrong.
            robust: whether points that fit badly count less.

        Returns:
            (size, 2 · size, 3) uint8.
        """
        return self._page(*self.estimate(yaw, pitch, noise, outliers, robust))

    def estimate(
        self, yaw=25.0, pitch=0.0, noise=1.0, outliers=0.0, robust=True
    ) -> tuple[Pose, Pose, torch.Tensor]:
        """The true pose, the estimated one, and the landmarks (68, 2) px that it is estimated from; arguments as for `draw`."""
        angles = torch.deg2rad(torch.tensor([[-float(pitch), float(yaw), 0.0]]))
        truth = Pose.from_euler(angles, torch.tensor([[0.0, DROP, DISTANCE]]))
        detector = SimulatedDetector.of_face(
            self.points, truth, self.camera, noise_px=noise, outliers=outliers / 100
        )
        found = torch.from_numpy(detector.detect()[0].points)
        robust_px = ROBUST_PX if robust else None
        return truth, estimate_pose(found[None], self.points, self.camera, robust_px=robust_px).pose, found

    def _heads(self, poses: Pose) -> torch.Tensor:
        """(2, S, S, 3): the face in its colours in the first pose, in clay in the second."""
        model = self.model
        albedo = torch.stack([model.mean_texture, torch.tensor(CLAY).expand_as(model.mean_texture)])
        camera = Camera(
            self.camera.focal.expand(2), self.camera.principal_point.expand(2, -1), self.camera.size
        )
        with torch.no_grad():
            return render(
                model.mean_shape[None],
                model.triangles,
                albedo,
                poses,
                camera,
                STUDIO_LIGHT[None],
                cull_backfaces=self.whole,
            ).image.clamp(0, 1)

    def _page(self, truth: Pose, estimate: Pose, found: torch.Tensor) -> np.ndarray:
        from PIL import Image, ImageDraw

        both = zip(
            (truth.rotation_vector, truth.translation),
            (estimate.rotation_vector, estimate.translation),
            strict=True,
        )
        heads = self._heads(Pose(*(torch.cat(two) for two in both)))
        seen = project(model_to_camera(self.points, estimate), self.camera)[0, :, :2]
        page = Image.fromarray(as_bytes(torch.cat([heads[0], heads[1]], 1)))
        pen = ImageDraw.Draw(page)
        for (x, y), (u, v) in zip(found.tolist(), seen.tolist(), strict=True):
            for left in (0, self.size):
                if not left <= x + left < left + self.size:
                    continue  # an outlier may land on the neighbour's picture
                pen.ellipse([x + left - 2, y - 2, x + left + 2, y + 2], fill=DETECTED, outline="#10302A")
            pen.ellipse([u + self.size - 3, v - 3, u + self.size + 3, v + 3], outline=MODELLED)
        turn, shift = (float(each) for each in pose_error(estimate, truth))
        letters = self.size // 16  # to be read in a still, which is smaller
        words = f"off by {turn:.1f}° and {shift:.0f} mm"
        write(page, (self.size * 1.5, self.size - letters), words, size=letters)
        return np.asarray(page)

    def stills(self, settings, columns: int = 2, height: int = 210) -> np.ndarray:
        """Pictures without sliders, in rows.

        Args:
            settings: the arguments of `draw` for each.
            columns: pictures in a row.
            height: of each picture, px.

        Returns:
            (H, W, 3) uint8.
        """
        pages = [self.strip(settings[k : k + columns], height) for k in range(0, len(settings), columns)]
        width = max(page.shape[1] for page in pages)  # the last row may hold fewer
        paper = [((0, 0), (0, width - page.shape[1]), (0, 0)) for page in pages]
        return np.concatenate(
            [np.pad(page, pad, constant_values=255) for page, pad in zip(pages, paper, strict=True)]
        )

    def setting(self, name: str, value) -> str:
        """A setting in words, such as "noise 3 px"."""
        if name == "robust":
            return "robust" if value else "plain least squares"
        return super().setting(name, value)


def pose_game(model, size: int = 256, *, live: bool | None = None) -> PoseGame:
    """Show the two pictures with their sliders, and return the game.

    Args:
        model: its mean face is the one that is shown and the one that is fitted.
        size: px of each square.
        live: see `LiveFigure.show`.
    """
    return PoseGame(model, size).show(live)
