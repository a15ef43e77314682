"""Results that explain themselves: a code for each face, with one word and one sentence for each code."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

GOOD = 0  # the code of a result that can be believed, in every table of reasons


class Explained:
    """Base of results for B faces, each of which has a code.

    Attributes:
        REASONS: for each code one word ("" for `GOOD`) and one sentence.
        code: (B,) int32, `GOOD` or what is wrong.
    """

    REASONS: ClassVar[dict[int, tuple[str, str]]]

    if (
        TYPE_CHECKING
    ):  # a field of the dataclasses that take this base; a property here would become its default

        @property
        def code(self) -> Tensor: ...

    @property
    def ok(self) -> Tensor:
        """(B,) bool: the result can be believed."""
        return self.code == GOOD

    @property
    def reason(self) -> list[str]:
        """For each face "" or one word for what is wrong."""
        return [self.REASONS[code][0] for code in self.code.tolist()]

    def explain(self, face: int = 0) -> str:
        """One sentence about one face."""
        return self.REASONS[int(self.code[face])][1]
