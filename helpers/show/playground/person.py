"""One photograph on its way through the playground: the picture, its points, the fit. No widget in here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from helpers.crop import FaceCrop, crop_face
from helpers.errors import UserError
from helpers.fitting import GOOD_CONFIDENCE, FitModel, FitResult, fit
from helpers.landmarks import N_LANDMARKS, SPREAD_DOUBTFUL, Detection, landmarks_for
from helpers.photo import Photo, photo_of_bytes, read_photo
from helpers.show.on_cpu import on_cpu
from helpers.show.playground.face import Face

FIT_SIZE = 224  # px, as `python -m helpers fit` has it: the same numbers come out
# A file is held in memory as bytes and as pixels, and travels through a web socket.
LARGEST_FILE = 40_000_000
# Past this many pixels along the longer side a face has more than the fit looks at; smaller is quicker to show.
LONGEST_SIDE = 2400
PLACED_SHARE = 0.4  # of the shorter side, that the points take at first where no face was found


@dataclass(frozen=True)
class Person:
    """A photograph, and what is known of it so far.

    Attributes:
        photo: the photograph.
        detection: its 68 points, found or placed.
        note: one sentence on them, or "".
        crop: that was fitted; None before the fit.
        result: of the fit; None before it.
    """

    photo: Photo
    detection: Detection
    note: str = ""
    crop: FaceCrop | None = None
    result: FitResult | None = None

    @property
    def name(self) -> str:
        """The photograph's."""
        return self.photo.name

    @property
    def fit_result(self) -> FitResult:
        """The result of the fit.

        Raises:
            UserError: there is none yet.
        """
        if self.result is None:
            raise UserError(f"{self.name}: is not fitted yet: press Fit")
        return self.result

    @property
    def face(self) -> Face:
        """What the fit found.

        Raises:
            UserError: there is no fit yet.
        """
        return Face.of_fit(self.fit_result)


def from_file(path: str | Path) -> Person:
    """A photograph on this computer, with its points found."""
    return with_points(read_photo(path))


def from_upload(name: str, data: bytes) -> Person:
    """A photograph that was sent by the browser, with its points found.

    Args:
        name: of the file.
        data: its content.

    Raises:
        UserError: it is no photograph, or too large; in one sentence.
    """
    name = Path(str(name).replace("\\", "/")).name or "upload"
    if len(data) > LARGEST_FILE:
        raise UserError(
            f"{name}: {len(data) / 1e6:.0f} MB: at most {LARGEST_FILE / 1e6:.0f} MB: save a smaller version"
        )
    return with_points(smaller(photo_of_bytes(data, name)))


def smaller(photo: Photo, longest: int = LONGEST_SIDE) -> Photo:
    """The photograph with at most `longest` px a side, averaged where pixels become fewer."""
    height, width = photo.size
    if max(height, width) <= longest:
        return photo
    from PIL import Image

    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    pixels = Image.fromarray((photo.image * 255 + 0.5).astype(np.uint8)).resize(
        size, Image.Resampling.LANCZOS
    )
    return replace(photo, image=np.asarray(pixels, np.float32) / np.float32(255))


def with_points(photo: Photo) -> Person:
    """The photograph with its points: found; else placed in the middle, for the reader to drag, and a note says why."""
    try:
        face = landmarks_for(photo)
    except UserError as error:
        cause = str(error).removeprefix(f"{photo.path}: ").split(":")[0]
        return Person(
            photo, placed(photo), f"{photo.name}: {cause}: drag the points onto the face, then press Fit."
        )
    note = ""
    if face.faces > 1:
        note = f"{photo.name}: {face.faces} faces found, the largest is taken."
    elif face.spread > SPREAD_DOUBTFUL:
        note = f"{photo.name}: the points are doubtful (spread {face.spread:.1f} % of the eye distance): look at them."
    return Person(photo, face, note)


def placed(photo: Photo) -> Detection:
    """The points of the mean face, upright in the middle of the photograph."""
    from helpers.face_model import load

    model = load("open", level=0, device="cpu")
    points = model.mean_shape[model.landmarks].numpy()[:, :2] * [1, -1]
    low, high = points.min(0), points.max(0)
    height, width = photo.size
    scale = PLACED_SHARE * min(height, width) / (high - low).max()
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    return Detection.from_points((points - (low + high) / 2) * scale + middle, backend="placed by hand")


def moved(person: Person, points) -> Person:
    """The person with other points; the fit of the old ones is forgotten.

    Args:
        person: as before.
        points: (68, 2) px of the photograph.

    Raises:
        UserError: these are no points of a face in this photograph.
    """
    points = np.asarray(points, np.float32)
    if points.shape != (N_LANDMARKS, 2) or not np.isfinite(points).all():
        raise UserError(f"{person.name}: {N_LANDMARKS} points with two finite numbers each are needed")
    height, width = person.photo.size
    inside = ((points >= -0.5) & (points <= [width - 0.5, height - 0.5])).all(1).mean()
    if inside < 0.5:
        raise UserError(f"{person.name}: most points lie outside of the photograph: drag them onto the face")
    if (points.max(0) - points.min(0)).min() < 20:
        raise UserError(
            f"{person.name}: the points span less than 20 px: press larger, or take a larger photograph"
        )
    detection = Detection.from_points(points, person.detection.confidence, 0.0, "moved by hand")
    return Person(person.photo, detection)


def fitted(person: Person, fit_model: FitModel, on_iteration=None) -> Person:
    """The person after the fit.

    Args:
        person: with points.
        fit_model: what is fitted.
        on_iteration: is called with a `helpers.fitting.FitProgress` at each step.
    """
    crop = crop_face(person.photo.image, person.detection.points, FIT_SIZE, device="cpu")
    image, points, valid = (
        each.to(fit_model.triangles.device) for each in (crop.image, crop.landmarks, crop.valid)
    )
    result = fit(image, points, fit_model, valid=valid, on_iteration=on_iteration)
    return replace(person, crop=crop, result=on_cpu(result))


def verdict(person: Person) -> str:
    """One sentence on how far the fit can be trusted."""
    result = person.fit_result
    confidence = float(result.confidence[0])
    if result.ok[0]:
        return f"{person.name}: fitted, confidence {confidence:.2f} (good from {GOOD_CONFIDENCE:g})."
    return f"{person.name}: doubtful, confidence {confidence:.2f}: {result.explain()}."
