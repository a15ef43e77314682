"""Everything that notebooks show: pictures with words beside them, source code, the road, live meshes.

Only notebooks and the command line import this package; nothing that computes does.
"""

from helpers.show.answers import check, expect, expect_below
from helpers.show.course_map import road
from helpers.show.evaluation import (
    CropSlider,
    crop_slider,
    distance_heads,
    error_figure,
    roc_figure,
    spread_figure,
)
from helpers.show.faces import error_heads, heads, mm_legend, table
from helpers.show.figures import draw_landmarks, figure, picture, row, tile
from helpers.show.fit_strip import fit_strip
from helpers.show.fitting import energy_figure, portraits, state_overlay
from helpers.show.glance import glance_slider
from helpers.show.mesh import mesh
from helpers.show.pooling import PoolSlider, pool_slider, rules_figure, rules_table, spread_bars
from helpers.show.pose import (
    cloud_picture,
    correspondence_picture,
    head_over,
    model_with_points,
    motion_picture,
    pose_error,
)
from helpers.show.pose_game import pose_game
from helpers.show.prior_slider import prior_slider
from helpers.show.rendering import pixels
from helpers.show.sliders import FaceSliders, face_sliders, modes_table
from helpers.show.source import source
from helpers.show.style import mm_colourbar, mm_colours, style
from helpers.show.training import training_curve

__all__ = [
    "CropSlider",
    "FaceSliders",
    "PoolSlider",
    "check",
    "cloud_picture",
    "correspondence_picture",
    "crop_slider",
    "distance_heads",
    "draw_landmarks",
    "energy_figure",
    "error_figure",
    "error_heads",
    "expect",
    "expect_below",
    "face_sliders",
    "figure",
    "glance_slider",
    "head_over",
    "heads",
    "mesh",
    "mm_colourbar",
    "mm_colours",
    "mm_legend",
    "model_with_points",
    "modes_table",
    "motion_picture",
    "picture",
    "pixels",
    "pool_slider",
    "portraits",
    "pose_error",
    "pose_game",
    "prior_slider",
    "road",
    "roc_figure",
    "row",
    "rules_figure",
    "rules_table",
    "fit_strip",
    "source",
    "spread_bars",
    "spread_figure",
    "state_overlay",
    "style",
    "table",
    "tile",
    "training_curve",
]
