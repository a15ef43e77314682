"""The face as files."""

from __future__ import annotations

import io
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.errors import UserError
from helpers.face_model import MorphableModel
from helpers.fitting import FitResult
from helpers.fitting.numbers import fit_numbers
from helpers.mesh_files import write_ply
from helpers.painting import PaintedFace, lit_colours, paint_fit, push_pull
from helpers.painting.fill import DARKEST, GAIN
from helpers.show.figures import as_bytes, png_bytes
from helpers.show.fit_strip import fit_strip
from helpers.show.on_cpu import on_cpu
from helpers.show.playground.face import Face, light_of_head
from helpers.show.playground.look import Look
from helpers.show.playground.person import Person
from helpers.show.viewer import mask, standalone_page, unpainted
from helpers.show.views import portraits

KINDS = {
    "html": "HTML: a page to turn, without a network",
    "gif": "GIF: turning by itself",
    "glb": "GLB: mesh for viewers",
    "ply": "PLY: coloured mesh, mm",
    "png": "PNG: the strip",
    "npz": "NPZ: the numbers",
}
# The turntable: to the left, to the right and back, so that it can go round for ever.
FRAMES, SWAY, SECONDS, SIDE = 36, 55.0, 3.0, 320


@dataclass(frozen=True)
class Shown:
    """What is on the page.

    Attributes:
        face: as the sliders have it.
        person: whose photograph it is, with a fit.
        look: of the sliders.
        other: the person whose skin is mixed in, with a fit, or None.
    """

    face: Face
    person: Person
    look: Look
    other: Person | None = None


def file_of(kind: str, shown: Shown, model: MorphableModel, coarse: MorphableModel) -> tuple[str, bytes]:
    """The face as a file.

    An .npz holds what `helpers.fitting.numbers.fit_numbers` names; alpha, beta, expression, pose and light are the face's, all
    else is the fit's. All others have the photograph's colours, changed as the sliders change the model's.

    Args:
        kind: one of `KINDS`.
        shown: the face.
        model: that was fitted; the meshes come in its fineness.
        coarse: the same with fewer vertices, of the page to turn and the pictures.

    Returns:
        The file's name and its content.

    Raises:
        UserError: there is no such kind, or the person has no fit.
    """
    if kind not in KINDS:
        raise UserError(f"{kind!r}: files are made as {', '.join(KINDS)}")
    person, face = shown.person, shown.face
    result = as_result(face, person)
    assert person.crop is not None  # a fit was made on it
    if kind == "npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **fit_numbers(person.crop, result, person.detection))
        return f"{person.name}.npz", buffer.getvalue()
    model = on_cpu(model if kind in ("glb", "ply", "png") else coarse)
    head = model.whole_head
    vertices = head.shape(face.alpha, face.expression if face.expression.shape[1] else None)
    painted, colours = painted_as(shown, head)
    if kind == "html":
        light = light_of_head(face)[0]
        data = standalone_page(
            vertices[0], head.texture(face.beta)[0], light, painted, unpainted(head), person.title
        )
    elif kind == "gif":
        data = turntable(vertices, head.triangles, colours)
    elif kind == "png":
        data = png_bytes(fit_strip(person.crop, result, model, painted=painted))
    else:
        # The .ply has the model's mesh, for measuring; the .glb is for viewers, and there heads have a back.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"face.{kind}"
            if kind == "ply":
                V = model.n_vertices
                write_ply(path, vertices[0, :V], model.triangles, colours[0, :V])
            else:
                painted.write_glb(path, vertices)
            data = path.read_bytes()
    return f"{person.name}.{kind}", data


def painted_as(shown: Shown, head: MorphableModel) -> tuple[PaintedFace, Tensor]:
    """The head in the colours of the photograph; what the sliders change of the model's colours, they change of these.

    Args:
        shown: the face.
        head: whole, of any fineness.

    Returns:
        The paint, and the colours (1, V, 3) that it has at the vertices.
    """
    face, other = shown.face, shown.other
    own = _paint(shown.person, head)
    texture = own.texture
    if other is not None and shown.look.skin:
        texture = torch.lerp(texture, _paint(other, head).texture, shown.look.skin)
    base = shown.look.painted(shown.person.face, None if other is None else other.face)
    with torch.no_grad():
        vertices = head.shape(face.alpha, face.expression)
        was, now = (
            lit_colours(vertices, head.triangles, head.texture(each.beta), face.pose, each.light)
            for each in (base, face)
        )
    gain = (now.clamp(min=DARKEST) / was.clamp(min=DARKEST)).clamp(*GAIN)
    # Eyes stay the photograph's. Teeth and the inside of the mouth are the model's, as on the page.
    gain = torch.lerp(gain, torch.ones_like(gain), mask(head, "eyes")[None, :, None])
    mouth = unpainted(head)[None, :, None]
    layers = own.atlas.spread(torch.cat([gain, now, mouth], -1))
    gain, lit, inside = push_pull(layers, own.atlas.raster.mask.to(gain)).split([3, 3, 1], -1)
    painted = replace(own, texture=torch.lerp(texture * gain, lit, inside).clamp(0, 1))
    # Teeth are narrow: at a vertex, the texture has some of what is beside them.
    return painted, torch.lerp(painted.colours, now, mouth)


def _paint(person: Person, head: MorphableModel) -> PaintedFace:
    if person.painted is not None and len(person.painted.atlas.first) == head.n_vertices:
        return person.painted
    assert person.crop is not None
    return paint_fit(person.photo.image, person.crop, person.fit_result, head)


def turntable(vertices: Tensor, triangles: Tensor, colours: Tensor) -> bytes:
    """An animated GIF of a head that turns to both sides and back.

    Args:
        vertices: (1, V, 3) mm.
        triangles: (F, 3).
        colours: (1, V, 3) sRGB, with their light in them.
    """
    from PIL import Image

    half = half_sway(FRAMES, SWAY)
    there = [portraits(vertices, triangles, colours, yaw, SIDE, lit=False)[0] for yaw in half]
    frames = [Image.fromarray(as_bytes(frame)) for frame in there + there[-2:0:-1]]
    # One palette for all frames, of the middle one: colours must not flicker.
    palette = frames[len(half) // 2].quantize(256, method=Image.Quantize.MEDIANCUT)
    frames = [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]
    buffer = io.BytesIO()
    pause = round(1000 * SECONDS / len(frames))
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0)
    return buffer.getvalue()


def half_sway(frames: int, most: float) -> list[float]:
    """Yaws from the left to the right, degrees, of a head that sways to `most` on both sides in so many frames, and back."""
    return [most * math.sin(math.pi * (k / (frames // 2) - 0.5)) for k in range(frames // 2 + 1)]


def as_result(face: Face, person: Person) -> FitResult:
    """The person's `FitResult` with the numbers of `face` in it, seen by the camera of the fit.

    Raises:
        UserError: the person has no fit.
    """
    return replace(
        person.fit_result,
        alpha=face.alpha,
        beta=face.beta,
        expression=face.expression,
        pose=face.pose,
        light=face.light,
    )
