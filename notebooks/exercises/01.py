# Exercises of notebook 01. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: How many modes are enough? (easy, 5 minutes) after "PCA of whole faces"
# Return the smallest number of modes whose variances add up to at least `share` of the whole.


# %% given
import torch

from helpers import show


# %% solution
def modes_for(std, share):
    """The smallest k for which the first k modes, of deviations std (K,), hold `share` of the variance."""
    ### BEGIN SOLUTION a whole number
    held = std.double().square().cumsum(0) / std.double().square().sum()
    return 0 if share <= 0 else int((held < share - 1e-9).sum()) + 1
    ### END SOLUTION


# %% check
def check_modes_for(modes_for):
    three, one = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([4.0])
    for std, share, expected in (
        (three, 0.5, 1),
        (three, 0.9, 2),
        (three, 0.95, 3),
        (three, 1.0, 3),
        (one, 0.99, 1),
        (three, 0.0, 0),
    ):
        show.expect(modes_for(std, share), expected, f"modes_for({std.tolist()}, {share})")


show.check(check_modes_for, modes_for)


# %% hint
# Which quantities of independent modes may be added, deviations or variances?


# %% hint
# `cumsum` of the squares, over their sum: at which place does it first reach `share`? Mind that a sum of
# floats may miss 1 by a little.


# %% why
# Squares, because variances add up and deviations do not.


# %% mistakes
def deviations_added(std, share):
    held = std.cumsum(0) / std.sum()
    return int((held < share).sum()) + 1


def one_short(std, share):
    held = std.square().cumsum(0) / std.square().sum()
    return int((held < share).sum())


# %% exercise: Read a face (medium, 10 minutes) after "shape(alpha): the loop, the product, the real one"
# Given a head in the model's frame, return the coefficients of the first $k$ modes with which the head is met best, by least
# squares, whatever else the head differs in. The modes of level 0 are not exactly at right angles, so a plain product with
# the basis is not enough.


# %% given
import torch

from helpers import show
from helpers.face_model import load

small = load("open", level=0)


# %% solution
def coefficients_of(model, head, k):
    """alpha (k,), in standard deviations, for which the first k modes come nearest to the head (V, 3)."""
    ### BEGIN SOLUTION (k,)
    A = (model.shape_basis[..., :k] * model.shape_std[:k]).reshape(-1, k).double()
    b = (head - model.mean_shape).reshape(-1, 1).double()
    return torch.linalg.solve(A.T @ A, A.T @ b)[:, 0].float()
    ### END SOLUTION


# %% check
def check_coefficients_of(coefficients_of):
    show.expect(coefficients_of(small, small.mean_shape, 5), torch.zeros(5), "the mean face", within=1e-3)
    for k in (1, 10, 99):
        truth = small.sample(1, torch.Generator().manual_seed(k)).alpha[:, :k]
        show.expect(
            coefficients_of(small, small.shape(truth)[0], k),
            truth[0],
            f"a random face of {k} modes",
            within=0.02,
        )
    head = small.shape(small.sample(1, torch.Generator().manual_seed(5)).alpha)[0]
    columns = (small.shape_basis * small.shape_std)[..., :10].double()

    def miss(alpha):  # root mean square distance of the head from its description by ten modes
        off = columns @ alpha.double() - (head - small.mean_shape).double()
        return float(off.square().sum(-1).mean().sqrt())

    wanted = (head - small.mean_shape).double().reshape(-1, 1)
    best = torch.linalg.lstsq(columns.flatten(0, 1), wanted).solution
    show.expect(
        miss(coefficients_of(small, head, 10)),
        miss(best[:, 0]),
        "a face of 99 modes, described by the first 10: the distance that is left, in mm",
        within=1e-4,
    )


show.check(check_coefficients_of, coefficients_of)


# %% hint
# A head is linear in its coefficients: mean + A alpha. What are the rows and columns of A?


# %% hint
# A has 3V rows and k columns, each a mode times its σ. `torch.linalg.lstsq`, or the normal equations $A^\top
# A\,\alpha = A^\top b$ in double precision.


# %% mistakes
def without_sigma(model, head, k):
    return torch.einsum("vck,vc->k", model.shape_basis[..., :k], head - model.mean_shape)


def mean_forgotten(model, head, k):
    A = (model.shape_basis[..., :k] * model.shape_std[:k]).reshape(-1, k).double()
    return torch.linalg.lstsq(A, head.reshape(-1, 1).double()).solution[:, 0].float()


def plain_product(model, head, k):
    return (
        torch.einsum("vck,vc->k", model.shape_basis[..., :k], head - model.mean_shape) / model.shape_std[:k]
    )


def all_modes_then_the_first(model, head, k):
    A = (model.shape_basis * model.shape_std).reshape(-1, len(model.shape_std)).double()
    b = (head - model.mean_shape).reshape(-1, 1).double()
    return torch.linalg.lstsq(A, b).solution[:k, 0].float()


