"""Paint a random skin: pigments in a layer model, then hair, eyes, mouth and shade.

Skin follows Beer–Lambert under a constant reflection of its surface: log colour = log(bare skin) − melanin · MELANIN
− haemoglobin · HAEMOGLOBIN, in linear light. Its tone is drawn first, as the individual typology angle, evenly from
dark to very light; melanin follows from it. Everything else is invented; the ranges are chosen for plausible pictures,
not measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helpers.evaluation.skin_tone import typology_angle
from helpers.model_builder.colour import linear_to_srgb
from helpers.model_builder.skin import SkinMaps

BARE_SKIN = np.array([0.80, 0.66, 0.555])  # linear light, without pigment
MELANIN = np.array([1.48, 1.97, 2.36])  # absorption by channel
HAEMOGLOBIN = np.array([0.10, 0.78, 0.62])
SURFACE = 0.015  # reflected by the skin's surface, whatever lies beneath
DARKEST, LIGHTEST = -50.0, 60.0  # individual typology angle, degrees
MOST_MELANIN = 3.0
IRIS_RADIUS, PUPIL_RADIUS = 5.85, 1.95  # mm; people's irises are 11.7 mm across
OCCLUSION = 0.30  # darkening where nothing of the surroundings is seen

BLACK, DARK_BROWN, BROWN = (
    np.array([0.012, 0.009, 0.008]),
    np.array([0.035, 0.021, 0.013]),
    np.array([0.080, 0.046, 0.025]),
)
BLOND, RED, GREY = np.array([0.30, 0.20, 0.105]), np.array([0.20, 0.075, 0.028]), np.array([0.33, 0.32, 0.31])
# Irises, linear light: dark brown, brown, hazel, green, blue, grey-blue.
IRISES = np.array(
    [
        [0.034, 0.017, 0.010],
        [0.080, 0.036, 0.015],
        [0.130, 0.080, 0.025],
        [0.110, 0.135, 0.065],
        [0.110, 0.190, 0.290],
        [0.200, 0.240, 0.270],
    ]
)
LIPSTICKS = np.array([[0.36, 0.03, 0.05], [0.42, 0.14, 0.16], [0.17, 0.03, 0.06], [0.45, 0.20, 0.14]])


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
        tone: Individual typology angle of cheeks and forehead, degrees.
        haemoglobin: Density, without a unit.
        age: 0 to 1.
        male: Whether whiskers may grow.
        hair: (3,) colour in linear light.
    """

    tone: float
    haemoglobin: float
    age: float
    male: bool
    hair: np.ndarray

    @property
    def dark(self) -> float:
        """0 for the lightest skin to 1 for the darkest."""
        return (LIGHTEST - self.tone) / (LIGHTEST - DARKEST)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Complexion:
        """Invent a person."""
        tone = rng.uniform(DARKEST, LIGHTEST)
        haemoglobin = np.clip(rng.normal(0.21, 0.08), 0.04, 0.5)
        age, male = rng.beta(1.3, 1.6), bool(rng.random() < 0.5)
        return cls(tone, haemoglobin, age, male, hair_colour(tone, age, rng))


