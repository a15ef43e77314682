# Exercises of notebook 02. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: The chequered wall, put straight (easy, 5 minutes) after "In perspective"
# Write `perspective(b, z)`: from affine weights `b` (N, 3) and the corners' depths `z` (N, 3) to the weights on the surface
# (N, 3). A value divided by depth is linear on the image, and so is one over depth.

# %% given
import torch

from helpers import show
from helpers.camera import Camera, project
from helpers.rasterizer import rasterize

far_wall = torch.tensor([[-60.0, -60, 300], [-60, 60, 300], [240, 60, 900], [240, -60, 900]])[None]
wall_halves = torch.tensor([[0, 1, 2], [0, 2, 3]])
wall_points = project(far_wall, Camera.default((150, 150), focal=320.0))
flat_points = torch.cat([wall_points[..., :2], torch.ones(1, 4, 1)], -1)
affine_raster, right_raster = (
    rasterize(points, wall_halves, (150, 150)) for points in (flat_points, wall_points)
)


# %% solution
def perspective(b, z):
    ### BEGIN SOLUTION (N, 3), each row adds up to 1
    w = b / z
    return w / w.sum(-1, keepdim=True)
    ### END SOLUTION


# %% check
def check_perspective(perspective):
    half = perspective(torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[300.0, 900.0, 500.0]]))
    show.expect(half, torch.tensor([[0.75, 0.25, 0.0]]), "half way on the image, depths 300 and 900 mm")
    equal = torch.tensor([[0.2, 0.3, 0.5]])
    show.expect(perspective(equal, torch.full((1, 3), 700.0)), equal, "equal depths: nothing changes")
    seen = right_raster.mask[0]
    z = wall_points[0, :, 2][wall_halves[right_raster.triangle_id[0][seen].long()]]
    error = (
        (perspective(affine_raster.barycentric[0][seen], z) - right_raster.barycentric[0][seen]).abs().max()
    )
    show.expect_below(error, 1e-4, "the largest error of a weight on the wall")


show.check(check_perspective, perspective)


# %% hint
# "In perspective" says what is linear on the image: $1/z$ and $m/z$.


# %% hint
# Which $m$ gives the weight of corner $k$? One that is 1 at this corner and 0 at the others.


# %% why
# Half way on the image lies three quarters towards the near end: the far half of the wall is squeezed into little space.


# %% mistakes
def times_depth(b, z):
    w = b * z
    return w / w.sum(-1, keepdim=True)


def not_normalised(b, z):
    return b / z


# %% exercise: Your own renderer (medium, 30 minutes) after "Colours of the pixels"
# Write `own_renderer(points, triangles, colours, size)`: the picture (H, W, 3) of a mesh whose vertices have colours (V, 3). Its `points`
# (V, 3) are $u$, $v$ in px and the depth in mm. For each triangle (F, 3) look at the pixel centres in its box. Which of them lie inside, how
# deep is the triangle there, is that nearer than everything before, and which colour does it have there, in perspective? Triangles are seen
# from both sides; one without area is not seen. Where there is nothing, the picture is white.

# %% link
# The first link. In notebook 06 your renderer draws what your fits found.

# %% given
import torch

from helpers import show
from helpers.rasterizer import interpolate, rasterize


def twice_the_area(p, q, x):
    return (q[0] - p[0]) * (x[1] - p[1]) - (q[1] - p[1]) * (x[0] - p[0])


# %% solution
def own_renderer(points, triangles, colours, size):
    ### BEGIN SOLUTION (H, W, 3)
    picture, nearest = torch.ones(*size, 3), torch.full(size, float("inf"))
    p = points[triangles]  # (F, 3, 3)
    low = p[..., :2].amin(1).ceil().long().clamp(min=0)
    high = torch.minimum(p[..., :2].amax(1).floor().long(), torch.tensor([size[1] - 1, size[0] - 1]))
    for k in (low <= high).all(-1).nonzero()[:, 0].tolist():  # a box without a pixel centre is left out
        box = tuple(slice(int(low[k, i]), int(high[k, i]) + 1) for i in (1, 0))
        v, u = (torch.arange(side.start, side.stop) for side in box)
        a, b, c = p[k]
        pixel = u[None, :], v[:, None]
        e = torch.stack(
            [twice_the_area(b, c, pixel), twice_the_area(c, a, pixel), twice_the_area(a, b, pixel)], -1
        )
        share = e / e.sum(-1, keepdim=True)  # nan, which is never inside, for one without area
        by_depth = share / p[k, :, 2]
        depth = 1 / by_depth.sum(-1)
        seen = (share >= 0).all(-1) & (depth < nearest[box])
        nearest[box][seen] = depth[seen]
        picture[box][seen] = ((by_depth * depth[..., None]) @ colours[triangles[k]])[seen]
    return picture
    ### END SOLUTION


