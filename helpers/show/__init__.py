"""Everything that notebooks show: pictures with words beside them, source code, the road, live meshes.

Only notebooks and the command line import this package; nothing that computes does.
"""

from .faces import error_heads, heads, mm_legend, table
from .figures import draw_landmarks, figure, picture, row, tile
from .fitting import energy_figure, portraits, state_overlay
from .mesh import mesh
from .road import road
from .sheet import sheet
from .sliders import FaceSliders, face_sliders, modes_table
from .source import source
from .style import mm_colourbar, mm_colours, style

__all__ = [
    "FaceSliders", "draw_landmarks", "energy_figure", "error_heads", "face_sliders", "figure", "heads", "mesh", "mm_colourbar",
    "mm_colours", "mm_legend", "modes_table", "picture", "portraits", "road", "row", "sheet", "source", "state_overlay",
    "style", "table", "tile",
]  # fmt: skip
