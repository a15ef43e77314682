"""The two pictures of the README (both default photographs, fitted, and the road), and the head that turns while the playground
starts. Run by `make notebooks`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from helpers.assets import ASSETS
from helpers.crop import crop_face
from helpers.face_model import MorphableModel, load
from helpers.files import write_in_one_step
from helpers.fitting import FitModel, fit
from helpers.landmarks import stored_points
from helpers.painting import PaintedFace, paint_fit
from helpers.photo import default_photos, read_photo
from helpers.show.course_map import road_figure
from helpers.show.figures import encoded
from helpers.show.fit_strip import fit_strip
from helpers.show.playground.download import Shown, half_sway, painted_as
from helpers.show.playground.face import Face, light_of_head
from helpers.show.playground.look import Look
from helpers.show.playground.person import fitted as fitted_person
from helpers.show.playground.person import from_file
from helpers.show.playground.person import painted as painted_person
from helpers.show.viewer import page_script, unpainted
from helpers.show.views import portraits

FIRST_FACE = "voila/voila/templates/playground/static/first_face.webp"
FIRST_STILL = "voila/voila/templates/playground/static/first_face_still.webp"
FRAMES, SWAY, SECONDS, SIDE, QUALITY = 36, 42.0, 6.0, 420, 60


def main(folder: Path = ASSETS) -> int:
    """Write cover.jpg, road.png and the playground's first face, turning and still, into a folder."""
    film = first_face()
    pictures = {"cover.jpg": cover(), "road.png": road(), FIRST_FACE: film, FIRST_STILL: first_picture(film)}
    for name, data in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_in_one_step(folder / name, lambda file, data=data: file.write(data))
    return 0


def first_picture(film: bytes) -> bytes:
    """The first picture of a film, both WebP."""
    still = io.BytesIO()
    Image.open(io.BytesIO(film)).save(still, "WEBP", quality=85)
    return still.getvalue()


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
        first = number == 0
        strips.append(fit_strip(crop, result, model, height=240, titles=first, painted=painted, widest=None))
    return encoded(np.concatenate(strips))[1]


def first_painted() -> tuple[MorphableModel, Face, PaintedFace, Tensor]:
    """The first default photograph as a head: the model, its numbers, its paint, and the paint's colours
    (1, V, 3) at the vertices."""
    model = load("open", level=1)
    head = model.whole_head
    person = fitted_person(from_file(next(iter(default_photos().values()))), FitModel(model))
    person = painted_person(person, head)
    painted, colours = painted_as(Shown(person.face, person, Look()), head)
    return head, person.face, painted, colours


def turning_head() -> bytes:
    """The script by which the first page of the site turns the head of `first_face`."""
    head, face, painted, _ = first_painted()
    vertices, colours = head.shape(face.alpha, face.expression)[0], head.texture(face.beta)[0]
    return page_script(vertices, colours, light_of_head(face)[0], painted, unpainted(head))


def first_face() -> bytes:
    """The first default photograph as a painted head that turns to both sides: WebP with transparency."""
    head, face, _, colours = first_painted()
    vertices = head.shape(face.alpha, face.expression)
    frames = []
    for yaw in half_sway(FRAMES, SWAY):
        # What differs between a white and a black ground is not the head.
        white, black = (
            portraits(vertices, head.triangles, colours, yaw, SIDE, lit=False, background=grey)[0]
            for grey in (1.0, 0.0)
        )
        alpha = 1 - (white - black).mean(-1, keepdim=True).clamp(0, 1)
        frames.append(torch.cat([black / alpha.clamp(min=0.02), alpha], -1).clamp(0, 1))
    pictures = [Image.fromarray((255 * frame + 0.5).byte().numpy()) for frame in frames + frames[-2:0:-1]]
    film, pause = io.BytesIO(), round(1000 * SECONDS / FRAMES)
    pictures[FRAMES // 4].save(
        film,
        "WEBP",
        save_all=True,
        append_images=pictures[FRAMES // 4 + 1 :] + pictures[: FRAMES // 4],
        duration=pause,
        loop=0,
        quality=QUALITY,
        minimize_size=True,
    )
    return film.getvalue()


if __name__ == "__main__":
    sys.exit(main())
