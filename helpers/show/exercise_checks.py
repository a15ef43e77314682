"""What the checks below the exercises say: what was expected, and what was got.

A check is a function that takes the reader's function, calls it, and compares by `expect` and `expect_below`. `check` runs it
and prints one line: "right", "not done yet", "not right yet", or what the reader's code raised.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

import numpy as np
import torch

SHOWN = 6


class NotRight(Exception):
    """An answer differs from what was expected."""


class NotDone(NotRight):
    """The answer is None, as a stub gives it."""


def check(checking: Callable, answer: Callable) -> None:
    """Run a check and print its verdict in one line; nothing is raised.

    Args:
        checking: a function that takes the answer, and raises by `expect` and `expect_below` where it is wrong.
        answer: the reader's function.
    """
    print(f"{_name(answer)}: {verdict(checking, answer)}")


def verdict(checking: Callable, answer: Callable) -> str:
    """What `check` prints after the name."""
    try:
        checking(answer)
    except NotDone as error:
        return f"not done yet: {error}"
    except NotRight as error:
        return f"not right yet: {error}"
    except Exception as error:
        return _raised(error, answer)
    return "right"


def expect(got, expected, what: str, *, within: float = 1e-6) -> None:
    """Compare an answer with the expected one.

    Args:
        got: the answer.
        expected: a number, a bool, a text, a tensor, or a tuple or list of these.
        what: names the thing that is compared.
        within: how far numbers may be apart, in their own unit.

    Raises:
        NotRight: with `what`, the expected and the got.
        NotDone: the answer is None.
    """
    if got is None:
        raise NotDone(f"{what}: expected {_short(expected)}, got None")
    difference = _difference(got, expected, within)
    if difference:
        raise NotRight(f"{what}: expected {_short(expected)}, got {_short(got)}{difference}")


def expect_below(got, limit: float, what: str, unit: str = "") -> None:
    """Ask that a number, an error for example, is smaller than a limit; nan is not.

    Args:
        got: the number.
        limit: what it must be below.
        what: names the number.
        unit: of both.

    Raises:
        NotRight: it is not, with `what`, the limit and the number.
        NotDone: the answer is None.
    """
    unit = f" {unit}" if unit else ""
    if got is None:
        raise NotDone(f"{what}: expected less than {limit:g}{unit}, got None")
    if not float(got) < limit:
        raise NotRight(f"{what}: expected less than {limit:g}{unit}, got {float(got):.3g}{unit}")


def _name(answer: Callable) -> str:
    return getattr(answer, "__name__", "the answer")


def _difference(got, expected, within: float) -> str:
    """Why the two are not the same, as the end of a sentence; empty if they are."""
    if isinstance(expected, (tuple, list)) and not all(isinstance(e, (int, float)) for e in expected):
        if not isinstance(got, (tuple, list)) or len(got) != len(expected):
            return f": {len(expected)} things were to be returned"
        parts = [_difference(g, e, within) for g, e in zip(got, expected, strict=True)]
        return next((f" (part {n}{text})" for n, text in enumerate(parts) if text), "")
    if isinstance(expected, (str, bool, type(None))):
        return "" if got == expected else "."
    try:
        have, want = _array(got), _array(expected)
    except (TypeError, ValueError, RuntimeError):
        return f", which is a {type(got).__name__} and no number"
    if have.shape != want.shape:
        return f" (shapes {want.shape} and {have.shape})"
    if want.dtype == bool:
        return "" if have.dtype == bool and (have == want).all() else f" ({_count(have, want)})"
    same = (have == want) | (np.isnan(have) & np.isnan(want))
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        apart = np.where(same, 0.0, np.abs(have.astype(float) - want.astype(float)))
    far = ~(apart <= within)
    if not far.any():
        return ""
    if have.ndim == 0:
        return "."
    place = np.unravel_index(int(np.where(np.isnan(apart), np.inf, apart).argmax()), apart.shape)
    where = ", ".join(str(int(i)) for i in place)
    return f" (farthest apart at [{where}]: {want[place]:.4g} and {have[place]:.4g})"


def _count(have, want) -> str:
    if have.dtype != bool:
        return f"the answer must be bool, it is {have.dtype}"
    if have.ndim == 0:
        return f"the answer must be {bool(want)}"
    places = [", ".join(str(int(i)) for i in place) for place in np.argwhere(have != want)]
    named = ", ".join(f"[{place}]" for place in places[:SHOWN]) + (", …" if len(places) > SHOWN else "")
    return f"{len(places)} of {want.size} differ: {named}"


def _array(thing) -> np.ndarray:
    if isinstance(thing, torch.Tensor):
        return thing.detach().cpu().numpy()
    out = np.asarray(thing)
    if out.dtype.kind not in "bifu":
        raise TypeError("not numbers")
    return out


def _short(thing) -> str:
    """A value in a few words: the first numbers of a long tensor, and its shape."""
    if isinstance(thing, (tuple, list)) and not all(isinstance(t, (int, float)) for t in thing):
        return "(" + ", ".join(_short(part) for part in thing) + ")"
    if isinstance(thing, float):
        return f"{thing:.4g}"
    if isinstance(thing, (tuple, list)) and all(isinstance(t, int) for t in thing):
        return repr(thing)
    if not isinstance(thing, (torch.Tensor, np.ndarray, list, tuple)):
        return repr(thing)
    values = _array(thing)
    flat = [f"{v:.4g}" if values.dtype.kind == "f" else str(v) for v in values.ravel()[:SHOWN]]
    if values.ndim == 0:
        return flat[0]
    text = "[" + ", ".join(flat) + (", …]" if values.size > SHOWN else "]")
    return text if values.ndim == 1 and values.size <= SHOWN else f"{text} of shape {values.shape}"


def _raised(error: Exception, answer: Callable) -> str:
    """Name the error and, if it happened in the reader's function, the line of it."""
    code, name = getattr(answer, "__code__", None), _name(answer)
    where = f" from what {name} returned"
    for frame in traceback.extract_tb(error.__traceback__):
        if code and frame.lineno and (frame.name, frame.filename) == (name, code.co_filename):
            where = f" in line {frame.lineno - code.co_firstlineno + 1} of {name}"
    return f"not right yet: expected an answer, got {type(error).__name__}{where}: {error}"
