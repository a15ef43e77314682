"""Hair, as a shell over the head: columns of vertices that run as strands do, from a parting or whorl to their tips."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.datasets.head_map import DOME, STEP, HeadMap, at, direction, round_head, rows_above
from helpers.datasets.random_streams import RandomStreams

STRANDS, ALONG = 160, 26  # columns and rows of the shell
BUN = (10, 16)  # rows and columns of a bun
CUTS = ("bald", "buzz", "short", "parted", "fringe", "bun", "long")
SHARES = (0.05, 0.13, 0.24, 0.18, 0.14, 0.08, 0.18)
# Of each cut: mm of thickness at the crown, and at the hairline or tips; share of the way to the tips at which it
# thins out; whether a parting is the start of the strands; unevenness of the thickness.
TOP = (0.0, 2.5, 13.0, 14.0, 13.0, 5.0, 12.0)
TIP = (0.0, 1.0, 2.0, 3.0, 4.0, 2.5, 7.0)
THINS = (0.9, 0.9, 0.75, 0.8, 0.9, 0.85, 0.95)
PARTED = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0)
UNEVEN = (0.0, 0.05, 0.22, 0.14, 0.12, 0.06, 0.12)
COLOURS = (
    (0.07, 0.06, 0.06),  # black
    (0.16, 0.10, 0.07),
    (0.27, 0.17, 0.11),
    (0.40, 0.27, 0.17),
    (0.62, 0.46, 0.28),  # blond
    (0.75, 0.62, 0.42),
    (0.45, 0.20, 0.10),  # red
    (0.55, 0.53, 0.51),  # grey
    (0.80, 0.79, 0.77),  # white
)
COLOUR_SHARES = (0.22, 0.22, 0.18, 0.12, 0.07, 0.04, 0.04, 0.07, 0.04)
NAPE = 34.0  # the row at which hair ends behind the ears


@dataclass(frozen=True)
class Hair:
    """The hair of B people.

    Attributes:
        cut: (B,) int64, of `CUTS`.
        colour: (B, 3) sRGB.
        fullness: (B,) factor of the thickness.
        parting: (B,) mm, to the person's left.
        sweep: (B,) rad by which strands turn about the crown on their way.
        fringe: (B,) mm above the brows at which a fringe ends.
        length: (B,) mm below the chin at which long hair ends.
        waves: (B, 3) phase in rad, cycles along a strand, and mm of them.
        strands: (B, STRANDS) normal numbers: what differs between neighbours.
        clumps: (B, 12, 8) normal numbers: what differs between places.
    """

    cut: Tensor
    colour: Tensor
    fullness: Tensor
    parting: Tensor
    sweep: Tensor
    fringe: Tensor
    length: Tensor
    waves: Tensor
    strands: Tensor
    clumps: Tensor

    @classmethod
    def draw(cls, streams: RandomStreams) -> Hair:
        """Draw cuts and colours."""
        shade = streams.normal("hair shade", 3, sigma=0.03) + streams.normal("hair light", 1, sigma=0.15)
        colour = chosen(streams, "hair colour", COLOUR_SHARES)
        palette = torch.tensor(COLOURS, device=streams.device)
        wave = streams.uniform("hair waves", 3)
        return cls(
            cut=chosen(streams, "hair cut", SHARES),
            colour=(palette[colour] * shade.exp()).clamp(0.02, 0.95),
            fullness=streams.uniform("hair fullness", low=0.75, high=1.35),
            parting=torch.where(streams.uniform("parting side") < 0.5, -1.0, 1.0)
            * streams.uniform("parting", high=38.0),
            sweep=streams.within("hair sweep", 0.7),
            fringe=streams.uniform("fringe", low=-2.0, high=22.0),
            length=streams.uniform("hair length", low=-25.0, high=48.0),
            waves=wave * wave.new_tensor([2 * math.pi, 4.0, 3.0]),
            strands=streams.normal("strands", STRANDS),
            clumps=streams.normal("clumps", 12, 8),
        )

    def of_cut(self, values: tuple[float, ...]) -> Tensor:
        """(B, 1): the value of each person's cut."""
        return torch.tensor(values, device=self.cut.device)[self.cut][:, None]

    def has(self, cut: str) -> Tensor:
        """(B, 1) bool."""
        return (self.cut == CUTS.index(cut))[:, None]


def chosen(streams: RandomStreams, name: str, shares: tuple[float, ...]) -> Tensor:
    """(B,) int64: one of several by their shares, drawn from the stream `name`."""
    edges = torch.tensor(shares, device=streams.device).cumsum(0)
    return (streams.uniform(name)[:, None] >= edges[:-1]).sum(1)


