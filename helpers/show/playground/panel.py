"""What all parts of the playground share: how they are shown, and how they speak."""

from __future__ import annotations

import html
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from helpers.assets import ASSETS
from helpers.errors import UserError
from helpers.show.figures import picture
from helpers.show.mesh import display_live

# A path from the top of a disk: its last part is what a reader knows it by.
ABSOLUTE = re.compile(r"""(?<![\w.:/\\])(?:/|[A-Za-z]:\\)(?:[^\s/\\:'"]+[/\\])+(?=[^\s/\\:'"])""")
QUIET, WARNING = "var(--jp-ui-font-color2, #57606A)", "var(--jp-warn-color0, #B54700)"


class Panel:
    """A part of the playground.

    Attributes:
        box: the widgets.
    """

    box: Any = None

    def still(self) -> np.ndarray:
        """A picture (H, W, 3) uint8 of what the widgets do, for those who only read the page."""
        raise NotImplementedError

    def show(self, *, alt: str, live: bool | None = None) -> None:
        """Show the still, and in a running notebook the widgets below it; in Voilà the widgets alone.

        Args:
            alt: what the still shows, in words.
            live: None decides by itself, as `helpers.show.mesh` does.
        """
        if not in_voila():
            picture(self.still(), alt=alt)
        display_live(lambda: self.box, live)


def in_voila() -> bool:
    """Whether this kernel serves a page of Voilà, where nobody reads stored pictures."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")


class Status:
    """One line below a panel.

    Attributes:
        widget: what to display.
        said: the sentence, as plain text.
    """

    def __init__(self, text: str = ""):
        import ipywidgets as w

        self.widget = w.HTML()
        self.said = ""
        self.say(text)

    def say(self, text: str, warning: bool = False) -> None:
        """Show a sentence, in the colour of warnings if it is one."""
        self.said = text = plain(text) if text else text
        colour = WARNING if warning else QUIET
        self.widget.value = (
            f'<span role="status" style="color:{colour}; line-height:1.4">{html.escape(text)}</span>'
        )

    @contextmanager
    def sentences(self):
        """Whatever fails inside is told in one sentence, and nothing is raised: a reader cannot mend a traceback."""
        try:
            yield
        except UserError as error:
            self.say(str(error), warning=True)
        except Exception as error:  # torch, Pillow and the network raise many kinds
            self.say(f"That failed ({type(error).__name__}): {plain(str(error))}"[:300], warning=True)


def plain(text: str) -> str:
    """A sentence for the page: one line, and files by their place in the project or their name, not in this computer."""
    # These may have blanks in their names.
    for folder in (ASSETS.parent, Path.cwd(), Path(tempfile.gettempdir()), Path.home()):
        if folder != Path(folder.anchor):
            text = text.replace(f"{folder}{os.sep}", "")
    return ABSOLUTE.sub("", " ".join(text.split())) or "no reason given"


def heading(text: str):
    """A line of text that stands out."""
    import ipywidgets as w

    return w.HTML(f'<b style="color:var(--jp-ui-font-color1, #24292f)">{html.escape(text)}</b>')


def side_by_side(*parts, gap: int = 20):
    """Parts in a row, which wraps on a narrow page."""
    import ipywidgets as w

    return w.HBox(
        list(parts), layout=w.Layout(flex_flow="row wrap", align_items="flex-start", grid_gap=f"8px {gap}px")
    )


def below(*parts, width: str | None = None):
    """Parts in a column."""
    import ipywidgets as w

    # A scroll bar would take room from the sliders.
    return w.VBox(list(parts), layout=w.Layout(width=width, grid_gap="2px", overflow="visible"))
