"""Hair, beards, glasses, hats and shirts for rendered people: one mesh with the head, the same triangles for all.

What somebody does not wear is there too, shrunk to a point inside the head, where it has no area and is not drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from helpers.datasets.hair import Hair, bun, bun_triangles, chosen, grid_triangles, hair_shell, hair_triangles
from helpers.datasets.head_map import DOME, STEP, HeadMap, at, direction, round_head, rows_above
from helpers.datasets.random_streams import RandomStreams
from helpers.face_model import FaceCoefficients, MorphableModel
from helpers.face_model.beard import PARTS as BEARD_MASKS
from helpers.face_model.beard import beard_layer

BROWS, CHIN, BRIDGE = slice(17, 27), 8, slice(27, 30)  # of the 68 points
EYES = (slice(36, 42), slice(42, 48))
RIM, SIDES = 36, 6  # points of a rim, and of the section of its wire
HAT = (24, 72)  # rows and columns
PEAK = (6, 29)
SHIRT = 64  # columns
# A shirt's rings from the collar down: mm below its edge, mm out from the neck to the front, and to the sides.
RINGS = (
    (0, 1, 1),
    (-4, 4, 4),
    (4, 9, 9),
    (16, 14, 15),
    (20, 17, 24),
    (34, 28, 62),
    (52, 40, 112),
    (84, 52, 150),
    (230, 62, 165),
)
NO_HAT, BEANIE, CAP = range(3)
HAT_SHARES = (0.8, 0.1, 0.1)
NO_GLASSES, CLEAR, DARK = range(3)
GLASSES_SHARES = (0.66, 0.24, 0.10)
SHAVED, STUBBLE, MOUSTACHE, GOATEE, FULL = range(5)
BEARD_SHARES = (0.62, 0.12, 0.05, 0.08, 0.13)
# Of each beard: the density on jaw and cheeks, chin, upper lip, as `helpers.face_model.beard.PARTS`. It is colour alone:
# moved outward, skin opens or folds at the mouth, and the face would no longer have the shape that its truth tells.
DENSITY = ((0.0, 0.0, 0.0), (0.35, 0.35, 0.35), (0.0, 0.0, 0.85), (0.1, 0.85, 0.75), (0.85, 0.85, 0.8))


@dataclass(frozen=True)
class Outfits:
    """What B people wear.

    Attributes:
        dressed: (B,) bool; the others have a bald head and nothing on it.
        hair: on the head.
        beard: (B,) int64, SHAVED to FULL.
        glasses: (B,) int64, NO_GLASSES, CLEAR or DARK.
        frame: (B, 4), 0 to 1: half the width and height of the rims, how square they are, how thick.
        frame_colour: (B, 3) sRGB.
        hat: (B,) int64, NO_HAT, BEANIE or CAP.
        hat_fit: (B, 2), 0 to 1: how high its edge is, and how wide it is.
        hat_colours: (B, 2, 3) sRGB, of the crown and the edge.
        shirt: (B, 2), 0 to 1: how high the collar is, and how broad the shoulders.
        shirt_colours: (B, 2, 3) sRGB, of the shirt and the collar.
    """

    dressed: Tensor
    hair: Hair
    beard: Tensor
    glasses: Tensor
    frame: Tensor
    frame_colour: Tensor
    hat: Tensor
    hat_fit: Tensor
    hat_colours: Tensor
    shirt: Tensor
    shirt_colours: Tensor

    @classmethod
    def draw(cls, streams: RandomStreams, share: float) -> Outfits:
        """Draw what `share` of the people wear."""
        metal = streams.uniform("frame metal") < 0.4
        wire = streams.uniform("frame colour", 3)
        wire = torch.where(
            metal[:, None], 0.45 + 0.3 * wire[:, :1] * wire.new_tensor([1.0, 0.9, 0.7]), 0.3 * wire**2
        )
        return cls(
            dressed=streams.uniform("dressed") < share,
            hair=Hair.draw(streams),
            beard=chosen(streams, "beard", BEARD_SHARES),
            glasses=chosen(streams, "glasses", GLASSES_SHARES),
            frame=streams.uniform("frame", 4),
            frame_colour=wire,
            hat=chosen(streams, "hat", HAT_SHARES),
            hat_fit=streams.uniform("hat fit", 2),
            hat_colours=_cloth(streams, "hat"),
            shirt=streams.uniform("shirt", 2),
            shirt_colours=_cloth(streams, "shirt"),
        )


def _cloth(streams: RandomStreams, name: str) -> Tensor:
    """(B, 2, 3) sRGB of a garment and its trimming, which is mostly of the same cloth."""
    main, trim = streams.uniform(f"{name} colours", 2, 3, low=0.04, high=0.9).unbind(1)
    grey = main.mean(1, keepdim=True)
    main = grey + (main - grey) * streams.uniform(f"{name} saturation", 1)
    other = streams.uniform(f"{name} trimmed", 1) < 0.3
    return torch.stack([main, torch.where(other, trim, main * 0.9)], 1)


@dataclass(frozen=True)
class Dressed:
    """B people as one mesh each. The first vertices and triangles are the face's.

    Attributes:
        vertices: (B, V', 3) mm.
        colours: (B, V', 3) sRGB, 0 to 1.
        triangles: (F', 3) int64.
        parts: name → its vertices.
    """

    vertices: Tensor
    colours: Tensor
    triangles: Tensor
    parts: dict[str, slice]


def has_a_place_for_clothes(model: MorphableModel) -> bool:
    """Whether a model has what a `Wardrobe` needs, as the open one has."""
    needed = {"hairline", *BEARD_MASKS}
    return needed <= set(model.masks or {}) and model.whole_head.n_vertices > model.n_vertices


@dataclass(frozen=True)
class Wardrobe:
    """Dresses the people of a face model.

    Args:
        model: with landmarks, the masks "hairline" and those of beards, and the rest of the head: the open model.
    """

    model: MorphableModel

    @cached_property
    def head_map(self) -> HeadMap:
        """Where things lie on the head."""
        return HeadMap.of(self.model)

    def dress(
        self, coefficients: FaceCoefficients, vertices: Tensor, colours: Tensor, outfits: Outfits
    ) -> Dressed:
        """Dress people.

        Args:
            coefficients: of B people, from which the rest of the head follows.
            vertices: (B, V, 3) mm, of their faces.
            colours: (B, V, 3) sRGB, of their faces.
            outfits: what they wear.
        """
        head = self.model.whole_head
        vertices, colours = self._whole(coefficients, vertices, colours)
        marks = vertices[:, self.model.landmarks]
        brows, chin = marks[:, BROWS, 1].mean(1), marks[:, CHIN, 1]
        points = self.head_map.points(vertices)
        hung = self.head_map.hung(points)
        inside = points[:, DOME].mean(1, keepdim=True)
        hat_rows = _hat_rows(outfits, points, brows)
        shell = hair_shell(outfits.hair, self.head_map, points, hung, brows, chin, hat_rows)
        pieces = {
            "hair": shell,
            "bun": bun(outfits.hair, points, hat_rows),
            "glasses": _glasses(outfits, marks),
            "hat": _hat(outfits, points, hung, hat_rows),
            "shirt": _shirt(outfits, self.head_map, points, chin),
        }
        dressed = outfits.dressed[:, None, None]
        bare = colours
        colours = torch.where(dressed, self._hair_on_skin(colours, outfits), bare)

        parts, all_vertices, all_colours, end = (
            {"head": slice(0, head.n_vertices)},
            [vertices],
            [colours],
            head.n_vertices,
        )
        for name, (at_, colour) in pieces.items():
            all_vertices.append(torch.where(dressed, at_, inside))
            all_colours.append(colour)
            parts[name] = slice(end, end := end + at_.shape[1])
        return Dressed(torch.cat(all_vertices, 1), torch.cat(all_colours, 1), self._triangles, parts)

    @cached_property
    def _triangles(self) -> Tensor:
        head = self.model.whole_head
        triangles, end = [head.triangles], head.n_vertices
        for piece in (
            hair_triangles(),
            bun_triangles(),
            _glasses_triangles(),
            _hat_triangles(),
            grid_triangles(len(RINGS), SHIRT, closed=True),
        ):
            triangles.append(piece.to(head.triangles) + end)
            end += int(piece.max()) + 1
        return torch.cat(triangles)

    def _whole(
        self, coefficients: FaceCoefficients, vertices: Tensor, colours: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Vertices and colours of the face, joined by those of the rest of the head."""
        rest = self.model.rest
        if rest is None:
            return vertices, colours
        modes = torch.cat([rest.shape_modes, rest.expression_modes], -1).flatten(0, 1)
        of_shape = torch.cat([coefficients.alpha, coefficients.expression], 1)
        behind = torch.addmm(rest.mean_shape.flatten(), of_shape, modes.T).view(-1, *rest.mean_shape.shape)
        skin = torch.addmm(rest.mean_texture.flatten(), coefficients.beta, rest.texture_modes.flatten(0, 1).T)
        skin = skin.view(-1, *rest.mean_texture.shape)
        return torch.cat([vertices, behind], 1), torch.cat([colours, skin.clamp(0, 1)], 1)

    def _hair_on_skin(self, colours: Tensor, outfits: Outfits) -> Tensor:
        """Beards, and the scalp between the hair."""
        density = colours.new_tensor(DENSITY)[outfits.beard]
        hair = outfits.hair
        colours = beard_layer(self.model.whole_head, colours, hair.colour * 0.9, density)
        masks = self.model.whole_head.masks
        assert masks is not None
        cover = 0.8 * masks["hairline"][None, :, None] * (hair.cut > 0)[:, None, None]
        return torch.lerp(colours, 0.8 * hair.colour[:, None].expand_as(colours), cover.expand_as(colours))


def _hat_rows(outfits: Outfits, points: Tensor, brows: Tensor) -> Tensor:
    """(B, TURNS) rows at which hats end, 0 without one."""
    turn = (torch.arange(points.shape[2], device=points.device) / points.shape[2] - 0.5) * 2 * math.pi
    ahead = (1 + turn.cos()) / 2
    front = brows + 14 + 26 * outfits.hat_fit[:, 0]
    back = brows - 28 + 30 * outfits.hat_fit[:, 0]
    level = back[:, None] + (front - back)[:, None] * ahead
    worn = outfits.dressed & (outfits.hat != NO_HAT)
    return rows_above(points, level) * worn[:, None]


def _hat(outfits: Outfits, points: Tensor, hung: Tensor, hat_rows: Tensor) -> tuple[Tensor, Tensor]:
    """Beanies and caps: vertices (B, n, 3) mm and colours."""
    B, (rows, columns) = len(points), HAT
    turn = _ring(columns, points).expand(B, -1)
    t = torch.linspace(0, 1, rows, device=points.device)[:, None]
    row = t * round_head(hat_rows, turn)[:, None]
    flat = row.flatten(1), turn[:, None].expand_as(row).flatten(1)
    outward = direction(*flat)
    cap = (outfits.hat == CAP)[:, None, None]
    wide = outfits.hat_fit[:, 1, None, None]
    rolled = (t > 0.66).to(t)
    beanie = 5 + 2 * wide + 3.5 * rolled + 14 * wide * (1 - t) ** 2
    thick = torch.where(cap, 6 + 4 * wide * (1 - t**2), beanie)
    thick = torch.where(t == 1, 3.0, thick).expand_as(row)
    vertices = at(hung, *flat) + outward * thick.flatten(1)[..., None]

    crown, edge = outfits.hat_colours[:, :, None, None].unbind(1)
    ribs = torch.where(
        cap, -0.25 * (torch.cos(3 * turn)[:, None].abs() > 0.985).to(t), 0.12 * torch.cos(36 * turn)[:, None]
    )
    colours = torch.lerp(crown, edge, torch.where(cap, 0 * rolled, rolled)[..., None])
    colours = (colours * ribs.expand_as(row).exp()[..., None]).flatten(1, 2)

    # The peak of a cap runs forward from the edge.
    across = torch.linspace(-1.0, 1.0, PEAK[1], device=points.device).expand(B, -1)
    reach = torch.linspace(0, 1, PEAK[0], device=points.device)[:, None]
    root_row = round_head(hat_rows, across) - 0.3
    root = at(points, root_row, across) + 3 * direction(root_row, across)
    forward = torch.stack([0.35 * across.sin(), -0.22 - 0.25 * across**2, torch.ones_like(across)], -1)
    far = 72 * (1 - across**4).clamp(min=0).sqrt()
    peak = root[:, None] + forward[:, None] * (reach * far[:, None])[..., None]
    peak = torch.where(cap, peak.flatten(1, 2), points[:, DOME].mean(1, keepdim=True))
    vertices = torch.cat([vertices, peak], 1)
    colours = torch.cat([colours, outfits.hat_colours[:, 1:].expand_as(peak)], 1)
    worn = (outfits.hat != NO_HAT)[:, None, None]
    return torch.where(worn, vertices, points[:, DOME].mean(1, keepdim=True)), colours.clamp(0, 1)


def _hat_triangles() -> Tensor:
    return torch.cat([grid_triangles(*HAT, closed=True), grid_triangles(*PEAK) + HAT[0] * HAT[1]])


def _shirt(outfits: Outfits, map_: HeadMap, points: Tensor, chin: Tensor) -> tuple[Tensor, Tensor]:
    """Collar and shoulders: vertices (B, n, 3) mm and colours."""
    B = len(points)
    rings = points.new_tensor(RINGS)
    turn = _ring(SHIRT, points).expand(B, -1)
    # Higher at the nape than below the chin.
    edge = chin[:, None] - 34 + 16 * outfits.shirt[:, :1] + 12 * (1 - turn.cos())
    row = DOME + (map_.origin[0, 1] - edge) / STEP
    neck = at(points, row, turn)
    broad = 0.85 + 0.3 * outfits.shirt[:, 1]
    side = turn.sin()[:, None] ** 2
    out = rings[:, 1, None] + (rings[:, 2] - rings[:, 1])[:, None] * side * broad[:, None, None]
    away = torch.stack([turn.sin(), torch.zeros_like(turn), turn.cos()], -1)
    down = rings[:, 0, None, None] * points.new_tensor([0.0, -1.0, 0.0])
    vertices = neck[:, None] + away[:, None] * out[..., None] + down
    shirt, collar = outfits.shirt_colours[:, :, None, None].unbind(1)
    of_collar = (torch.arange(len(RINGS), device=points.device) < 4)[:, None, None]
    colours = torch.where(of_collar, collar, shirt).expand_as(vertices)
    return vertices.flatten(1, 2), colours.flatten(1, 2)


def _glasses(outfits: Outfits, marks: Tensor) -> tuple[Tensor, Tensor]:
    """Rims, bridge, temples and lenses: vertices (B, n, 3) mm and colours."""
    B = len(marks)
    right, left = (marks[:, eye].mean(1) for eye in EYES)  # the person's right eye is at negative x
    middle, apart = (left + right) / 2, (left - right)[:, 0]
    u = outfits.frame
    half = torch.stack([torch.minimum(21 + 6 * u[:, 0], apart / 2 - 7), 15 + 6 * u[:, 1]], -1)
    radius = 0.9 + 1.1 * u[:, 3]
    front = torch.maximum(middle[:, 2] + 13, marks[:, BROWS, 2].amax(1) + 3.5)

    angle = torch.linspace(0, 2 * math.pi, RIM + 1, device=marks.device)
    power = 2 / (2 + 1.6 * u[:, 2, None])
    round_ = torch.stack([angle.cos(), angle.sin()], -1).expand(B, -1, -1)
    oval = round_.sign() * round_.abs() ** power[..., None] * half[:, None]

    def rim(eye: Tensor) -> Tensor:
        x, y = eye[:, None, 0] + oval[..., 0], middle[:, None, 1] - 2 + oval[..., 1]
        return torch.stack([x, y, front[:, None] - 0.0022 * (x - middle[:, None, 0]) ** 2], -1)

    ahead = marks.new_tensor([0.0, 0.0, 1.0]).expand(B, RIM + 1, 3)
    aside = torch.cat([oval / oval.norm(dim=-1, keepdim=True), 0 * oval[..., :1]], -1)
    rims = [rim(eye) for eye in (right, left)]
    wires = [_wire(r, aside, ahead, radius) for r in rims]

    quarter = RIM // 2
    arch = torch.linspace(-1, 1, 7, device=marks.device)[None, :, None]
    a, b = rims[0][:, None, 0], rims[1][:, None, quarter]
    bridge = (a + b) / 2 + (b - a) / 2 * arch
    nose = (marks[:, BRIDGE, 2].amax(1) + 2.5 - front).clamp(min=0)
    lift = torch.stack([0 * nose, 4 + 0 * nose, nose], -1)
    bridge = bridge + marks.new_tensor([0.0, 3.0, 0.0]) + lift[:, None] * (1 - arch**2)
    wires.append(_level_wire(bridge, radius))
    for sign, r, ear in ((-1, rims[0][:, quarter], marks[:, 0]), (1, rims[1][:, 0], marks[:, 16])):
        wires.append(_level_wire(_temple(r, ear, half, sign), radius))
    frame = torch.cat(wires, 1)

    lenses = torch.cat([torch.cat([r[:, :-1].mean(1, keepdim=True), r[:, :-1]], 1) for r in rims], 1)
    dark = (outfits.glasses == DARK)[:, None, None]
    lenses = torch.where(
        dark, lenses, middle[:, None] * 0 + marks.mean(1, keepdim=True) * marks.new_tensor([1, 1, 0.0])
    )
    vertices = torch.cat([frame, lenses], 1)
    tint = (0.04 + 0.25 * outfits.frame_colour)[:, None]
    colours = torch.cat([outfits.frame_colour[:, None].expand_as(frame), tint.expand_as(lenses)], 1)
    worn = (outfits.glasses != NO_GLASSES)[:, None, None]
    return torch.where(worn, vertices, vertices[:, -1:] * 0), colours.clamp(0, 1)


def _temple(rim: Tensor, ear: Tensor, half: Tensor, sign: int) -> Tensor:
    """The path (B, 5, 3) mm from the edge of a rim to the ear and down behind it."""
    up = half[:, 1] * 0.35
    wide = torch.maximum(ear[:, 0].abs() - 11, rim[:, 0].abs() + 2)
    start = rim + torch.stack([0 * up, up, 0 * up], -1)
    hinge = torch.stack([sign * wide, start[:, 1], rim[:, 2] - 5], -1)
    top = torch.stack([sign * (ear[:, 0].abs() + 1), ear[:, 1] + 6, ear[:, 2] - 4], -1)
    tip = top + top.new_tensor([0.0, -18.0, -22.0])
    halfway = torch.lerp(hinge, top, 0.5)
    return torch.stack([start, hinge, halfway, top, tip], 1)


def _level_wire(path: Tensor, radius: Tensor) -> Tensor:
    """A wire along a path (B, n, 3) mm that never runs straight up: (B, n · SIDES, 3) mm."""
    step = torch.cat(
        [path[:, 1:2] - path[:, :1], path[:, 2:] - path[:, :-2], path[:, -1:] - path[:, -2:-1]], 1
    )
    up = path.new_tensor([0.0, 1.0, 0.0]).expand_as(path)
    across = torch.linalg.cross(step, up)
    return _wire(path, across / across.norm(dim=-1, keepdim=True), up, radius)


def _wire(path: Tensor, one: Tensor, other: Tensor, radius: Tensor) -> Tensor:
    """A wire along a path (B, n, 3) mm; unit vectors (B, n, 3) span its section. (B, n · SIDES, 3) mm."""
    angle = torch.linspace(0, 2 * math.pi, SIDES + 1, device=path.device)[:-1, None]
    ring = one[:, :, None] * angle.cos() + other[:, :, None] * angle.sin()
    return (path[:, :, None] + radius[:, None, None, None] * ring).flatten(1, 2)


def _glasses_triangles() -> Tensor:
    pieces, end = [], 0
    for points in (RIM + 1, RIM + 1, 7, 5, 5):
        pieces.append(grid_triangles(points, SIDES, closed=True) + end)
        end += points * SIDES
    around = torch.arange(RIM)
    fan = torch.stack([0 * around, 1 + around, 1 + (around + 1) % RIM], -1)
    return torch.cat([*pieces, fan + end, fan + end + RIM + 1])


def _ring(columns: int, like: Tensor) -> Tensor:
    """(columns,) turns round the head, from the back."""
    return torch.linspace(-math.pi, math.pi, columns + 1, device=like.device, dtype=like.dtype)[:-1]
