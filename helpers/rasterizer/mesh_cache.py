"""What is worked out once for a mesh, because a mesh is drawn many times."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

P = ParamSpec("P")
R = TypeVar("R")


def cached_by_mesh(function: Callable[Concatenate[Tensor, P], R]) -> Callable[Concatenate[Tensor, P], R]:
    """Keep the latest result of function(triangles, …) as long as the tensor lives and does not change in place."""
    kept = WeakTensorKeyDictionary()

    @functools.wraps(function)
    def cached(triangles: Tensor, *args: P.args, **kwargs: P.kwargs) -> R:
        if triangles.is_inference():  # counts no changes, so one would go unseen
            return function(triangles, *args, **kwargs)
        version = triangles._version, args, kwargs
        known = kept.get(triangles)
        if known is None or known[0] != version:
            known = kept[triangles] = version, function(triangles, *args, **kwargs)
        return known[1]

    return cached
