"""From a photograph to a 3D face: the real code behind the notebooks.

Conventions, the same in every module:

- Lengths are millimetres, angles radians unless a name says degrees.
- Model axes: x to the viewer's right, y up, z towards the viewer, right-handed.
- Camera axes (OpenCV): x right, y down, z forward; focal length in pixels; pixel centres at integers.
  `helpers.camera.model_to_camera` is the only function that turns the one into the other.
- Normals for lighting are in viewer axes: the model's axes after the pose's rotation.
- Colours are sRGB values from 0 to 1. Light is linear; `helpers.lighting.colour` says how it falls on sRGB albedo.
- Vectors are rows, the first dimension is the batch: (B, N, 3).
- float32 everywhere; the plain-torch code also takes float64, for gradient checks.
"""

__version__ = "0.2.0"