def hair_colour(tone: float, age: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a hair colour (3,), linear: of any colour on light skin, dark on dark skin, greying with age."""
    fairest = ramp(5, 50, tone)  # how fair the hair may be
    fair = fairest * rng.random() ** 1.4
    scale = np.array([0.0, 0.3, 0.6, 1.0])
    shades = np.stack([BLACK, DARK_BROWN, BROWN, BLOND])
    colour = np.array([np.interp(fair, scale, shade) for shade in shades.T])
    if fairest > 0.5 and rng.random() < 0.12:
        colour = RED * rng.uniform(0.4, 1.0)
    grey = np.clip((age - 0.72) * 3.4 + rng.normal(0, 0.12), 0, 1)
    return colour * (1 - grey) + GREY * grey


def paint(maps: SkinMaps, rng: np.random.Generator) -> np.ndarray:
    """Paint a random face.

    Args:
        maps: Where each pigment, hair and shade may lie.
        rng: Of the random numbers.

    Returns:
        (V, 3) sRGB, 0 to 1.
    """
    return paint_person(maps, Complexion.draw(rng), rng)


def paint_person(maps: SkinMaps, who: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Paint the face of a person: (V, 3) sRGB, 0 to 1."""
    colour = skin(maps, who, rng)
    colour = hair(maps, who, rng, colour)
    colour = np.where(maps.eye[:, None], eyes(maps, who, rng), colour)
    colour = mouth(maps, rng, colour)
    return linear_to_srgb(colour).astype(np.float32)


def skin(maps: SkinMaps, who: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Paint pigmented skin and lips: (V, 3) linear."""
    zone, wrinkle = maps.zone, maps.wrinkles

    def varied(weights: dict[str, np.ndarray], **zones: tuple[float, float]) -> np.ndarray:
        """Sum of zones, each with a random strength (mean, spread)."""
        total = np.zeros_like(zone["cheek"])
        for name, (mean, spread) in zones.items():
            total = total + weights[name] * rng.normal(mean, spread)
        return total

    coarse, fine, spots = maps.blotches(rng), maps.blotches(rng), maps.blotches(rng)
    mottled = np.clip(rng.normal(0.95, 0.25), 0.3, 1.6)
    # Melanin is uneven in two ways: in proportion to its amount, and beside it.
    share = 1 + mottled * 0.14 * coarse
    share = share + 0.20 * varied(
        zone,
        under_eye=(0.4, 0.8),
        upper_lid=(0.4, 0.7),
        around_mouth=(0.3, 0.8),
        temple=(0.1, 0.7),
        forehead=(0.1, 1.0),
        neck=(0.2, 0.8),
        bridge=(0.0, 0.4),
        nose=(0.0, 0.6),
        ears=(0.0, 0.9),
        nose_fold=(0.2, 0.4),
        glabella=(0.1, 0.4),
        chin=(0.1, 0.8),
        cheek=(-0.1, 0.9),
    )
    added = (0.012 + 0.016 * mottled) * fine + 0.02 * rng.normal(0.6, 0.5) * zone["under_eye"]
    added = added + 0.010 * rng.normal(1.0, 0.5) * maps.pores
    freckled = max(0.0, rng.normal(-0.1, 0.55)) * (1 - 0.5 * who.dark)
    added = added + freckled * rng.dirichlet(np.ones(len(maps.freckles))) @ maps.freckles * 0.55
    age_spots = np.clip(spots - 1.0, 0, None) * (zone["temple"] + zone["cheek"] + 0.5 * zone["forehead"])
    added = added + 0.10 * ramp(0.5, 1, who.age) * age_spots
    lined = np.clip(who.age * 1.7 - 0.7, 0, 1)
    lines = lined * varied(
        wrinkle,
        forehead=(1.0, 0.5),
        crows_feet=(1.0, 0.4),
        nose_fold=(1.1, 0.4),
        marionette=(0.8, 0.5),
        eye_bag=(1.0, 0.5),
        glabella=(0.8, 0.6),
    )
    added = added + 0.10 * lines
    blood = 1 + 0.20 * mottled * spots + 0.12 * fine * (0.3 + 0.7 * who.age) + 0.05 * maps.pores
    flush = max(0.0, rng.normal(0.75, 0.45)) * (1 - 0.4 * who.dark)
    blood = blood + flush * varied(
        zone,
        cheek=(0.6, 0.45),
        nose=(0.5, 0.45),
        ears=(0.5, 0.6),
        chin=(0.25, 0.25),
        under_eye=(0.25, 0.3),
        upper_lid=(0.2, 0.25),
        glabella=(0.0, 0.2),
        neck=(-0.15, 0.3),
        forehead=(-0.15, 0.25),
        nose_fold=(0.3, 0.25),
    )
    blood = np.clip(who.haemoglobin * blood + 0.12 * lines, 0, None)
    bare = np.log(BARE_SKIN) + np.array([0, 0, np.clip(rng.normal(0, 0.09), -0.2, 0.2)])
    shade = occlusion(maps)

    def colours(melanin: float, where: np.ndarray | slice) -> np.ndarray:
        pigment = np.clip(melanin * share[where] + added[where], 0, None)
        light = bare - pigment[:, None] * MELANIN - blood[where][:, None] * HAEMOGLOBIN
        return (SURFACE + (1 - SURFACE) * np.exp(light)) * shade[where][:, None]

    patch = np.flatnonzero(maps.tone_patch)
    melanin = melanin_for(who.tone, lambda m: colours(m, patch))
    everywhere = slice(None)
    lips = maps.lips * (0.85 + 0.1 * np.tanh(rng.normal()))
    return mix(colours(melanin, everywhere), lip_colours(maps, who, melanin, bare, rng), lips)


def melanin_for(tone: float, colours: Callable[[float], np.ndarray]) -> float:
    """Find the density of melanin that gives skin its tone, by bisection.

    Args:
        tone: Wanted individual typology angle of the mean colour, degrees.
        colours: From a density to colours (n, 3), linear.

    Returns:
        The density, 0 to `MOST_MELANIN`.
    """
    low, high = 0.0, MOST_MELANIN
    for _ in range(16):
        middle = (low + high) / 2
        if typology_angle(linear_to_srgb(colours(middle).mean(0))) > tone:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def occlusion(maps: SkinMaps) -> np.ndarray:
    """Compute the shade (V,) of folds: skin that sees little of its surroundings gets less light."""
    return 1 - OCCLUSION * (1 - np.clip(maps.exposure * 1.15, 0, 1))


def lip_colours(
    maps: SkinMaps, who: Complexion, melanin: float, bare: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Paint the red of the lips everywhere: (V, 3) linear."""
    pigment = 0.95 * melanin + 0.4 * (0.08 + rng.normal(0, 0.06))
    blood = 0.66 + rng.normal(0, 0.20) - 0.15 * melanin + 0.4 * who.haemoglobin
    folds = 1 + 0.06 * maps.strands
    light = bare - max(pigment, 0) * MELANIN - np.clip(blood, 0.3, 1.6) * 1.05 * folds[:, None] * HAEMOGLOBIN
    colour = (SURFACE + (1 - SURFACE) * np.exp(light)) * occlusion(maps)[:, None]
    if not who.male and rng.random() < 0.6:
        stick = LIPSTICKS[rng.integers(len(LIPSTICKS))] * rng.uniform(0.6, 1.1) * (1 - 0.4 * who.dark)
        colour = mix(colour, stick * occlusion(maps)[:, None], np.full(len(colour), rng.uniform(0.1, 0.8)))
    return colour


def hair(maps: SkinMaps, who: Complexion, rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Paint brows, stubble, scalp hair and lashes on top of the skin: (V, 3) linear."""
    strand = 0.84 + 0.16 * maps.strands
    thickness = np.clip(
        3.4 + 0.9 * who.male + rng.normal(0, 0.75), 1.6, 6.5
    )  # half the height of the brow, mm
    density = np.clip(0.86 + 0.12 * who.male + rng.normal(0, 0.14), 0.25, 1.0)
    height, slope, inner, outer = rng.normal(0, [0.9, 0.8, 0.10, 0.08])
    # Brows are mostly darker than the hair of the head, and grey later.
    brow_colour = 0.35 * who.hair + 0.65 * np.minimum(who.hair, DARK_BROWN)
    for above, position in maps.brows:
        taper = np.clip(np.minimum(1.9 * (1.04 + outer - position), 2.5 * position + 0.62 + inner), 0, 1)
        away = above - height - slope * (position - 0.5) * 2
        across = np.clip(1 - (away / np.maximum(thickness * taper, 0.3)) ** 2, 0, 1) ** 0.6
        ends = ramp(max(0.0, inner), max(0.0, inner) + 0.06, position) * ramp(1.0, 0.94, position)
        colour = mix(colour, brow_colour, np.clip(density * across * strand * ends, 0, 0.97))
    if rng.random() < 0.25:  # brows that nearly meet
        between = maps.zone["glabella"] ** 2 * abs(rng.normal(0, 0.22))
        colour = mix(colour, brow_colour, np.clip(between * strand, 0, 1))
    if who.male:
        colour = mix(colour, 0.6 * who.hair + 0.4 * colour * [0.60, 0.66, 0.74], stubble(maps, rng) * strand)
    top, back = rng.normal([-0.2, 0.0], [0.7, 0.9])
    scalp = maps.hairline(top, back) * np.clip(rng.normal(0.50, 0.34), 0, 0.95) * (0.9 + 0.1 * maps.strands)
    colour = mix(colour, who.hair * 0.9 + colour * 0.1, np.clip(scalp, 0, 1))
    made_up = 0.0 if who.male else abs(rng.normal(0, 0.5))
    lid_colour = np.array([0.16, 0.09, 0.08]) * rng.uniform(0.5, 1.3, 3)
    colour = mix(colour, lid_colour, np.clip(0.45 * made_up * maps.zone["upper_lid"], 0, 0.7))
    line = np.clip(1 - maps.lid_distance / np.where(maps.upper_lid, 1.35 + 0.4 * made_up, 0.7), 0, 1)
    line = (
        line * np.where(maps.upper_lid, 0.85, 0.35) * np.clip(rng.normal(0.85, 0.2) + 0.3 * made_up, 0.3, 1.3)
    )
    lashes = 0.5 * who.hair + 0.5 * BLACK
    return mix(colour, lashes, np.clip(line * (1 - maps.eye_corner), 0, 0.95))


def stubble(maps: SkinMaps, rng: np.random.Generator) -> np.ndarray:
    """Draw whiskers that are shaved, a few days old or cropped: (V,) opacity. Full beards are `face_model.beard_layer`."""
    grown = rng.uniform(0.5, 0.95) if rng.random() < 0.5 else np.clip(abs(rng.normal(0, 0.25)), 0, 0.6)
    cheeks, chin, lip = np.clip(grown * np.clip(rng.normal(1, [0.35, 0.25, 0.3]), 0, 1.6), 0, 0.88)
    return np.max([maps.beard * cheeks, maps.goatee * chin, maps.moustache * lip], axis=0)


def eyes(maps: SkinMaps, who: Complexion, rng: np.random.Generator) -> np.ndarray:
    """Paint white, iris and pupil: (V, 3) linear; only the vertices of the eyes matter."""
    lightest = 1 + 4 * ramp(0, 40, who.tone)  # the lightest iris that goes with this skin
    at = np.clip(rng.uniform(-0.6, 1) * lightest if rng.random() < 0.85 else rng.uniform(0, 2), 0, lightest)
    iris_colour = np.array([np.interp(at, np.arange(len(IRISES)), c) for c in IRISES.T]) * rng.uniform(
        0.8, 1.3
    )

    white = np.array([0.56, 0.525, 0.49]) * (1 - 0.15 * who.age) * rng.uniform(0.9, 1.05)
    white = white * np.array([1, 1 - abs(rng.normal(0, 0.03)), 1 - abs(rng.normal(0, 0.07))])
    colour = np.repeat(white[None], len(maps.eye), axis=0)
    # Beside the ball lies the lids' inner edge, and in the corner the caruncle.
    flesh = np.array([0.42, 0.19, 0.15]) * (1 - 0.4 * who.dark)
    colour = mix(colour, flesh, np.clip(0.8 * (1 - maps.ball) + 0.5 * maps.eye_corner, 0, 1))
    # The lids shade the eyeball, the upper one more.
    reach, least = np.where(maps.upper_lid, 4.2, 1.8), np.where(maps.upper_lid, 0.38, 0.62)
    shade = least + (1 - least) * np.clip(maps.lid_distance / reach, 0, 1) ** 0.8

    r = maps.iris_radius
    fibres = 1 + 0.16 * np.cos(maps.iris_angle * 17 + rng.normal(0, 3)) * np.clip((r - 2) / 3, 0, 1)
    limbus = 1 - 0.65 * ramp(IRIS_RADIUS - 1.5, IRIS_RADIUS, r)
    iris = iris_colour * (fibres * limbus * (1 + 0.4 * (1 - ramp(2.4, 4.4, r))))[:, None]
    colour = mix(colour, iris, 1 - ramp(IRIS_RADIUS - 0.3, IRIS_RADIUS + 0.4, r))
    return (
        mix(colour, np.full(3, 0.006), 1 - ramp(PUPIL_RADIUS - 0.25, PUPIL_RADIUS + 0.35, r)) * shade[:, None]
    )


def mouth(maps: SkinMaps, rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Paint the dark cavity, tongue, upper teeth, the dark line between the lips, nostrils: (V, 3) linear."""
    inside = mix(np.array([0.075, 0.018, 0.016])[None], np.array([0.24, 0.075, 0.07]), maps.tongue)
    colour = mix(colour, inside, maps.mouth)
    enamel = np.array([0.74, 0.69, 0.60]) * rng.uniform(0.88, 1.1) * [1, 1, rng.uniform(0.88, 1.05)]
    tooth = mix(enamel * (1 - 0.55 * maps.tooth_shade)[:, None], np.array([0.40, 0.14, 0.13]), maps.gum)
    colour = np.where(maps.teeth[:, None] > 0.5, tooth, colour)
    colour = colour * (1 - 0.55 * np.exp(-((maps.seam_distance / 0.7) ** 2)) * (maps.teeth < 0.5))[:, None]
    return colour * (1 - 0.75 * maps.nostril)[:, None]
