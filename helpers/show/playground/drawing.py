"""Pictures of a face quick enough to follow a slider."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.crop import crop_face
from helpers.rasterizer import interpolate
from helpers.rendering import render
from helpers.show.on_cpu import on_cpu
from helpers.show.playground.face import Face, alone
from helpers.show.playground.person import Person
from helpers.show.views import is_whole


class Sketch:
    """Draws faces of one model, `size` × `size` px, and keeps the meshes it made last.

    A shape is 99 columns of numbers times 40,000 rows: while only the pose or the light moves, nothing of it changes.
    """

    def __init__(self, model, size: int = 256):
        """Nothing is drawn yet.

        Args:
            model: the coarser it is, the quicker; level 1 of the open model is fine enough for 256 px.
            size: px of the square pictures.
        """
        self.model, self.size = on_cpu(model), size
        self.head = self.model.whole_head
        self.hide_inside = is_whole(self.head.mean_shape)
        model = self.model
        self.skin = (model.masks or {}).get("skin", torch.ones(model.n_vertices))[None, :, None]
        self._kept: dict[str, tuple] = {}
        self._photograph = None

    def vertices(self, face: Face) -> Tensor:
        """(1, V + R, 3) mm of the whole head; the first V are the face's."""
        return self._made("vertices", (face.alpha, face.expression), self._shape)

    def colours(self, face: Face) -> Tensor:
        """(1, V + R, 3) sRGB."""
        return self._made("colours", (face.beta,), self.head.texture)

    def draw(self, face: Face, background: Tensor | float = 1.0, skin_only: bool = False) -> Tensor:
        """The face as its camera sees it.

        Args:
            face: what to draw.
            background: grey, or an image (S, S, 3).
            skin_only: the face without the rest of the head, and the background where the fit does not look (eyes, mouth,
                hair), with a soft seam.

        Returns:
            (S, S, 3), 0 to 1.
        """
        paper = on_cpu(background)[None] if isinstance(background, Tensor) else float(background)
        with torch.no_grad():
            drawn = render(
                self.vertices(face),
                (self.model if skin_only else self.head).triangles,
                self.colours(face),
                face.pose,
                face.seen_at(self.size),
                face.light,
                background=paper,
                antialias=not skin_only,
                cull_backfaces=self.hide_inside and not skin_only,
            )
            image = drawn.image[0].clamp(0, 1)
            if skin_only:
                skin = interpolate(self.skin, self.model.triangles, drawn.raster)[..., 0] > 0.35
                below = torch.as_tensor(paper).expand_as(drawn.image)[0]
                image = torch.lerp(below, image, _soft(skin, self.size)[..., None])
        return image

    def over(self, face: Face, person: Person) -> Tensor:
        """The face laid over a photograph, whose crop it must be seen in."""
        return self.draw(face, self.photograph(person), skin_only=True)

    def alone(self, face: Face, yaw: float = 0.0) -> Tensor:
        """The head by itself in studio light, turned by `yaw` degrees."""
        return self.draw(alone(face, self.size, yaw))

    def photograph(self, person: Person) -> Tensor:
        """(S, S, 3): the square of the photograph that the fit looked at."""
        key = person.photo.image, person.detection.points
        if self._photograph is None or any(a is not b for a, b in zip(key, self._photograph[0], strict=True)):
            self._photograph = key, crop_face(*key, self.size, device="cpu").image[0]
        return self._photograph[1]

    def _shape(self, alpha: Tensor, expression: Tensor) -> Tensor:
        return self.head.shape(alpha, expression if expression.shape[1] else None)

    def _made(self, name: str, inputs: tuple[Tensor, ...], make) -> Tensor:
        kept = self._kept.get(name)
        if kept is None or not all(torch.equal(a, b) for a, b in zip(kept[0], inputs, strict=True)):
            with torch.no_grad():
                self._kept[name] = kept = (tuple(tensor.clone() for tensor in inputs), make(*inputs))
        return kept[1]


def _soft(mask: Tensor, size: int) -> Tensor:
    """A mask (1, S, S) as weights (S, S) with a seam that stays inside of it."""
    reach = max(1, round(size / 75))
    weight = torch.nn.functional.avg_pool2d(mask[:, None].float(), 2 * reach + 1, 1, reach)[0, 0]
    return (2 * weight - 1).clamp(0, 1)
