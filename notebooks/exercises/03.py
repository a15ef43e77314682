# Exercises of notebook 03. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: Mirror 68 points (medium, 15 minutes) after "Correspondence"
# Write `mirror_points`, which takes the points (68, 2) of an image of some width and returns those of the *mirrored image*, in
# the order of 300-W again. Mirroring the pixels is not enough: the left corner of an eye has become the right one. Pixel
# centres are at integers, so the pixel 0 becomes the pixel width − 1.
#
# The order, left and right being the viewer's:
#
# | points | run |
# |---|---|
# | 0–16, jaw | from the left ear over the chin (8) to the right ear |
# | 17–21 and 22–26, brows | from left to right |
# | 27–30, bridge of the nose | downwards |
# | 31–35, below the nose | from left to right |
# | 36–41, left eye | clockwise from its left corner: corner, two of the upper lid, corner, two of the lower lid |
# | 42–47, right eye | clockwise from its left corner |
# | 48–59, outer rim of the lips | clockwise from the left corner |
# | 60–67, inner rim | clockwise from the left corner: corner, three above, corner, three below |


# %% given
import torch

from helpers import show
from helpers.camera import Camera, Pose
from helpers.face_model import load
from helpers.landmarks import SimulatedDetector
from helpers.pose import MIRRORED, estimate_pose

mean_model = load("open", level=1)
marks_3d = mean_model.mean_shape[mean_model.landmarks]  # (68, 3) mm
mark_camera = Camera.default(224)
mark_pose = Pose.from_euler(
    torch.deg2rad(torch.tensor([[-10.0, 25.0, 5.0]])), torch.tensor([[10.0, -5.0, 1250.0]])
)
mark_detector = SimulatedDetector.of_face(marks_3d, mark_pose, mark_camera, noise_px=1.0)
marks_2d = torch.from_numpy(mark_detector.detect(seed=0)[0].points)  # (68, 2) px


# %% solution
def mirror_points(points, width):
    ### BEGIN SOLUTION (68, 2)
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)]
    pairs += [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    order = list(range(68))
    for a, b in pairs:
        order[a], order[b] = b, a
    return torch.stack([width - 1 - points[:, 0], points[:, 1]], -1)[order]
    ### END SOLUTION


# %% check
def check_mirror_points(mirror_points):
    def mirrored(points, width):  # of a copy, as an answer may change what it is given
        answer = mirror_points(points.clone(), width)
        return answer if answer is None else torch.as_tensor(answer)

    got = mirrored(marks_2d, 224)
    show.expect(got if got is None else tuple(got.shape), (68, 2), "the shape of the answer")
    there = torch.stack([223 - marks_2d[30, 0], marks_2d[30, 1]])
    show.expect(got[30], there, "the tip of the nose, width 224", within=1e-3)
    parts = {17: "jaw", 27: "brows", 36: "nose", 48: "eyes", 60: "outer rim of lips", 68: "inner rim of lips"}
    # every point on its own, so that the message can name the one that is wrong
    for i, j in enumerate(MIRRORED):
        part = next(name for end, name in parts.items() if i < end)
        there = torch.stack([223 - marks_2d[j, 0], marks_2d[j, 1]])
        show.expect(
            got[i], there, f"point {i} of the mirrored image ({part}), which was point {j}", within=1e-3
        )
    show.expect(mirrored(got, 224), marks_2d, "mirrored twice", within=1e-3)
    show.expect(mirrored(marks_2d, 1000)[:, 0], got[:, 0] + 776, "width 1000: every u", within=1e-3)
    poses = [estimate_pose(points[None], marks_3d[None], mark_camera).pose for points in (marks_2d, got)]
    yaws = [float(pose.yaw_pitch_roll()[0, 0]) for pose in poses]
    show.expect(yaws[1], -yaws[0], "the yaw of the mirrored face, in degrees", within=0.5)


show.check(check_mirror_points, mirror_points)


# %% hint
# Two things happen: the u of each point changes, and the points change places. Which point of the original is
# point 36 of the mirrored image?


# %% hint
# Pairs add up to a constant within a part: jaw 16, brows 43, below the nose 66. Eyes and lips run in circles;
# pair corner with corner, then upper with upper.


# %% mistakes
def labels_left_as_they_were(points, width):
    return torch.stack([width - 1 - points[:, 0], points[:, 1]], -1)


def off_by_a_pixel(points, width):
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)]
    pairs += [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    order = list(range(68))
    for a, b in pairs:
        order[a], order[b] = b, a
    return torch.stack([width - points[:, 0], points[:, 1]], -1)[order]


def lips_forgotten(points, width):
    order = (
        [16 - i for i in range(17)] + [26 - i for i in range(10)] + list(range(27, 31)) + [35, 34, 33, 32, 31]
    )
    order += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40] + list(range(48, 68))
    return torch.stack([width - 1 - points[:, 0], points[:, 1]], -1)[order]


