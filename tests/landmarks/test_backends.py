"""Every detector keeps to one interface; those that cannot run here say what is missing."""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers import landmarks
from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.errors import UserError
from helpers.landmarks import clnf_backend, dlib_backend, dlib_cnn_backend, registry, simulated
from helpers.photo import default_photos, read_photo

POINTS = np.random.default_rng(1).uniform(10, 90, (68, 2))
WALL = np.full((100, 120, 3), 0.5, np.float32)
needs_cnn = pytest.mark.skipif(dlib_cnn_backend.missing() is not None, reason="dlib is not installed")


# The registry ---------------------------------------------------------------------------------------------


def test_every_backend_says_whether_it_can_run():
    missing = landmarks.missing_backends()
    assert list(missing) == ["dlib", "dlib-cnn", "clnf"]
    for reason in missing.values():
        assert reason is None or ("\n" not in reason and ("install" in reason or "download" in reason))


def test_a_detector_is_made_by_name(tmp_path):
    landmarks.write_points(tmp_path / "a.json", POINTS)
    from_file = landmarks.detector("file", path=tmp_path / "a.json").detect(WALL)
    pretended = landmarks.detector("simulated", truth=POINTS, noise_px=0.0).detect(WALL)
    for faces, name in ((from_file, "file"), (pretended, "simulated")):
        assert len(faces) == 1 and faces[0].backend == name
        np.testing.assert_allclose(faces[0].points, POINTS, atol=1e-5)
    with pytest.raises(ValueError, match="magic"):
        landmarks.detector("magic")
    with pytest.raises(ValueError, match="searches the photograph"):
        landmarks.detector("auto", path=tmp_path)
    with pytest.raises(ValueError, match="must be told"):
        landmarks.detect(WALL, "simulated")
    assert landmarks.detect(WALL, landmarks.SimulatedDetector(POINTS))[0].backend == "simulated"


class Fixed(types.SimpleNamespace):
    """A backend that finds what it is given, and counts how often it is asked."""

    def missing(self):
        return self.reason

    def detect(self, image, seed=0):
        self.asked += 1
        return self.faces


def test_auto_asks_in_turn_until_one_finds_a_face(monkeypatch):
    face = landmarks.Detection.from_points(POINTS)
    backends = {
        "dlib": Fixed(reason=None, faces=[], asked=0),
        "dlib-cnn": Fixed(reason="not there", faces=[face], asked=0),
        "clnf": Fixed(reason=None, faces=[face], asked=0),
    }
    monkeypatch.setattr(registry, "_module", backends.__getitem__)
    assert landmarks.detect(WALL) == [face]
    assert [b.asked for b in backends.values()] == [1, 0, 1]
    other = landmarks.Detection.from_points(POINTS + [200, 0])
    backends["dlib"].faces = [landmarks.Detection.from_points(POINTS + 5)]
    backends["clnf"].faces = [face, other]
    found = landmarks.detect_all(WALL)
    assert [len(found), *(f.faces for f in found)] == [
        2,
        2,
        2,
    ]  # one of them was found twice, and counts once
    assert {float(f.points[0, 0]) for f in found} == {
        *(np.float32(POINTS + [5, 0])[0, :1]),
        other.points[0, 0],
    }
    backends["dlib"].faces = backends["clnf"].faces = []
    assert landmarks.detect(WALL) == landmarks.detect_all(WALL) == []
    with pytest.raises(UserError, match="no landmark detector: not there"):
        landmarks.detect(WALL, "dlib-cnn")
    for name, backend in backends.items():
        backend.reason = f"install {name}"
    with pytest.raises(UserError, match="no landmark detector: install dlib$"):
        landmarks.detect(WALL)


# dlib's network -------------------------------------------------------------------------------------------


