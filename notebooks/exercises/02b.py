# Exercises of notebook 02b. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: Where is the lamp? (easy, 10 minutes) after "Light from all around: nine numbers"
# Write `lamp_direction(light)`: from the nine numbers a channel of a light (9, 3) to the unit vector $n$ (3,) for which the normals $n$ and
# $-n$ receive the most different amounts of light, the three channels added up. For a single lamp this is the direction to it. For a
# light that is the same at every $n$ and $-n$ it must be (0, 0, 0).

# %% given
import torch

from helpers import show
from helpers.lighting import sh_basis

some_normals = torch.nn.functional.normalize(
    torch.randn(4000, 3, generator=torch.Generator().manual_seed(1)), dim=-1
)


def as_nine_numbers(lamp, colour):
    """One lamp of a colour, by least squares on Lambert's brightness: (9, 3)."""
    towards = torch.nn.functional.normalize(torch.tensor(lamp), dim=0)
    amount = (some_normals @ towards).clamp(min=0)[:, None] * torch.tensor(colour)
    return torch.linalg.lstsq(sh_basis(some_normals), amount).solution


# %% solution
def lamp_direction(light):
    ### BEGIN SOLUTION (3,)
    linear = light[1:4].sum(-1)
    return linear / linear.norm() if linear.norm() > 0 else linear
    ### END SOLUTION


# %% check
def check_lamp_direction(lamp_direction):
    white = as_nine_numbers([-2.0, 1.0, 2.0], [1.0, 1.0, 1.0])
    left_above = torch.tensor([-2.0, 1.0, 2.0]) / 3
    show.expect(lamp_direction(white), left_above, "one white lamp, on the left and above", within=0.03)
    red = as_nine_numbers([0.0, 3.0, 4.0], [0.9, 0.0, 0.0])
    show.expect(lamp_direction(red), torch.tensor([0.0, 0.6, 0.8]), "a red lamp above", within=0.03)
    behind = as_nine_numbers([0.0, 0.0, -1.0], [0.2, 0.2, 0.2])
    show.expect(
        lamp_direction(behind), torch.tensor([0.0, 0.0, -1.0]), "a weak lamp behind the head", within=0.03
    )
    two = as_nine_numbers([1.0, 0.0, 0.0], [0.9, 0.0, 0.0])
    two = two + as_nine_numbers([0.0, 1.0, 0.0], [0.0, 0.0, 0.3])
    between = torch.tensor([3.0, 1.0, 0.0]) / 10**0.5
    show.expect(lamp_direction(two), between, "a red lamp on the right, a weaker blue one above", within=0.03)
    room = torch.zeros(9, 3)
    room[0] = 2.0
    show.expect(lamp_direction(white + room), left_above, "the white lamp in a bright room", within=0.03)
    room[7] = 0.5
    show.expect(lamp_direction(room), torch.zeros(3), "a room that is as bright on the left as on the right")


show.check(check_lamp_direction, lamp_direction)


# %% hint
# Which of the nine functions have another value at $-n$ than at $n$?


# %% hint
# $L_1 x + L_2 y + L_3 z$ is a scalar product of the normal with three numbers. For which normal is it largest?


# %% why
# The constant and the five functions of degree two are the same at $n$ and at $-n$: they tell how uneven the light is, but not from which
# side it comes. A fit of the light that sees only the front of a head still gives all three numbers, the third one badly: $z$ is nearly a
# mixture of two others there.


# %% mistakes
def one_number_early(light):
    linear = light[0:3].sum(-1)
    return linear / linear.norm() if linear.norm() > 0 else linear


def green_only(light):
    linear = light[1:4, 1]
    return linear / linear.norm() if linear.norm() > 0 else linear


def red_only(light):
    linear = light[1:4, 0]
    return linear / linear.norm() if linear.norm() > 0 else linear


def each_channel_of_length_one(light):
    linear = torch.nn.functional.normalize(light[1:4], dim=0).sum(-1)
    return linear / linear.norm() if linear.norm() > 0 else linear


def no_length(light):
    return light[1:4].sum(-1)


def nothing_caught(light):
    linear = light[1:4].sum(-1)
    return linear / linear.norm()


def by_brightest_front(light):
    front = some_normals[some_normals[:, 2] > 0]
    return front[(sh_basis(front) @ light).sum(-1).argmax()]


# %% exercise: Turn the head by its pixels (medium, 10 minutes) after "What is not"
# A picture, `target`, shows the head at an unknown yaw. For a yaw that you guess, `image_and_slope` in the cell below returns
# the image, its derivative by the yaw (per radian, as a difference of two images), and the mask of the head.
#
# Write `yaw_step(image, slope, target)`, all (N, 3): the change of yaw after which `image` would be nearest to `target` in the
# least-squares sense, if the image were linear in the yaw. Where the slope is zero everywhere, the step must be 0.

# %% given
import math

import torch

from helpers import show
from helpers.camera import Camera, Pose
from helpers.face_model import load
from helpers.rendering import render

coarse_head, small_camera = load("open", level=0), Camera.default(112)
even_light = torch.tensor([0.42, 0.0, 0.16, 0.46, 0, 0, 0, 0, 0])[None, :, None].repeat(1, 1, 3)


def drawn_at(yaw):
    pose = Pose(torch.tensor([[0.0, float(yaw), 0.0]]), torch.tensor([[0.0, 4.0, 1080.0 * 2]]))
    mesh = coarse_head.mean_shape[None], coarse_head.triangles, coarse_head.mean_texture[None]
    return render(*mesh, pose, small_camera, even_light, supersample=2)


def image_and_slope(yaw, small=0.02):
    now, more, less = drawn_at(yaw), drawn_at(yaw + small), drawn_at(yaw - small)
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
# This is Gauss–Newton with one unknown. Notebook 04 does it with more than two hundred. The first steps are too short: from 40° off
# it creeps home by about 1° per step. The section on the basin of convergence below starts from farther away.


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
