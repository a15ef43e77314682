"""Pictures of an evaluation: curves, errors by method, and how far people lie apart."""

from __future__ import annotations

import numpy as np
import torch

from helpers.show.faces import distance_heads, heads, mm_legend, table
from helpers.show.figures import figure
from helpers.show.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY, YELLOW

METHOD_COLOURS = {
    "mean face": GREY,
    "landmarks only": SKY,
    "single fit": BLUE,
    "fit": BLUE,
    "pooled fits": PINK,
    "network": ORANGE,
    "network, pooled": RED,
    "image only": GREEN,
    "flow-based": YELLOW,
    "embedding": GREY,
    "random map": INK,
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


def error_figure(
    errors: list, title: str, reported: dict[str, tuple[float, float]] | None = None, kept: bool = True
):
    """3DRMSE by method: a dot for each person, a line for the mean.

    Reported values stand in an axis of their own, since they are of other data: means with their standard deviations.

    Args:
        errors: `helpers.evaluation.compare_methods.PersonErrors` of the methods.
        title: of whom they are.
        reported: (mean, standard deviation), mm, by method.
        kept: whether over the pictures that are kept, or over all.
    """
    drawing, axes = figure(8.6, 0.9 + 0.3 * max(len(errors), 6), ncols=2 if reported else 1, squeeze=False)
    values = {each.name: each.kept if kept else each.every for each in errors}
    panel = axes[0, 0]
    for number, (name, mm) in enumerate(values.items()):
        colour = _colour(name, number)
        offsets = 0.22 * np.sin(2.4 * np.arange(len(mm)))  # so that people do not cover each other
        panel.scatter(mm, number + offsets, s=14, color=colour, alpha=0.75, linewidths=0)
        panel.plot([np.nanmean(mm)] * 2, [number - 0.36, number + 0.36], color="#24292F", linewidth=1.6)
    _name_rows(panel, list(values), title)
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


def agreement_picture(images, alpha, beta, model, most: int = 8) -> np.ndarray:
    """Photographs of one person, and below each the face that was found in it: shape alone, then with its colours.

    Args:
        images: (N, S, S, 3), 0 to 1.
        alpha: (N, Ks).
        beta: (N, Kt).
        model: the face model.
        most: only so many are drawn: those that agree least with the person's others.

    Returns:
        (H, W, 3) uint8; above each photograph stands its mean cosine with the others.
    """
    vectors = torch.nn.functional.normalize(torch.cat([alpha, beta], 1).cpu(), dim=1)
    cosine = ((vectors @ vectors.T).sum(1) - 1) / (len(vectors) - 1)
    rows = cosine.argsort()[:most]
    shape, colour = (made[rows.to(made.device)] for made in (model.shape(alpha), model.texture(beta)))
    faces = [heads(shape, model.triangles), heads(shape, model.triangles, colour)]
    titles = [f"{float(cosine[k]):.2f}" for k in rows]
    return table([[images[k] for k in rows], *faces], ["photo\n(cosine)", "shape", "skin"], titles)


def scan_sheet(rows: list[tuple]) -> np.ndarray:
    """Scans, what of them was measured and how far off it is, and the faces as they were laid on them.

    Args:
        rows: name, face laid on the scan, scan, (V,) mm of each vertex of the scan or NaN where nothing was measured, and the
            motion that turns all to the front; the surfaces are `helpers.evaluation.Surface`s with triangles.

    Returns:
        (H, W, 3) uint8: a row for each, grey where nothing was measured.
    """
    images = []
    for _, face, scan, distance, front in rows:
        inside = np.isfinite(distance)
        seen, laid = (
            (torch.from_numpy(front(each.vertices)).float()[None], torch.from_numpy(each.triangles))
            for each in (scan, face)
        )
        mm = distance_heads(*seen, np.where(inside, distance, 0)[None], inside=inside[None])
        images.append([*heads(*seen), *mm, *heads(*laid), mm_legend()])
    titles = ["scan", "measured, mm", "face laid on it", ""]
    return table(images, [name for name, *_ in rows], titles, height=170)


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
    _name_rows(axes, names, title)


def _name_rows(axes, names: list[str], title: str) -> None:
    axes.set(yticks=range(len(names)), yticklabels=names, xlabel="3DRMSE, mm", title=title, xlim=(0, None))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def _colour(name: str, number: int) -> str:
    return METHOD_COLOURS.get(name, (YELLOW, INK)[number % 2])
