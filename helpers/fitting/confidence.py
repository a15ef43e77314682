"""Whether a fit is to be believed, in one number and one word: never a plausible face without a warning."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.fitting.images import gaussian_blur, window_max
from helpers.fitting.settings import REFERENCE_SIZE
from helpers.pose.points68 import WITHOUT_JAW
from helpers.reasons import GOOD

# Below this a fit deserves a look. The default photographs lie above it at 0.63 (glasses and a hat) and 0.67, rendered
# faces fitted to right landmarks above 0.88; of fits to wrong ones nine in ten lie below.
GOOD_CONFIDENCE = 0.45
# The landmark error at which a face with perfect edges has confidence 1/e.
LANDMARK_REACH = 16.0  # percent of the landmark box's longer side
# Beyond it half of the face is hidden, and detectors guess where its points are.
MOST_YAW = 60.0  # degrees
FEWEST_PIXELS = 1500  # of a crop of 224 px
LEAST_CONTRAST = 0.015  # standard deviation of the brightness over the face
BLACK, WHITE = 0.01, 0.99  # from here on a colour counts as clipped
CLIPPED = 0.5  # share of the face that may be black or white
UNFINISHED = 0.02  # promised fall of the energy by one more step, as a part of it

MOST_COVERED = 0.4  # share of the face that something may hide
# Eyes or mouth are hidden where most of their pixels are not face. Cloth of the colour of skin passes for face, but its
# edges are not those of a mouth: they agree by 0.05 at most, and mouths in a beard by 0.07. Deep-set eyes in the shade
# lack edges too (−0.03), so there pixels must speak against them as well, unless edges run against those of the model,
# as they do where landmarks are far off (−0.16 and less).
MOSTLY_FACE, DOUBTFUL, LEAST_EDGES = 0.6, 0.85, 0.06
PARTS = (  # points of the 68, and the least agreement of edges where pixels speak for the part
    (slice(48, 60), LEAST_EDGES),  # mouth
    (slice(36, 48), -0.1),  # eyes
)
PART_REACH = 8.0  # px of a crop of 224 px, about a point
MOST_SHIFTED = 2.0  # of all landmarks together, in standard deviations
MISPLACED_WEIGHT = 0.4  # a landmark whose robust weight is below counts as misplaced
MOST_MISPLACED = 0.2  # share of the landmarks without the jaw

# The numbers are stored with labels: new ones go to the end. Which cause comes first is said in `reason_code`.
NOT_FINITE, POSE, TURNED, HIDDEN, CONTRASTLESS, SATURATED, UNLIKE, UNCONVERGED, COVERED, MISPLACED = range(
    GOOD + 1, 11
)
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
    COVERED: (
        "covered",
        "eyes, mouth or much of the face are not to be seen where the fit has them: "
        "something is in front of them, or the landmarks are wrong",
    ),
    MISPLACED: ("misplaced", "many landmarks lie far from where the pixels put them: look at them"),
}


def edge_agreement(image: Tensor, drawn: Tensor, inside: Tensor) -> Tensor:
    """Cosine between the gradients of photograph and render.

    Colours can agree by light alone; edges in the right places cannot.

    Args:
        image: (B, H, W, 3) photographs.
        drawn: (B, H, W, 3) renders of the fitted faces.
        inside: (B, H, W) or (B, R, H, W) masks of the pixels to compare.

    Returns:
        (B,) or (B, R), from −1 to 1.
    """
    finer = max(image.shape[1:3]) / REFERENCE_SIZE  # the same detail, however finely it was sampled
    reach = max(1, round(2 * finer))
    # Away from the border of the region, where the render's own outline would count as an edge.
    eroded = -window_max(-inside.to(image).flatten(0, -3), reach).view_as(inside)

    def slopes(picture: Tensor) -> Tensor:
        grey = gaussian_blur(picture.mean(-1, keepdim=True), finer)[..., 0]
        return torch.stack(torch.gradient(grey, dim=(1, 2)), -1)

    photo, model = slopes(image), slopes(drawn)

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("bhw,b...hw->b...", (a * b).sum(-1), eroded)

    return inner(photo, model) / (inner(photo, photo) * inner(model, model)).sqrt().clamp(min=1e-9)


def part_regions(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels near the points of each of `PARTS`.

    Args:
        points: (B, 68, 2) px, of the fitted model.
        size: (H, W).

    Returns:
        (B, 2, H, W) bool: mouth and eyes.
    """
    H, W = size
    v, u = (torch.arange(n, device=points.device, dtype=points.dtype) for n in (H, W))
    reach = PART_REACH * max(H, W) / REFERENCE_SIZE
    near = []
    for part, _ in PARTS:
        x, y = points[:, part].unbind(-1)
        squared = (x[..., None] - u).square()[:, :, None] + (y[..., None] - v).square()[..., None]
        near.append(squared.amin(1) < reach**2)
    return torch.stack(near, 1)


def parts_hidden(image: Tensor, drawn: Tensor, face: Tensor, regions: Tensor) -> Tensor:
    """Which of mouth and eyes are not to be seen.

    Flat cloth of any colour lacks the edges of a mouth, and dark glasses those of eyes, which colour alone may not tell.

    Args:
        image: (B, H, W, 3) photographs.
        drawn: (B, H, W, 3) renders of the fitted faces.
        face: (B, H, W) probability that a pixel shows the face.
        regions: (B, 2, H, W) of `part_regions`.

    Returns:
        (B, 2) bool.
    """
    hidden = []
    agreement = edge_agreement(image, drawn, regions)
    for number, (_, least) in enumerate(PARTS):
        near, edges = regions[:, number].to(face), agreement[:, number]
        probability = (near * face).sum((1, 2)) / near.sum((1, 2)).clamp(min=1)
        least_here = torch.where(probability < DOUBTFUL, LEAST_EDGES, least)
        hidden.append((probability < MOSTLY_FACE) | (edges < least_here))
    return torch.stack(hidden, 1)


def fit_confidence(
    image: Tensor,
    drawn: Tensor,
    inside: Tensor,
    landmark_error: Tensor,
    landmarks: Tensor,
    trust: Tensor | None = None,
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
        trust: (B, 68) weights, less for points that something hides; None means 1.

    Returns:
        (B,) from 0 to 1.
    """
    cosine = edge_agreement(image, drawn, inside)
    box = (landmarks.amax(1) - landmarks.amin(1)).amax(-1).clamp(min=1e-6)
    w = (torch.ones_like(landmark_error) if trust is None else trust)[:, WITHOUT_JAW]
    percent = 100 * (w * landmark_error[:, WITHOUT_JAW]).sum(-1) / w.sum(-1) / box
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
    covered: Tensor,
    misplaced: Tensor,
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
        covered: (B,) bool, eyes, mouth or much of the face are hidden.
        misplaced: (B,) bool, many landmarks are far from the model's, or all of them together.

    Returns:
        (B,) int32 codes, see `REASONS`; of several causes the first one in the order of the arguments' tests below.
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
        (COVERED, covered),
        (UNLIKE, ~(confidence >= GOOD_CONFIDENCE)),
        (MISPLACED, misplaced),
        (UNCONVERGED, ~converged),
    )
    code = torch.full_like(count, GOOD, dtype=torch.int32)
    for number, found in reversed(causes):
        code = torch.where(found, number, code)
    return code
