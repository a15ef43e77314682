"""Progress bars: in a notebook always, in a terminal, and never in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(
    things: Iterable | None = None,
    what: str | None = None,
    *,
    total: int | None = None,
    unit: str = "it",
    shown: bool = True,
    **options: Any,
) -> tqdm:
    """Make a progress bar of tqdm. It is drawn on standard error, so that another program can read what a command prints.

    Args:
        things: What is iterated over; None for a bar that is moved by hand with `update`.
        what: Its title.
        total: Its length, where `things` does not tell.
        unit: Of what is counted.
        shown: False for no bar at all.
        **options: Others of tqdm.

    Returns:
        The bar, which iterates over `things`.
    """
    from tqdm.auto import tqdm as bar
    from tqdm.notebook import tqdm as of_notebooks

    if not shown:
        options["disable"] = True
    elif not issubclass(bar, of_notebooks):
        options["disable"] = None  # tqdm's word for: only in a terminal. A notebook counts as none
    return bar(things, what, total=total, unit=unit, file=sys.stderr, **options)