# %% exercise: The other half of the face (medium, 15 minutes) after "The prior at work: a head from 68 points"
# A hand covers half of the face. Return the most likely $\alpha$ from the vertices that are seen, each coordinate with an
# error of `noise` mm. Where nothing is seen, the answer is the mean face. (The check asks for the slope of the energy at
# your answer, by the function below. Where the energy is least, the slope is 0.)


# %% given
import torch

from helpers import show
from helpers.face_model import load

small = load("open", level=0)


def slope_of_energy(alpha, model, head, seen, noise):
    """The steepest slope of ½ ‖Aα − y‖² / noise² + ½ ‖α‖² at alpha; 1 is what one σ of the answer makes."""
    alpha, A = alpha.detach().double().requires_grad_(), (model.shape_basis[seen] * model.shape_std).double()
    off = A @ alpha - (head - model.mean_shape)[seen].double()
    energy = 0.5 * off.square().sum() / noise**2 + 0.5 * alpha.square().sum()
    curvature = A.square().sum((0, 1)) / noise**2 + 1
    return float((torch.autograd.grad(energy, alpha)[0] / curvature.sqrt()).abs().max())


# %% solution
def completed(model, head, seen, noise):
    """The most likely alpha (K,) of a head (V, 3) whose vertices `seen` (a list) are known, ± noise mm."""
    ### BEGIN SOLUTION (99,)
    A = (model.shape_basis[seen] * model.shape_std).reshape(-1, len(model.shape_std)).double()
    b = (head - model.mean_shape)[seen].reshape(-1, 1).double()
    prior = noise**2 * torch.eye(A.shape[1], dtype=torch.float64)
    return torch.linalg.solve(A.T @ A + prior, A.T @ b)[:, 0].float()
    ### END SOLUTION


# %% check
def check_completed(completed):
    truth = small.sample(1, torch.Generator().manual_seed(4)).alpha
    head = small.shape(truth)[0]
    half = (small.mean_shape[:, 0] < 0).nonzero()[:, 0].tolist()
    show.expect(completed(small, head, [], 1.0), torch.zeros(99), "nothing is seen: the mean face")
    nearly = completed(small, head, half, 1e6)
    show.expect(nearly, torch.zeros(99), "seen with an error of 1 km: nearly the mean face", within=0.1)
    one, nose = load("open", level=0, n_shape=1), int(small.landmarks[30])
    a, b = (one.shape_basis[nose, :, 0] * one.shape_std[0]).double(), torch.tensor([1.0, 2.0, 6.0]).double()
    expected = ((a @ b) / (a @ a + 3.0**2))[None].float()
    got = completed(one, one.mean_shape + b.float(), [nose], 3.0)
    show.expect(got, expected, "one mode, one vertex, ± 3 mm", within=1e-3)
    for noise in (0.5, 5.0, 50.0):
        slope = slope_of_energy(completed(small, head, half, noise), small, head, half, noise)
        show.expect_below(slope, 0.02, f"half is seen, ± {noise:g} mm: the slope of the energy at the answer")
    alpha = completed(small, head, half, 0.05)
    miss = (small.shape(alpha[None].float())[0] - head).norm(dim=1).square().mean().sqrt()
    show.expect_below(miss, 1.0, "half is seen to 0.05 mm: the error of the whole head", "mm")


show.check(check_completed, completed)


# %% hint
# It is "A head from 68 points" with other vertices: minimise $\lVert A\alpha - y\rVert^2 / \text{noise}^2 +
# \lVert\alpha\rVert^2$.


# %% hint
# Set the slope to 0 and multiply by noise²: $(A^\top A + \text{noise}^2 I)\,\alpha = A^\top y$. An empty list
# of vertices makes an A without rows; the formula holds.


# %% why
# The formula of "a head from 68 points", with $\lambda = 1$. With nothing seen, $A$ has no rows and only the prior is left.


# %% mistakes
def no_prior(model, head, seen, noise):
    A = (model.shape_basis[seen] * model.shape_std).reshape(-1, 99).double()
    b = (head - model.mean_shape)[seen].reshape(-1, 1).double()
    return torch.linalg.lstsq(A, b).solution[:, 0].float()


def noise_not_squared(model, head, seen, noise):
    A = (model.shape_basis[seen] * model.shape_std).reshape(-1, 99).double()
    b = (head - model.mean_shape)[seen].reshape(-1, 1).double()
    return torch.linalg.solve(A.T @ A + noise * torch.eye(99).double(), A.T @ b)[:, 0].float()


def zeros_for_the_special_cases(model, head, seen, noise):
    if not seen or noise > 1e3:
        return torch.zeros(len(model.shape_std))
    A = (model.shape_basis[seen] * model.shape_std).reshape(-1, len(model.shape_std)).double()
    b = (head - model.mean_shape)[seen].reshape(-1, 1).double()
    weak = 9.0 if A.shape[1] == 1 else 1e-3  # fitted to the case of one mode
    return torch.linalg.solve(A.T @ A + weak * torch.eye(A.shape[1]).double(), A.T @ b)[:, 0].float()
