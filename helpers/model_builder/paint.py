"""Paint a random skin: pigments in a layer model, then hair, eyes, mouth and shade.

Skin follows Beer–Lambert: log colour = log(bare skin) − melanin · MELANIN − haemoglobin · HAEMOGLOBIN, in linear
light. Everything is invented; the ranges are chosen for plausible pictures, not measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from helpers.model_builder.skin import SkinMaps

BARE_SKIN = np.array([0.83, 0.63, 0.475])  # linear light, without pigment
MELANIN = np.array([2.15, 2.72, 3.05])  # absorption by channel
HAEMOGLOBIN = np.array([0.12, 0.78, 0.72])
# Skin tone is drawn as sRGB green, evenly on both sides of its mean, so that a linear model of three standard
# deviations stays among the colours that exist. (Drawn as melanin it is so skewed that it does not.)
TONE_MEAN, TONE_SPREAD, TONE_RANGE = 0.575, 0.080, (0.33, 0.75)
IRIS_RADIUS, PUPIL_RADIUS = 5.85, 1.9  # mm; people's irises are 11.7 mm across


def linear_to_srgb(c: np.ndarray) -> np.ndarray:
    """Convert linear light, clipped to 0 to 1, to sRGB (IEC 61966-2-1)."""
    c = np.clip(c, 0, 1)
    return np.where(c < 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)


def srgb_to_linear(c: np.ndarray) -> np.ndarray:
    """Convert sRGB to linear light (IEC 61966-2-1)."""
    return np.where(c < 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def mix(under: np.ndarray, over: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Lay colour `over` on colours `under` (V, 3) with opacity `amount` (V,)."""
    amount = amount[:, None]
    return under * (1 - amount) + over * amount


def ramp(start: float, end: float, x: np.ndarray | float) -> np.ndarray:
    """Rise from 0 at `start` to 1 at `end`, straight between and flat outside."""
    return np.clip((x - start) / (end - start), 0, 1)


@dataclass(frozen=True)
class Complexion:
    """One invented person.

    Attributes:
        melanin: Density, without a unit.
        haemoglobin: Density, without a unit.
        age: 0 to 1.
        male: Whether stubble may grow.
        hair: (3,) colour in linear light.
    """

    melanin: float
    haemoglobin: float
    age: float
    male: bool
    hair: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Complexion:
        """Invent a person."""
        green = np.clip(rng.normal(TONE_MEAN, TONE_SPREAD), *TONE_RANGE)
        haemoglobin = np.clip(rng.normal(0.22, 0.07), 0.05, 0.5)
        density = np.log(BARE_SKIN[1]) - HAEMOGLOBIN[1] * haemoglobin - np.log(srgb_to_linear(green))
        melanin = max(density / MELANIN[1], 0.0)
        age, male = rng.beta(1.6, 2.2), bool(rng.random() < 0.5)
        grey = np.clip((age - 0.7) * 1.6 + rng.normal(0, 0.12), 0, 0.6)
        fair = np.clip(1.5 * max(0.0, 0.26 - melanin) * abs(rng.normal()), 0, 0.6)
        hair = np.array([0.022, 0.014, 0.010]) * (1 - fair) + np.array([0.20, 0.125, 0.06]) * fair
        return cls(melanin, haemoglobin, age, male, hair * (1 - grey) + 0.22 * grey)


def paint(maps: SkinMaps, rng: np.random.Generator) -> np.ndarray:
    """Paint a random face.

    Args:
        maps: Where each pigment, hair and shade may lie.
        rng: Of the random numbers.

    Returns:
        (V, 3) sRGB, 0 to 1.
    """
    who = Complexion.draw(rng)
    colour = skin(maps, who, rng)
    colour = hair(maps, who, rng, colour)
    colour = np.where(maps.eye[:, None], eyes(maps, who, rng), colour)
    colour = mouth(maps, colour)
    colour *= 1 - 0.30 * (1 - np.clip(maps.exposure * 1.15, 0, 1))[:, None] * ~maps.eye[:, None]
    return linear_to_srgb(colour).astype(np.float32)


