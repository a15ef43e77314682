"""Pictures of an evaluation: curves, errors by method, how far people lie apart, and distances on faces."""

from __future__ import annotations

import numpy as np
import torch

from helpers.show.faces import heads
from helpers.show.figures import figure, tile, write
from helpers.show.mesh import display_live
from helpers.show.pose_light import quick_png
from helpers.show.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY, YELLOW, mm_colours

METHOD_COLOURS = {
    "mean face": GREY,
    "single fit": BLUE,
    "pooled fits": PINK,
    "network": ORANGE,
    "network, pooled": RED,
}
LINES = ("-", "--", "-.", (0, (1, 1)))  # where curves fall on each other, all are seen
OUTSIDE = (0.86, 0.86, 0.88)  # of a face, where nothing is measured


def roc_figure(curves: dict):
    """ROC curves by name, `Roc` or `Verification` each: the rates, and the same on a logarithmic axis for few false accepts."""
    drawing, (plain, log) = figure(8.6, 3.4, ncols=2)
    for number, (name, curve) in enumerate(curves.items()):
        curve = getattr(curve, "curve", curve)
        # Later curves are thinner, so that one that runs under another shows on both sides of it.
        width = 3.2 - 1.9 * number / max(1, len(curves) - 1)
        line = {"linestyle": LINES[number % len(LINES)], "linewidth": width}
        how = {"color": _colour(name, number), "label": f"{name} ({curve.auc:.3f})", **line}
        false, true = curve.false_accept.cpu().numpy(), curve.true_accept.cpu().numpy()
        plain.plot(false, true, **how)
        log.plot(false, true, **how)
    plain.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":")
    least = min(
        float(getattr(c, "curve", c).false_accept[getattr(c, "curve", c).false_accept > 0].min())
        for c in curves.values()
    )
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
    """3DRMSE by method with its spread over people, from the rows of `shape_table`; beside it reported values (mean, std) in
    an axis of their own, since they are of other data."""
    drawing, axes = figure(8.6, 2.9, ncols=2 if reported else 1, squeeze=False)
    _bars(axes[0, 0], {row["method"]: (row["icp"], row["icp_std"]) for row in rows}, "here: synthetic people")
    if reported:
        _bars(axes[0, 1], reported, "reported in the paper: MICC scans")
    return drawing


def spread_figure(spreads: dict[str, tuple]):
    """Histograms of the cosines within and between people, one panel for each method; values as `spread` gives them."""
    drawing, axes = figure(8.6, 2.5, ncols=len(spreads), sharex=True, squeeze=False)
    bins = np.linspace(-1, 1, 61)
    for panel, (name, (within, between)) in zip(axes[0], spreads.items(), strict=True):
        panel.hist(between.cpu().numpy(), bins, density=True, color=GREY, alpha=0.8, label="two people")
        panel.hist(within.cpu().numpy(), bins, density=True, color=BLUE, alpha=0.7, label="one person")
        panel.set(title=name, xlabel="cosine", yticks=[], xlim=(-1, 1), xticks=(-1, 0, 1))
    # Below all panels: in a narrow one it would cover the bars.
    drawing.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    return drawing


def distance_heads(
    vertices, triangles, distance, *, inside=None, yaw: float = 0.0, size: int = 170
) -> list[torch.Tensor]:
    """Faces (B, V, 3) coloured by distance (B, V) mm on the course's scale; grey where inside (B or 1, V) is 0."""
    distance = torch.as_tensor(np.asarray(distance), dtype=torch.float32)
    colours = torch.from_numpy(mm_colours(distance.numpy())).float()
    if inside is not None:
        outside = torch.tensor(OUTSIDE).expand_as(colours)
        colours = torch.where(torch.as_tensor(inside)[..., None] > 0, colours, outside)
    return heads(torch.as_tensor(vertices), triangles, colours, yaw=yaw, size=size)


class CropSlider:
    """A scan coloured by its distance from a face, with a slider for the radius of the crop: the error follows.

    model, scan: surfaces.  radii: mm, where the slider stops; the alignments at all of them are computed at once.
    `slider` holds the radius, `image` the picture, `box` both together. rmse: (radii,) mm.
    """

    def __init__(
        self,
        model,
        scan,
        radii=(40, 50, 60, 70, 80, 90, 95, 100, 110, 120, 130),
        size: int = 256,
        yaw: float = 25.0,
    ):
        import ipywidgets

        from helpers.evaluation import Protocol, scan_error

        self.scan, self.radii, self.size, self.yaw = scan, tuple(radii), size, yaw
        self.errors = [scan_error(model, scan, Protocol(radius=float(radius))) for radius in self.radii]
        self.rmse = np.array([error.rmse for error in self.errors])
        start = min(self.radii, key=lambda radius: abs(radius - 95))
        self.slider = ipywidgets.SelectionSlider(options=self.radii, value=start, description="radius, mm")
        self.image = ipywidgets.Image(format="png", width=size, height=size)
        self.box = ipywidgets.HBox([self.image, self.slider])
        self.slider.observe(self._update, "value")
        self._update()

    def draw(self, radius, size: int | None = None) -> np.ndarray:
        """The scan with a crop of `radius` mm, one of the radii: (size, size, 3) uint8, the error written on it."""
        from PIL import Image

        error = self.errors[self.radii.index(radius)]
        distance, inside = np.zeros(len(self.scan.vertices)), np.zeros(len(self.scan.vertices))
        distance[error.query], inside[error.query] = error.distance, 1
        vertices = torch.from_numpy(self.scan.vertices).float()[None]
        triangles = torch.from_numpy(self.scan.triangles)
        face = distance_heads(
            vertices, triangles, distance[None], inside=inside[None], yaw=self.yaw, size=size or self.size
        )[0]
        page = Image.fromarray((face.numpy() * 255 + 0.5).astype(np.uint8))
        write(page, (page.width / 2, page.height - 12), f"{radius} mm: {error.rmse:.2f} mm", size=13, edge=2)
        return np.asarray(page)

    def stills(self, radii, height: int = 190) -> np.ndarray:
        """The scan at some radii, side by side: (H, W, 3) uint8."""
        return tile([self.draw(radius, height) for radius in radii], height=height)

    def _update(self, change=None) -> None:
        self.image.value = quick_png(self.draw(self.slider.value))


def crop_slider(model, scan, *, live: bool | None = None, **how) -> CropSlider:
    """Show a `CropSlider` and return it. live: None decides by itself: not while notebooks are executed to be stored."""
    made = CropSlider(model, scan, **how)
    display_live(lambda: made.box, live)
    return made


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