def _mirrored_with(points, width, pairs):
    order = list(range(68))
    for a, b in [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + pairs:
        order[a], order[b] = b, a
    return torch.stack([width - 1 - points[:, 0], points[:, 1]], -1)[order]


_EYES = [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
_NOSTRILS, _OUTER = [(31, 35), (32, 34)], [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58)]
_INNER = [(60, 64), (61, 63), (65, 67)]


def eyes_shifted_by_six(points, width):
    return _mirrored_with(points, width, _NOSTRILS + [(36 + i, 42 + i) for i in range(6)] + _OUTER + _INNER)


def lids_swapped(points, width):
    lids = [(36, 45), (39, 42), (37, 47), (38, 46), (40, 44), (41, 43)]
    return _mirrored_with(points, width, _NOSTRILS + lids + _OUTER + _INNER)


def nostrils_forgotten(points, width):
    return _mirrored_with(points, width, _EYES + _OUTER + _INNER)


def inner_rim_forgotten(points, width):
    return _mirrored_with(points, width, _NOSTRILS + _EYES + _OUTER)


# %% exercise: Your own pose (medium, 15 minutes) after "Scaled orthography: a linear start"
# Write `own_pose`: POS, with a weight for each point. Minimise $\sum_i w_i (\ldots)^2$: means become weighted means, and each equation is
# multiplied by $\sqrt{w_i}$. Return $R$ (3, 3) and $t$ (3,) in float64 for points (68, 2), the model's (68, 3), weights (68,), focal length
# and principal point.

# %% link
# Your fit (04) starts from this pose.

# %% given
import torch

from helpers import show
from helpers.camera import Camera, Pose
from helpers.face_model import load
from helpers.landmarks import SimulatedDetector
from helpers.pose import scaled_orthographic_pose

mean_model = load("open", level=0)
marks_3d = mean_model.mean_shape[mean_model.landmarks]  # (68, 3) mm
mark_camera = Camera.default(224)
mark_pose = Pose.from_euler(
    torch.deg2rad(torch.tensor([[-10.0, 25.0, 5.0]])), torch.tensor([[10.0, -5.0, 1250.0]])
)
mark_detector = SimulatedDetector.of_face(marks_3d, mark_pose, mark_camera, noise_px=1.0)
marks_2d = torch.from_numpy(mark_detector.detect(seed=0)[0].points)  # (68, 2) px

x_pos, X_pos = marks_2d.double(), marks_3d.double()
f_pos, c_pos = 1000.0, torch.tensor([111.5, 111.5], dtype=torch.float64)


# %% solution
def own_pose(points, model_points, weights, f, c):
    ### BEGIN SOLUTION R (3, 3), t (3,)
    image = (points - c) * torch.tensor([1.0, -1.0], dtype=torch.float64)
    share = (weights / weights.sum())[:, None]
    middle_3d, middle_2d = (share * model_points).sum(0), (share * image).sum(0)
    root = share.sqrt()
    M = torch.linalg.lstsq(root * (model_points - middle_3d), root * (image - middle_2d)).solution.T
    U, d, Vh = torch.linalg.svd(M, full_matrices=False)
    R1, R2 = U @ Vh
    R = torch.stack([R1, R2, torch.linalg.cross(R1, R2)])
    turned, s = R @ middle_3d, d.mean()
    across = middle_2d / s - turned[:2]
    return R, torch.stack([across[0], -across[1], f / s + turned[2]])
    ### END SOLUTION


# %% check
def check_own_pose(own_pose):
    rising, no_chin, far_chin = torch.linspace(0.1, 2.0, 68).double(), torch.ones(68).double(), x_pos.clone()
    no_chin[8], far_chin[8] = 0, 1e4  # a point that is far off, and does not count
    equal = torch.ones(68).double()
    cases = (
        ("equal weights", x_pos, equal),
        ("rising weights", x_pos, rising),
        ("a wrong point of weight 0", far_chin, no_chin),
    )
    for case, points, weights in cases:
        real = scaled_orthographic_pose(
            points[None], X_pos[None], mark_camera.to(torch.float64), weights[None]
        )
        got = own_pose(points, X_pos, weights, f_pos, c_pos)
        show.expect(got if got is None else len(got), 2, f"{case}: how many things are returned, R and t")
        show.expect(got[0], real.rotation[0], f"{case}: the rotation")
        show.expect(got[1], real.translation[0], f"{case}: the translation in mm", within=1e-3)


show.check(check_own_pose, own_pose)


# %% hint
# Begin with the two means, weighted. Then the linear equations of "Scaled orthography", about these means.


# %% hint
# `lstsq` minimises a plain sum of squares. Multiply both sides of equation $i$ by $\sqrt{w_i}$.


# %% mistakes
def weights_ignored(points, model_points, weights, f, c):
    pose = scaled_orthographic_pose(points[None], model_points[None], mark_camera.to(torch.float64))
    return pose.rotation[0], pose.translation[0]


def weight_instead_of_its_root(points, model_points, weights, f, c):
    pose = scaled_orthographic_pose(
        points[None], model_points[None], mark_camera.to(torch.float64), weights[None] ** 2
    )
    return pose.rotation[0], pose.translation[0]


# %% exercise: RANSAC in ten lines (medium, 15 minutes) after "Points that are plainly wrong"
# Write `find_inliers`: draw six of the 68 points many times, estimate the pose from them (weights 1 for the six, 0 for the
# others), count how many of the 68 points lie within `tolerance` pixels, and return the best draw's inliers as a (68,) bool
# tensor. `estimate_pose` takes all draws in one batch, with `Camera.default(224, batch=draws)`.


# %% given
import torch

from helpers import show
from helpers.camera import Camera, Pose
from helpers.face_model import load
from helpers.landmarks import SimulatedDetector
from helpers.pose import estimate_pose

mean_model = load("open", level=1)
marks_3d = mean_model.mean_shape[mean_model.landmarks]  # (68, 3) mm
mark_camera = Camera.default(224)
mark_pose = Pose.from_euler(
    torch.deg2rad(torch.tensor([[-10.0, 25.0, 5.0]])), torch.tensor([[10.0, -5.0, 1250.0]])
)
mark_detector = SimulatedDetector.of_face(marks_3d, mark_pose, mark_camera, noise_px=1.0)
marks_2d = torch.from_numpy(mark_detector.detect(seed=0)[0].points)  # (68, 2) px


def scattered_marks(points, share, seed=11):
    g = torch.Generator().manual_seed(seed)
    wrong = torch.rand(68, generator=g) < share
    anywhere = points.mean(0) + 120 * (torch.rand(68, 2, generator=g) - 0.5)
    return torch.where(wrong[:, None], anywhere, points)


def shifted_marks(points, first, number):
    wrong = (torch.arange(68) - first) % 68 < number  # a run of neighbours
    return points + wrong[:, None] * torch.tensor([30.0, 25.0])


# %% solution
def find_inliers(points, tolerance=4.0, draws=200, seed=0):
    ### BEGIN SOLUTION (68,) bool
    g = torch.Generator().manual_seed(seed)
    chosen = torch.rand(draws, 68, generator=g).topk(6).indices
    weights = torch.zeros(draws, 68).scatter_(1, chosen, 1.0)
    tried = estimate_pose(
        points.expand(draws, -1, -1), marks_3d[None], Camera.default(224, batch=draws), weights
    )
    inside = tried.residual.nan_to_num(1e6) < tolerance
    return inside[inside.sum(1).argmax()]
    ### END SOLUTION


# %% check
def check_find_inliers(find_inliers):
    cases = {
        f"{share:.0%} of the points wrong": scattered_marks(marks_2d, share) for share in (0.0, 0.2, 0.35)
    }
    cases |= {
        f"24 neighbours shifted, from point {n} on": shifted_marks(marks_2d, n, 24) for n in (0, 27, 50)
    }
    for case, points in cases.items():
        off = (points - torch.from_numpy(mark_detector.truth).float()).norm(dim=-1)
        got = find_inliers(points)
        got = got if got is None else torch.as_tensor(got)
        show.expect(got if got is None else tuple(got.shape), (68,), f"{case}: the shape of the answer")
        show.expect(str(got.dtype), "torch.bool", f"{case}: the type of the answer")
        show.expect_below(int((~got & (off < 2)).sum()), 4, f"{case}: good points that were missed")
        show.expect_below(int((got & (off > 12)).sum()), 1, f"{case}: wrong points that were taken")


show.check(check_find_inliers, find_inliers)


# %% hint
# `torch.rand(draws, 68).topk(6).indices` draws six different points for each row.


# %% hint
# Weights (draws, 68) with ones at the drawn points go to `estimate_pose`, and so do the points, expanded. Its
# `residual` is (draws, 68).


# %% mistakes
def all_good(points, tolerance=4.0, draws=200, seed=0):
    return torch.ones(68, dtype=torch.bool)


def near_plain_least_squares(points, tolerance=4.0, draws=200, seed=0):
    return estimate_pose(points[None], marks_3d[None], mark_camera).residual[0] < tolerance


def only_the_six(points, tolerance=4.0, draws=200, seed=0):
    return torch.zeros(68, dtype=torch.bool).index_fill(0, torch.arange(6), True)


def robust_weights_without_draws(points, tolerance=4.0, draws=200, seed=0):
    return estimate_pose(points[None], marks_3d[None], mark_camera, robust_px=3.0).residual[0] < tolerance


def five_draws(points, tolerance=4.0, draws=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    weights = torch.zeros(draws, 68).scatter_(1, torch.rand(draws, 68, generator=g).topk(6).indices, 1.0)
    tried = estimate_pose(
        points.expand(draws, -1, -1), marks_3d[None], Camera.default(224, batch=draws), weights
    )
    inside = tried.residual.nan_to_num(1e6) < tolerance
    return inside[inside.sum(1).argmax()]


def twenty_draws(points, tolerance=4.0, draws=20, seed=0):
    return five_draws(points, tolerance, draws, seed)
