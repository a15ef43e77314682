"""The numbers of a fit as they are stored: what `STEM.npz` holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.crop import FaceCrop
from helpers.fitting.light_models import light_model_of
from helpers.fitting.result import FitResult
from helpers.landmarks.detection import Detection


def fit_numbers(crop: FaceCrop, result: FitResult, face: Detection) -> dict[str, Any]:
    """What STEM.npz holds, by name, as numpy arrays without a batch dimension.

    - alpha, beta, expression: coefficients in standard deviations of the model.
    - standard_deviations: how well alpha, expression and beta, in this order, are known after the fit.
    - rotation_vector, translation: the pose.
    - focal, principal_point, image_size: the camera of the crop.
    - light: (9, 3) harmonics, or (15,) with the preset "released", see `helpers.lighting.lamp_vector`.
    - colour: (2, 3) gain and offset of the colours besides the light; 1 and 0 where the light is harmonics, which
      carry the photograph's tint.
    - energy: by iteration.
    - landmarks: (68, 2) crop px; landmarks_photo: (68, 2) photograph px; landmark_error: (68,) px.
    - crop_scale, crop_origin: crop = (photograph − origin) · scale.
    - confidence: the detector's, which pooling weighs by.
    - fit_confidence: the fit's own; fit_reason: one word for what is wrong, or "".
    - covered: share of the face that something hides, 0 to 1.

    Args:
        crop: the face's crop, as `helpers.crop.crop_face` cuts it.
        result: of the fit of that crop alone.
        face: the detected face, with its points in the photograph.
    """
    numbers = {
        "alpha": result.alpha[0],
        "beta": result.beta[0],
        "expression": result.expression[0],
        "standard_deviations": result.covariance[0].diagonal().clamp(min=0).sqrt(),
        "rotation_vector": result.pose.rotation_vector[0],
        "translation": result.pose.translation[0],
        "focal": result.camera.focal[0],
        "principal_point": result.camera.principal_point[0],
        "image_size": result.camera.size,
        "light": result.light[0],
        "colour": light_model_of(result.light).gain_and_offset(result.light)[0],
        "energy": result.energy[0],
        "landmarks": crop.landmarks[0],
        "landmarks_photo": face.points,
        "landmark_error": result.landmark_error[0],
        "crop_scale": crop.scale[0],
        "crop_origin": crop.origin[0],
        "confidence": np.float32(face.confidence),
        "fit_confidence": result.confidence[0],
        "fit_reason": result.reason[0],
        "covered": result.covered[0],
    }
    return {name: np.asarray(value) for name, value in numbers.items()}
