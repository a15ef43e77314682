"""Whether a fit is to be believed, in one number and one word: never a plausible face without a warning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.fitting.images import gaussian_blur
from helpers.fitting.settings import REFERENCE_SIZE

# Below this a fit deserves a look. Both default photographs lie above it at 0.44 and 0.69, the lower one with glasses
# and a hat; fits of them to wrong landmarks lie below 0.30, those of rendered faces to right ones above 0.9.
GOOD_CONFIDENCE = 0.35
# A face turned further shows half of itself, and detectors place the other half by guessing.
MOST_YAW = 60.0  # degrees
FEWEST_PIXELS = 1500  # of a crop of 224 px
LEAST_CONTRAST = 0.015  # standard deviation of the brightness over the face
CLIPPED = 0.5  # share of the face that may be black or white
UNFINISHED = 0.02  # promised fall of the energy by one more step, as a part of it

GOOD, NOT_FINITE, POSE, TURNED, HIDDEN, CONTRASTLESS, SATURATED, UNLIKE, UNCONVERGED = range(9)
# Short names first, sentences second.
REASONS = {
    GOOD: ("", "the fit can be believed"),
    NOT_FINITE: ("not_finite", "the photograph or its landmarks hold numbers that are not finite"),
    POSE: ("pose", "the landmarks are those of no face in any pose"),
    TURNED: ("turned", f"the face is turned by more than {MOST_YAW:.0f}°"),
    HIDDEN: ("hidden", "too little of the face is in the picture"),
    CONTRASTLESS: ("flat", "the picture shows nothing where the face should be"),
    SATURATED: ("saturated", "most of the face is black or white"),
    UNLIKE: (
        "unlike",
        "the fitted face does not look like the picture: wrong landmarks, or something in front",
    ),
    UNCONVERGED: ("unconverged", "the search had not come to rest; give it more iterations"),
}


def edge_agreement(image: Tensor, drawn: Tensor, inside: Tensor) -> Tensor:
    """(B,) cosine between the gradients of photograph and render (B, H, W, 3) over the mask (B, H, W).

    Colours can agree by light alone; edges in the right places cannot.
    """
    finer = max(image.shape[1:3]) / REFERENCE_SIZE  # the same detail, however finely it was sampled
    reach = max(1, round(2 * finer))
    # Away from the border of the region, where the render's own outline would count as an edge.
    eroded = -F.max_pool2d(-inside.to(image)[:, None], 2 * reach + 1, 1, reach)[:, 0]

    def slopes(picture):
        return torch.stack(
            torch.gradient(gaussian_blur(picture.mean(-1, keepdim=True), finer)[..., 0], dim=(1, 2)), -1
        )

    photo, model = slopes(image), slopes(drawn)

    def inner(a, b):
        return (a * b * eroded[..., None]).sum((1, 2, 3))

    return inner(photo, model) / (inner(photo, photo) * inner(model, model)).sqrt().clamp(min=1e-9)


def fit_confidence(
    image: Tensor, drawn: Tensor, inside: Tensor, landmark_error: Tensor, landmarks: Tensor
) -> Tensor:
    """(B,) one number that tells good fits from failed ones.

    `edge_agreement` times exp(−(e / 16)²), e the mean landmark error without the jaw, in percent of the landmark box's
    longer side. Landmarks count for little: where they are noisy, the pixels have had the last word.
    """
    cosine = edge_agreement(image, drawn, inside)
    box = (landmarks.amax(1) - landmarks.amin(1)).amax(-1).clamp(min=1e-6)
    percent = 100 * landmark_error[:, 17:].mean(-1) / box
    return torch.nan_to_num(cosine.clamp(min=0) * torch.exp(-((percent / 16) ** 2)))


def judge(
    image: Tensor,
    inside: Tensor,
    *,
    finite: Tensor,
    pose_ok: Tensor,
    yaw: Tensor,
    confidence: Tensor,
    promised: Tensor,
) -> Tensor:
    """(B,) int32 codes, see `REASONS`; the first cause in the order of the list is the one that is told.

    image (B, H, W, 3), inside (B, H, W): the photograph, and the pixels that the fit used. finite, pose_ok: (B,)
    bool.  yaw: (B,) degrees.  confidence: (B,).  promised: (B,) what one more step would gain, as a part of the energy.
    """
    some = inside.to(image)
    count = some.sum((1, 2))
    unit = max(image.shape[1:3]) / REFERENCE_SIZE
    brightness = image.mean(-1)
    middle = (brightness * some).sum((1, 2)) / count.clamp(min=1)
    contrast = ((brightness - middle[:, None, None]).square() * some).sum((1, 2)) / count.clamp(min=1)
    clipped = (((image <= 0.01) | (image >= 0.99)).all(-1) * some).sum((1, 2)) / count.clamp(min=1)
    causes = (
        (NOT_FINITE, ~finite),
        (POSE, ~pose_ok),
        (TURNED, yaw.abs() > MOST_YAW),
        (HIDDEN, count < FEWEST_PIXELS * unit**2),
        (CONTRASTLESS, contrast.sqrt() < LEAST_CONTRAST),
        (SATURATED, clipped > CLIPPED),
        (UNLIKE, ~(confidence >= GOOD_CONFIDENCE)),
        (UNCONVERGED, ~(promised < UNFINISHED)),
    )
    code = torch.zeros_like(count, dtype=torch.int32)
    for number, found in reversed(causes):
        code = torch.where(found, number, code)
    return code
