"""The two pictures of the README: both default photographs, fitted, and the road. Run by `make notebooks`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np

from helpers.assets import ASSETS
from helpers.crop import crop_face, stack_crops
from helpers.face_model import load
from helpers.files import write_in_one_step
from helpers.fitting import fit
from helpers.landmarks import stored_points
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
    crops = []
    for name, file in default_photos().items():
        crops.append(crop_face(read_photo(file).image, stored_points(name).points))
    together, model = stack_crops(crops), load("open")
    result = fit(together.image, together.landmarks, model, valid=together.valid)
    strips = [fit_strip(together, result, model, i, height=240, titles=i == 0) for i in range(len(crops))]
    return encoded(np.concatenate(strips))[1]


if __name__ == "__main__":
    sys.exit(main())
