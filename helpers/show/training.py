"""Pictures of a training run."""

from __future__ import annotations

from pathlib import Path

from helpers.show.figures import figure, png_bytes


def training_curve(rows: list[dict[str, float]], path: str | Path | None = None):
    """A figure of a run's log: losses, and magnitude and cosine, by step.

    Args:
        rows: of `helpers.regression.log.read_log`.
        path: where the figure is written, too, as PNG.
    """
    from helpers.files import write_in_one_step

    made, (losses, measures) = figure(9.0, 3.4, ncols=2)
    for name, label in (("train_loss", "training"), ("loss", "held-out people")):
        _line(losses, rows, name, label=label, linestyle="--" if name == "train_loss" else "-")
    losses.set(xlabel="step", ylabel="loss")
    losses.legend()
    for name, label in (
        ("magnitude_alpha", "‖α‖, guess / truth"),
        ("cosine_alpha", "cosine of α"),
        ("magnitude_beta", "‖β‖, guess / truth"),
        ("cosine_beta", "cosine of β"),
    ):
        # Magnitudes whole, cosines dashed, texture thin: to be told apart in grey, too.
        style = {"linestyle": "--" if "cosine" in name else "-", "linewidth": 1.2 if "beta" in name else 2.6}
        _line(measures, rows, name, label=label, **style)
    measures.set(xlabel="step", title="held-out people")
    measures.set_ylim(bottom=0)
    measures.legend(loc="lower right")
    if path is not None:
        write_in_one_step(path, lambda file: file.write(png_bytes(made)))
    return made


def _line(axes, rows, name: str, **style) -> None:
    points = [(row["step"], row[name]) for row in rows if name in row]
    if points:
        axes.plot(*zip(*points, strict=True), **style)
