"""Errors as a reader sees them: one sentence, without a traceback and without this computer's folders."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from helpers.assets import ASSETS
from helpers.errors import UserError

# A path from the top of a disk: its last part is what a reader knows it by.
ABSOLUTE = re.compile(r"""(?<![\w.:/\\])(?:/|[A-Za-z]:\\)(?:[^\s/\\:'"]+[/\\])+(?=[^\s/\\:'"])""")
LONGEST = 300  # characters of what another library says


def sentence(error: Exception) -> str:
    """What to tell a reader of an error of any kind."""
    if isinstance(error, UserError):
        return plain(str(error))
    return f"That failed ({type(error).__name__}): {plain(str(error))}"[:LONGEST]


def plain(text: str) -> str:
    """A sentence for the page: one line, and files by their place in the project or their name, not in this computer."""
    # These may have blanks in their names.
    for folder in (ASSETS.parent, Path.cwd(), Path(tempfile.gettempdir()), Path.home()):
        if folder != Path(folder.anchor):
            text = text.replace(f"{folder}{os.sep}", "")
    return ABSOLUTE.sub("", " ".join(text.split())) or "no reason given"