@needs_cnn
@pytest.mark.slow
def test_the_network_agrees_with_the_default_detector_on_an_upright_face():
    photo = read_photo(default_photos()["astronaut"]).image[20:260, 100:340]
    stored = landmarks.stored_points("astronaut").points - [100, 20]
    faces = landmarks.detect(photo, "dlib-cnn")
    assert len(faces) == 1 and faces[0].backend == "dlib-cnn" and faces[0].confidence > 0.7
    error = np.linalg.norm(faces[0].points - stored, axis=1).mean()
    assert error / landmarks.eye_distance(stored) < 0.015
    middle = stored.mean(0)
    assert (faces[0].box[:2] < middle).all() and (middle < faces[0].box[2:]).all()


@needs_cnn
@pytest.mark.parametrize("tilt", [-50, 45])
@pytest.mark.slow
def test_the_network_finds_a_tilted_face_that_the_default_detector_misses(tilt):
    photo = read_photo(default_photos()["astronaut"]).image[20:260, 100:340]
    turned = np.asarray(
        Image.fromarray((photo * 255).astype(np.uint8)).rotate(tilt, Image.Resampling.BICUBIC)
    )
    turned = turned.astype(np.float32) / 255
    assert landmarks.detect(turned, "dlib") == []
    faces = landmarks.detect(turned)
    assert len(faces) == 1 and faces[0].backend == "dlib-cnn"
    # Where the stored points go when the picture is turned about its middle, anticlockwise as seen.
    stored = landmarks.stored_points("astronaut").points - [100, 20]
    cos, sin, middle = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt)), 119.5
    expected = (stored - middle) @ np.array([[cos, -sin], [sin, cos]]) + middle
    error = np.linalg.norm(faces[0].points - expected, axis=1).mean()
    assert error / landmarks.eye_distance(stored) < 0.03


@needs_cnn
def test_the_network_finds_no_face_on_a_wall():
    assert landmarks.detect(WALL, "dlib-cnn") == []


def test_missing_parts_of_the_network_are_named(monkeypatch):
    monkeypatch.setattr(dlib_backend, "missing", lambda: None)
    monkeypatch.setattr(dlib_backend, "model_file", lambda name: None)
    assert "network for faces" in dlib_cnn_backend.missing()
    monkeypatch.setattr(dlib_backend, "missing", lambda: "dlib is not installed")
    assert dlib_cnn_backend.missing() == "dlib is not installed"


# Simulated ------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 8), st.floats(20, 400))
def test_the_simulated_confidence_reports_the_noise(noise, eyes):
    confidence = simulated.confidence_of(noise / eyes * 100)
    assert 0 < confidence <= 1
    assert simulated.noise_of(confidence, eyes) == pytest.approx(noise, rel=1e-6)


def test_simulated_noise_has_the_size_it_reports():
    detector = landmarks.SimulatedDetector(POINTS, noise_px=2.0)
    faces = [detector.detect(seed=seed)[0] for seed in range(200)]
    error = np.stack([face.points for face in faces]) - POINTS
    assert error.std() == pytest.approx(2.0, rel=0.02)
    assert abs(error.mean()) < 0.05
    assert {face.backend for face in faces} == {"simulated"}
    reported = simulated.noise_of(faces[0].confidence, landmarks.eye_distance(POINTS))
    assert reported == pytest.approx(2.0, rel=1e-6)
    assert (detector.detect(seed=3)[0].points == faces[3].points).all()
    uneven = landmarks.SimulatedDetector(POINTS, noise_px=np.linspace(0, 5, 68))
    error = np.stack([uneven.detect(seed=seed)[0].points for seed in range(300)]) - POINTS
    np.testing.assert_allclose(error.std((0, 2)), np.linspace(0, 5, 68), rtol=0.15, atol=1e-5)


def test_simulated_outliers_are_as_many_as_asked_for():
    face = landmarks.SimulatedDetector(POINTS, noise_px=0.0, outliers=0.25).detect()[0]
    assert (np.abs(face.points - POINTS).max(1) > 1e-3).sum() == 17
    assert face.confidence == 1  # it does not know of them


