"""One photograph on its way through the playground: the picture, its points, the fit, its paint. No widget in here."""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from helpers.crop import FaceCrop, crop_face
from helpers.errors import UserError
from helpers.face_model import MorphableModel
from helpers.fitting import FacePrior, FitModel, FitResult, fit
from helpers.landmarks import (
    N_LANDMARKS,
    SPREAD_DOUBTFUL,
    Detection,
    detect,
    eye_distance,
    stored_name,
    stored_points,
)
from helpers.painting import PaintedFace, paint_fit
from helpers.photo import Photo, photo_of_bytes, read_photo
from helpers.show.fit_strip import HATCHING, SHOWN_FROM
from helpers.show.on_cpu import on_cpu
from helpers.show.playground.face import Face

FIT_SIZE = 224  # px, as `python -m helpers fit` has it: the same numbers come out
# A file is held in memory as bytes and as pixels, and travels through a web socket.
LARGEST_FILE = 40_000_000
# Past this many pixels along the longer side a face has more than the fit looks at; smaller is quicker to show.
LONGEST_SIDE = 2400
PLACED_SHARE = 0.4  # of the shorter side, that the points take at first where no face was found
# Points that lie this far from where the detector finds them, in the middle of the 68, are not a correction but a mistake.
MOVED_DOUBTFUL = 0.08  # of the distance between the outer corners of the eyes
COVERED = 0.5  # probability below which a pixel of the fitted face is drawn as covered

NAMES = {"astronaut": "Eileen Collins", "grace_hopper": "Grace Hopper"}  # of the course's photographs

_keys = map(str, itertools.count())


@dataclass(frozen=True, eq=False)  # two with the same arrays are two all the same
class Person:
    """A photograph, and what is known of it so far.

    Attributes:
        photo: the photograph.
        detection: its 68 points, found, placed or moved.
        found: all faces that the detector sees in it, the largest first.
        note: one sentence on the points, or "".
        guess: what the network knows of the face; None before it is asked, or where there is none.
        crop: that was fitted; None before the fit.
        result: of the fit; None before it.
        painted: the fitted head in the photograph's colours; None before the fit.
        key: by which the page knows this photograph.
    """

    photo: Photo
    detection: Detection
    found: tuple[Detection, ...] = ()
    note: str = ""
    guess: FacePrior | None = None
    crop: FaceCrop | None = None
    result: FitResult | None = None
    painted: PaintedFace | None = None
    key: str = field(default_factory=lambda: next(_keys))

    @property
    def name(self) -> str:
        """The photograph's."""
        return self.photo.name

    @property
    def title(self) -> str:
        """Who it is, where that is known; else the photograph's name."""
        return NAMES.get(self.name, self.name)

    @property
    def fit_result(self) -> FitResult:
        """The result of the fit.

        Raises:
            UserError: there is none yet.
        """
        if self.result is None:
            raise UserError(f"{self.name}: is not fitted yet")
        return self.result

    @property
    def face(self) -> Face:
        """What the fit found.

        Raises:
            UserError: there is no fit yet.
        """
        return Face.of_fit(self.fit_result)

    @property
    def placed(self) -> bool:
        """Whether no face was found, and the points wait for the reader."""
        return self.detection.backend == "placed by hand"


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
        known = stored_name(photo.path)  # of the course's own photographs, for whom nobody needs to search
        found = detect(photo.image) if known is None else [stored_points(known)]
    except UserError as error:
        return Person(photo, placed(photo), note=f"{photo.name}: {error}: drag the points onto the face.")
    if not found:
        return Person(
            photo, placed(photo), note=f"{photo.name}: no face found: drag the points onto the face."
        )
    person = Person(photo, found[0], tuple(found))
    if len(found) > 1:
        return replace(
            person, note=f"{photo.name}: {len(found)} faces, the largest is taken: click another to have it."
        )
    if _scattered(person):
        return replace(person, note=f"{photo.name}: {_scattered(person)}.")
    return person


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


