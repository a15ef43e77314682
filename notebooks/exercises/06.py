# Exercises of notebook 06. `make notebooks` writes its stubs, checks and folded solutions from here.

# %% given
import torch

from helpers import show
from helpers.regression import asymmetric_euclidean_loss

# %% exercise: The slope of the asymmetric loss (easy, 10 minutes)
# Write `slope`: the derivative of the loss by each prediction, for predictions and targets (K,), weights `over` and `under`. Take
# sign(0) as +1. At the target itself it is 0.


# %% solution
def slope(prediction, target, over, under):
    ### BEGIN SOLUTION (K,)
    sign = torch.where(target < 0, -1.0, 1.0)
    beyond = sign * prediction > sign * target
    return 2 * torch.where(beyond, over, under) * (prediction - target)
    ### END SOLUTION


# %% check
def check_slope(slope):
    one = torch.ones(1)
    show.expect(slope(2 * one, one, 1.0, 3.0), 2 * one, "target 1, prediction 2: too far")
    show.expect(slope(0 * one, one, 1.0, 3.0), -6 * one, "target 1, prediction 0: too short")
    show.expect(
        slope(0 * one, -one, 1.0, 3.0), 6 * one, "target −1, prediction 0: too short, on the other side"
    )
    show.expect(slope(one, one, 1.0, 3.0), 0 * one, "at the target")
    show.expect(slope(-one, 0 * one, 1.0, 3.0), -6 * one, "target 0, prediction −1")
    g = torch.Generator().manual_seed(0)
    guess, target = torch.randn(40, generator=g, requires_grad=True), torch.randn(40, generator=g)
    (expected,) = torch.autograd.grad(asymmetric_euclidean_loss(guess[None], target[None], 1.0, 5.0), guess)
    show.expect(slope(guess.detach(), target, 1.0, 5.0), expected, "40 numbers, weights 1 and 5", within=1e-4)


show.check(check_slope, slope)


# %% mistakes
def sign_forgotten(prediction, target, over, under):
    return 2 * torch.where(prediction > target, over, under) * (prediction - target)


def weights_exchanged(prediction, target, over, under):
    sign = torch.where(target < 0, -1.0, 1.0)
    return 2 * torch.where(sign * prediction > sign * target, under, over) * (prediction - target)


# %% exercise: How much is explained (medium, 10 minutes)
# A network trained with the squared error predicts $f(x) = \mathbb{E}[\gamma \mid x]$. Write `explained`: from predictions and targets
# (N,) with mean 0, the part $1 - v$ of the targets' variance that is explained, and the magnitude $\sqrt{1-v}$ that the
# predictions should then have compared with the targets. If the error is larger than the targets, nothing is explained: 0 and 0.


# %% solution
def explained(prediction, target):
    ### BEGIN SOLUTION two numbers
    part = 1 - (prediction - target).square().mean() / target.square().mean()
    part = part.clamp(min=0)
    return float(part), float(part.sqrt())
    ### END SOLUTION


# %% check
def check_explained(explained):
    g = torch.Generator().manual_seed(1)
    target = torch.randn(100_000, generator=g)
    seen = target + torch.randn(100_000, generator=g)
    show.expect(explained(seen / 2, target), (0.5, 0.5**0.5), "noise as strong as the signal", within=0.02)
    show.expect(explained(target, target), (1.0, 1.0), "predictions without error")
    show.expect(explained(-target, target), (0.0, 0.0), "predictions on the wrong side")


show.check(check_explained, explained)


# %% mistakes
def not_clamped(prediction, target):
    part = 1 - (prediction - target).square().mean() / target.square().mean()
    return float(part), float(part.abs().sqrt())


def unexplained(prediction, target):
    part = ((prediction - target).square().mean() / target.square().mean()).clamp(max=1)
    return float(part), float(part.sqrt())


# %% exercise: Hold out people, not pictures (medium, 15 minutes)
# Write `split`: from the person of each picture, whole numbers (N,) in any order, and how many people to hold out, return two bool
# tensors (N,): the pictures to train on, and those to validate on. Every picture is in one of them; nobody is in both. Hold out the
# people with the largest numbers.


# %% solution
def split(person, held_out):
    ### BEGIN SOLUTION two bool tensors (N,)
    people = person.unique()
    aside = torch.isin(person, people[len(people) - held_out :])
    return ~aside, aside
    ### END SOLUTION


# %% check
def check_split(split):
    person = torch.tensor([3, 7, 3, 9, 7, 1, 9, 9])
    show.expect(split(person, 2), (person < 5, person > 5), "people 1, 3, 7, 9, two held out")
    show.expect(split(person, 0), (person > 0, person < 0), "nobody held out")
    show.expect(split(person, 4), (person < 0, person > 0), "everybody held out")


show.check(check_split, split)


# %% mistakes
def by_picture(person, held_out):
    aside = torch.arange(len(person)) >= len(person) - held_out
    return ~aside, aside


def numbered_without_gaps(person, held_out):
    aside = person >= len(person.unique()) - held_out
    return ~aside, aside
