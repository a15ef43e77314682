"""Progress bars: in a notebook always, in a terminal where a person looks on, and never in a file."""

from __future__ import annotations

import sys


def progress_bar(
    things=None,
    what: str | None = None,
    *,
    total: int | None = None,
    unit: str = "it",
    shown: bool = True,
    **options,
):
    """A bar of tqdm about `things`, or one of length `total` to be moved by hand with `update`.

    It is drawn on standard error, so that what a command prints can be read by another one. shown: False for none at all.
    """
    from tqdm.auto import tqdm
    from tqdm.notebook import tqdm as of_notebooks

    if not shown:
        options["disable"] = True
    elif not issubclass(tqdm, of_notebooks):
        options["disable"] = None  # tqdm's word for: only in a terminal. A notebook counts as none
    return tqdm(things, what, total=total, unit=unit, file=sys.stderr, **options)
