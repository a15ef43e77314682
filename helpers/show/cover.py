"""The picture at the top of the README: both default photographs, fitted. Run by `make notebooks`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ..crop import crop_face, stack_crops
from ..face_model import load
from ..files import write_in_one_step
from ..fitting import fit
from ..landmarks import stored_points
from ..photo import default_photos, read_photo
from .figures import encoded
from .sheet import sheet

COVER = Path(__file__).resolve().parents[2] / "assets" / "cover.jpg"


def main(path: Path = COVER) -> int:
    """Fit the default photographs from their stored points and write their strips, one above the other."""
    crops = []
    for name, file in default_photos().items():
        crops.append(crop_face(read_photo(file).image, stored_points(name).points))
    together, model = stack_crops(crops), load("open")
    result = fit(together.image, together.landmarks, model, valid=together.valid)
    strips = [sheet(together, result, model, i, height=240, titles=i == 0) for i in range(len(crops))]
    _, data = encoded(np.concatenate(strips))
    write_in_one_step(path, lambda file: file.write(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
