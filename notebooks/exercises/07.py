# Exercises of notebook 07. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: A step along the normals (hard, 25 minutes) after "Taking turns"
# Write `plane_step`: for places `y` (N, 3) on the moved model, their partners `x` (N, 3) on the scan and the model's unit normals
# `n` (N, 3), return the turn ω and the shift v as one vector (6,) that makes Σ (n · (y + ω × y + v − x))² least. As
# n · (ω × y) = (y × n) · ω, each pair gives one row of a linear system.


# %% given
import torch

from helpers import show


# %% solution
def plane_step(y, x, n):
    ### BEGIN SOLUTION (6,), the turn first
    J = torch.cat([torch.linalg.cross(y, n), n], -1)
    r = (n * (y - x)).sum(-1)
    return -torch.linalg.solve(J.T @ J, J.T @ r)
    ### END SOLUTION


# %% check
def check_plane_step(plane_step):
    g = torch.Generator().manual_seed(0)
    y = torch.randn(200, 3, generator=g, dtype=torch.float64)
    n = torch.nn.functional.normalize(torch.randn(200, 3, generator=g, dtype=torch.float64), dim=-1)
    zero, turn = torch.zeros(3, dtype=torch.float64), torch.tensor([0.01, -0.02, 0.03], dtype=torch.float64)
    shift = torch.tensor([1.0, 2.0, -3.0], dtype=torch.float64)
    show.expect(plane_step(y, y, n), torch.cat([zero, zero]), "nothing to do", within=1e-9)
    show.expect(plane_step(y, y + shift, n), torch.cat([zero, shift]), "a shift", within=1e-9)
    x = y + torch.linalg.cross(turn.expand_as(y), y)
    show.expect(plane_step(y, x, n), torch.cat([turn, zero]), "a small turn", within=1e-9)
    slid = torch.linalg.cross(n, torch.randn(200, 3, generator=g, dtype=torch.float64))
    show.expect(
        plane_step(y, x + slid, n),
        torch.cat([turn, zero]),
        "partners that slid along the surface",
        within=1e-9,
    )


show.check(check_plane_step, plane_step)


# %% hint
# Write the sum as $\lVert J\,(\omega, v) + r\rVert^2$. What is one row of $J$, what is one $r$?


# %% hint
# A row is $(y \times n,\ n)$, six numbers, and $r = n \cdot (y - x)$. Mind the order in the cross product.


# %% hint
# `J = torch.cat([torch.linalg.cross(y, n), n], -1)`; the step is minus the solution of $J^\top J\,d = J^\top r$.


# %% mistakes
def turned_the_wrong_way(y, x, n):
    J = torch.cat([torch.linalg.cross(n, y), n], -1)
    return -torch.linalg.solve(J.T @ J, J.T @ (n * (y - x)).sum(-1))


def uphill(y, x, n):
    J = torch.cat([torch.linalg.cross(y, n), n], -1)
    return torch.linalg.solve(J.T @ J, J.T @ (n * (y - x)).sum(-1))


def point_step(y, x, n):
    # Least squares of the whole offsets, as if the normals were unknown: −[y]× ω + v = x − y.
    zero = torch.zeros_like(y[:, 0])
    a, b, c = y.unbind(-1)
    turns = torch.stack([zero, c, -b, -c, zero, a, b, -a, zero], -1).view(-1, 3, 3)
    J = torch.cat([turns, torch.eye(3).to(y).expand(len(y), 3, 3)], -1).reshape(-1, 6)
    return torch.linalg.lstsq(J, (x - y).reshape(-1, 1)).solution[:, 0]


# %% exercise: The error within the crop (easy, 10 minutes) after "3DRMSE, by the protocol"
# Write `crop_rmse`: from points `points` (N, 3) mm of a scan, their distances `distance` (N,) mm from a face, the tip of the
# nose `nose` (3,) and a radius in mm, return the root mean square of the distances of the points that are at most the radius
# away from the nose.


# %% given
import torch

from helpers import show


# %% solution
def crop_rmse(points, distance, nose, radius):
    ### BEGIN SOLUTION a number
    inside = (points - nose).norm(dim=-1) <= radius
    return distance[inside].square().mean().sqrt()
    ### END SOLUTION


