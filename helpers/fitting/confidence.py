"""Whether a fit is to be believed, in one number and one word: never a plausible face without a warning."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.fitting.images import gaussian_blur
from helpers.fitting.settings import REFERENCE_SIZE
from helpers.pose.points68 import WITHOUT_JAW
from helpers.reasons import GOOD

# Below this a fit deserves a look. Both default photographs lie above it at 0.44 and 0.69, the lower one with glasses
# and a hat; fits of them to wrong landmarks lie below 0.30, those of rendered faces to right ones above 0.9.
GOOD_CONFIDENCE = 0.35
# The landmark error at which a face with perfect edges has confidence 1/e.
LANDMARK_REACH = 16.0  # percent of the landmark box's longer side
# Beyond it half of the face is hidden, and detectors guess where its points are.
MOST_YAW = 60.0  # degrees
FEWEST_PIXELS = 1500  # of a crop of 224 px
LEAST_CONTRAST = 0.015  # standard deviation of the brightness over the face
BLACK, WHITE = 0.01, 0.99  # from here on a colour counts as clipped
CLIPPED = 0.5  # share of the face that may be black or white
UNFINISHED = 0.02  # promised fall of the energy by one more step, as a part of it

NOT_FINITE, POSE, TURNED, HIDDEN, CONTRASTLESS, SATURATED, UNLIKE, UNCONVERGED = range(GOOD + 1, 9)
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
    """Cosine between the gradients of photograph and render.

    Colours can agree by light alone; edges in the right places cannot.

    Args:
        image: (B, H, W, 3) photographs.
        drawn: (B, H, W, 3) renders of the fitted faces.
        inside: (B, H, W) mask of the pixels to compare.

    Returns:
        (B,) from −1 to 1.
    """
    finer = max(image.shape[1:3]) / REFERENCE_SIZE  # the same detail, however finely it was sampled
    reach = max(1, round(2 * finer))
    # Away from the border of the region, where the render's own outline would count as an edge.
    eroded = -F.max_pool2d(-inside.to(image)[:, None], 2 * reach + 1, 1, reach)[:, 0]

    def slopes(picture: Tensor) -> Tensor:
        grey = gaussian_blur(picture.mean(-1, keepdim=True), finer)[..., 0]
        return torch.stack(torch.gradient(grey, dim=(1, 2)), -1)

    photo, model = slopes(image), slopes(drawn)

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return (a * b * eroded[..., None]).sum((1, 2, 3))

    return inner(photo, model) / (inner(photo, photo) * inner(model, model)).sqrt().clamp(min=1e-9)


def fit_confidence(
    image: Tensor, drawn: Tensor, inside: Tensor, landmark_error: Tensor, landmarks: Tensor
) -> Tensor:
    """One number that tells good fits from failed ones.

    `edge_agreement` times exp(−(e / 16)²), e the mean landmark error without the jaw, in percent of the landmark box's
    longer side. Landmarks count for little: where they are noisy, the pixels have had the last word.

    Args:
        image: (B, H, W, 3) photographs.
        drawn: (B, H, W, 3) renders of the fitted faces.
        inside: (B, H, W) mask of the pixels to compare.
        landmark_error: (B, 68) px.
        landmarks: (B, 68, 2) px.

    Returns:
        (B,) from 0 to 1.
    """
    cosine = edge_agreement(image, drawn, inside)
    box = (landmarks.amax(1) - landmarks.amin(1)).amax(-1).clamp(min=1e-6)
    percent = 100 * landmark_error[:, WITHOUT_JAW].mean(-1) / box
    return torch.nan_to_num(cosine.clamp(min=0) * torch.exp(-((percent / LANDMARK_REACH) ** 2)))


def reason_code(
    image: Tensor,
    inside: Tensor,
    *,
    finite: Tensor,
    pose_ok: Tensor,
    yaw: Tensor,
    confidence: Tensor,
    converged: Tensor,
) -> Tensor:
    """What is wrong with each fit.

    Args:
        image: (B, H, W, 3) photographs.
        inside: (B, H, W) the pixels that the fit used.
        finite: (B,) bool, the input was.
        pose_ok: (B,) bool, the landmarks were those of a face in some pose.
        yaw: (B,) degrees.
        confidence: (B,) of `fit_confidence`.
        converged: (B,) bool, the search had come to rest at a minimum.

    Returns:
        (B,) int32 codes, see `REASONS`; of several causes the first one in the order of that list.
    """
    some = inside.to(image)
    count = some.sum((1, 2))
    unit = max(image.shape[1:3]) / REFERENCE_SIZE
    brightness = image.mean(-1)
    middle = (brightness * some).sum((1, 2)) / count.clamp(min=1)
    contrast = ((brightness - middle[:, None, None]).square() * some).sum((1, 2)) / count.clamp(min=1)
    clipped = (((image <= BLACK) | (image >= WHITE)).all(-1) * some).sum((1, 2)) / count.clamp(min=1)
    causes = (
        (NOT_FINITE, ~finite),
        (POSE, ~pose_ok),
        (TURNED, yaw.abs() > MOST_YAW),
        (HIDDEN, count < FEWEST_PIXELS * unit**2),
        (CONTRASTLESS, contrast.sqrt() < LEAST_CONTRAST),
        (SATURATED, clipped > CLIPPED),
        (UNLIKE, ~(confidence >= GOOD_CONFIDENCE)),
        (UNCONVERGED, ~converged),
    )
    code = torch.full_like(count, GOOD, dtype=torch.int32)
    for number, found in reversed(causes):
        code = torch.where(found, number, code)
    return code
