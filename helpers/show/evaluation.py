"""Pictures of an evaluation: curves, errors by method, and how far people lie apart."""

from __future__ import annotations

import numpy as np

from helpers.show.figures import figure
from helpers.show.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY, YELLOW

METHOD_COLOURS = {
    "mean face": GREY,
    "single fit": BLUE,
    "pooled fits": PINK,
    "network": ORANGE,
    "network, pooled": RED,
}
LINES = ("-", "--", "-.", (0, (1, 1)))  # where curves fall on each other, all are seen


def roc_figure(curves: dict):
    """ROC curves: the rates, and the same on a logarithmic axis for few false accepts.

    Args:
        curves: a `Roc` or `Verification` by name.
    """
    drawing, (plain, log) = figure(8.6, 3.4, ncols=2)
    curves = {name: getattr(each, "curve", each) for name, each in curves.items()}
    for number, (name, curve) in enumerate(curves.items()):
        # Later curves are thinner, so that one that runs under another shows on both sides of it.
        width = 3.2 - 1.9 * number / max(1, len(curves) - 1)
        line = {"linestyle": LINES[number % len(LINES)], "linewidth": width}
        how = {"color": _colour(name, number), "label": f"{name} ({curve.auc:.3f})", **line}
        false, true = curve.false_accept.cpu().numpy(), curve.true_accept.cpu().numpy()
        plain.plot(false, true, **how)
        log.plot(false, true, **how)
    plain.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    least = min(float(curve.false_accept[curve.false_accept > 0].min()) for curve in curves.values())
    log.set(
        xscale="log",
        xlim=(max(least, 1e-4), 1),
        ylim=(-0.02, 1.03),
        xlabel="false accepts (log)",
        ylabel="true accepts",
    )
    plain.set(xlim=(-0.02, 1), ylim=(-0.02, 1.03), xlabel="false accepts", ylabel="true accepts")
    plain.legend(title="area under the curve", loc="lower right", fontsize=8, title_fontsize=8)
    return drawing


def error_figure(rows: list[dict], reported: dict[str, tuple[float, float]] | None = None):
    """3DRMSE by method with its spread over people; reported values stand in an axis of their own, since they are of other data.

    Args:
        rows: of `helpers.evaluation.shape_table`.
        reported: (mean, standard deviation), mm, by method.
    """
    drawing, axes = figure(8.6, 2.9, ncols=2 if reported else 1, squeeze=False)
    _bars(axes[0, 0], {row["method"]: (row["icp"], row["icp_std"]) for row in rows}, "here: synthetic people")
    if reported:
        _bars(axes[0, 1], reported, "reported in the paper: MICC scans")
    return drawing


def spread_figure(spreads: dict[str, tuple]):
    """Histograms of the cosines within and between people, one panel for each method.

    Args:
        spreads: method to the two tensors that `spread` gives.
    """
    drawing, axes = figure(8.6, 2.5, ncols=len(spreads), sharex=True, squeeze=False)
    bins = np.linspace(-1, 1, 61)
    for panel, (name, (within, between)) in zip(axes[0], spreads.items(), strict=True):
        panel.hist(between.cpu().numpy(), bins, density=True, color=GREY, alpha=0.8, label="two people")
        panel.hist(within.cpu().numpy(), bins, density=True, color=BLUE, alpha=0.7, label="one person")
        panel.set(title=name, xlabel="cosine", yticks=[], xlim=(-1, 1), xticks=(-1, 0, 1))
    # Below all panels: in a narrow one it would cover the bars.
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    return drawing


def _bars(axes, values: dict, title: str) -> None:
    names = list(values)
    mean, std = (np.array([values[name][k] for name in names]) for k in (0, 1))
    axes.barh(
        range(len(names)),
        mean,
        xerr=std,
        color=[_colour(name, k) for k, name in enumerate(names)],
        ecolor="#24292F",
        capsize=3,
    )
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="3DRMSE, mm", title=title, xlim=(0, None))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def _colour(name: str, number: int) -> str:
    return METHOD_COLOURS.get(name, (GREEN, SKY, YELLOW, INK)[number % 4])
