"""Dotted names of `helpers`, as the tables of the course use them."""

from __future__ import annotations

import importlib
import inspect


def resolve(name: str):
    """What a dotted name stands for.

    A name may go on after a class to a field or property, and after a function to one of its arguments in round
    brackets: "helpers.camera.Pose.rotation", "helpers.pose.estimate_pose(points_2d)".

    Raises:
        LookupError: nothing has the name.
    """
    dotted, _, argument = name.removesuffix(")").partition("(")
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        if n > 1:  # a function may have the name of its module, and then it is meant
            thing = getattr(importlib.import_module(".".join(parts[: n - 1])), parts[n - 1], thing)
        rest = parts[n:]
        break
    else:
        raise LookupError(f"{name}: no such module")
    for part in rest:
        if part in getattr(thing, "__annotations__", {}) and not hasattr(thing, part):
            return thing  # a field of a dataclass, or of a named tuple, is known by its annotation
        if part in getattr(thing, "__dataclass_fields__", {}):
            return thing
        if not hasattr(thing, part):
            raise LookupError(f"{name}: {thing!r} has no {part}")
        thing = getattr(thing, part)
    if argument and not (callable(thing) and argument in inspect.signature(thing).parameters):
        raise LookupError(f"{name}: {dotted} takes no argument {argument}")
    return thing
