# Warp compiles these functions, not Python.
"""The camera's curve for kernels: the twin of `helpers.lighting.gamma_encode`, and its slope."""

from helpers._warp import wp
from helpers.lighting.colour import DARKEST, GAMMA

LEAST = wp.constant(DARKEST)
CURVE = wp.constant(GAMMA)


@wp.func
def gamma_encode(light: float) -> float:
    return wp.pow(wp.max(light, LEAST), 1.0 / CURVE)


@wp.func
def gamma_slope(light: float, shown: float) -> float:
    """Derivative of `shown`, the encoded light, by the light; 0 where that is held at the least."""
    if light < LEAST:
        return 0.0
    return shown / (CURVE * light)
