"""The two pictures of the README: both default photographs, fitted, and the road. Run by `make notebooks`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np

from helpers.assets import ASSETS
from helpers.crop import crop_face
from helpers.face_model import load
from helpers.files import write_in_one_step
from helpers.fitting import fit
from helpers.landmarks import stored_points
from helpers.painting import paint_fit
from helpers.photo import default_photos, read_photo
from helpers.show.course_map import road_figure
from helpers.show.figures import encoded
from helpers.show.fit_strip import fit_strip


def main(folder: Path = ASSETS) -> int:
    """Write cover.jpg and road.png into a folder."""
    for name, data in (("cover.jpg", cover()), ("road.png", road())):
        write_in_one_step(folder / name, lambda file, data=data: file.write(data))
    return 0


def road() -> bytes:
    """The road of the course, as PNG."""
    picture = io.BytesIO()
    # Without the version of matplotlib, so that it is the same picture on every machine.
    road_figure().savefig(picture, format="png", dpi=130, metadata={"Software": None})
    return picture.getvalue()


def cover() -> bytes:
    """The default photographs, fitted from their stored points: their strips one above the other, as JPEG."""
    photos = [(read_photo(file), stored_points(name).points) for name, file in default_photos().items()]
    model, strips = load("open"), []
    for number, (photo, points) in enumerate(photos):
        crop = crop_face(photo.image, points)
        result = fit(crop.image, crop.landmarks, model, valid=crop.valid)
        painted = paint_fit(photo.image, crop, result, model.whole_head)
        strips.append(fit_strip(crop, result, model, height=240, titles=number == 0, painted=painted))
    return encoded(np.concatenate(strips))[1]


if __name__ == "__main__":
    sys.exit(main())
