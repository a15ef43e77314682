"""Points dragged on a photograph: the plain pose follows a wrong point, the robust one stays."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.face_model import load
from helpers.show.sliders import PoseDrag
from helpers.show.sliders.pose_drag import WAYS, sentence

PLAIN, ROBUST = WAYS


@pytest.fixture
def drag():
    model, camera = load("open", level=0), Camera.default(224)
    pose = Pose(torch.tensor([[0.0, 0.3, 0.0]]), torch.tensor([[0.0, 0.0, 1200.0]]))
    points = project(model_to_camera(model.mean_shape[model.landmarks][None], pose), camera)[0, :, :2]
    return PoseDrag(model, torch.full((224, 224, 3), 0.5), points, camera)


def shifted(drag, number, x, y):
    return [[a + x * (k == number), b + y * (k == number)] for k, (a, b) in enumerate(drag.found)]


def test_one_wrong_point_pulls_the_plain_pose_only(drag):
    moved = drag.moved(drag.estimates(torch.tensor(shifted(drag, 8, 0.0, 40.0))))
    assert moved[PLAIN][2] < -10 and abs(moved[ROBUST][2]) < 1  # a lower chin makes a larger, nearer face


def test_all_points_dragged_alike_hardly_turn_the_head(drag):
    moved = drag.moved(drag.estimates(torch.tensor(drag.found) + torch.tensor([5.0, 0.0])))
    assert all(abs(each) < 1 for each in moved[PLAIN][:2]) and abs(moved[PLAIN][2]) < 3


def test_the_picture_follows_the_points_that_the_browser_sends(drag):
    def seen():
        return np.asarray(Image.open(io.BytesIO(drag.picture))).astype(int)

    start, words = seen(), drag.words
    drag.points = shifted(drag, 30, 60.0, 0.0)
    assert np.abs(seen() - start).mean() > 0.5 and drag.words != words
    drag.points = drag.found
    np.testing.assert_array_equal(seen(), start)
    assert drag.still(8, (0.0, 40.0), height=60).shape == (84, 3 * 60 + 2 * 6, 3)
    assert sentence(-1.26, 0.0, 3.4) == "yaw −1.3°, pitch +0.0°, +3 mm"
