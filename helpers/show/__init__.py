"""Everything that notebooks show: pictures with words beside them, source code, the road, live meshes.

Only notebooks and the command line import this package; nothing that computes does.
"""

from .figures import draw_landmarks, figure, picture, row, tile
from .fitting import energy_figure, portraits, state_overlay
from .mesh import mesh
from .road import road
from .sheet import sheet
from .source import source
from .style import mm_colourbar, mm_colours, style

__all__ = [
    "draw_landmarks", "energy_figure", "figure", "mesh", "mm_colourbar", "mm_colours", "picture", "portraits", "road",
    "row", "sheet", "source", "state_overlay", "style", "tile",
]  # fmt: skip
