# Exercises of notebook 05. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: How much is shared? (medium, 20 minutes) after "Theory: what an average removes"
# You measured the mean square error $e_n$ of averages of $n$ photographs, for some $n$ (a list `counts`). By theory
# $e_n = \lVert b \rVert^2 + \sigma_\text{own}^2/n$. Return $\lVert b \rVert^2$ and $\sigma_\text{own}^2$ by least squares over all
# counts. Then you can say how good a label can get, before you have taken another photograph.


# %% given
import torch

from helpers import show


# %% solution
def shared_and_own(counts, squares):
    """(‖b‖², σ_own²) from mean square errors (N,) of averages of counts (N,) photographs."""
    ### BEGIN SOLUTION two numbers
    A = torch.stack([torch.ones(len(counts)), 1 / torch.tensor(counts, dtype=torch.float32)], 1)
    squares = torch.as_tensor(squares, dtype=torch.float32)[:, None]
    return tuple(torch.linalg.lstsq(A, squares).solution[:, 0].tolist())
    ### END SOLUTION


# %% check
def check_shared_and_own(shared_and_own):
    show.expect(shared_and_own([1, 2], [5.0, 3.0]), (1.0, 4.0), "two counts: exactly solved", within=1e-4)
    flat = shared_and_own([1, 4, 9], [2.0, 2.0, 2.0])
    show.expect(flat, (2.0, 0.0), "more photographs do not help: all is shared", within=1e-4)
    show.expect(
        shared_and_own([1, 2, 4], [5.0, 4.0, 2.0]),
        (1.5, 3.714286),
        "three counts that lie on no line: the least sum of squares, with all three",
        within=1e-3,
    )
    g = torch.Generator().manual_seed(0)
    counts, b = [1, 2, 4, 8, 16], torch.full((50,), 0.2)
    squares = [
        float((b + torch.randn(4000, n, 50, generator=g).mean(1)).square().sum(1).mean()) for n in counts
    ]
    show.expect(
        shared_and_own(counts, squares),
        (2.0, 50.0),
        "50 numbers, each with b = 0.2 and σ_own = 1, simulated",
        within=0.5,
    )


show.check(check_shared_and_own, shared_and_own)


# %% hint
# In $1/n$ the formula is a straight line. What are its slope and its value at 0?


# %% hint
# `lstsq` with the columns 1 and $1/n$, a row for each count.


# %% why
# $e_n$ is a straight line in $1/n$; where it meets the axis is the error of infinitely many photographs.


# %% mistakes
def line_in_n(counts, squares):
    A = torch.stack([torch.ones(len(counts)), torch.tensor(counts, dtype=torch.float32)], 1)
    return tuple(torch.linalg.lstsq(A, torch.tensor(squares)[:, None]).solution[:, 0].tolist())


def last_is_all(counts, squares):
    return squares[-1], squares[0] - squares[-1]


def through_both_ends(counts, squares):
    own = (squares[0] - squares[-1]) / (1 / counts[0] - 1 / counts[-1])
    return squares[0] - own / counts[0], own


def roots_returned(counts, squares):
    A = torch.stack([torch.ones(len(counts)), 1 / torch.tensor(counts, dtype=torch.float32)], 1)
    return tuple(torch.linalg.lstsq(A, torch.tensor(squares)[:, None]).solution[:, 0].abs().sqrt().tolist())


# %% exercise: Your own label (easy, 10 minutes) after "Pool one person"
# Write `own_label(alpha, confidence)`: one label (K,) of one person from the fits (n, K) of all photographs and the confidences (n,) of their
# detections, as in the paper: their mean, weighted by confidence. A confidence that is missing (nan) counts as 0. A fit that counts 0 may
# have failed, and its numbers be nan: they must not reach the label. If all confidences are 0 or missing, all photographs count alike.

# %% link
# Continues your fit (04), which makes the rows of `alpha`. Your loss (06) compares a guess with such labels.

# %% given
import torch

from helpers import show


# %% solution
def own_label(alpha, confidence):
    """(K,), the mean of the rows of alpha by the weights confidence."""
    ### BEGIN SOLUTION (K,)
    c = torch.nan_to_num(confidence, nan=0.0)
    if c.sum() == 0:
        c = torch.ones_like(c)
    counts = c > 0
    w = c[counts] / c[counts].sum()
    return w @ alpha[counts]
    ### END SOLUTION


