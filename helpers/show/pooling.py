"""Pictures of pooling: what makes fits differ, and what the rules gain."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from helpers.evaluation import bootstrap_interval
from helpers.show.figures import figure
from helpers.show.on_cpu import on_cpu
from helpers.show.style import BLUE, PALETTE

MARKERS = "osD^vPX"  # so that lines can be told apart in grey, too


def spread_bars(spreads: dict[str, float], xlabel: str = "distance from their mean, mm"):
    """A bar for each cause, in the order given, with its value beside it.

    Args:
        spreads: cause to value.
        xlabel: what the values are, with their unit.
    """
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

    Args:
        counts: numbers of photographs.
        errors: rule to (len(counts), P) mm.
        references: dotted lines, by name, mm.
    """
    errors = on_cpu(errors)
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
    """The numbers of `rules_figure` as text: mean ± standard error over people, mm."""
    width = max(map(len, errors)) + 2
    lines = [" " * width + "".join(f"{n:>13}" for n in counts)]
    for name, error in errors.items():
        cells = (f"{float(row.mean()):.2f} ± {float(row.std()) / len(row) ** 0.5:.2f}" for row in error)
        lines.append(f"{name:{width}}" + "".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


def paired_table(errors: dict[str, Tensor], against: str) -> str:
    """Methods on the same photographs as text: mean error over people, and the difference from one of them.

    Args:
        errors: method to (P,) mm, of the same people.
        against: the method that the others are compared with.

    Returns:
        A line for each, with the 95 % interval of the mean difference by a paired bootstrap over people, and for how many
        people the error is the smaller one.
    """
    errors = on_cpu(errors)
    width, n = max(map(len, errors)) + 2, len(errors[against])
    lines = [f"{f'n = {n} people':{width}}  error, mm   minus {against}, mm"]
    for name, error in errors.items():
        line = f"{name:{width}}{float(error.mean()):11.2f}"
        if name != against:
            mean, low, high = bootstrap_interval(error - errors[against])
            helped = int((error < errors[against]).sum())
            line += f"   {mean:+.2f}, 95 % from {low:+.2f} to {high:+.2f}; less for {helped} of {n}"
        lines.append(line)
    return "\n".join(lines)
