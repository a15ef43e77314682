"""Everything that notebooks show: pictures with words beside them, source code, the road of the course, live meshes.

It may import any room of the method. Notebooks import it, and commands where they draw; nothing that computes does.

`figures`, `style` and `views` are what every picture is made with, `on_cpu` the door through which all that is drawn comes;
`faces`, `fit_strip`, `fitting`, `pose`, `rendering`, `pooling`, `evaluation` and `training` draw one step of the method each;
`sliders/` holds the figures that follow sliders, `viewer/` the face that the browser draws and turns, `mesh` stills with it below,
`playground/` notebook 08.
`course_map` is the road, `source` shows code, `exercise_checks` says what is wrong with an answer.
"""

from helpers.show.course_map import road
from helpers.show.evaluation import error_figure, roc_figure, spread_figure
from helpers.show.exercise_checks import check, expect, expect_below
from helpers.show.faces import distance_heads, error_heads, heads, mm_legend, table
from helpers.show.figures import draw_landmarks, figure, picture, row, tile
from helpers.show.fit_strip import fit_strip
from helpers.show.fitting import energy_figure, state_overlay
from helpers.show.mesh import mesh
from helpers.show.pooling import paired_table, rules_figure, rules_table, spread_bars
from helpers.show.pose import (
    cloud_picture,
    correspondence_picture,
    head_over,
    model_with_points,
    motion_picture,
    pose_error,
)
from helpers.show.rendering import pixels
from helpers.show.sliders import (
    CropSlider,
    FaceSliders,
    PoolSlider,
    crop_slider,
    face_sliders,
    fit_by_hand,
    glance_slider,
    modes_table,
    pool_slider,
    pose_drag,
    pose_game,
    pose_light,
    prior_slider,
)
from helpers.show.source import source
from helpers.show.style import mm_colourbar, mm_colours, style
from helpers.show.training import training_curve
from helpers.show.views import portraits

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
    "fit_by_hand",
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
    "paired_table",
    "picture",
    "pixels",
    "pool_slider",
    "portraits",
    "pose_error",
    "pose_drag",
    "pose_game",
    "pose_light",
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
