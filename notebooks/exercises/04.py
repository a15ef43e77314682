# Exercises of notebook 04. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: Your own step (easy, 10 minutes) after "Theory: a sum of squares, and a prior"
# Write `own_step`: from residuals `r` (M,), Jacobian `J` (M, n), coefficients `x` (n,) with prior mean 0, and the prior's
# weight `lam`, one number or one for each coefficient (n,), return the step (n,).

# %% link
# Your fit, two exercises on, is made of such steps.


# %% given
import torch

from helpers import show


# %% solution
def own_step(r, J, x, lam):
    ### BEGIN SOLUTION (n,)
    H = J.T @ J + lam * torch.eye(len(x))
    return -torch.linalg.solve(H, J.T @ r + lam * x)
    ### END SOLUTION


# %% check
def check_own_step(own_step):
    one = torch.ones(1)
    show.expect(own_step(2 * one, one[None], 0 * one, 0.0), -2 * one, "r = 2, J = 1, x = 0, no prior")
    show.expect(own_step(0 * one, one[None], one, 1.0), -0.5 * one, "r = 0, J = 1, x = 1, prior of weight 1")
    g = torch.Generator().manual_seed(0)
    r, J, x = torch.randn(30, generator=g), torch.randn(30, 5, generator=g), torch.randn(5, generator=g)
    y = (x + own_step(r, J, x, 2.0)).detach().requires_grad_()
    left = torch.autograd.grad((r + J @ (y - x)).square().sum() / 2 + y.square().sum(), y)[0]
    show.expect_below(
        left.norm(), 1e-3, "30 residuals, 5 numbers, prior of weight 2: the gradient after the step"
    )
    none_on_the_last = torch.tensor([1.0, 2.0, 0.0])
    far = own_step(torch.ones(3), 2 * torch.eye(3), torch.ones(3), none_on_the_last)
    show.expect(
        far, torch.tensor([-0.6, -2 / 3, -0.5]), "priors of weight 1, 2 and 0, residuals 1, J = 2 I, x = 1"
    )
    nothing = own_step(torch.zeros(0), torch.zeros(0, 5), x, 1.0)
    show.expect(nothing, -x, "no residual at all: back to the mean")


show.check(check_own_step, own_step)


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


def one_weight_for_all(r, J, x, lam):
    lam = torch.as_tensor(lam, dtype=x.dtype).mean()
    return -torch.linalg.solve(J.T @ J + lam * torch.eye(len(x)), J.T @ r + lam * x)


def mean_not_zero(r, J, x, lam):
    return x - torch.linalg.solve(J.T @ J + lam * torch.eye(len(x)), J.T @ r + lam * x)


# %% exercise: The weight of an outlier (medium, 10 minutes) after "Landmarks alone"
# Cauchy's energy of a squared residual $x = r^2$ (in units of $\sigma^2$) is $\tfrac12 k^2 \ln(1 + x/k^2)$. Weighted least
# squares has the energy $\tfrac12 w\, r^2$, with a $w$ that is held while the step is computed. Write `robust_weight(x, k)`: the
# $w$ with which both have the same gradient in $r$. (The rows of this notebook carry its root, since residual and Jacobian are
# multiplied with each other. Asked is $w$ itself.)


# %% given
import torch

from helpers import show


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


# %% exercise: Your own fit (medium, 25 minutes) after "Landmarks alone"
# Write `own_fit(seen, mean, basis, f, c)`: from the 68 points (68, 2) of a photograph, the model's mean points (68, 3) mm and their
# basis (68, 3, K) mm per standard deviation, the rotation $R$ (3, 3), the translation $t$ (3,) and $\alpha$ (K,). Begin with the mean face
# and `own_pose`. Then take steps that change everything at once: a small turn (3), a shift (3) and $\alpha$ (K). `landmark_residuals` in the
# cell below gives the residuals after such a step, in units of $\sigma_j$ = 1.6 px. Its derivative at the step 0, by `torch.func.jacfwd`, is
# $J$. The prior is on $\alpha$, not on the pose. All numbers are float64.

# %% link
# Continues your pose (03) and your step. It brings their solutions along; paste your own in their place. Your label (05) is an average of
# such fits.

# %% given
import torch

from helpers import show
from helpers.camera import rotation_from_vector
from helpers.course.exercises import solution_of
from helpers.face_model import load

own_pose, own_step = solution_of("03", "own_pose"), solution_of("04", "own_step")
own_face, FLIP = load("open", level=0).to(torch.float64), torch.tensor([1.0, -1.0, -1.0]).double()


def landmark_residuals(step, R, t, alpha, seen, mean, basis, f, c):
    p = (mean + basis @ (alpha + step[6:])) @ (rotation_from_vector(step[:3]) @ R).T
    q = p * FLIP + t + step[3:6]
    return ((f * q[:, :2] / q[:, 2:] + c - seen) / 1.6).flatten()


