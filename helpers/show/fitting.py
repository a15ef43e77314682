"""Pictures of a fit at work: the face so far, and the energy that it still has."""

from __future__ import annotations

import torch

from helpers.show.figures import figure
from helpers.show.fit_strip import FittedFace, overlay
from helpers.show.style import STEP_COLOURS

TERM_COLOURS = {
    "landmarks": STEP_COLOURS["landmarks"],
    "pixels": STEP_COLOURS["fit"],
    "edges": STEP_COLOURS["evaluation"],
    "coefficients": STEP_COLOURS["pooled label"],
    "light": STEP_COLOURS["network"],
}
# A shape for each term too: printed in grey, or seen without green cones, two of the colours are nearly one.
TERM_MARKERS = {"landmarks": "o", "pixels": "s", "edges": "D", "coefficients": "^", "light": "v"}


def state_overlay(image, fit_model, state, camera) -> torch.Tensor:
    """The face of a solver's state laid over its photograph: what a fit looks like on its way.

    Args:
        image: (H, W, 3), the photograph.
        fit_model: the model that is fitted.
        state: a `FaceState` of one face.
        camera: of the photograph.

    Returns:
        (H, W, 3), 0 to 1.
    """
    with torch.no_grad():
        face = FittedFace(
            fit_model.geometry(state.coefficients),
            fit_model.albedo(state.coefficients).clamp(0, 1),
            state.pose,
            camera,
            state.light,
        )
        return overlay(image, face, fit_model.model)


def energy_figure(result, index: int = 0):
    """Energy of each term by iteration, on a logarithmic scale.

    Args:
        result: a `FitResult`.
        index: which of its faces.
    """
    drawing, axes = figure(7.0, 3.2)
    for name, values in result.energy_terms.items():
        values = values[index].cpu()
        shown = values > 0  # the pixel term begins later than the others, and edges are left out by default
        if not shown.any():
            continue
        iterations = torch.arange(len(values))[shown]
        axes.plot(
            iterations,
            values[shown],
            marker=TERM_MARKERS[name],
            ms=4.5,
            lw=1.5,
            color=TERM_COLOURS[name],
            label=name,
        )
    # How many iterations came before the first with pixels.
    joined = int((result.energy_terms["pixels"][index] == 0).sum())
    axes.axvline(joined - 0.5, color="grey", linewidth=1, linestyle=":")
    skin = len(result.energy[index]) - result.iterations_skin
    axes.set(yscale="log", xlabel="iteration", ylabel="energy")
    # On the left of its line, where no term starts at the top.
    top = axes.get_ylim()[1]
    axes.text(joined - 0.8, top, "pixels join", va="top", ha="right", color="grey")
    if result.iterations_skin:
        axes.axvline(skin - 0.5, color="grey", linewidth=1, linestyle=":")
        axes.text(skin - 0.3, top, "skin, light", va="top", color="grey")
    axes.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.18))
    return drawing
