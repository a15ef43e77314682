"""Whether two results of any nesting agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

# The shadow computes with the CPU's kernels; where a GPU takes another way to the same numbers, the last digits differ.
TOLERANCE = 1e-4  # of the largest number of a tensor


def difference(expected: Any, found: Any) -> str:
    """What differs, in one line; empty for what agrees."""
    one, other = dict(_leaves("result", expected)), dict(_leaves("result", found))
    if one.keys() != other.keys():
        return f"only one of them has {sorted(one.keys() ^ other.keys())[:5]}"
    for name, a in one.items():
        b = other[name]
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name}: {a.dtype} {a.shape} on the CPU, {b.dtype} {b.shape} on the GPU"
        if a.dtype.kind not in "fc":
            if not (a == b).all():
                return f"{name}: {(a != b).sum()} of {a.size} differ"
            continue
        finite = np.isfinite(a)
        if not ((finite & np.isfinite(b)) | (a == b) | (np.isnan(a) & np.isnan(b))).all():
            return f"{name}: not finite in other places"
        if finite.any() and abs(a[finite] - b[finite]).max() > TOLERANCE * abs(a[finite]).max():
            return f"{name}: off by {abs(a[finite] - b[finite]).max():.3g} of {abs(a[finite]).max():.3g}"
    return ""


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
