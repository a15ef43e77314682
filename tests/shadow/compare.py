"""Whether two results of any nesting agree, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Tolerance:
    """What two results may differ by.

    Attributes:
        relative: of the largest number of a tensor, for each of its numbers.
        share: of a tensor's entries, how many may be further off, or be another whole number, truth or word.
        least: what a tensor's largest number is taken for where it is smaller: below, all is rounding.
    """

    relative: float
    share: float = 0.0
    least: float = 0.0


# The shadow computes with the CPU's kernels; where a GPU takes another way to the same numbers, the last digits differ.
SHADOW = Tolerance(1e-4)


@dataclass(frozen=True)
class Comparison:
    """Of two results.

    Attributes:
        fault: the first thing beyond the tolerance, in one line; empty where all is within it.
        off: the largest deviation, of the largest number of its tensor, without the share that may be further off.
    """

    fault: str = ""
    off: float = 0.0


def compare(expected: Any, found: Any, tolerance: Tolerance = SHADOW) -> Comparison:
    """Compare what the CPU gives with what another device gives."""
    one, other = dict(_leaves("result", expected)), dict(_leaves("result", found))
    if one.keys() != other.keys():
        return Comparison(f"only one of them has {sorted(one.keys() ^ other.keys())[:5]}")
    fault, off = "", 0.0
    for name, a in one.items():
        b = other[name]
        if a.shape != b.shape or a.dtype.kind != b.dtype.kind or a.dtype.kind != "U" and a.dtype != b.dtype:
            fault = fault or f"{name}: {a.dtype} {a.shape} on the CPU, {b.dtype} {b.shape} elsewhere"
            continue
        if not a.size:
            continue
        deviation = np.sort(_deviation(a, b, tolerance.least), axis=None)
        beyond = int((deviation > tolerance.relative).sum())
        if beyond > tolerance.share * a.size:
            fault = (
                fault or f"{name}: {beyond} of {a.size} differ, by up to {deviation[-1]:.3g} of the largest"
            )
        if a.dtype.kind in "fc":
            off = max(off, float(deviation[a.size - 1 - int(tolerance.share * a.size)]))
    return Comparison(fault, off)


def _deviation(a: np.ndarray, b: np.ndarray, least: float) -> np.ndarray:
    """Of each entry, in parts of the largest number; infinite for what only one of them has."""
    same = (a == b) | ((a != a) & (b != b))
    if a.dtype.kind not in "fc":
        return np.where(same, 0.0, np.inf)
    finite = np.isfinite(a)
    largest = abs(a[finite]).max(initial=max(least, np.finfo(a.dtype).tiny))
    apart = abs(np.where(finite, a, 0) - np.where(np.isfinite(b), b, 0)) / largest
    return np.where(same, 0.0, np.where(finite & np.isfinite(b), apart, np.inf))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays in a result by their place in it."""
    if isinstance(value, torch.Tensor):
        yield name, value.detach().cpu().resolve_conj().numpy()
    elif isinstance(value, (np.ndarray, int, float, str)):
        yield name, np.asarray(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{name}[{key!r}]", item)
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _leaves(f"{name}[{number}]", item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _leaves(f"{name}.{field.name}", getattr(value, field.name))
    elif value is not None:
        raise TypeError(f"{name} is a {type(value).__name__}, which cannot be compared")
