"""A mesh to turn with the mouse, and stills of it for those who only read the page."""

from __future__ import annotations

import os

import numpy as np
import torch

from helpers.show.figures import picture, tile
from helpers.show.on_cpu import on_cpu
from helpers.show.views import CLAY, PLAIN_LIGHT, is_whole, studio

# Set while notebooks are executed to be stored: a live view would leave widget state that opens blank.
STATIC = "HELPERS_STATIC"
STILL_YAWS = (-60.0, -25.0, 0.0, 25.0, 60.0)


def mesh(
    vertices,
    triangles,
    colours=None,
    *,
    alt: str,
    live: bool | None = None,
    yaws=STILL_YAWS,
    lit: bool = True,
) -> None:
    """Show a face or a whole head from several sides, and, in a running notebook, below it as a view to turn and zoom.

    Args:
        vertices: (V, 3) or (1, V, 3) mm in model axes.
        triangles: (F, 3).
        colours: (V, 3) or (1, V, 3) sRGB, 0 to 1; None is clay.
        alt: what the stills show, in words.
        live: None decides by itself: not while notebooks are executed to be stored.
        yaws: how far the face is turned in each still, degrees.
        lit: False for colours that have their light in them, such as `helpers.painting` makes.
    """
    vertices = on_cpu(torch.as_tensor(vertices, dtype=torch.float32)).reshape(-1, 3)
    triangles = on_cpu(torch.as_tensor(triangles))
    colours = torch.tensor(CLAY).expand_as(vertices) if colours is None else torch.as_tensor(colours)
    colours = on_cpu(colours).float().reshape(-1, 3)
    picture(stills(vertices, triangles, colours, yaws, lit=lit), alt=alt)
    display_live(lambda: viewer(vertices, triangles, colours, about=alt, lit=lit), live)


def stills(vertices, triangles, colours, yaws=STILL_YAWS, size: int = 224, lit: bool = True) -> np.ndarray:
    """A mesh in studio light from several sides, side by side.

    Args:
        vertices: (V, 3) mm in model axes.
        triangles: (F, 3).
        colours: (V, 3) sRGB, 0 to 1.
        yaws: how far it is turned in each, degrees.
        size: px of each square.
        lit: False for colours that have their light in them.

    Returns:
        (H, W, 3) uint8.
    """
    from helpers.rendering import render

    whole = is_whole(vertices)
    pose, camera, light = studio(yaws, size, whole)
    B = len(yaws)
    light = light if lit else PLAIN_LIGHT.expand_as(light)
    with torch.no_grad():
        shown = render(
            vertices.expand(B, -1, -1),
            triangles,
            colours[None],
            pose,
            camera,
            light,
            supersample=2,
            cull_backfaces=whole,
        )
    return tile(list(shown.image.clamp(0, 1)))


def viewer(vertices: torch.Tensor, triangles: torch.Tensor, colours: torch.Tensor, **options):
    """A mesh to turn and zoom: a `helpers.show.viewer.FaceViewer`, which takes the same arguments."""
    from helpers.show.viewer import FaceViewer

    return FaceViewer.of_mesh(vertices, triangles, colours, **options)


def display_live(make, live: bool | None = None) -> None:
    """Display a view.

    Args:
        make: makes the view; it is called only where there is somebody to see it.
        live: None decides by itself: not while notebooks are executed to be stored.
    """
    if _in_a_live_kernel() if live is None else live:
        from IPython.display import display

        display(make())


def _in_a_live_kernel() -> bool:
    if os.environ.get(STATIC):
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None
