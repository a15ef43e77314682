"""Lengths and angles of faces, as anthropometrists measure them, beside published surveys.

`python -m helpers.face_model.anthropometry` prints the table: what people measure, and what the faces of the open face
model do. `measures.csv` lists the measures and the points that each takes, `surveys.csv` the published means and
standard deviations with their sources, `correlations.csv` published correlations; all three lie beside the model.

Points have the names that anthropometry gives them (n, prn, sn, …); a name with two sides is one point on each.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers.assets import ASSETS
from helpers.errors import UserError

FOLDER = ASSETS / "open_face_model"
SEXES = ("M", "F")


@dataclass(frozen=True)
class Measure:
    """One length or angle.

    Attributes:
        key: Short name.
        words: What it is.
        points: Two names for a length, three for an angle, the vertex in the middle. "al_r" is the point of the
            subject's right side, "al_l" of the left.
    """

    key: str
    words: str
    points: tuple[str, ...]

    @property
    def unit(self) -> str:
        """`mm` for a length, `°` for an angle."""
        return "mm" if len(self.points) == 2 else "°"

    def of(self, at: Mapping[str, np.ndarray]) -> np.ndarray:
        """Measure faces.

        Args:
            at: Name of a point → (..., 3) mm.

        Returns:
            (...) mm or degrees.
        """
        p = [at[name] for name in self.points]
        if len(p) == 2:
            return np.linalg.norm(p[0] - p[1], axis=-1)
        one, other = p[0] - p[1], p[2] - p[1]
        across = np.linalg.norm(np.cross(one, other), axis=-1)
        return np.degrees(np.arctan2(across, (one * other).sum(-1)))


@dataclass(frozen=True)
class Row:
    """What one survey reports of one measure in one population.

    Attributes:
        survey: Its short name; `sources.csv` has the citation.
        population: The people, in the survey's words.
        group: One of the groups of the declared mixture.
        sex: "M" or "F".
        measure: Key of the measure.
        mean: mm or degrees.
        sd: Standard deviation, mm or degrees; None where the survey prints none.
    """

    survey: str
    population: str
    group: str
    sex: str
    measure: str
    mean: float
    sd: float | None


def measures(path: Path = FOLDER / "measures.csv") -> list[Measure]:
    """Read the list of measures."""
    return [Measure(row["measure"], row["words"], tuple(row["points"].split())) for row in _rows(path)]


def surveys(path: Path = FOLDER / "surveys.csv") -> list[Row]:
    """Read what the surveys report."""
    return [
        Row(
            *(row[key] for key in ("survey", "population", "group", "sex", "measure")),
            mean=float(row["mean"]),
            sd=float(row["sd"]) if row["sd"] else None,
        )
        for row in _rows(path)
    ]


def correlations(path: Path = FOLDER / "correlations.csv") -> dict[tuple[str, str], float]:
    """Read published correlations within one sex: pair of keys → mean of the published r."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in _rows(path):
        a, b = sorted((row["measure_a"], row["measure_b"]))
        found.setdefault((a, b), []).append(float(row["r"]))
    return {pair: float(np.mean(r)) for pair, r in found.items()}


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise UserError(f"{path}: not readable ({error}); run `git checkout -- assets`") from error


@dataclass(frozen=True)
class Mixture:
    """The declared population for one measure: half of each sex, and every group of people in equal parts.

    Attributes:
        mean: Sex → mean, mm or degrees.
        sd: Sex → standard deviation within and between the groups.
        surveys: Short names of those that report it.
    """

    mean: dict[str, float]
    sd: dict[str, float]
    surveys: tuple[str, ...]

    @property
    def pooled_mean(self) -> float:
        """Mean over both sexes."""
        return float(np.mean(list(self.mean.values())))

    @property
    def pooled_sd(self) -> float:
        """Standard deviation over both sexes: the variance within them, and that between their means."""
        within = np.mean([sd**2 for sd in self.sd.values()])
        return float(np.sqrt(within + np.var(list(self.mean.values()))))


def mixture(rows: list[Row], measure: str) -> Mixture:
    """Mix the populations that report a measure.

    Surveys of one group are averaged; the groups then count the same. The variance of a sex has two parts: that
    within groups, from the printed standard deviations in proportion to their means, and that of the groups' means.

    Args:
        rows: What the surveys report.
        measure: Key.

    Raises:
        UserError: No mean, or no standard deviation, is reported for a sex.
    """
    mine = [row for row in rows if row.measure == measure]
    printed = [row for row in mine if row.sd is not None]
    mean, sd = {}, {}
    for sex in SEXES:
        by_group: dict[str, list[float]] = {}
        for row in mine:
            if row.sex == sex:
                by_group.setdefault(row.group, []).append(row.mean)
        if not by_group or not printed:
            raise UserError(f"surveys.csv: no mean or no standard deviation of {measure} for sex {sex}")
        means = np.array([np.mean(group) for group in by_group.values()])
        mean[sex] = float(means.mean())
        # Where none is printed for a sex, the other sex's, in proportion to the mean.
        same_sex = [row for row in printed if row.sex == sex] or printed
        relative = np.mean([(row.sd / row.mean) ** 2 for row in same_sex if row.sd])
        sd[sex] = float(np.sqrt(relative * mean[sex] ** 2 + means.var()))
    return Mixture(mean, sd, tuple(dict.fromkeys(row.survey for row in mine)))
