# Exercises of notebook 02. `make notebooks` writes its stubs, checks and folded solutions from here.

# %% given
import math

import torch

from helpers import show
from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.face_model import load
from helpers.rasterizer import rasterize
from helpers.rendering import render

# %% exercise: Which side do we see? (easy, 5 minutes)
# Write `faces_camera(p)`: for triangles `p` (F, 3, 2) in pixels, True where the triangle turns its outside to the camera. From
# outside triangles are anticlockwise. But $v$ points down. A triangle without area does not count.

# %% given
corners = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 50.0
cube = torch.tensor(
    [
        [0, 1, 3],
        [0, 3, 2],
        [4, 6, 7],
        [4, 7, 5],
        [0, 4, 5],
        [0, 5, 1],
        [2, 3, 7],
        [2, 7, 6],
        [0, 2, 6],
        [0, 6, 4],
        [1, 5, 7],
        [1, 7, 3],
    ]
)
tilted = Pose(torch.tensor([[0.5, 0.6, 0.1]]), torch.tensor([[0.0, 0, 600]]))
on_screen = project(model_to_camera(corners[None], tilted), Camera.default(48, focal=170.0))


# %% solution
def faces_camera(p):
    ### BEGIN SOLUTION (F,) bool
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    # With v down, anticlockwise to the eye is a negative area.
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0
    ### END SOLUTION


# %% check
def check_faces_camera(faces_camera):
    three = torch.tensor([[[0.0, 0], [0, 4], [4, 0]], [[0, 0], [4, 0], [0, 4]], [[0, 0], [2, 2], [4, 4]]])
    show.expect(
        faces_camera(three),
        torch.tensor([True, False, False]),
        "one to the camera, one away, one without area",
    )
    seen = rasterize(on_screen, cube, (48, 48)).triangle_id.unique()[1:]
    expected = torch.zeros(12, dtype=torch.bool).index_fill(0, seen.long(), True)
    show.expect(faces_camera(on_screen[0, :, :2][cube]), expected, "the twelve triangles of a cube")


show.check(check_faces_camera, faces_camera)


# %% hint
# The sign of the area of a triangle, as in "One triangle".


# %% hint
# Twice the signed area of corners p, q, x is $(q_u - p_u)(x_v - p_v) - (q_v - p_v)(x_u - p_u)$. Draw one with
# $v$ downwards: which sign has an anticlockwise one?


# %% why
# A convex body shows all triangles that face the camera, so for the cube this alone replaces the z-buffer. A face is not
# convex: the nose hides a part of the cheek.


# %% mistakes
def v_up(p):
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0


def no_area_counts(p):
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] <= 0


# %% exercise: The chequered wall, put straight (easy, 5 minutes)
# Write `perspective(b, z)`: from affine weights `b` (N, 3) and the corners' depths `z` (N, 3) to the weights on the surface
# (N, 3). A value divided by depth is linear on the image, and so is one over depth.

# %% given
wall = torch.tensor([[-60.0, -60, 300], [-60, 60, 300], [240, 60, 900], [240, -60, 900]])[None]
halves = torch.tensor([[0, 1, 2], [0, 2, 3]])
on_wall = project(wall, Camera.default((150, 150), focal=320.0))
equally_deep = torch.cat([on_wall[..., :2], torch.ones(1, 4, 1)], -1)
affine, right = (rasterize(points, halves, (150, 150)) for points in (equally_deep, on_wall))


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
    seen = right.mask[0]
    z = on_wall[0, :, 2][halves[right.triangle_id[0][seen].long()]]
    error = (perspective(affine.barycentric[0][seen], z) - right.barycentric[0][seen]).abs().max()
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


# %% exercise: Turn the head by its pixels (medium, 10 minutes)
# A picture, `target`, shows the head at an unknown yaw. For a yaw that you guess, `image_and_slope` in the cell below returns
# the image, its derivative by the yaw (per radian, as a difference of two images), and the mask of the head.
#
# Write `yaw_step(image, slope, target)`, all (N, 3): the change of yaw after which `image` would be nearest to `target` in the
# least-squares sense, if the image were linear in the yaw. Where the slope is zero everywhere, the step must be 0.

