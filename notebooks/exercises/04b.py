# Exercises of notebook 04b. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: The shift that all points share (easy, 10 minutes) after "Points that err together"
# Write `shared_shift(offsets, sigma, sigma_2D)`: the shift $t_\text{2D}$ (2,) px with the least energy
# $\tfrac12 \sum_j \lVert d_j - t_\text{2D}\rVert^2 / \sigma_j^2 + \tfrac12 \lVert t_\text{2D}\rVert^2 / \sigma_\text{2D}^2$,
# from the offsets $d_j = p_j - q_j$ (N, 2) px of N points, their $\sigma_j$ (N,) px and $\sigma_\text{2D}$ px, one number. (No robust function
# here.) Points may be none at all.


# %% given
import torch

from helpers import show


# %% solution
def shared_shift(offsets, sigma, sigma_2D):
    ### BEGIN SOLUTION (2,) px
    weight = 1 / sigma**2
    return (weight[:, None] * offsets).sum(0) / (weight.sum() + 1 / sigma_2D**2)
    ### END SOLUTION


# %% check
def check_shared_shift(shared_shift):
    one, two = torch.ones(1), torch.tensor([[6.0, 2.0]])
    show.expect(shared_shift(two, one, 1.0), two[0] / 2, "one point, both σ alike: half of its offset")
    show.expect(shared_shift(two, 2 * one, 1.0), two[0] / 5, "one point with σ = 2 px, σ_2D = 1 px")
    g = torch.Generator().manual_seed(0)
    d, sigma = 3 * torch.randn(68, 2, generator=g) + 4, 1 + 2 * torch.rand(68, generator=g)
    t = torch.as_tensor(shared_shift(d, sigma, 2.0), dtype=torch.float32).detach().clone().requires_grad_()
    energy = ((d - t).square().sum(-1) / sigma**2).sum() / 2 + t.square().sum() / 2 / 2.0**2
    slope = torch.autograd.grad(energy, t)[0]
    show.expect_below(slope.norm(), 1e-3, "68 points of different σ: the slope of the energy at the shift")
    nothing = shared_shift(torch.zeros(0, 2), torch.zeros(0), 2.0)
    show.expect(nothing, torch.zeros(2), "no point at all: no shift")


show.check(check_shared_shift, shared_shift)


# %% hint
# Differentiate the energy by $t_\text{2D}$ and set the result to 0.


# %% hint
# It is a weighted mean of the offsets, with one more observation: that the shift is 0, with $\sigma_\text{2D}$.


# %% why
# The real one, `helpers.fitting.landmark_term.common_shift`, repeats this a few times with robust weights.


# %% mistakes
def plain_mean(offsets, sigma, sigma_2D):
    return offsets.sum(0) / max(len(offsets), 1)


def no_prior_on_the_shift(offsets, sigma, sigma_2D):
    weight = 1 / sigma**2
    return (weight[:, None] * offsets).sum(0) / weight.sum().clamp(min=1e-9)


def sigma_not_squared(offsets, sigma, sigma_2D):
    weight = 1 / sigma
    return (weight[:, None] * offsets).sum(0) / (weight.sum() + 1 / sigma_2D)


def towards_the_other_side(offsets, sigma, sigma_2D):
    weight = 1 / sigma**2
    return -(weight[:, None] * offsets).sum(0) / (weight.sum() + 1 / sigma_2D**2)


# %% exercise: How well is the nose known? (easy, 5 minutes) after "Which parts are known?"
# Write `coordinate_sigma(basis, covariance)`: the standard deviations (3,) in mm of the three coordinates of one vertex, from
# its basis (3, K) in mm per standard deviation and the covariance (K, K) of the coefficients. The check compares it with many
# samples, at the tip of the nose.

# %% given
import torch

from helpers import show
from helpers.face_model import load

coarse_head = load("open", level=0)
# (3, 99) mm per standard deviation
nose_basis = coarse_head.shape_basis[coarse_head.landmarks[30]] * coarse_head.shape_std
looks = torch.randn(150, 99, generator=torch.Generator().manual_seed(0))
nose_covariance = torch.linalg.inv(torch.eye(99) + 0.2 * looks.T @ looks)  # as of a fit that saw 150 numbers


# %% solution
def coordinate_sigma(basis, covariance):
    ### BEGIN SOLUTION (3,) mm
    return (basis @ covariance @ basis.T).diagonal().sqrt()
    ### END SOLUTION


# %% check
def check_coordinate_sigma(coordinate_sigma):
    axis = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    show.expect(
        coordinate_sigma(axis, torch.eye(2)),
        torch.tensor([2.0, 3.0, 0.0]),
        "two coefficients, σ = 1, one moves x by 2 mm, the other y by 3 mm",
    )
    together = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    show.expect(
        coordinate_sigma(torch.ones(3, 2), together),
        torch.full((3,), 3.0**0.5),
        "two coefficients, σ = 1 and correlation 0.5, that both move all axes by 1 mm",
        within=1e-5,
    )
    draws = torch.randn(20000, 99, generator=torch.Generator().manual_seed(0))
    expected = (draws @ torch.linalg.cholesky(nose_covariance).T @ nose_basis.T).std(0)
    got = coordinate_sigma(nose_basis, nose_covariance)
    show.expect(
        got,
        expected,
        "the tip of the nose, against 20 000 samples, in mm",
        within=0.04 * float(expected.min()),
    )


show.check(check_coordinate_sigma, coordinate_sigma)


# %% hint
# If $x = B\alpha$ and $\alpha$ has the covariance $C$, what is the covariance of $x$?


# %% hint
# $B C B^\top$, (3, 3). Variances are on its diagonal.


# %% mistakes
def variances(basis, covariance):
    return (basis @ covariance @ basis.T).diagonal()


def correlations_ignored(basis, covariance):
    return (basis.square() @ covariance.diagonal()).sqrt()
