"""A face to turn, drawn by the browser itself with WebGL 2: a mesh, its colours or its paint, and, where a face model is
given, its basis, which is sent once. From then on numbers are sent, and no meshes and no pictures.

`FaceViewer` is a widget for notebooks, `pick_landmarks` one that sets landmarks on a scan, `standalone_page` a page that opens without a
network and without Python, `page_script` the same head on a page of the site.
"""

from helpers.show.viewer.packing import (
    VIEWER,
    VIEWER_STYLE,
    jpeg_of,
    mask,
    packed_mesh,
    packed_model,
    unpainted,
)
from helpers.show.viewer.picker import pick_landmarks
from helpers.show.viewer.standalone import page_script, standalone_page
from helpers.show.viewer.widget import FaceViewer

__all__ = [
    "VIEWER",
    "VIEWER_STYLE",
    "FaceViewer",
    "jpeg_of",
    "mask",
    "packed_mesh",
    "packed_model",
    "page_script",
    "pick_landmarks",
    "standalone_page",
    "unpainted",
]
