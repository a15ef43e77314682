"""What a fit returns, and how far it is to be believed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.camera import Camera, Pose
from helpers.fitting.images import gaussian_blur
from helpers.fitting.parameters import FaceState, FitModel
from helpers.fitting.settings import REFERENCE_SIZE
from helpers.rasterizer import interpolate
from helpers.rendering import Rendering, render

# Below this a fit deserves a look. Both default photographs lie above it, one of them with glasses and a hat;
# fits to wrong landmarks lie near 0.1.
GOOD_CONFIDENCE = 0.25


@dataclass(frozen=True)
class FitResult:
    """The fitted faces of B photographs.

    alpha (B, 99), beta (B, 99), expression (B, 30): coefficients in standard deviations.
    pose: B poses.  camera: the camera of the crop.  light: (B, 9, 3) spherical harmonics.
    energy: (B, T) total energy before each iteration, by the level of blur in force.
    energy_terms: name to (B, T): "landmarks", "pixels", "coefficients", "light".
    landmarks: (B, 68, 2) px, the given points.  landmark_error: (B, 68) px, distance to the model's points.
    confidence: (B,) from about 0 to 1; see `fit_confidence`.
    iterations_landmarks: how many of the T iterations saw landmarks only.
    """

    alpha: Tensor
    beta: Tensor
    expression: Tensor
    pose: Pose
    camera: Camera
    light: Tensor
    energy: Tensor
    energy_terms: dict[str, Tensor]
    landmarks: Tensor
    landmark_error: Tensor
    confidence: Tensor
    iterations_landmarks: int


def render_state(fit_model: FitModel, state: FaceState, camera: Camera, supersample: int = 1) -> Rendering:
    """The face of `state` as an image, with the light of the state."""
    with torch.no_grad():
        return render(
            fit_model.geometry(state.coefficients),
            fit_model.triangles,
            fit_model.albedo(state.coefficients).clamp(0, 1),
            state.pose,
            camera,
            light=state.light,
            supersample=supersample,
        )


def fit_confidence(
    fit_model: FitModel, state: FaceState, camera: Camera, image: Tensor, valid: Tensor, landmark_error: Tensor, landmarks: Tensor
) -> Tensor:
    """(B,) one number that tells good fits from failed ones.

    The cosine between the gradients of photograph and render, over the face: colours can agree by light
    alone, edges in the right places cannot. Multiplied by exp(−(e / 2.5)²), e the mean landmark error without
    the jaw, in percent of the landmark box's longer side.
    """
    rendering = render_state(fit_model, state, camera)
    weight = interpolate(fit_model.weight[None, :, None], fit_model.triangles, rendering.raster)[..., 0]
    inside = (rendering.mask & (weight > 0.5) & (valid > 0.5)).to(image.dtype)
    # Away from the border of the region, where the render's own outline would count as an edge.
    finer = max(image.shape[1:3]) / REFERENCE_SIZE  # the same detail, however finely it was sampled
    reach = max(1, round(2 * finer))
    eroded = -F.max_pool2d(-inside[:, None], 2 * reach + 1, 1, reach)[:, 0]

    def slopes(picture):
        return torch.stack(torch.gradient(gaussian_blur(picture, finer).mean(-1), dim=(1, 2)), -1)

    photo, model = slopes(image), slopes(rendering.image)

    def inner(a, b):
        return (a * b * eroded[..., None]).sum((1, 2, 3))

    cosine = inner(photo, model) / (inner(photo, photo) * inner(model, model)).sqrt().clamp(min=1e-9)
    box = (landmarks.amax(1) - landmarks.amin(1)).amax(-1).clamp(min=1e-6)
    percent = 100 * landmark_error[:, 17:].mean(-1) / box
    return torch.nan_to_num(cosine.clamp(min=0) * torch.exp(-((percent / 2.5) ** 2)))
