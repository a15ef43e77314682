"""The network and its loss."""

from __future__ import annotations

import torch

from helpers.regression import AsymmetricEuclideanLoss

from .registry import bench, best, faster


@bench
def asymmetric_loss_vs_mse() -> dict:
    """µs for value and gradient of a batch of 144, against torch's mean squared error."""
    generator = torch.Generator().manual_seed(0)
    guess = torch.randn(144, 198, generator=generator).requires_grad_()
    target = torch.randn(144, 198, generator=generator)

    def microseconds(loss) -> float:
        def work():
            for _ in range(50):
                torch.autograd.grad(loss(guess, target), guess)

        return 1e6 * best(work) / 50

    return faster(microseconds(AsymmetricEuclideanLoss()), "µs", microseconds(torch.nn.functional.mse_loss))
