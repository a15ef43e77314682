"""Figures with sliders, one a file: `live_figure` is what they share.

Each has stills for those who only read the page, and a function that shows it where a notebook runs.
"""

from helpers.show.sliders.crop import CropSlider, crop_slider
from helpers.show.sliders.face_modes import FaceSliders, face_sliders, modes_table
from helpers.show.sliders.fit_by_hand import FitByHand, fit_by_hand
from helpers.show.sliders.glance import GlanceSlider, glance_slider
from helpers.show.sliders.live_figure import LiveFigure, Slider
from helpers.show.sliders.pool import PoolSlider, pool_slider
from helpers.show.sliders.pose_drag import PoseDrag, pose_drag
from helpers.show.sliders.pose_game import PoseGame, pose_game
from helpers.show.sliders.pose_light import PoseLight, pose_light
from helpers.show.sliders.prior_weight import PriorSlider, prior_slider

__all__ = [
    "CropSlider",
    "FaceSliders",
    "FitByHand",
    "GlanceSlider",
    "LiveFigure",
    "PoolSlider",
    "PoseDrag",
    "PoseGame",
    "PoseLight",
    "PriorSlider",
    "Slider",
    "crop_slider",
    "face_sliders",
    "fit_by_hand",
    "glance_slider",
    "modes_table",
    "pool_slider",
    "pose_drag",
    "pose_game",
    "pose_light",
    "prior_slider",
]
