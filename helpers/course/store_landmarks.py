"""Find the points of the default photographs and store them: python -m helpers.course.store_landmarks

Look at the result before committing it: `helpers.show.draw_landmarks`.
"""

from __future__ import annotations

import sys

from helpers.errors import UserError
from helpers.landmarks.files import write_points
from helpers.landmarks.registry import detect
from helpers.landmarks.stored import FOLDER, fingerprint
from helpers.photo import default_photos, read_photo


def main() -> int:
    """Write the points of each default photograph; returns the exit status."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        for name, path in default_photos().items():
            photo = read_photo(path)
            face = detect(photo.image)[0]
            height, width = photo.size
            write_points(
                FOLDER / f"{name}.json",
                face.points,
                photograph=path.name,
                photograph_sha256=fingerprint(path),
                width=width,
                height=height,
                backend=face.backend,
                confidence=round(face.confidence, 4),
                spread=round(face.spread, 3),
            )
            print(f"{name}: confidence {face.confidence:.3f}, spread {face.spread:.2f} %")
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
