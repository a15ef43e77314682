"""Where each point of the face lies in a flat picture: a texture atlas, made by formula from the mean shape.

Seen from a point inside of the head, every point of the skin has a direction, and a map of all directions on one disc
is what a map of the world in one circle is: Lambert's azimuthal equal-area projection, here with the nose in the middle
and the back of the head along the rim. Mirroring a face left to right flips its map.

Some skin hides behind other skin in that map: teeth and the pouch of the mouth, eyes behind their lids. What the
rasteriser does not see from outside is laid out once more, on tiles below the disc, layer by layer.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.face_model import MorphableModel
from helpers.rasterizer import Raster, interpolate, rasterize

SIZE = 1024  # texels along each side
DISC = 0.75  # of the texture's height; tiles take the rest
TILES = round(1 / (1 - DISC))
CENTRE = (
    -20.0
)  # mm, z in model axes: where directions are taken from, in the plane of symmetry at the height of the eyes
WINDOW = (0.5, 0.38)  # of the disc's radius to each side and up and down that a tile shows: eyes and mouth
LONGEST = (
    0.1  # of the texture's side: only triangles across the back of the head, which the rim cuts, are larger
)
HIDDEN = 0.3  # mm that a triangle's middle must lie behind what is seen
FAR = 1000.0  # mm


@dataclass(frozen=True)
class Atlas:
    """A face mesh laid out flat. Vertices where it is cut apart come more than once.

    Attributes:
        uv: (N, 2) from 0 to 1, to the right and down, (0, 0) in the upper left corner, as in glTF.
        vertex: (N,) int64, which of the mesh's V vertices each is.
        first: (V,) int64, one of the N for each vertex: on the disc, if it has a place there.
        triangles: (F, 3) int64 into the N, in the mesh's order.
        shown: (G, 3) int64, those of the triangles that have texels of their own.
        size: texels along each side of the texture.
        raster: what each texel shows of `shown`, one image.
    """

    uv: Tensor
    vertex: Tensor
    first: Tensor
    triangles: Tensor
    shown: Tensor
    size: int
    raster: Raster

    def spread(self, values: Tensor) -> Tensor:
        """Values of the mesh's vertices (B, V, C) as a texture (B, T, T, C), 0 between the charts."""
        B, T = len(values), self.size
        # One raster serves all B.
        many = values.transpose(0, 1).flatten(1)[None, self.vertex]
        drawn = interpolate(many, self.shown, self.raster)
        return drawn.view(T, T, B, -1).permute(2, 0, 1, 3)

    def gather(self, texture: Tensor) -> Tensor:
        """A texture (B, T, T, C) at the mesh's vertices: (B, V, C)."""
        return sample(texture, (self.uv[self.first] * self.size - 0.5).expand(len(texture), -1, -1))

    def mirrored(self, texture: Tensor) -> Tensor:
        """A texture (B, T, T, C) of the face in a mirror: left and right sides change places."""
        top = round(DISC * self.size)
        disc, tiles = texture[:, :top], texture[:, top:]
        tiles = tiles.unflatten(2, (TILES, -1)).flip(3).flatten(2, 3)
        return torch.cat([disc.flip(2), tiles], 1)


def sample(image: Tensor, at: Tensor) -> Tensor:
    """Values of images (B, H, W, C) at pixels `at` (B, N, 2), bilinear, continued past the edge: (B, N, C)."""
    size = at.new_tensor(image.shape[2:0:-1])
    grid = (at + 0.5) / size * 2 - 1
    found = torch.nn.functional.grid_sample(
        image.permute(0, 3, 1, 2), grid[:, None], padding_mode="border", align_corners=False
    )
    return found[:, :, 0].transpose(1, 2)


def atlas_of(model: MorphableModel, size: int = SIZE) -> Atlas:
    """Lay out a face model, in model axes and mm, which is done once for each model.

    Args:
        model: a face or a whole head.
        size: texels along each side, a multiple of 4.

    Returns:
        Its atlas, on its device.

    Raises:
        ValueError: another size.
    """
    if size < 64 or size % TILES:
        raise ValueError(f"size must be a multiple of {TILES} from 64, got {size}")
    return _laid_out(model.triangles, model.mean_shape, size)


