"""Painting: the photograph's own colours on the fitted face.

`atlas_of` lays a face model out flat, `paint` fills that picture from a photograph, and `paint_fit` does so for a fit.
"""

from helpers.painting.atlas import Atlas, atlas_of
from helpers.painting.fill import matched, push_pull
from helpers.painting.of_fit import lit_colours, paint_fit
from helpers.painting.paint import PaintedFace, paint

__all__ = ["Atlas", "PaintedFace", "atlas_of", "lit_colours", "matched", "paint", "paint_fit", "push_pull"]
