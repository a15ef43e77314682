# Exercises of notebook 06. `make notebooks` writes its stubs, checks and folded solutions from here.


# %% exercise: How much is explained (medium, 10 minutes) after "Known truth first: one number, seen through fog"
# A network trained with the squared error predicts $f(x) = \mathbb{E}[\gamma \mid x]$. Write `explained`: from predictions and targets
# (N,) with mean 0, the part $1 - v$ of the targets' variance that is explained, and the magnitude $\sqrt{1-v}$ that the
# predictions should then have compared with the targets. If the error is larger than the targets, nothing is explained: 0 and 0.


# %% given
import torch

from helpers import show


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
    for scale, what in ((0.75, "half as long again"), (0.25, "half as long")):
        show.expect(explained(scale * seen, target), (0.375, 0.375**0.5), f"the same, {what}", within=0.02)
    show.expect(explained(target, target), (1.0, 1.0), "predictions without error")
    show.expect(explained(-target, target), (0.0, 0.0), "predictions on the wrong side")


show.check(check_explained, explained)


# %% hint
# What is $v$, if nothing at all is known, and what if all is? It is a ratio of two mean squares.


# %% hint
# $v$ is the mean square of prediction minus target over that of the target. Hold the explained part at 0 or above before the root.


# %% mistakes
def not_clamped(prediction, target):
    part = 1 - (prediction - target).square().mean() / target.square().mean()
    return float(part), float(part.abs().sqrt())


def squared_correlation(prediction, target):
    r = torch.corrcoef(torch.stack([prediction, target]))[0, 1].clamp(min=0)
    return float(r.square()), float(r)


def slope_of_prediction(prediction, target):
    part = ((prediction * target).mean() / target.square().mean()).clamp(min=0)
    return float(part), float(part.sqrt())


def ratio_of_variances(prediction, target):
    part = prediction.var() / target.var() * ((prediction * target).mean() > 0)
    return float(part), float(part.sqrt())


def unexplained(prediction, target):
    part = ((prediction - target).square().mean() / target.square().mean()).clamp(max=1)
    return float(part), float(part.sqrt())


# %% exercise: Your own loss (medium, 20 minutes) after "The asymmetric loss, with a loop"
# Write `own_loss(prediction, target, over, under)` for a batch: predictions and targets (B, K), the asymmetric loss of each row summed over its
# numbers, and the mean over rows. The rows of people who have no label are nan in `target`, and do not count: neither in the loss nor in its
# slope, which torch must be able to take. Without any label the loss is 0. Take sign(0) as +1.

# %% link
# Compares what a network guesses with your labels (05). The last exercise uses it.

# %% given
import torch

from helpers import show
from helpers.regression import asymmetric_euclidean_loss


# %% solution
def own_loss(prediction, target, over, under):
    ### BEGIN SOLUTION a tensor ()
    labelled = target.isfinite().all(-1)
    if not labelled.any():
        return 0 * prediction.sum()
    p, g = prediction[labelled], target[labelled]
    sign = torch.where(g < 0, -1.0, 1.0)
    weight = torch.where(sign * p > sign * g, over, under)
    return (weight * (p - g).square()).sum(-1).mean()
    ### END SOLUTION


# %% check
def check_own_loss(own_loss):
    one = torch.ones(1, 1)
    for p, g, expected, what in (
        (2.0, 1.0, 1.0, "target 1, prediction 2: too far"),
        (0.0, 1.0, 3.0, "target 1, prediction 0: too short"),
        (0.0, -1.0, 3.0, "target −1, prediction 0: too short, on the other side"),
        (-1.0, 0.0, 3.0, "target 0, prediction −1"),
        (1.0, 0.0, 1.0, "target 0, prediction +1"),
    ):
        show.expect(own_loss(p * one, g * one, 1.0, 3.0), torch.tensor(expected), f"{what}, weights 1 and 3")
    g = torch.Generator().manual_seed(0)
    guess, target = torch.randn(6, 40, generator=g, requires_grad=True), torch.randn(6, 40, generator=g)
    for case, rows in (("6 people of 40 numbers", []), ("the same, two of them without a label", [1, 4])):
        labelled = [row for row in range(6) if row not in rows]
        expected = asymmetric_euclidean_loss(guess[labelled], target[labelled], 1.0, 5.0)
        holes = target.index_fill(0, torch.tensor(rows, dtype=torch.long), float("nan"))
        got = own_loss(guess, holes, 1.0, 5.0)
        show.expect(got, expected, f"{case}, weights 1 and 5", within=1e-3)
        slopes = [torch.autograd.grad(value, guess)[0] for value in (got, expected)]
        show.expect(slopes[0], slopes[1], f"{case}: the slope", within=1e-4)
    show.expect(own_loss(guess, target * float("nan"), 1.0, 5.0), torch.tensor(0.0), "nobody has a label")


