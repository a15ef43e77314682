"""The asymmetric Euclidean loss: a guess that stays too near the mean face costs more than one that goes too far.

Faces lie about the mean face in all directions. A network that is unsure does well in the squared error by guessing
near 0, the mean face, which looks like everybody. Tran et al. (2017) split the error of each coefficient in two:

    γ⁺ = |γ|,   γ_p⁺ = sign(γ) · γ_p,   γ_max = max(γ⁺, γ_p⁺),
    L = λ_1 ‖γ⁺ − γ_max‖² + λ_2 ‖γ_p⁺ − γ_max‖²,

with γ the target and γ_p the prediction. Where the prediction goes too far, γ_max is γ_p⁺ and only the first term is
left; where it does not go far enough, or to the other side of 0, γ_max is γ⁺ and only the second. As reported,
λ_1 = 1 and λ_2 = 3. With λ_1 = λ_2 the loss is λ_1 ‖γ − γ_p‖².
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

REDUCTIONS = ("mean", "sum", "none")


def asymmetric_euclidean_loss(
    prediction: Tensor, target: Tensor, over: float = 1.0, under: float = 3.0, reduction: str = "mean"
) -> Tensor:
    """The asymmetric Euclidean loss, in squared standard deviations.

    sign(0) is taken as +1, so a coefficient whose target is 0 costs `over` above it and `under` below it: without a sign
    the definition would leave a prediction free. In half precision the sum is done in float32. The gradient by the
    prediction is 2 λ (γ_p − γ), with λ the one of the side it is on; at equality it is 0.

    Args:
        prediction: (B, K) coefficients γ_p.
        target: (B, K) coefficients γ.
        over: λ_1, for predictions beyond the target.
        under: λ_2, for those short of it.
        reduction: Over the batch: "mean", "sum" or "none". Coefficients are always summed.

    Returns:
        () for "mean" and "sum", (B,) for "none".

    Raises:
        ValueError: For shapes that differ, and an unknown reduction.

    Source:
        Tran et al., "Regressing Robust and Discriminative 3D Morphable Models with a very Deep Neural Network", 2017.

    >>> asymmetric_euclidean_loss(torch.tensor([[3.0, 1.0]]), torch.tensor([[2.0, 2.0]]))
    tensor(4.)
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    prediction, target = _checked(prediction, target)
    if reduction == "none":
        return _Asymmetric.apply(prediction, target, over, under, None)
    return _Asymmetric.apply(prediction, target, over, under, len(prediction) if reduction == "mean" else 1)


def _checked(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both, of one shape (B, K), and half precision as float32."""
    if prediction.shape != target.shape or prediction.dim() != 2:
        raise ValueError(
            f"prediction and target must be of one shape (B, K), got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    if prediction.dtype in (torch.float16, torch.bfloat16):
        return prediction.float(), target.float()
    return prediction, target


class _Asymmetric(torch.autograd.Function):
    """λ ‖γ_p − γ‖² with λ chosen for each coefficient, and its gradient by hand, so that nothing is computed twice.

    A prediction is beyond its target where sign(γ) d is above 0, with d = γ_p − γ. Of the two terms of the definition only
    one is not 0, and it is λ d² on either side. Both sides at once, without choosing by a mask, which takes longer:

        λ d = (λ_1 + λ_2) / 2 · d + (λ_1 − λ_2) / 2 · |d| sign(γ).
    """

    @staticmethod
    def forward(
        ctx, prediction: Tensor, target: Tensor, over: float, under: float, count: int | None
    ) -> Tensor:
        d = prediction - target
        # |d| sign(γ), where + 0.0 makes −0 a +0.
        pull = torch.copysign(d, target + 0.0).mul_((over - under) / 2).add_(d, alpha=(over + under) / 2)
        ctx.save_for_backward(pull)
        ctx.count = count
        if count is None:
            return (pull * d).sum(-1)
        # torch.dot would wake all threads for these few numbers, which takes longer than to add them.
        return d.mul_(pull).sum().div_(count)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope: Tensor):
        (pull,) = ctx.saved_tensors
        gradient = pull * (2 * slope[:, None] if ctx.count is None else slope * (2 / ctx.count))
        return gradient, -gradient if ctx.needs_input_grad[1] else None, None, None, None


class AsymmetricEuclideanLoss(nn.Module):
    """`asymmetric_euclidean_loss` as a module: AsymmetricEuclideanLoss(over=1.0, under=3.0)(prediction, target).

    Args:
        over: λ_1, above 0.
        under: λ_2, above 0.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: For weights that are not above 0, and an unknown reduction.
    """

    def __init__(self, over: float = 1.0, under: float = 3.0, reduction: str = "mean"):
        super().__init__()
        if not (over > 0 and under > 0):
            raise ValueError(f"over and under must be above 0, got {over} and {under}")
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
        self.over, self.under, self.reduction = over, under, reduction

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of predictions (B, K) for targets (B, K): () or, for the reduction "none", (B,)."""
        return asymmetric_euclidean_loss(prediction, target, self.over, self.under, self.reduction)

    def extra_repr(self) -> str:
        return f"over={self.over}, under={self.under}, reduction={self.reduction!r}"


def l2_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """The squared error of (B, K) for (B, K), summed over coefficients, mean over the batch: ().

    It is the asymmetric loss with both weights 1.
    """
    return asymmetric_euclidean_loss(prediction, target, 1.0, 1.0)


def huber_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Twice Huber's loss of (B, K) for (B, K), summed over coefficients, mean over the batch: ().

    It is the squared error up to one standard deviation, and linear beyond, so that a few wrong labels do not pull
    without limit. Raises ValueError for shapes that differ.
    """
    prediction, target = _checked(prediction, target)
    return 2 * nn.functional.huber_loss(prediction, target, reduction="none").sum(-1).mean()


LOSSES = ("asymmetric", "l2", "huber")


def make_loss(name: str, over: float = 1.0, under: float = 3.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Make a loss by its name.

    Args:
        name: One of `LOSSES`.
        over: λ_1 of the asymmetric loss.
        under: λ_2 of the asymmetric loss.

    Returns:
        A function of prediction and target (B, K).

    Raises:
        ValueError: For an unknown name.
    """
    if name not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {name!r}")
    return {"asymmetric": AsymmetricEuclideanLoss(over, under), "l2": l2_loss, "huber": huber_loss}[name]
