# Exercises of notebook 04. `make notebooks` writes its stubs, checks and folded solutions from here.

# %% given
import torch

from helpers import show
from helpers.face_model import load

# %% exercise: A Gauss–Newton step (easy, 5 minutes)
# Write `newton_step`: from residuals `r` (M,), Jacobian `J` (M, n), coefficients `x` (n,) with prior mean 0, and the prior's
# weight `lam`, return the step (n,).


# %% solution
def newton_step(r, J, x, lam):
    ### BEGIN SOLUTION (n,)
    H = J.T @ J + lam * torch.eye(len(x))
    return -torch.linalg.solve(H, J.T @ r + lam * x)
    ### END SOLUTION


# %% check
def check_newton_step(newton_step):
    one = torch.ones(1)
    show.expect(newton_step(2 * one, one[None], 0 * one, 0.0), -2 * one, "r = 2, J = 1, x = 0, no prior")
    show.expect(
        newton_step(0 * one, one[None], one, 1.0), -0.5 * one, "r = 0, J = 1, x = 1, prior of weight 1"
    )
    g = torch.Generator().manual_seed(0)
    r, J, x = torch.randn(30, generator=g), torch.randn(30, 5, generator=g), torch.randn(5, generator=g)
    y = (x + newton_step(r, J, x, 2.0)).detach().requires_grad_()
    left = torch.autograd.grad((r + J @ (y - x)).square().sum() / 2 + y.square().sum(), y)[0]
    show.expect_below(
        left.norm(), 1e-3, "30 residuals, 5 numbers, prior of weight 2: the gradient after the step"
    )
    nothing = newton_step(torch.zeros(0), torch.zeros(0, 5), x, 1.0)
    show.expect(nothing, -x, "no residual at all: back to the mean")


show.check(check_newton_step, newton_step)


# %% hint
# The energy after a step $\Delta$ is $\tfrac12\lVert r + J\Delta\rVert^2 + \tfrac12\lambda\lVert x +
# \Delta\rVert^2$.


# %% hint
# Its gradient by $\Delta$ is 0 where $(J^\top J + \lambda I)\Delta = -(J^\top r + \lambda x)$.


# %% mistakes
def uphill(r, J, x, lam):
    return torch.linalg.solve(J.T @ J + lam * torch.eye(len(x)), J.T @ r + lam * x)


def prior_only_in_the_matrix(r, J, x, lam):
    return -torch.linalg.solve(J.T @ J + lam * torch.eye(len(x)), J.T @ r)


# %% exercise: The weight of an outlier (medium, 10 minutes)
# Cauchy's energy of a squared residual $x = r^2$ (in units of $\sigma^2$) is $\tfrac12 k^2 \ln(1 + x/k^2)$. Weighted least
# squares has the energy $\tfrac12 w\, r^2$, with a $w$ that is held while the step is computed. Write `robust_weight(x, k)`: the
# $w$ with which both have the same gradient in $r$. (The rows of this notebook carry its root, since residual and Jacobian are
# multiplied with each other. Asked is $w$ itself.)


# %% solution
def robust_weight(x, k):
    ### BEGIN SOLUTION like x
    return 1 / (1 + x / k**2)
    ### END SOLUTION


# %% check
def check_robust_weight(robust_weight):
    show.expect(robust_weight(torch.zeros(1), 1.0), torch.ones(1), "no residual: the whole weight")
    show.expect(robust_weight(torch.ones(1), 1.0), torch.full((1,), 0.5), "x = 1, k = 1")
    x = torch.linspace(-8, 8, 33, requires_grad=True)
    for k in (1.0, 3.0):
        gradient = torch.autograd.grad((0.5 * k**2 * torch.log1p(x.square() / k**2)).sum(), x)[0]
        got = robust_weight(x.detach().square(), k) * x.detach()
        show.expect(
            got, gradient, f"k = {k:g}: weight times residual, against the robust gradient", within=1e-4
        )


show.check(check_robust_weight, robust_weight)


# %% hint
# Differentiate both energies by $r$, with $x = r^2$.


# %% hint
# The robust one has the slope $r / (1 + r^2/k^2)$, the weighted one $w\,r$.


# %% mistakes
def root_of_the_weight(x, k):
    return (1 / (1 + x / k**2)).sqrt()


def k_not_squared(x, k):
    return 1 / (1 + x / k)


# %% exercise: How well is the nose known? (easy, 5 minutes)
# Write `coordinate_sigma(basis, covariance)`: the standard deviations (3,) in mm of the three coordinates of one vertex, from
# its basis (3, K) in mm per standard deviation and the covariance (K, K) of the coefficients. The check compares it with many
# samples, at the tip of the nose.

# %% given
model = load("open", level=0)
basis = model.shape_basis[model.landmarks[30]] * model.shape_std  # (3, 99) mm per standard deviation
rows = torch.randn(150, 99, generator=torch.Generator().manual_seed(0))
covariance = torch.linalg.inv(torch.eye(99) + 0.2 * rows.T @ rows)  # as of a fit that saw 150 numbers


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
        "two coefficients, one axis each, σ = 1",
    )
    together = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    show.expect(
        coordinate_sigma(torch.ones(3, 2), together),
        torch.full((3,), 2.0),
        "two that vary together: they add up",
    )
    draws = torch.distributions.MultivariateNormal(torch.zeros(99), covariance)
    torch.manual_seed(0)
    expected = (draws.sample((20000,)) @ basis.T).std(0)
    got = coordinate_sigma(basis, covariance)
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