# %% check
def check_crop_rmse(crop_rmse):
    points = torch.tensor([[0.0, 0.0, 0.0], [0.0, 30.0, 40.0], [0.0, 96.0, 0.0]])
    distance, nose = torch.tensor([3.0, 4.0, 100.0]), torch.zeros(3)
    show.expect(
        crop_rmse(points, distance, nose, 95.0),
        torch.tensor(12.5).sqrt(),
        "3 and 4 mm inside, 100 mm outside",
        within=1e-4,
    )
    show.expect(
        crop_rmse(points, distance, nose, 50.0),
        torch.tensor(12.5).sqrt(),
        "a point at the radius counts",
        within=1e-4,
    )
    show.expect(
        crop_rmse(points + 7, distance, nose + 7, 10.0),
        torch.tensor(3.0),
        "only the nose itself",
        within=1e-4,
    )


show.check(check_crop_rmse, crop_rmse)


# %% hint
# Two steps: which points count, and then a mean of what?


# %% hint
# Distances from the *nose* choose the points; the squares of the others, `distance`, are averaged, then the root.


# %% mistakes
def all_points(points, distance, nose, radius):
    return distance.square().mean().sqrt()


def mean_distance(points, distance, nose, radius):
    return distance[(points - nose).norm(dim=-1) <= radius].mean()


def about_the_origin(points, distance, nose, radius):
    return distance[points.norm(dim=-1) <= radius].square().mean().sqrt()


# %% exercise: Right accepts at few false ones (medium, 15 minutes) after "A ROC, point by point"
# Write `tar_at`: from scores (N,) of pairs, `same` (N,) bool, and the largest allowed share `far` of false accepts, return the
# largest share of right accepts. A pair is accepted when its score is at least the threshold. Try every score as threshold,
# and also one above all.


# %% given
import torch

from helpers import show


# %% solution
def tar_at(score, same, far):
    ### BEGIN SOLUTION a number from 0 to 1
    best = torch.tensor(0.0)
    for threshold in score:
        accepted = score >= threshold
        if accepted[~same].float().mean() <= far:
            best = torch.maximum(best, accepted[same].float().mean())
    return best
    ### END SOLUTION


# %% check
def check_tar_at(tar_at):
    same = torch.tensor([True, True, False, True, False])
    score = torch.tensor([0.9, 0.7, 0.8, 0.3, 0.1])
    show.expect(tar_at(score, same, 0.0), torch.tensor(1 / 3), "no false accept", within=1e-5)
    show.expect(
        tar_at(score, same, 0.25),
        torch.tensor(1 / 3),
        "one of two strangers is more than a quarter of them",
        within=1e-5,
    )
    show.expect(tar_at(score, same, 0.5), torch.tensor(1.0), "one of two may pass", within=1e-5)
    show.expect(tar_at(score, same, 1.0), torch.tensor(1.0), "all may pass", within=1e-5)
    show.expect(
        tar_at(score, torch.tensor([True, True, False, False, True]), 1.0),
        torch.tensor(1.0),
        "the lowest score is a threshold, too: its own pair is accepted",
        within=1e-5,
    )
    show.expect(
        tar_at(torch.ones(5), same, 0.1),
        torch.tensor(0.0),
        "all scores alike: all or none are accepted",
        within=1e-5,
    )


show.check(check_tar_at, tar_at)


# %% hint
# For one threshold: what share of the strangers is accepted, what share of the pairs of one person?


# %% hint
# Loop over all scores as threshold, with `score >= threshold`. If `accepted[~same]` is at most `far` on average, that of `accepted[same]` is a candidate. Begin with 0, the threshold above all.


# %% why
# The last case is the one that many programs get wrong: pairs with one score can only be accepted together.


# %% mistakes
def one_after_the_other(score, same, far):
    order = score.argsort(descending=True, stable=True)
    false = (~same)[order].float().cumsum(0) / (~same).sum()
    true = same[order].float().cumsum(0) / same.sum()
    return true[false <= far].max()


def only_above_the_threshold(score, same, far):
    best = torch.tensor(0.0)
    for threshold in score:
        accepted = score > threshold
        if accepted[~same].float().mean() <= far:
            best = torch.maximum(best, accepted[same].float().mean())
    return best


def far_of_all_pairs(score, same, far):
    best = torch.tensor(0.0)
    for threshold in score:
        accepted = score >= threshold
        if (accepted & ~same).float().mean() <= far:
            best = torch.maximum(best, accepted[same].float().mean())
    return best
