"""The road of the course in one picture, with the place where the reader stands lit."""

from __future__ import annotations

from helpers.show.figures import picture
from helpers.show.style import GREY, INK, PAPER, STEP_COLOURS, style

# Step: the notebook, and what comes out of it.
STEPS = {
    "photograph": ("00", "pixels"),
    "landmarks": ("03", "68 points"),
    "pose": ("03", "6 numbers"),
    "fit": ("04", "198 numbers"),
    "pooled label": ("05", "one a person"),
    "network": ("06", "198 at a glance"),
    "evaluation": ("07", "millimetres"),
}
BESIDE = {"face model": ("01", "99 shape + 99 texture modes"), "renderer": ("02", "numbers → image")}
WIDTH, GAP, HEIGHT = 1.42, 0.34, 0.92


def road(here: str | list[str] | None = None) -> None:
    """Show the road.

    Args:
        here: the step that is lit, or several: names as in STEPS or BESIDE; None for none.

    Raises:
        ValueError: a name is no step.
    """
    lit = _names(here)
    steps = ", ".join(f"{name} (notebook {number})" for name, (number, _) in STEPS.items())
    alt = (
        f"The road of the course, from left to right: {steps}. Below, the face model (notebook 01) and the "
        f"renderer (notebook 02) serve the pose, the fit, the network and the evaluation."
    )
    if lit:
        alt += f" Lit: {', '.join(lit)}."
    picture(road_figure(here), alt=alt)


def road_figure(here: str | list[str] | None = None):
    """The picture of `road` as a matplotlib figure."""
    from matplotlib.figure import Figure

    style()
    lit = _names(here)
    length = len(STEPS) * WIDTH + (len(STEPS) - 1) * GAP
    made = Figure(figsize=(10.2, 2.75))
    made.set_layout_engine("none")
    axes = made.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.15, length + 0.15), ylim=(-2.02, 1.22), aspect="equal")
    axes.axis("off")

    left = {name: i * (WIDTH + GAP) for i, name in enumerate(STEPS)}
    low, tall = -1.75, 0.82
    beside = {"face model": (left["landmarks"] + 0.3, 3.0), "renderer": (left["fit"] + 0.75, 2.75)}
    rail = -0.5  # the two serve the steps by way of one line
    for x, width in beside.values():
        axes.plot([x + width / 2] * 2, [low + tall, rail], color=GREY, lw=1.2, zorder=1)
    served = [left[name] + WIDTH / 2 for name in ("pose", "fit", "network", "evaluation")]
    axes.plot([min(served), max(served)], [rail, rail], color=GREY, lw=1.2, zorder=1)
    axes.plot(
        [beside["face model"][0] + beside["face model"][1] / 2, min(served)], [rail, rail], color=GREY, lw=1.2
    )
    for x in served:
        _arrow(axes, (x, rail), (x, -0.03), GREY, 1.2)

    for name, (number, result) in STEPS.items():
        if left[name] > 0:
            _arrow(axes, (left[name] - GAP, HEIGHT / 2), (left[name], HEIGHT / 2), INK, 1.8)
        _box(axes, (left[name], 0, WIDTH, HEIGHT), name, number, result, name in lit, not lit)
    for name, (number, result) in BESIDE.items():
        x, width = beside[name]
        _box(axes, (x, low, width, tall), name, number, result, name in lit, not lit)
    return made


def _box(axes, place, name, number, result, lit: bool, all_equal: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = place
    colour = STEP_COLOURS[name]
    filled = lit or all_equal
    shape = FancyBboxPatch(
        (x + 0.06, y + 0.06),
        width - 0.12,
        height - 0.12,
        boxstyle="round,pad=0.06,rounding_size=0.12",
        linewidth=2.2 if filled else 1.6,
        facecolor=colour if filled else PAPER,
        edgecolor=INK if lit else colour,
        zorder=2,
    )
    axes.add_patch(shape)
    ink = _readable_on(colour) if filled else INK
    middle = x + width / 2
    axes.text(
        middle, y + height * 0.63, name, ha="center", va="center", color=ink, weight="bold", size=10, zorder=3
    )
    axes.text(middle, y + height * 0.30, result, ha="center", va="center", color=ink, size=8, zorder=3)
    weight = "bold" if lit else "normal"
    if name in STEPS:
        shade = INK if filled else GREY
        axes.text(
            middle, y + height + 0.09, number, ha="center", va="bottom", size=9, color=shade, weight=weight
        )
    else:
        axes.text(
            x + width - 0.1, y + height - 0.1, number, ha="right", va="top", size=9, color=ink, zorder=3
        )


def _readable_on(colour: str) -> str:
    """Ink or paper, whichever stands out more."""
    from matplotlib.colors import to_rgb

    r, g, b = to_rgb(colour)
    return PAPER if 0.299 * r + 0.587 * g + 0.114 * b < 0.56 else INK


def _arrow(axes, start, end, colour, width) -> None:
    arrow = {
        "arrowstyle": "-|>",
        "color": colour,
        "lw": width,
        "shrinkA": 0,
        "shrinkB": 0,
        "mutation_scale": 10,
    }
    axes.annotate("", xy=end, xytext=start, arrowprops=arrow, zorder=1)


def _names(here) -> list[str]:
    names = [] if here is None else [here] if isinstance(here, str) else list(here)
    for name in names:
        if name not in STEP_COLOURS:
            raise ValueError(f"{name!r} is no step of the road: one of {', '.join(STEP_COLOURS)}")
    return names