def hair_shell(
    hair: Hair, map_: HeadMap, points: Tensor, hung: Tensor, brows: Tensor, chin: Tensor, hat: Tensor
) -> tuple[Tensor, Tensor]:
    """Grow hair on heads.

    Args:
        hair: what to grow.
        map_: of the head model.
        points: (B, ROWS, TURNS, 3) mm, the map's points on the heads.
        hung: (B, ROWS, TURNS, 3) mm, those where something hangs, `HeadMap.hung`.
        brows: (B,) mm, height of the brows.
        chin: (B,) mm, height of the chin.
        hat: (B, TURNS) rows down to which a hat presses the hair; 0 for none.

    Returns:
        Vertices (B, STRANDS · ALONG, 3) mm and colours, sRGB; at one place for people without hair.
    """
    B = len(points)
    turn = torch.linspace(-math.pi, math.pi, STRANDS + 1, device=points.device)[:-1].expand(B, -1)
    along = torch.linspace(0, 1, ALONG, device=points.device)[None, :, None]
    end = _ends(hair, map_, points, brows, chin, turn)

    row, column = _paths(hair, map_, end, turn, along)
    flat = row.flatten(1), column.flatten(1)
    place = at(torch.where(hair.has("long")[..., None, None], hung, points), *flat)
    outward = direction(*flat)

    clumps = _clumps(hair.clumps)
    thick = _thickness(hair, row, along, clumps)
    pressed = row < round_head(hat, column.flatten(1)).view_as(row) + 0.5
    thick = torch.where(pressed, thick.clamp(max=2.0), thick)
    vertices = place + outward * thick.flatten(1)[..., None]
    colours = _strand_colours(hair, clumps, along).flatten(1, 2)
    grown = (hair.cut > 0)[:, None, None]
    return torch.where(grown, vertices, points[:, DOME].mean(1, keepdim=True)), colours


def hair_triangles() -> Tensor:
    """(F, 3): of the shell."""
    return grid_triangles(ALONG, STRANDS, closed=True)


def bun(hair: Hair, points: Tensor, hat: Tensor) -> tuple[Tensor, Tensor]:
    """The bun at the back of the head: vertices (B, n, 3) mm and colours; at one place for people without."""
    rows, columns = BUN
    around = torch.linspace(0, 2 * math.pi, columns + 1, device=points.device)[:-1][None]
    height = torch.linspace(0, math.pi, rows, device=points.device)[:, None]
    ball = torch.stack(
        [height.sin() * around.sin(), height.cos().expand(-1, columns), height.sin() * around.cos()], -1
    ).flatten(0, 1)
    size = 26 * hair.fullness[:, None, None]
    seat = points[:, 9, 0][:, None]  # high on the back of the head
    up = points[:, 0, 0] - points[:, DOME].mean(1)
    up = (up / up.norm(dim=-1, keepdim=True))[:, None]
    lumps = 1 + 0.08 * torch.sin(5 * around + 4 * height).flatten()[:, None]
    vertices = seat + up * size * 0.5 + ball * size * lumps
    light = (0.25 * torch.sin(9 * around + 7 * height).flatten()[None, :, None]).exp()
    colours = (hair.colour[:, None] * light).expand(len(points), -1, -1)
    worn = hair.has("bun")[..., None] & (hat.amax(1) == 0)[:, None, None]
    return torch.where(worn, vertices, points[:, DOME].mean(1, keepdim=True)), colours.clamp(0, 1)


def bun_triangles() -> Tensor:
    """(F, 3): of the bun."""
    return grid_triangles(*BUN, closed=True)


def grid_triangles(rows: int, columns: int, closed: bool = False) -> Tensor:
    """(F, 3) triangles of a grid of vertices, numbered row by row; anticlockwise where columns run to the right as
    rows run down, `closed` to a ring or not."""
    wide = columns if closed else columns - 1
    r, c = torch.meshgrid(torch.arange(rows - 1), torch.arange(wide), indexing="ij")
    a, b = r * columns + c, r * columns + (c + 1) % columns
    quads = torch.stack([a, a + columns, b, b, a + columns, b + columns], -1)
    return quads.reshape(-1, 3)


def _ends(hair: Hair, map_: HeadMap, points: Tensor, brows: Tensor, chin: Tensor, turn: Tensor) -> Tensor:
    """(B, STRANDS) rows at which the strands end."""
    B = len(points)
    away = turn.abs()
    line = round_head(map_.hairline.expand(B, -1), turn)
    line = torch.lerp(line, line.clamp(min=NAPE), _step(away, 1.85, 2.3))
    forehead = round_head(rows_above(points, (brows + hair.fringe)[:, None].expand(B, points.shape[2])), turn)
    fringe = torch.lerp(torch.maximum(forehead, line), line, _step(away, 0.7, 1.0))
    level = (chin - hair.length)[:, None]
    bottom = DOME + (map_.origin[0, 1] - level) / STEP
    long = torch.lerp(line, bottom.expand_as(line), _step(away, 1.0, 1.25))
    end = torch.where(hair.has("fringe"), fringe, torch.where(hair.has("long"), long, line))
    ragged = torch.where(hair.has("long"), 1.0, torch.where(hair.has("buzz") | hair.has("bun"), 0.15, 0.4))
    return end + ragged * hair.strands