# %% given
head, viewer = load("open", level=0), Camera.default(112)
light = torch.tensor([0.42, 0.0, 0.16, 0.46, 0, 0, 0, 0, 0])[None, :, None].repeat(1, 1, 3)


def drawn(yaw):
    pose = Pose(torch.tensor([[0.0, float(yaw), 0.0]]), torch.tensor([[0.0, 4.0, 1080.0 * 2]]))
    return render(
        head.mean_shape[None], head.triangles, head.mean_texture[None], pose, viewer, light, supersample=2
    )


def image_and_slope(yaw, small=0.02):
    now, more, less = drawn(yaw), drawn(yaw + small), drawn(yaw - small)
    return now.image[0], (more.image[0] - less.image[0]) / (2 * small), now.mask[0]


# %% solution
def yaw_step(image, slope, target):
    ### BEGIN SOLUTION one number, radians
    strength = (slope * slope).sum()
    if strength == 0:
        return 0.0
    return float((slope * (target - image)).sum() / strength)
    ### END SOLUTION


# %% check
def check_yaw_step(yaw_step):
    ramp = torch.linspace(-1, 1, 30).view(10, 3)
    show.expect(
        yaw_step(torch.zeros(10, 3), ramp, 0.25 * ramp),
        0.25,
        "an image that is linear, 0.25 away",
        within=1e-5,
    )
    show.expect(yaw_step(ramp, torch.zeros(10, 3), 0 * ramp), 0.0, "no slope anywhere")
    g = torch.Generator().manual_seed(0)
    slope, noise = torch.randn(400, 3, generator=g), 0.5 * torch.randn(400, 3, generator=g)
    best = torch.linalg.lstsq(slope.reshape(-1, 1), (0.25 * slope + noise).reshape(-1, 1)).solution[0, 0]
    show.expect(
        yaw_step(torch.zeros(400, 3), slope, 0.25 * slope + noise),
        float(best),
        "slopes of both signs, 0.25 away, with noise on the target: least squares",
        within=1e-4,
    )
    yaw, (target, _, seen) = 0.1, image_and_slope(0.0)
    for _ in range(10):
        image, slope, mask = image_and_slope(yaw)
        yaw += float(yaw_step(image[mask & seen], slope[mask & seen], target[mask & seen]))
    show.expect_below(abs(math.degrees(yaw)), 0.1, "ten steps, begun 5.7° off", "°")


show.check(check_yaw_step, yaw_step)


# %% hint
# Call the step $d$. Which $d$ makes $\sum (\text{image} + d\,\text{slope} - \text{target})^2$ smallest?


# %% hint
# Set the derivative by $d$ to 0: $d \sum \text{slope}^2 = \sum \text{slope}\,(\text{target} - \text{image})$.


# %% why
# This is Gauss–Newton with one unknown. Notebook 04 does it with more than two hundred. The first steps are too short, because
# the brows in the two images do not overlap yet. Start from 40° off, and it creeps home by about 1° a step. Start from 60° off, and
# it stays there: the brow then lies so far from its place that the slope points nowhere useful. That is why a fit starts from
# landmarks.


# %% mistakes
def wrong_way(image, slope, target):
    strength = (slope * slope).sum()
    return 0.0 if strength == 0 else float((slope * (image - target)).sum() / strength)


def no_guard(image, slope, target):
    return float((slope * (target - image)).sum() / (slope * slope).sum())


def mean_of_ratios(image, slope, target):
    return float(((target - image).sum() / slope.sum()).nan_to_num(0.0))


def mean_of_the_quotients(image, slope, target):
    some = slope.abs() > 1e-6
    return float(((target - image)[some] / slope[some]).mean().nan_to_num(0.0))


def median_of_the_quotients(image, slope, target):
    some = slope.abs() > 1e-6
    return float(((target - image)[some] / slope[some]).median()) if some.any() else 0.0


def weighted_by_the_sign(image, slope, target):
    total = slope.abs().sum()
    return float((slope.sign() * (target - image)).sum() / total) if total > 0 else 0.0
