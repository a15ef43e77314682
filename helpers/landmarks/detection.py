"""One face found in a photograph, and the choice of who finds it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np

from ..errors import UserError

N_LANDMARKS = 68
# Name of a backend -> module with `detect(image, seed)` and `missing()`, best first for "auto".
BACKENDS = {"dlib": "dlib_backend"}
# A face is reported from this confidence on; what the number means is the backend's to say.
CONFIDENCE_NEEDED = 0.5
# Points that spread more than this, in % of the outer eye distance, deserve a look before they are believed.
SPREAD_DOUBTFUL = 3.0


@dataclass(frozen=True)
class Detection:
    """A face with its 68 points in the order of 300-W (iBUG): jaw 0–16, brows 17–26, nose 27–35, eyes 36–47,
    mouth 48–67; left and right as the viewer sees them.

    box: (4,) x0, y0, x1, y1 px.  points: (68, 2) px, pixel centres at integers.
    confidence: how sure the detector is that this is a face, 0 to 1.
    spread: how far the points move when the box is moved a little, % of the outer eye distance (0: unknown).
    backend: who found it.  faces: how many faces the photograph has.
    """

    box: np.ndarray
    points: np.ndarray
    confidence: float
    spread: float
    backend: str
    faces: int = 1

    @classmethod
    def from_points(
        cls, points: np.ndarray, confidence: float = 1.0, spread: float = 0.0, backend: str = "file"
    ):
        """A face known by its points alone; the box is the one around them."""
        points = np.asarray(points, np.float32)
        return cls(np.concatenate([points.min(0), points.max(0)]), points, confidence, spread, backend)


def missing_backends() -> dict[str, str | None]:
    """For each backend None if it can be used, else one line that says what to install."""
    return {name: _module(name).missing() for name in BACKENDS}


def detect(image: np.ndarray, backend: str = "auto", seed: int = 0) -> list[Detection]:
    """Find the faces in an image (H, W, 3), sRGB from 0 to 1: a list, the largest first, empty if there is none.

    backend: "auto" takes the first that is installed. Raises UserError if none is.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != "f":
        raise ValueError(
            f"image must be floats of shape (H, W, 3) from 0 to 1, got {image.dtype} {image.shape}"
        )
    if backend != "auto" and backend not in BACKENDS:
        raise ValueError(f"backend must be auto or one of {', '.join(BACKENDS)}, got {backend!r}")
    for name in BACKENDS if backend == "auto" else [backend]:
        module = _module(name)
        reason = module.missing()
        if reason is None:
            return module.detect(image, seed=seed)
    raise UserError(f"no landmark detector: {reason}")


def _module(name: str):
    return importlib.import_module(f".{BACKENDS[name]}", __package__)
