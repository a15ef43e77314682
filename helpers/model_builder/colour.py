"""Colours of the painter: sRGB and linear light."""

from __future__ import annotations

import numpy as np


def linear_to_srgb(c: np.ndarray) -> np.ndarray:
    """Convert linear light, clipped to 0 to 1, to sRGB (IEC 61966-2-1)."""
    c = np.clip(c, 0, 1)
    return np.where(c < 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)
