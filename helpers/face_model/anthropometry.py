"""Lengths and angles of faces, as anthropometrists measure them, beside published surveys.

`python -m helpers.face_model.anthropometry` prints the table: what people measure, and what the faces of the open face
model do. `measures.csv` lists the measures and the points that each takes, `surveys.csv` the published means and
standard deviations, `correlations.csv` published correlations, and `sources.csv` the citation of each survey and where
its numbers were read; all four lie beside the model.

Points have the names that anthropometry gives them (n, prn, sn, …); a name with two sides is one point on each.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from helpers.assets import ASSETS
from helpers.errors import UserError
from helpers.face_model.morphable_model import MorphableModel

FOLDER = ASSETS / "open_face_model"
SEXES = ("M", "F")
T = TypeVar("T")


@dataclass(frozen=True)
class Measure:
    """One length or angle.

    Attributes:
        key: Short name.
        words: What it is.
        kind: "length" between two points; "angle" at the second of three; or "slope" of the line from the first to the
            second point as seen from the front, degrees upwards.
        points: Their names. "al_r" is the point of the subject's right side, "al_l" of the left.
        tolerance: How exactly the builder brings a drawn person's measure to its aim, in standard deviations. None:
            not at all; the measure is for comparison.
        assumed_sd: Standard deviation that this project assumes, because no survey that it found prints one.
    """

    key: str
    words: str
    kind: str
    points: tuple[str, ...]
    tolerance: float | None
    assumed_sd: float | None

    @property
    def unit(self) -> str:
        """`mm` for a length, `°` for an angle."""
        return "mm" if self.kind == "length" else "°"

    def of(self, at: Mapping[str, np.ndarray]) -> np.ndarray:
        """Measure faces.

        Args:
            at: Name of a point → (..., 3) mm.

        Returns:
            (...) mm or degrees.
        """
        p = [at[name] for name in self.points]
        if self.kind == "length":
            return np.linalg.norm(p[0] - p[1], axis=-1)
        if self.kind == "slope":
            x, y, _ = np.moveaxis(p[1] - p[0], -1, 0)
            return np.degrees(np.arctan2(y, np.abs(x)))
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
    return _read(
        path,
        lambda row: Measure(
            *(row[key] for key in ("measure", "words", "kind")),
            points=tuple(row["points"].split()),
            tolerance=float(row["tolerance"]) if row["tolerance"] else None,
            assumed_sd=float(row["assumed_sd"]) if row["assumed_sd"] else None,
        ),
    )


def surveys(path: Path = FOLDER / "surveys.csv") -> list[Row]:
    """Read what the surveys report."""
    return _read(
        path,
        lambda row: Row(
            *(row[key] for key in ("survey", "population", "group", "sex", "measure")),
            mean=float(row["mean"]),
            sd=float(row["sd"]) if row["sd"] else None,
        ),
    )


def correlations(path: Path = FOLDER / "correlations.csv") -> dict[tuple[str, str], float]:
    """Read published correlations within one sex: pair of keys → mean of the published r."""
    found: dict[tuple[str, str], list[float]] = {}
    for a, b, r in _read(path, lambda row: (row["measure_a"], row["measure_b"], float(row["r"]))):
        found.setdefault((min(a, b), max(a, b)), []).append(r)
    return {pair: float(np.mean(r)) for pair, r in found.items()}


@dataclass(frozen=True)
class Source:
    """Where the numbers of a survey come from.

    Attributes:
        survey: Its short name.
        citation: What was published.
        numbers_from: What the numbers were read from: individual data, a table, an abstract, or second hand.
    """

    survey: str
    citation: str
    numbers_from: str


def sources(path: Path = FOLDER / "sources.csv") -> list[Source]:
    """Read the citations of the surveys."""
    return _read(path, lambda row: Source(row["survey"], row["citation"], row["numbers_from"]))


def _read(path: Path, make: Callable[[dict[str, str]], T]) -> list[T]:
    """Make one thing of each row of a table."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [make(row) for row in csv.DictReader(file)]
    except OSError as error:
        raise UserError(f"{path}: not readable ({error}); run `git checkout -- assets`") from error
    except (KeyError, ValueError, TypeError, AttributeError) as error:  # a column or a number is missing
        raise UserError(f"{path}: a column or a number is missing or wrong ({error})") from error


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


