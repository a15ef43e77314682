"""What the sliders of the page make of a fitted face: a few numbers that travel, and the face that they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any

import torch

from helpers.errors import UserError
from helpers.show.playground.directions import Direction
from helpers.show.playground.face import Face, harmonics_turned, light_of_head, with_light_of_head

KINDS = ("alpha", "expression", "beta")


@dataclass(frozen=True)
class Look:
    """Changes to a fitted face. The defaults change nothing. The browser holds the same numbers under the same names.

    Attributes:
        named: of each named direction, in its unit.
        edits: "alpha", "expression" and "beta" → number of a coefficient → what is added to it.
        other: key of the person that the next four mix in, or "".
        shape: share of the other's α, 0 to 1.
        expression: of the other's expression.
        skin: of the other's β and paint.
        light: of the other's light.
        around: degrees by which the lamps are carried to the viewer's right.
        power: factor of the light.
        likeness: factor of α and β.
    """

    named: tuple[float, ...] = (0.0,) * 5
    edits: dict[str, dict[int, float]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    other: str = ""
    shape: float = 0.0
    expression: float = 0.0
    skin: float = 0.0
    light: float = 0.0
    around: float = 0.0
    power: float = 1.0
    likeness: float = 1.0

    @classmethod
    def of_page(cls, sent: dict[str, Any]) -> Look:
        """What the page sent.

        Raises:
            UserError: it is not what a page sends.
        """
        try:
            numbers = {
                each.name: float(sent[each.name])
                for each in fields(cls)
                if each.name not in ("named", "edits", "other")
            }
            edits = {kind: {int(k): float(v) for k, v in sent["edits"][kind].items()} for kind in KINDS}
            look = cls(
                named=tuple(map(float, sent["named"])), edits=edits, other=str(sent["other"]), **numbers
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"these are no numbers of sliders ({error!r})") from error
        values = [*look.named, *numbers.values(), *(v for each in edits.values() for v in each.values())]
        if not all(map(isfinite, values)):
            raise UserError("a number of the sliders is not finite")
        return look

    def for_page(self) -> dict[str, Any]:
        """The same as the page takes it."""
        numbers = {each.name: getattr(self, each.name) for each in fields(self)}
        edits = {kind: {str(k): v for k, v in each.items()} for kind, each in self.edits.items()}
        return numbers | {"named": list(self.named), "edits": edits}

    def applied(self, face: Face, directions: tuple[Direction, ...], other: Face | None = None) -> Face:
        """The face that the sliders show, in the pose of the fit.

        Args:
            face: that was fitted.
            directions: that `named` are of.
            other: the fitted face of `other`.
        """
        to = other or face
        shares = {"alpha": self.shape, "expression": self.expression, "beta": self.skin}
        made = {
            kind: torch.lerp(getattr(face, kind), getattr(to, kind), share) for kind, share in shares.items()
        }
        for kind in ("alpha", "beta"):
            made[kind] = made[kind] * self.likeness
        for direction, amount in zip(directions, self.named, strict=False):
            made[direction.kind] = made[direction.kind] + amount * direction.step
        for kind, edits in self.edits.items():
            for k, value in edits.items():
                made[kind][0, k] += value
        light = torch.lerp(light_of_head(face), light_of_head(to), self.light)
        light = harmonics_turned(light, self.around) * self.power
        return with_light_of_head(replace(face, **made), light)

    def painted(self, face: Face, other: Face | None = None) -> Face:
        """The face whose texture and light are in the paint of the photographs, mixed by `skin`."""
        to = other or face
        light = torch.lerp(light_of_head(face), light_of_head(to), self.skin)
        return with_light_of_head(replace(face, beta=torch.lerp(face.beta, to.beta, self.skin)), light)
