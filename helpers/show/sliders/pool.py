"""One person's face, pooled from as many photographs as a slider says, by a rule to be chosen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from helpers.evaluation import align_similarity, shape_rmse
from helpers.face_model import MorphableModel
from helpers.pooling import pool
from helpers.show.faces import error_heads, mm_legend
from helpers.show.figures import captioned, tile
from helpers.show.on_cpu import on_cpu
from helpers.show.sliders.live_figure import LiveFigure


class PoolSlider(LiveFigure):
    """One person's face, pooled from more and more photographs, coloured by its error."""

    def __init__(
        self,
        model: MorphableModel,
        alpha: Tensor,
        truth: Tensor,
        weight: Tensor,
        rules: dict[str, dict],
        size: int = 256,
        yaw: float = 20.0,
    ):
        """Show the face of the first photograph.

        Args:
            model: the face model of the person.
            alpha: (n, K) of the fits, in the order in which they are added.
            truth: (V, 3) mm, neutral.
            weight: (V,) where the error is measured.
            rules: name to the arguments of `helpers.pooling.pool`, tensors with a row a photograph.
            size: px of the square picture.
            yaw: how far the face is turned, degrees.
        """
        import ipywidgets

        self.model, self.alpha, self.truth, self.weight, self.rules = on_cpu(
            (model, alpha, truth, weight, rules)
        )
        self.size, self.yaw = size, yaw
        controls = {
            "photographs": ipywidgets.IntSlider(1, min=1, max=len(alpha), description="photographs"),
            "rule": ipywidgets.Dropdown(options=list(rules), description="rule"),
        }
        super().__init__(
            self.draw,
            size,
            size,
            alt="The face pooled from some photographs, coloured by its error",
            controls=controls,
        )

    def pooled(self, photographs: int, rule: str) -> Tensor:
        """(1, K) from the first few photographs by a rule."""
        rows = slice(0, photographs)
        how = {
            name: value[rows] if isinstance(value, Tensor) else value
            for name, value in self.rules[rule].items()
        }
        return pool(self.alpha[rows], torch.zeros(photographs, dtype=torch.long), **how).coefficients

    def error(self, photographs: int, rule: str) -> float:
        """mm, by `helpers.evaluation.shape_rmse`."""
        shape = self.model.shape(self.pooled(photographs, rule))
        return float(shape_rmse(shape, self.truth[None], self.weight[None]))

    def draw(self, photographs: int, rule: str, size: int | None = None) -> np.ndarray:
        """The face coloured by its distance from the truth, the error written below it: (size, size, 3) uint8."""
        shape = self.model.shape(self.pooled(photographs, rule))
        moved = align_similarity(self.truth[None], shape, self.weight[None])
        head = error_heads(shape, moved, self.model.triangles, yaw=self.yaw, size=size or self.size)[0]
        return captioned(head, f"{photographs}: {self.error(photographs, rule):.2f} mm")

    def stills(self, counts, rule: str | None = None, height: int = 180) -> np.ndarray:
        """The face at some numbers of photographs, side by side, with the scale.

        Args:
            counts: numbers of photographs.
            rule: by name; None is the one that is chosen.
            height: px.

        Returns:
            (H, W, 3) uint8.
        """
        rule = rule or self.controls["rule"].value
        return tile([*(self.draw(n, rule, height) for n in counts), mm_legend(height)], height=height)


def pool_slider(
    model: MorphableModel,
    alpha: Tensor,
    truth: Tensor,
    weight: Tensor,
    rules: dict[str, dict],
    *,
    live: bool | None = None,
    **how,
) -> PoolSlider:
    """Show a `PoolSlider`, whose arguments these are, and return it. live: see `LiveFigure.show`."""
    return PoolSlider(model, alpha, truth, weight, rules, **how).show(live)