def mixture(rows: list[Row], measure: Measure) -> Mixture:
    """Mix the populations that report a measure.

    Surveys of one group are averaged; the groups then count the same. The variance of a sex has two parts: that
    within groups, from the printed standard deviations in proportion to their means, and that of the groups' means.

    Args:
        rows: What the surveys report.
        measure: The measure.

    Raises:
        UserError: No mean, or no standard deviation, is reported for a sex.
    """
    mine = [row for row in rows if row.measure == measure.key]
    printed = [row for row in mine if row.sd is not None]
    mean, sd = {}, {}
    for sex in SEXES:
        by_group: dict[str, list[float]] = {}
        for row in mine:
            if row.sex == sex:
                by_group.setdefault(row.group, []).append(row.mean)
        if not by_group or (not printed and measure.assumed_sd is None):
            raise UserError(f"surveys.csv: no mean or no standard deviation of {measure.key} for sex {sex}")
        means = np.array([np.mean(group) for group in by_group.values()])
        mean[sex] = float(means.mean())
        within = (measure.assumed_sd or 0.0) ** 2
        if printed:  # where none is printed for this sex, the other's, in proportion to the mean
            same_sex = [row for row in printed if row.sex == sex] or printed
            within = mean[sex] ** 2 * np.mean([(row.sd / row.mean) ** 2 for row in same_sex if row.sd])
        sd[sex] = float(np.sqrt(within + means.var()))
    return Mixture(mean, sd, tuple(dict.fromkeys(row.survey for row in mine)))


def measured(model: MorphableModel, points: Mapping[str, int], n: int = 2000, seed: int = 0) -> np.ndarray:
    """Measure random people of a model.

    Args:
        model: Whose vertices the points are.
        points: Name → vertex.
        n: How many people.
        seed: Of the drawn people.

    Returns:
        (n, K) mm or degrees, one column for each of `measures()`.
    """
    numbers = torch.tensor(list(points.values()))
    alpha = model.sample(n, torch.Generator().manual_seed(seed)).alpha
    modes = model.shape_basis[numbers] * model.shape_std
    places = (model.mean_shape[numbers] + torch.einsum("pck,nk->npc", modes, alpha)).double().numpy()
    at = {name: places[:, i] for i, name in enumerate(points)}
    return np.stack([measure.of(at) for measure in measures()], axis=1)


def table(model: MorphableModel, points: Mapping[str, int]) -> str:
    """Write the means and standard deviations of people and of the model's faces side by side, with the sources."""
    cited = sources()
    number = {source.survey: i for i, source in enumerate(cited, 1)}
    rows, own = surveys(), measured(model, points)
    lines = [
        f"{'':18}{'surveys':>15}{'face model':>16}   off by   spread  sources",
        f"{'':18}{'mean ± SD':>15}{'mean ± SD':>16}       SD    ratio",
    ]
    for measure, column in zip(measures(), own.T, strict=True):
        people = mixture(rows, measure)
        off = (column.mean() - people.pooled_mean) / people.pooled_sd
        ratio = column.std() / people.pooled_sd
        lines.append(
            f"{measure.key:18}{people.pooled_mean:8.1f} ± {people.pooled_sd:4.1f}{column.mean():9.1f} ± "
            f"{column.std():4.1f} {measure.unit:2}{off:+7.2f}{ratio:9.2f}  {', '.join(str(number[name]) for name in people.surveys)}"
            + (" (SD assumed)" if measure.assumed_sd is not None else "")
            + (" (not matched)" if measure.tolerance is None else "")
        )
    lines += ["", "Sources, and where their numbers were read:"]
    lines += [f"{i:2}  {source.citation}. From: {source.numbers_from}." for i, source in enumerate(cited, 1)]
    return "\n".join(lines)


def main() -> int:
    """Print the table of the open face model; returns the exit status."""
    from helpers.face_model.open_model import anthropometric_points, load_open_model

    print(table(load_open_model().whole_head, anthropometric_points()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
