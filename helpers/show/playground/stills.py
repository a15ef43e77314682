"""What the page does with two people and with the network's guess, as pictures for those who only read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from helpers.evaluation import align_similarity
from helpers.face_model import FaceCoefficients, MorphableModel
from helpers.show.faces import distance_heads
from helpers.show.figures import tile
from helpers.show.on_cpu import on_cpu
from helpers.show.playground.directions import Direction
from helpers.show.playground.download import Shown, painted_as
from helpers.show.playground.drawing import Sketch
from helpers.show.playground.face import PARTS, Face, mixed
from helpers.show.playground.look import Look
from helpers.show.playground.person import Person
from helpers.show.views import portraits

HEIGHT = 150  # px of each picture
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the morph


def look_of(look: Look, person: Person, head: MorphableModel, directions=(), other=None, yaw: float = 0.0):
    """The painted head as the page shows it with these sliders: a picture (S, S, 3)."""
    face = look.applied(person.face, directions, None if other is None else other.face)
    _, colours = painted_as(Shown(face, person, look, other), head)
    vertices = head.shape(face.alpha, face.expression)
    return portraits(vertices, head.triangles, colours, yaw, 224, lit=False)[0]


def named_strip(person: Person, head: MorphableModel, directions: tuple[Direction, ...]) -> np.ndarray:
    """One person as fitted, and with each of the named sliders moved half of its way."""
    looks = {"as fitted": Look()}
    for number, each in enumerate(directions):
        amount = each.high / 2
        named = tuple(amount if k == number else 0.0 for k in range(len(directions)))
        looks[f"{each.label}, +{amount:g} {each.unit}"] = Look(named=named)
    pictures = [look_of(look, person, head, directions) for look in looks.values()]
    return tile(pictures, [text.split(",")[0] for text in looks], height=HEIGHT)


def swap_strip(people: list[Person], sketch: Sketch) -> np.ndarray:
    """Two photographs, each with the identity of the other, and in the other's light."""
    faces = {person.key: person.face for person in people[:2]}
    panels, titles = [], []
    for here, there in (people[:2], people[1::-1]):
        panels.append(sketch.photograph(here))
        titles.append(here.name)
        for parts, text in ((("shape", "texture"), "the other's α, β"), (("light",), "the other's light")):
            source = {part: there.key if part in parts else here.key for part in PARTS}
            panels.append(sketch.over(mixed(faces, source), here))
            titles.append(text)
    return tile(panels, titles, height=HEIGHT)


def morph_strip(people: list[Person], head: MorphableModel) -> np.ndarray:
    """The way from one person to another in steps."""
    first, second = people[:2]
    pictures = []
    for share in SHARES:
        look = Look(other=second.key, shape=share, expression=share, skin=share, light=share)
        pictures.append(look_of(look, first, head, other=second))
    return tile(pictures, [f"share {share:g}" for share in SHARES], height=HEIGHT)


@dataclass(frozen=True)
class Apart:
    """A network's guess beside a fit.

    Attributes:
        face: the guess in the pose, light and expression of the fit.
        distance: (V,) mm between fit and guess, both neutral, after the best rotation, shift and scaling.
        mean: of it over the skin, mm.
        cosine: of the two vectors (α, β): 1 is the same direction from the mean face.
    """

    face: Face
    distance: torch.Tensor
    mean: float
    cosine: float


def guess_apart(person: Person, guess: FaceCoefficients, model: MorphableModel) -> Apart:
    """How far a guess is from the fit of the same photograph.

    Args:
        person: with a fit.
        guess: of one face.
        model: on whose mesh both are compared.
    """
    fit = person.face
    face = replace(fit, alpha=on_cpu(guess.alpha), beta=on_cpu(guess.beta))
    with torch.no_grad():
        theirs, ours = model.shape(face.alpha), model.shape(fit.alpha)
        # Only of the skin does a photograph tell anything.
        skin = (model.masks or {}).get("skin", torch.ones(model.n_vertices))[None]
        distance = (align_similarity(theirs, ours, skin) - ours).norm(dim=-1)[0]
    pair = (torch.cat([each.alpha, each.beta], -1)[0] for each in (face, fit))
    mean = float((distance * skin[0]).sum() / skin.sum())
    return Apart(face, distance, mean, float(torch.cosine_similarity(*pair, dim=0)))


def guess_strip(person: Person, guess: FaceCoefficients, sketch: Sketch) -> np.ndarray:
    """The photograph, the fitted and the guessed face, and the distance between the two shapes from 0 to 4 mm."""
    model = sketch.model
    apart = guess_apart(person, guess, model)
    fit = replace(person.face, expression=torch.zeros_like(person.face.expression))
    net = replace(fit, alpha=apart.face.alpha, beta=apart.face.beta)
    (distances,) = distance_heads(model.shape(fit.alpha), model.triangles, apart.distance[None], size=224)
    pictures = [sketch.photograph(person), sketch.alone(fit), sketch.alone(net), distances]
    return tile(pictures, ["photograph", "fit", "guess", f"{apart.mean:.1f} mm apart"], height=HEIGHT)
