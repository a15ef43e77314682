"""Pooling at the size of the paper's training set."""

from __future__ import annotations

import torch

from helpers.pooling import pool
from tests.bench.registry import bench, best, faster


@bench
def pool_500k() -> dict:
    """Seconds for 500,000 photographs of 10,000 people, 198 coefficients each, against one pass over the numbers."""
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.randn(500_000, 198, generator=generator)
    person = torch.randint(0, 10_000, (500_000,), generator=generator)
    confidence = torch.rand(500_000, generator=generator)
    one_pass = best(lambda: coefficients * confidence[:, None], 3)
    return faster(best(lambda: pool(coefficients, person, confidence=confidence), 3), "s", one_pass)
