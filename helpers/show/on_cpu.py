"""The door of this folder: what was computed on a GPU is brought to the CPU, where pictures are drawn."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TypeVar

import torch

T = TypeVar("T")


def on_cpu(thing: T) -> T:
    """The same thing on the CPU, without gradients.

    Args:
        thing: a tensor; anything with a method `to`, such as a `MorphableModel` or a `FitResult`; a dataclass, dict, list or
            tuple of these. All else is returned as it is.

    Returns:
        Tensors that are on the CPU already are shared, not copied.
    """
    return _moved(thing)


def _moved(thing):
    if isinstance(thing, torch.Tensor):
        return thing.detach().cpu()
    if isinstance(thing, dict):
        return {name: _moved(value) for name, value in thing.items()}
    if isinstance(thing, (list, tuple)):
        return type(thing)(_moved(value) for value in thing)
    if isinstance(thing, type):
        return thing
    if hasattr(thing, "to"):
        return thing.to("cpu")
    if is_dataclass(thing):
        return type(thing)(**{field.name: _moved(getattr(thing, field.name)) for field in fields(thing)})
    return thing
