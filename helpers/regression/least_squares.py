"""Linear regression over any number of samples, which need not be kept: sums of products are all that it needs.

For features x (F,) and targets y (K,), ridge regression minimises the mean over the samples of ‖W z + b − y‖², plus μ ‖W‖², with z the standardised features.
Its solution follows from the sums of x, y, x xᵀ, x yᵀ and y yᵀ. So does the covariance of its errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.device import default_device

# Values of μ. Features are standardised, so the F of them have covariances that sum to F: from many pictures these lie about 1,
# from n < F about F / n, and the best μ for a few hundred pictures is beyond that.
SHRINKS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
NO_GAIN = 1e-3  # of the error


@dataclass(frozen=True)
class LinearMap:
    """y ≈ weight (x − mean) / deviation + bias.

    Attributes:
        mean: (F,) of the features.
        deviation: (F,) of the features.
        weight: (K, F).
        bias: (K,).
        shrink: μ.
    """

    mean: Tensor
    deviation: Tensor
    weight: Tensor
    bias: Tensor
    shrink: float

    def __call__(self, features: Tensor) -> Tensor:
        """(B, K) for features (B, F)."""
        return ((features - self.mean) / self.deviation) @ self.weight.T + self.bias


class LeastSquares:
    """The sums of a regression, in float64.

    Args:
        features: F, how many there are.
        targets: K.
        device: Where they are kept; None is `helpers.device.default_device()`.
    """

    def __init__(self, features: int, targets: int, device: torch.device | str | None = None):
        device = default_device() if device is None else device
        n = features + targets
        self.features, self.count = features, 0
        self.sums = torch.zeros(n, dtype=torch.float64, device=device)
        self.products = torch.zeros(n, n, dtype=torch.float64, device=device)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Take in B samples.

        Args:
            x: (B, F).
            y: (B, K).

        Raises:
            ValueError: For numbers that are not finite: they would spoil all that was summed before.
        """
        both = torch.cat([x, y], 1).double()
        if not bool(both.isfinite().all()):
            raise ValueError("features and targets must be finite")
        self.count += len(both)
        self.sums += both.sum(0)
        self.products.addmm_(both.T, both)

    def state(self) -> dict[str, Tensor | int]:
        """All that there is, for a file."""
        return {"features": self.features, "count": self.count, "sums": self.sums, "products": self.products}

    @classmethod
    def of_state(cls, state: dict) -> LeastSquares:
        """From what `state` gave."""
        found = cls(state["features"], len(state["sums"]) - state["features"])
        found.count, found.sums, found.products = state["count"], state["sums"], state["products"]
        return found

    def with_noise(self, covariance: Tensor, first: int) -> LeastSquares:
        """The sums that are expected of the same samples if some features had noise of their own.

        Args:
            covariance: (N, N) of the noise of N neighbouring features.
            first: The number of the first one.

        Returns:
            Other sums; these stay.
        """
        state = self.state()
        products, rows = self.products.clone(), slice(first, first + len(covariance))
        products[rows, rows] += self.count * covariance.to(products)
        return LeastSquares.of_state({**state, "products": products})

    def solve(self, shrink: float) -> LinearMap:
        """Solve for the weights.

        Args:
            shrink: μ.

        Raises:
            ValueError: Before there are two samples.
        """
        if self.count < 2:
            raise ValueError(f"a regression needs at least 2 samples, got {self.count}")
        F = self.features
        mean, covariance = self._moments()
        deviation = covariance.diagonal()[:F].clamp(min=1e-12).sqrt()
        xx = covariance[:F, :F] / deviation[:, None] / deviation
        xx.diagonal().add_(shrink)
        weight = torch.cholesky_solve(covariance[:F, F:] / deviation[:, None], torch.linalg.cholesky(xx)).T
        return LinearMap(mean[:F].float(), deviation.float(), weight.float(), mean[F:].float(), shrink)

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean (n,) and covariance (n, n) of features and targets together."""
        mean = self.sums / self.count
        return mean, self.products / self.count - torch.outer(mean, mean)


def solve_for(
    sums: LeastSquares, features: Tensor, targets: Tensor, shrinks: tuple[float, ...] = SHRINKS
) -> LinearMap:
    """The regression whose shrinkage is best on held-out samples.

    Args:
        sums: Of the samples that were learnt from.
        features: (N, F) of others.
        targets: (N, K) of the others.
        shrinks: μ to choose among. They are tried from the largest down until the error falls by less than `NO_GAIN`: few
            samples want a large one, and far below their covariances μ changes nothing.

    Returns:
        The best of these maps by their squared error, each target in its own deviation.
    """
    scale = targets.std(0).clamp(min=1e-6)

    def tried(shrink: float) -> tuple[LinearMap, float]:
        found = sums.solve(shrink)
        return found, float(((found(features) - targets) / scale).square().mean())

    largest, *smaller = sorted(shrinks, reverse=True)
    best, least = tried(largest)
    for shrink in smaller:
        found, error = tried(shrink)
        if error > (1 - NO_GAIN) * least:
            break
        best, least = found, error
    return best
