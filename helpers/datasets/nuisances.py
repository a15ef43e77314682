"""What makes two photographs of one person differ: the strengths, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Nuisances:
    """Strengths of all that is not the person. Lengths in px are at an image of 224 px, and scale with it.

    Attributes:
        max_yaw: degrees; pitch and roll go to a third of it.
        expression: standard deviation of its coefficients.
        landmark_noise: px, of the simulated detector on an easy photograph; hard ones have more.
        landmark_share: share of that noise's variance which neighbouring points have in common, as a detector's errors do.
        focal_spread: the focal length is 1000 px times e to the power of a uniform number within ± this.
        light: spread of the light about an even one; 1 as in `known_faces`.
        lamp: light by a lamp with a highlight and cast shadows, as the released fitter does, and not by harmonics. Slower.
        colour: spread of contrast, gain and offset that the camera applies to the whole picture.
        background: share of photographs before something else than plain grey: one third of them before a plain colour,
            one third before a drawn pattern, one third before a photograph.
        occluders: share of photographs with something in front of the face.
        wardrobe: share of photographs of people with hair and clothes, some with a beard, glasses or a hat, as
            `helpers.datasets.wardrobe` makes them; above 0 the others are bald and bare, with cranium and neck. At 0
            people end at the face. It needs a model with a hairline: the open one.
        gaze: share of photographs in which the eyes are turned: half of them to the camera, half anywhere within 20° of straight
            ahead. In the others they look straight ahead of the face. Above 0 it needs a model whose eyes turn: the open one.
        unlike_shape: mm by which people's shapes lie beside the model's, as `helpers.datasets.unmodelled` draws it.
        unlike_skin: the same of their skin, in sRGB from 0 to 1.
        blur: px, the largest standard deviation of a Gaussian blur.
        motion: px, the longest path of face or camera while the shutter is open; a third of the photographs have one.
        noise: the largest standard deviation of the pixels' noise, in sRGB from 0 to 1.
        jpeg: share of photographs that went through JPEG, with a quality of 40 to 95.
        jitter: how far the crop misses its place, as a share of its side, and its size, as a share of that.
    """

    max_yaw: float = 35.0
    expression: float = 0.6
    landmark_noise: float = 1.2
    landmark_share: float = 0.0
    focal_spread: float = 0.5
    light: float = 1.0
    lamp: bool = False
    colour: float = 0.5
    background: float = 1.0
    occluders: float = 0.15
    wardrobe: float = 0.0
    gaze: float = 0.0
    unlike_shape: float = 0.0
    unlike_skin: float = 0.0
    blur: float = 1.0
    motion: float = 0.0
    noise: float = 0.03
    jpeg: float = 0.0
    jitter: float = 0.02

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} must be a finite number from 0, got {value!r}")
        for name in ("landmark_share", "background", "occluders", "wardrobe", "gaze", "jpeg"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share of the photographs, 0 to 1, got {getattr(self, name)}")

    @classmethod
    def none(cls) -> Nuisances:
        """A passport photograph: frontal, neutral, evenly lit, before plain grey, with perfect landmarks."""
        return replace(cls(), **{f.name: 0.0 for f in fields(cls) if f.name != "lamp"})

    @classmethod
    def photographs(cls) -> Nuisances:
        """As photographs of people are, as far as it is known.

        People have hair, clothes, beards and glasses, and are not quite what the model makes of its coefficients. Cameras
        expose faces well and balance white, so little is left of the tint of light.
        """
        return cls(
            max_yaw=40.0,
            expression=0.8,
            landmark_share=0.9,
            colour=0.15,
            occluders=0.05,
            wardrobe=0.85,
            gaze=0.7,
            unlike_shape=1.0,
            unlike_skin=0.02,
            blur=1.4,
            motion=5.0,
            jpeg=0.5,
            jitter=0.04,
        )