@functools.lru_cache(maxsize=4)
def _laid_out(triangles: Tensor, mean_shape: Tensor, size: int) -> Atlas:
    V, F, device = len(mean_shape), len(triangles), triangles.device
    disc, height = azimuthal(mean_shape)
    page = torch.zeros(F, dtype=torch.int64, device=device)
    left = torch.arange(F, device=device)
    for number in range(TILES):
        seen = outermost(disc, height, triangles[left], size, upright=number == 0)
        page[left[seen]] = number
        if (
            number == 0
        ):  # what is hidden elsewhere (folds of the ears, say) shares the texels of what hides it
            seen |= (disc[triangles[left]].abs() > disc.new_tensor(WINDOW)).any(2).any(1)
        left = left[~seen]
        page[left] = TILES
    # Every page has vertices of its own.
    key = page[:, None] * V + triangles
    used, corners = key.unique(return_inverse=True)
    vertex, on = used % V, used // V
    numbers = torch.arange(len(used), device=device)
    first = numbers.new_full((V,), len(used) - 1).scatter_reduce(0, vertex, numbers, "amin")
    uv = _placed(disc[vertex], on)
    long = _extent(uv[corners]) > LONGEST
    shown = corners[~long]
    # All of such a triangle has the colour of one corner, and vertices of its own for it.
    own = torch.arange(3 * int(long.sum()), device=device).view(-1, 3) + len(vertex)
    vertex = torch.cat([vertex, triangles[long].flatten()])
    uv = torch.cat([uv, uv[corners[long, :1].expand(-1, 3)].flatten(0, 1)])
    corners[long] = own
    points = torch.cat([uv * size - 0.5, FAR - height[vertex, None]], -1)[None]
    raster = rasterize(points, shown, (size, size), perspective=False)
    return Atlas(uv, vertex, first, corners, shown, size, raster)


def azimuthal(points: Tensor) -> tuple[Tensor, Tensor]:
    """Lambert's azimuthal equal-area projection of directions from inside of the head.

    Args:
        points: (N, 3) mm, model axes.

    Returns:
        (N, 2) in the unit disc, x to the viewer's right and y up; and (N,) mm, distance from the centre.
    """
    away = points - points.new_tensor([0.0, 0.0, CENTRE])
    distance = away.norm(dim=-1)
    x, y, z = (away / distance[:, None]).unbind(-1)
    # sin(θ/2) along (x, y) / sin θ, for the angle θ from the z axis: sin θ = 2 sin(θ/2) cos(θ/2)
    stretch = 1 / (2 * ((1 + z) / 2).clamp(min=1e-9).sqrt())
    return torch.stack([x * stretch, y * stretch], -1), distance


def outermost(disc: Tensor, height: Tensor, triangles: Tensor, size: int, upright: bool) -> Tensor:
    """Find the triangles that nothing else hides in a projection.

    Args:
        disc: (V, 2) in the unit disc.
        height: (V,) mm, the larger the nearer.
        triangles: (F, 3).
        size: px of the picture in which it is tried.
        upright: only those that do not lie face down.

    Returns:
        (F,) bool.
    """
    pixels = (disc * disc.new_tensor([0.5, -0.5]) + 0.5) * size - 0.5
    corners = pixels[triangles]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    # Rows count downwards, so what turns anticlockwise outside turns clockwise here.
    seen = (a[:, 0] * b[:, 1] < a[:, 1] * b[:, 0]) | (not upright)
    points = torch.cat([pixels, FAR - height[:, None]], -1)[None]
    drawn = triangles[seen & (_extent(corners) < LONGEST * size)]
    raster = rasterize(points, drawn, (size, size), perspective=False)
    top = sample(raster.depth.clamp(max=2 * FAR)[..., None], corners.mean(1)[None])[0, :, 0]
    return seen & (FAR - height[triangles].mean(1) < top + HIDDEN)


def _extent(corners: Tensor) -> Tensor:
    """(F,) the longer side of the box around triangles (F, 3, 2)."""
    return (corners.amax(1) - corners.amin(1)).amax(-1)


def _placed(disc: Tensor, page: Tensor) -> Tensor:
    """Places (N, 2) in the texture of points of the disc (N, 2) on pages (N,)."""
    centred = disc * disc.new_tensor([0.5, -0.5])
    on_disc = (centred + 0.5) * disc.new_tensor([1, DISC])
    corner = torch.stack([(page - 1) / TILES, torch.full_like(disc[:, 0], DISC)], -1)
    on_tile = corner + (centred / disc.new_tensor(WINDOW) + 0.5) / TILES
    return torch.where(page[:, None] == 0, on_disc, on_tile)