def test_a_simulated_face_is_projected_by_its_camera():
    points = torch.randn(68, 3, generator=torch.Generator().manual_seed(0)) * 40
    pose = Pose(torch.tensor([[0.1, -0.4, 0.2]]), torch.tensor([[10.0, -5.0, 900.0]]))
    camera = Camera.default(224)
    face = landmarks.SimulatedDetector.of_face(points, pose, camera, noise_px=0).detect()[0]
    expected = project(model_to_camera(points[None], pose), camera)[0, :, :2]
    np.testing.assert_allclose(face.points, expected, atol=1e-4)
    behind = Pose(pose.rotation_vector, -pose.translation)
    with pytest.raises(ValueError, match="in front of the camera"):
        landmarks.SimulatedDetector.of_face(points, behind, camera)


def test_wrong_simulations_are_refused():
    for bad in (
        {"truth": POINTS[:60]},
        {"truth": POINTS * np.nan},
        {"truth": POINTS, "noise_px": -1.0},
        {"truth": POINTS, "outliers": 1.5},
    ):
        with pytest.raises(ValueError, match="must be"):
            landmarks.SimulatedDetector(**bad)
    with pytest.raises(ValueError, match="confidence"):
        simulated.noise_of(0.0, 50)


# CLNF -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "likelihood, confidence",
    [(-1.5, 0), (-2, 0), (0.5, 1), (3, 1), (-0.5, 0.5), (-1.0, 0.25), (float("nan"), 0), (-np.inf, 0)],
)
def test_clnf_confidence_is_that_of_the_authors(likelihood, confidence):
    assert clnf_backend.confidence_of(likelihood) == pytest.approx(confidence)


def test_the_likelihood_is_the_mean_of_the_logs():
    """Against sums written out cell by cell."""
    maps = {7: np.random.default_rng(0).uniform(size=(7, 7)), 30: np.eye(11)}
    logs = []
    for response in maps.values():
        n, total = len(response), 0.0
        for row in range(n):
            for column in range(n):
                squared = (row - n / 2) ** 2 + (column - n / 2) ** 2
                total += response[row, column] * np.exp(-squared / (2 * 2.25**2))
        logs.append(np.log(total + 1e-8))
    assert clnf_backend.mean_log_response(maps) == pytest.approx(np.mean(logs), rel=1e-12)
    with pytest.raises(ValueError, match="at least one"):
        clnf_backend.mean_log_response({})


class StandInForCLNF:
    """Not CLNF: an object with the calls of pyclnf 0.4.1 that the adapter makes, and fixed answers.

    It checks what it is given as the real one would take it: 8-bit pixels with blue first, boxes as x, y, width,
    height, and no memory of the photograph before.
    """

    def __init__(self, use_gpu=True):
        print("[OK] greeting, as the real one does")
        assert use_gpu is False
        self.detector, self.optimizer = self, types.SimpleNamespace(_scale_cache={})
        self.fresh = False

    def detect(self, image):
        assert image.dtype == np.uint8 and (image[0, 0] == [0, 128, 255]).all()
        boxes = np.array([[10.0, 20, 30, 40], [50, 20, 60, 40], [5, 5, 8, 8]])
        return boxes, np.zeros((3, 5, 2))

    def reset_temporal_state(self):
        self.fresh = True

    def fit_multi_hypothesis(self, image, face_bbox, return_params=False, detector_type=None):
        assert self.fresh and return_params
        self.fresh = False
        return np.zeros((68, 2)), {"params": np.array(face_bbox), "model_likelihood": -1e-3}

    def fit(
        self,
        image,
        face_bbox,
        initial_params=None,
        landmarks_5pt=None,
        return_params=False,
        detector_type=None,
    ):
        assert self.fresh and (initial_params == face_bbox).all()
        self.fresh = False
        x, y, width, height = face_bbox
        sure = 1.0 if width > 10 else 1e-6  # the third box is no face
        self.optimizer._scale_cache = {
            0.25: {"response_maps": {0: np.zeros((11, 11))}},
            0.5: {"response_maps": {i: np.full((7, 7), 0.05 * sure) for i in range(68)}},
        }
        return np.array([x, y]) + POINTS / 100 * [width, height], {"converged": True}