# %% check
def check_own_label(own_label):
    nan = float("nan")
    two, four = torch.tensor([[0.0, 8.0], [4.0, 0.0]]), torch.tensor([[1.0], [2.0], [3.0], [6.0]])
    show.expect(own_label(two, torch.tensor([1.0, 3.0])), torch.tensor([3.0, 2.0]), "confidences 1 and 3")
    show.expect(own_label(two[:1], torch.tensor([0.2])), two[0], "one photograph: its own fit")
    some = own_label(four, torch.tensor([nan, 0.5, 0.5, 0.0]))
    show.expect(some, torch.tensor([2.5]), "one confidence is missing, one is 0")
    show.expect(own_label(four, torch.zeros(4)), torch.tensor([3.0]), "all confidences are 0: all alike")
    show.expect(
        own_label(two, torch.tensor([nan, nan])), torch.tensor([2.0, 4.0]), "all are missing: all alike"
    )
    mixed = own_label(four[:3], torch.tensor([nan, 0.0, 0.0]))
    show.expect(mixed, torch.tensor([2.0]), "one is missing, the others are 0: all alike")
    failed = torch.tensor([[nan, nan], [4.0, 0.0], [2.0, 2.0]])
    got = own_label(failed, torch.tensor([0.0, 0.5, 0.5]))
    show.expect(got, torch.tensor([3.0, 1.0]), "a failed fit with confidence 0")
    show.expect(
        own_label(failed, torch.tensor([nan, 0.9, 0.1])), torch.tensor([3.8, 0.2]), "a failed fit without one"
    )


show.check(check_own_label, own_label)


# %% hint
# First the missing confidences, then the case that all are 0, then the mean.


# %% hint
# `torch.nan_to_num(confidence, nan=0.0)`. And 0 times nan is nan: leave rows out, rather than multiply them by 0.


# %% why
# A person without any confidence still needs a label. A division by zero would give nan, and nan spreads. The function of the notebook above,
# `pooled_by_hand`, has neither case.


# %% mistakes
def _mean(alpha, confidence, missing=0.0):
    c = torch.nan_to_num(confidence, nan=missing)
    c = torch.ones_like(c) if c.sum() == 0 else c
    return c / c.sum() @ alpha


def drops_the_missing_first(alpha, confidence):
    there = confidence.isfinite()
    if not there.any():
        return alpha.mean(0)
    c = confidence[there]
    c = torch.ones_like(c) if c.sum() == 0 else c
    return (c / c.sum())[c > 0] @ alpha[there][c > 0]


def not_normalised(alpha, confidence):
    return torch.nan_to_num(confidence, nan=0.0) @ alpha


def divides_by_zero(alpha, confidence):
    c = torch.nan_to_num(confidence, nan=0.0)
    return c / c.sum() @ alpha


def forgets_the_missing(alpha, confidence):
    c = torch.ones_like(confidence) if confidence.sum() == 0 else confidence
    return c / c.sum() @ alpha


def missing_count_whole(alpha, confidence):
    return _mean(alpha, confidence, missing=1.0)


def zero_times_nan(alpha, confidence):
    return _mean(alpha, confidence)


def plain_mean_of_good_ones(alpha, confidence):
    good = torch.nan_to_num(confidence, nan=0.0) > 0
    return alpha[good].mean(0) if good.any() else alpha.mean(0)


# %% exercise: The prior, once (medium, 15 minutes) after "Precision: the best rule, if its assumption holds"
# Write `product(mean, variance)`: the mean (K,) of the product of $n$ posteriors of one person, from their means (n, K) and the
# variances (n, K) of each number on its own. Every posterior holds the prior $N(0, 1)$; the product must hold it once.


# %% given
import torch

from helpers import show


# %% solution
def product(mean, variance):
    """(K,) from n normal posteriors with means and variances (n, K)."""
    ### BEGIN SOLUTION (K,)
    precision = 1 / variance
    return (precision * mean).sum(0) / (precision.sum(0) - (len(mean) - 1))
    ### END SOLUTION


# %% check
def check_product(product):
    one = torch.tensor([[0.4, -2.0]])
    show.expect(product(one, torch.tensor([[0.5, 0.1]])), one[0], "one photograph: its own mean")
    show.expect(
        product(torch.zeros(5, 3), torch.ones(5, 3)), torch.zeros(3), "five that know no more than the prior"
    )
    # Measurements y with variance v, of a truth with the prior N(0, 1): one fit of all at once is right.
    g = torch.Generator().manual_seed(0)
    v = 0.2 + torch.rand(6, 40, generator=g)
    y = torch.randn(40, generator=g) + v.sqrt() * torch.randn(6, 40, generator=g)
    alone = (y / v) / (1 / v + 1), 1 / (1 / v + 1)
    together = (y / v).sum(0) / ((1 / v).sum(0) + 1)
    show.expect(
        product(*alone),
        together,
        "six measurements, fitted alone and then pooled, against all at once",
        within=1e-4,
    )


show.check(check_product, product)


# %% hint
# Each precision, 1 / variance, is that of a measurement plus 1 for the prior. How often is the prior in their
# sum?


# %% hint
# The mean is a weighted one, with the precisions as weights. In the denominator take off the priors that are
# too many.


# %% why
# Each precision is $1/v_i + 1$. Their sum holds the prior's 1 $n$ times, so $n - 1$ of them are taken off. The numerator is right as it is,
# since the prior's mean is 0.


# %% mistakes
def prior_every_time(mean, variance):
    return (mean / variance).sum(0) / (1 / variance).sum(0)


def plain_mean(mean, variance):
    return mean.mean(0)
