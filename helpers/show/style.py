"""One look for every figure: colours that the colour-blind can tell apart, one colour map for millimetres."""

from __future__ import annotations

# Okabe and Ito's palette, which stays apart under all common kinds of colour blindness.
BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
)
GREY, INK, PAPER = "#8A8F98", "#24292F", "#FFFFFF"
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, RED, GREY)

# Each step of the road keeps its colour through the whole course.
STEP_COLOURS = {
    "photograph": GREY,
    "landmarks": GREEN,
    "pose": SKY,
    "fit": BLUE,
    "pooled label": PINK,
    "network": ORANGE,
    "evaluation": RED,
    "face model": INK,
    "renderer": INK,
}
# On photographs, where the palette is too dull: what was found in it (dots), and what the model says (rings).
DETECTED, MODELLED = "#2BF0B0", "#FF7BD0"

# Distances in millimetres are always shown on these scales, so that two figures can be compared.
MM_MAP, MM_RANGE = "viridis", (0.0, 4.0)
SIGNED_MM_MAP, SIGNED_MM_RANGE = "RdBu_r", (-4.0, 4.0)


def style() -> None:
    """Set matplotlib's defaults for the course, and have cells compute where HELPERS_DEVICE says.

    Called by every notebook at its start, and by every function here that draws with matplotlib.
    """
    import matplotlib
    from cycler import cycler

    from helpers.show.cells import follow_default_device

    follow_default_device()

    matplotlib.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 110,
            "figure.facecolor": PAPER,
            "figure.constrained_layout.use": True,
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "text.color": INK,
            "axes.titlesize": 11,
            "axes.labelcolor": INK,
            "axes.edgecolor": GREY,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=PALETTE),
            "grid.color": "#E3E6EA",
            "xtick.color": INK,
            "ytick.color": INK,
            "lines.linewidth": 2,
            "legend.frameon": False,
            "image.cmap": MM_MAP,
        }
    )


def mm_colours(values, signed: bool = False):
    """Colours of distances on the fixed scale of the course.

    Args:
        values: (...), mm.
        signed: whether they have a sign, and the scale two sides.

    Returns:
        (..., 3), 0 to 1.
    """
    import matplotlib
    import numpy as np

    name, (low, high) = (SIGNED_MM_MAP, SIGNED_MM_RANGE) if signed else (MM_MAP, MM_RANGE)
    return np.asarray(matplotlib.colormaps[name]((np.asarray(values) - low) / (high - low)))[..., :3]


def mm_colourbar(figure, axes, signed: bool = False, label: str = "distance, mm"):
    """A colour bar of the fixed millimetre scale beside `axes`."""
    import matplotlib

    name, (low, high) = (SIGNED_MM_MAP, SIGNED_MM_RANGE) if signed else (MM_MAP, MM_RANGE)
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(low, high), name)
    return figure.colorbar(scale, ax=axes, label=label, extend="both" if signed else "max", shrink=0.8)