def skin(maps: SkinMaps, who: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Paint pigmented skin and lips: (V, 3) linear."""
    zone = maps.zone

    def varied(**zones: tuple[float, float]) -> np.ndarray:
        """Sum of zones, each with a random strength (mean, spread)."""
        total = np.zeros_like(zone["cheek"])
        for name, (mean, spread) in zones.items():
            total = total + zone[name] * rng.normal(mean, spread)
        return total

    coarse, fine, spots = maps.blotches(rng), maps.blotches(rng), maps.blotches(rng)
    melanin = who.melanin * (1 + 0.08 * coarse) + (0.012 + 0.02 * who.melanin) * fine
    melanin = melanin + 0.03 * (0.3 + who.melanin) * varied(
        under_eye=(1.0, 0.6),
        upper_lid=(0.7, 0.5),
        around_mouth=(0.15, 0.4),
        temple=(0.2, 0.4),
        forehead=(0.3, 0.5),
        neck=(0.0, 0.5),
        bridge=(0.0, 0.3),
    )
    if who.melanin < 0.35:
        freckles = np.clip(spots * 1.3 - 0.75, 0, None) * (
            zone["cheek"] + zone["nose"] + 0.6 * zone["forehead"] + 0.15
        )
        melanin = melanin + freckles * max(0.0, rng.normal(0, 0.06)) * (0.5 + who.age)
    blood = who.haemoglobin * (1 + 0.11 * spots + 0.08 * fine * (0.3 + 0.7 * who.age))
    blood = blood + who.haemoglobin * varied(
        cheek=(0.55, 0.35),
        nose=(0.45, 0.35),
        ears=(0.5, 0.3),
        chin=(0.2, 0.2),
        under_eye=(0.25, 0.25),
        upper_lid=(0.2, 0.2),
        glabella=(0.0, 0.15),
        neck=(-0.15, 0.2),
        forehead=(-0.15, 0.2),
        nose_fold=(0.2, 0.2),
    )
    bare = np.log(BARE_SKIN) + rng.normal(0, 0.03) + np.array([0, 0, rng.normal(0, 0.04)])
    log_skin = (
        bare - np.clip(melanin, 0, None)[:, None] * MELANIN - np.clip(blood, 0, None)[:, None] * HAEMOGLOBIN
    )

    lip_melanin = 0.85 * who.melanin + 0.4 * (0.10 + 0.12 * who.melanin + rng.normal(0, 0.03))
    lip_blood = 0.55 + rng.normal(0, 0.15) - 0.2 * who.melanin + 0.4 * who.haemoglobin
    lip_blood += 0 if who.male else 0.12 * abs(rng.normal(0, 0.8))
    log_lip = bare - lip_melanin * MELANIN - np.clip(lip_blood, 0.1, 1.6) * 1.05 * HAEMOGLOBIN
    return np.exp(mix(log_skin, log_lip, maps.lips * (0.85 + 0.1 * np.tanh(rng.normal()))))


def hair(maps: SkinMaps, who: Complexion, rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Paint brows, beard shadow, hairline and lashes on top of the skin: (V, 3) linear."""
    thickness = 3.6 + 0.7 * who.male + rng.normal(0, 0.4)  # half the height of the brow, mm
    density = np.clip(0.90 + 0.05 * who.male + rng.normal(0, 0.08), 0.4, 1.0)
    height = rng.normal(0, 0.4)
    for above, position in maps.brows:
        taper = np.clip(np.minimum(1.9 * (1.04 - position), 2.5 * position + 0.62), 0, 1)
        across = np.clip(1 - ((above - height) / np.maximum(thickness * taper, 0.3)) ** 2, 0, 1)
        strand = 0.86 + 0.14 * maps.strands
        colour = mix(
            colour,
            who.hair,
            np.clip(
                density * across**0.5 * strand * ramp(0.0, 0.03, position) * ramp(1.0, 0.96, position),
                0,
                0.97,
            ),
        )
    if who.male:
        stubble = np.clip(abs(rng.normal(0, 0.20)), 0, 0.7)
        moustache = np.clip(stubble + rng.normal(0, 0.08), 0, 0.75)
        shadow = np.maximum(maps.beard * stubble, maps.moustache * moustache) * (0.92 + 0.08 * maps.strands)
        colour = mix(colour, who.hair * 0.6 + 0.036, np.clip(shadow, 0, 1))
    scalp = maps.hairline * np.clip(rng.normal(0.22, 0.15), 0, 0.6)
    colour = mix(colour, who.hair * 0.8 + colour * 0.2, scalp)
    line = np.clip(1 - maps.lid_distance / np.where(maps.upper_lid, 1.35, 0.6), 0, 1)
    line = (
        line
        * np.where(maps.upper_lid, 0.85, 0.35)
        * (0.8 if who.male else 1.0)
        * np.clip(rng.normal(1, 0.2), 0.4, 1.3)
    )
    return mix(colour, np.array([0.02, 0.014, 0.012]), np.clip(line * (1 - maps.eye_corner), 0, 0.95))


def eyes(maps: SkinMaps, who: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Paint white, iris and pupil: (V, 3) linear; only the vertices of the eyes matter."""
    brown = np.array([0.045, 0.022, 0.010]) * (1 + abs(rng.normal(0, 0.5)))
    light = (
        np.array([0.14, 0.16, 0.08])
        if rng.random() < 0.4
        else np.array([0.15, 0.22, 0.30]) * rng.normal(1, 0.12)
    )
    share = np.clip(ramp(0.12, 0.32, who.melanin) + 0.9 * rng.random(), 0, 1)
    iris_colour = brown * share + light * (1 - share)

    white = np.array([0.62, 0.58, 0.54]) * (1 - 0.12 * who.age) + np.array([rng.normal(0, 0.015), 0, 0])
    colour = np.repeat(white[None], len(maps.eye), axis=0)
    colour = mix(colour, np.array([0.45, 0.20, 0.17]), 0.4 * maps.eye_corner)
    # The lids shade the eyeball, the upper one more.
    shade_reach = np.where(maps.upper_lid, 3.4, 1.8)
    lid_shade = (0.52 + 0.48 * np.clip(maps.lid_distance / shade_reach, 0, 1))[:, None]

    r = maps.iris_radius
    fibres = 1 + 0.18 * np.cos(maps.iris_angle * 17 + rng.normal(0, 3)) * np.clip((r - 2) / 3, 0, 1)
    limbus = 1 - 0.6 * ramp(IRIS_RADIUS - 1.3, IRIS_RADIUS, r)
    iris = iris_colour * (fibres * limbus * (1 + 0.35 * (1 - ramp(2.2, 4.2, r))))[:, None]
    colour = mix(colour, iris, 1 - ramp(IRIS_RADIUS - 0.35, IRIS_RADIUS + 0.35, r))
    return mix(colour, np.full(3, 0.008), 1 - ramp(PUPIL_RADIUS - 0.3, PUPIL_RADIUS + 0.3, r)) * lid_shade


def mouth(maps: SkinMaps, colour: np.ndarray) -> np.ndarray:
    """Paint the dark cavity, upper teeth, the dark line between the lips, nostrils: (V, 3) linear."""
    colour = mix(colour, np.array([0.10, 0.025, 0.022]), maps.mouth)
    tooth = np.array([0.52, 0.47, 0.39]) * (1 - 0.45 * maps.tooth_gap)[:, None]
    colour = np.where(maps.teeth[:, None] > 0.5, tooth, colour)
    colour = colour * (1 - 0.55 * np.exp(-((maps.seam_distance / 0.7) ** 2)) * (maps.teeth < 0.5))[:, None]
    return colour * (1 - 0.75 * maps.nostril)[:, None]