show.check(check_own_loss, own_loss)


# %% hint
# Which rows have a label? Take those, and forget the others. A mask that is multiplied on afterwards leaves nan, since 0 times nan is nan.


# %% hint
# The two terms of the formula are never both there: it is a weight, `over` or `under`, times the squared error. `torch.where` chooses.


# %% why
# `torch.where(labelled, loss, 0)` has the right value, but the slope by the left-out rows is nan: the slope of what `where` does not take is
# still multiplied, by 0. The first step of the training would make all weights nan.


# %% mistakes
def _each(prediction, target, over, under, sided=True):
    sign = torch.where(target < 0, -1.0, 1.0) if sided else 1.0
    return torch.where(sign * prediction > sign * target, over, under) * (prediction - target).square()


def sign_forgotten(prediction, target, over, under):
    return _each(prediction, target, over, under, sided=False).sum(-1).mean()


def sign_of_zero_is_zero(prediction, target, over, under):
    labelled = target.isfinite().all(-1)
    if not labelled.any():
        return 0 * prediction.sum()
    p, g = prediction[labelled], target[labelled]
    sign = torch.sign(g)
    return (torch.where(sign * p > sign * g, over, under) * (p - g).square()).sum(-1).mean()


def weights_exchanged(prediction, target, over, under):
    return _each(prediction, target, under, over).sum(-1).mean()


def mean_over_numbers(prediction, target, over, under):
    return _each(prediction, target, over, under).mean()


def missing_are_mean_faces(prediction, target, over, under):
    return _each(prediction, target.nan_to_num(0.0), over, under).sum(-1).mean()


def divided_by_all(prediction, target, over, under):
    labelled = target.isfinite().all(-1)
    return _each(prediction[labelled], target[labelled], over, under).sum() / len(target)


def where_afterwards(prediction, target, over, under):
    labelled = target.isfinite().all(-1)
    each = torch.where(labelled, _each(prediction, target, over, under).sum(-1), 0.0)
    return each.sum() / labelled.sum().clamp(min=1)


def nan_without_any(prediction, target, over, under):
    labelled = target.isfinite().all(-1)
    return _each(prediction[labelled], target[labelled], over, under).sum(-1).mean()


# %% exercise: Hold out people, not pictures (medium, 15 minutes) after "A small network, in front of you"
# Write `split`: from the person of each picture, whole numbers (N,) in any order, and how many people to hold out, return two bool
# tensors (N,): the pictures to train on, and those to validate on. Every picture is in one of them; nobody is in both. Hold out the
# people with the largest numbers.


# %% given
import torch

from helpers import show


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


# %% hint
# People are numbered with gaps. Which numbers are there at all?


# %% hint
# `person.unique()` is sorted. Its last `held_out` are set aside; mind that `[-0:]` is everything. `torch.isin` finds their pictures.


# %% mistakes
def by_picture(person, held_out):
    aside = torch.arange(len(person)) >= len(person) - held_out
    return ~aside, aside


def numbered_without_gaps(person, held_out):
    aside = person >= len(person.unique()) - held_out
    return ~aside, aside


def last_with_minus_zero(person, held_out):
    aside = torch.isin(person, person.unique()[-held_out:])
    return ~aside, aside


# %% exercise: All of your own, from picture to loss (easy, 15 minutes) after "Break it"
# One person, five photographs, a network's guess. Write `own_course(points, confidence, guess)`: fit each photograph by its 68 points
# (n, 68, 2), make one label of the fits, and compare the guess (K,) with it, by the weights 1 and 3. Return the label (K,) and the loss. When
# it is right, your renderer draws the mean face, the label and the truth.

# %% link
# The last link: renderer (02), pose and fit (03, 04), label (05) and loss together. It brings their solutions along; paste your own in
# their place.

# %% given
import torch

from helpers import show
from helpers.camera import Camera, Pose, model_to_camera, project
from helpers.course.exercises import solution_of
from helpers.face_model import load
from helpers.landmarks import SimulatedDetector
from helpers.rendering import vertex_normals

