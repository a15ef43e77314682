"""What all collections of photographs of people have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from helpers.photo import Photo


def printable(text: str) -> str:
    r"""A file name, or a text that holds one, as Unicode: bytes that are not UTF-8, as of Latin-1 names, become \xe9."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class PhotoEntry(NamedTuple):
    """One photograph. It can be sent to another process.

    Attributes:
        id: its name, unique in the collection.
        person: whom it shows.
        load: reads it; raises UserError where the picture is damaged.
    """

    id: str
    person: str
    load: Callable[[], Photo]


class Unreadable(NamedTuple):
    """A photograph that cannot be used, and why.

    Attributes:
        id: its name.
        reason: a phrase that follows the name and a colon.
    """

    id: str
    reason: str


class PhotoSource(Sequence[PhotoEntry]):
    """A collection: `len`, `[i]` and iteration give `PhotoEntry`s, always in the same order.

    Attributes:
        unreadable: what was found to be of no use when the collection was opened. Damage within a picture shows only
            when it is loaded.
    """

    unreadable: list[Unreadable]

    def entry(self, index: int) -> PhotoEntry:
        """The photograph of a number from 0 to len − 1."""
        raise NotImplementedError

    def __getitem__(self, index):
        numbers = range(len(self))[index]
        return [self.entry(i) for i in numbers] if isinstance(numbers, range) else self.entry(numbers)
