"""Who can find the 68 points, and the choice among them.

A detector is any object with `detect(image, seed=0) -> [Detection]`. The backends that search a photograph are
modules of this folder, each with `detect` and with `missing()`; they are detectors as they stand. Two more
detectors know the answer beforehand and must be told it: `FileDetector` and `SimulatedDetector`.
"""

from __future__ import annotations

import importlib
from typing import Protocol

import numpy as np

from helpers.errors import UserError
from helpers.landmarks.detection import Detection, largest_first, without_repeats

# Name of a backend -> its module, in the order in which "auto" asks them.
BACKENDS = {"dlib": "dlib_backend", "dlib-cnn": "dlib_cnn_backend", "clnf": "clnf_backend"}
# Name of a detector that is told the answer -> the module and the class that is made with it.
TOLD = {"file": ("files", "FileDetector"), "simulated": ("simulated", "SimulatedDetector")}


class Detector(Protocol):
    """Anything that finds faces in an image."""

    def detect(self, image: np.ndarray, seed: int = 0) -> list[Detection]:
        """Find the faces in an image (H, W, 3) sRGB, 0 to 1.

        The largest comes first; the list is empty if there is none; the same image and seed give the same answer.
        """
        ...


def missing_backends() -> dict[str, str | None]:
    """Tell, for each backend that searches a photograph, what to install in one line; None if it can be used."""
    return {name: _module(name).missing() for name in BACKENDS}


def any_backend() -> bool:
    """Tell whether one of them can be used; asks no further than the first that can."""
    return any(_module(name).missing() is None for name in BACKENDS)


def detector(name: str, **told) -> Detector:
    """Make a detector by name.

    Args:
        name: "auto", one of BACKENDS, or "file" (path=…) or "simulated" (truth=…, noise_px=…).
        **told: What the last two must be told.

    Returns:
        The detector.

    Raises:
        ValueError: The name is not known, or a backend that searches is told something.
        UserError: What it needs is not installed.
    """
    if name in TOLD:
        module, made_by = TOLD[name]
        return getattr(importlib.import_module(f".{module}", __package__), made_by)(**told)
    if told:
        raise ValueError(
            f"the backend {name!r} searches the photograph and is told nothing, got {', '.join(told)}"
        )
    if name == "auto":
        return _FirstThatFinds()
    if name not in BACKENDS:
        raise ValueError(f"backend must be auto or one of {', '.join([*BACKENDS, *TOLD])}, got {name!r}")
    module = _module(name)
    reason = module.missing()
    if reason is not None:
        raise UserError(f"no landmark detector: {reason}")
    return module


def detect(image: np.ndarray, backend: str | Detector = "auto", seed: int = 0) -> list[Detection]:
    """Find the faces in an image.

    Args:
        image: (H, W, 3) floats, sRGB, 0 to 1.
        backend: A detector, or the name of one that searches. "auto" asks those that are installed in the order of
            BACKENDS until one finds a face.
        seed: Of the detector's random numbers.

    Returns:
        The faces, the largest first; empty if there is none.

    Raises:
        ValueError: The image has another shape or type, or the backend is not known.
        UserError: No detector is installed.
    """
    image = _checked(image)
    if isinstance(backend, str):
        if backend in TOLD:
            raise ValueError(f"the backend {backend!r} must be told the points: detector({backend!r}, …)")
        backend = detector(backend)
    return backend.detect(image, seed=seed)


def detect_all(image: np.ndarray, seed: int = 0) -> list[Detection]:
    """Find every face in an image, as of a group: all that any installed backend finds, in a finer search than `detect`'s.

    Args:
        image: (H, W, 3) floats, sRGB, 0 to 1.
        seed: Of the detectors' random numbers.

    Returns:
        The faces, the largest first; empty if there is none.

    Raises:
        ValueError: The image has another shape or type.
        UserError: No detector is installed.
    """
    image = _checked(image)
    modules = _installed()
    searches = [getattr(module, "detect_all", module.detect) for module in modules]
    return largest_first(without_repeats([face for search in searches for face in search(image, seed=seed)]))


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != "f":
        raise ValueError(
            f"image must be floats of shape (H, W, 3) from 0 to 1, got {image.dtype} {image.shape}"
        )
    return image


class _FirstThatFinds:
    """Asks the installed backends in turn until one finds a face."""

    def detect(self, image: np.ndarray, seed: int = 0) -> list[Detection]:
        found = (module.detect(image, seed=seed) for module in _installed())
        return next((faces for faces in found if faces), [])


def _installed() -> list:
    """The backends that can be used. Raises UserError where there is none."""
    reasons = missing_backends()
    if None not in reasons.values():
        raise UserError(f"no landmark detector: {next(iter(reasons.values()))}")
    return [_module(name) for name, reason in reasons.items() if reason is None]


def _module(name: str):
    return importlib.import_module(f".{BACKENDS[name]}", __package__)
