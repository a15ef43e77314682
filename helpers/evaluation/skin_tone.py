"""The tone of skin as one angle, and the names of its six classes."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab

# Classes from light to dark, each with the angle above which it begins.
SKIN_TYPES = {
    "very light": 55.0,
    "light": 41.0,
    "intermediate": 28.0,
    "tan": 10.0,
    "brown": -30.0,
    "dark": -90.0,
}


def typology_angle(srgb: np.ndarray) -> np.ndarray:
    """Compute the individual typology angle of skin, ITA = atan2(L* − 50, b*), in CIELAB under D65.

    Args:
        srgb: (..., 3), 0 to 1.

    Returns:
        (...) degrees.

    Source:
        A. Chardon, I. Cretois and C. Hourseau, "Skin colour typology and suntanning pathways", 1991.
    """
    lab = rgb2lab(np.asarray(srgb, float))
    return np.degrees(np.arctan2(lab[..., 0] - 50, lab[..., 2]))


def skin_type(angle: float) -> str:
    """The class of an individual typology angle, degrees, of `SKIN_TYPES`."""
    return next((name for name, above in SKIN_TYPES.items() if angle > above), "dark")