def looking_at(person: Person, number: int) -> Person:
    """Another face of a group photograph, not fitted yet.

    Raises:
        UserError: there is no such face.
    """
    if not 0 <= number < len(person.found):
        raise UserError(f"{person.name}: has {len(person.found)} faces, there is no face {number + 1}")
    return Person(person.photo, person.found[number], person.found, key=person.key)


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
    return Person(person.photo, detection, person.found, key=person.key)


def fitted(person: Person, fit_model: FitModel, on_iteration=None) -> Person:
    """The person after the fit, which starts from the network's guess where there is one.

    Args:
        person: with points.
        fit_model: what is fitted.
        on_iteration: is called with a `helpers.fitting.FitProgress` at each step.
    """
    crop = crop_face(person.photo.image, person.detection.points, FIT_SIZE, device="cpu")
    device = fit_model.triangles.device
    image, points, valid = (each.to(device) for each in (crop.image, crop.landmarks, crop.valid))
    prior = None if person.guess is None else person.guess.to(device)
    result = fit(image, points, fit_model, valid=valid, prior=prior, on_iteration=on_iteration)
    return replace(person, crop=crop, result=on_cpu(result))


def painted(person: Person, head: MorphableModel) -> Person:
    """The fitted person with a head in the colours of the photograph."""
    assert person.crop is not None
    return replace(person, painted=paint_fit(person.photo.image, person.crop, person.fit_result, head))


def verdict(person: Person) -> tuple[bool, str]:
    """Whether the fit is good, and one sentence on how far it can be trusted."""
    result, away = person.fit_result, distance_from_found(person)
    if away is not None and away > MOVED_DOUBTFUL:
        share = f"{100 * away:.0f} % of the distance between the eyes"
        return (
            False,
            f"{person.title}: doubtful: the points lie {share} from where the detector finds them.",
        )
    if not result.ok[0]:
        return False, f"{person.title}: doubtful: {result.explain()}."
    if _scattered(person):
        return False, f"{person.title}: {_scattered(person)}."
    covered = float(result.covered[0])
    if covered >= SHOWN_FROM:
        return True, f"{person.title}: a good fit; {100 * covered:.0f} % of the face is covered, as drawn."
    return True, f"{person.title}: a good fit."


def _scattered(person: Person) -> str:
    """Words on points that the detector finds elsewhere when the photograph is a little changed; "" where it does not."""
    spread = person.detection.spread
    if spread <= SPREAD_DOUBTFUL:
        return ""
    return f"doubtful: the detector's points spread by {spread:.1f} % of the distance between the eyes"


def distance_from_found(person: Person) -> float | None:
    """How far the points lie from those of the nearest face that was found: median, in distances between the eyes."""
    distances = [
        float(np.median(np.linalg.norm(person.detection.points - each.points, axis=1)))
        / eye_distance(each.points)
        for each in person.found
    ]
    return min(distances, default=None)


def covered_picture(person: Person) -> tuple[bytes, list[float]]:
    """What the fit took for something before the face, as a striped PNG, and where it lies in the photograph.

    Returns:
        PNG with transparency, empty if nothing is covered; x, y, width and height in px of the photograph.
    """
    from PIL import Image

    result, crop = person.fit_result, person.crop
    assert crop is not None
    hidden = result.face_probability[0] < COVERED
    if float(result.covered[0]) < SHOWN_FROM:
        return b"", []
    rows, columns = torch.meshgrid(*(torch.arange(n) for n in hidden.shape), indexing="ij")
    stripes = hidden & ((rows + columns) % 6 < 3)
    picture = np.zeros((*hidden.shape, 4), np.uint8)
    picture[stripes.numpy()] = [*(round(255 * value) for value in HATCHING), 230]
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    corner = crop.to_photo(torch.tensor([[[-0.5, -0.5]]]))[0, 0].tolist()
    side = crop.image.shape[1] / float(crop.scale[0])
    return buffer.getvalue(), [*corner, side, side]