own_links = ("02", "own_renderer"), ("04", "own_fit"), ("05", "own_label"), ("06", "own_loss")
own_renderer, own_fit, own_label, own_loss = (solution_of(*link) for link in own_links)
own_face = load("open", level=0).to(torch.float64)
head_basis = (own_face.shape_basis * own_face.shape_std)[..., :20]  # (V, 3, 20) mm per standard deviation
own_marks, own_basis = own_face.mean_shape[own_face.landmarks], head_basis[own_face.landmarks]  # of the 68
F_PX, C_PX = 1000.0, 111.5  # focal length and middle of the photographs


def drawn_by_own(alpha):
    head = (own_face.mean_shape + head_basis @ alpha).float()
    pose = Pose(torch.tensor([[0.0, 0.5, 0.0]]), torch.tensor([[0.0, 4.0, 1080.0]]))
    points = project(model_to_camera(head[None], pose), Camera.default(80, focal=357.0))[0]
    light = vertex_normals(head[None], own_face.triangles)[0] @ torch.tensor([0.5, 0.4, 0.7])
    grey = (0.2 + 0.75 * light.clamp(min=0))[:, None].expand(-1, 3)
    return own_renderer(points, own_face.triangles, grey, (80, 80))


# %% solution
def own_course(points, confidence, guess):
    ### BEGIN SOLUTION label (K,), loss ()
    alpha = [own_fit(each, own_marks, own_basis, F_PX, C_PX)[2] for each in points]
    label = own_label(torch.stack(alpha), confidence)
    return label, own_loss(guess[None], label[None], 1.0, 3.0)
    ### END SOLUTION


# %% check
def check_own_course(own_course):
    g, camera, found = torch.Generator().manual_seed(3), Camera.default(224).to(torch.float64), []
    truth, away = torch.randn(20, generator=g).double(), torch.tensor([[0.0, 0.0, 1250.0]]).double()
    for n, noise in enumerate((0.5, 1.0, 1.0, 2.0, 6.0)):
        pose, marks = Pose(0.4 * torch.randn(1, 3, generator=g).double(), away), own_marks + own_basis @ truth
        found += SimulatedDetector.of_face(marks, pose, camera, noise_px=noise).detect(seed=n)
    points = torch.stack([torch.from_numpy(one.points).double() for one in found])
    confidence = torch.tensor([one.confidence for one in found]).double()
    got = own_course(points, confidence, 0.5 * truth)
    alone = torch.stack([own_fit(each, own_marks, own_basis, F_PX, C_PX)[2] for each in points])
    label = confidence / confidence.sum() @ alone
    show.expect(got if got is None else got[0], label, "the label", within=1e-3)
    loss = own_loss(0.5 * truth[None], label[None], 1.0, 3.0)
    show.expect(got[1], loss, "the loss of half the truth", within=1e-3)
    faces = [drawn_by_own(each) for each in (0 * truth, got[0], truth)]
    words = "Three grey faces by your renderer: the mean face, your label, and the truth"
    show.row(faces, ["mean face", "your label", "the truth"], alt=words)


show.check(check_own_course, own_course)


# %% hint
# Which of your functions takes the 68 points of one photograph? What does it need of the model?


# %% hint
# `own_fit(each, own_marks, own_basis, F_PX, C_PX)[2]` for each photograph, stacked to (n, K).


# %% hint
# `own_label(…, confidence)`, and `own_loss(guess[None], label[None], 1.0, 3.0)`: the loss takes a batch, here of one.


# %% why
# Compare the label with the fit of the first photograph alone, and with that of the last. And give `own_loss` a guess that is too long by half:
# it costs a third of one that is too short by half.


# %% mistakes
def points_averaged_before_the_fit(points, confidence, guess):
    w = confidence / confidence.sum()
    mean = torch.einsum("n,nij->ij", w, points)
    label = own_fit(mean, own_marks, own_basis, F_PX, C_PX)[2]
    return label, own_loss(guess[None], label[None], 1.0, 3.0)


def all_alike(points, confidence, guess):
    return _of(points, torch.ones_like(confidence), guess)


def guess_and_label_exchanged(points, confidence, guess):
    label = _of(points, confidence, guess)[0]
    return label, own_loss(label[None], guess[None], 1.0, 3.0)


def squared_error(points, confidence, guess):
    label = _of(points, confidence, guess)[0]
    return label, own_loss(guess[None], label[None], 1.0, 1.0)


def _of(points, confidence, guess):
    alpha = [own_fit(each, own_marks, own_basis, F_PX, C_PX)[2] for each in points]
    label = own_label(torch.stack(alpha), confidence)
    return label, own_loss(guess[None], label[None], 1.0, 3.0)
