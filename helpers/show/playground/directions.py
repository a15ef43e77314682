"""Sliders with a name: directions in the coefficients that change one measure of the face, and others as little as can be.

A measure is a length between points of the model, or a colour of its skin. Its slopes along the coefficients, in standard
deviations, are one row of a matrix J (measures × coefficients). Of all steps d with J d = 1 for one measure and 0 for the
others, the column of the pseudo-inverse of J is the shortest: under the model's own prior, the likeliest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.face_model import MorphableModel
from helpers.face_model.anthropometry import measures
from helpers.face_model.open_model import anthropometric_points

# Of the 68 points: corners of the mouth; middle of the lips' inner and outer edges; lids, upper and lower.
CORNERS, INNER_LIPS, OUTER_LIPS = (48, 54), (62, 66), (51, 57)
UNDER_NOSE, BROWS, UPPER_LIDS, LOWER_LIDS = 33, slice(17, 27), [37, 38, 43, 44], [41, 40, 47, 46]
ABOVE_BROWS = 9.0  # mm, where the forehead begins on which lines are measured
SMOOTHINGS = 12  # over neighbours: what they leave in skin is coarser than its lines
HAIR = ("beard", "moustache", "brows")

Measures = dict[str, Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Direction:
    """One named slider.

    Attributes:
        label: what is seen when it moves.
        unit: of its measure.
        kind: "alpha", "expression" or "beta", whose coefficients it moves.
        step: (K,) standard deviations for one unit.
        low: end of the slider, from the face as it was, in units.
        high: the other end.
    """

    label: str
    unit: str
    kind: str
    step: Tensor
    low: float
    high: float


def named_directions(model: MorphableModel) -> tuple[Direction, ...]:
    """The five named sliders of the open face model.

    Args:
        model: the open face model at its finest level, on whose vertices faces are measured.

    Returns:
        Width of the jaw at its angles, mm; mouth open, mm between the lips; smile, mm that the corners of the mouth rise;
        age of the skin, contrast of the forehead's lines in L*; tone, lightness L* of the skin.
    """
    head = model.whole_head
    assert model.expression_basis is not None and model.expression_std is not None
    expressions, texture = (
        model.expression_basis * model.expression_std,
        model.texture_basis * model.texture_std,
    )
    lengths = slopes(head_lengths(), head.mean_shape, head.shape_basis * head.shape_std)
    mouth = slopes(mouth_moves(model), model.mean_shape, expressions)
    skin = slopes(skin_measures(model), model.mean_texture, texture)
    tone = {"L*": skin["L*"]}  # all else follows, as it does from person to person
    return (
        Direction("Width of the jaw", "mm", "alpha", shortest(lengths, "bigonial"), -15, 15),
        Direction("Mouth open", "mm", "expression", shortest(mouth, "gap"), -5, 25),
        Direction("Smile", "mm", "expression", shortest(mouth, "rise"), -6, 10),
        Direction("Age of the skin", "L*", "beta", shortest(skin, "lines"), -0.3, 0.8),
        Direction("Tone", "L*", "beta", shortest(tone, "L*"), -25, 25),
    )


def slopes(measured: Measures, mean: Tensor, modes: Tensor) -> dict[str, Tensor]:
    """How each measure of (V, 3) grows along modes (V, 3, K), at their mean: name to (K,)."""
    found = {}
    for name, measure in measured.items():
        at = mean.detach().clone().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(measure(at), at)
        # Most measures look at few vertices.
        touched = gradient.any(1)
        found[name] = torch.einsum("vc,vck->k", gradient[touched], modes[touched])
    return found


def shortest(slopes: dict[str, Tensor], name: str) -> Tensor:
    """The shortest step (K,) that changes one measure by 1 and none of the others, given all slopes (K,) by name."""
    inverse = torch.linalg.pinv(torch.stack(list(slopes.values())).double())
    return inverse[:, list(slopes).index(name)].float()


def head_lengths() -> Measures:
    """The lengths of anthropometry, mm, of the vertices (V, 3) of the whole head."""
    points = anthropometric_points()

    def length(first: str, second: str) -> Callable[[Tensor], Tensor]:
        return lambda at: (at[points[first]] - at[points[second]]).norm()

    return {each.key: length(*each.points) for each in measures() if each.kind == "length"}


def mouth_moves(model: MorphableModel) -> Measures:
    """What a mouth does, mm, of vertices (V, 3); and what shall stay when it does: the lids, and both sides alike."""
    assert model.landmarks is not None
    vertex = model.landmarks
    left, right = CORNERS

    def of_points(measure: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda at: measure(at[vertex, 0], at[vertex, 1])

    return {
        "gap": of_points(lambda x, y: y[INNER_LIPS[0]] - y[INNER_LIPS[1]]),
        "rise": of_points(lambda x, y: y[list(CORNERS)].mean() - y[list(OUTER_LIPS)].mean()),
        "upper lip": of_points(lambda x, y: y[OUTER_LIPS[0]] - y[UNDER_NOSE]),
        "lopsided": of_points(lambda x, y: y[left] - y[right]),
        "aside": of_points(lambda x, y: x[left] + x[right]),
        "lids": of_points(lambda x, y: (y[UPPER_LIDS] - y[LOWER_LIDS]).mean()),
    }


def skin_measures(model: MorphableModel) -> Measures:
    """Of colours (V, 3) sRGB: lines of the forehead, mean L*, a* and b* of the skin, and how much lighter hair is."""
    skin = bare_skin(model)
    measured: Measures = {"lines": line_contrast(model)}
    for channel, name in enumerate(("L*", "a*", "b*")):
        measured[name] = lambda colours, channel=channel: lab(skin @ colours)[channel]
    for name in HAIR:
        share = (model.masks or {})[name]
        contrast = share / share.sum() - skin
        measured[name] = lambda colours, contrast=contrast: contrast @ lab(colours)[:, 0]
    return measured


def line_contrast(model: MorphableModel) -> Callable[[Tensor], Tensor]:
    """A measure of colours (V, 3): contrast of the forehead's lines, L*.

    Lines run across the forehead at much the same heights in all old people, so that the mean face has them, faintly. The measure
    is how strong they are: L* less what its neighbourhood has, along that of the mean face. Of the mean face itself it is
    the root mean square.
    """
    weight = lined_skin(model)
    pattern = weight * _fine(lab(model.mean_texture)[:, :1], model.triangles)[:, 0]
    strength = (pattern**2 / weight.clamp(min=1e-9)).sum().sqrt()
    return lambda colours: pattern @ _fine(lab(colours)[:, :1], model.triangles)[:, 0] / strength


def bare_skin(model: MorphableModel) -> Tensor:
    """(V,) weights, with sum 1, of skin where no hair grows."""
    masks = model.masks or {}
    weight = masks["skin"]
    for name in (*HAIR, "goatee", "lips", "hairline"):
        weight = weight * (1 - masks[name]).clamp(min=0)
    return weight / weight.sum()


def lined_skin(model: MorphableModel) -> Tensor:
    """(V,) weights, with sum 1, of the forehead's bare skin."""
    assert model.landmarks is not None
    y = model.mean_shape[:, 1]
    above = y > y[model.landmarks[BROWS]].max() + ABOVE_BROWS
    weight = bare_skin(model) * (model.masks or {})["forehead"] * above
    return weight / weight.sum()


def lab(srgb: Tensor) -> Tensor:
    """CIELAB under D65 of colours (..., 3) sRGB, 0 to 1, with slopes, which scikit-image's has not."""
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    to_xyz = srgb.new_tensor(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    t = linear @ to_xyz.T / srgb.new_tensor([0.95047, 1.0, 1.08883])
    f = torch.where(t > 0.008856, t.clamp(min=0.008856) ** (1 / 3), 7.787 * t + 16 / 116)
    x, y, z = f.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _fine(values: Tensor, triangles: Tensor) -> Tensor:
    """Values (V, K) less the mean of their neighbourhood."""
    first, second = triangles.flatten(), triangles.roll(1, 1).flatten()
    many = torch.zeros(len(values)).index_add(0, first, torch.ones(len(first))) * 2
    smooth = values
    for _ in range(SMOOTHINGS):
        around = (
            torch.zeros_like(values).index_add(0, first, smooth[second]).index_add(0, second, smooth[first])
        )
        smooth = (smooth + around / many.clamp(min=1)[:, None]) / 2
    return values - smooth
