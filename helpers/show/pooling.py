"""Pictures of pooling: what makes fits differ, what the rules gain, and one person's face as photographs are added."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from helpers.evaluation import shape_rmse
from helpers.face_model import MorphableModel
from helpers.pooling import pool
from helpers.show.faces import error_heads, mm_legend
from helpers.show.figures import figure, tile, write
from helpers.show.mesh import display_live
from helpers.show.pose_light import quick_png
from helpers.show.style import BLUE, PALETTE

MARKERS = "osD^vPX"  # so that lines can be told apart in grey, too


def spread_bars(spreads: dict[str, float], xlabel: str = "distance from their mean, mm"):
    """A bar for each cause, in the order given, with its value beside it."""
    drawing, axes = figure(6.4, 0.42 * len(spreads) + 0.9)
    names, values = list(spreads), [float(v) for v in spreads.values()]
    axes.barh(range(len(names)), values, color=BLUE)
    for place, value in enumerate(values):
        axes.text(value, place, f" {value:.2f}", va="center", fontsize=9)
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel=xlabel, xlim=(0, 1.12 * max(values)))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return drawing


def rules_figure(counts, errors: dict[str, Tensor], references: dict[str, float] | None = None):
    """The error by number of photographs, one line a rule, with the standard error over people as bars.

    counts: numbers of photographs.  errors: rule to (len(counts), P) mm.  references: dotted lines, by name, mm.
    """
    drawing, axes = figure(7.0, 3.4)
    steps = np.linspace(-0.06, 0.06, len(errors))  # side by side, so that the bars can be told apart
    for k, (name, error) in enumerate(errors.items()):
        middle = error.mean(1).numpy()
        bar = (error.std(1) / error.shape[1] ** 0.5).numpy()
        at = np.asarray(counts, float) * np.exp(steps[k])
        axes.errorbar(
            at,
            middle,
            bar,
            marker=MARKERS[k % len(MARKERS)],
            markersize=5,
            linestyle=("-", "--", ":")[k % 3],
            capsize=2,
            color=PALETTE[k % len(PALETTE)],
            label=name,
        )
    for name, value in (references or {}).items():
        axes.axhline(value, color="grey", linestyle=":", linewidth=1)
        axes.annotate(
            name, (counts[-1], value), xytext=(0, 3), textcoords="offset points", ha="right", fontsize=8
        )
    axes.set(
        xscale="log",
        xticks=list(counts),
        xticklabels=[str(n) for n in counts],
        xlabel="photographs of a person",
        ylabel="shape error, mm",
    )
    axes.minorticks_off()
    axes.legend(fontsize=8, ncols=2, handlelength=3)
    return drawing


def rules_table(counts, errors: dict[str, Tensor]) -> str:
    """The same as text: mean ± standard error over people, mm."""
    width = max(map(len, errors)) + 2
    lines = [" " * width + "".join(f"{n:>13}" for n in counts)]
    for name, error in errors.items():
        cells = (f"{float(row.mean()):.2f} ± {float(row.std()) / len(row) ** 0.5:.2f}" for row in error)
        lines.append(f"{name:{width}}" + "".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


class PoolSlider:
    """One person's face, pooled from more and more photographs.

    alpha: (n, K) of the fits, in the order in which they are added.  truth: (V, 3) mm, neutral.  weight: (V,) where the
    error is measured.  rules: name to the arguments of `helpers.pooling.pool`, tensors with a row a photograph.
    `slider` holds the number of photographs, `rule` the rule, `image` the face coloured by its error, `box` all.
    """

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
        import ipywidgets

        self.model, self.alpha, self.truth, self.weight = model, alpha, truth, weight
        self.rules, self.size, self.yaw = rules, size, yaw
        self.slider = ipywidgets.IntSlider(1, min=1, max=len(alpha), description="photographs")
        self.rule = ipywidgets.Dropdown(options=list(rules), description="rule")
        self.image = ipywidgets.Image(format="png", width=size, height=size)
        self.box = ipywidgets.HBox([self.image, ipywidgets.VBox([self.slider, self.rule])])
        for control in (self.slider, self.rule):
            control.observe(self._update, "value")
        self._update()

    def pooled(self, photographs: int, rule: str) -> Tensor:
        """(1, K) from the first few photographs by a rule."""
        rows = slice(0, photographs)
        how = {
            name: value[rows] if isinstance(value, Tensor) else value
            for name, value in self.rules[rule].items()
        }
        person = torch.zeros(photographs, dtype=torch.long, device=self.alpha.device)
        return pool(self.alpha[rows], person, **how).coefficients

    def error(self, photographs: int, rule: str) -> float:
        """mm, by `helpers.evaluation.shape_rmse`."""
        shape = self.model.shape(self.pooled(photographs, rule))
        return float(shape_rmse(shape, self.truth[None], self.weight[None]))

    def draw(self, photographs: int, rule: str, size: int | None = None) -> np.ndarray:
        """The face coloured by its distance from the truth: (size, size, 3) uint8, the error written below it."""
        from PIL import Image

        from helpers.evaluation import align_similarity

        shape = self.model.shape(self.pooled(photographs, rule))
        moved = align_similarity(self.truth[None], shape, self.weight[None])
        head = error_heads(shape, moved, self.model.triangles, yaw=self.yaw, size=size or self.size)[0]
        page = Image.fromarray((head.clamp(0, 1).numpy() * 255 + 0.5).astype(np.uint8))
        write(
            page,
            (page.width / 2, page.height - 12),
            f"{photographs}: {self.error(photographs, rule):.2f} mm",
            size=13,
            edge=2,
        )
        return np.asarray(page)

    def stills(self, counts, rule: str | None = None, height: int = 180) -> np.ndarray:
        """The face at some numbers of photographs, side by side, with the scale: (H, W, 3) uint8."""
        rule = rule or self.rule.value
        return tile([*(self.draw(n, rule, height) for n in counts), mm_legend(height)], height=height)

    def updates_per_second(self, updates: int = 10) -> float:
        """How many pictures a second follow the slider, measured by moving it."""
        start, begun = self.slider.value, time.perf_counter()
        for k in range(updates):
            self.slider.value = 1 + (start + k) % len(self.alpha)
        seconds = time.perf_counter() - begun
        self.slider.value = start
        return updates / seconds

    def _update(self, change=None) -> None:
        self.image.value = quick_png(self.draw(self.slider.value, self.rule.value))


def pool_slider(model, alpha, truth, weight, rules, *, live: bool | None = None, **how) -> PoolSlider:
    """Show a `PoolSlider` and return it. live: None decides by itself: not while notebooks are executed to be stored."""
    made = PoolSlider(model, alpha, truth, weight, rules, **how)
    display_live(lambda: made.box, live)
    return made