def _paths(hair: Hair, map_: HeadMap, end: Tensor, turn: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and turns (B, ALONG, STRANDS) of the strands.

    The crown is the origin of a flat map, in which a strand runs straight from its root to its tip.
    """
    tip = torch.stack([end * turn.sin(), end * turn.cos()], -1)
    # From a whorl behind the crown, or from the nearest place of a parting from there to the forehead.
    whorl = tip.new_tensor([0.0, -3.0]).expand_as(tip)
    aside = (hair.parting / 90 * DOME / (math.pi / 2))[:, None].expand_as(turn)
    front = (
        0.6 * map_.hairline[len(map_.hairline) // 2]
    )  # nearer the forehead strands would lie on each other
    parting = torch.stack([aside, tip[..., 1].clamp(min=-3.0).minimum(front)], -1)
    root = torch.where(hair.of_cut(PARTED)[..., None] > 0, parting, whorl)
    root = torch.where(hair.has("bun")[..., None], tip.new_tensor([0.0, -9.0]), root)
    straight = root[:, None] + along[..., None] * (tip - root)[:, None]
    row = straight.norm(dim=-1)
    column = torch.atan2(straight[..., 0], straight[..., 1])
    # Below the dome rows are lengths and no longer radii: a strand keeps its turn.
    swept = torch.where(hair.has("short") | hair.has("fringe"), 1.0, 0.0) * hair.sweep[:, None]
    waves = hair.waves[:, :, None, None]
    wave = 0.012 * waves[:, 2] * torch.sin(waves[:, 0] + 2 * math.pi * waves[:, 1] * along) * along
    column = column + swept[..., None] * along * (1 - along) + wave
    return row, (column + math.pi) % (2 * math.pi) - math.pi


def _thickness(hair: Hair, row: Tensor, along: Tensor, clumps: Tensor) -> Tensor:
    """(B, ALONG, STRANDS) mm."""
    top, tip, thins = (hair.of_cut(v)[..., None] for v in (TOP, TIP, THINS))
    # Short cuts are shorter at the sides than on top.
    tapered = hair.has("short")[..., None] | hair.has("fringe")[..., None]
    side = torch.where(tapered, _step(row, 13.0, 22.0) * 0.55, 0.0)
    thick = top * (1 - side) * hair.fullness[:, None, None]
    thick = tip + (thick - tip) * (1 - ((along - thins) / (1 - thins)).clamp(0, 1) ** 2)
    rooted = hair.of_cut(PARTED)[..., None] > 0  # a parting shows the scalp
    thick = thick * torch.where(rooted, 0.15 + 0.85 * _step(along, 0.0, 0.22), 1.0)
    waves = hair.waves[:, :, None, None]
    wave = (
        0.35
        * waves[:, 2]
        * torch.sin(waves[:, 0] + 2 * math.pi * waves[:, 1] * along)
        * _step(along, 0.1, 0.4)
    )
    uneven = hair.of_cut(UNEVEN)[..., None]
    strands = (clumps + 0.6 * hair.strands[:, None]) * _step(along, 0.05, 0.3)  # one height at the whorl
    thick = thick * (1 + uneven * strands) + torch.where(top > 4, wave, 0.0)
    return thick.clamp(min=0.8)


def _clumps(clumps: Tensor) -> Tensor:
    """(B, ALONG, STRANDS): the numbers of 12 × 8 places, smooth between them and round the head."""
    ring = torch.cat([clumps, clumps[:, :1]], 1).transpose(1, 2)[:, None]
    fine = torch.nn.functional.interpolate(ring, (ALONG, STRANDS + 1), mode="bilinear", align_corners=True)
    return fine[:, 0, :, :-1]


def _strand_colours(hair: Hair, clumps: Tensor, along: Tensor) -> Tensor:
    """(B, ALONG, STRANDS, 3) sRGB."""
    neighbour = 0.5 * (hair.strands + hair.strands.roll(1, 1))
    light = 0.22 * neighbour[:, None] + 0.08 * clumps
    # Roots lie in the shade of the hair above them; a sheen runs round the head.
    light = light - 0.25 * (1 - _step(along, 0.0, 0.25)) + 0.22 * torch.exp(-(((along - 0.45) / 0.12) ** 2))
    return (hair.colour[:, None, None] * light.exp()[..., None]).clamp(0, 1)


def _step(x: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