@pytest.fixture
def stand_in(monkeypatch):
    package, models = types.ModuleType("pyclnf"), types.ModuleType("pyclnf.models")
    package.CLNF, package.models = StandInForCLNF, models
    models.models_ready, models.models_dir = lambda: True, lambda: "/models"
    monkeypatch.setitem(sys.modules, "pyclnf", package)
    monkeypatch.setitem(sys.modules, "pyclnf.models", models)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: package if name == "pyclnf" else found(name)
    )
    clnf_backend._load.cache_clear()
    yield package
    clnf_backend._load.cache_clear()


def orange():
    image = np.empty((80, 120, 3), np.float32)
    image[:] = (1.0, 0.5, 0.0)
    return image


def test_the_clnf_adapter_speaks_the_interface(stand_in, capsys):
    assert clnf_backend.missing() is None
    faces = landmarks.detect(orange(), "clnf")
    assert [face.backend for face in faces] == ["clnf", "clnf"] and all(f.faces == 2 for f in faces)
    np.testing.assert_allclose(faces[0].box, [50, 20, 110, 60])  # the wider first
    np.testing.assert_allclose(faces[0].points, [50, 20] + POINTS * [0.6, 0.4], rtol=1e-5)
    expected = clnf_backend.confidence_of(clnf_backend.mean_log_response({0: np.full((7, 7), 0.05)}))
    assert 0.5 < expected < 1 and faces[0].confidence == pytest.approx(expected)
    assert capsys.readouterr().out == ""


def test_what_clnf_lacks_is_said(stand_in, monkeypatch):
    stand_in.models.models_ready = lambda: False
    assert "/models" in clnf_backend.missing() and "pyclnf-download-models" in clnf_backend.missing()
    with pytest.raises(UserError, match="pyclnf-download-models"):
        landmarks.detect(orange(), "clnf")
    monkeypatch.setattr(clnf_backend.importlib.util, "find_spec", lambda name: None)
    assert "pip install pyclnf" in clnf_backend.missing() and "CC BY-NC" in clnf_backend.missing()


def test_a_clnf_without_detector_or_responses_is_refused(stand_in, monkeypatch):
    fitter = StandInForCLNF(use_gpu=False)
    assert clnf_backend._responses(fitter, {"response_maps": {0: 1}}) == {0: 1}
    with pytest.raises(UserError, match="no likelihood"):
        clnf_backend._responses(fitter, {})
    fitter.detector = None
    monkeypatch.setattr(stand_in, "CLNF", lambda use_gpu: fitter)
    with pytest.raises(UserError, match="pymtcnn"):
        landmarks.detect(orange(), "clnf")


@pytest.mark.skipif(importlib.util.find_spec("pyclnf") is None, reason="pyclnf is not installed")
def test_the_real_pyclnf_has_what_the_adapter_calls():
    """Where pyclnf is installed, with or without model files."""
    import inspect

    import pyclnf

    for name in ("fit", "fit_multi_hypothesis"):
        told = inspect.signature(getattr(pyclnf.CLNF, name)).parameters
        assert {"image", "face_bbox", "return_params"} <= set(told)
    assert "initial_params" in inspect.signature(pyclnf.CLNF.fit).parameters
    assert "use_gpu" in inspect.signature(pyclnf.CLNF.__init__).parameters
    assert callable(pyclnf.CLNF.reset_temporal_state)
    reason = clnf_backend.missing()
    assert reason is None or "pyclnf-download-models" in reason
