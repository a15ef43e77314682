"""A picture that follows its controls, whatever it shows; and the door through which all that is drawn comes."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from helpers.camera import Pose
from helpers.face_model import load
from helpers.show.on_cpu import on_cpu
from helpers.show.sliders.live_figure import LiveFigure, Slider


class Grey(LiveFigure):
    SLIDERS = {"level": Slider("level", 0, 100, 20, 5, " %"), "other": Slider("other", 0, 1, 0.5, 0.1)}

    def __init__(self):
        self.drawn = []
        super().__init__(self.draw, 4, 3, alt="grey")

    def draw(self, level, other=0.0):
        self.drawn.append((level, other))
        return torch.full((3, 4, 3), level / 100)


@pytest.fixture
def grey():
    pytest.importorskip("ipywidgets")
    return Grey()


def test_a_figure_is_drawn_once_a_move(grey):
    assert grey.drawn == [(20, 0.5)] and grey.image.tooltip == "grey"
    assert [control.description for control in grey.controls.values()] == ["level (%)", "other"]
    grey.controls["level"].value = 45
    assert grey.drawn[1:] == [(45, 0.5)]
    with grey.one_redraw():
        grey.controls["level"].value, grey.controls["other"].value = 50, 0.1
    assert grey.drawn[2:] == [(50, 0.1)]


def test_moving_to_and_fro_ends_where_it_began(grey):
    assert np.isfinite(grey.updates_per_second(4))
    levels = [level for level, _ in grey.drawn[1:]]
    assert len(levels) == 5 and levels[-1] == 20 and len(set(levels)) == 5


def test_stills_have_their_settings_as_titles(grey):
    strip = grey.strip([{"level": 0}, {"level": 100, "other": 1}], height=60)
    assert strip.shape == (60 + 24, 2 * 80 + 6, 3)
    assert (strip[30:, :80] == 0).all() and (strip[:24, :80] < 128).any()
    assert grey.setting("level", -5) == "level −5 %"


@dataclass(frozen=True)
class Crop:
    image: torch.Tensor
    name: str


def test_all_comes_to_the_cpu_without_gradients():
    tensor = torch.zeros(2, requires_grad=True)
    crop, (pose, nothing), by_name = on_cpu(
        (Crop(tensor, "a"), [Pose(torch.zeros(1, 3), torch.ones(1, 3)), None], {"x": tensor, "n": 3})
    )
    assert crop.name == "a" and not crop.image.requires_grad and crop.image.data_ptr() == tensor.data_ptr()
    assert isinstance(pose, Pose) and nothing is None and by_name["n"] == 3
    assert not by_name["x"].requires_grad
    model = load("open", level=0)
    assert on_cpu(model).triangles is model.triangles  # what is kept by mesh finds it again


@pytest.mark.gpu
def test_what_a_gpu_computed_is_drawn():
    from helpers import show

    model = load("open", level=0, device="cuda")
    pose = Pose(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1250.0]])).to("cuda")
    assert show.modes_table(model, modes=(1,), height=40).any()
    assert show.heads(model.mean_shape[None], model.triangles, size=32)[0].device.type == "cpu"
    assert show.model_with_points(model, 32)[0].device.type == "cpu"
    camera = show.sliders.PoseGame(model, size=32).camera.to("cuda")
    assert show.head_over(torch.ones(32, 32, 3), model.mean_shape, model.triangles, pose, camera).any()
    assert show.pose_light(model.mean_shape, model.triangles, model.mean_texture, 32, live=False).image.value
