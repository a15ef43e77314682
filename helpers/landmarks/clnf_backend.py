"""Landmarks by CLNF, the detector that the paper used, as ported to Python in pyclnf.

Constrained local neural fields: for each of the 68 points a small network estimates how likely it is at each place
nearby, and a statistical shape model keeps the points a face (Baltrušaitis, Robinson, Morency 2013). The port is
of OpenFace 2.2, whose networks are younger than the paper.

Confidence, as in the authors' code: clamp((likelihood + 1.5) · 0.5, 0, 1). The likelihood is the mean over the
points of log Σ response · e^(−d²/2σ²), with d the distance from the point in the response map and σ = 2.25
(`mean_log_response`). pyclnf 0.4.1 names a number of its own `model_likelihood`, but fills it from the shape
alone: it never keeps the responses of the fit. So they are taken here from one more fit that starts at the result.
The constants 1.5 and 0.5 were set for the paper's networks; with others the same number need not mean the same.

pyclnf needs opencv-python below 5, which lies in the same folder as opencv-python-headless and overwrites it: where
the latter is installed for comparisons (extra `dev`), give pyclnf an environment of its own.

Licences: pyclnf is CC BY-NC 4.0. It comes without model files: they are OpenFace's, for research and not for
commercial use, and every user fetches them after reading that licence. Nothing is downloaded from here.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
from functools import lru_cache

import numpy as np

from helpers.errors import UserError
from helpers.landmarks.detection import CONFIDENCE_NEEDED, Detection, largest_first

INSTALL = "pip install pyclnf 'pymtcnn[onnx]' (CC BY-NC), then run pyclnf-download-models and pymtcnn-download-models"
FETCH = "read OpenFace's licence, then run pyclnf-download-models and pymtcnn-download-models (440 MB)"
OFFSET, GAIN = 1.5, 0.5  # of the authors' code
KERNEL_WIDTH = 2.25  # of the Gaussian, cells of a response map


def missing() -> str | None:
    """Tell what is missing: one line on what to do, or None if this backend can be used."""
    if importlib.util.find_spec("pyclnf") is None:
        return f"pyclnf is not installed: {INSTALL}"
    try:
        models = importlib.import_module("pyclnf.models")
    except ImportError as error:
        return f"pyclnf does not start ({' '.join(str(error).split())}): {INSTALL}"
    if not models.models_ready():
        return f"pyclnf's model files are not in {models.models_dir()}: {FETCH}"
    return None


@lru_cache(1)
def _load():
    """The fitter. Loading takes seconds and 400 MB, so it is kept."""
    with contextlib.redirect_stdout(io.StringIO()):  # it greets
        fitter = importlib.import_module("pyclnf").CLNF(use_gpu=False)
    if fitter.detector is None:
        raise UserError(f"pyclnf's face detector does not start: pip install 'pymtcnn[onnx]', then {FETCH}")
    return fitter


def detect(image: np.ndarray, seed: int = 0) -> list[Detection]:
    """Find the faces in an image.

    Args:
        image: (H, W, 3) sRGB, 0 to 1.
        seed: Changes nothing, as nothing here is random.

    Returns:
        The faces, the largest first.

    Raises:
        UserError: pyclnf does not start.
    """
    fitter = _load()
    blue_first = np.ascontiguousarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)[..., ::-1])
    found = []
    with contextlib.redirect_stdout(io.StringIO()):
        for x, y, width, height in fitter.detector.detect(blue_first)[0]:
            points, likelihood = _fit(fitter, blue_first, (x, y, width, height))
            confidence = confidence_of(likelihood)
            if confidence >= CONFIDENCE_NEEDED and np.isfinite(points).all():
                box = np.array([x, y, x + width, y + height], np.float32)
                found.append(Detection(box, np.asarray(points, np.float32), confidence, 0.0, "clnf"))
    return largest_first(found)


def confidence_of(likelihood: float) -> float:
    """Compute clamp((likelihood + 1.5) · 0.5, 0, 1), with which the authors weigh photographs; NaN counts as 0."""
    value = (likelihood + OFFSET) * GAIN
    return float(min(max(value, 0.0), 1.0)) if value == value else 0.0


def mean_log_response(responses: dict[int, np.ndarray]) -> float:
    """Compute the likelihood of a fit.

    Args:
        responses: By point, a map (n, n) of how likely the point is at each cell; the point itself lies in the middle.

    Returns:
        The mean over the points of the log of the responses under a Gaussian, without a unit.

    Raises:
        ValueError: There is no map.
    """
    if not responses:
        raise ValueError("the likelihood needs at least one response map")
    logs = []
    for response in responses.values():
        away = np.arange(len(response)) - len(response) / 2  # pyclnf and OpenFace call n/2 the middle
        bell = np.exp(-(away**2) / (2 * KERNEL_WIDTH**2))
        logs.append(np.log(bell @ np.asarray(response, float) @ bell + 1e-8))
    return float(np.mean(logs))


def _fit(fitter, blue_first: np.ndarray, box: tuple[float, ...]) -> tuple[np.ndarray, float]:
    """68 points px of the face in a box x, y, width, height, and their likelihood."""
    fitter.reset_temporal_state()  # it is made for videos: each photograph is the first frame
    _, first = fitter.fit_multi_hypothesis(blue_first, box, return_params=True)
    fitter.reset_temporal_state()
    points, info = fitter.fit(blue_first, box, initial_params=first["params"], return_params=True)
    return points, mean_log_response(_responses(fitter, info))


def _responses(fitter, info: dict) -> dict[int, np.ndarray]:
    """The response maps of the last fit at its finest scale: in `info`, or where pyclnf 0.4.1 leaves them."""
    if info.get("response_maps"):
        return info["response_maps"]
    kept = getattr(getattr(fitter, "optimizer", None), "_scale_cache", None)
    if not kept:
        raise UserError(
            "this pyclnf keeps no response maps, so it has no likelihood: pip install pyclnf==0.4.1"
        )
    return kept[max(kept)]["response_maps"]
