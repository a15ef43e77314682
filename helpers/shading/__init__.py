"""What happens between the raster and the image: shading, cast shadows, smooth edges."""

from helpers.shading.antialias import antialias
from helpers.shading.shadow import cast_shadows

__all__ = ["antialias", "cast_shadows"]
