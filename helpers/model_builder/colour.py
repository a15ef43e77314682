"""Colours of the painter: sRGB and linear light, and the tone of skin as one angle."""

from __future__ import annotations

import numpy as np
from skimage.color import rgb2lab


def linear_to_srgb(c: np.ndarray) -> np.ndarray:
    """Convert linear light, clipped to 0 to 1, to sRGB (IEC 61966-2-1)."""
    c = np.clip(c, 0, 1)
    return np.where(c < 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)


def typology_angle(srgb: np.ndarray) -> np.ndarray:
    """Compute the individual typology angle of skin, ITA = atan2(L* − 50, b*), in CIELAB under D65.

    Above 55° skin is called very light, then light (41°), intermediate (28°), tan (10°), brown (−30°) and dark.

    Args:
        srgb: (..., 3), 0 to 1.

    Returns:
        (...) degrees.

    Source:
        A. Chardon, I. Cretois and C. Hourseau, "Skin colour typology and suntanning pathways", 1991.
    """
    lab = rgb2lab(np.asarray(srgb, float))
    return np.degrees(np.arctan2(lab[..., 0] - 50, lab[..., 2]))
