"""From a face and its light to an image: the door to the renderer.

`render` puts together what four rooms do: `helpers.camera` projects the vertices, `helpers.rasterizer` finds which
triangle each pixel shows, `helpers.lighting` computes what the surface sends to the camera. Cast shadows, smooth
silhouettes and the kernels that shade a whole face are here.
"""

from helpers.rendering.antialias import antialias
from helpers.rendering.normals import vertex_normals, vertex_normals_reference
from helpers.rendering.render import render
from helpers.rendering.scene import Rendering
from helpers.rendering.shadow import cast_shadows

__all__ = ["Rendering", "antialias", "cast_shadows", "render", "vertex_normals", "vertex_normals_reference"]