def steepest(R, t, alpha, *rest):
    """Of the energy's slopes at an answer, by pose and by alpha; 1 is what one sigma of the answer makes."""
    nothing = torch.zeros(6 + len(alpha)).double()
    J = torch.func.jacfwd(landmark_residuals)(nothing, R, t, alpha, *rest)
    slope = J.T @ landmark_residuals(nothing, R, t, alpha, *rest) + torch.cat([nothing[:6], alpha])
    each = (slope / (J.square().sum(0) + 1).sqrt()).abs()
    return each[:6].max(), each[6:].max()


# %% solution
def own_fit(seen, mean, basis, f, c):
    ### BEGIN SOLUTION R (3, 3), t (3,), alpha (K,)
    R, t = own_pose(seen, mean, torch.ones(68).double(), f, c)
    alpha, nothing = torch.zeros(basis.shape[-1]).double(), torch.zeros(6 + basis.shape[-1]).double()
    only_alpha = torch.cat([torch.zeros(6), torch.ones(len(alpha))]).double()
    for _ in range(6):
        now = (R, t, alpha, seen, mean, basis, f, c)
        J = torch.func.jacfwd(landmark_residuals)(nothing, *now)
        x = torch.cat([torch.zeros(6).double(), alpha])
        step = own_step(landmark_residuals(nothing, *now), J, x, only_alpha)
        R, t, alpha = rotation_from_vector(step[:3]) @ R, t + step[3:6], alpha + step[6:]
    return R, t, alpha
    ### END SOLUTION


# %% check
def check_own_fit(own_fit):
    g, none = torch.Generator().manual_seed(0), torch.zeros(26).double()
    mean, basis = own_face.mean_shape, own_face.shape_basis * own_face.shape_std
    mean, basis = mean[own_face.landmarks], basis[own_face.landmarks][..., :20]
    R = rotation_from_vector(torch.tensor([-0.2, 0.4, 0.1]).double())
    t, nowhere = torch.tensor([10.0, -5.0, 1250.0]).double(), torch.zeros(68, 2).double()
    for what, spread, noise in (
        ("the mean face", 0, 0),
        ("a face", 1, 0),
        ("a face, noise of 1.6 px", 1, 1.6),
    ):
        alpha = spread * torch.randn(20, generator=g).double()
        seen = landmark_residuals(none, R, t, alpha, nowhere, mean, basis, 1000.0, 111.5).view(68, 2) * 1.6
        seen = seen + noise * torch.randn(68, 2, generator=g).double()
        got = own_fit(seen, mean, basis, 1000.0, 111.5)
        got = got if got is None else tuple(torch.as_tensor(part) for part in got)
        if spread == 0:
            show.expect(got, (R, t, alpha), f"{what}: R, t and alpha", within=1e-2)
        of_pose, of_alpha = steepest(*got, seen, mean, basis, 1000.0, 111.5)
        show.expect_below(of_pose, 0.01, f"{what}: the slope of the energy by the pose, in sigmas")
        show.expect_below(of_alpha, 0.01, f"{what}: the slope of the energy by alpha, in sigmas")


show.check(check_own_fit, own_fit)


# %% hint
# The pose has no prior. In `own_step` its six numbers get the weight 0, and for $x$ whatever you like, such as 0.


# %% hint
# `J = torch.func.jacfwd(landmark_residuals)(nothing, R, t, alpha, …)` with zeros for the step. The weights are six zeros and then ones.


# %% hint
# After a step: $R$ becomes `rotation_from_vector(step[:3]) @ R`, $t$ grows by `step[3:6]`, $\alpha$ by the rest. Six steps are enough.


# %% why
# The real fit does this for all photographs at once, with expression, robust weights and pixels. Depth and some of the shape look nearly
# alike from one side, so without the prior the steps run away.


# %% mistakes
def _fit(seen, mean, basis, f, c, steps=6, prior=1.0, pose=1.0, shrinks=True, turned_within=False):
    R, t = own_pose(seen, mean, torch.ones(68).double(), f, c)
    alpha, nothing = torch.zeros(basis.shape[-1]).double(), torch.zeros(6 + basis.shape[-1]).double()
    for _ in range(steps):
        now = (R, t, alpha, seen, mean, basis, f, c)
        J = torch.func.jacfwd(landmark_residuals)(nothing, *now)
        x = torch.cat([torch.zeros(6).double(), alpha * shrinks])
        weight = torch.cat([torch.zeros(6), prior * torch.ones(len(alpha))]).double()
        step = own_step(landmark_residuals(nothing, *now), J, x, weight)
        turn = rotation_from_vector(pose * step[:3])
        R, t, alpha = R @ turn if turned_within else turn @ R, t + pose * step[3:6], alpha + step[6:]
    return R, t, alpha


def pose_held(seen, mean, basis, f, c):
    return _fit(seen, mean, basis, f, c, pose=0.0)


def one_step(seen, mean, basis, f, c):
    return _fit(seen, mean, basis, f, c, steps=1)


def no_prior(seen, mean, basis, f, c):
    return _fit(seen, mean, basis, f, c, prior=0.0)


def every_step_from_the_mean(seen, mean, basis, f, c):
    return _fit(seen, mean, basis, f, c, shrinks=False)


def turned_in_the_model(seen, mean, basis, f, c):
    return _fit(seen, mean, basis, f, c, turned_within=True)
