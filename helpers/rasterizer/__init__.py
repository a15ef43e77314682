"""The rasteriser: from triangles on the screen to what each pixel shows."""

from helpers.rasterizer.raster import Raster, barycentric, interpolate, rasterize

__all__ = ["Raster", "barycentric", "interpolate", "rasterize"]
