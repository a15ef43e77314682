"""Faces shown by themselves have a skull and a neck, where their model has them; what was fitted stays the face."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import show
from helpers.camera import Pose, model_to_camera, project
from helpers.datasets import known_faces
from helpers.face_model import load
from helpers.fitting import FitModel, FitSettings, fit
from helpers.rendering import render
from helpers.show.playground.drawing import Sketch
from helpers.show.playground.face import Face
from helpers.show.sliders.pose_light import PoseLight
from helpers.show.sliders.pose_light import turned as rotation
from helpers.show.views import place, studio


@pytest.fixture(scope="module")
def model():
    return load("open", level=0)


def test_a_turned_head_has_a_back_in_the_strip_of_a_fit(model):
    known, size = known_faces(model, 1, max_yaw=5.0), 200
    result = fit(
        known.image, known.landmarks, FitModel(model), settings=FitSettings(schedule=((2.0, 3, 500),))
    )
    crop = SimpleNamespace(image=known.image)
    bare, whole = (
        show.fit_strip(crop, result, each, yaw=60, height=size, titles=False)
        for each in (replace(model, rest=None), model)
    )
    assert np.array_equal(bare[:, : 3 * size], whole[:, : 3 * size]), (
        "overlay and points are of the face alone"
    )
    vertices = model.whole_head.shape(result.alpha, result.expression)
    pose, camera, _ = studio((60,), size, whole=True)
    points = project(model_to_camera(vertices, pose), camera)[0]
    ear, occiput, nape = model.landmarks[0], vertices[0, :, 2].argmin(), vertices[0, :, 1].argmin()
    u, v = points[occiput, :2].round().int().tolist()
    assert u + 5 < points[: model.n_vertices, 0].min() < points[ear, 0], "no part of the face is seen there"
    for left in (4 * (size + 6), 5 * (size + 6)):  # grey and in colour
        panel = whole[:, left : left + size]
        assert panel[v, u + 4].max() < 250
        assert (panel[int(points[nape, 1]) - 3] < 250).any()
        assert (bare[:, left : left + size] < 250).any(-1).mean() > 0.2, (
            "a model without the rest shows its face"
        )


def test_the_picture_holds_the_whole_head(model):
    head = model.whole_head
    people = head.sample(12, torch.Generator().manual_seed(1))
    people.alpha[:2, 0] = torch.tensor([-3.0, 3.0])  # the smallest and the largest
    for yaw in (0, 60, -120):
        drawn = torch.stack(
            show.portraits(head.shape(people.alpha), head.triangles, head.texture(people.beta), yaw, 96)
        )
        covered = (drawn < 0.98).any(-1)
        rim = torch.cat([covered[:, 0], covered[:, -1], covered[:, :, 0], covered[:, :, -1]], 1)
        assert not rim.any() and covered.float().mean() > 0.2, yaw


def test_nobody_looks_into_the_neck(model):
    head = model.whole_head
    view = PoseLight(head.mean_shape, head.triangles, head.mean_texture, 128)
    pose = Pose(rotation(0, 40, 0)[None], place(whole=True))
    hollow = render(view.vertices, head.triangles, view.albedo, pose, view.camera).mask[0]
    shown = (view.draw(yaw=0, pitch=40, even=1.0) < 1).any(-1)
    gone = hollow & ~shown
    rows = gone.any(1).nonzero()[:, 0]
    assert (
        not (shown & ~hollow).any() and gone.sum() > 30 and rows.min() > 0.75 * hollow.any(1).nonzero().max()
    )


def test_the_playground_lays_the_face_alone_over_a_photograph(model):
    bare, whole = (Sketch(each, 96) for each in (replace(model, rest=None), model))
    face, paper = Face.mean(model, 96), torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(0))
    over = [sketch.draw(face, paper, skin_only=True) for sketch in (bare, whole)]
    assert torch.equal(*over) and (over[0] != paper).any()
    alone = [(sketch.alone(face, 60) < 0.98).any(-1).sum() for sketch in (bare, whole)]
    assert alone[1] > 1.4 * alone[0]