# %% check
def check_own_renderer(own_renderer):
    def compare(what, points, triangles, colours, size=(9, 12)):
        points, triangles = torch.tensor(points), torch.tensor(triangles, dtype=torch.long).view(-1, 3)
        got, expected = own_renderer(points, triangles, torch.tensor(colours), size), torch.ones(*size, 3)
        if len(triangles):
            raster = rasterize(points[None], triangles, size)
            there = interpolate(torch.tensor(colours)[None], triangles, raster)[0]
            expected = torch.where(raster.mask[0, ..., None], there, 1.0)
        show.expect(got, expected, what, within=1e-3)

    red, green, blue = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]
    one = [[1.2, 0.9, 500.0], [10.3, 2.1, 500.0], [4.1, 7.7, 500.0]]
    compare("no triangle: a white picture", one, [], [red, red, red])
    compare("one red triangle", one, [[0, 2, 1]], [red, red, red])
    compare("the same, its corners in the other order", one, [[0, 1, 2]], [red, red, red])
    wide = [[-9.3, -4.2, 300.0], [25.1, 1.3, 300.0], [2.2, 20.4, 300.0]]
    compare("one that goes beyond all four sides", wide, [[0, 2, 1]], [blue, blue, blue])
    deep = [[0.3, 0.2, 300.0], [11.4, 0.6, 900.0], [0.8, 8.3, 600.0]]
    compare("corners of three colours at 300, 900 and 600 mm", deep, [[0, 2, 1]], [red, green, blue])
    pair, colours = one + deep, [red, red, red, green, green, green]
    compare("two that cut through each other", pair, [[0, 2, 1], [3, 5, 4]], colours)
    compare("the same two, the other one first", pair, [[3, 5, 4], [0, 2, 1]], colours)
    compare("one with its corners in a line beside them", pair, [[0, 2, 1], [3, 3, 4]], colours)


show.check(check_own_renderer, own_renderer)


# %% hint
# It is `z_buffer` of "Many triangles", which remembers a colour beside the depth. Write it for one pixel first, then for all of the box at
# once.


# %% hint
# The shares of the three areas are the weights on the image. Divided by the corners' depths and added up, they give one over the depth; and
# divided by that sum, the weights on the surface (exercise 1).


# %% hint
# `low` and `high` of the box are `ceil` and `floor` of the least and the largest $u$ and $v$, held within the picture. With
# `pixel = u[None, :], v[:, None]` the area function gives a whole box, and `nearest[box][seen] = depth[seen]` writes it.


# %% why
# Draw the head with it: project the vertices of `load("open", level=0)` by a camera of 96 px, and give each the colour of its normal. What it
# lacks against `rasterize` is speed, and a rule for pixels that lie on an edge.


# %% mistakes
def _drawn(
    points, triangles, colours, size, order=None, straight=False, ground=1.0, one_side=False, flat=False
):
    picture, nearest = torch.full((*size, 3), ground), torch.full(size, float("inf"))
    for triangle in triangles.tolist():
        p = points[triangle]
        for y in range(size[0]):
            for x in range(size[1]):
                e = [twice_the_area(p[(k + 1) % 3], p[(k + 2) % 3], (x, y)) for k in range(3)]
                b = torch.stack(e) / sum(e)
                if not (b >= 0).all() or (one_side and sum(e) > 0):
                    continue
                depth = (b * p[:, 2]).sum() if flat else 1 / (b / p[:, 2]).sum()
                w = b if straight else b / p[:, 2] / (b / p[:, 2]).sum()
                if order == "painter" or (depth > nearest[y, x] if order == "far" else depth < nearest[y, x]):
                    picture[y, x], nearest[y, x] = w @ colours[triangle], depth
    return picture


def the_last_one_is_seen(points, triangles, colours, size):
    return _drawn(points, triangles, colours, size, order="painter")


def colours_mixed_on_the_image(points, triangles, colours, size):
    return _drawn(points, triangles, colours, size, straight=True)


def depth_mixed_on_the_image(points, triangles, colours, size):
    return _drawn(points, triangles, colours, size, flat=True)


def black_ground(points, triangles, colours, size):
    return _drawn(points, triangles, colours, size, ground=0.0)


def one_side_only(points, triangles, colours, size):
    return _drawn(points, triangles, colours, size, one_side=True)
