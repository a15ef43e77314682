"""A person whom a network looks at: turn the head, move the light, spoil the picture, and see whom it takes her for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from helpers.camera import DEFAULT_FOCAL, Camera, Pose, model_to_camera, project
from helpers.crop import FaceCrop, authors_crop
from helpers.evaluation import shape_rmse
from helpers.landmarks import Detection
from helpers.lighting import DEFAULT_LIGHT
from helpers.rendering import render
from helpers.show.faces import heads
from helpers.show.figures import tile
from helpers.show.on_cpu import on_cpu
from helpers.show.sliders.live_figure import LiveFigure, Slider

SHOWN_TURN = 20  # degrees, of the heads that are compared


class GlanceSlider(LiveFigure):
    """One known person of the model, seen at any turn and light, beside the shape that a network predicts, and the truth, both as
    neutral heads. `draw` names the sliders."""

    SLIDERS = {
        "turn": Slider("turn", -70.0, 70.0, 0.0, 3.5, "°"),
        "lamp": Slider("light from the side", -0.6, 0.6, 0.0, 0.03),
        "grey": Slider("grey", 0.0, 1.0, 0.0, 0.025),
    }

    def __init__(self, network, model, alpha, beta, size: int = 200):
        """Show the person for the first time.

        Args:
            network: a `helpers.regression.predict.Network`.
            model: the face model of the person.
            alpha: (1, K), the person's shape.
            beta: (1, K), the person's texture.
            size: px of each of the three squares.
        """
        self.network, self.size = network, size
        self.model, self.head, alpha, beta = on_cpu((model, model.whole_head, alpha, beta))
        self.truth, self.colours = self.model.shape(alpha), self.model.texture(beta)
        self.true_head = heads(self.head.shape(alpha), self.head.triangles, yaw=SHOWN_TURN, size=size)[0]
        super().__init__(
            self.draw,
            3 * size,
            size,
            alt="What the network sees, the head that it predicts, and the true one",
        )

    def arranged(self):
        """The sliders below the picture, which is wide."""
        import ipywidgets

        return ipywidgets.VBox([self.image, *self.controls.values()])

    def crop(self, turn: float = 0.0, lamp: float = 0.0, grey: float = 0.0) -> FaceCrop:
        """The person as the authors' crop shows her.

        Args:
            turn: of the head, degrees.
            lamp: how much brighter the light is from the viewer's right.
            grey: share of the colour that is taken away, 0 to 1.

        Returns:
            The crop, S px per side.
        """
        S = self.network.size
        rotation = torch.tensor([[0.0, math.radians(turn), 0.0]])
        pose = Pose(rotation, torch.tensor([[0.0, 0.0, 1200.0]]))
        camera = Camera.default(S, focal=DEFAULT_FOCAL * S / 224, device="cpu")
        points = project(model_to_camera(self.truth[:, self.model.landmarks], pose), camera)[0, :, :2]
        # The face is drawn in its crop at once; the blank picture only says where that lies.
        face = Detection.from_points(points.numpy())
        square = authors_crop(np.zeros((S, S, 3), np.float32), face, S, device="cpu")
        camera = square.camera_of_crop(camera)
        light = DEFAULT_LIGHT[None].clone()
        light[:, 1] += lamp
        with torch.no_grad():
            image = render(
                self.truth, self.model.triangles, self.colours, pose, camera, light, background=0.5
            ).image.clamp(0, 1)
        return replace(square, image=image + grey * (image.mean(-1, keepdim=True) - image))

    def look(self, **settings: float) -> tuple[torch.Tensor, torch.Tensor, float]:
        """What the network makes of the person.

        Args:
            settings: as for `crop`.

        Returns:
            The crop (S, S, 3), the whole head (1, V + R, 3) mm that is predicted, and the error of its face in mm after
            alignment.
        """
        crop = self.crop(**settings)
        shape = self.head.shape(on_cpu(self.network.predict(crop)).alpha)
        face = shape[:, : self.model.n_vertices]
        return crop.image[0], shape, float(shape_rmse(face, self.truth, self.model.masks["skin"][None]))

    def draw(self, turn: float = 0.0, lamp: float = 0.0, grey: float = 0.0) -> np.ndarray:
        """Crop, prediction and truth side by side, (size, 3 · size, 3) uint8; arguments as for `crop`."""
        image, shape, error = self.look(turn=turn, lamp=lamp, grey=grey)
        head = heads(shape, self.head.triangles, yaw=SHOWN_TURN, size=self.size)[0]
        titles = ["seen", f"predicted: {error:.1f} mm off", "truth"]
        return tile([image, head, self.true_head], titles, height=self.size, gap=0)

    def stills(self, turns=(-60.0, -30.0, 0.0, 30.0, 60.0)) -> np.ndarray:
        """What is seen and what is predicted at several turns (degrees), and the truth: (H, W, 3) uint8."""
        looks = [self.look(turn=turn) for turn in turns]
        seen = [*(image for image, _, _ in looks), torch.ones(150, 150, 3)]
        below = [heads(shape, self.head.triangles, yaw=SHOWN_TURN, size=150)[0] for _, shape, _ in looks]
        below.append(self.true_head)
        errors = [*(f"{error:.1f} mm off" for _, _, error in looks), "truth"]
        above = tile(seen, [*(f"{turn:.0f}°" for turn in turns), ""], height=150)
        return np.concatenate([above, tile(below, errors, height=150)])


def glance_slider(network, model, alpha, beta, size: int = 200, *, live: bool | None = None) -> GlanceSlider:
    """Show a person and what the network takes her for, with sliders, and return the whole.

    Args:
        network: a `helpers.regression.predict.Network`.
        model: the face model of the person.
        alpha: (1, K), the person's shape.
        beta: (1, K), the person's texture.
        size: px of each of the three squares.
        live: see `LiveFigure.show`.
    """
    return GlanceSlider(network, model, alpha, beta, size).show(live)
